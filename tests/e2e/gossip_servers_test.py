"""Servers that know nothing of each other but what gossip tells: they begin a cluster, notice who fails
and who is gone for good."""
import base64
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers

CONFIG = {"encrypt": base64.b64encode(bytes(range(32))).decode(),
          "gossip_lan": {"profile": "local"},
          # What is taken away here, nobody but gossip takes away.
          "autopilot": {"cleanup_dead_servers": False}}


class ByGossipAlone(unittest.TestCase):
    def test_servers_begin_lose_one_and_take_it_back(self):
        with servers.Servers(3, config=CONFIG, gossip=True) as cluster:
            for server in cluster:
                self.assertEqual(server.ask("PUT", "/v1/agent/service/register",
                                            {"Name": "web", "Port": 1000 + server.number})[0], 200)
            cluster.wait(lambda: self.shown(cluster) == [[1000, 1001, 1002]] * 3, "all instances")
            leader = cluster.wait_leader()
            self.take_away(cluster, leader)
            leader.start()
            cluster.wait(lambda: self.shown(cluster) == [[1000, 1001, 1002]] * 3,
                         "who comes back is shown again", 30)
            self.force_out(cluster)

    def shown(self, cluster):
        """The ports of `web` in the DNS of each running server that answers."""
        return [sorted(int(each.split()[2]) for each in
                       lib.dig(server.ports["dns"], "web.service.consul", "SRV").rdata())
                for server in cluster.running() if lib.answers(server.ports["dns"])]

    def take_away(self, cluster, server):
        server.kill()
        left = sorted(1000 + each.number for each in cluster.running())
        cluster.wait(lambda: self.shown(cluster) == [left] * 2, "the failed one is not shown", 30)

    def force_out(self, cluster):
        gone = next(each for each in cluster if each is not cluster.wait_leader())
        self.take_away(cluster, gone)
        other = cluster.running()[0]
        self.assertIn(gone.name, cluster.voters(other))
        self.assertEqual(other.cli("force-leave", gone.name), (0, ""))
        cluster.wait(lambda: gone.name not in cluster.voters(other), "it is no member any more")
        self.assertEqual(other.register("after", 1), 200)


if __name__ == "__main__":
    lib.main()
