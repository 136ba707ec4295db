"""Whether the shards came to what one machine did: `compare.py PLAN SHARDS SINGLE START REFS COUNT`."""

import collections
import json
import sys

plan, whole, single = (json.load(open(name)) for name in sys.argv[1:4])
start, refs = (open(name).read().splitlines() for name in sys.argv[4:6])
count = int(sys.argv[6])

assert whole["run"] == single["run"] == plan["run"], "the ids of the runs differ"
rows = {row["root"]: row for row in whole["projects"]}
assert len(whole["projects"]) == len(rows) == count, "a repository is missing, or there twice"
for row in single["projects"]:
    assert rows[row["root"]] == row, f"{row['root']}: the rows differ"
staged = [row["root"] for row in whole["projects"] if row["branch"]]
new = [line.split()[:2] for line in refs if line not in set(start)]
assert len(staged) == len(new) > count / 2, "there are other branches than were staged"
assert max(collections.Counter(map(tuple, new)).values()) == 1, "a branch is there twice"
print(f"{len(rows)} of {count} repositories, {len(staged)} branches, each once, with the commits of one machine")
