"""Law 8: runs one side of a case against the real framework, through the framework's own test client.

Reads a job as JSON on standard input: {"root": folder with the case's files, "request": the case's request block,
"side": "before" | "after"}; prints the outcome as JSON. `--compile` reads a list of {"name", "source"} instead and
compiles each, needing no framework.

What is sent is in payloads.py.
"""

import base64
import json
import os
import sys
import tempfile
import urllib.parse
import zlib

from payloads import KINDS

WRAPS = {
    "base64": base64.b64encode,
    "urlsafe-base64": base64.urlsafe_b64encode,
    "zlib": zlib.compress,
    "hex": lambda data: data.hex().encode(),
}


class Flask:
    def __init__(self, app):
        app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)
        self.app = app

    def send(self, request, data):
        client = self.app.test_client()
        channel, name = request["channel"], request.get("name")
        options = {}
        if data is not None:
            if channel == "body":
                options["data"] = data
            elif channel == "form":
                options["data"] = {name: text(data)}
            elif channel == "query":
                options["query_string"] = {name: text(data)}
            elif channel == "header":
                options["headers"] = {name: text(data)}
            elif channel == "cookie":
                client.set_cookie(name, text(data))
            elif channel == "file":
                import io

                options["data"] = {name: (io.BytesIO(data), "upload")}
        return client.open(request["path"], method=request["method"], **options).status_code


class Django:
    def __init__(self, urls):
        import django
        from django.conf import settings

        settings.configure(
            ROOT_URLCONF=urls,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="a case",
            MIDDLEWARE=[],
            DATA_UPLOAD_MAX_MEMORY_SIZE=None,
            LOGGING_CONFIG=None,
        )
        django.setup()

    def send(self, request, data):
        from django.core.files.uploadedfile import SimpleUploadedFile
        from django.test import Client

        client = Client(raise_request_exception=False)
        channel, name = request["channel"], request.get("name")
        path, options = request["path"], {}
        if data is not None:
            if channel == "body":
                options = {"data": data, "content_type": "application/octet-stream"}
            elif channel == "form":
                options = {"data": {name: text(data)}}
            elif channel == "query":
                path += "?" + urllib.parse.urlencode({name: text(data)})
            elif channel == "header":
                options = {"headers": {name: text(data)}}
            elif channel == "cookie":
                client.cookies[name] = text(data)
            elif channel == "file":
                options = {"data": {name: SimpleUploadedFile("upload", data)}}
        return getattr(client, request["method"].lower())(path, **options).status_code


class FastApi:
    def __init__(self, app):
        from starlette.testclient import TestClient

        self.client = lambda: TestClient(app, raise_server_exceptions=False)

    def send(self, request, data):
        client = self.client()
        channel, name = request["channel"], request.get("name")
        options = {}
        if data is not None:
            if channel == "body":
                options["content"] = data
            elif channel == "form":
                options["data"] = {name: text(data)}
            elif channel == "query":
                options["params"] = {name: text(data)}
            elif channel == "header":
                options["headers"] = {name: text(data)}
            elif channel == "cookie":
                client.cookies.set(name, text(data))
            elif channel == "file":
                options["files"] = {name: ("upload", data)}
        return client.request(request["method"], request["path"], **options).status_code


def text(data):
    return data.decode("latin-1")


def server(request):
    framework = request["framework"]
    if framework == "django":
        return Django(request["urls"])
    module, name = request["app"].split(":")
    app = getattr(__import__(module, fromlist=[name]), name)
    return {"flask": Flask, "fastapi": FastApi}[framework](app)


def wrapped(request, data):
    for wrap in request.get("wrap", []):
        data = WRAPS[wrap](data)
    return data


def attacks(request, client, kind):
    """Status and whether the payload ran, for each attack."""
    outcome = {}
    with tempfile.TemporaryDirectory() as folder:
        marker = os.path.join(folder, "marker")
        for name, payload in kind.attacks(marker).items():
            try:
                status = client.send(request, wrapped(request, payload))
            except (UnicodeError, ValueError) as error:
                status = f"not deliverable: {error}"
            outcome[name] = {"status": status, "marker": os.path.exists(marker)}
            if os.path.exists(marker):
                os.remove(marker)
    return outcome


def wrong(request, client, kind):
    """Status for everything that is no attack and no valid input."""
    outcome = {}
    for name, payload in kind.wrong.items():
        try:
            outcome[name] = client.send(request, wrapped(request, payload))
        except Exception as error:
            # httpx refuses a query of more than 64 KiB before it is sent.
            outcome[name] = f"not deliverable: {error}"
    return outcome


def drive(job):
    root, request = job["root"], job["request"]
    sys.path.insert(0, root)
    os.chdir(root)
    client = server(request)
    kind = KINDS[request.get("payload") or "pickle"]
    outcome = {"attacks": attacks(request, client, kind), "runs": getattr(kind, "runs", True)}
    if job["side"] == "after":
        if getattr(kind, "is_data", False):
            for sent in outcome["attacks"].values():
                sent["status"] = "read as plain data"
        outcome["wrong"] = wrong(request, client, kind)
        if not getattr(kind, "nothing_is_valid", False):
            outcome["missing"] = client.send(request, None)
        valid = request["valid"].encode()
        if request.get("valid_base64"):
            valid = base64.b64decode(valid)
        outcome["valid"] = client.send(request, wrapped(request, valid))
    return outcome


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
    # What the case itself prints is not the outcome.
    out, sys.stdout = sys.stdout, sys.stderr
    job = json.load(sys.stdin)
    json.dump(compiled(job) if "--compile" in sys.argv else drive(job), out)
