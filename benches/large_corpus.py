#!/usr/bin/env python3
"""A large folder of installed packages to measure speed on.

    python3 benches/large_corpus.py      # prints the folder and its number of Python files

Downloads the wheels of `large-corpus.txt` from PyPI, without what they need, and unpacks them into
`target/large-corpus/site-packages`: nothing is installed, imported or run. The versions stand in the list, so that two
machines measure the same.
"""

import pathlib
import subprocess
import sys
import tempfile
import zipfile

HERE = pathlib.Path(__file__).parent
TARGET = HERE.parent / "target" / "large-corpus"


def main():
    folder = TARGET / "site-packages"
    done = TARGET / "done"
    done.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    for line in (HERE / "large-corpus.txt").read_text().splitlines():
        requirement = line.split("#")[0].strip()
        if not requirement or (done / requirement).exists():
            continue
        with tempfile.TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
            command += ["--python-version", "3.11", "--dest", scratch, requirement]
            if subprocess.run(command).returncode:
                print(f"cannot be had  {requirement}")
                continue
            for wheel in pathlib.Path(scratch).glob("*.whl"):
                with zipfile.ZipFile(wheel) as archive:
                    names = [name for name in archive.namelist() if name.endswith(".py")]
                    archive.extractall(folder, names)
        (done / requirement).touch()
    count = sum(1 for _ in folder.rglob("*.py"))
    print(f"{folder.relative_to(HERE.parent)}: {count} Python files")


main()
