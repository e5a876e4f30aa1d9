#!/usr/bin/env python3
"""Usage: bench/http_api.py [-seconds S] [-rounds R] [-watchers N] [-samples N] [-build FOLDER]

Measures the HTTP API of the agent in three ways. What a read of /v1/health/service/NAME?passing
costs, by wrk, with 1, 10 and 100 instances: requests a second, and CPU time a request. nginx giving
the same octets from a file, and Consul if there is one on PATH, are asked in turns with it (R rounds
of S seconds each; 5 of 2), and the quartile with the lesser CPU time is told. What N (10,000) held
requests on 1,000 services cost in memory, and what 1,000 writes a second to other services cost
while they wait, of which none may wake one. And how long after a check is told to fail the DNS
answer changes (N samples, 500). See bench/README.md.
"""
import argparse
import asyncio
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))
import lib  # noqa: E402  (needs the path above)
import measure  # noqa: E402
import wire  # noqa: E402

SIZES = (1, 10, 100)
WATCHED_SERVICES = 1000
WRITES_PER_SECOND = 1000
HTTP_THREADS = 2
CONFIG = {"limits": {"http_max_conns_per_client": 0}, "log_level": "warn"}


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


class Nginx:
    """Gives the answers that it was given, as files; as many workers as the agent has threads."""

    name = "nginx"

    def __init__(self, answers):
        self._folder = tempfile.TemporaryDirectory(prefix="pharos-bench-")
        folder = pathlib.Path(self._folder.name)
        folder.chmod(0o755)
        for path, body in answers.items():
            file = folder / "files" / path.split("?")[0].lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(body)
        self.port, = lib.free_ports(1)
        scratch = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        (folder / "nginx.conf").write_text(f"""
            daemon off; pid {folder}/pid; error_log stderr; worker_processes {HTTP_THREADS};
            events {{ worker_connections 1024; }}
            http {{ {scratch} access_log off; sendfile on; tcp_nopush on; default_type application/json;
                    keepalive_requests 1000000000; open_file_cache max=100;
                    server {{ listen 127.0.0.1:{self.port}; root {folder}/files; }} }}""")
        self.process = subprocess.Popen(
            ["nginx", "-c", folder / "nginx.conf", "-p", folder], stderr=subprocess.DEVNULL,
            env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"})

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid, *map(int, children.read_text().split())]

    def __enter__(self):
        wire.until("nginx listens", self.listens)
        return self

    def listens(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=lib.STOP_SECONDS)
        self._folder.cleanup()


class Asked:
    """An agent, ours or Consul's, as one of those that are measured."""

    def __init__(self, name, agent):
        self.name, self.agent, self.port = name, agent, agent.ports["http"]

    def pids(self):
        return [self.agent.process.pid]


def register(agent, service, node):
    agent.put("/v1/catalog/register", {
        "Node": node, "Address": "10.0.0.1",
        "Service": {"Service": service, "Port": 80, "Tags": ["v1", "blue"], "Meta": {"v": "1"}},
        "Check": {"Name": "alive", "Status": "passing", "ServiceID": service}})


def fill(agent):
    """Returns {path: answer} of what is to be read."""
    wire.until("it leads", lambda: agent.get("/v1/status/leader")[1] != b'""')
    answers = {}
    for size in SIZES:
        for i in range(size):
            register(agent, f"svc-{size}", f"node-{size}-{i}")
        path = f"/v1/health/service/svc-{size}?passing"
        answers[path] = agent.get(path)[1]
    return answers


def sample(server, path, seconds):
    """(CPU us a request, requests a second) of `seconds` under wrk."""
    before = sum(measure.cpu_seconds(pid) for pid in server.pids())
    report = subprocess.run(
        [*measure.pin(1), "wrk", "-t1", "-c16", f"-d{seconds}s",
         f"http://127.0.0.1:{server.port}{path}"], capture_output=True, text=True, check=True).stdout
    spent = sum(measure.cpu_seconds(pid) for pid in server.pids()) - before
    requests = int(re.search(r"(\d+) requests in", report)[1])
    if "Non-2xx" in report or not requests:
        sys.exit(f"wrk got errors from {server.name}:\n{report}")
    return spent / requests * 1e6, requests / seconds


def reads(agent, options):
    with contextlib.ExitStack() as stack:
        answers = fill(agent)
        servers = [Asked("pharos", agent), stack.enter_context(Nginx(answers))]
        if consul := shutil.which("consul"):
            rival = stack.enter_context(Agent(CONFIG, binary=consul))
            fill(rival)
            servers.append(Asked("consul", rival))
        print(f"{'instances':>9} {'octets':>8} {'server':>8} {'requests/s':>11} {'CPU us':>8} "
              f"{'of nginx':>8}")
        for path, body in answers.items():
            taken = {server.name: [] for server in servers}
            for _ in range(options.rounds):
                for server in servers:
                    taken[server.name].append(sample(server, path, options.seconds))
            quartile = {name: sorted(each)[len(each) // 4] for name, each in taken.items()}
            for name, (cpu_us, rate) in quartile.items():
                print(f"{re.search('-([0-9]+)', path)[1]:>9} {len(body):8} {name:>8} {rate:11,.0f} "
                      f"{cpu_us:8.1f} {cpu_us / quartile['nginx'][0]:8.2f}", flush=True)


async def hold(port, path):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return asyncio.create_task(reader.read(1)), writer


async def watch(agent, count):
    for i in range(WATCHED_SERVICES):
        register(agent, f"watched-{i}", "watched")
    last = agent.get(f"/v1/health/service/watched-{WATCHED_SERVICES - 1}")[0]
    index = int(last.headers["X-Consul-Index"])  # Nothing has changed any of them since.
    before = measure.resident_megabytes(agent.process.pid)
    held = [await hold(agent.ports["http"], f"/v1/health/service/watched-{i % WATCHED_SERVICES}"
                       f"?index={index}&wait=10m") for i in range(count)]
    await asyncio.sleep(1)
    after = measure.resident_megabytes(agent.process.pid)
    print(f"{count} held requests: {(after - before) * 1024 / count:.2f} KB each")

    reader, writer = await asyncio.open_connection("127.0.0.1", agent.ports["http"])
    spent = measure.cpu_seconds(agent.process.pid)
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
    spent = measure.cpu_seconds(agent.process.pid) - spent
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
    parser.add_argument("-seconds", type=int, default=2)
    parser.add_argument("-rounds", type=int, default=5)
    parser.add_argument("-watchers", type=int, default=10_000)
    parser.add_argument("-samples", type=int, default=500)
    parser.add_argument("-build", default=ROOT / "build-release", type=pathlib.Path)
    options = parser.parse_args()
    with Agent(CONFIG, binary=options.build / "agent" / "pharos") as agent:
        reads(agent, options)
        asyncio.run(watch(agent, options.watchers))
        check_to_dns(agent, options.samples)


if __name__ == "__main__":
    main()
