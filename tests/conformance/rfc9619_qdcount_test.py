"""A query has one question (RFC 9619)."""
import pathlib
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import catalog
import lib
import wire
from wire import Head, Tcp, ask, header, name, opt

QUESTION = name("web.service.consul") + struct.pack("!HH", wire.TYPES["A"], 1)


class QuestionCount(catalog.CatalogTest):
    def test_4_more_than_one_question_is_formerr(self):
        for count in 2, 3, 255, 65535:
            for edns in b"", opt():
                with self.subTest(count=count, edns=bool(edns)):
                    message = header(7, questions=count, additional=bool(edns)) + (
                        QUESTION * min(count, 8) + edns)
                    replies = [ask(self.server.dns_port, message)]
                    with Tcp(self.server.dns_port) as tcp:
                        tcp.send(message)
                        replies.append(tcp.receive())
                    for reply in replies:
                        head = Head(reply)
                        self.assertEqual((head.ident, head.rcode, head.questions, head.answers),
                                         (7, wire.FORMERR, 0, 0))

    def test_4_two_questions_are_formerr_even_if_they_are_the_same_or_only_counted(self):
        for questions in QUESTION, QUESTION * 2:
            reply = ask(self.server.dns_port, header(7, questions=2) + questions)
            self.assertEqual(Head(reply).rcode, wire.FORMERR)

    def test_no_question_is_formerr_unless_it_is_about_a_cookie(self):
        # RFC 7873 section 5.4, which RFC 9619 leaves alone.
        reply = ask(self.server.dns_port, header(7, questions=0))
        self.assertEqual(Head(reply).rcode, wire.FORMERR)
        cookie = wire.option(wire.COOKIE, bytes(8))
        reply = ask(self.server.dns_port,
                    header(7, questions=0, additional=1) + opt(options=cookie))
        self.assertEqual(Head(reply).rcode, wire.NOERROR)

    def test_the_next_one_is_answered(self):
        self.assertEqual(self.dig("web.service.consul").status, "NOERROR")


lib.main()
