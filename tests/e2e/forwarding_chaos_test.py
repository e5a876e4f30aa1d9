"""Recursors that are slow, dead, flapping, or lie: the agent's answer is right or SERVFAIL, in the time
that clients wait, and nothing stays behind that was not asked for."""
import concurrent.futures
import pathlib
import random
import socket
import struct
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import lib
import upstream
import wire

WWW = "www.example.com"
GOOD, EVIL = "192.0.2.1", "203.0.113.66"
# Within the patience of dig below, with room for a machine that is busy.
PATIENCE = {"recursor_timeout": "300ms", "recursor_deadline": "1200ms"}


def a(name, address, ttl=300):
    return wire.record(name, "A", ttl, socket.inet_aton(address))


def evil(message, ident=None, question=None, flags=wire.QR | wire.RD | wire.RA):
    """A reply to the message with another address."""
    head = wire.Head(message)
    question = question or message[12:_question_end(message)]
    return (wire.header(head.ident if ident is None else ident, flags, 1, 1) + question +
            b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 300, 4) + socket.inet_aton(EVIL))


def _question_end(message):
    at = 12
    while message[at]:
        at += 1 + message[at]
    return at + 5


def other_question(name, rtype="A"):
    return wire.name(name) + struct.pack("!HH", wire.TYPES[rtype], 1)


def lowered(message):
    """The reply, its question in lower case."""
    end = _question_end(message)
    return message[:12] + message[12:end].lower() + message[end:]


# What a recursor does with a datagram: from (message, right reply) to [(how, reply)]; `how` is where
# it comes from: here, another port, another address.
LIES = {
    "another id": lambda message, good: [("here", evil(message, wire.Head(message).ident ^ 0x5555))],
    "another name": lambda message, good: [
        ("here", evil(message, question=other_question("www.example.org")))],
    "another type": lambda message, good: [
        ("here", evil(message, question=other_question(WWW, "TXT")))],
    "no question": lambda message, good: [
        ("here", wire.header(wire.Head(message).ident, wire.QR | wire.RA, 0, 1) + a(WWW, EVIL))],
    "a query, not a reply": lambda message, good: [("here", evil(message, flags=wire.RD))],
    "another opcode": lambda message, good: [("here", evil(message, flags=wire.QR | 0x2000))],
    "another port": lambda message, good: [("port", evil(message))],
    "another address": lambda message, good: [("address", evil(message))],
    "letter case lost": lambda message, good: [("here", lowered(evil(message)))],
    "an empty datagram": lambda message, good: [("here", b"")],
    "half a header": lambda message, good: [("here", good[:7])],
    "half a reply": lambda message, good: [("here", good[:-3])],
    "more records than there are": lambda message, good: [
        ("here", good[:6] + struct.pack("!H", 9) + good[8:])],
    "a name that points at itself": lambda message, good: [
        ("here", good[:_question_end(good)] + struct.pack("!BB", 0xC0, _question_end(good)) +
         good[_question_end(good) + 2:])],
    "noise": lambda message, good: [("here", random.Random(7).randbytes(100)) for _ in range(20)],
    "noise with our id": lambda message, good: [
        ("here", message[:2] + random.Random(seed).randbytes(60)) for seed in range(20)],
}


class Liar(upstream.Upstream):
    """Answers by UDP as `lie` says; `then_right` adds the right answer. TCP stays honest unless
    `tcp` is False."""

    lie = None
    then_right = False
    tcp = True

    def _reply_udp(self, udp, message, client):
        if self.lie is None:
            return super()._reply_udp(udp, message, client)
        good = self._reply(message, False)
        for how, reply in self.lie(message, good):
            try:
                if how == "here":
                    udp.sendto(reply, client)
                    continue
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                    other.bind(("127.0.0.1" if how == "port" else "127.0.0.2", 0))
                    other.sendto(reply, client)
            except OSError:
                return None
        if self.then_right:
            udp.sendto(good, client)
        return None

    def _serve_connection(self, connection):
        if not self.tcp:
            return connection.close()
        return super()._serve_connection(connection)


class Chaos(unittest.TestCase):
    maxDiff = None

    def start(self, *servers, **config):
        for server in servers:
            self.enterContext(server)
            server.add(WWW, "A", a(WWW, GOOD))
        return self.enterContext(lib.Agent(
            {"recursors": [each.address for each in servers],
             "dns_config": {"threads": 1, **PATIENCE, **config}}))

    def ask(self, agent, name=WWW, *options):
        """The status and the addresses; fails when no answer comes in the time clients wait."""
        reply = agent.dig(name, "A", *options, seconds=5)
        self.assertNotIn(EVIL, reply.text)
        return reply.status, reply.rdata()


class Lying(Chaos):
    def test_alone_is_servfail_or_right(self):
        for what, lie in LIES.items():
            with self.subTest(what):
                server = Liar()
                server.lie = lie
                server.tcp = False
                agent = self.start(server)
                self.assertEqual(self.ask(agent), ("SERVFAIL", []))

    def test_beside_an_honest_one_the_answer_is_right(self):
        for what, lie in LIES.items():
            with self.subTest(what):
                server = Liar()
                server.lie = lie
                server.tcp = False
                agent = self.start(server, upstream.Upstream())
                self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))

    def test_a_forged_reply_ahead_of_the_right_one_changes_nothing(self):
        for what in "another id", "another name", "another port", "another address", "noise":
            with self.subTest(what):
                server = Liar()
                server.lie, server.then_right = LIES[what], True
                agent = self.start(server)
                self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))
                self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]), "from the cache")

    def test_a_flood_of_guesses_leads_to_tcp(self):
        server = Liar()
        server.lie = lambda message, good: [
            ("here", evil(message, ident)) for ident in range(1, 200)
            if ident != wire.Head(message).ident]
        agent = self.start(server)
        self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))
        self.assertGreaterEqual(server.tcp_count, 1)

    def test_lost_letter_case_is_asked_again_by_tcp(self):
        server = Liar()
        server.lie = lambda message, good: [("here", lowered(good))]
        agent = self.start(server)
        self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))
        self.assertEqual(server.tcp_count, 1)


class Poison(Chaos):
    """What a recursor adds to its answer is given on or dropped, but answers no other question."""

    VICTIM = "bank.example.com"

    def test_nothing_is_kept_that_was_not_asked(self):
        extra = a(self.VICTIM, EVIL, 86400)
        cases = {
            "in the answer": lambda question: (2, 0, 0, a(WWW, GOOD) + extra),
            "in authority": lambda question: (
                1, 1, 1, a(WWW, GOOD) + wire.record("example.com", "NS", 86400,
                                                    wire.name(self.VICTIM)) + extra),
            "in additional": lambda question: (1, 0, 1, a(WWW, GOOD) + extra),
            "behind a CNAME": lambda question: (
                2, 0, 0, wire.record(WWW, "CNAME", 300, wire.name(self.VICTIM)) + extra)}
        for what, make in cases.items():
            with self.subTest(what):
                server = Liar()

                def lie(message, good, make=make):
                    if b"www" not in message.lower():
                        return [("here", good)]
                    question = message[12:_question_end(message)]
                    answers, authority, additional, records = make(question)
                    return [("here", wire.header(wire.Head(message).ident, wire.QR | wire.RA, 1,
                                                 answers, authority, additional) +
                             question + records)]
                server.lie = lie
                server.add(self.VICTIM, "A", a(self.VICTIM, "192.0.2.7"))
                agent = self.start(server)
                agent.dig(WWW, seconds=5)
                self.assertEqual(self.ask(agent, self.VICTIM), ("NOERROR", ["192.0.2.7"]))
                self.assertEqual(server.asked(self.VICTIM), 1)


class SlowAndDead(Chaos):
    def test_slow_but_in_time(self):
        server = upstream.Upstream()
        server.hold = threading.Event()
        agent = self.start(server, recursor_timeout="3s", recursor_deadline="4s")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            asked = pool.submit(self.ask, agent)
            wire.until("the recursor is asked", lambda: server.asked(WWW))
            server.hold.set()
            self.assertEqual(asked.result(), ("NOERROR", [GOOD]))

    def test_too_slow_is_servfail_and_its_late_reply_is_nothing(self):
        server = upstream.Upstream()
        server.hold = threading.Event()
        agent = self.start(server)
        self.assertEqual(self.ask(agent), ("SERVFAIL", []))
        server.hold.set()  # The late replies go to sockets that are gone.
        self.assertEqual(self.ask(agent), ("SERVFAIL", []), "the failure is remembered")
        self.assertEqual(self.ask(agent, "other.example.com")[0], "NXDOMAIN")

    def test_dead_ones_are_passed_over(self):
        dead, silent, good = upstream.Upstream(), upstream.Upstream(), upstream.Upstream()
        agent = self.start(dead, silent, good)
        dead.stop()
        silent.silent = True
        for number in range(6):
            name = f"n{number}.example.com"
            good.add(name, "A", a(name, GOOD))
            self.assertEqual(self.ask(agent, name), ("NOERROR", [GOOD]))
        asked = silent.asked()
        self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))
        self.assertLessEqual(silent.asked() - asked, 2, "at most a probe")

    def test_truncated_without_tcp_is_servfail(self):
        server = Liar()
        server.truncate, server.tcp = True, False
        agent = self.start(server)
        self.assertEqual(self.ask(agent), ("SERVFAIL", []))

    def test_truncated_is_asked_by_tcp(self):
        server = upstream.Upstream()
        server.truncate = True
        agent = self.start(server)
        self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))

    def test_flapping(self):
        flapping, rcode = upstream.Upstream(), upstream.Upstream()
        agent = self.start(flapping, rcode)
        dice = random.Random(20)
        for number in range(40):
            flapping.silent = dice.random() < 0.5
            rcode.rcode = dice.choice((None, wire.SERVFAIL, wire.REFUSED))
            name = f"n{number}.example.com"
            for server in flapping, rcode:
                server.add(name, "A", a(name, GOOD))
            status, addresses = self.ask(agent, name)
            self.assertIn((status, addresses), (("NOERROR", [GOOD]), ("SERVFAIL", [])))
            if not flapping.silent and rcode.rcode is None:
                self.assertEqual(status, "NOERROR", number)
        flapping.silent, rcode.rcode = False, None
        self.assertEqual(self.ask(agent), ("NOERROR", [GOOD]))

    def test_the_zone_is_answered_through_all_of_it(self):
        server = Liar()
        server.lie = LIES["noise with our id"]
        agent = self.start(server)
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            outside = [pool.submit(agent.dig, f"n{each}.example.com", seconds=5)
                       for each in range(40)]
            inside = [pool.submit(agent.dig, "agent-1.node.consul") for _ in range(40)]
            self.assertEqual({tuple(each.result().rdata()) for each in inside}, {("127.0.0.1",)})
            for each in outside:
                self.assertIn(each.result().status, ("SERVFAIL", "NXDOMAIN"))


lib.main()
