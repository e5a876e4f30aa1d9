"""Thousands of simulated clusters (tests/sim), the same ones each time; a failure prints its seed.

PHAROS_SIM_SEED chooses others; `scripts/sim --seed N --servers N` runs one again.
"""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib

RUNS = 2000


class Simulation(unittest.TestCase):
    def test_clusters_keep_their_promises_whatever_the_seed(self):
        seed = int(os.environ.get("PHAROS_SIM_SEED", 1_000_000))
        # A server that crashes waits for a grace period, so that a run takes longer than its CPU time.
        parts = 4 * os.cpu_count()
        each = -(-RUNS // parts)
        started = [subprocess.Popen([lib.BUILD / "tests/sim/sim", "--seed", str(seed + part * each),
                                     "--runs", str(each)], stdout=subprocess.PIPE, text=True)
                   for part in range(parts)]
        for process in started:
            said, _ = process.communicate()
            print(said)
            self.assertEqual(process.returncode, 0, f"PHAROS_SIM_SEED={seed}: {said}")


if __name__ == "__main__":
    lib.main()
