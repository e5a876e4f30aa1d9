"""DNS cookies (RFC 7873) in the interoperable form (RFC 9018)."""
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, header, opt, options, query

CLIENT = bytes(range(1, 9))
SECRET, NEXT = "0" * 31 + "1", "0" * 31 + "2"
NAME = "web.service.consul"
BADCOOKIE = 23


def cookie_of(reply):
    """The whole cookie in a reply, or None."""
    return options(reply).get(wire.COOKIE)


class Cookies(catalog.CatalogTest):
    @property
    def port(self):
        return self.server.dns_port

    def ask(self, cookie, name=NAME):
        return ask(self.port, query(name, edns=opt(options=wire.option(wire.COOKIE, cookie))))

    def test_4_reply_has_the_client_cookie_and_a_server_cookie(self):
        cookie = cookie_of(self.ask(CLIENT))
        self.assertEqual(cookie[:8], CLIENT)
        # RFC 9018 section 4: version 1, three octets reserved, time, hash.
        self.assertEqual((len(cookie), cookie[8:12]), (24, b"\1\0\0\0"))

    def test_5_2_1_without_cookie_as_if_cookies_were_unknown(self):
        self.assertIsNone(cookie_of(ask(self.port, query(NAME, edns=opt()))))
        reply = ask(self.port, query(NAME))
        self.assertEqual((Head(reply).answers, Head(reply).additional), (2, 0))

    def test_5_2_2_malformed_is_formerr(self):
        for octets in (*range(8), *range(9, 16), 41, 64):
            with self.subTest(octets=octets):
                self.assertEqual(Head(self.ask(bytes(octets))).rcode, wire.FORMERR)

    def test_5_2_3_to_5_2_5_every_other_cookie_is_answered_with_a_good_one(self):
        good = cookie_of(self.ask(CLIENT))
        for what, cookie in (("client cookie only", CLIENT), ("a bad one", CLIENT + bytes(16)),
                             ("a short one of others", CLIENT + bytes(8)),
                             ("a long one of others", CLIENT + bytes(32)),
                             ("another client's", bytes(8) + good[8:]), ("a good one", good)):
            with self.subTest(what):
                reply = self.ask(cookie)
                self.assertEqual((Head(reply).rcode, Head(reply).answers), (wire.NOERROR, 2))
                given = cookie_of(reply)
                self.assertEqual((given[:8], len(given)), (cookie[:8], 24))
        self.assertEqual(cookie_of(self.ask(good)), good)

    def test_5_2_only_the_first_of_several_counts(self):
        both = wire.option(wire.COOKIE, CLIENT) + wire.option(wire.COOKIE, bytes(8))
        reply = ask(self.port, query(NAME, edns=opt(options=both)))
        self.assertEqual(cookie_of(reply)[:8], CLIENT)

    def test_5_4_cookie_without_a_question(self):
        def bare(cookie):
            edns = opt(options=wire.option(wire.COOKIE, cookie))
            return ask(self.port, header(7, questions=0, additional=1) + edns)
        reply = bare(CLIENT)
        head = Head(reply)
        self.assertEqual((head.ident, head.rcode, head.questions, head.answers), (7, 0, 0, 0))
        good = cookie_of(reply)
        self.assertEqual(wire.rcode(bare(good)), wire.NOERROR)
        self.assertEqual(wire.rcode(bare(CLIENT + bytes(16))), BADCOOKIE)
        # Without a cookie it is no message that means anything.
        reply = ask(self.port, header(7, questions=0, additional=1) + opt())
        self.assertEqual(Head(reply).rcode, wire.FORMERR)

    def test_errors_have_one_too(self):
        for name in "nosuch.service.consul", "example.com":
            self.assertEqual(len(cookie_of(self.ask(CLIENT, name))), 24)
        with Tcp(self.port) as tcp:
            tcp.send(query(NAME, edns=opt(options=wire.option(wire.COOKIE, CLIENT))))
            self.assertEqual(len(cookie_of(tcp.receive())), 24)

    def test_dig_and_kdig_accept_it(self):
        self.assertIn("(good)", str(self.dig(NAME, "A", "+cookie")))
        run = subprocess.run(["kdig", "@127.0.0.1", "-p", str(self.port), "+cookie", NAME],
                             capture_output=True, text=True, check=True)
        self.assertRegex(run.stdout, r"COOKIE: [0-9A-F]{48}")


class Required(catalog.CatalogTest):
    config = {"dns_config": {"require_cookie": True}}

    def test_5_2_3_without_a_valid_one_there_is_no_answer(self):
        for cookie in CLIENT, CLIENT + bytes(16):
            message = query(NAME, edns=opt(options=wire.option(wire.COOKIE, cookie)))
            reply = ask(self.server.dns_port, message)
            self.assertEqual((wire.rcode(reply), Head(reply).answers), (BADCOOKIE, 0))
            good = cookie_of(reply)
            message = query(NAME, edns=opt(options=wire.option(wire.COOKIE, good)))
            reply = ask(self.server.dns_port, message)
            self.assertEqual((wire.rcode(reply), Head(reply).answers), (wire.NOERROR, 2))

    def test_dig_asks_again_with_the_cookie_it_was_given(self):
        reply = self.dig(NAME, "A", "+cookie")
        self.assertEqual((reply.status, len(reply.answer)), ("NOERROR", 2))
        self.assertEqual(self.dig(NAME, "A", "+cookie", "+nobadcookie").status, "BADCOOKIE")

    def test_over_tcp_and_without_any_cookie_there_is(self):
        self.assertEqual(len(self.dig(NAME, "A", "+cookie", "+tcp").answer), 2)
        self.assertEqual(len(self.dig(NAME, "A", "+nocookie").answer), 2)


class Shared(catalog.CatalogTest):
    """RFC 9018 section 3: servers of one secret accept each other's cookies."""

    config = {"dns_config": {"cookie_secret": [NEXT, SECRET], "require_cookie": True}}

    def test_cookie_of_another_server_is_good(self):
        for secrets in [SECRET], [SECRET, NEXT], [NEXT]:
            with catalog.CatalogServer({"dns_config": {"cookie_secret": secrets}}) as other:
                edns = opt(options=wire.option(wire.COOKIE, CLIENT))
                good = cookie_of(ask(other.dns_port, query(NAME, edns=edns)))
            edns = opt(options=wire.option(wire.COOKIE, good))
            reply = ask(self.server.dns_port, query(NAME, edns=edns))
            self.assertEqual(wire.rcode(reply), wire.NOERROR)
            # One made with the older secret is replaced (RFC 9018 section 5).
            self.assertEqual(cookie_of(reply) == good, secrets[0] == NEXT)


class Off(catalog.CatalogTest):
    config = {"dns_config": {"cookies": False}}

    def test_none_is_given(self):
        self.assertNotIn("COOKIE", str(self.dig(NAME, "A", "+cookie")))


lib.main()
