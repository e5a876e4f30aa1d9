#!/usr/bin/env python3
"""Usage: bench/servers.py [-seconds S] [-rounds R] [-servers N,...] [-services N]
       [-instances N] [-only PART,...] [-build FOLDER]

Measures the cluster of servers, on this machine, with data on its disk. Parts:

  writes    registrations a second at the leader of N servers (1, 3 and 5) by 1, 16 and 256 clients (wrk,
            HTTP/1.1), with the times of half and of 99 % of them, and in turns with them puts of
            etcd's (etcd 3.4 by its JSON gateway, 3 members), R rounds of S seconds each; medians
  failover  from kill -9 of the leader until another has taken a change: median of 10
  visible   from the acknowledgement of a change until DNS shows it: at the leader, at a follower
  large     N instances: time to fill, RSS an instance, restart of one server, a late server
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("-seconds", type=float, default=3)
parser.add_argument("-rounds", type=int, default=3)
parser.add_argument("-servers", default="1,3,5")
parser.add_argument("-services", type=int, default=100)
parser.add_argument("-instances", type=int, default=1_000_000)
parser.add_argument("-only", default="writes,failover,visible,large")
parser.add_argument("-build", default="build-release")
options = parser.parse_args()
os.environ["PHAROS_BUILD"] = str(ROOT / options.build)
import lib  # noqa: E402
import servers  # noqa: E402

CLIENTS = (1, 16, 256)
CONFIG = {"limits": {"http_max_conns_per_client": 0}, "log_level": "warn"}
# 1,000 instances of 100 services, which change in random order.
REGISTER = """
local n = 0
request = function()
  n = n + 1
  local id = math.random(1, 1000)
  local body = string.format('{"Node":"node-%d","Address":"10.0.0.1","Service":{"Service":"web-%d",' ..
    '"Port":%d,"Meta":{"padding":"%s"}}}', id, id % SERVICES, n % 60000 + 1, string.rep("x", 100))
  return wrk.format("PUT", "/v1/catalog/register", {["Content-Type"]="application/json"}, body)
end
"""
# Values of 200 octets under 1,000 keys, as JSON wants them in base64.
PUT = """
local n = 0
request = function()
  local key = string.format("a2V5LTAw%04d", math.random(0, 999))
  local body = '{"key":"' .. key .. '","value":"' .. string.rep("eHh4", 67) .. '"}'
  return wrk.format("POST", "/v3/kv/put", {["Content-Type"]="application/json"}, body)
end
"""
DONE = """
done = function(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), summary.errors.status + summary.errors.read +
    summary.errors.write + summary.errors.timeout))
end
"""


def wrk(url, script, clients, seconds):
    """Requests a second, and the microseconds of half and of 99 % of them."""
    seconds = max(1, round(seconds))  # wrk takes whole ones.
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write("math.randomseed(os.time())\n" + script + DONE)
        file.flush()
        out = subprocess.run(["wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "-s", file.name, url],
                             stdout=subprocess.PIPE, text=True, check=True).stdout
    count, duration_us, p50, p99, errors = map(int, re.search(
        r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+)", out).groups())
    if errors:
        print(f"  {errors} errors at {url}")
    return count * 1e6 / duration_us, p50, p99


class Etcd:
    """Three members, for use in `with`."""

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="etcd-")
        ports = lib.free_ports(6)
        self.clients, peers = ports[:3], ports[3:]
        cluster = ",".join(f"m{i}=http://127.0.0.1:{peers[i]}" for i in range(3))
        self.processes = [subprocess.Popen(
            ["etcd", "--name", f"m{i}", "--data-dir", f"{self._folder.name}/m{i}",
             "--listen-client-urls", f"http://127.0.0.1:{self.clients[i]}",
             "--advertise-client-urls", f"http://127.0.0.1:{self.clients[i]}",
             "--listen-peer-urls", f"http://127.0.0.1:{peers[i]}",
             "--initial-advertise-peer-urls", f"http://127.0.0.1:{peers[i]}",
             "--initial-cluster", cluster, "--log-level", "error"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for i in range(3)]
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            for port in self.clients:
                with contextlib.suppress(OSError, ValueError):
                    request = urllib.request.Request(
                        f"http://127.0.0.1:{port}/v3/maintenance/status", b"{}", method="POST")
                    status = json.load(urllib.request.urlopen(request, timeout=1))
                    if status.get("leader") == status["header"]["member_id"]:
                        self.url = f"http://127.0.0.1:{port}/v3/kv/put"
                        return self
            time.sleep(0.1)
        raise SystemExit("etcd has no leader")

    def __exit__(self, *unused):
        for process in self.processes:
            process.kill()
            process.wait()
        self._folder.cleanup()


def measure_writes():
    print("writes: clients, per second, us p50, us p99 (medians)")
    etcd = shutil.which("etcd")
    for count in map(int, options.servers.split(",")):
        with contextlib.ExitStack() as stack:
            cluster = stack.enter_context(servers.Servers(count, config=CONFIG))
            other = stack.enter_context(Etcd()) if count == 3 and etcd else None
            leader = cluster.wait_leader()
            url = f"http://127.0.0.1:{leader.ports['http']}"
            for clients in CLIENTS:
                ours, theirs = [], []
                for _ in range(options.rounds):
                    ours.append(wrk(url, REGISTER.replace("SERVICES", str(options.services)), clients,
                                    options.seconds))
                    if other:
                        theirs.append(wrk(other.url, PUT, clients, options.seconds))
                for name, results in ((f"pharos {count}", ours), ("etcd 3", theirs)):
                    if results:
                        figures = [statistics.median(column) for column in zip(*results)]
                        print(f"  {name:9} {clients:4} {figures[0]:9.0f} {figures[1]:8.0f} "
                              f"{figures[2]:8.0f}")
                if theirs:
                    ratio = statistics.median(a[0] / b[0] for a, b in zip(ours, theirs))
                    print(f"  ratio     {clients:4} {ratio:9.2f}")


def measure_failover():
    gaps = []
    with servers.Servers(3, config=CONFIG) as cluster:
        for i in range(10):
            cluster.wait_ready()
            time.sleep(1)
            leader = cluster.wait_leader()
            others = [server for server in cluster if server is not leader]
            leader.kill()
            began = time.monotonic()
            while True:
                with contextlib.suppress(OSError):
                    if others[i % 2].register("web", i + 1, seconds=10) == 200:
                        break
            gaps.append(time.monotonic() - began)
            leader.start()
    gaps.sort()
    print(f"failover: median {statistics.median(gaps) * 1000:.0f} ms, {gaps[0] * 1000:.0f} to "
          f"{gaps[-1] * 1000:.0f} ms")


def port_by_dns(server, name):
    query = (b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00" + bytes([len(name)]) +
             name.encode() + b"\x07service\x06consul\x00\x00\x21\x00\x01")
    server.dns.send(query)
    answer = server.dns.recv(4096)
    if answer[7] == 0:
        return None
    at = len(query) + 2 + 2 + 2 + 4 + 2 + 4
    return int.from_bytes(answer[at:at + 2], "big")


def measure_visible():
    with servers.Servers(3, config=CONFIG) as cluster:
        leader = cluster.wait_leader()
        for server in cluster:
            server.dns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            server.dns.connect(("127.0.0.1", server.ports["dns"]))
            server.dns.settimeout(2)
        follower = next(server for server in cluster if server is not leader)
        for name, shown in (("leader", leader), ("follower", follower)):
            delays = []
            for i in range(300):
                assert leader.register("seen", i + 1) == 200
                began = time.monotonic()
                while port_by_dns(shown, "seen") != i + 1:
                    pass
                delays.append(time.monotonic() - began)
                time.sleep(0.01)
            delays.sort()
            print(f"visible in DNS at the {name} after the leader acknowledged: median "
                  f"{delays[150] * 1000:.2f} ms, p99 {delays[297] * 1000:.2f} ms")


def resident(server):
    text = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024


def measure_large():
    per_node, nodes = 100, options.instances // 100
    with servers.Servers(1, config={**CONFIG, "autopilot": {"server_stabilization_time": "1s"}}) as c:
        server = c[0]
        before = resident(server)
        began = time.monotonic()
        fill(server, nodes, per_node)
        took = time.monotonic() - began
        print(f"large: {nodes * per_node} instances filled in {took:.1f} s; "
              f"{(resident(server) - before) / (nodes * per_node):.0f} octets RSS an instance")
        began = time.monotonic()
        server.stop(60)
        print(f"  orderly stop (writes a snapshot) {time.monotonic() - began:.1f} s")
        size = sum(file.stat().st_size for file in (server.folder / "data/raft/log").iterdir())
        began = time.monotonic()
        server.start()
        c.wait(lambda: server.register("after", 1, seconds=60) == 200, "a change is taken", 120)
        print(f"  restart until a change is taken {time.monotonic() - began:.1f} s; "
              f"{size / 1e6:.0f} MB on disk; RSS {resident(server) / 1e6:.0f} MB")
        late = c.add()
        began = time.monotonic()
        late.start()
        c.wait(lambda: late.port_of("after", "stale", seconds=60) == 1, "it has all", 120)
        print(f"  late server has all after {time.monotonic() - began:.1f} s; RSS of the leader "
              f"{resident(server) / 1e6:.0f} MB, of the late one {resident(late) / 1e6:.0f} MB")


# The n-th instance, from number FIRST on; behind the last one the first come again.
FILL = """
local n, total, per_node = %d, %d, %d
request = function()
  local i = n %% total
  n = n + 1
  local node, service = math.floor(i / per_node), i %% per_node
  local body = string.format('{"Node":"node-%%d","Address":"10.%%d.%%d.1","Service":{"Service":' ..
    '"service-%%d","ID":"s-%%d","Port":%%d}}', node, math.floor(node / 256) %% 256, node %% 256,
    i %% 100000, service, service + 1)
  return wrk.format("PUT", "/v1/catalog/register", {["Content-Type"]="application/json"}, body)
end
"""


def fill(server, nodes, per_node):
    """A registration for each instance, by 256 clients."""
    done, total, clients = 0, nodes * per_node, 256
    while done < total:
        # Those that were under way at the end of a piece are made again.
        first = max(0, done - clients)
        rate, _, _ = wrk(f"http://127.0.0.1:{server.ports['http']}", FILL % (first, total, per_node),
                         clients, 5)
        done = first + int(rate * 5)


PARTS = {"writes": measure_writes, "failover": measure_failover, "visible": measure_visible,
         "large": measure_large}
for part in options.only.split(","):
    PARTS[part]()
