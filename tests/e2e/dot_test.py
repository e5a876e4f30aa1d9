"""Recursors by DNS over TLS (RFC 7858): one connection for many questions, certificates verified,
and what happens when the connection breaks."""
import concurrent.futures
import pathlib
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW = "www.example.com"


def make_certificate(folder, name, subject_alternatives):
    """A self-signed certificate, which is its own authority."""
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext",
         f"subjectAltName={subject_alternatives}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


class TlsUpstream(upstream.Upstream):
    """Speaks TLS on its TCP port."""

    def __init__(self, certificate, key):
        super().__init__()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.connections = 0
        self.answers_each = None  # So many, and then it closes the connection.
        self.open = []
        self.messages = []
        self.backwards = None     # So many are gathered and answered in the opposite order.

    def _serve_connection(self, connection):
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                self.connections += 1
                self.open.append(tls)
                self._serve_tls(tls)
        except (OSError, ssl.SSLError):
            connection.close()

    def _serve_tls(self, tls):
        stream, answered, held = tls.makefile("rb"), 0, []
        while not self._stop:
            length = stream.read(2)
            if len(length) < 2:
                return
            message = stream.read(int.from_bytes(length, "big"))
            self.tcp_count += 1
            self.messages.append(message)
            reply = self._reply(message, False)
            if reply:
                held.append(wire.framed(reply))
            if len(held) < (self.backwards or 1):
                continue
            for each in reversed(held):
                tls.sendall(each)
            answered += len(held)
            held = []
            if self.answers_each and answered >= self.answers_each:
                # Closed with what is unread, the system would take back what was sent.
                tls.shutdown(socket.SHUT_WR)
                while stream.read(4096):
                    pass
                return

    def close_all(self):
        for tls in self.open:
            try:
                tls.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.open = []


class Dot(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="pharos-test-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.named = make_certificate(cls.folder, "dns.example", "DNS:dns.example")
        cls.by_ip = make_certificate(cls.folder, "by-ip", "IP:127.0.0.1")

    def start_server(self, certificate):
        server = self.enterContext(TlsUpstream(*certificate))
        server.add(WWW, "A", wire.record(WWW, "A", 60, socket.inet_aton("192.0.2.1")))
        for number in range(200):
            name = f"n{number}.example.com"
            server.add(name, "A", wire.record(name, "A", 60, socket.inet_aton(f"10.0.1.{number}")))
        return server

    def start_agent(self, server, trusted, name="", **config):
        return self.enterContext(lib.Agent({
            "recursors": [f"tls://{server.address}{name}"],
            "dns_config": {"threads": 1, "recursor_ca_file": str(trusted[0]),
                           "recursor_timeout": "1s", **config}}))

    def test_one_connection_carries_many_questions(self):
        server = self.start_server(self.named)
        agent = self.start_agent(server, self.named, "#dns.example")
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            asked = {number: pool.submit(agent.dig, f"n{number}.example.com", seconds=5)
                     for number in range(50)}
            for number, reply in asked.items():
                self.assertEqual(reply.result().rdata(), [f"10.0.1.{number}"])
        self.assertEqual((server.connections, server.udp_count), (1, 0))

    def test_replies_may_come_in_another_order(self):
        server = self.start_server(self.named)
        server.backwards = 10
        agent = self.start_agent(server, self.named, "#dns.example", recursor_timeout="4s")
        with wire.udp(agent.dns_port) as asker:
            for number in range(10):
                asker.send(wire.query(f"n{number}.example.com", ident=number))
            for _ in range(10):
                reply = asker.recv(512)
                self.assertEqual(reply[-1], wire.Head(reply).ident)

    def test_certificates_are_verified(self):
        cases = (("by its name", self.named, self.named, "#dns.example", True),
                 ("another name", self.named, self.named, "#other.example", False),
                 ("by the address", self.by_ip, self.by_ip, "", True),
                 ("not for the address", self.named, self.named, "", False),
                 ("not for the name", self.by_ip, self.by_ip, "#dns.example", False),
                 ("another authority", self.named, self.by_ip, "#dns.example", False))
        for what, shown, trusted, name, good in cases:
            with self.subTest(what):
                server = self.start_server(shown)
                agent = self.start_agent(server, trusted, name)
                reply = agent.dig(WWW, seconds=6)
                self.assertEqual(reply.status, "NOERROR" if good else "SERVFAIL", reply)
                if not good:
                    self.assertEqual((server.tcp_count, server.udp_count), (0, 0),
                                     "no question is told to who is not known")
                    self.assertIn("certificate verify failed", agent.log(500))

    def test_a_connection_that_was_closed_is_opened_again(self):
        server = self.start_server(self.named)
        agent = self.start_agent(server, self.named, "#dns.example")
        self.assertEqual(agent.dig("n1.example.com", seconds=5).rdata(), ["10.0.1.1"])
        server.close_all()
        self.assertEqual(agent.dig("n2.example.com", seconds=5).rdata(), ["10.0.1.2"])
        server.stop()
        self.assertEqual(agent.dig("n3.example.com", seconds=6).status, "SERVFAIL")
        server.__enter__()
        self.addCleanup(server.stop)
        wire.until("it is asked again",
                   lambda: agent.dig("n4.example.com", seconds=6).rdata() == ["10.0.1.4"] or
                   agent.dig("n5.example.com", seconds=6).rdata() == ["10.0.1.5"], seconds=20)

    def test_questions_under_way_survive_a_server_that_closes_often(self):
        server = self.start_server(self.named)
        server.answers_each = 3
        agent = self.start_agent(server, self.named, "#dns.example", recursor_timeout="4s")
        with wire.udp(agent.dns_port) as asker:
            for number in range(30):
                asker.send(wire.query(f"n{number}.example.com", ident=number))
            for _ in range(30):
                reply = asker.recv(512)
                self.assertEqual((wire.Head(reply).rcode, reply[-1]),
                                 (wire.NOERROR, wire.Head(reply).ident))
        self.assertGreaterEqual(server.connections, 10)

    def test_a_silent_peer_is_given_up_in_time_and_its_connection_too(self):
        server = self.start_server(self.named)
        agent = self.start_agent(server, self.named, "#dns.example")
        agent.dig(WWW, seconds=5)
        server.hold = threading.Event()
        self.assertEqual(agent.dig("n1.example.com", seconds=6).status, "SERVFAIL")
        server.hold.set()
        self.assertEqual(agent.dig("n2.example.com", seconds=6).rdata(), ["10.0.1.2"])
        self.assertEqual(server.connections, 2)

    def test_queries_are_padded(self):
        """RFC 7830 and RFC 8467 section 4.1: blocks of 128 octets."""
        server = self.start_server(self.named)
        agent = self.start_agent(server, self.named, "#dns.example")
        for name in WWW, "a-rather-long-name-that-needs-a-second-block." * 2 + "example.com":
            agent.dig(name, seconds=5)
        self.assertEqual([len(each) % 128 for each in server.messages], [0, 0])

    def test_a_file_that_cannot_be_used_stops_the_start_and_not_a_running_agent(self):
        server = self.start_server(self.named)
        broken = self.folder / "broken.pem"
        broken.write_text("no certificate")
        with self.assertRaisesRegex(AssertionError, "broken.pem"):
            self.start_agent(server, (broken,), "#dns.example")
        agent = self.start_agent(server, self.named, "#dns.example")
        agent.write("config.json", {
            "node_name": "agent-1", "bind_addr": "127.0.0.1", "ports": agent.ports,
            "recursors": [f"tls://{server.address}#dns.example"],
            "dns_config": {"threads": 1, "recursor_ca_file": str(broken)}})
        agent.process.send_signal(signal.SIGHUP)
        wire.until("the reload is refused", lambda: "broken.pem" in agent.log(500))
        self.assertEqual(agent.dig(WWW, seconds=5).status, "NOERROR")


lib.main()
