"""Which server answers: NSID (RFC 5001)."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Tcp, ask, opt, option, options, query

NAME = "web.service.consul"
WANTED = opt(options=option(wire.NSID))


class NodeName(catalog.CatalogTest):
    config = {"dns_config": {"nsid": True}}

    def test_2_2_reply_has_it_when_asked(self):
        for name in NAME, "nosuch.service.consul", "example.com":
            with self.subTest(name):
                reply = ask(self.server.dns_port, query(name, edns=WANTED))
                self.assertEqual(options(reply)[wire.NSID], b"agent-1")

    def test_2_2_reply_has_it_only_when_asked(self):
        reply = ask(self.server.dns_port, query(NAME, edns=opt()))
        self.assertEqual(options(reply), {})

    def test_2_1_data_in_a_question_means_nothing(self):
        edns = opt(options=option(wire.NSID, b"\xff" * 64))
        reply = ask(self.server.dns_port, query(NAME, edns=edns))
        self.assertEqual(options(reply), {wire.NSID: b"agent-1"})

    def test_over_tcp(self):
        with Tcp(self.server.dns_port) as tcp:
            tcp.send(query(NAME, edns=WANTED))
            self.assertEqual(options(tcp.receive())[wire.NSID], b"agent-1")

    def test_2_4_tools_show_it_as_text(self):
        self.assertIn('("agent-1")', str(self.dig(NAME, "A", "+nsid")))
        run = subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.server.dns_port), "+nsid", NAME],
                             capture_output=True, text=True, check=True)
        self.assertIn('"agent-1"', run.stdout)


class Text(catalog.CatalogTest):
    config = {"dns_config": {"nsid": "rack 7 " + "n" * 121}}
    commands = catalog.instances("many", 300)

    def test_is_what_is_configured(self):
        reply = ask(self.server.dns_port, query(NAME, edns=WANTED))
        self.assertEqual(options(reply)[wire.NSID], b"rack 7 " + b"n" * 121)

    def test_answers_are_cut_rather_than_it(self):
        for octets in 512, 600, 1232:
            edns = opt(octets, options=option(wire.NSID))
            reply = ask(self.server.dns_port, query("many.service.consul", edns=edns))
            self.assertLessEqual(len(reply), octets)
            self.assertIn(wire.NSID, options(reply))


class Off(catalog.CatalogTest):
    def test_by_default_nothing_is_told(self):
        reply = ask(self.server.dns_port, query(NAME, edns=WANTED))
        self.assertEqual(options(reply), {})


lib.main()
