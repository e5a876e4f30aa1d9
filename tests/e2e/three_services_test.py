"""The example in examples/three-services, as its README tells it."""
import json
import pathlib
import re
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import wire

RUN = lib.ROOT / "examples" / "three-services" / "run.py"


class ThreeServices(unittest.TestCase):
    def setUp(self):
        self.ports = lib.free_ports(6)
        self.run = subprocess.Popen([RUN, lib.PHAROS, *map(str, self.ports)], text=True,
                                    stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(self.stop)
        self.processes = {}
        for line in self.run.stdout:
            if started := re.match(r"(\S+) is process (\d+)", line):
                self.processes[started[1]] = int(started[2])
            if len(self.processes) == 4:
                break

    def stop(self):
        self.run.terminate()
        self.run.communicate(timeout=lib.STOP_SECONDS)

    def ask_web(self):
        """What web says; None while something on the way does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[2]}/", timeout=3) as reply:
                return json.load(reply)
        except (urllib.error.URLError, ConnectionError):
            return None

    def stock_ports(self):
        try:
            reply = lib.dig(self.ports[1], "stock.service.consul", "SRV")
        except AssertionError:
            return []  # The agent is not there yet.
        return [int(rdata.split()[2]) for rdata in reply.rdata()]

    def test_traffic_moves_to_the_instance_that_is_left(self):
        first, second = self.ports[4:]
        wire.until("both instances of stock are well",
                   lambda: self.stock_ports() == sorted([first, second]))
        wire.until("web gets an answer through orders from stock", self.ask_web)
        answer = self.ask_web()
        self.assertEqual(answer["then"]["service"], "orders")
        self.assertEqual(answer["then"]["then"]["service"], "stock")

        subprocess.run(["kill", str(self.processes[f"stock-{first}"])], check=True)
        wire.until("the instance has left DNS", lambda: self.stock_ports() == [second])
        self.assertEqual(self.ask_web()["then"]["then"]["instance"], f"stock-{second}")

        subprocess.run(["kill", str(self.processes[f"stock-{second}"])], check=True)
        wire.until("the name is gone", lambda: lib.dig(
            self.ports[1], "stock.service.consul", "SRV").status == "NXDOMAIN")
        self.assertIsNone(self.ask_web())


if __name__ == "__main__":
    lib.main()
