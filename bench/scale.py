#!/usr/bin/env python3
"""Usage: bench/scale.py [-services N] [-instances N] [-streams N] [-rates R,...] [-seconds S]
       [-only PART,...] [-build FOLDER]

What client agents cost, on this machine. Parts:

  memory   a catalog of N services with N instances each: how long a client agent takes to have all of it,
           and its memory; the same on demand, when it was asked for 1,000 names; from a kept copy
  fanout   N followers of one server (simulated) and R changes a second: how long each takes until all
           have it, and the server's CPU time a change and follower
"""
import argparse
import contextlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
parser.add_argument("-services", type=int, default=100_000)
parser.add_argument("-instances", type=int, default=10)
parser.add_argument("-streams", type=int, default=1000)
parser.add_argument("-rates", default="1,10,100,1000")
parser.add_argument("-seconds", type=int, default=10)
parser.add_argument("-only", default="memory,fanout")
parser.add_argument("-build", default="build-release")
options = parser.parse_args()
BUILD = ROOT / options.build
os.environ["PHAROS_BUILD"] = str(BUILD)
import lib  # noqa: E402
import measure  # noqa: E402
import servers  # noqa: E402
import wire  # noqa: E402

ASKED = 1000


@contextlib.contextmanager
def catalog(services, instances):
    """A server with a catalog made up by rule; its process and where agents call it."""
    with tempfile.TemporaryDirectory(prefix="pharos-scale-") as folder:
        dns, server = lib.free_ports(2)
        config = pathlib.Path(folder) / "config.json"
        config.write_text(json.dumps({
            "bind_addr": "127.0.0.1", "log_level": "warn",
            "ports": {"dns": dns, "http": -1, "grpc": -1, "server": server, "serf_lan": -1,
                      "serf_wan": -1}}))
        process = subprocess.Popen(
            [BUILD / "bench/catalog_agent/catalog_agent", config, str(services), str(instances)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            while process.stdout.readline().strip() != "ready":
                if process.poll() is not None:
                    raise SystemExit("the server did not start")
            yield process, f"127.0.0.1:{server}"
        finally:
            process.kill()
            process.wait()


def megabytes(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"{key}:\s+(\d+)", text)[1]) / 1024


def answers(client, name, count):
    """Whether so many addresses are answered over TCP."""
    with contextlib.suppress(OSError):
        return len(wire.addresses(client.ports["dns"], name, seconds=3)) == count
    return False


def wait(condition, seconds=300):
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > seconds:
            raise SystemExit(f"not within {seconds} s")
        time.sleep(0.01)
    return time.monotonic() - began


def make_client(folder, number, server, **more):
    ports = dict(zip(["dns", "http", "server"], lib.free_ports(3)))
    return servers.Server(folder, number, ports, [server], 0, {
        "server": False, "node_name": f"client-{number}", "log_level": "warn",
        "leave_on_terminate": False, **more})


def measure_memory():
    total = options.services * options.instances
    last = f"svc-{options.services - 1}.service.consul"
    with tempfile.TemporaryDirectory(prefix="pharos-scale-") as folder, \
            catalog(options.services, options.instances) as (process, server):
        print(f"memory: {total} instances in {options.services} services; the server itself "
              f"{megabytes(process.pid, 'VmRSS'):.0f} MB")
        full = make_client(folder, 1, server).start()
        took = wait(lambda: answers(full, last, options.instances))
        time.sleep(12)  # It has written its copy by then.
        pid = full.process.pid
        print(f"  full: has all {took:.1f} s after its start; {megabytes(pid, 'VmRSS'):.0f} MB, at most "
              f"{megabytes(pid, 'VmHWM'):.0f} MB; CPU {measure.cpu_seconds(pid):.1f} s")
        some = make_client(folder, 2, server, catalog_replica="on-demand").start()
        wait(lambda: answers(some, last, options.instances))
        empty = megabytes(some.process.pid, "VmRSS")
        began = time.monotonic()
        for i in range(ASKED):
            if not answers(some, f"svc-{i}.service.consul", options.instances):
                raise SystemExit(f"svc-{i} is not answered")
        took = time.monotonic() - began
        used = megabytes(some.process.pid, "VmRSS")
        print(f"  on demand: {empty:.0f} MB with one name, {used:.0f} MB with {ASKED} "
              f"({(used - empty) * 1024 / ASKED:.1f} kB each); a first question "
              f"{took * 1000 / ASKED:.2f} ms")
        full.stop(60)
        process.kill()
        process.wait()
        full.start()
        took = wait(lambda: answers(full, last, options.instances))
        kept = sum(file.stat().st_size for file in (full.folder / "data/replica").iterdir())
        print(f"  from its copy ({kept / 1e6:.0f} MB), without a server: answers {took:.1f} s after its "
              f"start; {megabytes(full.process.pid, 'VmRSS'):.0f} MB")
        for client in (full, some):
            client.kill()


def measure_fanout():
    print(f"fanout: {options.streams} followers of one server, on the same cores")
    for rate in map(int, options.rates.split(",")):
        with catalog(1000, 3) as (process, server):
            load = subprocess.Popen(
                [BUILD / "bench/followers/followers", server, str(options.streams), "100", str(rate),
                 str(options.seconds)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            opened = load.stdout.readline().strip()
            if not opened:
                raise SystemExit("the followers ended")
            rss = measure.resident_megabytes(process.pid)
            cpu, began = measure.cpu_seconds(process.pid), time.monotonic()
            load.stdin.write("\n")
            load.stdin.flush()
            said = load.stdout.readline().strip()
            cpu, took = measure.cpu_seconds(process.pid) - cpu, time.monotonic() - began
            load.kill()
            load.wait()
            count = int(re.search(r"changes: (\d+)", said)[1])
            print(f"  {rate}/s: {opened}; server {rss:.0f} MB; {said}; server's CPU {cpu / took:.2f} "
                  f"cores, {cpu * 1e6 / max(1, count * options.streams):.2f} us a change and follower")


PARTS = {"memory": measure_memory, "fanout": measure_fanout}
for part in options.only.split(","):
    PARTS[part]()
