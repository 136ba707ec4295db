"""How long a fleet takes, with so many workers: `fleet.py measure PROGRAM`, then `fleet.py simulate [OPTION=VALUE...]`.

`measure` times this machine on repositories that `git daemon` serves on loopback, one kind after the other, one at a time, each in
a fresh cache. `simulate` plays 10,000 repositories: a worker takes shard after shard, clones wait for one of so many places at the
server, one publisher opens requests as far apart as the forge wants. What is not measured is an assumption, and an option.
"""

import heapq
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time

# Measured by `measure` (benches/README.md): seconds to start, of which what a small repository costs cannot be told apart, to fetch one
# by loopback, and to publish a branch; a file's are of a large corpus.
COSTS = {"start": 0.065, "fetch": 0.075, "scan": 0.001, "stage": 0.001, "file": 0.00036, "publish": 0.15}

# Assumed. Repositories: so many files in the median, spread as sizes of repositories are; so many of a hundred without Python, and
# with a change. The net: seconds that a clone waits for answers, megabytes a second, kilobytes a file. The server: clones at once.
# The engine: seconds until a task runs. The forge: seconds from request to request.
ASSUMED = {"repositories": 10000, "shards": 500, "files": 60, "spread": 1.4, "without": 30, "changed": 8,
           "answers": 1.5, "speed": 5, "kilobytes": 6, "places": 100, "engine": 3, "pause": 8}

WORKERS = [1, 2, 5, 10, 20, 50, 100, 200, 500]

SHOP = """import pickle

from flask import Flask, request

app = Flask(__name__)


@app.route("/load", methods=["POST"])
def load():
    return {{"keys": len(pickle.loads(request.get_data())), "n": {n}}}
"""
KINDS = {
    "no Python": lambda n: {"README.md": f"{n}\n"},
    "no sink": lambda n: {"app.py": f"N = {n}\n", **{f"lib/m{m}.py": f"def f():\n    return {m}\n" for m in range(20)}},
    "no change": lambda n: {"app.py": f"import pickle\nN = {n}\nx = pickle.loads(b'')\n", **{f"lib/m{m}.py": "import os\n" for m in range(20)}},
    "a change": lambda n: {"app.py": SHOP.format(n=n), **{f"lib/m{m}.py": "import os\n" for m in range(20)}},
}


def measure(program, count=60):
    program = os.path.realpath(program)
    with tempfile.TemporaryDirectory() as root:
        os.chdir(root)
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "DEPICKLE_STATE_DIR": f"{root}/state"}
        git = ["git", "-c", "user.name=T", "-c", "user.email=t@example.org"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        os.makedirs("served")
        daemon = subprocess.Popen(["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack", "--listen=127.0.0.1",
                                   f"--port={port}", f"--base-path={root}/served", f"{root}/served"], stderr=subprocess.DEVNULL)
        try:
            for kind, files in KINDS.items():
                name = kind.replace(" ", "-")
                urls = []
                for n in range(count):
                    path = f"served/{name}-{n}"
                    for file, text in files(n).items():
                        os.makedirs(os.path.dirname(f"{path}/{file}"), exist_ok=True)
                        open(f"{path}/{file}", "w").write(text)
                    subprocess.run([*git, "init", "-q", path], check=True)
                    for act in (["add", "."], ["commit", "-qm", "x"], ["config", "uploadpack.allowFilter", "true"]):
                        subprocess.run([*git, "-C", path, *act], check=True)
                    urls.append(f"git://127.0.0.1:{port}/{name}-{n}\n")
                open("list.txt", "w").write("".join(urls))

                def timed(*args):
                    begun = time.monotonic()
                    done = subprocess.run([program, *args], env={**env, "DEPICKLE_CACHE_DIR": f"{root}/cache-{name}"}, capture_output=True, text=True)
                    assert done.returncode == 0, done.stderr
                    return (time.monotonic() - begun) / count

                timed("fleet", "plan", "--repos", "list.txt", "--shards", "1", "-o", f"{name}.json")
                shard = ["--plan", f"{name}.json", "--shard", "0/1", "--results", f"results-{name}", "-j", "1", "--per-host", "1", "-q"]
                print(f"{kind}: scan with fetch {timed('scan', *shard):.3f} s", end="")
                print(f", stage without {timed('stage', *shard, '--bundle', f'bundles-{name}'):.3f} s", end="")
                results = f"results-{name}/stage-00000.jsonl"
                read = sum(json.loads(line).get("row", {}).get("row", {}).get("files", {}).get("analysed", 0) for line in open(results))
                subprocess.run([program, "fleet", "merge", f"{name}.json", results], env=env, capture_output=True)
                if kind == "a change":
                    print(f", publish {timed('fleet', 'publish', f'{name}.json', '--pause', '0'):.3f} s", end="")
                print(f"; {read // count} files read of each")
        finally:
            daemon.terminate()
            daemon.wait()


def repositories(a):
    random.seed(9)
    for _ in range(int(a["repositories"])):
        python = random.random() * 100 >= a["without"]
        files = int(a["files"] * random.lognormvariate(0, a["spread"])) if python else 0
        fetch = COSTS["fetch"] + a["answers"] * (1 if files else 0.6) + files * a["kilobytes"] / 1000 / a["speed"]
        work = (COSTS["scan"] + files * COSTS["file"]) if files else 0
        changed = bool(files) and random.random() * 100 < a["changed"] * 100 / (100 - a["without"])
        yield fetch, work + (COSTS["stage"] if changed else 0), changed


def run(a, workers):
    """Seconds until the last shard has ended, and when each change was ready."""
    all = list(repositories(a))
    shards = [all[n::int(a["shards"])] for n in range(int(a["shards"]))]
    places = [0.0] * int(a["places"])
    free = [(0.0, worker, None) for worker in range(workers)]
    heapq.heapify(free)
    ready, end = [], 0.0
    while free:
        now, worker, todo = heapq.heappop(free)
        if not todo:
            end = max(end, now)
            if shards:
                heapq.heappush(free, (now + a["engine"] + COSTS["start"], worker, shards.pop(0)))
            continue
        fetch, work, changed = todo.pop(0)
        begun = max(now, heapq.heappop(places))
        heapq.heappush(places, begun + fetch)
        done = begun + fetch + work
        ready += [done] if changed else []
        heapq.heappush(free, (done, worker, todo))
    return end, ready


def publish(a, ready, after):
    now = after
    for _ in ready:
        now += max(a["pause"], COSTS["publish"])
    return now


def shown(seconds):
    return f"{seconds / 3600:.1f} h" if seconds >= 5400 else f"{seconds / 60:.0f} min"


def simulate(options):
    a = {**ASSUMED, **{key: float(value) for key, value in (option.split("=") for option in options)}}
    one = None
    print("| workers | shards done | times as fast | all requests open |\n|---|---|---|---|")
    for workers in WORKERS:
        end, ready = run(a, workers)
        one = one or end
        print(f"| {workers} | {shown(end)} | {one / end:.1f} | {shown(publish(a, ready, end))} |")
    print(f"\n{len(ready)} changes")


if __name__ == "__main__":
    {"measure": lambda rest: measure(*rest), "simulate": simulate}[sys.argv[1]](sys.argv[2:])
