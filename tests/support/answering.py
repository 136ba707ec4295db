"""What the stand-ins for forges have in common: answers in JSON."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def say(self, status, value, **fields):
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in fields.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serve(handler):
    """Serves at the port that is the first argument."""
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
