"""scripts/smoke, which operators run against their agents, likes a good agent and no other."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream

SMOKE = lib.ROOT / "scripts" / "smoke"


def smoke(*args):
    return subprocess.run([SMOKE, *map(str, args)], capture_output=True, text=True, check=False,
                          timeout=120)


class Smoke(unittest.TestCase):
    def test_likes_an_agent(self):
        with lib.Agent() as agent:
            run = smoke("127.0.0.1", agent.dns_port)
            self.assertEqual((run.returncode, "FAIL" in run.stdout), (0, False), run.stdout)
            self.assertRegex(run.stdout, r"\n\d+ passed, 0 failed\n$")

    def test_likes_one_of_another_domain_and_datacenter(self):
        with lib.Agent({"domain": "svc.lan", "datacenter": "east"}) as agent:
            run = smoke("127.0.0.1", agent.dns_port, "svc.lan", "east")
            self.assertEqual(run.returncode, 0, run.stdout)

    def test_does_not_like_another_server(self):
        with upstream.Upstream() as server:
            run = smoke("127.0.0.1", server.port)
            self.assertEqual(run.returncode, 1, run.stdout)
            self.assertIn("FAIL", run.stdout)


lib.main()
