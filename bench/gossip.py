#!/usr/bin/env python3
"""Usage: bench/gossip.py [-n NODES,...] [-t TRIALS] [-s IDLE_SECONDS] [-d SECONDS] [serf|lan|fast]...

Pools of Debian's `serf` agents on its LAN profile, and of Pharos agents on the profiles `lan` and
`fast`: how long a join takes until all know it, how long a failure takes to be known to the first and
to the last survivor, and what a pool costs while nothing happens. All in a network namespace of its own
(needs root), so that the loopback's counters are the pool's; times come from the agents' logs, which are
read every 10 ms. Prints a row of a table for each pool.

With -d: instead, who is falsely taken for failed, and suspected, within so many seconds in which one node
is stopped for 0.9 s of every second, and in which 16 busy loops have the machine.
"""
import argparse
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PHAROS = pathlib.Path(os.environ.get("PHAROS", ROOT / "build-release/agent/pharos"))
INSIDE = "PHAROS_GOSSIP_BENCH_INSIDE"
TICK = os.sysconf("SC_CLK_TCK")


class Node:
    def __init__(self, kind, number, folder):
        self.kind, self.number = kind, number
        self.name = f"n{number}"
        self.port = 20000 + 10 * number
        self.folder = folder / self.name
        self.folder.mkdir(exist_ok=True)
        self.process, self.log, self.offset, self.lives = None, None, 0, 0

    def start(self, join=None):
        self.lives += 1
        self.log = self.folder / f"log-{self.lives}"
        self.offset = 0
        joins = [] if join is None else ["-join", f"127.0.0.1:{join.port}"]
        if self.kind == "serf":
            command = ["serf", "agent", "-node", self.name, "-bind", f"127.0.0.1:{self.port}",
                       "-rpc-addr", f"127.0.0.1:{self.port + 1}", *joins]
        else:
            config = self.folder / "config.json"
            config.write_text(json.dumps({
                "node_name": self.name, "bind_addr": "127.0.0.1", "node_id":
                f"00000000-0000-0000-0000-{self.number:012d}",
                "gossip_lan": {"profile": self.kind},
                "ports": {"serf_lan": self.port, "dns": self.port + 1, "http": -1, "grpc": -1,
                          "serf_wan": -1, "server": self.port + 4}}))
            command = [str(PHAROS), "agent", "-dev", "-config-file", str(config), *joins]
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log)

    def news(self):
        """What was logged since the last time."""
        with open(self.log, "rb") as log:
            log.seek(self.offset)
            text = log.read()
        self.offset += len(text)
        return text.decode(errors="replace")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK


def wait_for(nodes, event, name, seconds=120):
    """When each of the nodes logged the event, as seconds from now, sorted."""
    begin, seen = time.monotonic(), {}
    while len(seen) < len(nodes):
        for node in nodes:
            if node.name not in seen and f"{event}: {name} " in node.news():
                seen[node.name] = time.monotonic() - begin
        if time.monotonic() - begin > seconds:
            raise SystemExit(f"{event} of {name}: only {sorted(seen)} of {len(nodes)} nodes know")
        time.sleep(0.01)
    return sorted(seen.values())


def loopback():
    for line in pathlib.Path("/proc/net/dev").read_text().splitlines():
        if line.strip().startswith("lo:"):
            fields = line.split(":")[1].split()
            return int(fields[1]), int(fields[0])
    raise SystemExit("no loopback")


def measure(kind, count, trials, idle_seconds, folder):
    nodes = [Node(kind, number, folder) for number in range(count)]
    try:
        nodes[0].start()
        time.sleep(1)
        joins = []
        for number, node in enumerate(nodes[1:], 1):
            node.start(nodes[0])
            joins.append(wait_for(nodes[:number], "EventMemberJoin", node.name)[-1])
        time.sleep(8)
        packets, octets = loopback()
        cpu = [node.cpu_seconds() for node in nodes]
        time.sleep(idle_seconds)
        packets, octets = (after - before for after, before in zip(loopback(), (packets, octets)))
        cpu = sum(node.cpu_seconds() for node in nodes) - sum(cpu)
        first, last = [], []
        for trial in range(trials):
            victim = nodes[1 + trial % (count - 1)]
            others = [node for node in nodes if node is not victim]
            for node in others:
                node.news()
            time.sleep(0.37 * trial % 1)  # At another moment of the probe interval each time.
            victim.kill()
            times = wait_for(others, "EventMemberFailed", victim.name)
            first.append(times[0])
            last.append(times[-1])
            victim.start(nodes[0])
            wait_for(others, "EventMemberJoin", victim.name)
            time.sleep(2)
        each = idle_seconds * count
        print(f"| {kind} | {count} | {statistics.median(joins):.2f} | {statistics.median(first):.2f} "
              f"({min(first):.2f}-{max(first):.2f}) | {statistics.median(last):.2f} "
              f"({min(last):.2f}-{max(last):.2f}) | {packets / each:.1f} | {octets / each:.0f} | "
              f"{100 * cpu / each:.2f} |", flush=True)
    finally:
        for node in nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()


def stall(nodes, seconds):
    """Stops and continues the first node; which one that was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        nodes[0].process.send_signal(signal.SIGSTOP)
        time.sleep(0.9)
        nodes[0].process.send_signal(signal.SIGCONT)
        time.sleep(0.1)
    return nodes[0].name


def keep_busy(nodes, seconds):
    del nodes
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(16)]
    try:
        time.sleep(seconds)
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def disturb(kind, count, seconds, folder):
    nodes = [Node(kind, number, folder) for number in range(count)]
    try:
        nodes[0].start()
        time.sleep(1)
        for number, node in enumerate(nodes[1:], 1):
            node.start(nodes[0])
            wait_for(nodes[:number], "EventMemberJoin", node.name)
        time.sleep(5)
        for what, how in (("a node stalled 0.9 s of each second", stall), ("16 busy loops", keep_busy)):
            for node in nodes:
                node.news()
            disturbed = how(nodes, seconds)
            time.sleep(10)
            failed, suspected, own = 0, 0, 0
            for node in nodes:
                for line in node.news().splitlines():
                    event = re.search(r"(EventMemberFailed: |Suspect )(\S+) ", line)
                    if event is None:
                        continue
                    if event[2] == disturbed:
                        own += event[1] != "Suspect "
                    elif event[1] == "Suspect ":
                        suspected += 1
                    else:
                        failed += 1
            print(f"| {kind} | {count} | {what} | {failed} | {suspected} | {own} |", flush=True)
    finally:
        for node in nodes:
            if node.process is not None and node.process.poll() is None:
                node.kill()


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("-n", default="3,10")
    parser.add_argument("-t", type=int, default=9)
    parser.add_argument("-s", type=int, default=20)
    parser.add_argument("-d", type=int, default=0)
    parser.add_argument("kinds", nargs="*", default=["serf", "lan", "fast"])
    options = parser.parse_args()
    if INSIDE not in os.environ:
        os.environ[INSIDE] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv])
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if options.d > 0:
        print("| pool | nodes | during | healthy nodes taken for failed | suspected | the stalled one "
              "taken for failed |\n" + "| --- " * 6 + "|", flush=True)
        for count in (int(number) for number in options.n.split(",")):
            for kind in options.kinds:
                with tempfile.TemporaryDirectory() as folder:
                    disturb(kind, count, options.d, pathlib.Path(folder))
        return
    print("| pool | nodes | join until all know, s | failure known to the first, s | to all, s | "
          "packets/s a node | octets/s a node | CPU % a node |\n" + "| --- " * 8 + "|", flush=True)
    for count in (int(number) for number in options.n.split(",")):
        for kind in options.kinds:
            with tempfile.TemporaryDirectory() as folder:
                measure(kind, count, options.t, options.s, pathlib.Path(folder))


main()
