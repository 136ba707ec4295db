"""Pickles with what CPython makes of them, a line of JSON each: those of CPython's own tests, where they are installed,
and COUNT generated ones from a fixed seed. The opcodes are `pickletools.genops`'; `json` is `json.dumps(pickle.loads())`
for plain data. Only pickles that this script made itself are loaded."""

import json
import math
import pickle
import pickletools
import random
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


def emit(data, plain=None):
    ops, error = [], False
    try:
        for opcode, arg, at in pickletools.genops(data):
            ops.append([at, opcode.name, argument(arg)])
    except Exception:
        error = True
    print(json.dumps({"hex": data.hex(), "ops": ops, "error": error, "json": plain}))


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


try:
    from test import pickletester

    for name in sorted(vars(pickletester)):
        known = vars(pickletester)[name]
        if isinstance(known, bytes):
            emit(known)
    for name, known in sorted(vars(pickletester.AbstractUnpickleTests).items()):
        if isinstance(known, bytes):
            emit(known)
except ImportError:
    pass
made = 0
while made < COUNT:
    value = data()
    if not unique_as_json(value):
        continue
    dumped = pickle.dumps(value, made % 6)
    emit(dumped, json.dumps(pickle.loads(dumped)))
    emit(pickle.dumps(anything(), made % 6))
    made += 1
