"""More hostile programs, for `hostile.py`: one function each, from a size to a text or to several by file name."""

from hostile_programs import HEAD, handler, program

LAST = "def last(x):\n    return pickle.loads(x)\n\n"


# Deep calls of every kind


@program(40, 200, found=True)
def deep_enough(n):
    """What has to be found, not only said to be incomplete."""
    calls = "".join(f"def f{i}(x):\n    return f{i + 1}(x)\n\n" for i in range(n))
    return HEAD + calls + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(40, 200, found=True)
def deep_across_files(n):
    files = {f"m{i}.py": f"from m{i + 1} import f{i + 1}\n\ndef f{i}(x):\n    return f{i + 1}(x)\n" for i in range(n)}
    files[f"m{n}.py"] = f"import pickle\n\ndef f{n}(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + "from m0 import f0\n\n" + handler(["return f0(request.get_data())"])
    return files


@program(40, 200, found=True)
def deep_modules(n):
    """The same by the modules' names."""
    files = {f"m{i}.py": f"import m{i + 1}\n\ndef f{i}(x):\n    return m{i + 1}.f{i + 1}(x)\n" for i in range(n)}
    files[f"m{n}.py"] = f"import pickle\n\ndef f{n}(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + "import m0\n\n" + handler(["return m0.f0(request.get_data())"])
    return files


@program(40, 200, found=True)
def deep_methods(n):
    text = "".join(
        f"class C{i}:\n    def __init__(self):\n        self.inner = C{i + 1}()\n\n"
        f"    def read{i}(self, x):\n        return self.inner.read{i + 1}(x)\n\n"
        for i in range(n)
    )
    text += f"class C{n}:\n    def read{n}(self, x):\n        return pickle.loads(x)\n\n"
    return HEAD + text + handler(["return C0().read0(request.get_data())"])


@program(40, 200, found=True)
def deep_wrappers(n):
    """A class around a class around a class, all with one method."""
    text = "class Last:\n    def fetch(self, x):\n        return pickle.loads(x)\n\n"
    text += "".join(
        f"class W{i}:\n    def __init__(self, inner):\n        self.inner = inner\n\n"
        f"    def fetch(self, x):\n        return self.inner.fetch(x)\n\n"
        for i in range(n)
    )
    text += "one = Last()\n" + "".join(f"one = W{i}(one)\n" for i in range(n)) + "\n"
    return HEAD + text + handler(["return one.fetch(request.get_data())"])


@program(40, 200, found=True)
def deep_decorators(n):
    """As many decorators as stand on one function, each of its own."""
    text = "".join(f"def d{i}(f):\n    def inner{i}(*a):\n        return f(*a)\n    return inner{i}\n\n" for i in range(n))
    stack = "".join(f"@d{i}\n" for i in range(n))
    return HEAD + text + stack + "def read(x):\n    return pickle.loads(x)\n\n" + handler(["return read(request.get_data())"])


@program(40, 2000)
def decorators_on_a_handler(n):
    text = "".join(f"def d{i}(f):\n    def inner{i}(*a):\n        return f(*a)\n    return inner{i}\n\n" for i in range(n))
    stack = "".join(f"@d{i}\n" for i in range(n))
    body = "def load():\n    return pickle.loads(request.get_data())\n"
    return HEAD + text + '@app.route("/load", methods=["POST"])\n' + stack + body


@program(20, 200, found=True)
def callbacks_handed_down(n):
    """Functions that lead to no load by themselves, and hand on one that does."""
    text = "".join(f"def a{i}(f, x):\n    return a{i + 1}(f, x)\n\n" for i in range(n)) + f"def a{n}(f, x):\n    return f(x)\n\n"
    return HEAD + LAST + text + handler(["return a0(last, request.get_data())"])


@program(20, 200)
def lambdas_handed_down(n):
    text = "".join(f"def a{i}(f, x):\n    return a{i + 1}(lambda y: f(y), x)\n\n" for i in range(n))
    text += f"def a{n}(f, x):\n    return f(x)\n\n"
    return HEAD + LAST + text + handler(["return a0(last, request.get_data())"])


@program(20, 200, found=True)
def objects_handed_down(n):
    text = "class Reader:\n    def obtain(self, x):\n        return pickle.loads(x)\n\n"
    text += "".join(f"def a{i}(o, x):\n    return a{i + 1}(o, x)\n\n" for i in range(n))
    text += f"def a{n}(o, x):\n    return o.obtain(x)\n\n"
    return HEAD + text + handler(["return a0(Reader(), request.get_data())"])


@program(20, 60)
def objects_of_common_names(n):
    """The same in other files, by a method that everything has."""
    files = {f"other{i}.py": f"class Other{i}:\n    def read(self, x):\n        return x\n" for i in range(n)}
    files["real.py"] = "import pickle\n\nclass Reader:\n    def read(self, x):\n        return pickle.loads(x)\n"
    files["pipe.py"] = "".join(f"def a{i}(o, x):\n    return a{i + 1}(o, x)\n\n" for i in range(n))
    files["pipe.py"] += f"def a{n}(o, x):\n    return o.read(x)\n"
    files["app.py"] = HEAD + "from real import Reader\nfrom pipe import a0\n\n" + handler(["return a0(Reader(), request.get_data())"])
    return files


@program(1000, 20000)
def long_way_to_a_callback(n):
    """A function that leads to no load has much to do before it calls what it is given."""
    text = "def run(f, x):\n" + "    y = 1\n" * n + "    return f(x)\n\n"
    return HEAD + LAST + text + handler(["return run(last, request.get_data())"])


@program(20, 200)
def returned_functions(n):
    text = "".join(f"def f{i}():\n    return f{i + 1}\n\n" for i in range(n)) + f"def f{n}():\n    return last\n\n"
    return HEAD + LAST + text + handler(["g = f0"] + ["g = g()"] * (n + 1) + ["return g(request.get_data())"])


@program(20, 190)
def curried(n):
    inner = "pickle.loads(x)"
    for i in range(n):
        inner = f"lambda v{i}: {inner}"
    return HEAD + handler(["x = request.get_data()", f"f = {inner}", f"return f{'(x)' * n}"])


@program(20, 200)
def mutual_recursion(n):
    text = "".join(
        f"def f{i}(x, d):\n    if d > 10000: return pickle.loads(x)\n    f{(i * 7 + 3) % n}(x[1:], d + 1)\n    return f{(i + 1) % n}(x, d + {i})\n\n"
        for i in range(n)
    )
    return HEAD + text + handler(["return f0(request.get_data(), 0)"])


@program(10, 200)
def generators_in_a_circle(n):
    text = "".join(f"def g{i}(x):\n    yield x\n    yield from g{(i + 1) % n}(x)\n    yield from g{(i * 5 + 2) % n}(x)\n\n" for i in range(n))
    return HEAD + text + handler(["for x in g0(request.get_data()):", "    pickle.loads(x)"])


@program(20, 200, found=True)
def deep_properties(n):
    text = "class Many:\n    def __init__(self, x):\n        self.x = x\n\n"
    text += "".join(f"    @property\n    def p{i}(self):\n        return self.p{i + 1}\n\n" for i in range(n))
    text += f"    @property\n    def p{n}(self):\n        return pickle.loads(self.x)\n\n"
    return HEAD + text + handler(["return Many(request.get_data()).p0"])


@program(20, 200)
def deep_and_nested(n):
    """Every call stands within a hundred others."""
    text = "def same(x):\n    return x\n\n"
    text += "".join(f"def f{i}(x):\n    return {'same(' * 100}f{i + 1}(x){')' * 100}\n\n" for i in range(n))
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 290)
def deep_in_long_sums(n):
    """Every call is the first of a thousand terms: the deepest calls within the deepest expressions."""
    text = "".join(f"def f{i}(x):\n    return f{i + 1}(x){' + x' * 1000}\n\n" for i in range(n))
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 290)
def deep_in_negations(n):
    text = "".join(f"def f{i}(x):\n    if {'not ' * 1000}f{i + 1}(x):\n        return 1\n    return 2\n\n" for i in range(n))
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 290)
def deep_in_blocks(n):
    text = ""
    for i in range(n):
        text += f"def f{i}(x):\n" + "".join("    " * (k + 1) + f"with open('{k}') as v{k}:\n" for k in range(90))
        text += "    " * 91 + f"return f{i + 1}(x)\n\n"
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 290)
def deep_in_tries(n):
    text = ""
    for i in range(n):
        text += f"def f{i}(x):\n" + "".join("    " * (k + 1) + "try:\n" for k in range(45))
        text += "    " * 46 + f"return f{i + 1}(x)\n"
        text += "".join("    " * (k + 1) + "finally:\n" + "    " * (k + 2) + f"y{k} = x\n" for k in range(44, -1, -1)) + "\n"
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 290)
def deep_in_matches(n):
    text = ""
    for i in range(n):
        text += f"def f{i}(x):\n"
        for k in range(45):
            text += "    " * (2 * k + 1) + f"match x[{k}]:\n" + "    " * (2 * k + 2) + f"case [{k}, *a{k}] if x:\n"
        text += "    " * 91 + f"return f{i + 1}(x)\n\n"
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(20, 190)
def deep_comprehensions(n):
    text = "".join(f"def f{i}(x):\n    return [[[f{i + 1}(v) for v in [w]] for w in [u]] for u in [x]]\n\n" for i in range(n))
    return HEAD + text + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


# Names and classes


@program(100, 3000)
def classes_on_two(n):
    """Every class has the two before it as bases."""
    text = "class C0:\n    def read(self, x):\n        return pickle.loads(x)\n\nclass C1(C0): pass\n\n"
    text += "".join(f"class C{i}(C{i - 1}, C{i - 2}): pass\n\n" for i in range(2, n))
    return HEAD + text + handler([f"return C{n - 1}().read(request.get_data())"])


@program(100, 3000)
def classes_in_a_circle(n):
    text = f"class C0(C{n - 1}): pass\n\n" + "".join(f"class C{i}(C{i - 1}): pass\n\n" for i in range(1, n))
    text += "class Reader(C5):\n    def read(self, x):\n        return self.go(x)\n\n    def go(self, x):\n        return pickle.loads(x)\n\n"
    return HEAD + text + handler(["return Reader().read(request.get_data())"])


@program(100, 3000)
def long_lineage(n):
    """A field of the first class, read by the last."""
    text = "class C0:\n    def __init__(self, x):\n        self.x = x\n\n"
    text += "".join(f"class C{i}(C{i - 1}):\n    def m{i}(self):\n        return self.x\n\n" for i in range(1, n))
    return HEAD + text + handler([f"return pickle.loads(C{n - 1}(request.get_data()).m{n - 1}())"])


@program(100, 10000)
def table_of_methods(n):
    text = "class Table:\n" + "".join(f"    def on_{i}(self, x):\n        return {i}\n" for i in range(n))
    text += "    def on_last(self, x):\n        return pickle.loads(x)\n\n"
    return HEAD + text + handler(["return getattr(Table(), 'on_' + request.args['kind'])(request.get_data())"])


@program(100, 5000)
def globals_in_a_row(n):
    text = "v0 = None\n\ndef put(x):\n    global v0\n    v0 = x\n\n" + "".join(f"v{i} = v{i - 1}\n" for i in range(1, n))
    return HEAD + text + handler(["put(request.get_data())", f"return pickle.loads(v{n - 1} or v0)"])


@program(100, 1000)
def one_global_by_many(n):
    text = "state = None\n\n" + "".join(f"def set{i}(x):\n    global state\n    state = x\n\n" for i in range(n))
    return HEAD + text + handler([f"set{n - 1}(request.get_data())", "return pickle.loads(state)"])


@program(100, 5000)
def loads_by_many_names(n):
    text = "".join(f"load{i} = pickle.loads\n" for i in range(n))
    return HEAD + text + handler([f"return load{n - 1}(request.get_data())"])


@program(100, 5000)
def imported_again(n):
    text = "".join(f"import pickle as p{i}\n" for i in range(n))
    return HEAD + text + handler(["x = request.get_data()"] + [f"p{i}.loads(x)" for i in range(0, n, 50)])


@program(1000, 1000000)
def long_name(n):
    name = "a" * n
    return HEAD + f"def {name}({name}):\n    return pickle.loads({name})\n\n" + handler([f"return {name}(request.get_data())"])


@program(1, 1)
def imports_itself(_):
    return {
        "app.py": HEAD + "import app as me\nfrom app import *\nfrom pack import read\nimport pack.pack\n\n" + handler(["return me.pack.pack.read(request.get_data())"]),
        "pack/__init__.py": "from . import pack\nfrom .pack import *\nfrom pack import read\n",
        "pack/pack.py": "import pickle\nfrom . import pack\nfrom pack.pack import *\n\ndef read(x):\n    return pickle.loads(x)\n",
    }


@program(1, 1)
def texts_that_are_run(_):
    body = ["x = request.get_data()", "exec('import pickle as p; p.loads(x)')", "eval('p.loads(x)')"]
    body += ["exec(\"exec('exec(x)')\")", "exec(compile('p.loads(x)', 'a', 'exec'))", "return pickle.loads(x)"]
    return HEAD + handler(body)


# Size


@program(100, 10000)
def many_keywords(n):
    given = ", ".join(f"k{i}=x" for i in range(n))
    text = "def take(**given):\n    return pickle.loads(given['k1'])\n\n"
    return HEAD + text + handler(["x = request.get_data()", f"return take({given})"])


@program(100, 10000)
def many_targets(n):
    names = ", ".join(f"v{i}" for i in range(n))
    return HEAD + handler([f"{names}, *rest = request.get_data().split(b',')", f"return pickle.loads(v{n - 1})"])


@program(20, 1000)
def many_clauses(n):
    clauses = " ".join(f"for v{i} in v{i - 1}" for i in range(1, n))
    return HEAD + handler(["v0 = [request.get_data()]", f"x = [v{n - 1} {clauses} if v1]", "return pickle.loads(x[0])"])


@program(100, 2000)
def loads_in_one_try(n):
    body = ["x = request.get_data()", "try:"] + [f"    v{i} = pickle.loads(x)" for i in range(n)]
    return HEAD + handler(body + ["except ValueError:", "    return 'bad', 400", "return str(v0['a'])"])


@program(100, 1000)
def loads_in_one_expression(n):
    return HEAD + handler(["x = request.get_data()", "return str([" + ", ".join(["pickle.loads(x)"] * n) + "])"])


@program(100, 1000)
def loads_in_one_sum(n):
    return HEAD + handler(["x = request.get_data()", "return " + " + ".join(["pickle.loads(x)['a']"] * n)])


@program(100, 2000)
def loads_in_lambdas(n):
    text = "def run(f, x):\n    return f(x)\n\n"
    return HEAD + text + handler(["x = request.get_data()"] + ["run(lambda y: pickle.loads(y), x)"] * n)


@program(100, 3000)
def loads_and_writers(n):
    body = ["x = request.get_data()"]
    for i in range(n):
        body += [f"open('f{i}', 'wb').write(pickle.dumps({{'a': {i}}}))", f"pickle.loads(x if open('f{i}', 'rb').read() else x)"]
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(100, 3000)
def uses_of_one_load(n):
    return HEAD + handler(["v = pickle.loads(request.get_data())"] + [f"print(v['k{i}'])" for i in range(n)] + ["return 'ok'"])


@program(100, 5000, found=True)
def handlers_that_reply(n):
    """Rewritten, each with the reply that its file gives."""
    body = ["v = pickle.loads(request.get_data())", "return {'name': v['name']}"]
    return HEAD + "".join(handler(body, f"h{i}") for i in range(n))


@program(100, 3000)
def comments_to_ignore(n):
    return HEAD + handler(["x = request.get_data()"] + ["pickle.loads(x)  # depickle: ignore"] * n + ["return pickle.loads(x)"])


@program(20, 90)
def nested_whiles(n):
    body = ["x = y = request.get_data()"]
    for i in range(n):
        body.append("    " * i + f"while request.args.get('k{i}'):")
    body.append("    " * n + "x, y = y[1:], x + y")
    for i in range(n - 1, -1, -1):
        body += ["    " * i + f"    if x == b'{i}': break", "    " * i + f"    if y == b'{i}': continue", "    " * i + f"    x = x[{i}:]"]
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(20, 90)
def nested_generators(n):
    inner = "(v for v in [request.get_data()])"
    for _ in range(n):
        inner = f"(v for v in {inner})"
    return HEAD + handler([f"for x in {inner}:", "    pickle.loads(x)"])


@program(20, 190)
def nested_annotations(n):
    inner = "bytes"
    for _ in range(n):
        inner = f"Optional[{inner}]"
    return HEAD + f"from typing import Optional\n\ndef read(x: {inner}) -> {inner}:\n    return pickle.loads(x)\n\n" + handler(["return read(request.get_data())"])


@program(3, 300)
def star_imports_of_all(n):
    """Every file takes everything from every tenth."""
    files = {f"m{i}.py": "".join(f"from m{j} import *\n" for j in range(0, n, 10)) + f"v{i} = {i}\n" for i in range(n)}
    files["m0.py"] += "import pickle\ndef read(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + f"from m{n - 1} import *\n\n" + handler(["return read(request.get_data())"])
    return files


@program(30, 5000)
def many_re_exports(n):
    files = {f"m{i}.py": f"from m{i + 1} import read\n" for i in range(n)}
    files[f"m{n}.py"] = "import pickle\ndef read(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + "from m0 import read\n\n" + handler(["return read(request.get_data())"])
    return files


@program(10, 5000)
def handlers_in_files(n):
    files = {f"views{i}.py": HEAD + "from reader import read\n\n" + handler(["return read(request.get_data())"]) for i in range(n)}
    files["reader.py"] = "import pickle\n\ndef read(x):\n    return pickle.loads(x)\n"
    return files
