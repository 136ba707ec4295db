"""Pickles with what CPython makes of them, a line of JSON each: those of CPython's own tests, where they are installed
(`kind` suite), and COUNT generated ones of plain data (after `plain` only those) and of anything from a fixed seed, and mutations of them.
The opcodes are `pickletools.genops`'; `json` is `json.dumps(pickle.loads())` for plain data, `lossy` what `convert` makes
of bytes and sets; `asked` is what both of Python's readers import, while `find_class` gives something that does nothing."""

import ast
import base64
import io
import json
import math
import pathlib
import pickle
import pickletools
import random
import resource
import struct
import sys
from collections import OrderedDict
from datetime import date, timedelta
from decimal import Decimal

COUNT = int(sys.argv[1])
RANDOM = random.Random(20240613)


def argument(value):
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return "int " + (str(value) if abs(value) < 10**4300 else "long")
    if isinstance(value, float):
        return "float " + repr(value)
    if isinstance(value, str):
        return "text " + value.encode("utf-8", "surrogatepass").hex()
    return "bytes " + bytes(value).hex()


class Inert:
    """Takes everything, does nothing."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    __init__ = __setstate__ = append = extend = add = __setitem__ = lambda self, *args, **kwargs: None
    __call__ = lambda self, *args, **kwargs: self


def asked(data):
    names = []

    def find_class(self, module, name):
        names.append(module + "." + name)
        return Inert if len(names) % 2 else Inert()

    for base in (pickle.Unpickler, pickle._Unpickler):
        reader = type("Reader", (base,), {"find_class": find_class, "persistent_load": lambda self, pid: Inert()})
        try:
            # It complains there about buffers that no longer fit.
            sys.stderr = io.StringIO()
            reader(io.BytesIO(data)).load()
        except BaseException:
            pass
        finally:
            sys.stderr = sys.__stderr__
    return [name for name in names if name.isascii()]


def emit(kind, data, plain=None, lossy=None):
    ops, error, stream, start = [], False, io.BytesIO(data), 0
    try:
        for opcode, arg, at in pickletools.genops(stream):
            # It undoes escapes in names; those who import do not.
            if opcode.name in ("GLOBAL", "INST", "PERSID") and b"\\" in data:
                lines = data[at + 1 :].split(b"\n")
                arg = b" ".join(lines[: 1 if opcode.name == "PERSID" else 2]).decode("latin-1")
            ops.append([at, opcode.name, argument(arg)])
            start = stream.tell()
    except Exception as stop:
        # It wants ASCII, and whole escapes in names.
        escape = data[start : start + 1] in (b"c", b"i", b"P") and ("\\" in str(stop) or "escape" in str(stop))
        error = "name" if escape or getattr(stop, "encoding", None) == "ascii" else True
    row = {"kind": kind, "hex": data.hex(), "ops": ops, "error": error, "json": plain, "lossy": lossy}
    print(json.dumps(row | {"asked": [] if plain else asked(data)}))


def text():
    pools = ["abc \\\"'/\n\r\t\b\f\x00\x7f", "äöüß€\u2028", "\U0001f600\U00010000", "\ud800\udfff\\u0041"]
    return "".join(RANDOM.choice(RANDOM.choice(pools[: RANDOM.choice([1, 2, 3, 3, 3, 4])])) for _ in range(RANDOM.randrange(12)))


def floating():
    while True:
        value = RANDOM.choice(
            [RANDOM.uniform(-10, 10), float(RANDOM.randrange(10**18)), struct.unpack("d", RANDOM.randbytes(8))[0], -0.0, 1e16, 1e-5, 1e22]
        )
        if math.isfinite(value):
            return value


def leaf():
    kind = RANDOM.randrange(6)
    if kind == 0:
        return RANDOM.choice([None, True, False])
    if kind == 1:
        return RANDOM.randrange(-(2 ** RANDOM.choice([3, 8, 9, 16, 31, 32])), 2 ** RANDOM.choice([3, 8, 9, 16, 31, 32]))
    if kind == 2:
        return RANDOM.choice([-1, 1]) * (RANDOM.getrandbits(RANDOM.choice([62, 63, 64, 65, 200, 3000])) + RANDOM.choice([0, 1]))
    if kind == 3:
        return floating()
    return text()


def data(depth=0):
    if depth > 4 or RANDOM.random() < 0.3:
        return leaf()
    size = RANDOM.choice([0, 1, 2, 3, 4, 7])
    kind = RANDOM.randrange(4)
    if kind == 0:
        return tuple(data(depth + 1) for _ in range(size))
    if kind == 1:
        return {RANDOM.choice([text(), text(), text(), leaf()]): data(depth + 1) for _ in range(size)}
    items = [data(depth + 1) for _ in range(size)]
    return items + [items[0]] if items and RANDOM.random() < 0.2 else items


def anything():
    return RANDOM.choice(
        [
            lambda: data(),
            lambda: RANDOM.randbytes(RANDOM.choice([0, 3, 300])),
            lambda: bytearray(RANDOM.randbytes(9)),
            lambda: {leaf() for _ in range(4)},
            lambda: frozenset(range(RANDOM.randrange(4))),
            lambda: date(2024, 6, 13) - timedelta(RANDOM.randrange(900)),
            lambda: OrderedDict(a=data()),
            lambda: Decimal(RANDOM.randrange(100)),
            lambda: [len, Decimal, complex(1, 2), range(3), float("nan"), float("inf"), ValueError("x")],
        ]
    )()


def unique_as_json(value):
    """Whether no dictionary has two keys that JSON writes alike, which is refused."""
    keys = lambda pairs: len({key for key, _ in pairs}) == len(pairs)
    alike = []
    json.loads(json.dumps(value), object_pairs_hook=lambda pairs: alike.append(not keys(pairs)))
    return not any(alike)


def literals(node):
    """The bytes that constants of a program and sums and products of them are."""
    if isinstance(node, ast.Constant) and isinstance(node.value, (bytes, int)):
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = literals(node.left), literals(node.right)
        if isinstance(node.op, ast.Add) and isinstance(left, bytes) and isinstance(right, bytes):
            return left + right
        if isinstance(node.op, ast.Mult) and isinstance(left, bytes) and isinstance(right, int) and len(left) * right < 1 << 12:
            return left * right
    return None


def suite():
    """Every pickle that CPython's tests hold, and every other bytes there: also what they expect to fail."""
    try:
        import test.pickletester
    except ImportError:
        return set()
    found = set()
    folder = pathlib.Path(test.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(errors="replace")
        if "pickle" not in text:
            continue
        try:
            nodes = list(ast.walk(ast.parse(text)))
        except (SyntaxError, ValueError, RecursionError):
            continue
        found.update(value for value in map(literals, nodes) if isinstance(value, bytes) and value)
    found.update(path.read_bytes() for path in folder.rglob("*.pck"))
    return found


def mutated(data):
    data = bytearray(data)
    for _ in range(RANDOM.randrange(1, 4)):
        at = RANDOM.randrange(len(data) + 1)
        some = RANDOM.choice([RANDOM.randbytes(1), RANDOM.choice(PIECES)])
        end = min(len(data), at + RANDOM.choice([0, 0, 1, len(some)]))
        data[at:end] = some
    return bytes(data[: RANDOM.choice([len(data)] * 9 + [RANDOM.randrange(len(data) + 1)])])


PIECES = [
    b"I0x1f\n", b"I 07\n", b"I1\x00x\n", b"L1_0L\n", b"F1_0.5\n", b"Fnan\n", b"F1\x00z\n", b"S'a\n", b"S'\n", b"V\\u12\n", b"g0\n",
    b"p1\n", b"p1_0\n", b"g 1\n", b"cos\nsystem\n", b"(S'id'\nios\nsystem\n", b"\x95\xff\0\0\0\0\0\0\0", b"\x95" + b"\xff" * 8,
    b"\x80\x06", b"0", b"1", b"2", b"(", b".", b"R", b"\x93", b"\x94", b"h\x00", b"q\x01", b"e", b"u", b"\x8c\x01a", b"P1\n", b"cposix\nsys",
]  # fmt: skip

# A mutated size must not take the machine's memory.
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
ONLY_PLAIN = sys.argv[2:] == ["plain"]
pickles = set() if ONLY_PLAIN else suite()
print(json.dumps({"suite": len(pickles), "python": sys.version.split()[0]}))
for known in sorted(pickles):
    emit("suite", known)
made = 0
while made < COUNT:
    value = data()
    if not unique_as_json(value):
        continue
    thing = anything()
    plain, other = pickle.dumps(value, made % 6), pickle.dumps(thing, made % 6)
    document = json.dumps(pickle.loads(plain))
    made += 1
    if ONLY_PLAIN:
        print(json.dumps({"hex": plain.hex(), "json": document}))
        continue
    emit("plain", plain, document)
    lossy = None
    if isinstance(thing, (bytes, bytearray)):
        lossy = json.dumps(base64.b64encode(thing).decode())
    elif isinstance(thing, (set, frozenset)):
        lossy = json.dumps(list(thing))
    emit("other", other, lossy=lossy)
    emit("mutated", mutated(RANDOM.choice([plain, other])))
