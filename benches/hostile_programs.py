"""Hostile programs, for `hostile.py`: one function each, from a size to a text or to several by file name."""

HEAD = "import pickle\nfrom flask import Flask, request\n\napp = Flask(__name__)\n\n"

PROGRAMS = {}
TO_BE_FOUND = set()


def program(small, big, found=False):
    """Registers a function from a size to a program: a text, or several by file name; whether it is no excuse that it is large."""

    def register(function):
        PROGRAMS[function.__name__] = (function, small, big)
        if found:
            TO_BE_FOUND.add(function.__name__)
        return function

    return register


def handler(body, name="load"):
    lines = "".join(f"    {line}\n" for line in body)
    return f'@app.route("/{name}", methods=["POST"])\ndef {name}():\n{lines}\n'


# Calls


@program(100, 3000)
def deep_calls(n):
    """Each function calls the next; the last one loads."""
    calls = "".join(f"def f{i}(x):\n    return f{i + 1}(x)\n\n" for i in range(n))
    return HEAD + calls + f"def f{n}(x):\n    return pickle.loads(x)\n\n" + handler(["return f0(request.get_data())"])


@program(30, 60)
def call_fan_out(n):
    """Each function calls the next twice, with constants that tell every call apart."""
    calls = "".join(
        f"def f{i}(x, k):\n    f{i + 1}(x, k * 2)\n    return f{i + 1}(x, k * 2 + 1)\n\n" for i in range(n)
    )
    last = f"def f{n}(x, k):\n    return pickle.loads(x)\n\n"
    return HEAD + calls + last + handler(["return f0(request.get_data(), 1)"])


@program(12, 60)
def everybody_calls_everybody(n):
    calls = ""
    for i in range(n):
        body = "".join(f"    if k == {j}: return f{j}(x, k + {i})\n" for j in range(n))
        calls += f"def f{i}(x, k):\n{body}    return pickle.loads(x)\n\n"
    return HEAD + calls + handler(["return f0(request.get_data(), int(request.args['k']))"])


@program(60, 3000)
def many_callers(n):
    """One load, and a handler for every constant it is called with."""
    text = HEAD + "def read(x, k):\n    return pickle.loads(x)\n\n"
    return text + "".join(handler([f"return read(request.get_data(), {i})"], f"h{i}") for i in range(n))


@program(30, 300)
def growing_recursion(n):
    """Arguments that grow with every call."""
    text = "def f(x, seen, word, depth):\n    if depth > 1000:\n        return pickle.loads(x)\n"
    text += "    return f(x, seen + [depth], word + word, depth + 1) or f(x, (seen, seen), word + 'a', depth + 2)\n\n"
    text += "".join(f"def g{i}(x):\n    return f(x, [{i}], '{i}', {i})\n\n" for i in range(n))
    return HEAD + text + handler([f"g{i}(request.get_data())" for i in range(n)])


@program(20, 200)
def generator_chain(n):
    text = "".join(f"def g{i}(x):\n    yield from g{i + 1}(x)\n    yield from g{i + 1}(x)\n\n" for i in range(n))
    text += f"def g{n}(x):\n    yield x\n\n"
    return HEAD + text + handler(["for x in g0(request.get_data()):", "    pickle.loads(x)"])


@program(100, 3000)
def wide_call(n):
    names = ", ".join(f"p{i}=None" for i in range(n))
    given = ", ".join(f"p{i}=request.args.get('p{i}')" for i in range(n))
    return HEAD + f"def f({names}):\n    return pickle.loads(p{n - 1})\n\n" + handler([f"return f({given})"])


@program(40, 500)
def decorators(n):
    text = "def same(f):\n    def inner(*a, **k):\n        return f(*a, **k)\n    return inner\n\n"
    stack = "@same\n" * n
    return HEAD + text + f"{stack}def read(x):\n    return pickle.loads(x)\n\n" + handler(["return read(request.get_data())"])


@program(30, 90)
def closures(n):
    text = "def f0(x):\n"
    for i in range(1, n):
        text += "    " * i + f"def f{i}(y{i}):\n"
    text += "    " * n + "return pickle.loads(x)\n"
    for i in range(n - 1, 0, -1):
        text += "    " * i + f"return f{i}(x)\n"
    return HEAD + text + "\n" + handler(["return f0(request.get_data())"])


@program(30, 1000)
def nested_partials(n):
    text = "import functools\n\ndef read(*a):\n    return pickle.loads(a[-1])\n\ndef choose():\n    p = read\n"
    text += "    p = functools.partial(p, p, p)\n" * n + "    return p\n\n"
    return HEAD + text + handler(["return choose()(request.get_data())"])


@program(60, 3000)
def many_callbacks(n):
    text = "def run(f, x):\n    return f(x)\n\n" + "".join(f"def f{i}(x):\n    return {i}\n\n" for i in range(n))
    text += "def last(x):\n    return pickle.loads(x)\n\n"
    return HEAD + text + handler(["x = request.get_data()"] + [f"run(f{i}, x)" for i in range(n)] + ["return run(last, x)"])


@program(60, 3000)
def registry(n):
    """A dictionary of functions, the last of which loads."""
    text = "".join(f"def f{i}(x):\n    return {i}\n\n" for i in range(n)) + "def last(x):\n    return pickle.loads(x)\n\n"
    text += "KINDS = {" + ", ".join(f"'f{i}': f{i}" for i in range(n)) + ", 'last': last}\n\n"
    return HEAD + text + handler(["return KINDS[request.args['kind']](request.get_data())"])


# Size


@program(200, 10000)
def many_loads(n):
    text = "".join(f"def f{i}(x):\n    return pickle.loads(x)\n\n" for i in range(n))
    return HEAD + text + handler([f"f{i}(request.get_data())" for i in range(n)])


@program(200, 10000)
def many_loads_in_one_function(n):
    return HEAD + handler(["x = request.get_data()"] + ["pickle.loads(x)"] * n)


@program(100, 5000)
def many_handlers(n):
    return HEAD + "".join(handler(["return pickle.loads(request.get_data())"], f"h{i}") for i in range(n))


@program(100, 3000)
def many_methods(n):
    text = "class Many:\n" + "".join(f"    def m{i}(self, x):\n        return self.m{i + 1}(x)\n" for i in range(n))
    text += f"    def m{n}(self, x):\n        return pickle.loads(x)\n\n"
    return HEAD + text + handler(["return Many().m0(request.get_data())"])


@program(100, 3000)
def many_fields(n):
    text = "class Many:\n    def __init__(self, x):\n" + "".join(f"        self.f{i} = x\n" for i in range(n))
    text += "".join(f"    def m{i}(self):\n        self.f{i} = self.f{i + 1}\n" for i in range(n - 1))
    text += f"    def read(self):\n        return pickle.loads(self.f{n - 1})\n\n"
    return HEAD + text + handler(["return Many(request.get_data()).read()"])


@program(1000, 100000)
def huge_dict(n):
    entries = ", ".join(f"'k{i}': {i}" for i in range(n))
    return HEAD + f"TABLE = {{{entries}}}\n\n" + handler(["table = dict(TABLE)", "table['x'] = request.get_data()", "return pickle.loads(table['x'])"])


@program(1000, 200000)
def huge_list(n):
    entries = ", ".join(str(i) for i in range(n))
    return HEAD + f"ITEMS = [{entries}]\n\n" + handler(["items = ITEMS + [request.get_data()]", "return pickle.loads(items[-1])"])


@program(200, 5000)
def huge_dict_changed(n):
    """A large dictionary, changed one key at a time."""
    text = "def fill(x):\n    table = {}\n" + "".join(f"    table['k{i}'] = x\n" for i in range(n)) + "    return table\n\n"
    return HEAD + text + handler([f"return pickle.loads(fill(request.get_data())['k{n - 1}'])"])


@program(200, 5000)
def list_appended(n):
    text = "def fill(x):\n    items = []\n" + "    items.append(x)\n" * n + "    return items\n\n"
    return HEAD + text + handler(["return pickle.loads(fill(request.get_data())[-1])"])


@program(100, 10000)
def elif_chain(n):
    body = ["kind = request.args['kind']", "x = request.get_data()", "if kind == 'a': y = None"]
    body += [f"elif kind == 'k{i}': y = x[{i}:]" for i in range(n)]
    return HEAD + handler(body + ["return pickle.loads(y)"])


@program(100, 3000)
def many_ifs(n):
    """A variable for every branch: states that are wide, and joined often."""
    body = ["x = request.get_data()"]
    for i in range(n):
        body += [f"if request.args.get('k{i}'):", f"    v{i} = x", "else:", f"    v{i} = {i}"]
    return HEAD + handler(body + [f"return pickle.loads(v{n - 1})"])


@program(100, 5000)
def wide_match(n):
    body = ["x = request.get_data()", "match request.args['kind']:"]
    for i in range(n):
        body += [f"    case 'k{i}':", f"        y = x[{i}:]"]
    return HEAD + handler(body + ["    case _:", "        y = x", "return pickle.loads(y)"])


@program(50, 2000)
def many_except(n):
    body = ["x = request.get_data()", "try:", "    y = x.decode()"]
    for i in range(n):
        body += [f"except E{i} as e:", f"    y = x[{i}:]"]
    return HEAD + handler(body + ["return pickle.loads(y)"])


@program(200, 20000)
def many_globals(n):
    """Globals that hang on each other, the first on the last."""
    text = "".join(f"def g{i}(x=None):\n    return x\n\nv{i} = g{i}(v{i - 1})\n" if i else "v0 = None\n" for i in range(n))
    return HEAD + text + handler([f"v = v{n - 1} or request.get_data()", "return pickle.loads(v)"])


@program(200, 5000)
def globals_backwards(n):
    """Functions that read a global which another function gives."""
    text = "".join(f"v{i} = (lambda: v{i + 1})()\n" for i in range(n)) + f"v{n} = None\n"
    return HEAD + text + handler(["return pickle.loads(v0 or request.get_data())"])


@program(2000, 30000)
def long_function(n):
    body = ["x = request.get_data()"] + ["x = x + b'a'"] * n
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(10000, 1500000)
def long_text(n):
    return HEAD + f"DATA = '{'QUJD' * (n // 4)}'\n\n" + handler(["return pickle.loads(request.get_data() or DATA.encode())"])


# Depth


@program(10, 30)
def nested_loops(n):
    body = ["x = y = request.get_data()"]
    for i in range(n):
        body.append("    " * i + f"for i{i} in range(10 ** 12):")
    body.append("    " * n + "x, y = y[1:], x + y")
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(10, 90)
def nested_tries(n):
    body = ["x = request.get_data()"] + ["    " * i + "try:" for i in range(n)] + ["    " * n + "x = x.decode()"]
    for i in range(n - 1, -1, -1):
        body += ["    " * i + "except ValueError:", "    " * i + "    x = x[1:]", "    " * i + "finally:", "    " * i + "    x = x or b''"]
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(10, 90)
def nested_ifs(n):
    body = ["x = request.get_data()"]
    for i in range(n):
        body.append("    " * i + f"if request.args.get('k{i}'):")
    body.append("    " * n + "x = x[1:]")
    for i in range(n - 1, -1, -1):
        body += ["    " * i + "else:", "    " * i + f"    x = x[{i}:]"]
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(20, 90)
def nested_comprehensions(n):
    inner = "request.get_data()"
    for i in range(n):
        inner = f"[{inner} for v{i} in range(10 ** 12)]"
    return HEAD + handler([f"return pickle.loads({inner})"])


@program(20, 90)
def nested_lambdas(n):
    inner = "pickle.loads(x)"
    for i in range(n):
        inner = f"(lambda v{i}: {inner})(x)"
    return HEAD + handler(["x = request.get_data()", f"return {inner}"])


@program(50, 190)
def nested_brackets(n):
    return HEAD + handler([f"return pickle.loads({'(' * n}request.get_data(){')' * n})"])


@program(50, 190)
def nested_lists(n):
    return HEAD + handler([f"x = {'[' * n}request.get_data(){']' * n}", f"return pickle.loads(x{'[0]' * n})"])


@program(50, 190)
def nested_calls(n):
    return HEAD + "def f(x, y=None):\n    return x\n\n" + handler([f"return pickle.loads({'f(' * n}request.get_data(){', 1)' * n})"])


@program(3, 40)
def nested_formats(n):
    inner = "request.args['x']"
    for _ in range(n):
        inner = 'f"{' + inner + '}a{' + "request.args['y']" + '}"'
    return HEAD + handler([f"return pickle.loads({inner}.encode())"])


@program(500, 20000)
def format_of_many(n):
    return HEAD + handler(["x = request.args['x']", 'return pickle.loads(f"' + "{x}a" * n + '".encode())'])


@program(200, 250000)
def long_sum(n):
    return HEAD + handler(["x = request.get_data()", "return pickle.loads(" + " + ".join(["x"] * n) + ")"])


@program(200, 250000)
def long_or(n):
    return HEAD + handler(["x = request.get_data()", "return pickle.loads(" + " or ".join(["x"] * n) + ")"])


@program(200, 100000)
def long_comparison(n):
    return HEAD + handler(["x = request.get_data()", "if " + " < ".join(["x"] * n) + ":", "    return pickle.loads(x)"])


@program(150, 50000)
def long_conditional(n):
    return HEAD + handler(["x = request.get_data()", "return pickle.loads(" + "x if x else " * n + "x)"])


@program(150, 100000)
def long_not(n):
    return HEAD + handler(["x = request.get_data()", f"if {'not ' * (n + 1)}x:", "    return 1", "return pickle.loads(x)"])


@program(150, 100000)
def long_minus(n):
    return HEAD + handler(["x = request.get_data()", f"if {'- ' * n}1:", "    return pickle.loads(x)"])


@program(150, 50000)
def long_power(n):
    return HEAD + handler(["x = request.get_data()", "if " + " ** ".join(["10"] * n) + ":", "    return pickle.loads(x)"])


@program(150, 50000)
def long_lambda(n):
    return HEAD + handler(["x = request.get_data()", f"f = {'lambda: ' * n}x", "return pickle.loads(x)"])


@program(200, 100000)
def attribute_chain(n):
    return HEAD + handler([f"x = request{'.a' * n}", "return pickle.loads(request.get_data() or x)"])


@program(200, 100000)
def subscript_chain(n):
    return HEAD + handler([f"x = request.json{'[0]' * n}", "return pickle.loads(x)"])


@program(200, 100000)
def call_chain(n):
    return HEAD + handler([f"x = request.get_data(){'.strip()' * n}", "return pickle.loads(x)"])


@program(200, 100000)
def assignment_chain(n):
    return HEAD + handler(["".join(f"v{i} = " for i in range(n)) + "request.get_data()", f"return pickle.loads(v{n - 1})"])


@program(100, 2000)
def inheritance_chain(n):
    text = "class C0:\n    def read(self, x):\n        return pickle.loads(x)\n\n"
    text += "".join(f"class C{i}(C{i - 1}):\n    def read(self, x):\n        return super().read(x)\n\n" for i in range(1, n))
    return HEAD + text + handler([f"return C{n - 1}().read(request.get_data())"])


@program(12, 60)
def inheritance_diamonds(n):
    text = "class C0:\n    def read(self, x):\n        return pickle.loads(x)\n\n"
    for i in range(1, n):
        text += f"class A{i}(C{i - 1}): pass\n\nclass B{i}(C{i - 1}): pass\n\nclass C{i}(A{i}, B{i}): pass\n\n"
    return HEAD + text + handler([f"return C{n - 1}().read(request.get_data())"])


# Values that double, grow or hold themselves


@program(30, 5000)
def doubling_tuple(n):
    return HEAD + handler(["t = (request.get_data(),)"] + ["t = (t, t)"] * n + ["return pickle.loads(t)"])


@program(30, 5000)
def doubling_dict(n):
    text = "def same(x):\n    return x\n\n"
    return HEAD + text + handler(["t = {'a': request.get_data()}"] + ["t = same({'a': t, 'b': t})"] * n + ["return pickle.loads(t['a'])"])


@program(30, 5000)
def doubling_clean_tuple(n):
    text = "def f(t, x):\n    return pickle.loads(x)\n\ndef make():\n    t = (1, 2)\n" + "    t = (t, t)\n" * n + "    return t\n\n"
    return HEAD + text + handler(["t = make()", "return f(t, request.get_data())"])


@program(30, 5000)
def doubling_outside(n):
    """What nothing is known of, called with itself twice."""
    text = "import thing\n\ndef f(t, x):\n    return pickle.loads(x)\n\ndef make():\n    t = thing.Thing()\n"
    text += "    t = thing.Pair(t, t)\n" * n + "    return t\n\n"
    return HEAD + text + handler(["t = make()", "return f(t, request.get_data())"])


@program(30, 5000)
def doubling_dumps(n):
    return HEAD + handler(["x = request.get_data()", "s = b''"] + ["s = pickle.dumps((s, s, x))"] * n + ["pickle.dump(s, open('a', 'wb'))", "return pickle.loads(x)"])


@program(30, 1000)
def many_aliases(n):
    """Names that stand for many others, which stand for many others."""
    body = ["x = request.get_data()"] + [f"load{i} = load{j}" for i in range(8) for j in range(i + 1, 9) for _ in range(n // 8)]
    return HEAD + handler(body + ["load8 = len", "return pickle.loads(x)"])


@program(30, 5000)
def doubling_path(n):
    text = "import pathlib\n\ndef read(x, p):\n    open(p, 'wb').write(x)\n    return pickle.loads(x)\n\n"
    return HEAD + text + handler(["p = pathlib.Path('a')"] + ["p = pathlib.Path(p, p)", "p = p / p"] * n + ["return read(request.get_data(), p)"])


@program(5, 30)
def wide_and_deep(n):
    """Lists of lists of lists, a thousand each."""
    return HEAD + handler(["x = [request.get_data()]"] + [f"x = [{'x, ' * 1000}]"] * n + ["return pickle.loads(x[0])"])


@program(30, 5000)
def doubling_text(n):
    return HEAD + handler(["s = 'ab'", "t = request.args['t']"] + ["s = s + s", "t = t + s + t"] * n + ["return pickle.loads(t.encode())"])


@program(30, 5000)
def doubling_bytes(n):
    return HEAD + handler(["s = b'ab'"] + ["s = s + s"] * n + ["return pickle.loads(request.get_data() or s)"])


@program(30, 5000)
def doubling_list(n):
    return HEAD + handler(["s = [1, 2]", "x = request.get_data()"] + ["s = s + s", "s += s", "s.extend(s)"] * n + ["s.append(x)", "return pickle.loads(s[-1])"])


@program(30, 5000)
def doubling_replace(n):
    return HEAD + handler(["s = 'a'", "x = request.get_data()"] + ["s = s.replace('a', 'aa')", "s = '%s%s' % (s, s)", "s = '{0}{0}'.format(s)", "s = s.join([s, s])", "s = f'{s}{s}'"] * n + ["if s: return pickle.loads(x)"])


@program(5, 200)
def huge_constants(n):
    body = ["x = request.get_data()"]
    for i in range(n):
        body += [
            "s = 'a' * 10 ** 9",
            "s = 'a' * 4000 * 4000 * 4000",
            "b = b'a' * 10 ** 9",
            "n = 10 ** 10 ** 10",
            "n = 2 ** 62 * 2 ** 62",
            "n = 1 << 10 ** 9",
            "n = (1 << 62) << 62",
            "n = -9223372036854775808 // -1",
            "n = -9223372036854775807 - 1",
            "n = (-9223372036854775807 - 1) // -1",
            "n = (-9223372036854775807 - 1) % -1",
            "n = -(-9223372036854775807 - 1)",
            "n = abs(-9223372036854775807 - 1)",
            "s = '%999999999d' % 1",
            "s = '%*d' % (999999999, 1)",
            "s = '{:999999999}'.format(1)",
            "s = f'{1:999999999}'",
            "s = 'a'.ljust(10 ** 9)",
            "s = 'a'.zfill(10 ** 9)",
            "s = 'a'.center(10 ** 9)",
            "s = bytes(10 ** 9)",
            "s = bytearray(10 ** 9)",
            "l = [0] * 10 ** 9",
            "l = [x] * 10 ** 9",
            "l = (0, 1) * 10 ** 18",
            "l = list(range(10 ** 12))",
            "l = [0] * -10 ** 18",
            "l = l[10 ** 18:-10 ** 18:10 ** 18]",
            "l = s[-10 ** 18:10 ** 18]",
            "l = s[9223372036854775807:]",
            "l = s[-9223372036854775807 - 1:]",
            "l = [0][-9223372036854775807 - 1]",
            "l = 'abc'[-9223372036854775807 - 1]",
            "n = round(1e308 * 1e308)",
            "n = int('9' * 4000)",
            "s = chr(10 ** 9) + chr(0xd800)",
            "s = '\\ud800'.encode()",
            "s = str(n) * n",
        ]
    return HEAD + handler(body + ["if s and l: return pickle.loads(x)", "return pickle.loads(x)"])


@program(10, 200)
def endless_loops(n):
    body = ["x = request.get_data()", "i = 0"]
    for k in range(n):
        body += [f"for i{k} in range(10 ** 12): i += i{k}", "while i < 10 ** 18: i += 1", "while True:", f"    i = i * 2 + {k}", "    if i % 2: break"]
    return HEAD + handler(body + ["return pickle.loads(x)"])


@program(10, 300)
def holds_itself(n):
    body = ["x = request.get_data()", "a = [x]", "d = {}", "n = Node(x)"]
    body += ["a.append(a)", "d['d'] = d", "d['a'] = a", "a.append(d)", "n.next = n", "n = Node(n)", "n.next.next = n"] * n
    text = "class Node:\n    def __init__(self, next):\n        self.next = next\n\n"
    return HEAD + text + handler(body + ["return pickle.loads(a[0] or n.next)"])


@program(20, 2000)
def growing_names(n):
    body = ["x = request.get_data()", "m = thing", "name = 'a'"]
    body += ["m = m.a", "m = getattr(m, name)", "name = name + name", "m = m(m)", "m.a = m", "setattr(m, name, m)", "globals()[name] = m"] * n
    body += ["while m:", "    m = m.next", "    m = m.a(m)"]
    return HEAD + "import thing\n\n" + handler(body + ["return pickle.loads(x)"])


@program(10, 300)
def patterns(n):
    body = ["x = request.args['x']"]
    for i in range(n):
        body += [
            f"if not re.search('(a+)+{i}$', x): return {i}",
            f"if not re.search('" + "(" * 40 + "a" + "*)" * 40 + f"{i}', x): return {i}",
            f"if not re.search('a{{1000}}{{1000}}{{1000}}{i}', x): return {i}",
            f"if not re.search('(" + "|".join(f"w{j}" for j in range(100)) + f")*{i}', x): return {i}",
            f"if not re.search(x, '{'a' * 100}{i}'): return {i}",
            f"if not re.search(r'\\w' * 10 ** 9 + '{i}', x): return {i}",
        ]
    return HEAD + "import re\n\n" + handler(body + ["return pickle.loads(x.encode())"])


# Files


@program(10, 500)
def star_imports_in_a_circle(n):
    files = {f"m{i}.py": f"from m{(i + 1) % n} import *\nfrom m{(i * 7 + 3) % n} import *\nv{i} = {i}\n" for i in range(n)}
    files["m0.py"] += "import pickle\ndef read(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + f"from m{n // 2} import *\n\n" + handler(["return read(request.get_data())"])
    return files


@program(30, 500)
def re_exports(n):
    files = {f"m{i}.py": f"from m{i + 1} import read\n" for i in range(n)}
    files[f"m{n}.py"] = "import pickle\ndef read(x):\n    return pickle.loads(x)\n"
    files["app.py"] = HEAD + "from m0 import read\n\n" + handler(["return read(request.get_data())"])
    return files


@program(20, 400)
def same_names_everywhere(n):
    """Every file has a class and a function by the names that lead to the load."""
    files = {}
    for i in range(n):
        files[f"m{i}.py"] = (
            "class Reader:\n    def read_it(self, x):\n        return self.other.read_it(x)\n\n"
            "def process(x, y):\n    return y.read_it(x)\n\ndef handle(x, y):\n    return process(x, y)\n"
        )
    files["real.py"] = "import pickle\n\nclass Reader:\n    def read_it(self, x):\n        return pickle.loads(x)\n"
    files["app.py"] = HEAD + "import real\n\n" + handler(["return real.Reader().read_it(request.get_data())"])
    return files
