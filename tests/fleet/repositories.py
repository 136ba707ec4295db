"""Writes COUNT small git repositories below FOLDER, and prints where they are: `repositories.py FOLDER COUNT`.

Git's own format, written here: two thousand times `git commit` would take longer than the test.
"""

import hashlib
import os
import sys
import zlib

FLASK = """import base64
import pickle

from flask import Flask, request

app = Flask(__name__)
NUMBER = {n}


@app.route("/load/{n}", methods=["POST"])
def load():
    data = request.{source}
    value = pickle.loads({read})
    return {{"keys": len(value)}}
"""
SOURCES = [
    ("get_data()", "data"),
    ('cookies.get("cart")', "base64.b64decode(data)"),
    ('form["state"]', "bytes.fromhex(data)"),
]


def files(n):
    source, read = SOURCES[n % 3]
    kind = n % 20
    if kind == 0:
        return {"README.md": f"no Python {n}\n"}
    if kind < 4:
        return {"app.py": f"def number():\n    return {n}\n", "lib/more.py": "import json\n"}
    if kind < 6:
        return {"app.py": f"import pickle\n\nWITH = {n}\nvalue = pickle.loads(b'')\n"}
    made = {"app.py": FLASK.format(n=n, source=source, read=read), "README.md": f"shop {n}\n"}
    made.update({f"lib/module_{m}.py": f"def f{m}():\n    return {m}\n" for m in range(n % 7)})
    return made


class Repository:
    def __init__(self, path):
        self.path = path
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            os.makedirs(f"{path}/{folder}")

    def add(self, kind, body):
        data = b"%s %d\0%s" % (kind.encode(), len(body), body)
        name = hashlib.sha1(data).hexdigest()
        folder = f"{self.path}/objects/{name[:2]}"
        os.makedirs(folder, exist_ok=True)
        with open(f"{folder}/{name[2:]}", "wb") as file:
            file.write(zlib.compress(data, 1))
        return name

    def tree(self, files):
        rows, below = [], {}
        for path, text in files.items():
            folder, slash, rest = path.partition("/")
            if slash:
                below.setdefault(folder, {})[rest] = text
            else:
                rows.append((path, "100644", self.add("blob", text.encode())))
        rows += [(folder, "40000", self.tree(inside)) for folder, inside in below.items()]
        rows.sort(key=lambda row: row[0] + ("/" if row[1] == "40000" else ""))
        return self.add("tree", b"".join(f"{mode} {name}".encode() + b"\0" + bytes.fromhex(id) for name, mode, id in rows))

    def commit(self, files):
        who = "T <t@example.org> 1700000000 +0000"
        body = f"tree {self.tree(files)}\nauthor {who}\ncommitter {who}\n\nbefore\n"
        with open(f"{self.path}/refs/heads/main", "w") as file:
            file.write(self.add("commit", body.encode()) + "\n")
        with open(f"{self.path}/HEAD", "w") as file:
            file.write("ref: refs/heads/main\n")
        with open(f"{self.path}/config", "w") as file:
            file.write("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")


for n in range(int(sys.argv[2])):
    path = f"{sys.argv[1]}/{n // 100:02}/repository-{n:05}.git"
    Repository(path).commit(files(n))
    print(path)
