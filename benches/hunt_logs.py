"""Writes an ordinary log, as large as asked for, without any pickle in it: python3 benches/hunt_logs.py MEGABYTES KIND FILE

KIND is `access` (nginx's combined format: what servers see, with scanners, TLS on the wrong port, tokens, digests,
compressed cookies of sessions in JSON), `json` (lines of JSON: messages, tracebacks, statements in SQL) or `application`
(Python's logging, with tracebacks over several lines). The same arguments give the same bytes.
"""

import base64
import json
import random
import sys
import zlib

WORDS = """account address basket cart checkout color cosmic customer delivery discount email error export filter
image import index insert invoice item language list login logout message order page payment pickle picture posix price product
profile query rating refund report request reset review search section select session shipping size sort status stock
store subprocess system ticket token total update upload user version view wish""".split()
AGENTS = [
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.{}.{} Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS {}_{} like Mac OS X) AppleWebKit/605.1.15 Version/{}.0 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (compatible; Googlebot/{}.{}; +http://www.google.com/bot.html; {})",
    "python-requests/{}.{}.{}",
    "curl/{}.{}.{}",
]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def word(self):
        return self.random.choice(WORDS)

    def hex(self, size):
        return self.random.randbytes(size).hex()

    def token(self, size):
        return base64.urlsafe_b64encode(self.random.randbytes(size)).decode().rstrip("=")

    def path(self):
        return "/" + "/".join(self.word() for _ in range(self.random.randint(1, 4)))

    def json(self):
        return json.dumps({self.word(): self.random.choice([self.word(), self.random.randint(0, 9999), None, True]) for _ in range(3)})

    def value(self):
        kind = self.random.randrange(12)
        if kind < 4:
            return str(self.random.randint(0, 10 ** self.random.randint(1, 16)))
        if kind < 6:
            return self.word()
        if kind == 6:
            return self.hex(self.random.choice([8, 16, 20, 32]))
        if kind == 7:
            return self.token(self.random.randint(9, 60))
        if kind == 8:
            return ".".join(self.token(n) for n in (27, 90, 32))
        if kind == 9:
            return base64.b64encode(self.random.randbytes(40)).decode().replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
        if kind == 10:
            packed = base64.urlsafe_b64encode(zlib.compress(self.json().encode())).decode().rstrip("=")
            return f".{packed}:{self.token(4)}:{self.token(20)}"
        return "".join(f"%{byte:02X}" for byte in self.word().encode())

    def target(self):
        query = "&".join(f"{self.word()}={self.value()}" for _ in range(self.random.randint(0, 4)))
        return self.path() + ("?" + query if query else "")

    def client(self):
        return ".".join(str(self.random.randint(1, 254)) for _ in range(4))

    def moment(self):
        r = self.random
        return r.randint(1, 28), r.randint(0, 23), r.randint(0, 59), r.randint(0, 59)

    def request(self):
        if self.random.randrange(50) == 0:
            # TLS, or something else, where HTTP is expected.
            noise = b"\x16\x03\x01" + self.random.randbytes(self.random.randint(20, 200))
            return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in noise)
        verb = self.random.choice(["GET", "GET", "GET", "POST", "HEAD", "PUT"])
        return f"{verb} {self.target()} HTTP/1.1"

    def access(self):
        day, hour, minute, second = self.moment()
        agent = self.random.choice(AGENTS).format(*(self.random.randint(1, 140) for _ in range(3)))
        referer = "-" if self.random.random() < 0.5 else "https://shop.example.org" + self.target()
        status = self.random.choice([200, 200, 200, 204, 301, 302, 304, 400, 403, 404, 500, 502])
        return (
            f'{self.client()} - - [{day:02}/Nov/2026:{hour:02}:{minute:02}:{second:02} +0000] "{self.request()}" '
            f'{status} {self.random.randint(0, 99999)} "{referer}" "{agent}"'
        )

    def traceback(self):
        frames = "".join(
            f'  File "/srv/app/{self.word()}.py", line {self.random.randint(1, 900)}, in {self.word()}\n    {self.word()} = {self.word()}({self.word()})\n'
            for _ in range(self.random.randint(2, 8))
        )
        error = self.random.choice(["KeyError: '{}'", "ValueError: invalid {}", "AttributeError: 'NoneType' object has no attribute '{}'", "json.decoder.JSONDecodeError: Expecting {}"])
        return "Traceback (most recent call last):\n" + frames + error.format(self.word())

    def message(self):
        kind = self.random.randrange(8)
        if kind == 0:
            return self.traceback()
        if kind == 1:
            columns = ",\n  ".join(self.word() for _ in range(4))
            return f"select\n  {columns}\nfrom\n(select\n{self.word()}\n)\nwhere {self.word()}\n({self.word()})\n."
        if kind == 2:
            return "\n".join(self.word() for _ in range(8)) + "\n(" + self.word() + ")"
        if kind == 3:
            return f"user {self.random.randint(1, 99999)} {self.word()} {self.value()} {self.json()}"
        if kind == 4:
            return repr(self.random.randbytes(self.random.randint(4, 90)))
        return " ".join(self.word() for _ in range(self.random.randint(3, 14))) + f" {self.value()}"

    def json_line(self):
        day, hour, minute, second = self.moment()
        return json.dumps({
            "time": f"2026-11-{day:02}T{hour:02}:{minute:02}:{second:02}Z", "level": "INFO", "remote_addr": self.client(),
            "request": self.request(), "status": 200, "message": self.message(),
        }, ensure_ascii=self.random.random() < 0.5)

    def application(self):
        day, hour, minute, second = self.moment()
        return f"2026-11-{day:02} {hour:02}:{minute:02}:{second:02},{self.random.randint(0, 999):03} INFO shop.{self.word()}: {self.message()}"


def main():
    megabytes, kind, path = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    assert kind in ("access", "json", "application")
    maker = Maker(f"{kind} {megabytes}")
    line = {"access": maker.access, "json": maker.json_line, "application": maker.application}[kind]
    written = 0
    with open(path, "wb") as out:
        while written < megabytes << 20:
            block = "".join(line() + "\n" for _ in range(1000)).encode()
            out.write(block)
            written += len(block)


main()
