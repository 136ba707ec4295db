#!/usr/bin/env python3
"""Hostile programs: what does each cost, and is its load still reported?

    python3 benches/hostile.py [--depickle target/release/depickle] [NAME ...]
    python3 benches/hostile.py --write FOLDER --small

Every program of `hostile_programs.py` and `hostile_more.py` is written to make an analysis slow, large or blind: deep, wide,
doubling, circular. Each hands what a client sends to a load. `depickle scan` and `depickle diff` must end within 2 s and 200 MB,
and must either find the load at `http` or say that they did not follow everything (exit code 3); what is only deep must be
found. The second form only writes the programs, in sizes that a test can bear.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import hostile_more  # noqa: F401 (registers programs)
from hostile_programs import PROGRAMS, TO_BE_FOUND

MOST_SECONDS, MOST_MEGABYTES = 2.0, 200


def write(folder, name, size):
    files = PROGRAMS[name][0](size)
    if isinstance(files, str):
        files = {"app.py": files}
    for file, text in files.items():
        path = pathlib.Path(folder) / name / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def measured(command):
    """Output, exit code, seconds of processor time and megabytes of a command."""
    with tempfile.TemporaryFile() as out:
        began = time.time()
        child = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
        deadline = began + 60
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.time() > deadline:
                child.kill()
                pid, status, usage = os.wait4(child.pid, 0)
                break
            time.sleep(0.005)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        return out.read(), child.returncode, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def findings(out):
    try:
        return json.loads(out)["projects"][0]["findings"]
    except (ValueError, KeyError, IndexError):
        return []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depickle", default="target/release/depickle")
    parser.add_argument("--write", metavar="FOLDER")
    parser.add_argument("--small", action="store_true")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    names = options.names or list(PROGRAMS)
    if options.write:
        for name in names:
            write(options.write, name, PROGRAMS[name][1 if options.small else 2])
        return 0
    failed = 0
    print("| program | size | loads | at http | exit | scan s | MB | diff s | MB |\n|---|---|---|---|---|---|---|---|---|")
    for name in names:
        size = PROGRAMS[name][1 if options.small else 2]
        with tempfile.TemporaryDirectory() as folder:
            # In a process of its own: what this one holds would be counted as the scan's.
            small = ["--small"] if options.small else []
            subprocess.run([sys.executable, __file__, "--write", folder, *small, name], check=True)
            command = [options.depickle, "scan", "--no-ignore", "--format", "json", f"{folder}/{name}"]
            out, code, seconds, megabytes = measured(command)
            command = [options.depickle, "diff", "--no-ignore", f"{folder}/{name}"]
            _, diff_code, diff_seconds, diff_megabytes = measured(command)
        found = findings(out)
        http = sum(f["trust"] == "http" for f in found)
        told = code == 3 or (code == 1 and http == len(found) > 0)
        told &= diff_code in (0, 1, 3)
        if name in TO_BE_FOUND:
            told &= code == 1 and http == len(found) > 0
        cheap = max(seconds, diff_seconds) < MOST_SECONDS and max(megabytes, diff_megabytes) < MOST_MEGABYTES
        failed += not (told and cheap)
        mark = (" **silent**" if not told else "") + (" **dear**" if not cheap else "")
        print(f"| {name}{mark} | {size} | {len(found)} | {http} | {code} | {seconds:.2f} | {megabytes:.0f} | {diff_seconds:.2f} | {diff_megabytes:.0f} |", flush=True)
    print(f"\n{len(names) - failed} of {len(names)} hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
