"""Agents in client mode: the whole catalog in each, whatever happens to the servers."""
import base64
import pathlib
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import servers
import wire

RIGHT = {"10.1.1.1", "10.1.1.2"}


class Asker:
    """Asks every agent for a name all the time, and keeps each answer that is not what it must be."""

    def __init__(self, agents, name, right, interval=0.05):
        self.agents, self.name, self.right, self.interval = agents, name, right, interval
        self.wrong, self.count = [], 0
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(agent,)) for agent in agents]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _run(self, agent):
        while not self._end.wait(self.interval):
            asked = time.strftime("%T")
            try:
                got = set(wire.addresses(agent.ports["dns"], self.name, seconds=2))
            except OSError as error:
                got = f"{error}"
            self.count += 1
            if got != self.right:
                self.wrong.append((asked, agent.name, got))


def register(agent, service, address, port=80, check=None):
    body = {"Name": service, "ID": f"{service}-{address}", "Address": address, "Port": port}
    if check:
        body["Check"] = check
    status, _, said = agent.ask("PUT", "/v1/agent/service/register", body)
    assert status == 200, (status, said)


class ClientAgents(unittest.TestCase):
    def wait_addresses(self, datacenter, agents, name, right, what):
        def fits():
            return all(set(wire.addresses(agent.ports["dns"], name, seconds=2)) == right
                       for agent in agents)
        datacenter.wait(fits, what)

    def test_what_is_registered_at_one_is_answered_by_all(self):
        with servers.Datacenter() as dc:
            one, two = dc.clients
            register(one, "web", "10.1.1.1")
            register(two, "web", "10.1.1.2")
            self.wait_addresses(dc, dc.clients + dc.servers, "web.service.consul", RIGHT, "web")
            # Reads and writes of the HTTP API, by each mode.
            self.assertEqual(one.register("external", 99, node="outside"), 200)
            for agent in dc.clients + dc.servers:
                for mode in ("consistent", ""):
                    self.assertEqual(agent.port_of("external", mode), 99, (agent.name, mode))
            status, headers, _ = two.ask("GET", "/v1/catalog/service/external?stale")
            self.assertEqual(status, 200)
            self.assertEqual(headers["x-consul-knownleader"], "true")
            self.assertLess(int(headers["x-consul-lastcontact"]), 5000)
            self.assertEqual(two.leader(), dc.wait_leader().address)
            # Its server tells it once in a second, and may have been new itself when it last did.
            peers = sorted(server.address for server in dc.servers)
            dc.wait(lambda: sorted(two.get("/v1/status/peers")) == peers, "the servers at a client")
            # A query that waits at one is answered by a change at the other.
            index = int(headers["x-consul-index"])
            woken = []
            waiter = threading.Thread(target=lambda: woken.append(two.ask(
                "GET", f"/v1/catalog/service/external?index={index}&wait=10s")))
            waiter.start()
            self.assertEqual(one.register("external", 100, node="outside"), 200)
            waiter.join()
            self.assertIn(b'"ServicePort":100', woken[0][2])
            # Nodes of clients are in the catalog and healthy.
            nodes = {node["Node"] for node in one.get("/v1/catalog/nodes")}
            self.assertLessEqual({agent.name for agent in dc.clients + dc.servers}, nodes)
            status, _, said = one.ask("PUT", "/v1/agent/service/deregister/web-10.1.1.1")
            self.assertEqual((status, said), (200, b""))
            self.wait_addresses(dc, dc.clients, "web.service.consul", {"10.1.1.2"}, "one less")

    def test_whoever_is_killed_leaves_dns_everywhere_and_comes_back(self):
        key = base64.b64encode(bytes(range(32))).decode()
        config = {"encrypt": key, "gossip_lan": {"profile": "lan"}}
        with servers.Datacenter(config=config) as dc:
            agents = dc.servers + dc.clients
            right = {f"10.7.0.{i}" for i in range(len(agents))}
            for i, agent in enumerate(agents):
                register(agent, "everywhere", f"10.7.0.{i}")
            self.wait_addresses(dc, agents, "everywhere.service.consul", right, "all of them")
            for i, agent in enumerate(agents):
                others = [other for other in agents if other is not agent]
                agent.kill()
                self.wait_addresses(dc, others, "everywhere.service.consul",
                                    right - {f"10.7.0.{i}"}, f"{agent.name} has gone")
                agent.start()
                self.wait_addresses(dc, agents, "everywhere.service.consul", right,
                                    f"{agent.name} is back")

    def test_answers_go_on_while_servers_are_killed_and_when_none_is_left(self):
        with servers.Datacenter() as dc:
            one, two = dc.clients
            register(one, "web", "10.1.1.1", check={"TTL": "1h", "Status": "passing"})
            register(two, "web", "10.1.1.2")
            self.wait_addresses(dc, dc.clients, "web.service.consul", RIGHT, "web")
            with Asker(dc.clients, "web.service.consul", RIGHT) as asker:
                for server in dc.servers:
                    server.kill()
                    left = dc.wait_leader()
                    dc.wait(lambda: all(dc.follows(client) for client in dc.clients),
                            "clients follow another server")
                    self.assertEqual(two.register(f"after-{server.number}", 1), 200)
                    self.assertEqual(one.port_of(f"after-{server.number}"), 1)
                    server.start()
                    dc.wait_ready()
                images = [client.metric("pharos_replica_images_total") for client in dc.clients]
                for server in dc.servers:
                    server.kill()
                dc.wait(lambda: "EDE: 3" in one.dig("web.service.consul").text, "a stale answer")
                time.sleep(1)
                self.assertGreater(one.metric("pharos_dns_stale_total"), 0)
            self.assertEqual(asker.wrong, [])
            self.assertGreater(asker.count, 50)
            self.assertLessEqual(max(images), 5, "a client goes on where it was, if it can")
            self.assertIsNotNone(left)
            # Reads that are to be new say so, stale ones do not wait.
            self.assertEqual(one.port_of("web", "stale"), 80)
            status, _, said = one.ask("GET", "/v1/catalog/service/web?consistent")
            self.assertEqual((status, said), (500, b"No cluster leader"))
            # What is known of the own node is seen here, though nobody can be told.
            status, _, _ = one.ask("PUT", "/v1/agent/check/fail/service:web-10.1.1.1")
            self.assertEqual(status, 200)
            self.wait_addresses(dc, [one], "web.service.consul", {"10.1.1.2"}, "withdrawn here")
            self.wait_addresses(dc, [two], "web.service.consul", RIGHT, "not known there")
            for server in dc.servers:
                server.start()
            dc.wait_ready()
            self.wait_addresses(dc, dc.clients + dc.servers, "web.service.consul", {"10.1.1.2"},
                                "everybody is told at last")
            dc.wait(lambda: "EDE" not in one.dig("web.service.consul").text, "fresh again")

    def test_a_client_that_starts_without_servers_answers_from_its_copy(self):
        with servers.Datacenter(1, 1) as dc:
            server, client = dc.servers[0], dc.clients[0]
            self.assertEqual(server.register("web", 80), 200)
            self.wait_addresses(dc, [client], "web.service.consul", {"10.0.0.1"}, "web")
            client.stop()
            server.kill()
            client.start()
            began = time.monotonic()
            dc.wait(lambda: lib.answers(client.ports["dns"]), "DNS", 5)
            reply = client.dig("web.service.consul")
            self.assertLess(time.monotonic() - began, 3)
            self.assertEqual(reply.rdata(), ["10.0.0.1"])
            self.assertIn("EDE: 3", reply.text)
            # The same after a copy that was written while it ran.
            server.start()
            dc.wait_ready()
            self.assertEqual(server.register("written-while-running", 81), 200)
            copy = client.folder / "data" / "replica" / "catalog"
            dc.wait(lambda: b"written-while-running" in copy.read_bytes(), "it is written", 25)
            client.kill()
            server.kill()
            client.start()
            dc.wait(lambda: lib.answers(client.ports["dns"]), "DNS", 5)
            dc.wait(lambda: client.dig("written-while-running.service.consul").rdata() ==
                    ["10.0.0.1"], "from disk", 5)
            # A damaged one is none: nothing is answered that may be wrong.
            client.kill()
            octets = bytearray(copy.read_bytes())
            octets[len(octets) // 2] ^= 1
            copy.write_bytes(octets)
            client.start()
            dc.wait(lambda: lib.answers(client.ports["dns"]), "DNS", 5)
            self.assertEqual(client.dig("web.service.consul").status, "SERVFAIL")
            self.assertIn("is not used", client.log())
            server.start()
            dc.wait_ready()
            self.wait_addresses(dc, [client], "web.service.consul", {"10.0.0.1"}, "from the server")

    def test_a_copy_that_is_too_old_is_not_served(self):
        with servers.Datacenter(1, 1, config={"dns_config": {"max_stale": "4s"}}) as dc:
            server, client = dc.servers[0], dc.clients[0]
            self.assertEqual(server.register("web", 80), 200)
            self.wait_addresses(dc, [client], "web.service.consul", {"10.0.0.1"}, "web")
            server.kill()
            dc.wait(lambda: client.dig("web.service.consul").status == "SERVFAIL", "too old", 15)
            self.assertIn("EDE: 22", client.dig("web.service.consul").text)
            server.start()
            dc.wait_ready()
            self.wait_addresses(dc, [client], "web.service.consul", {"10.0.0.1"}, "served again")


if __name__ == "__main__":
    lib.main()
