"""dns_config.profile: where Consul and the standards disagree and clients may depend on either."""
import pathlib
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire

MANY, HUGE = "many.service.consul", "huge.service.consul"
COMMANDS = (catalog.instances("many", 300) + catalog.instances("huge", 1050, "10.3") +
            catalog.instances("three", 3, "10.4") +
            'commands { register { node { name: "n" address: "10.1.0.9" } services { name: "tomany" '
            'port: 1 address: "many.service.consul" } } }\n')


class Consul(catalog.CatalogTest):
    commands = COMMANDS

    def test_instances_are_left_out_unsaid(self):
        for options in ["+noedns"], ["+bufsize=1232"]:
            for qtype in "A", "SRV":
                self.assertNotIn("tc", self.dig(MANY, qtype, "+ignore", *options).flags)

    def test_negative_ttl_is_0(self):
        self.assertEqual(self.dig("nosuch.service.consul").authority[0].ttl, 0)

    def test_service_may_be_left_out_of_srv_names_only(self):
        self.assertEqual(len(self.dig("_web._tcp.consul", "SRV").answer), 3)
        self.assertEqual(self.dig("_web._tcp.consul", "A").status, "NXDOMAIN")

    def test_tcp_has_1024_srv_records(self):
        self.assertLessEqual(len(self.dig(HUGE, "SRV", "+tcp").answer), 1024)


class Standard(catalog.CatalogTest):
    config = {"dns_config": {"profile": "standard"}}
    commands = COMMANDS

    def test_tc_says_that_something_was_left_out_for_count_or_size(self):
        """RFC 2181 section 9."""
        for options in ["+noedns"], ["+bufsize=512"], ["+bufsize=1232"]:
            for qname in MANY, HUGE:
                for qtype in "A", "SRV", "ANY":
                    with self.subTest(qname, type=qtype, options=options):
                        reply = self.dig(qname, qtype, "+notcp", "+ignore", *options)
                        self.assertIn("tc", reply.flags)
        for qtype in "A", "SRV":
            reply = self.dig("three.service.consul", qtype, "+ignore", "+noedns")
            self.assertEqual((len(reply.answer), "tc" in reply.flags), (3, False), reply)

    def test_dig_gets_the_whole_over_tcp(self):
        for qname, count in (MANY, 300), (HUGE, 1050):
            for qtype in "A", "SRV":
                reply = self.dig(qname, qtype)
                self.assertEqual((len(reply.answer), "tc" in reply.flags), (count, False))

    def test_additional_rrsets_are_whole_or_not_there(self):
        for options in ["+noedns"], ["+bufsize=1232"]:
            reply = self.dig("tomany.service.consul", "SRV", "+ignore", *options)
            self.assertEqual((reply.rdata("answer"), reply.rdata("additional", "A")),
                             ([f"1 1 1 {MANY}."], []), reply)
            self.assertNotIn("tc", reply.flags)
        reply = self.dig("tomany.service.consul", "SRV", "+tcp")
        self.assertEqual(len(reply.rdata("additional", "A")), 300)

    def test_negative_answers_live_a_second(self):
        """RFC 2308 section 5."""
        for name in "nosuch.service.consul", "service.consul":
            soa = self.dig(name).authority[0]
            self.assertEqual((soa.ttl, soa.rdata.split()[-1]), (1, "1"))

    def test_a_name_exists_for_all_types_or_for_none(self):
        """RFC 8020 section 2."""
        for qname in "_web._tcp.consul", "_web._primary.dc1.consul":
            for qtype in "A", "SRV", "AAAA", "TXT":
                self.assertEqual(self.dig(qname, qtype).status, "NOERROR", (qname, qtype))
        for qtype in "A", "SRV":
            self.assertEqual(self.dig("_nosuch._tcp.consul", qtype).status, "NXDOMAIN")

    def test_chain_has_the_rcode_of_its_end(self):
        """RFC 6604 section 3."""
        reply = self.dig("dangling.service.consul")
        self.assertEqual((reply.status, reply.types("answer"), reply.types("authority")),
                         ("NXDOMAIN", ["CNAME"], ["SOA"]), reply)
        reply = self.dig("inner.service.consul", "AAAA")
        self.assertEqual((reply.status, reply.types("answer"), reply.types("authority")),
                         ("NOERROR", ["CNAME"], ["SOA"]), reply)

    def test_limits_that_are_set_are_kept_and_said(self):
        config = {"dns_config": {"profile": "standard", "a_record_limit": 2,
                                 "soa": {"min_ttl": 5}}}
        with catalog.CatalogServer(config, COMMANDS) as server:
            for options in ["+noedns", "+ignore"], ["+bufsize=4096", "+ignore"], ["+tcp"]:
                reply = server.dig(MANY, "A", *options)
                self.assertEqual((len(reply.answer), "tc" in reply.flags), (2, True), reply)
            self.assertEqual(server.dig("nosuch.service.consul").authority[0].ttl, 5)


class Reload(lib.AgentTest):
    def test_profile_changes_without_a_restart(self):
        def ttl():
            return self.dig("nosuch.service.consul").authority[0].ttl
        self.assertEqual(ttl(), 0)
        for profile, want in ("standard", 1), ("consul", 0):
            self.agent.write("conf.d/profile.json", {"dns_config": {"profile": profile}})
            self.agent.process.send_signal(signal.SIGHUP)
            wire.until(f"the profile is {profile}", lambda want=want: ttl() == want)

    def test_nobody_knows_another(self):
        agent = lib.Agent({"dns_config": {"profile": "best"}})
        with self.assertRaisesRegex(AssertionError, 'profile is "best"; expected consul or standard'):
            agent.__enter__()


lib.main()
