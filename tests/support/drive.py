"""Law 8: runs one side of a case against the real framework.

Reads jobs on standard input, one a line, as JSON: {"root": folder with the case's files, "request": the case's request
block, "side": "before" | "after"}; prints the outcome of each on a line, as JSON. Frameworks are imported once; each job
runs in a fork, so no case sees another. `--compile` reads a list of {"name", "source"} instead and compiles each.

How applications are reached and what is sent is in src/prove.
"""

import base64
import importlib
import json
import logging
import os
import pickle
import signal
import sys
import tempfile
import traceback
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../src"))

from prove.driver import Call, attacks, sent, wrapped, wrong
from prove.frameworks import FRAMEWORKS, server
from prove.payloads import KINDS

SECONDS = 60


def pair(request, server):
    """What one request makes the application write, and what the next one of the same client reads of it."""
    first = request["first"]
    written = Call({**first, "channel": "body"}, None)
    if first.get("form"):
        written.body = urllib.parse.urlencode(first["form"]).encode()
        written.headers["Content-Type"] = "application/x-www-form-urlencoded"
        written.headers["Content-Length"] = str(len(written.body))
    statuses = [server.send(written)]
    read = Call(request, None)
    read.headers["Cookie"] = "; ".join(server.cookies)
    statuses.append(server.send(read))
    return [*statuses, server.body.decode()]


def legacy(request, server):
    """Status for plain data of every protocol that Python 3 writes by itself, and how often the application logs it."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    value = json.loads(request["legacy"])
    statuses = {
        str(protocol): sent(request, server, wrapped(request, pickle.dumps(value, protocol))) for protocol in range(2, 6)
    }
    logging.getLogger().removeHandler(handler)
    logged = sum("still pickled" in record.getMessage() for record in records)
    return {"legacy": statuses, "logged": logged}


def drive(job):
    root, request = job["root"], job["request"]
    sys.path.insert(0, root)
    os.chdir(root)
    reached = server(request)
    kind = KINDS[request.get("payload") or "pickle"]
    outcome = {"attacks": attacks(request, reached, kind), "runs": getattr(kind, "runs", True)}
    if request.get("first"):
        outcome["pair"] = pair(request, reached)
    if job["side"] == "after":
        if getattr(kind, "is_data", False):
            for attack in outcome["attacks"].values():
                attack["status"] = "read as plain data"
        outcome["wrong"] = wrong(request, reached, kind)
        if request.get("legacy"):
            outcome.update(legacy(request, reached))
        if not getattr(kind, "nothing_is_valid", False) and request["channel"] != "kept":
            outcome["missing"] = sent(request, reached, None)
        valid = request["valid"].encode()
        if request.get("valid_base64"):
            valid = base64.b64decode(valid)
        outcome["valid"] = sent(request, reached, wrapped(request, valid))
    return outcome


def in_a_fork(job):
    """The outcome of `job`, or {"error": what went wrong}."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(SECONDS)
        os.close(reading)
        log = tempfile.TemporaryFile()
        os.dup2(log.fileno(), 2)
        try:
            outcome = drive(job)
        except BaseException:
            log.seek(0)
            outcome = {"error": log.read().decode(errors="replace") + traceback.format_exc()}
        log.seek(0)
        outcome["log"] = log.read().decode(errors="replace")[-4000:]
        with open(writing, "w") as pipe:
            json.dump(outcome, pipe)
        # No handler of a framework delays the end.
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        outcome = pipe.read()
    os.waitpid(child, 0)
    return json.loads(outcome or '{"error": "it ended, or took too long"}')


def serve(out):
    known = set()
    for job in sys.stdin:
        job = json.loads(job)
        framework = job["request"]["framework"]
        if framework not in known:
            for module in FRAMEWORKS[framework][1].split():
                importlib.import_module(module)
            known.add(framework)
        print(json.dumps(in_a_fork(job)), file=out, flush=True)


def compiled(files):
    outcome = []
    for file in files:
        try:
            compile(file["source"], file["name"], "exec", dont_inherit=True)
            outcome.append(None)
        except SyntaxError as error:
            outcome.append(f"{file['name']}: {error}")
    return outcome


if __name__ == "__main__":
    # What a case itself prints is not the outcome.
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if "--compile" in sys.argv:
        json.dump(compiled(json.load(sys.stdin)), out)
    else:
        serve(out)
