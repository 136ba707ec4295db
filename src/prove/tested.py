"""Tests of a repository, run in a copy of it.

Reads a job as JSON from standard input: {"root": folder, "command": arguments of Python, "seconds": bound}; prints
{"code": exit code, "said": the end of what was printed} as JSON.
"""

import json
import os
import subprocess
import sys

from . import sandbox


def tested(job):
    root = job["root"]
    # Before anything that an editable install puts there: that is somebody's work tree.
    path = [root, os.path.join(root, "src"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [sys.executable, "-B", *job["command"]],
        cwd=root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, path))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return {"code": done.returncode, "said": done.stdout.decode(errors="replace")[-4000:]}


if __name__ == "__main__":
    job = json.load(sys.stdin)
    json.dump(sandbox.run(lambda: tested(job), job["seconds"]), sys.stdout)
