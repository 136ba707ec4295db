"""Times what is given on standard input with every codec that this Python has. It imports codecs and nothing else."""

import json
import pickle
import platform
import sys
import timeit


def codecs():
    yield "pickle", pickle.format_version, lambda v: pickle.dumps(v, pickle.HIGHEST_PROTOCOL), pickle.loads
    yield "json", json.__version__ if hasattr(json, "__version__") else "", lambda v: json.dumps(v).encode(), json.loads
    try:
        import orjson
        yield "orjson", orjson.__version__, orjson.dumps, orjson.loads
    except ImportError:
        pass
    try:
        import msgspec
        yield "msgspec", msgspec.__version__, msgspec.json.encode, msgspec.json.decode
    except ImportError:
        pass
    try:
        import google.protobuf
        from google.protobuf import json_format, struct_pb2

        def load(data):
            value = struct_pb2.Value()
            value.ParseFromString(data)
            return json_format.MessageToDict(value)

        dump = lambda v: json_format.ParseDict(v, struct_pb2.Value()).SerializeToString()
        yield "protobuf", google.protobuf.__version__, dump, load
    except ImportError:
        pass


def best(call):
    timer = timeit.Timer(call)
    count, _ = timer.autorange(lambda number, seconds: None)
    # At most some tenths of a second for each.
    return min(timer.repeat(3, max(1, count // 4))) / max(1, count // 4) * 1e6


def main():
    samples = json.load(sys.stdin)
    rows = []
    for sample in samples:
        value = json.loads(sample["json"])
        for name, version, dump, load in codecs():
            row = {"sample": sample["name"], "codec": name, "version": version}
            try:
                data = dump(value)
                row["write"] = best(lambda: dump(value))
                row["read"] = best(lambda: load(data))
                row["bytes"] = len(data)
            except Exception as error:
                row["error"] = f"{type(error).__name__}: {error}"[:200]
            rows.append(row)
    json.dump({"python": platform.python_version(), "rows": rows}, sys.stdout)


main()
