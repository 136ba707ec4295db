"""How applications are reached: what a client puts on the line, through WSGI, through ASGI, or, where an application
brings its own server, over a socket on the loopback interface; and what comes of payloads of payloads.py."""

import asyncio
import base64
import bz2
import gzip
import importlib
import inspect
import io
import json
import lzma
import os
import re
import sys
import tempfile
import threading
import traceback
import types
import urllib.parse
import zlib

# What servers take in a line; enough for a RecursionError of CPython's parser.
LINE = 4_000
FORM = 20_000
SECONDS = 60

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
        self.method, self.path = request["method"], request["path"]
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


class Tcp:
    """A server on the loopback interface."""

    def __init__(self, port):
        self.port = port

    def send(self, call):
        import http.client

        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        target = call.path + (f"?{call.query}" if call.query else "")
        connection.request(call.method, target, body=call.body or None, headers=call.headers)
        try:
            return connection.getresponse().status
        finally:
            connection.close()


def in_thread(start):
    """The port of what the coroutine `start` starts, in an event loop of its own."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return Tcp(asyncio.run_coroutine_threadsafe(start(), loop).result(SECONDS))


def aiohttp(app):
    async def start():
        from aiohttp import web

        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner.addresses[0][1]

    return in_thread(start)


def tornado(app):
    async def start():
        from tornado.httpserver import HTTPServer
        from tornado.netutil import bind_sockets

        server, sockets = HTTPServer(app), bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        return sockets[0].getsockname()[1]

    return in_thread(start)


def http_server(handler):
    from http.server import ThreadingHTTPServer

    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return Tcp(server.server_port)


def twisted(app):
    from twisted.internet import reactor
    from twisted.web.server import Site

    resource = app.resource() if hasattr(app, "resource") else app
    port = reactor.listenTCP(0, Site(resource), interface="127.0.0.1").getHost().port
    threading.Thread(target=reactor.run, args=(False,), daemon=True).start()
    return Tcp(port)


class Django(Wsgi):
    def __init__(self, urls, module=None):
        import django
        from django.conf import settings

        if module:
            os.environ["DJANGO_SETTINGS_MODULE"] = module
            settings.ALLOWED_HOSTS = ["*"]
            settings.SECURE_SSL_REDIRECT = False
        else:
            self.configure(settings, urls)
        django.setup()
        from django.core.handlers.wsgi import WSGIHandler, WSGIRequest

        class Request(WSGIRequest):
            # A client of its own makes its token itself.
            _dont_enforce_csrf_checks = True

        handler = WSGIHandler()
        handler.request_class = Request
        super().__init__(handler)

    @staticmethod
    def configure(settings, urls):
        settings.configure(
            ROOT_URLCONF=urls,
            ALLOWED_HOSTS=["*"],
            SECRET_KEY="a case",
            MIDDLEWARE=[],
            DATA_UPLOAD_MAX_MEMORY_SIZE=None,
            LOGGING_CONFIG=None,
            REST_FRAMEWORK={"DEFAULT_AUTHENTICATION_CLASSES": [], "UNAUTHENTICATED_USER": None},
        )


def django(root, sources):
    """The project in `root`: by the settings that its manage.py or wsgi.py names, or by its `urlpatterns` alone."""
    for path in sources(root, "DJANGO_SETTINGS_MODULE"):
        with open(os.path.join(root, path)) as file:
            named = re.search(r"""DJANGO_SETTINGS_MODULE["'],\s*["']([\w.]+)["']""", file.read())
        if named:
            sys.path.insert(1, os.path.join(root, os.path.dirname(path)))
            return Django(None, named[1])
    urls = sources(root, r"\burlpatterns\b")
    if not urls:
        raise LookupError("there are neither settings nor urlpatterns")
    return Django(urls[0].removesuffix(".py").replace("/", "."))


class Function:
    """AWS Lambda: a function that is called with the event of an API gateway."""

    def __init__(self, function):
        self.function = function

    def send(self, call):
        query = dict(urllib.parse.parse_qsl(call.query))
        event = {
            "httpMethod": call.method,
            "path": call.path,
            "rawPath": call.path,
            "resource": call.path,
            "headers": {name.lower(): value for name, value in call.headers.items()},
            "queryStringParameters": query,
            "multiValueQueryStringParameters": {name: [value] for name, value in query.items()},
            "requestContext": {"http": {"method": call.method, "path": call.path}, "stage": "test"},
            "body": text(call.body) if call.body else None,
            "isBase64Encoded": False,
        }
        context = types.SimpleNamespace(function_name="case", aws_request_id="1")
        try:
            result = self.function(event, context)
            json.dumps(result)
        except Exception:
            traceback.print_exc()
            return 502
        return result.get("statusCode", 200) if isinstance(result, dict) else 200


class Azure:
    """Azure Functions: the function of an HTTP trigger."""

    def __init__(self, app):
        self.function = app.get_functions()[0].get_user_function()

    def send(self, call):
        import azure.functions

        params = dict(urllib.parse.parse_qsl(call.query))
        request = azure.functions.HttpRequest(
            call.method, f"http://localhost{call.path}", headers=call.headers, params=params, body=call.body
        )
        try:
            result = self.function(request)
            if inspect.isawaitable(result):
                result = asyncio.run(result)
        except Exception:
            traceback.print_exc()
            return 500
        return getattr(result, "status_code", 200)


class Chalice:
    def __init__(self, app):
        from chalice.test import Client

        self.client = Client(app)

    def send(self, call):
        target = call.path + (f"?{call.query}" if call.query else "")
        response = self.client.http.request(call.method, target, headers=call.headers, body=call.body)
        return response.status_code


# What the HTTP mapping of gRPC makes of its codes.
GRPC = {"OK": 200, "INVALID_ARGUMENT": 400, "UNKNOWN": 500}


class Grpc:
    """A service that `register(server)` adds to a server, over a socket."""

    def __init__(self, port):
        import grpc

        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def send(self, call):
        import grpc
        from google.protobuf.wrappers_pb2 import BytesValue

        method = self.channel.unary_unary(call.path, request_serializer=BytesValue.SerializeToString)
        try:
            method(BytesValue(value=call.body), timeout=20)
        except grpc.RpcError as error:
            return GRPC[error.code().name]
        return 200


def grpc_server(register):
    import grpc
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(2))
    register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    served = Grpc(port)
    served.server = server
    return served


def grpc_aio(register):
    keep = []

    async def start():
        import grpc.aio

        server = grpc.aio.server()
        register(server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        keep.append(server)
        return port

    served = Grpc(in_thread(start).port)
    served.server = keep
    return served


def flask(app):
    app.config.update(TESTING=False, PROPAGATE_EXCEPTIONS=False)
    return Wsgi(app)


def validated(app):
    from wsgiref.validate import validator

    return Wsgi(validator(app))


def functions_framework(function):
    from functions_framework import create_app

    return Wsgi(create_app(function.__name__, sys.modules[function.__module__].__file__))


# How each framework is reached, and what is imported before the fork.
FRAMEWORKS = {
    "aiohttp": (aiohttp, "aiohttp.web"),
    "apiflask": (flask, "apiflask"),
    "asgi": (Asgi, ""),
    "aws-lambda": (Function, ""),
    "aws-powertools": (Function, "aws_lambda_powertools.event_handler"),
    "azure-functions": (Azure, "azure.functions"),
    "blacksheep": (Asgi, "blacksheep"),
    "bottle": (Wsgi, "bottle"),
    "chalice": (Chalice, "chalice.test"),
    "cherrypy": (Wsgi, "cherrypy"),
    "connexion": (Asgi, "connexion"),
    "django": (Django, "django.core.handlers.wsgi django.http django.views"),
    "falcon": (Wsgi, "falcon"),
    "falcon-asgi": (Asgi, "falcon.asgi"),
    "fastapi": (Asgi, "fastapi"),
    "flask": (flask, "flask"),
    "flask-smorest": (flask, "flask_smorest"),
    "functions-framework": (functions_framework, "functions_framework"),
    "grpc": (grpc_server, ""),
    "grpc-aio": (grpc_aio, ""),
    "http-server": (http_server, "http.server"),
    "litestar": (Asgi, "litestar"),
    "pyramid": (Wsgi, "pyramid.config pyramid.view pyramid.httpexceptions"),
    "quart": (Asgi, "quart"),
    "responder": (Asgi, "responder"),
    "sanic": (Asgi, "sanic"),
    "starlette": (Asgi, "starlette.applications starlette.responses starlette.exceptions"),
    "tornado": (tornado, "tornado.web tornado.httpserver"),
    "turbogears": (Wsgi, "tg"),
    "twisted": (twisted, "twisted.web"),
    "webargs": (flask, "webargs.flaskparser"),
    "webob": (Wsgi, "webob.dec"),
    "webpy": (lambda app: Wsgi(app.wsgifunc()), "web"),
    "werkzeug": (Wsgi, "werkzeug"),
    "wsgi": (validated, ""),
}


def server(request):
    reach, _ = FRAMEWORKS[request["framework"]]
    if "urls" in request and request["urls"]:
        return reach(request["urls"])
    module, name = request["app"].split(":")
    return reach(getattr(importlib.import_module(module), name))


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


def wrong(request, server, kind):
    """Status for everything that is no attack and no valid input."""
    outcome = {}
    room = {"body": None, "file": None, "form": FORM}.get(request["channel"], LINE)
    for name, payload in kind.wrong.items():
        outcome[name] = sent(request, server, wrapped(request, payload[:room]))
    return outcome
