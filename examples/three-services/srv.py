"""Where the instances of a service are, asked of DNS: SRV records (RFC 2782) over UDP, no more."""
import os
import random
import socket
import struct

SRV = 33
A = 1


def _name(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".")) + b"\0"


def _read_name(message, at):
    """The name at an offset, and where it ends (RFC 1035 section 4.1.4)."""
    labels, end = [], None
    while message[at]:
        if message[at] >= 0xC0:
            end = end or at + 2
            at = struct.unpack_from("!H", message, at)[0] & 0x3FFF
        else:
            labels.append(message[at + 1:at + 1 + message[at]].decode())
            at += 1 + message[at]
    return ".".join(labels).lower(), end or at + 1


def instances(name, server=None):
    """[(address, port)] of a service's healthy instances, in the order to try them. Empty: none."""
    host, port = (server or os.environ.get("PHAROS_DNS", "127.0.0.1:8600")).rsplit(":", 1)
    question = random.randrange(65536)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(2)
        udp.connect((host, int(port)))
        udp.send(struct.pack("!6H", question, 0x0100, 1, 0, 0, 0) + _name(name) +
                 struct.pack("!2H", SRV, 1))
        message = udp.recv(4096)
    counts = struct.unpack_from("!6H", message)
    if counts[0] != question or counts[1] & 0xF:
        return []
    at = _read_name(message, 12)[1] + 4
    targets, addresses = [], {}
    for _ in range(sum(counts[3:])):
        owner, at = _read_name(message, at)
        rtype, _, _, length = struct.unpack_from("!HHIH", message, at)
        at += 10
        if rtype == SRV:
            priority, _, target_port = struct.unpack_from("!3H", message, at)
            targets.append((priority, _read_name(message, at + 6)[0], target_port))
        elif rtype == A:
            addresses[owner] = socket.inet_ntoa(message[at:at + 4])
        at += length
    return [(addresses[target], port) for _, target, port in sorted(targets, key=lambda t: t[0])
            if target in addresses]
