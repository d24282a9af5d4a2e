"""MediaIO on real sockets: media in both directions, strangers, ports, multiplexed RTCP, rates."""

from __future__ import annotations

import os
import resource
import select
import socket
from collections.abc import Iterator
from dataclasses import replace

import gevent
import pytest

from sbc.base import Address, LocalError, PeerError
from sbc.config.media import MediaConfig
from sbc.ids import Ids
from sbc.media.overhearing import Overhearing
from sbc.media.sdp import parse_sdp
from sbc.media.srtp import Protector, Unprotector
from sbc.net.media.embedded import MediaIO
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_equal
from tests.unit.media.kit import (
    ACCEPT,
    OFF,
    REQUIRED,
    Counter,
    audio,
    crypto,
    first,
    key,
    lines,
    rtcp,
    rtp,
    sdp,
)

HOST = "127.0.0.1"
# A range of this process's own: two workers may run these tests at once.
FIRST = (free_port(41) + 1) // 2 * 2
RANGE = f"{FIRST}-{FIRST + 39}"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Phone:
    """A UDP socket for RTP, and where the media plane receives its packets."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.socket.setblocking(False)
        self.port: int = self.socket.getsockname()[1]
        self.to = 0

    def send(self, data: bytes, port: int = 0) -> None:
        self.socket.sendto(data, (HOST, port or self.to))

    def receive(self, count: int = 0) -> list[bytes]:
        """What has arrived once there were ``count`` packets, and what came in the moment after that."""
        heard: list[bytes] = []

        def drain() -> list[bytes]:
            while True:
                try:
                    heard.append(self.socket.recv(4096))
                except BlockingIOError:
                    return heard

        until(drain, f"{count} packets", holds=lambda each: len(each) >= count)
        gevent.sleep(0.03)
        return drain()


@pytest.fixture
def media() -> Iterator[MediaIO]:
    plane = MediaIO(MediaConfig(ports=RANGE, timeout=30.0), Ids(Counter()), Clock())
    free = plane.free_ports()
    yield plane
    plane.close()
    assert plane.free_ports() == free


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone, Phone]]:
    made = Phone(), Phone(), Phone()
    yield made
    for each in made:
        each.socket.close()


def plain_call(media: MediaIO, a: Phone, b: Phone, call: str = "one", *attributes: str) -> None:
    b.to = first(
        media.offer(call, "a", sdp(audio(a.port, "RTP/AVP", *attributes), host=HOST), ACCEPT, OFF)
    ).port
    a.to = first(media.answer(call, "b", sdp(audio(b.port, "RTP/AVP", *attributes), host=HOST))).port


def secured_call(media: MediaIO, a: Phone, b: Phone) -> tuple[Protector, Unprotector]:
    """A plain phone a and an SRTP phone b; returns the contexts of b."""
    offer = media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, REQUIRED)
    answer = media.answer("one", "b", sdp(audio(b.port, "RTP/SAVP", crypto(1)), host=HOST))
    a.to, b.to = first(answer).port, first(offer).port
    return Protector(key(1)), Unprotector(lines(offer)[0])


def test_plain_media_crosses_both_ways(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    a, b, _ = phones
    plain_call(media, a, b)
    for sequence in range(50):
        a.send(rtp(sequence))
        b.send(rtp(sequence, ssrc=9))
    assert b.receive(50) == [rtp(each) for each in range(50)]
    assert a.receive(50) == [rtp(each, ssrc=9) for each in range(50)]
    stats = media.query("one")
    assert (stats.a.packets_in, stats.b.packets_out, stats.b.packets_in, stats.a.packets_out) == (50,) * 4


def test_srtp_is_terminated_over_the_sequence_wrap(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    a, b, _ = phones
    protector, unprotector = secured_call(media, a, b)
    for sequence in range(65500, 65600):
        a.send(rtp(sequence))
        b.send(protector.rtp(rtp(sequence)))
    assert [unprotector.rtp(each) for each in b.receive(100)] == [rtp(each) for each in range(65500, 65600)]
    assert a.receive(100) == [rtp(each) for each in range(65500, 65600)]


@pytest.mark.slow
def test_ten_thousand_forgeries_and_replays(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    a, b, forger = phones
    protector, unprotector = secured_call(media, a, b)
    good = [protector.rtp(rtp(each)) for each in range(10)]
    for each in good:
        b.send(each)
    assert len(a.receive(10)) == 10
    for number in range(10_000):
        forged = (good[number % 10], rtp(number), good[number % 10][:-1] + b"x", b"\x80\x00")[number % 4]
        forger.send(forged, a.to if number % 8 == 1 and number % 4 != 1 else b.to)
        b.send(good[number % 10])
        if number % 50 == 49:
            gevent.sleep(0.004)
    assert a.receive() == [] and forger.receive() == [] and b.receive() == []
    refused = media.query("one").b.refused
    assert refused["source"] > 1000 and refused["replay"] > 1000
    a.send(rtp(1))
    assert [unprotector.rtp(each) for each in b.receive(1)] == [rtp(1)]
    assert forger.receive() == []


def test_nothing_is_sent_before_the_answer_or_to_a_stranger(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    a, b, stranger = phones
    offer = media.offer("one", "a", sdp(audio(a.port), host=HOST), ACCEPT, REQUIRED)
    stranger.send(rtp(1), first(offer).port)
    b.send(rtp(1), first(offer).port)
    assert a.receive() == [] and stranger.receive() == []
    until_equal(lambda: media.query("one").b.refused, {"not agreed": 2})
    assert a.receive() == [] and stranger.receive() == []


def test_rtcp_uses_its_own_port_or_is_multiplexed(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    a, b, _ = phones
    plain_call(media, a, b, "muxed", "rtcp-mux")
    a.send(rtcp())
    assert b.receive(1) == [rtcp()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((HOST, a.to + 1))  # its RTCP socket is closed
    media.delete("muxed")
    plain_call(media, a, b, "apart", f"rtcp:{b.port}")
    b.send(rtcp(), b.to + 1)
    until_equal(lambda: media.query("apart").b.packets_in, 1)
    assert a.receive() == []


def bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


@pytest.mark.parametrize("named", [True, False])
def test_a_callee_that_declines_multiplexing_keeps_a_port_for_rtcp(
    media: MediaIO, phones: tuple[Phone, Phone, Phone], named: bool
) -> None:
    """RFC 5761 5.1.1: each leg by itself; RTCP goes where a=rtcp says (RFC 3605), else to the port above."""
    a, b, _ = phones
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as beside:
        try:
            beside.bind((HOST, 0 if named else b.port + 1))
        except OSError:
            pytest.skip("the port above the phone's is taken: RTCP beside RTP is not tested here")
        beside.settimeout(5)
        lines = (f"rtcp:{beside.getsockname()[1]}",) if named else ()
        offer = media.offer("one", "a", sdp(audio(a.port, "RTP/AVP", "rtcp-mux"), host=HOST), ACCEPT, OFF)
        answer = media.answer("one", "b", sdp(audio(b.port, "RTP/AVP", *lines), host=HOST))
        a.to, b.to = first(answer).port, first(offer).port
        assert first(answer).lines.mux and not bound(a.to + 1) and bound(b.to + 1)
        a.send(rtcp(7))
        until(lambda: select.select([beside], [], [], 0)[0])
        assert beside.recv(4096) == rtcp(7)
        beside.sendto(rtcp(9), (HOST, b.to + 1))
        assert a.receive(1) == [rtcp(9)]


def test_multiplexing_ends_with_an_offer_without_it_and_begins_again(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    a, b, _ = phones
    for mux in (True, False, True):
        plain_call(media, a, b, "one", *(("rtcp-mux",) if mux else (f"rtcp:{b.port}",)))
        assert (bound(a.to + 1), bound(b.to + 1)) == (not mux, not mux)
        a.send(rtcp(), 0 if mux else a.to + 1)
        assert b.receive(1) == [rtcp()]


def test_ports_that_others_hold_are_passed_over(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtp_taken,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as rtcp_taken,
    ):
        rtp_taken.bind((HOST, FIRST))
        rtcp_taken.bind((HOST, FIRST + 5))
        plain_call(media, phones[0], phones[1])
        assert (phones[0].to, phones[1].to) == (FIRST + 2, FIRST + 6)
    assert media.free_ports() == 18


def test_an_address_that_is_not_ours_is_the_operators_to_correct() -> None:
    plane = MediaIO(MediaConfig(address="192.0.2.1", ports=RANGE), Ids(Counter()), Clock())
    with pytest.raises(LocalError, match=r"opened on 192\.0\.2\.1: .*assign"):
        plane.offer("one", "a", sdp(audio()), ACCEPT, OFF)
    assert (len(plane), plane.free_ports()) == (0, 20)
    plane.close()


def test_a_process_without_files_left_refuses_the_call_and_gives_the_ports_back(media: MediaIO) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    fill: list[int] = []
    try:
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                fill.append(os.open(os.devnull, os.O_RDONLY))
        os.close(fill.pop())
        os.close(fill.pop())
        with pytest.raises(LocalError, match="Too many open files"):
            media.offer("one", "a", sdp(audio(), host=HOST), ACCEPT, OFF)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for each in fill:
            os.close(each)
    assert media.free_ports() == 20


def test_all_ports_come_back_however_a_call_ends(media: MediaIO) -> None:
    free = media.free_ports()
    good, many = sdp(audio(), host=HOST), sdp(*[audio()] * 12, host=HOST)
    wide = replace(ACCEPT, streams=12)
    for round in range(100):
        call = str(round)
        media.offer(call, "a", good, ACCEPT, OFF)
        if round % 2:
            media.answer(call, "b", good)
            media.offer(call, "b", sdp(audio(), audio(), host=HOST), OFF, ACCEPT)
            media.rollback(call)
        with pytest.raises((PeerError, LocalError)):
            media.offer(call, "a", (b"v=0", many, sdp(host="x.example"))[round % 3], wide, OFF)
        media.delete(call)
        media.delete(call)
        assert media.free_ports() == free and len(media) == 0
    with pytest.raises(PeerError):
        media.answer("gone", "b", good)
    media.rollback("gone")
    assert media.query("gone").streams == ()


def test_an_exhausted_pool_refuses_the_call_and_keeps_the_others(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    a, b, _ = phones
    plain_call(media, a, b)
    for number in range(9):
        media.offer(f"more-{number}", "a", sdp(audio(), host=HOST), ACCEPT, OFF)
    with pytest.raises(LocalError, match="in use"):
        media.offer("last", "a", sdp(audio(), host=HOST), ACCEPT, OFF)
    a.send(rtp(1))
    assert b.receive(1) == [rtp(1)]


def test_a_call_without_packets_becomes_idle(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    a, b, _ = phones
    plain_call(media, a, b)
    media.offer("ringing", "a", sdp(audio(), host=HOST), ACCEPT, OFF)
    assert media.idle(1029.0) == [] and media.idle(1030.0) == ["one"]
    a.send(rtp(1))
    b.receive(1)
    assert media.idle(1031.0) == [] and media.idle(1060.0) == [] and media.idle(1061.0) == ["one"]


def test_the_tap_hears_both_sides(media: MediaIO, phones: tuple[Phone, Phone, Phone]) -> None:
    a, b, _ = phones
    protector, _ = secured_call(media, a, b)
    first, second = Overhearing(0.0), Overhearing(0.0)
    media.listen("one", first)
    media.listen("one", second)
    a.send(rtp(1))
    b.send(protector.rtp(rtp(2)))
    b.receive(1)
    until(lambda: len(second.waiting) == 2)
    for each in (first, second):
        heard = sorted(each.waiting)
        assert [(side, data) for side, data, _ in heard] == [("a", rtp(1)), ("b", rtp(2))]
        assert {frame.leg: frame.codec for frame in each.take()} == {"a": "PCMU", "b": "PCMU"}


def test_a_quiet_plane_still_answers_the_first_packet(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    a, b, _ = phones
    plain_call(media, a, b)
    gevent.sleep(0.4)  # the looks have become rare by now
    for sequence in range(3):
        a.send(rtp(sequence))
        assert b.receive(1) == [rtp(sequence)]


def test_ipv6_where_the_machine_has_it(phones: tuple[Phone, Phone, Phone]) -> None:
    try:
        six = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2)]
        for each in six:
            each.bind(("::1", 0))
            each.settimeout(1)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback: media over IPv6 is not tested here")
    plane = MediaIO(MediaConfig(address="::1", ports=RANGE), Ids(Counter()), Clock())
    described = [sdp(audio(each.getsockname()[1]), host="::1").replace(b"IP4", b"IP6") for each in six]
    plane.offer("one", "a", described[0], ACCEPT, OFF)
    port = parse_sdp(plane.answer("one", "b", described[1])).media[0].port
    six[0].sendto(rtp(1), ("::1", port))
    until(lambda: select.select([six[1]], [], [], 0)[0])
    assert six[1].recv(4096) == rtp(1)
    plane.close()
    for each in six:
        each.close()


def test_on_the_ipv6_wildcard_an_ipv4_peer_talks_with_an_ipv6_peer() -> None:
    four = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    six = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        six.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback: media over IPv6 is not tested here")
    four.bind(("127.0.0.1", 0))
    plane = MediaIO(MediaConfig(address="::", advertise="127.0.0.1", ports=RANGE), Ids(Counter()), Clock())
    offer = sdp(audio(four.getsockname()[1]), host="127.0.0.1")
    answer = sdp(audio(six.getsockname()[1]), host="::1").replace(b"IP4", b"IP6")
    to_six = parse_sdp(plane.offer("one", "a", offer, ACCEPT, OFF)).media[0].port
    to_four = parse_sdp(plane.answer("one", "b", answer)).media[0].port
    for sender, here, port, receiver in ((four, "127.0.0.1", to_four, six), (six, "::1", to_six, four)):
        sender.sendto(rtp(1), (here, port))
        until(lambda receiver=receiver: select.select([receiver], [], [], 0)[0])  # type: ignore[misc]
        assert receiver.recv(4096) == rtp(1)
    assert plane.query("one").a.remote == Address("127.0.0.1", four.getsockname()[1]), "named as an IPv4 peer"
    plane.close()
    four.close()
    six.close()


def test_of_two_callees_at_once_the_one_that_is_taken_talks(
    media: MediaIO, phones: tuple[Phone, Phone, Phone]
) -> None:
    caller, one, two = phones
    near = ACCEPT
    offers = [
        media.offer("one", "a", sdp(audio(caller.port), host=HOST), near, OFF, branch=each) for each in (1, 2)
    ]
    one.to, two.to = (first(each).port for each in offers)
    early = media.answer("one", "b", sdp(audio(one.port), host=HOST), 1)
    caller.to = first(early).port
    third = media.offer("one", "a", sdp(audio(caller.port), host=HOST), near, OFF, branch=3)
    assert first(third).port not in (one.to, two.to)
    caller.send(rtp(1))
    assert one.receive(1) == [rtp(1)], "early media goes on though somebody else is tried beside it"
    media.take("one", 2)
    media.answer("one", "b", sdp(audio(two.port), host=HOST))
    caller.send(rtp(2))
    assert two.receive(1) == [rtp(2)]
    one.send(rtp(3))
    two.send(rtp(4))
    assert caller.receive(1) == [rtp(4)]
    media.delete("one")
    assert media.free_ports() == 20
