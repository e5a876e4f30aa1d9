"""DNS messages as octets, for what dig does not ask or does not show, and ways to send them."""
import contextlib
import socket
import struct
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
         "SRV": 33, "OPT": 41, "ANY": 255}
QR, AA, TC, RD, RA, AD, CD = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080, 0x0020, 0x0010
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
# Codes of EDNS options.
NSID, CLIENT_SUBNET, COOKIE, KEEPALIVE, PADDING, EXTENDED_ERROR = 3, 8, 10, 11, 12, 15
SECONDS = 3


def name(text):
    """A name in wire form, not compressed."""
    labels = [label.encode() for label in text.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def opt(octets=1232, version=0, flags=0, options=b""):
    """An OPT record (RFC 6891 section 6.1.2)."""
    return b"\0" + struct.pack("!HHBBHH", 41, octets, 0, version, flags, len(options)) + options


def option(code, data=b""):
    """An option for opt()."""
    return struct.pack("!HH", code, len(data)) + data


def header(ident=1, flags=RD, questions=1, answers=0, authority=0, additional=0):
    return struct.pack("!6H", ident, flags, questions, answers, authority, additional)


def query(qname, qtype="A", ident=1, flags=RD, edns=None):
    """A query; `edns` is an OPT record."""
    question = name(qname) + struct.pack("!HH", TYPES[qtype], 1)
    return header(ident, flags, additional=0 if edns is None else 1) + question + (edns or b"")


def record(owner, rtype, ttl, rdata):
    return name(owner) + struct.pack("!HHIH", TYPES[rtype], 1, ttl, len(rdata)) + rdata


def _skip_name(message, at):
    """Where the name at `at` ends."""
    while message[at]:
        if message[at] >= 0xC0:
            return at + 2
        at += 1 + message[at]
    return at + 1


def records(message):
    """All records behind the question, as (section, type, class, ttl, rdata)."""
    head, at = Head(message), 12
    for _ in range(head.questions):
        at = _skip_name(message, at) + 4
    found = []
    for section, count in ("answer", head.answers), ("authority", head.authority), (
            "additional", head.additional):
        for _ in range(count):
            at = _skip_name(message, at)
            rtype, rclass, ttl, length = struct.unpack_from("!HHIH", message, at)
            found.append((section, rtype, rclass, ttl, message[at + 10:at + 10 + length]))
            at += 10 + length
    if at != len(message):
        raise AssertionError(f"{len(message) - at} octets behind the last record")
    return found


def options(message):
    """EDNS options of a message, by code; None without OPT."""
    for _, rtype, _, _, rdata in records(message):
        if rtype == TYPES["OPT"]:
            found, at = {}, 0
            while at < len(rdata):
                code, length = struct.unpack_from("!HH", rdata, at)
                found[code] = rdata[at + 4:at + 4 + length]
                at += 4 + length
            return found
    return None


def addresses(port, qname, seconds=SECONDS):
    """The IPv4 addresses that a name has at an agent, asked for by UDP with room for many. OSError
    says what came instead of an answer with NOERROR or NXDOMAIN."""
    with udp(port) as asker:
        asker.settimeout(seconds)
        asker.send(query(qname, edns=opt()))
        message = asker.recv(65535)
    if Head(message).rcode not in (NOERROR, NXDOMAIN):
        raise OSError(f"RCODE {rcode(message)}")
    return [socket.inet_ntoa(rdata) for section, rtype, _, _, rdata in records(message)
            if section == "answer" and rtype == TYPES["A"]]


def rcode(message):
    """The whole RCODE, with its upper bits from OPT (RFC 6891 section 6.1.3)."""
    upper = [ttl >> 24 for _, rtype, _, ttl, _ in records(message) if rtype == TYPES["OPT"]]
    return (upper[0] << 4 if upper else 0) | Head(message).rcode


class Head:
    """The header of a message."""

    def __init__(self, message):
        (self.ident, self.flags, self.questions, self.answers, self.authority,
         self.additional) = struct.unpack_from("!6H", message)
        self.rcode = self.flags & 0xF
        self.opcode = self.flags >> 11 & 0xF

    def has(self, flag):
        return bool(self.flags & flag)


@contextlib.contextmanager
def udp(port, host="127.0.0.1"):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(SECONDS)
        asker.connect((host, port))
        yield asker


def ask(port, message):
    """One reply by UDP; raises TimeoutError without one."""
    with udp(port) as asker:
        asker.send(message)
        return asker.recv(65535)


def is_ignored(port, message):
    """Whether the message gets no reply. A question asked after it, of the same socket and so of
    the same thread, is answered once the message has been dealt with."""
    with udp(port) as asker:
        asker.send(message)
        asker.send(query("consul", "SOA", ident=0xBEEF))
        return Head(asker.recv(65535)).ident == 0xBEEF


class Tcp:
    """A connection whose messages have the two octets of length (RFC 1035 section 4.2.2)."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.socket.close()

    def send(self, *messages):
        self.socket.sendall(b"".join(map(framed, messages)))

    def receive(self):
        length, = struct.unpack("!H", self._exactly(2))
        return self._exactly(length)

    def is_closed(self):
        """Waits for the peer to close, and takes anything else it sends for an error."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, count):
        octets = b""
        while len(octets) < count:
            piece = self.socket.recv(count - len(octets))
            if not piece:
                raise EOFError(f"closed after {len(octets)} of {count} octets")
            octets += piece
        return octets


def framed(message):
    return struct.pack("!H", len(message)) + message


def until(what, condition, seconds=10):
    """Waits for `condition` to return something true, and returns it."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.01)
