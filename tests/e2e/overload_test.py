"""Overload of the UDP sockets: queries that have waited too long are given up, later ones answered."""
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import wire

SOA = wire.query("consul", "SOA")
FLOOD = 600  # More than a thread takes in one turn of its loop.


class Overload(unittest.TestCase):
    def stall(self, agent, asker):
        """The agent is kept from its sockets for longer than queries are good for."""
        agent.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(FLOOD):
                asker.send(SOA)
            time.sleep(0.3)  # Their age is what is tested: at least this, however slow all is.
        finally:
            agent.process.send_signal(signal.SIGCONT)
        # Answered behind all that waits.
        self.assertEqual(agent.dig("consul", "SOA").status, "NOERROR")

    def test_what_has_waited_too_long_is_shed(self):
        agent = self.enterContext(lib.Agent({"dns_config": {"threads": 1}}))
        shed = 'pharos_dns_shed_total{where="socket"}'
        with wire.udp(agent.dns_port) as asker:
            # The first is what makes the agent ask for times of arrival.
            for _ in range(20):
                self.stall(agent, asker)
                if agent.metric(shed) > 0:
                    break
            else:
                # Where net.core.rmem_max is small, a queue never holds a turn's worth.
                self.assertGreater(agent.metric("pharos_dns_udp_kernel_dropped_total"), 0)
        self.assertEqual(agent.dig("agent-1.node.consul").rdata(), ["127.0.0.1"])


if __name__ == "__main__":
    lib.main()
