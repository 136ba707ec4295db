#!/usr/bin/env python3
"""Published vulnerable releases: is each listed load in the ledger, with the right trust?

    python3 benches/real_cases.py [--depickle target/release/depickle] [PACKAGE ...]

Downloads each release of `real-cases.tsv` from PyPI with `pip download --no-deps` into `target/real-cases/`, unpacks it
(nothing is installed or imported), scans it and compares. A row holds when a finding starts at its line (or within two
lines: a call may begin above) with its trust. `T1` to `T3` must be found; `T4` must be in the ledger, at whatever level;
`T5` is welcome; `N` must not be reported at `http` or `network`. A release that cannot be had is said so.

The last column of a row says, with the place that shows it, where the source proves a load more exposed than the advisory
says. Such a row holds at that level too, and is counted apart.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tarfile
import time
import zipfile

HERE = pathlib.Path(__file__).parent
CACHE = HERE.parent / "target" / "real-cases"


def release(package, version):
    folder = CACHE / f"{package}-{version}"
    if (folder / ".done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    base = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), f"{package}=={version}"]
    ways = [
        ["--only-binary=:all:"],
        ["--only-binary=:all:", "--platform=manylinux2014_x86_64", "--python-version=3.10"],
        ["--only-binary=:all:", "--platform=macosx_11_0_arm64", "--python-version=3.10"],
        ["--only-binary=:all:", "--platform=any", "--python-version=2.7", "--implementation=py"],
    ]
    for way in ways:
        if subprocess.run(base + way, capture_output=True).returncode == 0:
            break
    archives = [p for p in folder.iterdir() if p.suffix in (".whl", ".gz", ".zip", ".bz2")]
    if not archives:
        archives = [p for p in [sdist(package, version, folder)] if p]
    for archive in archives:
        if archive.suffix in (".whl", ".zip"):
            zipfile.ZipFile(archive).extractall(folder)
        else:
            tarfile.open(archive).extractall(folder, filter="data")
        archive.unlink()
    if not archives:
        return None
    (folder / ".done").touch()
    return folder


def sdist(package, version, folder):
    """The source archive, fetched without building its metadata."""
    import urllib.request

    index = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True
    ).stdout.strip() or "https://pypi.org/simple"
    import re
    import urllib.parse

    url = f"{index.rstrip('/')}/{package}/"
    page = urllib.request.urlopen(url, timeout=60).read().decode()
    for link in re.findall(r'href="([^"]+)"', page):
        name = urllib.parse.unquote(link.split("#")[0].rsplit("/", 1)[-1])
        plain = name.lower().replace("_", "-")
        if plain in (f"{package}-{version}.tar.gz", f"{package}-{version}.zip", f"{package}-{version}.tar.bz2"):
            target = folder / name
            target.write_bytes(urllib.request.urlopen(urllib.parse.urljoin(url, link), timeout=300).read())
            return target
    return None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--depickle", default="target/release/depickle")
    parser.add_argument("packages", nargs="*")
    options = parser.parse_args()
    rows = [line.rstrip("\n").split("\t") for line in (HERE / "real-cases.tsv").open() if not line.startswith("#")]
    scanned, failed, worse = {}, 0, 0
    for package, version, file, line, trust, reach, what, *more in rows:
        if options.packages and package not in options.packages:
            continue
        key = (package, version)
        if key not in scanned:
            folder = release(package, version)
            if folder is None:
                scanned[key] = None
            else:
                began = time.time()
                out = subprocess.run(
                    [options.depickle, "scan", "--no-ignore", "--format", "json", str(folder)],
                    capture_output=True,
                    text=True,
                )
                seconds = time.time() - began
                findings = json.loads(out.stdout)["projects"][0]["findings"]
                exposed = sum(f["trust"] in ("http", "network") and f["status"] in ("rewrite", "suggest", "refuse") for f in findings)
                print(f"# {package} {version}: {len(findings)} loads, {exposed} exposed, {seconds:.1f} s", flush=True)
                scanned[key] = findings
        findings = scanned[key]
        if findings is None:
            print(f"cannot be had  {package} {version}")
            continue
        at = [
            f
            for f in findings
            if ("/" + f["file"]).endswith(("/" + file, "/" + file.split("/", 1)[-1]))
            and f["line"] - 2 <= int(line) <= f["end_line"] + 2
        ]
        levels = sorted({f["trust"] for f in at})
        if reach == "N":
            holds = not {"http", "network"} & set(levels)
        elif reach == "T4":
            holds = bool(levels)
        else:
            holds = trust in levels
        if not holds and more and more[0].split(":")[0] in levels:
            holds, worse = True, worse + 1
            what += f"; more exposed, and true: {more[0]}"
        if not holds and reach != "T5":
            failed += 1
        print(f"{'ok  ' if holds else 'MISS'} {reach} {package} {file}:{line} wanted {trust}, found {', '.join(levels) or 'nothing'} ({what})", flush=True)
    print(f"{failed} rows do not hold; {worse} hold at a level that is more exposed, and true")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
