#!/usr/bin/env python3
"""Usage: bench/dns.py [-samples N] [-seconds S] [-only WORD,...] [-servers NAME,...] [-build FOLDER]
                    [-out FILE] [-large]

Compares the CPU time that a query costs the agent with what it costs a bare UDP echo, Knot DNS, NSD
and unbound, which have the same names. All get the same load in turns, a sample of S (1) seconds
each, N (9) times, in a network namespace of their own: servers on core 0, the load on core 1.
-only measures the rows whose name has one of the words in it, -large adds the rows of 100,000 and a
million names. Prints tables, and writes FILE (build-release/dns.json). bench/README.md says how to
read them.
"""
import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "bench"))
import namespace  # noqa: E402  (needs the path above)
import rivals  # noqa: E402
from measure import cpu_seconds, pin, resident_megabytes, user_seconds  # noqa: E402

USUAL = (1000, 3)
USUAL_SERVERS = ("echo", "agent", "knot", "nsd", "unbound")
LARGE_SERVERS = ("echo", "agent", "agent, huge", "knot", "nsd")
MERGING = ("echo", "echo merge", *USUAL_SERVERS[1:])
PLAIN = ["-pattern", "svc-%d.service.consul", "-type", "A"]
FEW_SOURCES = ["-sockets", "1", "-window", "128"]
MERGED_SOURCE = ["-burst", "64", "-merge", "1"]
MERGED = ["-burst", "16", "-merge", "1"]
FEW_NAMES = ["-names", "100", "-edns", "1232"]
OUTSIDE = ["-pattern", "host-%d.example", "-type", "A"]


class Row:
    """A load: what the servers have, the options of bench/load, what the replies must have (which
    the echo's have not), who takes part, and for names that are forwarded, their TTL."""

    def __init__(self, catalog, options, expected=(), servers=USUAL_SERVERS, mixed=False,
                 outside_ttl_s=None):
        self.catalog, self.options, self.expected = catalog, list(options), list(expected)
        self.servers, self.mixed, self.outside_ttl_s = servers, mixed, outside_ttl_s


ROWS = {
    "A": Row(USUAL, PLAIN, ["-rcode", "0", "-answers", "3"]),
    "mixed": Row(USUAL, [], mixed=True),
    "SRV": Row(USUAL, [*PLAIN[:2], "-type", "SRV", "-edns", "1232"], ["-rcode", "0", "-answers", "3"]),
    "A, 192 ports": Row(USUAL, [*PLAIN, "-sockets", "192", "-window", "1"],
                        ["-rcode", "0", "-answers", "3"]),
    "A, merged": Row(USUAL, [*PLAIN, *MERGED], ["-rcode", "0", "-answers", "3"]),
    "A, one port": Row(USUAL, [*PLAIN, *FEW_SOURCES], ["-rcode", "0", "-answers", "3"], MERGING),
    "mixed, one port": Row(USUAL, FEW_SOURCES, (), MERGING, mixed=True),
    "A, one port, merged": Row(USUAL, [*PLAIN, *FEW_SOURCES, *MERGED_SOURCE],
                               ["-rcode", "0", "-answers", "3"], MERGING),
    "mixed, one port, merged": Row(USUAL, [*FEW_SOURCES, *MERGED_SOURCE], (), MERGING, mixed=True),
    "5,000 a second": Row(USUAL, [*PLAIN, "-rate", "5000"], ["-rcode", "0", "-answers", "3"]),
    "20,000 a second": Row(USUAL, [*PLAIN, "-rate", "20000"], ["-rcode", "0", "-answers", "3"]),
    "TCP": Row(USUAL, ["tcp"], servers=("agent", "knot", "nsd", "unbound")),
    "forwarded, cached": Row(USUAL, OUTSIDE, ["-rcode", "0", "-answers", "1"],
                             ("echo", "agent", "unbound"), outside_ttl_s=3600),
    # So few at a time that they have different names: the same would be asked once.
    "forwarded, not cached": Row(USUAL, [*OUTSIDE, "-sockets", "8", "-window", "4"],
                                 ["-rcode", "0", "-answers", "1"], ("echo", "agent", "dnsdist"),
                                 outside_ttl_s=0),
    "A, 100 instances": Row((100, 100), [*PLAIN, *FEW_NAMES], ["-rcode", "0"]),
    "A, 100 instances, merged": Row((100, 100), [*PLAIN, *FEW_NAMES, *MERGED], ["-rcode", "0"]),
}
LARGE = {
    "A, 100,000 names": Row((100_000, 1), [*PLAIN, "-names", "100000"],
                            ["-rcode", "0", "-answers", "1"]),
    "A, 100,000 names, merged": Row((100_000, 1), [*PLAIN, "-names", "100000", *MERGED],
                                    ["-rcode", "0", "-answers", "1"]),
    "A, 1,000,000 names": Row((1_000_000, 1), [*PLAIN, "-names", "1000000"],
                              ["-rcode", "0", "-answers", "1"], LARGE_SERVERS),
    "A, 1,000,000 names, merged": Row((1_000_000, 1), [*PLAIN, "-names", "1000000", *MERGED],
                                      ["-rcode", "0", "-answers", "1"], LARGE_SERVERS),
}


def mixed_queries(names, seed=1):
    """Lines for bench/load: 80 % A, 15 % SRV, 5 % of names that do not exist."""
    chance = random.Random(seed)
    for _ in range(20_000):
        i, kind = chance.randrange(names), chance.random()
        if kind < 0.8:
            yield f"svc-{i}.service.consul A 0 3\n", f"svc-{i}.service.consul A\n"
        elif kind < 0.95:
            yield f"svc-{i}.service.consul SRV 0 3\n", f"svc-{i}.service.consul SRV\n"
        else:
            yield f"none-{i}.service.consul A 3 0\n", f"none-{i}.service.consul A\n"


def sample(build, server, seconds, options):
    """One run of the load."""
    cpu, user = server.total(cpu_seconds), server.total(user_seconds)
    load = (ask_by_tcp if options[0] == "tcp" else ask)(build, server.port, seconds, options)
    answered = load["answered"]
    return {"cpu_us": (server.total(cpu_seconds) - cpu) / answered * 1e6,
            "user_ns": (server.total(user_seconds) - user) / answered * 1e9,
            "per_second": load["answered_per_second"], "p50_us": load["latency_us"]["p50"],
            "p99_us": load["latency_us"]["p99"], "lost": load["lost"]}


def ask(build, port, seconds, options):
    """What bench/load says."""
    run = subprocess.run([*pin(1), build / "bench/load/load", "-server", f"127.0.0.1:{port}",
                          "-seconds", str(seconds), *options],
                         stdout=subprocess.PIPE, text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"the load generator is not content with port {port}:\n{run.stdout}")
    return json.loads(run.stdout)


def ask_by_tcp(_build, port, seconds, _options):
    """What dnsperf says of connections that are kept open and pipelined."""
    with tempfile.NamedTemporaryFile("w", suffix=".queries") as queries:
        queries.writelines(f"svc-{i}.service.consul A\n" for i in range(USUAL[0]))
        queries.flush()
        run = subprocess.run([*pin(1), "dnsperf", "-m", "tcp", "-s", "127.0.0.1", "-p", str(port),
                              "-d", queries.name, "-c", "8", "-q", "128", "-l", str(max(1, round(seconds)))],
                             stdout=subprocess.PIPE, text=True, check=False)

    def figure(text):
        return float(re.search(text + r":\s+([0-9.]+)", run.stdout)[1])
    return {"answered": figure("Queries completed"), "lost": figure("Queries lost"),
            "answered_per_second": figure("Queries per second"),
            "latency_us": {"p50": figure(r"Average Latency \(s\)") * 1e6, "p99": 0}}


def best(values, quantile=0.25):
    """Disturbances only ever add, so the truth is at the low end; the least of all may be a fluke."""
    return sorted(values)[int(len(values) * quantile)]


def summary(samples):
    return {"cpu_us": best([s["cpu_us"] for s in samples]),
            "user_ns": best([s["user_ns"] for s in samples]),
            "per_second": -best([-s["per_second"] for s in samples]),
            "p50_us": best([s["p50_us"] for s in samples]),
            "p99_us": best([s["p99_us"] for s in samples]),
            "lost": sum(s["lost"] for s in samples)}


def measure(row, arguments, wanted):
    """Samples of all servers in turns, so that what disturbs the machine disturbs all of them."""
    build = arguments.build
    with contextlib.ExitStack() as stack:
        place = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pharos-bench-")))
        echoed = []
        if row.mixed:
            lines = list(mixed_queries(row.catalog[0]))
            (place / "judged").write_text("".join(judged for judged, _ in lines))
            (place / "plain").write_text("".join(plain for _, plain in lines))
            echoed = ["-file", str(place / "plain")]
        servers = {}
        upstream, makers = None, rivals.SERVERS
        if row.outside_ttl_s is not None:
            upstream = stack.enter_context(rivals.outside(pin(1), row.outside_ttl_s))
            makers = rivals.FORWARDERS
        for name in row.servers:
            if name in wanted and name in makers:
                servers[name] = stack.enter_context(
                    makers[name](build, pin(0), upstream or row.catalog))
        # The same server under another name: how far apart two figures of one thing are.
        first = next(iter(servers))
        servers[f"{first} again"] = servers[first]
        samples = {name: [] for name in servers}
        for _ in range(arguments.samples):
            for name, server in servers.items():
                judged = ["-file", str(place / "judged")] if row.mixed else row.expected
                extra = echoed if name.startswith("echo") else judged
                samples[name].append(sample(build, server, arguments.seconds, row.options + extra))
        result = {name: summary(samples[name]) for name in samples}
        for name, server in servers.items():
            result[name]["resident_mb"] = server.total(resident_megabytes)
            result[name]["samples"] = samples[name]
        return result


def show(name, result):
    first, agent = next(iter(result)), result.get("agent")
    echo = result[first]["cpu_us"]
    print(f"\n{name}\n{'':12} {'CPU us':>8} {'x ' + first:>7} {'user ns':>8} {'queries/s':>10} "
          f"{'agent x':>8} {'p50 us':>8} {'p99 us':>8} {'lost':>6} {'MB':>7}")
    for server, row in result.items():
        gain = agent["per_second"] / row["per_second"] if agent else 0
        print(f"{server:12} {row['cpu_us']:8.3f} {row['cpu_us'] / echo:7.3f} {row['user_ns']:8.0f} "
              f"{row['per_second']:10.0f} {gain:8.2f} {row['p50_us']:8.0f} {row['p99_us']:8.0f} {row['lost']:6} "
              f"{row['resident_mb']:7.0f}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__.removeprefix("Usage: "), allow_abbrev=False)
    parser.add_argument("-samples", type=int, default=9)
    parser.add_argument("-seconds", type=float, default=1)
    parser.add_argument("-only", default="")
    parser.add_argument("-servers", default=",".join(rivals.PROGRAMS))
    parser.add_argument("-large", action="store_true")
    parser.add_argument("-build", type=pathlib.Path, default=ROOT / "build-release")
    parser.add_argument("-out", type=pathlib.Path)
    arguments = parser.parse_args()
    arguments.build = arguments.build.resolve()
    wanted = {"echo", "echo merge", "agent", "agent, huge", *arguments.servers.split(",")}
    for name in sorted(wanted & set(rivals.PROGRAMS)):
        if not pathlib.Path(rivals.PROGRAMS[name]).exists():
            sys.exit(f"{rivals.PROGRAMS[name]} is not here; scripts/bench installs it")
    rows = ROWS | (LARGE if arguments.large else {})
    words = [word for word in arguments.only.split(",") if word]
    chosen = {name: row for name, row in rows.items()
              if not words or any(word in name for word in words)}
    if not chosen:
        sys.exit(f"-only is \"{arguments.only}\"; expected words of {', '.join(rows)}")
    namespace.enter()
    results = {}
    for name, row in chosen.items():
        results[name] = measure(row, arguments, wanted)
        show(name, results[name])
    out = arguments.out or arguments.build / "dns.json"
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"\nwritten to {out}")


if __name__ == "__main__":
    main()
