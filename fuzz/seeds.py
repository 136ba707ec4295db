"""Inputs to begin with, below fuzz/corpus: one file each; for the targets that are named, or all."""

import hashlib
import json
import pathlib
import subprocess
import sys

ASKED = sys.argv[1:]
ROOT = pathlib.Path(__file__).resolve().parent.parent


def asked(target):
    return not ASKED or target in ASKED


def keep(target, data):
    if not asked(target):
        return
    folder = ROOT / "fuzz/corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha1(data).hexdigest()).write_bytes(data)


if asked("pickle"):
    lines = subprocess.run(
        [sys.executable, "-B", ROOT / "tests/support/pickles.py", "300"], check=True, capture_output=True, text=True
    ).stdout
    for line in lines.splitlines():
        if data := bytes.fromhex(json.loads(line).get("hex", "")):
            keep("pickle", data)
for folder in ("tests/corpus", "transforms"):
    for path in (ROOT / folder).rglob("*.md"):
        for block in path.read_text().split("```")[1::2]:
            keep("program", block.partition("\n")[2].encode())
for first, name in ((b"\x01", "model.toml"), (b"\x02", "transform.toml")):
    for path in (ROOT / "transforms").rglob(name):
        keep("pack", first + path.read_bytes())
keep("pack", b'\x00trust = ["http"]\njobs = 2\n[cache]\nmax-size = "20G"\n[[repo]]\npath = "a"\n')
keep("journal", (ROOT / "tests/support/journal.jsonl").read_bytes())
