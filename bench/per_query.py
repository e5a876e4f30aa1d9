#!/usr/bin/env python3
"""Usage: bench/per_query.py [-samples N] [-seconds S] [-build FOLDER] [-out FILE]

Measures the CPU time that a query costs the agent, as a multiple of what the same query costs a bare
UDP echo (bench/echo). The agent serves 1,000 services of 3 instances. Both get the same load in
turns, a sample of S (1) seconds each, N (15) times; the servers run on core 0, the load on core 1.
Prints a table, and writes FILE (build-release/per_query.json). See bench/README.md.
"""
import argparse
import contextlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import lib  # noqa: E402  (needs the path above)

SERVICES, INSTANCES = 1000, 3
# What is asked: the load generator's options, and what it is to expect of the agent's replies.
QUESTIONS = {
    "A, 3 answers": (["-pattern", "svc-%d.service.consul", "-type", "A"],
                     ["-rcode", "0", "-answers", "3"]),
    "SRV, 3 answers": (["-pattern", "svc-%d.service.consul", "-type", "SRV", "-edns", "1232"],
                       ["-rcode", "0", "-answers", "3"]),
    "NXDOMAIN": (["-pattern", "none-%d.service.consul", "-type", "A"],
                 ["-rcode", "3", "-answers", "0"]),
}


def definitions():
    """Every instance has an address of its own: all are on this one node, and instances that
    differ in nothing else would be one answer."""
    services = [{"name": f"svc-{i}", "id": f"svc-{i}-{j}", "port": 8000 + j,
                 "address": f"10.{j}.{i // 250}.{i % 250 + 1}"}
                for i in range(SERVICES) for j in range(INSTANCES)]
    return {"services.json": {"services": services}}


def pin(core):
    """Words that run what follows on one core, where there is one to spare."""
    return ["taskset", "-c", str(core)] if len(os.sched_getaffinity(0)) > core else []


def cpu_seconds(pid):
    """Spent by all threads, user and system, by the scheduler's own nanosecond count."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def resident_megabytes(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


@contextlib.contextmanager
def echo(build):
    """The bare echo: (pid, port)."""
    [port] = lib.free_ports(1)
    process = subprocess.Popen([*pin(0), build / "bench" / "echo" / "echo", str(port)],
                               stdout=subprocess.DEVNULL)
    try:
        while not lib.answers(port):
            if process.poll() is not None:
                sys.exit(f"the echo ended with {process.returncode}")
        yield process.pid, port
    finally:
        process.terminate()
        process.wait()


def sample(build, pid, port, seconds, options):
    """One run of the load: CPU microseconds a query, and what the load generator says."""
    before = cpu_seconds(pid)
    run = subprocess.run([*pin(1), build / "bench" / "load" / "load", "-server",
                          f"127.0.0.1:{port}", "-seconds", str(seconds), *options],
                         stdout=subprocess.PIPE, text=True, check=False)
    used = cpu_seconds(pid) - before
    if run.returncode != 0:
        sys.exit(f"the load generator is not content with port {port}:\n{run.stdout}")
    load = json.loads(run.stdout)
    return used / load["answered"] * 1e6, load


def lower_quartile(values):
    """Noise only ever adds time, so the truth is at the low end; the very least may be a fluke."""
    return sorted(values)[len(values) // 4]


def measure(build, agent, bare, arguments, options, expected):
    """Samples of both in turns, so that what disturbs the machine disturbs both."""
    found = {"agent": [], "echo": []}
    loads = {"agent": [], "echo": []}
    for _ in range(arguments.samples):
        for name, (pid, port), extra in (("echo", bare, []), ("agent", agent, expected)):
            us, load = sample(build, pid, port, arguments.seconds, options + extra)
            found[name].append(us)
            loads[name].append(load)
    row = {}
    for name in found:
        row[name] = {
            "cpu_us_per_query": lower_quartile(found[name]),
            "samples_us": found[name],
            "answered_per_second": max(load["answered_per_second"] for load in loads[name]),
            "p99_us": lower_quartile([load["latency_us"]["p99"] for load in loads[name]]),
            "lost": sum(load["lost"] for load in loads[name]),
        }
    row["ratio"] = row["agent"]["cpu_us_per_query"] / row["echo"]["cpu_us_per_query"]
    return row


def main():
    parser = argparse.ArgumentParser(usage=__doc__.removeprefix("Usage: "), add_help=True, allow_abbrev=False)
    parser.add_argument("-samples", type=int, default=15)
    parser.add_argument("-seconds", type=float, default=1)
    parser.add_argument("-build", type=pathlib.Path, default=ROOT / "build-release")
    parser.add_argument("-out", type=pathlib.Path)
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    out = arguments.out or build / "per_query.json"

    result = {"services": SERVICES, "instances": INSTANCES, "questions": {}}
    config = {"log_level": "WARN"}
    agent = lib.Agent(config, definitions(), binary=build / "agent" / "pharos", prefix=pin(0))
    with agent, echo(build) as bare:
        here = (agent.process.pid, agent.dns_port)
        for shows, (options, expected) in QUESTIONS.items():
            result["questions"][shows] = measure(build, here, bare, arguments, options, expected)
        result["agent_resident_mb"] = resident_megabytes(agent.process.pid)

    print(f"{'question':16} {'echo us':>8} {'agent us':>9} {'ratio':>6} {'agent q/s':>10} {'p99 us':>8}")
    for shows, row in result["questions"].items():
        print(f"{shows:16} {row['echo']['cpu_us_per_query']:8.3f} "
              f"{row['agent']['cpu_us_per_query']:9.3f} {row['ratio']:6.3f} "
              f"{row['agent']['answered_per_second']:10.0f} {row['agent']['p99_us']:8.0f}")
    print(f"agent memory: {result['agent_resident_mb']:.1f} MB resident")
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(f"written to {out}")


if __name__ == "__main__":
    main()
