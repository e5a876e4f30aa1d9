#!/usr/bin/env python3
"""Usage: bench/http_api.py [-seconds S] [-watchers N] [-samples N] [-build FOLDER]

Measures the HTTP API of the agent in three ways. What a read of /v1/health/service/NAME?passing
costs, by wrk, with 1, 10 and 100 instances (S seconds each, 5): requests a second, and the agent's
CPU time a request. What N (10,000) held requests on 1,000 services cost in memory, and what 1,000
writes a second to other services cost while they wait, of which none may wake one. And how long
after a check is told to fail the DNS answer changes (N samples, 500). See bench/README.md.
"""
import argparse
import asyncio
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))
import lib  # noqa: E402  (needs the path above)
import per_query  # noqa: E402
import wire  # noqa: E402

SIZES = (1, 10, 100)
WATCHED_SERVICES = 1000
WRITES_PER_SECOND = 1000


class Agent(lib.Agent):
    def put(self, path, body=None):
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports['http']}{path}",
                                         json.dumps(body).encode() if body else b"", method="PUT")
        with urllib.request.urlopen(request, timeout=10) as reply:
            return reply.read()

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['http']}{path}",
                                    timeout=10) as reply:
            return reply, reply.read()


def register(agent, service, node):
    agent.put("/v1/catalog/register", {
        "Node": node, "Address": "10.0.0.1",
        "Service": {"Service": service, "Port": 80, "Tags": ["v1", "blue"], "Meta": {"v": "1"}},
        "Check": {"Name": "alive", "Status": "passing", "ServiceID": service}})


def reads(agent, seconds):
    print(f"{'instances':>9} {'octets':>8} {'requests/s':>11} {'CPU us':>8}")
    for size in SIZES:
        for i in range(size):
            register(agent, f"svc-{size}", f"node-{size}-{i}")
        path = f"/v1/health/service/svc-{size}?passing"
        octets = len(agent.get(path)[1])
        url = f"http://127.0.0.1:{agent.ports['http']}{path}"
        before = per_query.cpu_seconds(agent.process.pid)
        report = subprocess.run([*per_query.pin(1), "wrk", "-t1", "-c16", f"-d{seconds}s", url],
                                capture_output=True, text=True, check=True).stdout
        spent = per_query.cpu_seconds(agent.process.pid) - before
        requests = int(re.search(r"(\d+) requests in", report)[1])
        if "Non-2xx" in report:
            sys.exit(f"wrk got errors:\n{report}")
        print(f"{size:9} {octets:8} {requests / seconds:11,.0f} {spent / requests * 1e6:8.1f}",
              flush=True)


async def hold(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return asyncio.create_task(reader.read(1)), writer


async def watch(agent, count):
    for i in range(WATCHED_SERVICES):
        register(agent, f"watched-{i}", "watched")
    last = agent.get(f"/v1/health/service/watched-{WATCHED_SERVICES - 1}")[0]
    index = int(last.headers["X-Consul-Index"])  # Nothing has changed any of them since.
    before = per_query.resident_megabytes(agent.process.pid)
    held = [await hold(agent.ports["http"], f"/v1/health/service/watched-{i % WATCHED_SERVICES}"
                       f"?index={index}&wait=10m") for i in range(count)]
    await asyncio.sleep(1)
    after = per_query.resident_megabytes(agent.process.pid)
    print(f"{count} held requests: {(after - before) * 1024 / count:.2f} KB each")

    reader, writer = await asyncio.open_connection("127.0.0.1", agent.ports["http"])
    spent = per_query.cpu_seconds(agent.process.pid)
    seconds, written = 5, 0
    start = time.monotonic()
    while written < seconds * WRITES_PER_SECOND:
        body = json.dumps({"Node": "other", "Address": "10.0.0.2", "Service": {
            "Service": f"other-{written % 100}", "Port": written % 60000 + 1}}).encode()
        writer.write(b"PUT /v1/catalog/register HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
                     % len(body) + body)
        await reader.readuntil(b"\r\n\r\ntrue")
        written += 1
        ahead = start + written / WRITES_PER_SECOND - time.monotonic()
        if ahead > 0.002:
            await asyncio.sleep(ahead)
    took = time.monotonic() - start
    spent = per_query.cpu_seconds(agent.process.pid) - spent
    woken = sum(task.done() for task, _ in held)
    print(f"{written / took:,.0f} unrelated writes/s: {woken} of {count} woken, "
          f"{spent / took * 100:.0f} % of a core, {spent / written * 1e6:.0f} us a write")
    for task, each in held:
        task.cancel()
        each.close()
    if woken:
        sys.exit("unrelated writes woke those who wait")


def check_to_dns(agent, samples):
    agent.put("/v1/agent/service/register", {"Name": "told", "Port": 1, "Check": {"TTL": "1h"}})
    times = []
    question = wire.query("told.service.consul", "SRV")
    with wire.udp(agent.dns_port) as asker:
        for i in range(samples * 2):
            word, gone = ("fail", True) if i % 2 else ("pass", False)
            start = time.monotonic()
            agent.put(f"/v1/agent/check/{word}/service:told")
            while True:
                asker.send(question)
                if (wire.Head(asker.recv(4096)).rcode == wire.NXDOMAIN) == gone:
                    break
            times.append((time.monotonic() - start) * 1000)
    times.sort()
    print(f"check told -> DNS answer changed, {len(times)} times: "
          f"median {times[len(times) // 2]:.2f} ms, p99 {times[len(times) * 99 // 100]:.2f} ms")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-seconds", type=int, default=5)
    parser.add_argument("-watchers", type=int, default=10_000)
    parser.add_argument("-samples", type=int, default=500)
    parser.add_argument("-build", default=ROOT / "build-release", type=pathlib.Path)
    options = parser.parse_args()
    config = {"limits": {"http_max_conns_per_client": 0}, "log_level": "warn"}
    lib.PHAROS = options.build / "agent" / "pharos"
    with Agent(config, binary=lib.PHAROS) as agent:
        reads(agent, options.seconds)
        asyncio.run(watch(agent, options.watchers))
        check_to_dns(agent, options.samples)


if __name__ == "__main__":
    main()
