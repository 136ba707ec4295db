"""Inputs to begin with, below fuzz/corpus: one file each; for the targets that are named, or all.

    python3 fuzz/seeds.py program real      # as well, real files that name pickle: downloads packages, and installs none

Of programs only small ones: what is mutated is tried thousands of times.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
import tempfile
import zipfile

ASKED = sys.argv[1:]
# Packages with small files around pickles.
REAL = "cachelib beaker dogpile.cache diskcache rq celery kombu joblib django-redis flask-session requests-cache huey aiocache cloudpickle"
LARGEST = 3000
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
            text = block.partition("\n")[2].encode()
            if len(text) <= LARGEST:
                keep("program", text)
if "real" in ASKED:
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", folder]
        subprocess.run([*pip, *REAL.split()], check=True)
        for wheel in pathlib.Path(folder).glob("*.whl"):
            with zipfile.ZipFile(wheel) as files:
                for name in files.namelist():
                    if name.endswith(".py") and files.getinfo(name).file_size <= 2 * LARGEST and b"pickle" in files.read(name):
                        keep("program", files.read(name))
for first, name in ((b"\x01", "model.toml"), (b"\x00", "transform.toml")):
    for path in (ROOT / "transforms").rglob(name):
        keep("pack", first + path.read_bytes())
keep("configuration", b'trust = ["http"]\njobs = 2\n[cache]\nmax-size = "20G"\n[[repo]]\npath = "a"\n')
keep("journal", (ROOT / "tests/support/journal.jsonl").read_bytes())
