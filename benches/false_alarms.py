#!/usr/bin/env python3
"""Widely used packages: what is said of them at `http` or `network`, to be looked at by hand.

    python3 benches/false_alarms.py [--depickle target/release/depickle]

Downloads the releases below from PyPI into `target/false-alarms/` (nothing is installed or imported), scans each one and the
standard library of the Python that runs this, and prints every finding at those levels. `benches/README.md` has the verdicts.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import sysconfig
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import real_cases


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depickle", default="target/release/depickle")
    options = parser.parse_args()
    folders = []
    for line in (pathlib.Path(__file__).parent / "false-alarms.tsv").open():
        if line.strip() and not line.startswith("#"):
            package, version = line.split()
            folders.append((f"{package} {version}", real_cases.release(package, version), []))
    library = sysconfig.get_path("stdlib")
    folders.append((f"Python {sys.version.split()[0]}", library, ["--exclude", "site-packages/**"]))
    for name, folder, more in folders:
        if folder is None:
            print(f"cannot be had  {name}")
            continue
        began = time.time()
        command = [options.depickle, "scan", "--no-ignore", "--format", "json", str(folder), *more]
        out = subprocess.run(command, capture_output=True, text=True)
        project = json.loads(out.stdout)["projects"][0]
        exposed = [
            f
            for f in project["findings"]
            if f["trust"] in ("http", "network") and f["status"] in ("rewrite", "suggest", "refuse")
        ]
        counted = [f for f in exposed if not f["test"]]
        print(
            f"# {name}: {project['files']['seen']} files, {len(project['findings'])} loads, {len(counted)} at http or network"
            f" ({len(exposed) - len(counted)} more in test code), {time.time() - began:.1f} s",
            flush=True,
        )
        for f in counted:
            print(f"{f['file']}:{f['line']} {f['trust']} {f['sink']}")
            for hop in f["path"]:
                print(f"    {hop['kind']:6} {hop['file']}:{hop['line']} {hop['note']}")


main()
