"""How applications of each framework are reached: through WSGI, through ASGI, as a function, or, where an application
brings its own server, over a socket on the loopback interface."""

import asyncio
import importlib
import inspect
import json
import os
import re
import sys
import threading
import traceback
import types
import urllib.parse

from .driver import Asgi, Wsgi, text

SECONDS = 60


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

    app = app() if isinstance(app, type) else app
    resource = app.resource() if hasattr(app, "resource") else app
    site = app if isinstance(app, Site) else Site(resource)
    port = reactor.listenTCP(0, site, interface="127.0.0.1").getHost().port
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
    """Azure Functions: the functions of HTTP triggers, below `/api` unless the host is told otherwise."""

    def __init__(self, app):
        self.routes = []
        for function in app.get_functions():
            route = getattr(function.get_trigger(), "route", None) or function.get_function_name()
            pattern = re.sub(r"\\\{(\w+)[^}]*\}", r"(?P<\1>[^/]+)", re.escape(route.strip("/")))
            self.routes.append((re.compile(f"/(?:api/)?{pattern}"), function.get_user_function()))

    def send(self, call):
        import azure.functions

        found = ((route.fullmatch(call.path), function) for route, function in self.routes)
        match, self.function = next((one for one in found if one[0]), (None, None))
        if not match:
            return 404
        params = dict(urllib.parse.parse_qsl(call.query))
        request = azure.functions.HttpRequest(
            call.method,
            f"http://localhost{call.path}",
            headers=call.headers,
            params=params,
            route_params=match.groupdict(),
            body=call.body,
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
GRPC = {
    "OK": 200,
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 413,
}


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
            return GRPC.get(error.code().name, 500)
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


class Message:
    """Of a service whose messages are its own: the field that is meant, of the message that the method takes."""

    def __init__(self, served, handlers):
        self.served = served
        self.methods = {}
        for handler in handlers:
            self.methods.update(getattr(handler, "_method_handlers", handler if isinstance(handler, dict) else {}))

    def send(self, call):
        import grpc

        # A package may stand before the name of the service.
        ends = [name for name in self.methods if name == call.path or name.endswith("." + call.path[1:])]
        if not ends:
            return 404
        kind = getattr(self.methods[ends[0]].request_deserializer, "__self__", None)
        try:
            message = kind(**{call.name: call.body})
        except (TypeError, ValueError):
            message = kind(**{call.name: text(call.body)})
        method = self.served.channel.unary_unary(ends[0], request_serializer=type(message).SerializeToString)
        try:
            method(message, timeout=20)
        except grpc.RpcError as error:
            return GRPC.get(error.code().name, 500)
        return 200


def grpc_service(service):
    """The servicer `service`, by what was generated for its base."""
    base = next(kind for kind in service.__mro__[1:] if kind.__name__.endswith("Servicer"))
    name = base.__name__.removesuffix("Servicer")
    add = getattr(sys.modules[base.__module__], f"add_{name}Servicer_to_server")
    made, seen = service(), []

    class Recorder:
        def add_generic_rpc_handlers(self, handlers):
            seen.extend(handlers)

        def add_registered_method_handlers(self, name, handlers):
            seen.append({f"/{name}/{method}": handler for method, handler in handlers.items()})

    add(made, Recorder())
    own = [value for value in vars(service).values() if inspect.isfunction(value)]
    serve = grpc_aio if any(map(inspect.iscoroutinefunction, own)) else grpc_server
    return Message(serve(lambda server: add(made, server)), seen)


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


def cherrypy(app):
    """An application, or the class of what is at the root of one; whatever is mounted is under its path."""
    import cherrypy

    if cherrypy.tree.apps:
        return Wsgi(cherrypy.tree)
    return Wsgi(cherrypy.Application(app(), "") if isinstance(app, type) else app)


def powertools(app):
    return Function(app.resolve if hasattr(app, "resolve") else app)


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
    "aws-powertools": (powertools, "aws_lambda_powertools.event_handler"),
    "azure-functions": (Azure, "azure.functions"),
    "blacksheep": (Asgi, "blacksheep"),
    "bottle": (Wsgi, "bottle"),
    "chalice": (Chalice, "chalice.test"),
    "cherrypy": (cherrypy, "cherrypy"),
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
    "grpc-service": (grpc_service, "grpc"),
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
