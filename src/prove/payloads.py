"""What is sent, by the format that a load reads: attacks that open a marker file for writing when they run, which
proves execution without a shell and without harm; and bytes that are simply wrong."""

import io
import json
import marshal
import pickle
import zipfile


class Attack:
    """Creates the file at `path` when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (self.path, "w"))


class Pickle:
    """Pickles of every protocol."""

    wrong = {
        "nested": b"[" * 100_000,
        "garbage": b"\xff\x00not json",
        "empty": b"",
    }

    @staticmethod
    def attacks(path):
        return {str(protocol): pickle.dumps(Attack(path), protocol) for protocol in range(6)}


class Yaml:
    """Tags that call, make or name something. Nothing at all is YAML too: `null`."""

    nothing_is_valid = True

    # What PyYAML's safe loader answers with errors that are no YAMLError.
    wrong = {
        "nested": b"[" * 100_000,
        "garbage": b"\xff\x00not yaml",
        "no date": b"2001-99-99",
        "no time": b"!!timestamp x",
        "no truth": b"!!bool x",
        "no number": b"!!int ''",
        "no character": b'"\\U99999999"',
        "alias": b"*a",
        "name": b"!!python/name:os.system",
    }

    @staticmethod
    def attacks(path):
        arguments = f"[{path!r}, 'w']"
        return {
            "apply": f"!!python/object/apply:builtins.open {arguments}".encode(),
            "new": f"!!python/object/new:builtins.open {arguments}".encode(),
            "nested": f"cart: [1, !!python/object/apply:builtins.open {arguments}]".encode(),
        }


def npy(kind, shape, data):
    """A file of NumPy's, made without it."""
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + data


def checkpoint(pickled):
    """A file of PyTorch's, made without it."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in ("data.pkl", pickled), ("byteorder", b"little"), ("version", b"3\n"):
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


class Numpy:
    """Arrays of objects, and plain pickles in their place."""

    wrong = {
        "garbage": b"\xff\x00no array",
        "empty": b"",
        "archive": b"PK\x03\x04",
        "header": b"\x93NUMPY\x01\x00\x02\x00{\n",
        "size": b"\x93NUMPY\x01\x00\x42\x00{'descr':'<i8','fortran_order':False,'shape':(99999999999999999,)}\n",
    }

    @staticmethod
    def attacks(path):
        pickled = pickle.dumps(Attack(path))
        return {"array": npy("|O", "(1,)", pickled), "pickle": pickled}


class Torch:
    """Checkpoints that hold an object, and plain pickles in their place, which were checkpoints once."""

    wrong = {"garbage": b"\xff\x00no checkpoint", "empty": b"", "archive": b"PK\x03\x04", "nested": b"[" * 100_000}

    @staticmethod
    def attacks(path):
        pickled = pickle.dumps(Attack(path), 2)
        return {"archive": checkpoint(pickled), "pickle": pickled}


class JsonPickle:
    """Documents that name what to call. For a JSON parser they are plain data."""

    is_data = True

    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00not json", "empty": b""}

    @staticmethod
    def attacks(path):
        call = {"py/reduce": [{"py/function": "io.open"}, {"py/tuple": [path, "w"]}]}
        value = {"py/object": "io.open", "py/newargs": {"py/tuple": [path, "w"]}}
        return {"reduce": json.dumps(call).encode(), "object": json.dumps(value).encode()}


class Marshal:
    """Marshalled values: nothing runs, they only have to be refused."""

    runs = False
    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00not json", "empty": b""}

    @staticmethod
    def attacks(path):
        return {"data": marshal.dumps({"items": [1]}), "code": marshal.dumps(compile("1", "", "eval"))}


class Protobuf(Pickle):
    """Pickles where protocol buffers are wanted. Nothing at all is a message, too."""

    nothing_is_valid = True
    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00no message", "number": b"\x11" + b"\xff" * 8}


def protobuf(sample, text):
    from google.protobuf import json_format, struct_pb2

    return json_format.ParseDict(sample, struct_pb2.Value()).SerializeToString()


KINDS = {
    "pickle": Pickle,
    "yaml": Yaml,
    "numpy": Numpy,
    "torch": Torch,
    "jsonpickle": JsonPickle,
    "marshal": Marshal,
    "protobuf": Protobuf,
}

# How plain data is written that a load takes; `text`: it travels as text.
FORMATS = {
    "json": lambda sample, text: json.dumps(sample).encode(),
    "pickle": lambda sample, text: pickle.dumps(sample, 0 if text else 2),
    "marshal": lambda sample, text: marshal.dumps(sample),
    "numpy": lambda sample, text: npy("<i8", "()" if isinstance(sample, int) else "(1,)", b"\x01" + bytes(7)),
    "torch": lambda sample, text: checkpoint(pickle.dumps(sample, 2)),
    "protobuf": protobuf,
}
