#!/usr/bin/env python3
"""Usage: bench/instructions.py [-record] [-build FOLDER]

Counts the instructions that a query costs in user mode, by valgrind's callgrind, and holds them
against bench/instructions.json: more than 2 % away from what is recorded there, either way, is a
failure. -record writes what was counted there instead; the commit that does says why it changed.
Noise cannot fake these figures: the same program and queries give the same count on any machine.
Ends with `N passed, N failed`.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORD = ROOT / "bench" / "instructions.json"
TOLERANCE = 0.02
# What is asked, and how many at a time: 64 is a busy server, 1 a quiet one.
CASES = [(kind, batch) for batch in (64, 1) for kind in ("a", "a-edns", "srv", "nxdomain", "nodata")]
QUERIES = 6400


def count(program, kind, batch):
    """Instructions a query."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
               "--toggle-collect=*Measured*", program, kind, str(batch), str(QUERIES // batch)]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                         check=False)
    collected = re.search(r"Collected : (\d+)", run.stdout)
    if run.returncode != 0 or not collected:
        sys.exit(f"{command} failed:\n{run.stdout}")
    return int(collected[1]) / QUERIES


def main():
    parser = argparse.ArgumentParser(usage=__doc__.removeprefix("Usage: "), allow_abbrev=False)
    parser.add_argument("-record", action="store_true")
    parser.add_argument("-build", type=pathlib.Path, default=ROOT / "build")
    arguments = parser.parse_args()
    program = arguments.build / "bench/instructions/instructions"
    counted = {f"{kind}, {batch} at a time": round(count(program, kind, batch))
               for kind, batch in CASES}
    if arguments.record:
        RECORD.write_text(json.dumps(counted, indent=1) + "\n")
    recorded = json.loads(RECORD.read_text())
    failed = 0
    for case, instructions in counted.items():
        known = recorded.get(case, 0)
        good = abs(instructions - known) <= TOLERANCE * known
        failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {case:22} {instructions:6} recorded {known:6} "
              f"{(instructions / known - 1) * 100 if known else 0:+.1f} %")
    print(f"{len(counted) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
