"""What law 8 sends, by the format that a load reads: attacks that open a marker file for writing when they run, which
proves execution without a shell and without harm; and bytes that are simply wrong."""

import pickle


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
        import io

        import numpy

        file = io.BytesIO()
        array = numpy.empty(1, dtype=object)
        array[0] = Attack(path)
        numpy.save(file, array, allow_pickle=True)
        return {"array": file.getvalue(), "pickle": pickle.dumps(Attack(path))}


class JsonPickle:
    """Documents that name what to call. For a JSON parser they are plain data."""

    is_data = True

    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00not json", "empty": b""}

    @staticmethod
    def attacks(path):
        import json

        call = {"py/reduce": [{"py/function": "io.open"}, {"py/tuple": [path, "w"]}]}
        return {"reduce": json.dumps(call).encode()}


class Marshal:
    """Marshalled values: nothing runs, they only have to be refused."""

    runs = False
    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00not json", "empty": b""}

    @staticmethod
    def attacks(path):
        import marshal

        return {"data": marshal.dumps({"items": [1]}), "code": marshal.dumps(compile("1", "", "eval"))}


class Protobuf(Pickle):
    """Pickles where protocol buffers are wanted. Nothing at all is a message, too."""

    nothing_is_valid = True
    wrong = {"nested": b"[" * 100_000, "garbage": b"\xff\x00no message", "number": b"\x11" + b"\xff" * 8}


KINDS = {"pickle": Pickle, "yaml": Yaml, "numpy": Numpy, "jsonpickle": JsonPickle, "marshal": Marshal, "protobuf": Protobuf}
