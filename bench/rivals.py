"""The DNS servers that bench/dns.py compares, each with one thread on one core and the same names.

A catalog is (services, instances): service `svc-I` has N instances, of which J has the address
(10+J).(I as three octets) and port 8000+J. The agent under test gets it from catalog_agent, the
rivals as a zone file. Each server is a context manager that yields a Running.
"""
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import lib
import measure

READY_SECONDS = 600
# For glibc: all memory of malloc in one heap, which the kernel is asked to put in pages of 2 MiB.
HUGE_PAGES = "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1"


class Running:
    """A server that answers: its process and its UDP and TCP port on 127.0.0.1."""

    def __init__(self, pid, port):
        self.pid, self.port = pid, port

    def total(self, of):
        """The sum of what `of` (of bench/measure.py) says of the process and all below it."""
        return sum(of(pid) for pid in measure.family(self.pid))


def address(i, j):
    return f"{10 + j}.{i >> 16}.{i >> 8 & 255}.{i & 255}"


def zone_records(catalog):
    """The zone as (owner, type, rdata), as the agent answers it."""
    services, instances = catalog
    for i in range(services):
        for j in range(instances):
            ip = address(i, j)
            target = "".join(f"{int(part):02x}" for part in ip.split(".")) + ".addr.dc1.consul."
            yield f"svc-{i}.service.consul.", "A", ip
            yield f"svc-{i}.service.consul.", "SRV", f"1 1 {8000 + j} {target}"
            yield target, "A", ip


def write_zone(path, catalog):
    with path.open("w") as zone:
        zone.write("$TTL 0\nconsul. IN SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0\n"
                   "consul. IN NS ns.consul.\nns.consul. IN A 127.0.0.1\n")
        zone.writelines(f"{owner} IN {rtype} {rdata}\n"
                        for owner, rtype, rdata in zone_records(catalog))


@contextlib.contextmanager
def run(command, port, output, ready=lambda: True, **options):
    """Runs until the block ends."""
    with open(output, "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.PIPE, **options)
        try:
            deadline = time.monotonic() + READY_SECONDS
            while not (ready() and lib.answers(port)):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{command} does not answer:\n{pathlib.Path(output).read_text()}")
                time.sleep(0.05)
            yield Running(process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextlib.contextmanager
def folder():
    with tempfile.TemporaryDirectory(prefix="pharos-bench-") as name:
        pathlib.Path(name).chmod(0o755)
        yield pathlib.Path(name)


@contextlib.contextmanager
def echo(build, pin, catalog, *words):
    [port] = lib.free_ports(1)
    with folder() as place, run([*pin, build / "bench/echo/echo", str(port), *words], port,
                                place / "log") as server:
        yield server


def merging_echo(build, pin, catalog):
    """The echo that sends replies to one client as one message."""
    return echo(build, pin, catalog, "merge")


def write_agent_config(place, threads=1, upstream=None):
    """A configuration with free ports, all else as it comes: (its file, the ports by name)."""
    ports = dict(zip(["dns", "http", "grpc", "serf_lan", "serf_wan", "server"], lib.free_ports(6)))
    config = {"node_name": "bench", "bind_addr": "127.0.0.1", "log_level": "WARN", "ports": ports,
              "dns_config": {"threads": threads}}
    if upstream is not None:
        config["recursors"] = [f"127.0.0.1:{upstream.port}"]
    file = place / "agent.json"
    file.write_text(json.dumps(config))
    return file, ports


@contextlib.contextmanager
def agent(build, pin, catalog, threads=1, environment=None):
    """A whole agent, with everything on that is on by default."""
    services, instances = catalog
    with folder() as place:
        config, ports = write_agent_config(place, threads=threads)
        log = place / "log"
        binary = build / "bench/catalog_agent/catalog_agent"
        command = [*pin, binary, config, str(services), str(instances)]
        with run(command, ports["dns"], log, ready=lambda: "ready" in log.read_text(),
                 env=os.environ | (environment or {})) as server:
            yield server


def agent_in_huge_pages(build, pin, catalog):
    """The agent as docs/performance.md has it for large catalogs."""
    return agent(build, pin, catalog, environment={"GLIBC_TUNABLES": HUGE_PAGES})


def write_knot_config(place, port, zone, file):
    (place / "knot.conf").write_text(f"""
server:
  rundir: {place}
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  tcp-max-clients: 1000
database:
  storage: {place}
log:
  - target: stderr
    any: warning
template:
  - id: default
    storage: {place}
    semantic-checks: off
    zonefile-sync: -1
    journal-content: none
zone:
  - domain: {zone}
    file: {file}
""")


@contextlib.contextmanager
def knot(build, pin, catalog):
    [port] = lib.free_ports(1)
    with folder() as place:
        write_zone(place / "consul.zone", catalog)
        write_knot_config(place, port, "consul.", "consul.zone")
        command = [*pin, "/usr/sbin/knotd", "-c", place / "knot.conf"]
        with run(command, port, place / "log", ready=lambda: loaded(port)) as server:
            yield server


@contextlib.contextmanager
def nsd(build, pin, catalog):
    [port] = lib.free_ports(1)
    with folder() as place:
        write_zone(place / "consul.zone", catalog)
        (place / "nsd.conf").write_text(f"""
server:
  server-count: 1
  ip-address: 127.0.0.1@{port}
  username: ""
  chroot: ""
  zonesdir: "{place}"
  pidfile: "{place}/nsd.pid"
  xfrdfile: "{place}/xfrd.state"
  xfrdir: "{place}"
  zonelistfile: "{place}/zone.list"
  database: ""
  verbosity: 0
  tcp-count: 1000
remote-control:
  control-enable: no
zone:
  name: consul.
  zonefile: consul.zone
""")
        command = [*pin, "/usr/sbin/nsd", "-d", "-c", place / "nsd.conf"]
        with run(command, port, place / "log", ready=lambda: loaded(port)) as server:
            yield server


@contextlib.contextmanager
def unbound(build, pin, catalog):
    [port] = lib.free_ports(1)
    with folder() as place:
        with (place / "unbound.conf").open("w") as config:
            config.write(f"""server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  chroot: ""
  username: ""
  directory: "{place}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  module-config: "iterator"
  incoming-num-tcp: 1000
  local-zone: "consul." static
  local-data: "consul. SOA ns.consul. hostmaster.consul. 1 3600 600 86400 0"
""")
            config.writelines(f"  local-data: \"{owner} 0 IN {rtype} {rdata}\"\n"
                              for owner, rtype, rdata in zone_records(catalog))
            config.write("remote-control:\n  control-enable: no\n")
        command = [*pin, "/usr/sbin/unbound", "-d", "-c", place / "unbound.conf"]
        with run(command, port, place / "log") as server:
            yield server


OUTSIDE_ZONE = "example."
OUTSIDE_NAMES = 1000


@contextlib.contextmanager
def outside(pin, ttl_s):
    """Who answers for OUTSIDE_ZONE, with an address a name: the recursor of those that forward. With
    a TTL of 0 it is asked each time."""
    [port] = lib.free_ports(1)
    with folder() as place:
        with (place / "example.zone").open("w") as zone:
            zone.write(f"$TTL {ttl_s}\n"
                       "example. IN SOA ns.example. root.example. 1 3600 600 86400 60\n"
                       "example. IN NS ns.example.\nns.example. IN A 127.0.0.1\n")
            zone.writelines(f"host-{i}.example. IN A 192.0.2.{i % 250}\n"
                            for i in range(OUTSIDE_NAMES))
        write_knot_config(place, port, OUTSIDE_ZONE, "example.zone")
        command = [*pin, "/usr/sbin/knotd", "-c", place / "knot.conf"]
        with run(command, port, place / "log",
                 ready=lambda: loaded(port, "ns.example")) as server:
            yield server


@contextlib.contextmanager
def forwarding_agent(build, pin, upstream):
    with folder() as place:
        config, ports = write_agent_config(place, upstream=upstream)
        log = place / "log"
        binary = build / "bench/catalog_agent/catalog_agent"
        with run([*pin, binary, config, "10", "1"], ports["dns"], log,
                 ready=lambda: "ready" in log.read_text()) as server:
            yield server


@contextlib.contextmanager
def whole_agent(build, upstream):
    """`pharos agent` on all cores, forwarding to `upstream`: (Running, its ports)."""
    with folder() as place:
        config, ports = write_agent_config(place, upstream=upstream)
        command = [build / "agent/pharos", "agent", "-dev", "-config-file", config]
        with run(command, ports["dns"], place / "log",
                 ready=lambda: loaded(ports["dns"], "consul.service.consul")) as server:
            yield server, ports


@contextlib.contextmanager
def forwarding_unbound(build, pin, upstream):
    [port] = lib.free_ports(1)
    with folder() as place:
        (place / "unbound.conf").write_text(f"""server:
  interface: 127.0.0.1@{port}
  access-control: 127.0.0.0/8 allow
  num-threads: 1
  chroot: ""
  username: ""
  directory: "{place}"
  pidfile: ""
  use-syslog: no
  do-daemonize: no
  do-not-query-localhost: no
  module-config: "iterator"
forward-zone:
  name: "."
  forward-addr: 127.0.0.1@{upstream.port}
remote-control:
  control-enable: no
""")
        command = [*pin, "/usr/sbin/unbound", "-d", "-c", place / "unbound.conf"]
        with run(command, port, place / "log") as server:
            yield server


@contextlib.contextmanager
def forwarding_dnsdist(build, pin, upstream):
    """Without a cache, as Debian configures it."""
    [port] = lib.free_ports(1)
    with folder() as place:
        (place / "dnsdist.conf").write_text(f"""
setLocal("127.0.0.1:{port}")
newServer("127.0.0.1:{upstream.port}")
setSecurityPollSuffix("")
""")
        command = [*pin, "/usr/bin/dnsdist", "--supervised", "-C", place / "dnsdist.conf"]
        with run(command, port, place / "log",
                 ready=lambda: loaded(port, "ns.example")) as server:
            yield server


def loaded(port, name="ns.consul"):
    """Whether a name that is in the zone is answered: the server has loaded it."""
    try:
        return lib.dig(port, name, seconds=1).status == "NOERROR"
    except AssertionError:
        return False


SERVERS = {"echo": echo, "echo merge": merging_echo, "agent": agent,
           "agent, huge": agent_in_huge_pages, "knot": knot, "nsd": nsd, "unbound": unbound}
FORWARDERS = {"echo": echo, "agent": forwarding_agent, "unbound": forwarding_unbound,
              "dnsdist": forwarding_dnsdist}
PROGRAMS = {"knot": "/usr/sbin/knotd", "nsd": "/usr/sbin/nsd", "unbound": "/usr/sbin/unbound",
            "dnsdist": "/usr/bin/dnsdist"}
