"""What a client puts on the line, through WSGI and through ASGI; and what comes of payloads of payloads.py."""

import asyncio
import base64
import bz2
import gzip
import io
import json
import lzma
import os
import sys
import tempfile
import traceback
import urllib.parse
import zlib

# What servers take in a line; enough for a RecursionError of CPython's parser.
LINE = 4_000
FORM = 20_000

# The words of `[encodings]` in transforms/.
WRAPS = {
    "base64": base64.b64encode,
    "urlsafe-base64": base64.urlsafe_b64encode,
    "base32": base64.b32encode,
    "base16": base64.b16encode,
    "ascii85": base64.a85encode,
    "base85": base64.b85encode,
    "hex": lambda data: data.hex().encode(),
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "bz2": bz2.compress,
    "lzma": lzma.compress,
}


def text(data):
    return data.decode("latin-1")


class Call:
    """One HTTP request: what a client puts on the line."""

    def __init__(self, request, data):
        self.method, self.path, self.name = request["method"], request["path"], request.get("name")
        self.query, self.headers, self.body = "", {}, b""
        channel, name = request["channel"], request.get("name")
        if data is None:
            return
        if channel == "body":
            self.body = data
            self.headers["Content-Type"] = request.get("type") or "application/octet-stream"
        elif channel == "form":
            self.body = urllib.parse.urlencode({name: text(data)}).encode()
            self.headers["Content-Type"] = "application/x-www-form-urlencoded"
        elif channel == "json":
            self.body = json.dumps({name: text(data)}).encode()
            self.headers["Content-Type"] = "application/json"
        elif channel == "query":
            self.query = urllib.parse.urlencode({name: text(data)})
        elif channel == "path":
            self.path += urllib.parse.quote(data, safe="")
        elif channel == "header":
            self.headers[name] = line(data)
        elif channel == "cookie":
            self.headers["Cookie"] = f"{name}={line(data)}"
        elif channel == "file":
            head = f'--part\r\nContent-Disposition: form-data; name="{name}"; filename="upload"\r\n'
            kind = "Content-Type: application/octet-stream\r\n\r\n"
            self.body = f"{head}{kind}".encode() + data + b"\r\n--part--\r\n"
            self.headers["Content-Type"] = "multipart/form-data; boundary=part"
        elif channel == "kept":
            # The application's own file, as somebody left it.
            with open(name, "wb") as file:
                file.write(data)
        else:
            raise LookupError(f"unknown channel {channel}")
        if self.body:
            self.headers["Content-Length"] = str(len(self.body))


def line(data):
    if any(byte < 32 or byte == 127 for byte in data):
        raise ValueError("no header has such bytes")
    return text(data)


def cookies(headers):
    """The cookies that an answer sets, as a client sends them back."""
    return [value.split(";")[0] for name, value in headers if name.lower() == "set-cookie"]


class Wsgi:
    """An application as a WSGI server calls it."""

    def __init__(self, app):
        self.app = app

    def send(self, call):
        from wsgiref.util import setup_testing_defaults

        environ = {
            "REQUEST_METHOD": call.method,
            "PATH_INFO": text(urllib.parse.unquote_to_bytes(call.path)),
            "QUERY_STRING": call.query,
            "CONTENT_LENGTH": str(len(call.body)),
            "SCRIPT_NAME": "",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.input": io.BytesIO(call.body),
        }
        for name, value in call.headers.items():
            name = name.upper().replace("-", "_")
            environ[name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"] = value
        setup_testing_defaults(environ)
        environ["wsgi.errors"] = sys.stderr
        answers = []

        def start_response(status, headers, exc_info=None):
            answers.append(int(status.split()[0]))
            self.cookies = cookies(headers)
            return lambda data: None

        try:
            body = self.app(environ, start_response)
            try:
                self.body = b"".join(body)
            finally:
                getattr(body, "close", lambda: None)()
        except Exception:
            traceback.print_exc()
            return 500
        return answers[-1]


class Asgi:
    """An application as an ASGI server calls it, after its start."""

    def __init__(self, app):
        self.app = app
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self.start())

    async def start(self):
        started = asyncio.Event()

        async def receive():
            if started.is_set():
                await asyncio.Event().wait()
            started.set()
            return {"type": "lifespan.startup"}

        answered = asyncio.Event()

        async def send(message):
            answered.set()

        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}

        async def life():
            try:
                await self.app(scope, receive, send)
            except Exception:
                pass  # It knows no lifespan.
            answered.set()

        self.life = asyncio.ensure_future(life())
        await answered.wait()

    def send(self, call):
        return self.loop.run_until_complete(self.answer(call))

    async def answer(self, call):
        names = call.headers.items()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": call.method,
            "scheme": "http",
            "path": urllib.parse.unquote(call.path),
            "raw_path": call.path.encode(),
            "query_string": call.query.encode(),
            "root_path": "",
            "headers": [(b"host", b"127.0.0.1"), *((n.lower().encode(), v.encode("latin-1")) for n, v in names)],
            "client": ("127.0.0.1", 50000),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        bodies = [{"type": "http.request", "body": call.body, "more_body": False}]
        statuses = []

        async def receive():
            if bodies:
                return bodies.pop()
            await asyncio.sleep(3600)
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                self.cookies = cookies((n.decode(), v.decode("latin-1")) for n, v in message["headers"])
                self.body = b""
            else:
                self.body += message.get("body", b"")

        try:
            await self.app(scope, receive, send)
        except Exception:
            traceback.print_exc()
            return statuses[0] if statuses else 500
        return statuses[0]


def wrapped(request, data):
    for wrap in request.get("wrap", []):
        data = WRAPS[wrap](data)
    return data


def sent(request, server, data):
    """Status of the answer to `data`, or why it cannot be sent or is not taken."""
    try:
        return server.send(Call(request, data))
    except (ValueError, OSError) as error:
        return f"not deliverable: {error}"


def attacks(request, server, kind):
    """Status and whether the payload ran, for each attack."""
    outcome = {}
    with tempfile.TemporaryDirectory() as folder:
        marker = os.path.join(folder, "marker")
        for name, payload in kind.attacks(marker).items():
            status = sent(request, server, wrapped(request, payload))
            outcome[name] = {"status": status, "marker": os.path.exists(marker)}
            if os.path.exists(marker):
                os.remove(marker)
    return outcome


def wrong(request, server, kind, form=FORM):
    """Status for everything that is no attack and no valid input; of it so much as a `form` or a line takes."""
    outcome = {}
    room = {"body": None, "file": None, "kept": None, "form": form, "json": form}.get(request["channel"], LINE)
    for name, payload in kind.wrong.items():
        outcome[name] = sent(request, server, wrapped(request, payload[:room]))
    return outcome
