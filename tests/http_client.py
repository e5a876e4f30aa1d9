"""HTTP requests to an agent, as tests make them."""
import http.client
import json
import socket
import ssl


class Reply:
    def __init__(self, response):
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def index(self):
        return int(self.headers["x-consul-index"])

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:500]!r}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Client:
    """A connection for each request. `port`, or `unix` a socket's path; `tls` an ssl.SSLContext."""

    def __init__(self, port=None, unix=None, tls=None, timeout=10):
        self.port, self.unix, self.tls, self.timeout = port, unix, tls, timeout

    def connect(self):
        if self.unix:
            return _UnixConnection(self.unix, self.timeout)
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=self.timeout,
                                               context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)

    def ask(self, method, path, body=None, headers=None):
        """`body` is text, or something to be sent as JSON."""
        if body is not None and not isinstance(body, (str, bytes)):
            body = json.dumps(body)
        connection = self.connect()
        try:
            connection.request(method, f"/v1/{path}", body=body, headers=headers or {})
            return Reply(connection.getresponse())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, headers=headers)

    def put(self, path, body=None):
        return self.ask("PUT", path, body)


def insecure_tls(certificate=None, key=None):
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate:
        context.load_cert_chain(certificate, key)
    return context
