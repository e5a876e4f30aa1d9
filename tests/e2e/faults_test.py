"""Two datacenters in network namespaces through random faults (tests/faults.py), for a while.

PHAROS_FAULT_SECONDS and PHAROS_FAULT_SEED say for how long, and which; an hour is a good deal.
"""
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib


class Faults(unittest.TestCase):
    def test_answers_are_right_whatever_fails(self):
        if os.geteuid() != 0 or subprocess.run(
                ["unshare", "-n", "-m", "ip", "link", "add", "name", "probe", "type", "bridge"],
                stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("network namespaces and bridges take root")
        seconds = os.environ.get("PHAROS_FAULT_SECONDS", "30")
        seed = os.environ.get("PHAROS_FAULT_SEED", str(int(time.time())))
        done = subprocess.run(["unshare", "-n", "-m", sys.executable, str(lib.ROOT / "tests/faults.py"),
                               seconds, seed], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0, f"seed {seed}")


if __name__ == "__main__":
    lib.main()
