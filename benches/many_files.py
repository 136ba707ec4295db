#!/usr/bin/env python3
"""Many small Python files: what does a scan cost that finds next to nothing?

    python3 benches/many_files.py FOLDER 100000          # files that name no sink, in some hundred folders
    python3 benches/many_files.py FOLDER 20000 --git     # committed in a repository, and five more with a load that goes
"""

import pathlib
import subprocess
import sys

FILE = '''"""Orders of shop {n}."""
import os
import json
from datetime import datetime

from flask import request, jsonify

from shop.part{folder:03} import totals


class Order{n}:
    def __init__(self, number, lines=()):
        self.number = number
        self.lines = list(lines)
        self.made = datetime.now()

    def total(self):
        return sum(line["price"] * line["count"] for line in self.lines)

    def as_text(self):
        return json.dumps({{"number": self.number, "lines": self.lines}}, indent=2)


def path_of(order):
    return os.path.join("/srv/orders", str(order.number))
'''

LOAD = '''import base64
import pickle

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.route("/cart{n}", methods=["POST"])
def cart{n}():
    lines = pickle.loads(base64.b64decode(request.cookies["cart"]))
    return jsonify(len(lines))
'''


def write(folder, count):
    for n in range(count):
        place = folder / f"shop/part{n % 400:03}"
        if n < 400:
            place.mkdir(parents=True, exist_ok=True)
        (place / f"order{n}.py").write_text(FILE.format(n=n, folder=n % 400))


def commit(folder):
    for n in range(5):
        (folder / f"shop/part{n * 70:03}/cart.py").write_text(LOAD.format(n=n))
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "gc.auto=0"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "all"], ["gc", "-q"]):
        subprocess.run(git + command, check=True)


def main():
    folder, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    write(folder, count)
    if "--git" in sys.argv[3:]:
        commit(folder)


if __name__ == "__main__":
    main()
