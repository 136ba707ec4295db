"""One side of a change, attacked through its own application.

Reads a job as JSON from standard input: {"root": folder, "side": "before" | "after", "seconds": bound, "attack": a kind of
payloads.py, "good": a format of payloads.py, "sample": a value, "find": {"run", "types", "handler", "factories",
"file", "name"}, "prefixes": [...], "request": {"method", "path", "channel", "name", "wrap"}}; prints the outcome as JSON. What it cannot do
it says as {"error": code, "message": words}.
"""

import importlib
import inspect
import json
import os
import re
import sys

from . import driver, frameworks, sandbox
from .payloads import FORMATS, KINDS

# Files in which an application is looked for, and functions that may make one.
MOST = 40
FACTORIES = ["create_app", "make_app", "get_app", "build_app", "app_factory", "create_application"]
FIRST = ("app", "main", "wsgi", "asgi", "server", "api", "application", "run")
LARGE = 10 << 20
METHODS = ("POST", "GET", "PUT", "PATCH")


class NotRun(Exception):
    def __init__(self, code, message):
        super().__init__(code, message)
        self.code, self.message = code, message


def load(root, path):
    """The module of the file at `path`, by the name that its package gives it."""
    parts = path.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        parts.pop()
    top = max(len(parts) - 1, 0)
    while top > 0 and os.path.exists(os.path.join(root, *parts[:top], "__init__.py")):
        top -= 1
    base = os.path.join(root, *parts[:top])
    if base not in sys.path:
        sys.path.insert(1, base)
    return importlib.import_module(".".join(parts[top:]))


def failure(root, error):
    """Why a module could not be imported."""
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        top = error.name.split(".")[0]
        own = any(name in (top, f"{top}.py") for _, folders, files in os.walk(root) for name in [*folders, *files])
        if not own:
            return NotRun("dependency-missing", f"{error.name} is not installed for {sys.executable}")
    names = {name for kind in type(error).__mro__ for name in (kind.__name__,)}
    if isinstance(error, ConnectionError) or names & {"OperationalError", "ServerSelectionTimeoutError"}:
        return NotRun("needs-a-service", said)
    if isinstance(error, KeyError) and "environ" in (driver.traceback.format_exc()):
        return NotRun("needs-a-setting", f"it wants {error} in its environment")
    return NotRun("not-importable", said)


def sources(root, word):
    """Files that say `word`, likely ones first."""
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("tests", "test", "docs", "examples") and name[0] != "."]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), root)
            if name.endswith(".py") and not name.startswith("test_") and name != "setup.py":
                with open(os.path.join(root, path), errors="replace") as file:
                    if re.search(word, file.read()):
                        rank = FIRST.index(name[:-3]) if name[:-3] in FIRST else len(FIRST)
                        found.append((path.count(os.sep), rank, path))
    return [path for _, _, path in sorted(found)[:MOST]]


def resolve(name):
    """What the qualified `name` stands for."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError as error:
            if error.name and not name.startswith(error.name):
                raise
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        return found
    raise NotRun("dependency-missing", f"{parts[0]} is not installed for {sys.executable}")


def handler(root, find):
    """The handler itself, or an object of its class, where that is the application."""
    try:
        module = load(root, find["file"])
    except Exception as error:
        raise failure(root, error) from error
    names = find["name"].split(".")
    found = getattr(module, names[0], None)
    if found is None:
        raise NotRun("no-app", f"{find['name']} is not found in {find['file']}")
    if len(names) > 1 and names[1] == "__call__":
        made = [value for value in vars(module).values() if isinstance(value, found)]
        return made[0] if made else found()
    return found


def application(root, find):
    """The object that is the application."""
    if find["handler"] and not find["types"]:
        return handler(root, find)
    types = tuple(kind for kind in map(resolve, find["types"]) if isinstance(kind, type))
    if not types:
        raise NotRun("no-app", f"{find['types'][0]} is not in what is installed for {sys.executable}")
    words = "|".join(re.escape(name.rsplit(".", 1)[-1]) for name in find["types"])
    paths = sources(root, rf"\b({words})\b")
    failed, modules = None, []
    for path in [*paths, find["file"]]:
        try:
            modules.append(load(root, path))
        except (Exception, SystemExit) as error:
            failed = failed or failure(root, error)
            continue
        for value in list(vars(modules[-1]).values()):
            if isinstance(value, types):
                also(root, find["file"])
                return value
    for module in modules:
        for name in [*FACTORIES, *find["factories"]]:
            make = getattr(module, name, None)
            empty = [{}] * len(required(make)) if name in find["factories"] and inspect.isfunction(make) else []
            if inspect.isfunction(make) and len(required(make)) == len(empty):
                try:
                    made = make(*empty)
                except Exception as error:
                    raise failure(root, error) from error
                if isinstance(made, types):
                    also(root, find["file"])
                    return made
    if find["handler"] and not failed:
        return handler(root, find)
    raise failed or NotRun("no-app", f"no object of {find['types'][0]} is found in its modules")


def required(function):
    none = inspect.Parameter.empty
    rest = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.default is none and one.kind not in rest]


def also(root, path):
    """Handlers may be registered by their module, which nobody has imported yet."""
    try:
        load(root, path)
    except Exception:
        driver.traceback.print_exc()


def reach(root, find):
    run, imports = frameworks.FRAMEWORKS[find["run"]]
    for name in imports.split():
        try:
            importlib.import_module(name)
        except Exception as error:
            raise failure(root, error) from error
    try:
        if find["run"] == "django":
            return frameworks.django(root, sources)
        return run(application(root, find))
    except NotRun:
        raise
    except Exception as error:
        raise failure(root, error) from error


def good(job):
    """Plain data in the format that is read on this side."""
    text = job["request"]["channel"] not in ("body", "file") and not job["request"]["wrap"]
    return FORMATS[job["good"]](job["sample"], text)


def paths(prefix, path):
    joined = "/".join(["", *filter(None, prefix.split("/"))])
    return [joined, f"{joined}/"] if joined and path == "/" else [joined + path]


def places(job, server):
    """Where something answers, and what: a blueprint or an include may stand before the path of the handler."""
    request, data = job["request"], good(job)
    for path in [path for prefix in ["", *job["prefixes"]] for path in paths(prefix, request["path"])]:
        # A router that knows the path says 405, or calls the handler.
        for method in dict.fromkeys([request["method"], *METHODS]):
            tried = {**request, "path": path, "method": method}
            status = driver.sent(tried, server, driver.wrapped(tried, data))
            if status == 404:
                break
            if status != 405:
                yield tried, status
                break


def attacked(job, server, kind):
    """The first place where the attack runs, or, of what runs nothing, good data is taken; else the first that answers."""
    first = None
    for request, status in places(job, server):
        ran = driver.attacks(request, server, kind)
        first = first or (request, status, ran)
        taken = isinstance(status, int) and status < 400
        if any(attack["marker"] for attack in ran.values()) or (taken and not getattr(kind, "runs", True)):
            return request, status, ran
    if not first:
        raise NotRun("route-not-found", f"no handler answers {job['request']['method']} {job['request']['path']}")
    return first


def prove(job):
    root = job["root"]
    sys.path[0:0] = [root, os.path.join(root, "src")]
    os.chdir(root)
    server = reach(root, job["find"])
    kind = KINDS[job["attack"]]
    if job["side"] == "before":
        request, status, ran = attacked(job, server, kind)
    else:
        request = job["request"]
        status = driver.sent(request, server, driver.wrapped(request, good(job)))
        ran = driver.attacks(request, server, kind)
    outcome = {"request": request, "good": status, "attacks": ran}
    outcome["runs"] = getattr(kind, "runs", True)
    outcome["is-data"] = getattr(kind, "is_data", False)
    outcome["garbage"] = driver.sent(request, server, driver.wrapped(request, b"\xff\x00 neither"))
    other = good({**job, "sample": 17})
    outcome["other-type"] = driver.sent(request, server, driver.wrapped(request, other))
    outcome["wrong"] = driver.wrong(request, server, kind, form=None)
    if request["channel"] in ("body", "file", "form", "json"):
        large = b'"' + b"a" * LARGE
        outcome["wrong"]["large"] = driver.sent(request, server, driver.wrapped(request, large))
    return outcome


def proven(job):
    try:
        return prove(job)
    except NotRun as error:
        return {"error": error.code, "message": error.message}


if __name__ == "__main__":
    # Whoever asked may be stopped.
    sandbox.prctl(sandbox.SET_PDEATHSIG, sandbox.signal.SIGKILL)
    job = json.load(sys.stdin)
    json.dump(sandbox.run(lambda: proven(job), job["seconds"]), sys.stdout)
