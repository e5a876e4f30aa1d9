"""A DNS server to be asked by the server under test: a scripted zone over UDP and TCP on one port
of loopback, that can be slow, silent or refuse, and counts what it is asked."""
import collections
import socket
import struct
import threading

import lib
import wire

Answer = collections.namedtuple("Answer", "rcode answer authority")


class Upstream:
    """For use in `with`. What is not added is NXDOMAIN with an SOA. All may be changed while it
    runs."""

    def __init__(self, port=None):
        self.port = port or lib.free_ports(1)[0]
        self.address = f"127.0.0.1:{self.port}"
        self.zone = {}
        self.negative_ttl = 60
        self.rcode = None        # When set, the answer to everything.
        self.silent = False      # Reads and does not answer.
        self.truncate = False    # TC and no records by UDP.
        self.hold = None         # An Event that replies wait for.
        self.udp_count = self.tcp_count = 0
        self._asked = collections.Counter()
        self._lock = threading.Lock()
        self._stop = False

    def add(self, name, qtype, *records, rcode=wire.NOERROR):
        """Records in wire form; none is NODATA."""
        self.zone[name.lower(), wire.TYPES[qtype]] = Answer(rcode, records, ())

    def asked(self, name=None):
        """How many questions came, about this name or in all; what is sent again counts again."""
        with self._lock:
            return self._asked[name] if name else sum(self._asked.values())

    def __enter__(self):
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._udp.bind(("127.0.0.1", self.port))
        self._tcp.bind(("127.0.0.1", self.port))
        self._tcp.listen()
        self._stop = False
        for serve in self._serve_udp, self._serve_tcp:
            threading.Thread(target=serve, daemon=True).start()
        return self

    def __exit__(self, *unused):
        self.stop()

    def stop(self):
        """Nobody listens any more, until it is entered again."""
        self._stop = True
        if self.hold:
            self.hold.set()
        for each in self._udp, self._tcp:
            try:
                each.shutdown(socket.SHUT_RDWR)  # Wakes the thread that waits in it.
            except OSError:
                pass
            each.close()

    def _serve_udp(self):
        while not self._stop:
            try:
                message, client = self._udp.recvfrom(65535)
            except OSError:
                return
            if not message:
                continue
            self.udp_count += 1
            threading.Thread(target=self._reply_udp, args=(self._udp, message, client),
                             daemon=True).start()

    def _reply_udp(self, udp, message, client):
        reply = self._reply(message, self.truncate)
        if reply:
            try:
                udp.sendto(reply, client)
            except OSError:
                pass

    def _serve_tcp(self):
        while not self._stop:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,),
                             daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            try:
                while not self._stop:
                    length = stream.read(2)
                    if len(length) < 2:
                        return
                    message = stream.read(struct.unpack("!H", length)[0])
                    self.tcp_count += 1
                    reply = self._reply(message, False)
                    if reply:
                        connection.sendall(wire.framed(reply))
            except OSError:
                return

    def _reply(self, message, truncate):
        name, end = _read_name(message)
        qtype, = struct.unpack_from("!H", message, end)
        with self._lock:
            self._asked[name.lower()] += 1
        if self.hold:
            self.hold.wait()
        if self.silent or self._stop:
            return None
        head = wire.Head(message)
        question = message[12:end + 4]
        answer = self.zone.get((name.lower(), qtype))
        if answer is None:
            soa = wire.name("ns.example") + wire.name("host.example") + struct.pack(
                "!5I", 1, 2, 3, 4, self.negative_ttl)
            exists = any(known == name.lower() for known, _ in self.zone)
            answer = Answer(wire.NOERROR if exists else wire.NXDOMAIN, (),
                            (wire.record("example.com", "SOA", self.negative_ttl, soa),))
        if self.rcode is not None:
            answer = Answer(self.rcode, (), ())
        flags = wire.QR | wire.RA | (head.flags & wire.RD) | answer.rcode
        if truncate:
            return wire.header(head.ident, flags | wire.TC) + question
        return (wire.header(head.ident, flags, 1, len(answer.answer), len(answer.authority)) +
                question + b"".join(answer.answer) + b"".join(answer.authority))


def _read_name(message):
    """The name of the question as text, and where it ends."""
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1:at + 1 + message[at]].decode())
        at += 1 + message[at]
    return ".".join(labels), at + 1
