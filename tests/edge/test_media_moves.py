"""Media that moves, on real sockets: re-INVITEs, forks, NATs, pairs that are used again, calls in a ring.

What is right is written in RFC 3264 8.3.1 (packets of the former address may still come) and asked of
rtpengine by ``tests/interop/test_media_moves.py``.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import replace

import gevent
import pytest

from sbc.config.media import MediaConfig
from sbc.ids import Ids
from sbc.media.srtp import Protector, Unprotector
from sbc.net.media.embedded import MediaIO
from tests.peers.ports import free_port
from tests.unit.media.kit import ACCEPT, OFF, REQUIRED, Counter, audio, crypto, first, key, lines, rtp, sdp

HOST = "127.0.0.1"
FIRST = (free_port(41) + 1) // 2 * 2
Secure = Callable[[bytes], bytes]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Phone:
    """A UDP socket that sends where it is told and keeps what it hears."""

    def __init__(self, host: str = HOST) -> None:
        self.host = host
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.to = 0
        self.heard: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, (HOST, self.to))

    def hears(self, data: bytes) -> bool:
        """Whether ``data`` comes within two seconds."""
        for _ in range(400):
            try:
                while True:
                    self.heard.append(self.socket.recv(4096))
            except BlockingIOError:
                pass
            if data in self.heard:
                return True
            gevent.sleep(0.005)
        return False


class Plane:
    """A media plane of twenty pairs, its time, and phones that are closed at the end."""

    def __init__(self, pairs: int = 20) -> None:
        self.clock = Clock()
        config = MediaConfig(address=HOST, ports=f"{FIRST}-{FIRST + 2 * pairs - 1}", timeout=30.0)
        self.media = MediaIO(config, Ids(Counter()), self.clock)
        self.phones: list[Phone] = []

    def phone(self, host: str = HOST) -> Phone:
        self.phones.append(Phone(host))
        return self.phones[-1]

    def connect(self, a: Phone, b: Phone, call: str = "one") -> None:
        offer = self.media.offer(call, "a", sdp(audio(a.port), host=a.host), ACCEPT, OFF)
        answer = self.media.answer(call, "b", sdp(audio(b.port), host=b.host))
        a.to, b.to = first(answer).port, first(offer).port

    def close(self) -> None:
        self.media.close()
        for each in self.phones:
            each.socket.close()


@pytest.fixture
def plane() -> Iterator[Plane]:
    made = Plane()
    yield made
    made.close()


def as_it_is(data: bytes) -> bytes:
    return data


class Leg:
    """A far leg on one key: what it sends with, and how it reads what it hears."""

    def __init__(self, secure: bool) -> None:
        self.line = (crypto(1),) if secure else ()
        self.profile = "RTP/SAVP" if secure else "RTP/AVP"
        self.protect: Secure = Protector(key(1)).rtp if secure else as_it_is
        self.policy = REQUIRED if secure else OFF
        self.read: Secure = as_it_is

    def sdp(self, port: int) -> bytes:
        return sdp(audio(port, self.profile, *self.line), host=HOST)


def far_leg(plane: Plane, a: Phone, b: Phone, secure: bool) -> Leg:
    leg = Leg(secure)
    offer = plane.media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, leg.policy)
    answer = plane.media.answer("one", "b", leg.sdp(b.port))
    a.to, b.to = first(answer).port, first(offer).port
    if secure:
        leg.read = Unprotector(lines(offer)[0]).rtp
    return leg


def hears(leg: Leg, phone: Phone, data: bytes) -> bool:
    """Whether ``phone`` hears the plain packet ``data`` on its leg, within two seconds."""
    for _ in range(400):
        try:
            if leg.read(phone.socket.recv(4096)) == data:
                return True
        except BlockingIOError:
            gevent.sleep(0.005)
    return False


SECURE = pytest.mark.parametrize("secure", [False, True], ids=["plain", "srtp"])


def talk(leg: Leg, a: Phone, b: Phone, sequence: int) -> None:
    """A packet of each is heard by the other."""
    b.send(leg.protect(rtp(sequence)))
    assert a.hears(rtp(sequence))
    a.send(rtp(sequence, b"to b" * 40))
    assert hears(leg, b, rtp(sequence, b"to b" * 40))


@SECURE
def test_a_re_invite_that_moves_the_port_while_packets_are_in_flight(plane: Plane, secure: bool) -> None:
    a, old, new = plane.phone(), plane.phone(), plane.phone()
    leg = far_leg(plane, a, old, secure)
    talk(leg, a, old, 1)
    plane.media.offer("one", "b", leg.sdp(new.port), leg.policy, ACCEPT)
    plane.media.answer("one", "a", sdp(audio(a.port), host=HOST))
    new.to = old.to
    for sequence in range(2, 12):
        old.send(leg.protect(rtp(sequence)))  # in flight, and first
    for sequence in range(12, 15):
        talk(leg, a, new, sequence)
        old.send(leg.protect(rtp(sequence + 100, ssrc=99)))
    talk(leg, a, new, 20)


@SECURE
def test_the_answer_to_our_re_invite_names_a_new_port(plane: Plane, secure: bool) -> None:
    a, old, new = plane.phone(), plane.phone(), plane.phone()
    leg = far_leg(plane, a, old, secure)
    talk(leg, a, old, 1)
    plane.media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, leg.policy)
    plane.media.answer("one", "b", leg.sdp(new.port))
    new.to = old.to
    old.send(leg.protect(rtp(2)))
    gevent.sleep(0.02)
    talk(leg, a, new, 3)


@SECURE
def test_a_second_fork_on_the_same_address_and_back(plane: Plane, secure: bool) -> None:
    a, one, two = plane.phone(), plane.phone(), plane.phone()
    leg = far_leg(plane, a, one, secure)
    two.to = one.to
    talk(leg, a, one, 1)
    for now, before, sequence in ((two, one, 10), (one, two, 20), (two, one, 30)):
        plane.media.answer("one", "b", leg.sdp(now.port))
        before.send(leg.protect(rtp(sequence)))
        gevent.sleep(0.02)
        talk(leg, a, now, sequence + 1)


def test_an_srtp_peers_nat_changes_its_port_in_mid_call(plane: Plane) -> None:
    a, named, nat, later = (plane.phone() for _ in range(4))
    leg = far_leg(plane, a, named, True)
    nat.to = later.to = named.to
    talk(leg, a, nat, 1)
    talk(leg, a, later, 2)


def test_a_plain_peers_nat_changes_its_port_and_it_re_invites(plane: Plane) -> None:
    a, named, nat, later = (plane.phone() for _ in range(4))
    leg = far_leg(plane, a, named, False)
    nat.to = later.to = named.to
    talk(leg, a, nat, 1)
    later.send(rtp(2))
    assert comes_to(lambda: refused(plane, "source"), 1)
    plane.media.offer("one", "b", leg.sdp(named.port), OFF, ACCEPT)
    plane.media.answer("one", "a", sdp(audio(a.port), host=HOST))
    talk(leg, a, later, 3)


def comes_to(count: Callable[[], int], wanted: int) -> bool:
    """Whether ``count`` is ``wanted`` within two seconds."""
    for _ in range(400):
        if count() == wanted:
            return True
        gevent.sleep(0.005)
    return False


def test_who_was_first_gives_way_to_the_address_of_the_sdp(plane: Plane) -> None:
    a, b, stranger = plane.phone(), plane.phone(), plane.phone()
    plane.connect(a, b)
    stranger.to = b.to
    stranger.send(rtp(1, b"stranger" * 20))
    assert a.hears(rtp(1, b"stranger" * 20))
    b.send(rtp(2))
    assert a.hears(rtp(2))
    a.send(rtp(3))
    assert b.hears(rtp(3))
    stranger.send(rtp(4, b"stranger" * 20))
    assert comes_to(lambda: refused(plane, "source"), 1) and rtp(3) not in stranger.heard


def test_an_asymmetric_trunk_is_sent_to_where_its_sdp_says(plane: Plane) -> None:
    a, receives, sends = plane.phone(), plane.phone(), plane.phone()
    policy = replace(OFF, asymmetric=True)
    offer = plane.media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, policy)
    a.to = first(plane.media.answer("one", "b", sdp(audio(receives.port), host=HOST))).port
    sends.to = first(offer).port
    for sequence in range(3):
        sends.send(rtp(sequence))
        assert a.hears(rtp(sequence))
        a.send(rtp(sequence, b"to b" * 40))
        assert receives.hears(rtp(sequence, b"to b" * 40))


def test_a_pair_serves_again_after_all_others_and_late_media_finds_nobody() -> None:
    plane = Plane(pairs=3)
    try:
        a, b, c, d = (plane.phone() for _ in range(4))
        plane.connect(a, b)
        used = {a.to, b.to}
        talk(Leg(False), a, b, 1)
        plane.media.delete("one")
        plane.clock.now += 15
        plane.connect(c, d)
        assert {c.to, d.to} - used == {FIRST + 4}, "the pair that was never used is first"
        assert len({c.to, d.to} & used) == 1
        late = a if a.to in (c.to, d.to) else b
        for sequence in range(5):
            late.send(rtp(sequence, b"late" * 40))
        assert comes_to(lambda: refused(plane, "source"), 5)
        talk(Leg(False), c, d, 9)
        assert rtp(0, b"late" * 40) not in c.heard + d.heard
    finally:
        plane.close()


def refused(plane: Plane, reason: str) -> int:
    """How many packets of the calls "one" and "two" were refused for ``reason``."""
    legs = [leg for call in ("one", "two") for leg in (plane.media.query(call).a, plane.media.query(call).b)]
    return sum(leg.refused.get(reason, 0) for leg in legs)


def hairpin(plane: Plane, a: Phone, d: Phone) -> tuple[int, int]:
    """A PBX with both its legs on us: the call "one" from ``a`` goes on as "two" to ``d``.

    Returns our two ports that face each other.
    """
    media = plane.media
    one = first(media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, OFF)).port
    d.to = first(media.offer("two", "a", sdp(audio(one), host=HOST), ACCEPT, OFF)).port
    two = first(media.answer("two", "b", sdp(audio(d.port), host=HOST))).port
    a.to = first(media.answer("one", "b", sdp(audio(two), host=HOST))).port
    return one, two


@pytest.mark.slow
def test_the_hairpin_of_a_pbx_goes_on_both_ways_and_one_way(plane: Plane) -> None:
    a, d = plane.phone(), plane.phone()
    hairpin(plane, a, d)
    for sequence in range(120):  # one way, as an announcement is
        a.send(rtp(sequence))
        assert d.hears(rtp(sequence))
    for sequence in range(60):
        d.send(rtp(sequence, b"back" * 40))
        assert a.hears(rtp(sequence, b"back" * 40))
        a.send(rtp(sequence, b"and forth" * 16))
        assert d.hears(rtp(sequence, b"and forth" * 16))
    assert refused(plane, "loop") == 0


def test_a_ring_of_two_calls_ends_and_is_named(plane: Plane) -> None:
    a, d, outside, media = plane.phone(), plane.phone(), plane.phone(), plane.media
    one, two = hairpin(plane, a, d)
    media.offer("two", "b", sdp(audio(a.to), host=HOST), OFF, ACCEPT)
    media.answer("two", "a", sdp(audio(one), host=HOST))
    outside.to = a.to
    for times in range(1, 4):
        media.offer("one", "a", sdp(audio(d.to), host=HOST), ACCEPT, OFF)
        media.answer("one", "b", sdp(audio(two), host=HOST))
        outside.send(rtp(times))
        assert comes_to(lambda: refused(plane, "loop"), times)
        passed = media.query("one").a.packets_in + media.query("two").a.packets_in
        assert passed == 51 * times, "fifty crossings after the packet that came from outside"
