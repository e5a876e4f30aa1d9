#!/usr/bin/env python3
"""How soon DNS stops naming a program that died. usage: bench/grpc_death.py [ROUNDS]

Starts an agent and, for each round, a holder (tests/grpc/holder.py), ends it in one of the ways below
and asks for its name every half millisecond until it is gone. Takes build-release/ where it is there.
"""
import os
import pathlib
import signal
import socket
import struct
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests" / "e2e"))
if "PHAROS_BUILD" not in os.environ and (ROOT / "build-release" / "agent" / "pharos").exists():
    os.environ["PHAROS_BUILD"] = str(ROOT / "build-release")
import grpc_client

grpc_client.use_debian_python()
import grpc_test
import lib

PAUSE_SECONDS = 0.0005


class Asker:
    """Asks one name by UDP."""

    def __init__(self, port, name):
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        self.query = b"\0\1\0\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.settimeout(1)
        self.socket.connect(("127.0.0.1", port))

    def answers(self):
        self.socket.send(self.query)
        return struct.unpack(">H", self.socket.recv(4096)[6:8])[0]


def rounds(agent, name, count, options, end):
    """Seconds from `end(holder)` until the name is gone, of each round."""
    asker = Asker(agent.dns_port, f"{name}.service.consul")
    took = []
    for _ in range(count):
        with grpc_test.Holder(agent.ports["grpc"], f"{name}:{name}:80", options=options) as holder:
            holder.wait_until_held()
            assert asker.answers() == 1
            begin = time.monotonic()
            end(holder.process)
            while asker.answers() > 0:
                time.sleep(PAUSE_SECONDS)
            took.append(time.monotonic() - begin)
    return sorted(took)


def release(process):
    process.stdin.write("release\n")
    process.stdin.flush()


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    ways = [
        ("killed (SIGKILL)", "killed", lambda process: process.kill()),
        ("released", "released", release),
        ("silent (SIGSTOP)", "silent", lambda process: process.send_signal(signal.SIGSTOP)),
    ]
    with lib.Agent() as agent:
        for what, name, end in ways:
            took = rounds(agent, name, count, [], end)
            p50, p99 = took[len(took) // 2], took[min(len(took) - 1, len(took) * 99 // 100)]
            print(f"{what}: {len(took)} rounds, p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, "
                  f"longest {took[-1] * 1000:.1f} ms", flush=True)


if __name__ == "__main__":
    main()
