"""Which records an answer has: health, weights, TTLs, metadata, host names, name servers, SOA."""
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire

NODE = "node.dc1.consul."


class Records(catalog.CatalogTest):
    commands = catalog.instances("ten", 10)

    # Health

    def test_critical_instances_are_left_out(self):
        # h3 has a critical check of its own, the instance of h4 one of its own.
        self.check("api.service.consul", "A", "A 10.0.1.1", "A 10.0.1.2")
        self.assertEqual(self.dig("sick.service.consul").status, "NXDOMAIN")

    def test_checks_of_other_services_do_not_count(self):
        self.check("unchecked.service.consul", "A", "A 10.0.1.4")
        self.check("warned.service.consul", "A", "A 10.0.1.1")

    def test_check_without_status_is_critical(self):
        self.assertEqual(self.dig("nostatus.service.consul").status, "NXDOMAIN")

    def test_nodes_resolve_whatever_their_health(self):
        self.check("h3.node.consul", "A", "A 10.0.1.3")

    def test_weight_follows_the_worst_check(self):
        # Passing; a warning of the node; a warning of the service; no weights given.
        self.check("api.service.consul", "SRV", f"SRV 1 10 1 h1.{NODE}", f"SRV 1 3 2 h2.{NODE}")
        self.check("warned.service.consul", "SRV", f"SRV 1 2 1 h1.{NODE}")
        self.check("unchecked.service.consul", "SRV", f"SRV 1 1 4 h4.{NODE}")

    # One record each

    def test_instances_at_one_address_are_one_address(self):
        self.check("web.service.consul", "A", "A 10.0.0.1", "A 10.0.0.2")
        reply = self.dig("web.service.consul", "SRV", "+noedns")
        addresses = [each.owner for each in reply.additional if each.type == "A"]
        self.assertEqual(sorted(addresses), [f"Beta.{NODE}", f"alpha.{NODE}"], reply)

    def test_order_changes(self):
        first = {self.dig("ten.service.consul").answer[0].rdata for _ in range(60)}
        self.assertGreater(len(first), 3)

    # Metadata

    def test_node_metadata_is_txt(self):
        self.check("alpha.node.consul", "TXT", 'TXT "rack=r1"', 'TXT "only this"')
        self.check("alpha.node.consul", "ANY", "A 10.0.0.1", 'TXT "rack=r1"', 'TXT "only this"')

    def test_node_metadata_is_additional(self):
        for name, type in (("alpha.node.consul", "A"), ("alpha.node.consul", "AAAA"),
                           ("admin.web.service.consul", "SRV")):
            with self.subTest(name=name, type=type):
                reply = self.dig(name, type)
                self.assertEqual(reply.rdata("additional", "TXT"), ['"only this"', '"rack=r1"'],
                                 reply)
                owner = f"alpha.{NODE}" if type == "SRV" else "alpha.node.consul."
                self.assertEqual({each.owner for each in reply.additional if each.type == "TXT"},
                                 {owner})

    # Host names

    def test_host_name_is_a_cname(self):
        for type in "A", "AAAA", "ANY":
            self.check("hosted.node.consul", type, "CNAME ext.example.net.")
            self.check("hostsvc.service.consul", type, "CNAME WWW.example.net.")
        self.check("onhosted.service.consul", "A", "CNAME ext.example.net.")
        self.check("hosted.node.consul", "TXT", 'TXT "k=v"')

    def test_host_name_is_the_srv_target(self):
        self.check("hostsvc.service.consul", "SRV", "SRV 1 1 9021 WWW.example.net.")

    def test_host_name_of_ours_is_followed(self):
        self.check("inner.service.consul", "A", "CNAME web.service.consul.",
                   "web.service.consul. 0 A 10.0.0.1", "web.service.consul. 0 A 10.0.0.2")
        self.check("innernode.service.consul", "A", "CNAME alpha.node.consul.",
                   "alpha.node.consul. 0 A 10.0.0.1")
        reply = self.dig("innernode.service.consul", "SRV")
        self.assertEqual(reply.rdata(), ["1 1 9023 alpha.node.consul."])
        self.assertIn("alpha.node.consul. 0 A 10.0.0.1", catalog.shown(reply.additional))

    def test_host_name_that_is_not_there_is_a_cname_alone(self):
        reply = self.check("dangling.service.consul", "A", "CNAME nosuch.service.consul.")
        self.assertEqual(reply.authority, [])

    def test_loop_of_host_names_ends(self):
        self.check("ring1.service.consul", "A", "CNAME ring2.service.consul.",
                   "ring2.service.consul. 0 CNAME ring1.service.consul.")

    def test_addresses_go_before_host_names(self):
        for _ in range(10):
            self.check("mixed.service.consul", "A", "A 10.9.0.2")

    # The zone

    def test_any_of_a_service_is_its_addresses(self):
        self.check("web.service.consul", "ANY", "A 10.0.0.1", "A 10.0.0.2")

    def test_name_servers(self):
        reply = self.check("consul", "NS", f"NS agent-1.{NODE}")
        self.assertEqual(catalog.shown(each for each in reply.additional if each.type == "A"),
                         [f"agent-1.{NODE} 0 A 127.0.0.1"])

    def test_soa_of_the_zone_comes_with_its_name_servers(self):
        reply = self.dig("consul", "SOA")
        self.assertEqual(reply.types("answer"), ["SOA"])
        self.assertEqual(reply.rdata("authority"), [f"agent-1.{NODE}"])
        self.assertIn(f"agent-1.{NODE} 0 A 127.0.0.1", catalog.shown(reply.additional))

    def test_serial_stands_still_while_nothing_changes(self):
        serial = lambda: int(self.dig("consul", "SOA").answer[0].rdata.split()[2])
        before = serial()
        wire.until("the clock shows another second", lambda: time.time() >= before + 2)
        for name in "web.service.consul", "nosuch.service.consul":
            self.dig(name)
        self.assertEqual(serial(), before)


class Ttl(catalog.CatalogTest):
    config = {"dns_config": {"node_ttl": "11s", "service_ttl": {
        "*": "1s", "we*": "2s", "web": "3500ms", "sin*": "4s", "single": "5m", "API": "6s"}}}

    def test_of_nodes(self):
        self.check("alpha.node.consul", "A", "alpha.node.consul. 11 A 10.0.0.1")
        for name, type in (("alpha.node.consul", "TXT"), ("hosted.node.consul", "A"),
                           ("0a000001.addr.consul", "A"), ("consul", "NS")):
            reply = self.dig(name, type)
            self.assertEqual({each.ttl for each in reply.answer}, {11}, reply)

    def test_of_services_is_that_of_the_longest_key(self):
        for service, ttl in (("web", 3), ("single", 300), ("svc6", 1), ("warned", 1), ("api", 1)):
            with self.subTest(service=service):
                reply = self.dig(f"{service}.service.consul", "SRV")
                self.assertEqual({each.ttl for each in reply.answer + reply.additional}, {ttl},
                                 reply)

    def test_of_reverse_and_negative_answers_is_0(self):
        self.check("1.0.0.10.in-addr.arpa", "PTR", f"PTR alpha.{NODE}")
        self.assertEqual(self.dig("nosuch.service.consul").authority[0].ttl, 0)


class OnlyPassing(catalog.CatalogTest):
    config = {"dns_config": {"only_passing": True, "enable_additional_node_meta_txt": False}}

    def test_leaves_out_warnings(self):
        self.check("api.service.consul", "A", "A 10.0.1.1")
        self.assertEqual(self.dig("warned.service.consul").status, "NXDOMAIN")
        self.check("unchecked.service.consul", "A", "A 10.0.1.4")

    def test_metadata_is_not_additional_where_switched_off(self):
        self.assertEqual(self.dig("alpha.node.consul").rdata("additional", "TXT"), [])
        self.assertEqual(len(self.dig("alpha.node.consul", "TXT").answer), 2)


lib.main()
