#!/usr/bin/env python3
"""Usage: bench/churn.py [-seconds S] [-samples N] [-rates R,...] [-soak SECONDS] [-build FOLDER]

Measures lookups while services are registered. An agent with 1,000 services of three instances is
asked for A in turns at rest and under R (1,000 and 10,000) registrations a second by HTTP, each of
which changes a service: lookups a second, the DNS threads' CPU time for each (the load and the
registrations have the agent's cores, too), p99 at 5,000 a second, and how long until a registration is
acknowledged and whether DNS then has it. -soak does everything together for so long: full load,
registrations, reloads, and outside names from a recursor; then lost replies, what the kernel dropped
and memory are told. See bench/README.md.
"""
import argparse
import json
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))
import namespace  # noqa: E402  (needs the path above)
import rivals  # noqa: E402
from measure import cpu_seconds, resident_megabytes  # noqa: E402

SERVICES, INSTANCES = 1000, 3
A = ["-pattern", "svc-%d.service.consul", "-type", "A", "-rcode", "0", "-answers", "3"]


def request(i):
    """A registration that changes the catalog: another port for the service each time."""
    body = json.dumps({"Node": f"churn-{i % 500}", "Address": "10.9.0.1", "Service": {
        "Service": f"churn-{i % 500}", "Port": 1024 + i % 60000}}).encode()
    return (b"PUT /v1/catalog/register HTTP/1.1\r\nHost: agent\r\nContent-Length: "
            + str(len(body)).encode() + b"\r\n\r\n" + body)


class Registrations:
    """Registers at a rate over one connection, in ticks of 5 ms, until the block ends."""

    TICK_S = 0.005

    def __init__(self, port, rate):
        self.port, self.rate, self.sent, self.done = port, rate, 0, 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        if self.rate:
            self._thread.start()
        self.began = time.monotonic()
        return self

    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        self._stop.set()
        if self.rate:
            self._thread.join()

    def _run(self):
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.settimeout(10)
            began = time.monotonic()
            while not self._stop.is_set():
                due = int((time.monotonic() - began) * self.rate) - self.sent
                if due > 0:
                    connection.sendall(b"".join(request(self.sent + i) for i in range(due)))
                    self.sent += due
                    while self.done < self.sent:
                        received = connection.recv(1 << 20)
                        if b" 500 " in received or b" 400 " in received or not received:
                            sys.exit(f"a registration was refused: {received[:500]}")
                        self.done += received.count(b"HTTP/1.1 200")
                time.sleep(self.TICK_S)


def fill(port):
    """The services that are asked for."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        for j in range(INSTANCES):
            for i in range(SERVICES):
                body = json.dumps({"Node": f"node-{j}", "Address": f"10.0.0.{j + 1}", "Service": {
                    "Service": f"svc-{i}", "Port": 8000 + j,
                    "Address": rivals.address(i, j)}}).encode()
                connection.sendall(b"PUT /v1/catalog/register HTTP/1.1\r\nHost: agent\r\n"
                                   b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body)
                if b" 200 " not in connection.recv(65536):
                    sys.exit(f"svc-{i} was refused")


def load(build, port, seconds, *options, judged=True):
    run = subprocess.run(["taskset", "-c", "1", build / "bench/load/load", "-server",
                          f"127.0.0.1:{port}", "-seconds", str(seconds), *options],
                         stdout=subprocess.PIPE, text=True, check=False)
    if judged and run.returncode != 0:
        sys.exit(f"the load generator is not content:\n{run.stdout}")
    return json.loads(run.stdout)


def acknowledgements(http_port, dns_port, count):
    """Milliseconds until each registration was acknowledged, sorted; each must then be in DNS."""
    took = []
    with socket.create_connection(("127.0.0.1", http_port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
            asker.connect(("127.0.0.1", dns_port))
            asker.settimeout(2)
            for i in range(count):
                name = f"fresh-{i}"
                body = json.dumps({"Node": "fresh", "Address": "10.9.0.2", "Service": {
                    "Service": name, "Port": 80}}).encode()
                text = (b"PUT /v1/catalog/register HTTP/1.1\r\nHost: agent\r\nContent-Length: "
                        + str(len(body)).encode() + b"\r\n\r\n" + body)
                began = time.perf_counter()
                connection.sendall(text)
                reply = connection.recv(65536)
                took.append((time.perf_counter() - began) * 1000)
                if b" 200 " not in reply:
                    sys.exit(f"a registration was refused: {reply}")
                qname = b"".join(bytes([len(part)]) + part.encode()
                                 for part in (name, "service", "consul"))
                asker.send(b"\0\1\1\0\0\1\0\0\0\0\0\0" + qname + b"\0\0\1\0\1")
                if asker.recv(512)[7] != 1:
                    sys.exit(f"{name} was acknowledged and is not in DNS")
    return sorted(took)


def counters(http_port, *names):
    with urllib.request.urlopen(f"http://127.0.0.1:{http_port}/v1/agent/metrics?format=prometheus",
                                timeout=10) as reply:
        text = reply.read().decode()
    return {name: sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
                      if line.startswith(name)) for name in names}


def soak(arguments, server, ports):
    """All at once, for as long as told."""
    place = pathlib.Path(f"/tmp/pharos-soak-{random.randrange(1 << 30)}")
    with place.open("w") as queries:
        for i in range(20_000):
            queries.write(f"svc-{i % SERVICES}.service.consul {'SRV' if i % 7 == 0 else 'A'} 0 3\n")
            if i % 10 == 0:
                queries.write(f"host-{i % rivals.OUTSIDE_NAMES}.example A 0 1\n")
    began = time.monotonic()
    total = {"sent": 0, "answered": 0, "lost": 0, "wrong": 0}
    memory = []
    try:
        with Registrations(ports["http"], 1000) as registrations:
            while time.monotonic() - began < arguments.soak:
                result = load(arguments.build, ports["dns"], 10, "-file", str(place), judged=False)
                for name in ("sent", "answered", "lost"):
                    total[name] += result[name]
                total["wrong"] += sum(result["wrong"].values())
                memory.append(server.total(resident_megabytes))
                subprocess.run(["kill", "-HUP", str(server.pid)], check=True)
    finally:
        place.unlink()
    total["registered"] = registrations.done
    total |= counters(ports["http"], "pharos_dns_udp_kernel_dropped_total",
                      "pharos_dns_udp_send_failed_total", "pharos_dns_shed_total")
    total["resident_mb"] = [round(memory[0], 1), round(memory[len(memory) // 2], 1),
                            round(memory[-1], 1)]
    print(json.dumps(total, indent=1))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.removeprefix("Usage: "), allow_abbrev=False)
    parser.add_argument("-seconds", type=float, default=2)
    parser.add_argument("-samples", type=int, default=7)
    parser.add_argument("-rates", default="1000,10000")
    parser.add_argument("-soak", type=float, default=0)
    parser.add_argument("-build", type=pathlib.Path, default=ROOT / "build-release")
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    namespace.enter()
    with rivals.outside([], 3600) as upstream, \
            rivals.whole_agent(arguments.build, upstream) as (server, ports):
        fill(ports["http"])
        if arguments.soak:
            return soak(arguments, server, ports)
        rates = [0, *map(int, arguments.rates.split(","))]
        seen = {rate: {"per_second": [], "cpu_us": [], "p99": [], "registered": []}
                for rate in rates}
        for _ in range(arguments.samples):
            for rate in rates:
                with Registrations(ports["http"], rate) as registrations:
                    before = cpu_seconds(server.pid, "dns")
                    full = load(arguments.build, ports["dns"], arguments.seconds, *A)
                    spent = cpu_seconds(server.pid, "dns") - before
                    calm = load(arguments.build, ports["dns"], arguments.seconds, *A, "-rate", "5000")
                seen[rate]["per_second"].append(full["answered_per_second"])
                seen[rate]["cpu_us"].append(spent / full["answered"] * 1e6)
                seen[rate]["p99"].append(calm["latency_us"]["p99"])
                seen[rate]["registered"].append(registrations.done / registrations.seconds)
        rest = sorted(seen[0]["per_second"])[-arguments.samples // 4]
        print(f"{'asked for':>10} {'reached':>8} {'lookups/s':>10} {'of rest':>8} {'DNS CPU us':>11} "
              f"{'p99 us at 5k':>13}")
        for rate in rates:
            best = sorted(seen[rate]["per_second"])[-arguments.samples // 4]
            p99 = sorted(seen[rate]["p99"])[arguments.samples // 4]
            cpu = sorted(seen[rate]["cpu_us"])[arguments.samples // 4]
            reached = sorted(seen[rate]["registered"])[arguments.samples // 2]
            print(f"{rate:10} {reached:8.0f} {best:10.0f} {best / rest:8.3f} {cpu:11.3f} "
                  f"{p99:13.0f}")
        took = acknowledgements(ports["http"], ports["dns"], 2000)
        print(f"acknowledged after ms: p50 {took[1000]:.3f}, p99 {took[1980]:.3f}; "
              "each was in DNS when it was")
    return None


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    main()
