#!/usr/bin/env python3
"""Large packages: is every rewrite that can be made sound in form, whoever reaches the load?

    python3 benches/rewrites.py [--depickle target/release/depickle] [PACKAGE ...]

Downloads each release of `rewrites.txt` from PyPI with `pip download --no-deps` into `target/rewrites/`, unpacks it (nothing
is installed, imported or run), and asks for every load, with `--every-load --suggestions`: each is treated as if a client
reached it, and where no handler answers, the error rises. Then, for each package:

- every changed file parses, and compiles under each Python found that compiled it before;
- a second run changes nothing;
- statements outside the edits have the same syntax tree, in the same order;
- lines outside the edits are the same bytes, and every line that went held a part of a load, an import, an `except`, or
  moved to another indentation.

Prints what fails, and a table of the reasons for which loads were left.
"""

import argparse
import ast
import collections
import difflib
import glob
import json
import os
import pathlib
import shutil
import subprocess
import sys
import warnings
import zipfile

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parent / "target" / "rewrites"
COMPILE = """
import json, sys
good = []
for path in json.load(sys.stdin):
    try:
        compile(open(path, "rb").read(), path, "exec")
        good.append(path)
    except (SyntaxError, ValueError):
        pass
print(json.dumps(good))
"""

warnings.simplefilter("ignore")


def release(requirement):
    folder = CACHE / requirement.replace("==", "-")
    if (folder / ".done").exists():
        return folder / "before"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", folder, requirement]
    subprocess.run(command, check=True)
    for archive in folder.glob("*.whl"):
        zipfile.ZipFile(archive).extractall(folder / "before")
        archive.unlink()
    for path in (folder / "before").rglob("*"):
        if path.is_file() and path.suffix != ".py":
            path.unlink()
    (folder / ".done").touch()
    return folder / "before"


def pythons():
    """One interpreter of each version on this machine."""
    found = {}
    names = glob.glob("/usr/bin/python3*") + glob.glob(os.path.expanduser("~/.pyenv/versions/3*/bin/python3"))
    for name in [sys.executable, *names]:
        if name.endswith("-config"):
            continue
        out = subprocess.run([name, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], capture_output=True, text=True)
        if out.returncode == 0:
            found.setdefault(out.stdout.strip(), name)
    return dict(sorted(found.items(), key=lambda item: tuple(map(int, item[0].split(".")))))


def depickle(program, folder, fmt):
    command = [program, "diff", "--every-load", "--suggestions", "--include-tests", "--no-ignore", "--format", fmt, "."]
    out = subprocess.run(command, cwd=folder, capture_output=True)
    if out.returncode == 2:
        sys.exit(out.stderr.decode())
    return out.stdout


def statements(tree):
    """Simple statements and the heads of the others: what they say, and their lines."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, (ast.stmt, ast.excepthandler)):
            continue
        head = {k: v for k, v in ast.iter_fields(node) if not (isinstance(v, list) and v and isinstance(v[0], (ast.stmt, ast.excepthandler)))}
        inner = [c for c in ast.iter_child_nodes(node) if isinstance(c, (ast.stmt, ast.excepthandler))]
        decorators = [d.lineno for d in getattr(node, "decorator_list", [])]
        start = min([node.lineno, *decorators])
        end = min((min([c.lineno, *[d.lineno for d in getattr(c, "decorator_list", [])]]) for c in inner), default=node.end_lineno + 1)
        parts = [ast.dump(v) if isinstance(v, ast.AST) else [ast.dump(x) if isinstance(x, ast.AST) else x for x in v] if isinstance(v, list) else repr(v) for v in head.values()]
        found.append((start, max(end - 1, start), f"{type(node).__name__} {parts}"))
    return sorted(found)


def compare(before, after, loads):
    """What is wrong with `after`, as a change of `before` for the sake of `loads` (spans of lines)."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    gone, come = set(), set()
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag != "equal":
            gone.update(range(i1 + 1, i2 + 1))
            come.update(range(j1 + 1, j2 + 1))
    wrong = []
    kept_old = [line for n, line in enumerate(old, 1) if n not in gone]
    kept_new = [line for n, line in enumerate(new, 1) if n not in come]
    if kept_old != kept_new:
        wrong.append("bytes outside the edits differ")
    trees = ast.parse(before), ast.parse(after)
    rest = []
    for tree, touched in zip(trees, (gone, come)):
        rest.append([text for start, end, text in statements(tree) if not touched.intersection(range(start, end + 1))])
    if rest[0] != rest[1]:
        wrong.append("syntax outside the edits differs")
    # Lines that went: a load's statement, an import, an `except`, or a line that only moved.
    allowed = set()
    for start, end, text in statements(trees[0]):
        lines = set(range(start, end + 1))
        if text.startswith(("Import", "Try", "ExceptHandler")) or any(lines & set(load) for load in loads):
            allowed |= lines
    moved = collections.Counter(line.strip() for n, line in enumerate(new, 1) if n in come)
    for n in sorted(gone - allowed):
        text = old[n - 1].strip()
        if moved[text] > 0 or not text:
            moved[text] -= 1
        else:
            wrong.append(f"line {n} went: {text[:80]!r}")
    return wrong


def compiled(python, paths):
    out = subprocess.run([python, "-W", "ignore", "-c", COMPILE], input=json.dumps(paths), capture_output=True, text=True, check=True)
    return set(json.loads(out.stdout))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depickle", default="target/release/depickle", type=pathlib.Path)
    parser.add_argument("packages", nargs="*")
    options = parser.parse_args()
    program = options.depickle.resolve()
    versions = pythons()
    print("compiled under Python", ", ".join(versions))
    reasons, failures = collections.Counter(), 0
    print("| release | files | loads | rewritten | changed files | wrong |\n|---|---|---|---|---|---|")
    for line in (HERE / "rewrites.txt").read_text().split():
        if options.packages and line.split("==")[0] not in options.packages:
            continue
        before = release(line)
        row = json.loads(depickle(program, before, "json"))["projects"][0]
        patch = depickle(program, before, "diff")
        after = before.parent / "after"
        shutil.rmtree(after, ignore_errors=True)
        shutil.copytree(before, after)
        if patch:
            # Paths in the patch start at the repository around, if there is one.
            prefix = subprocess.run(["git", "rev-parse", "--show-prefix"], cwd=before, capture_output=True, text=True).stdout
            strip = ["git", "apply", "--whitespace=nowarn", f"-p{1 + prefix.count('/')}", "-"]
            subprocess.run(strip, cwd=after, input=patch, check=True, env={**os.environ, "GIT_DIR": "/nonexistent"})
        wrong, changed = [], []
        for path in sorted(before.rglob("*.py")):
            name = path.relative_to(before)
            one, two = path.read_bytes(), (after / name).read_bytes()
            if one == two:
                continue
            changed.append(str(name))
            loads = [range(f["line"], f["end_line"] + 1) for f in row["findings"] if f["file"] == str(name)]
            try:
                wrong += [f"{name}: {what}" for what in compare(one, two, loads)]
            except SyntaxError as error:
                wrong.append(f"{name}: does not parse: {error}")
        for version, python in versions.items():
            good = compiled(python, [str(before / name) for name in changed])
            still = compiled(python, [str(after / name) for name in changed])
            wrong += [f"{n}: no longer compiles under {version}" for n in changed if str(before / n) in good and str(after / n) not in still]
        if depickle(program, after, "diff"):
            wrong.append("a second run changes something")
        done = sum(f["status"] == "rewrite" for f in row["findings"])
        for finding in row["findings"]:
            reasons[finding["reason"] or finding["status"]] += 1
        print(f"| {line.replace('==', ' ')} | {row['files']['seen']:,} | {len(row['findings'])} | {done} | {len(changed)} | {len(wrong)} |", flush=True)
        for what in wrong:
            print("  wrong:", what)
        failures += len(wrong)
    print("\n| what became of it | loads |\n|---|---|")
    for reason, count in reasons.most_common():
        print(f"| `{reason}` | {count} |")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
