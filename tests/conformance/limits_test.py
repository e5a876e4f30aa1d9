"""How many records an answer has: Consul's limits, which clients of old count on."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, ask, opt, query

MANY = "many.service.consul"


class Defaults(catalog.CatalogTest):
    commands = catalog.instances("many", 300) + catalog.instances("ten", 10, "10.3")

    @property
    def port(self):
        return self.server.dns_port

    def test_without_edns_there_are_three_answers(self):
        for qtype in "A", "SRV":
            self.assertEqual(Head(ask(self.port, query(MANY, qtype))).answers, 3)
            self.assertEqual(Head(ask(self.port, query(MANY, qtype, edns=opt(512)))).answers, 3)

    def test_what_was_cut_is_not_said_unless_asked_to(self):
        for edns in None, opt(1232):
            self.assertFalse(Head(ask(self.port, query(MANY, "A", edns=edns))).has(wire.TC))

    def test_subsets_differ(self):
        seen = set()
        for _ in range(50):
            seen |= set(self.dig("ten.service.consul", "A", "+noedns").rdata())
        self.assertEqual(len(seen), 10)

    def test_srv_additional_is_there_or_left_out_but_never_in_part(self):
        reply = self.dig("ten.service.consul", "SRV", "+bufsize=4096")
        targets = {each.rdata.split()[3] for each in reply.answer}
        glue = {each.owner for each in reply.additional if each.type == "A"}
        self.assertEqual((len(targets), glue), (10, targets))


class Limits(catalog.CatalogTest):
    config = {"dns_config": {"udp_answer_limit": 4, "a_record_limit": 2}}
    commands = catalog.instances("many", 300)

    def test_the_lower_one_counts(self):
        self.assertEqual(len(self.dig(MANY, "A", "+noedns").answer), 2)
        self.assertEqual(len(self.dig(MANY, "SRV", "+noedns").answer), 4)

    def test_address_limit_holds_everywhere_but_not_for_srv(self):
        for options in ["+bufsize=4096"], ["+tcp"]:
            self.assertEqual(len(self.dig(MANY, "A", *options).answer), 2)
            self.assertEqual(len(self.dig(MANY, "ANY", *options).answer), 2)
            self.assertGreater(len(self.dig(MANY, "SRV", *options).answer), 2)

    def test_nodes_are_not_limited(self):
        self.assertEqual(self.dig("alpha.node.consul", "A", "+noedns").rdata(), ["10.0.0.1"])


lib.main()
