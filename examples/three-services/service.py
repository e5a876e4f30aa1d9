"""A tiny service: python3 service.py NAME PORT [NEXT]

GET / says who answered, and what the service NEXT said, which is found by its name alone.
GET /health is what its health check asks.
"""
import http.server
import json
import sys
import urllib.request

import srv

NAME, PORT = sys.argv[1], int(sys.argv[2])
NEXT = sys.argv[3] if len(sys.argv) > 3 else None


def ask_next():
    for address, port in srv.instances(f"{NEXT}.service.consul"):
        try:
            with urllib.request.urlopen(f"http://{address}:{port}/", timeout=1) as reply:
                return json.load(reply)
        except OSError:
            continue  # It died since its last check: the next one.
    return None


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status, answer = 200, {"service": NAME, "instance": f"{NAME}-{PORT}"}
        if self.path == "/" and NEXT:
            answer["then"] = ask_next()
            if answer["then"] is None:
                status, answer["then"] = 503, f"no instance of {NEXT} answers"
        body = json.dumps(answer).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
