"""TCP when there are more clients, connections and waiting answers than can be held."""
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

SOA = wire.query("consul", "SOA")


class Pressure(unittest.TestCase):
    def start(self, config=None, **dns_config):
        return self.enterContext(
            lib.Agent({"dns_config": {"threads": 1, **dns_config}, **(config or {})}))

    def connect(self, agent):
        connection = self.enterContext(wire.Tcp(agent.dns_port))
        connection.send(SOA)
        connection.receive()
        return connection

    def test_a_new_connection_takes_the_place_of_the_longest_idle(self):
        """RFC 7766 section 6.2.3."""
        agent = self.start(tcp_connections_max=4)
        connections = [self.connect(agent) for _ in range(4)]
        connections[0].send(SOA)  # Now the second is idle longest.
        connections[0].receive()
        new = self.connect(agent)
        self.assertTrue(connections[1].is_closed())
        for each in connections[0], new:
            each.send(SOA)
            each.receive()
        self.assertEqual(
            agent.metric('pharos_dns_tcp_closed_total{reason="connection cap"}'), 1)

    def test_a_client_has_its_own_cap(self):
        agent = self.start(tcp_connections_per_client_max=2)
        first, second = self.connect(agent), self.connect(agent)
        third = self.connect(agent)
        self.assertTrue(first.is_closed())
        for each in second, third:
            each.send(SOA)
            each.receive()
        self.assertEqual(agent.metric('pharos_dns_tcp_closed_total{reason="client cap"}'), 1)

    def test_idle_connections_end_sooner_when_many_are_open(self):
        agent = self.start(tcp_connections_max=4)
        began = time.monotonic()
        connections = [self.connect(agent) for _ in range(4)]
        self.assertTrue(connections[0].is_closed())  # wire.SECONDS, where 10 s are the time-out.
        self.assertLess(time.monotonic() - began, 10)
        self.assertGreaterEqual(
            agent.metric('pharos_dns_tcp_closed_total{reason="pressure"}'), 1)

    def test_a_client_gets_servfail_beyond_its_share_of_waiting_answers(self):
        server = self.enterContext(upstream.Upstream())
        server.hold = threading.Event()
        agent = self.start({"recursors": [server.address]}, forwards_per_client_max=3)
        with wire.Tcp(agent.dns_port) as connection:
            connection.send(*[wire.query(f"w{i}.example.com", ident=i) for i in range(5)])
            refused = [wire.Head(connection.receive()) for _ in range(2)]
            self.assertEqual([(each.ident, each.rcode) for each in refused],
                             [(3, wire.SERVFAIL), (4, wire.SERVFAIL)])
            connection.send(wire.query("consul", "SOA", ident=9))
            self.assertEqual(wire.Head(connection.receive()).ident, 9)  # Our names need no place.
            server.hold.set()
            answered = [wire.Head(connection.receive()) for _ in range(3)]
            self.assertEqual(sorted(each.ident for each in answered), [0, 1, 2])
            self.assertEqual({each.rcode for each in answered}, {wire.NXDOMAIN})
            connection.send(wire.query("w5.example.com", ident=10))
            self.assertEqual(wire.Head(connection.receive()).rcode, wire.NXDOMAIN)
        self.assertEqual(agent.metric("pharos_dns_refused_at_client_bound_total"), 2)


if __name__ == "__main__":
    lib.main()
