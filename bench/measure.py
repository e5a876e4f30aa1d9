"""What the measuring scripts share: whose CPU time it was, and on which core."""
import contextlib
import os
import pathlib


def pin(core):
    """Words that run what follows on one core, where there is one to spare."""
    return ["taskset", "-c", str(core)] if len(os.sched_getaffinity(0)) > core else []


def family(pid):
    """The process and all below it."""
    pids, at = [pid], 0
    while at < len(pids):
        for children in pathlib.Path(f"/proc/{pids[at]}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                pids += [int(child) for child in children.read_text().split()]
        at += 1
    return pids


def cpu_seconds(pid, threads=""):
    """Spent by all threads, or those whose name begins so, user and system, by the scheduler's own
    nanosecond count."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            if (task / "comm").read_text().startswith(threads):
                total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def user_seconds(pid):
    """Of them, those in user mode, by the kernel's ticks."""
    with contextlib.suppress(OSError):
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        return int(stat.rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")
    return 0


def resident_megabytes(pid):
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    return 0
