#!/usr/bin/env python3
"""How long a scan takes, beside a search for the word, parsing what names a sink, and Ruff.

    cargo build --release
    python3 benches/large_corpus.py
    python3 benches/speed.py                   # FOLDER ... instead of the standard library and the large corpus
    python3 benches/speed.py --turns 9 --threads 4

All commands take turns, so that what else the machine does meets each alike; the best turn of each counts. Prints seconds, memory and
ratios. Needs ripgrep (`apt install ripgrep` or `cargo install ripgrep`); Ruff is downloaded from PyPI into `target/speed`.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = ROOT / "target" / "speed"
WORD = r"pickle\.loads?"


def ruff():
    found = sorted(TARGET.rglob("scripts/ruff"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", TARGET, "ruff"]
        subprocess.run(command, check=True)
        for wheel in TARGET.glob("ruff-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(TARGET)
        found = sorted(TARGET.rglob("scripts/ruff"))
        found[-1].chmod(0o755)
    return found[-1]


def parser():
    """The program that only parses."""
    command = ["cargo", "bench", "--bench", "parse", "--no-run", "--message-format=json", "--quiet"]
    lines = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
    built = [json.loads(line) for line in lines]
    return next(one["executable"] for one in built if one.get("target", {}).get("name") == "parse" and one.get("executable"))


def standard_library():
    """A copy without what is installed beside it."""
    copy = TARGET / "stdlib"
    if not copy.exists():
        leave = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "*.so", "*.a")
        shutil.copytree(sysconfig.get_paths()["stdlib"], copy, ignore=leave, symlinks=True)
    return copy


def once(command, given, threads):
    """Seconds, and megabytes at most."""
    begun = time.perf_counter()
    environment = dict(os.environ, RAYON_NUM_THREADS=str(threads))
    process = subprocess.Popen(
        [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    process.stdin.write(given)
    process.stdin.close()
    _, _, usage = os.wait4(process.pid, 0)
    return time.perf_counter() - begun, usage.ru_maxrss / 1024


def main():
    options = argparse.ArgumentParser(description="How long a scan takes, beside other tools.")
    options.add_argument("folder", nargs="*", type=pathlib.Path)
    options.add_argument("--turns", type=int, default=5)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--program", type=pathlib.Path, default=ROOT / "target" / "release" / "depickle")
    asked = options.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    folders = asked.folder or [standard_library(), ROOT / "target" / "large-corpus" / "site-packages"]
    parse, check = parser(), ruff()
    for folder in folders:
        search = ["rg", "--no-ignore", "--type", "py", "--threads", asked.threads]
        named = subprocess.run(
            [*map(str, search), "--files-with-matches", "pickle|marshal|shelve|yaml|joblib|dill", str(folder)], stdout=subprocess.PIPE
        ).stdout
        exactly = subprocess.run([*map(str, search), "--files-with-matches", WORD, str(folder)], stdout=subprocess.PIPE).stdout
        commands = {
            "rg": ([*search, "--line-number", WORD, folder], b""),
            "parsing the files rg finds": ([parse], exactly),
            "parsing all that name a module with sinks": ([parse], named),
            "ruff": ([check, "check", "--isolated", "--no-cache", "--no-respect-gitignore", "--config", "exclude=[]", "--select", "S301", folder], b""),
            "depickle scan": ([asked.program, "scan", "--quiet", "--no-ignore", "-j", asked.threads, folder], b""),
        }
        best = {}
        for _ in range(asked.turns):
            for name, (command, given) in commands.items():
                seconds, memory = once(command, given, asked.threads)
                best[name] = min(best.get(name, (seconds, memory)), (seconds, memory))
        files = sum(1 for _ in folder.rglob("*.py"))
        print(f"{folder.name}: {files:,} files, {exactly.count(10):,} with the word, {named.count(10):,} with a module's name")
        scan = best["depickle scan"][0]
        for name, (seconds, memory) in best.items():
            print(f"  {name:42} {seconds:7.3f} s {memory:7.0f} MB   a scan takes {scan / seconds:6.2f} times that")
        at_least = best["rg"][0] + best["parsing the files rg finds"][0]
        print(f"  {'rg and parsing those files':42} {at_least:7.3f} s              a scan takes {scan / at_least:6.2f} times that")


main()
