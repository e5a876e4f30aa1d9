"""Clients that mean harm, or are broken: others are served meanwhile, and the agent stays as it is."""
import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import http_client
import lib
import wire

IDLE_CONNECTIONS = 2000


class Hostile(lib.AgentTest):
    config = {"limits": {"http_max_conns_per_client": 0}}

    def setUp(self):
        self.port = self.agent.ports["http"]
        self.client = http_client.Client(self.port)

    def tearDown(self):
        reply = self.client.get("catalog/nodes")
        self.assertEqual(reply.status, 200, "others are served")

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        self.addCleanup(connection.close)
        return connection

    def send(self, octets):
        """What comes back until the agent closes."""
        connection = self.connect()
        try:
            connection.sendall(octets)
        except OSError:
            pass  # It closed while we were sending.
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
        return answer

    def resident_megabytes(self):
        for line in pathlib.Path(f"/proc/{self.agent.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0

    def test_requests_that_are_none(self):
        for shows, request, status in (
                ("no HTTP", b"\0\1\2\3\r\n\r\n", b"400"),
                ("a bare CR in a header", b"GET / HTTP/1.1\r\nHost: x\r\nA: b\rc\r\n\r\n", b"400"),
                ("no Host", b"GET /v1/status/leader HTTP/1.1\r\n\r\n", b"400"),
                ("two lengths", b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                                b"Content-Length: 2\r\n\r\nab", b"400"),
                ("a length and chunks", b"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"
                                        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
                ("a tunnel", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", b"400"),
                ("TLS where there is none", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"400"),
                ("a chunk without a length", b"PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\n"
                                             b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
                ("headers without an end", b"GET / HTTP/1.1\r\nHost: x\r\n" +
                 b"X-Flood: 0123456789\r\n" * 100_000, b"431"),
                ("a target without an end", b"GET /" + b"a" * 2_000_000, b"431")):
            with self.subTest(shows):
                self.assertEqual(self.send(request).split(b" ")[1:2], [status])

    def test_a_gigabyte_is_refused_when_it_is_announced(self):
        before = self.resident_megabytes()
        answer = self.send(b"PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\n"
                           b"Content-Length: 1073741824\r\n\r\n" + b"x" * 100_000)
        self.assertEqual(answer.split(b" ")[1], b"413")
        self.assertLess(self.resident_megabytes() - before, 20)

    def test_a_body_without_an_announced_end_is_bounded(self):
        connection = self.connect()
        connection.sendall(b"PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n")
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
        sent = 0
        try:
            while sent < 200:
                connection.sendall(chunk)
                sent += 1
        except OSError:
            pass
        self.assertLess(sent, 150, "the agent took more than twice its bound")

    def test_deep_and_malformed_json(self):
        for body, says in (("[" * 500_000, "Request decode failed"),
                           ('{"Node":' * 100_000, "Request decode failed"),
                           (b'{"Node":"\xff\xfe"}', "UTF-8"),
                           ('{"Node":"a","Node":', "Request decode failed"),
                           ("\0\0\0", "Request decode failed")):
            for path in "catalog/register", "agent/service/register", "agent/check/register":
                reply = self.client.put(path, body)
                self.assertEqual(reply.status, 400)
                self.assertIn(says, reply.text)

    def test_filters_that_cost_much(self):
        for expression in ("(" * 10_000, "not " * 3000 + "Node==a", "Node matches \"(a*)*$\"",
                           "Node==a and " * 2000 + "Node==b", "Node matches \"" + "a?" * 500 + "\""):
            reply = self.client.get("catalog/nodes?filter=" + expression.replace(" ", "%20")
                                    .replace('"', "%22").replace("?", "%3F"))
            self.assertIn(reply.status, (200, 431, 500))

    def test_many_idle_connections_cost_little(self):
        before = self.resident_megabytes()
        idle = [self.connect() for _ in range(IDLE_CONNECTIONS)]
        self.assertEqual(self.client.get("status/leader").status, 200)
        self.assertLess(self.resident_megabytes() - before, IDLE_CONNECTIONS * 8 / 1024)
        for connection in idle:
            connection.close()

    def test_who_sends_slowly_is_ended(self):
        slow = [self.connect() for _ in range(50)]
        for connection in slow:
            connection.sendall(b"GET /v1/status/leader HTTP/1.1\r\nX: ")
        for _ in range(3):
            for connection in slow:
                connection.sendall(b"a")
            self.assertEqual(self.client.get("status/leader").status, 200)
        answer = slow[0].recv(4096)
        self.assertEqual(answer.split(b" ")[1], b"408")

    def test_who_leaves_while_it_waits_is_forgotten(self):
        index = self.client.get("catalog/nodes").index
        waiting = [self.connect() for _ in range(20)]
        for connection in waiting:
            connection.sendall(f"GET /v1/catalog/nodes?index={index}&wait=5m HTTP/1.1\r\n"
                               "Host: x\r\n\r\n".encode())
        held = lambda: float(next(
            line.split()[1] for line in
            self.client.get("agent/metrics?format=prometheus").text.splitlines()
            if line.startswith("pharos_http_blocking_queries ")))
        wire.until("all wait", lambda: held() == 20)
        for connection in waiting:
            connection.close()
        wire.until("none waits", lambda: held() == 0)


class Limits(lib.AgentTest):
    config = {"limits": {"http_max_conns_per_client": 5}}

    def test_connections_of_one_client_are_bounded(self):
        port = self.agent.ports["http"]
        held = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(5)]
        self.addCleanup(lambda: [connection.close() for connection in held])
        for connection in held:
            connection.sendall(b"GET /v1/status/leader HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b"200 OK", connection.recv(4096))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as extra:
            answer = extra.recv(4096)
        self.assertIn(b" 429 ", answer)
        self.assertIn(b"Your IP is issuing too many concurrent connections", answer)
        held.pop().close()
        wire.until("there is room again", lambda: self.served(port))

    @staticmethod
    def served(port):
        try:
            return http_client.Client(port).get("status/leader").status == 200
        except OSError:
            return False


if __name__ == "__main__":
    lib.main()
