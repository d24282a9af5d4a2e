"""Spoilt messages at the listeners that are open to all, from strangers and from whoever has a password.

All of them follow from a seed. What is asked is that nothing of our own breaks, that nothing is held when
they are gone, and that who is trusted is served as before. 3,000 each time, 100,000 with ``-m long``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import gevent
import pytest

from sbc.sip.message import Response
from tests.edge.open_ports import Open, open_to_all
from tests.edge.raw_sip import Datagrams, Stream
from tests.edge.test_phones import REALM
from tests.peers.waiting import until
from tests.property.attacker import spoil

pytestmark = pytest.mark.slow

SEED = 20261129
KINDS = ("udp", "tcp", "tls")
# So that all are looked at, and none is left out for its rate.
CAPS = (
    "caps: {messages_per_flow: 1000000/s, challenges_per_source: 1000000/s, connections_per_source: 1000}\n"
    "overload: {lag: 60s}\n"
)
METHODS = (
    "INVITE", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "MESSAGE", "PUBLISH", "REFER", "INFO", "UPDATE",
    "PRACK", "BYE", "CANCEL", "ACK", "XYZZY",
)  # fmt: skip
BODY = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
PROOF = (
    f'Authorization: Digest username="alice", realm="{REALM}", nonce="00", uri="sip:{REALM}", response="00",'
    ' algorithm=SHA-256, qop=auth, cnonce="c", nc=00000001\r\n'
)


@pytest.fixture
def sbc(tmp_path: Path) -> Iterator[Open]:
    with open_to_all(tmp_path, CAPS) as made:
        yield made


def message(dice: Random, kind: str, number: int) -> bytes:
    """Something that a phone may say."""
    method = dice.choice(METHODS)
    body = BODY if method in ("INVITE", "UPDATE") and dice.random() < 0.8 else ""
    branch, call = (number if dice.random() < 0.9 else 0 for _ in range(2))
    user, tag, hops = (
        dice.choice(("alice", "alice", "bob", "anonymous")),
        dice.choice(("", "", ";tag=x")),
        70 * (number % 9 > 0),
    )
    head = (
        f"{method} sip:{dice.choice((REALM, '100@' + REALM, 'alice@' + REALM))} SIP/2.0\r\n"
        f"Via: SIP/2.0/{kind.upper()} 127.0.0.1:5060;rport;branch=z9hG4bK{branch}\r\n"
        f"From: <sip:{user}@{REALM}>;tag=f{number}\r\nTo: <sip:alice@{REALM}>{tag}\r\n"
        f"Max-Forwards: {hops}\r\nCall-ID: fuzz{call}\r\nCSeq: {number + 1} {method}\r\n"
        f"Contact: <sip:alice@127.0.0.1:5060>\r\n{dice.choice(('', PROOF))}"
    )
    if body:
        head += "Content-Type: application/sdp\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def mutated(dice: Random, kind: str, number: int) -> bytes:
    """One with a header spoilt, octets changed, a piece missing, doubled, or of another message."""
    data = message(dice, kind, number)
    match dice.randrange(8):
        case 0:
            return data
        case 1 | 2 | 3:
            return spoil(dice, data)
        case 4:
            changed = bytearray(data)
            for _ in range(dice.randrange(1, 9)):
                changed[dice.randrange(len(changed))] = dice.randrange(256)
            return bytes(changed)
        case 5:
            begin, end = sorted((dice.randrange(len(data)), dice.randrange(len(data))))
            return data[:begin] + data[end:]
        case 6:
            begin, end = sorted((dice.randrange(len(data)), dice.randrange(len(data))))
            return data[:end] + data[begin:end] * dice.randrange(1, 4) + data[end:]
        case _:
            other = message(dice, kind, number + 1)
            return data[: dice.randrange(len(data))] + other[dice.randrange(len(other)) :]


class Fuzzer:
    """Says what is spoilt over one transport, and comes back where it was thrown out."""

    def __init__(self, sbc: Open, kind: str, seed: int) -> None:
        self.dice = Random(seed)
        self.connections = 0
        self.answers = 0
        self._sbc = sbc
        self._kind = kind
        self._wire = self._another()

    def say(self, count: int) -> None:
        """So many messages; now and then it waits until what it has said has been looked at."""
        for number in range(count):
            if self._wire.closed:
                self.hang_up()
                self._wire = self._another()
            self._wire.send(mutated(self.dice, self._kind, number)[:60_000])
            if number % 50 == 49:
                gevent.sleep(0)
                self._looked_at(number)

    def hang_up(self) -> None:
        """Leave, without a word."""
        self.answers += sum(isinstance(each, Response) for each in self._wire.heard)
        assert not self._wire.garbled, "we were told what is no SIP"
        self._wire.close()

    def _another(self) -> Datagrams | Stream:
        self.connections += 1
        known = self._kind != "udp" and self.connections % 3 == 1
        return self._sbc.alice(self._kind) if known else self._sbc.wire(self._kind)

    def _looked_at(self, number: int) -> None:
        """Whatever came before this has been looked at, for it is answered."""
        wire = self._sbc.wire(self._kind)
        until(lambda: _answered(wire, self._kind, number) or wire.closed, "an answer to OPTIONS")
        wire.close()


def _answered(wire: Datagrams | Stream, kind: str, number: int) -> bool:
    """Ask again, for datagrams may be lost."""
    wire.send(
        f"OPTIONS sip:{REALM} SIP/2.0\r\n"
        f"Via: SIP/2.0/{kind.upper()} 127.0.0.1;rport;branch=z9hG4bKo{number}\r\n"
        f"From: <sip:x@{REALM}>;tag=1\r\nTo: <sip:{REALM}>\r\nCall-ID: looks{number}\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n".encode()
    )
    gevent.sleep(0.01)
    return any(isinstance(each, Response) and each.status == 200 for each in wire.heard)


def fuzz(sbc: Open, count: int, seed: int) -> None:
    """``count`` spoilt messages over all transports at once, a trusted call meanwhile, and what is left."""
    fuzzers = [Fuzzer(sbc, kind, seed + at) for at, kind in enumerate(KINDS)]
    greenlets = [gevent.spawn(each.say, count // len(KINDS)) for each in fuzzers]
    sbc.trusted_call()
    gevent.joinall(greenlets, raise_error=True)
    sbc.trusted_call()
    for each in fuzzers:
        each.hang_up()
        assert each.answers > count // 30, "it was spoken with"
    sbc.forgets()
    assert sum(each["contacts"] for each in sbc.status()["phones"]) <= 10


def test_spoilt_messages_at_open_listeners_break_and_leave_nothing(sbc: Open) -> None:
    fuzz(sbc, 3000, SEED)


@pytest.mark.long
def test_a_hundred_thousand_of_them(sbc: Open) -> None:
    for seed in range(10):
        fuzz(sbc, 10_002, SEED + 100 * seed)
