"""Which loads of the labelled corpus other tools name: `python3 benches/comparison.py`, with the tools on the PATH.

Writes the programs to target/comparison without their labels, runs each tool once over all of them, and counts the lines
that it names: of those that a client or a peer reaches, and of those that nobody does. The corpus is depickle's own.
"""

import json
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).parent.parent
WORK = ROOT / "target/comparison"
LABEL = re.compile(r"\s*# (reached: \w+|silent|missed: \w+|false-alarm)\s*$")


def write():
    """The corpus as folders; (file, line) of each load that counts: True if a client or a peer reaches it."""
    shutil.rmtree(WORK, ignore_errors=True)
    labels, number = {}, 0
    for topic in sorted((ROOT / "tests/corpus").glob("*.md")):
        file = None
        for line in topic.read_text().splitlines():
            if topic.name == "README.md":
                break
            if line.startswith("## "):
                number += 1
            elif line.startswith("```python"):
                file = WORK / f"p{number}" / (line[len("```python") :].strip() or "app.py")
                file.parent.mkdir(parents=True, exist_ok=True)
                text = []
            elif line == "```" and file:
                file.write_text("\n".join(text) + "\n")
                file = None
            elif file:
                label = LABEL.search(line)
                text.append(LABEL.sub("", line))
                if label and re.search(r": (http|network)$", label[1]):
                    labels[file, len(text)] = True
                elif label and label[1] in ("silent", "false-alarm"):
                    labels[file, len(text)] = False
    return labels


def run(*command):
    return subprocess.run(command, cwd=WORK, stdout=subprocess.PIPE, text=True, check=False).stdout


def bandit():
    out = json.loads(run("bandit", "-q", "-r", ".", "-f", "json", "-t", "B301,B302,B506,B614"))
    return {(r["filename"], r["line_number"]) for r in out["results"]}


def ruff():
    select = ["--select", "S301,S302,S506", "--output-format", "json"]
    out = json.loads(run("ruff", "check", "--isolated", *select, "."))
    return {(r["filename"], r["location"]["row"]) for r in out}


def dlint():
    rows = run("flake8", "--isolated", "--select", "DUO103,DUO109,DUO119,DUO120", ".")
    return {(row.split(":")[0], int(row.split(":")[1])) for row in rows.splitlines()}


def codemodder():
    """What its two codemods for deserialisation change."""
    before = {file: file.read_text().splitlines() for file in WORK.rglob("*.py")}
    names = "pixee:python/harden-pickle-load,pixee:python/harden-pyyaml"
    run("codemodder", ".", f"--codemod-include={names}", "--output", "changes.codetf")
    changed = set()
    for file, lines in before.items():
        after = set(file.read_text().splitlines())
        changed |= {(file, row) for row, line in enumerate(lines, 1) if line not in after}
    return changed


def depickle():
    (WORK / "list.txt").write_text("\n".join(sorted(p.name for p in WORK.glob("p*"))))
    out = json.loads(run("depickle", "scan", "-q", "--repos", "list.txt", "--format", "json"))
    counts = {"rewrite", "suggest", "refuse"}
    return {
        (pathlib.Path(project["root"]) / finding["file"], finding["line"])
        for project in out["projects"]
        for finding in project["findings"]
        if finding["trust"] in ("http", "network") and finding["status"] in counts
    }


def main():
    labels = write()
    reached = sum(labels.values())
    print(f"| tool | of {reached} that are reached | of {len(labels) - reached} that are not |")
    print("|---|---:|---:|")
    # What changes files comes last.
    for tool in (depickle, bandit, ruff, dlint, codemodder):
        if not shutil.which({"dlint": "flake8"}.get(tool.__name__, tool.__name__)):
            print(f"| {tool.__name__} | not installed | |")
            continue
        named = {((WORK / file).resolve(), line) for file, line in tool()}
        hit = [labels[key] for key in labels if (key[0].resolve(), key[1]) in named]
        print(f"| {tool.__name__} | {sum(hit)} | {len(hit) - sum(hit)} |")


if __name__ == "__main__":
    main()
