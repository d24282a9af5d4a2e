"""The relay's latch, its counters and its refusals, packet by packet."""

from __future__ import annotations

import pytest

from sbc.media.relay import Leg, packet, pair
from sbc.media.srtp import MAX_PACKET, Protector, Unprotector
from tests.unit.media.kit import key, rtcp, rtp

A, B, STRANGER = ("192.0.2.10", 40000), ("198.51.100.20", 50000), ("203.0.113.66", 6666)
MOVED = ("192.0.2.10", 41234)


def plain() -> tuple[Leg, Leg]:
    a, b = pair()
    for leg, (host, port) in ((a, A), (b, B)):
        leg.agreed, leg.hosts = True, (host,)
        leg.port_rtp.aim((host, port), False)
        leg.port_rtcp.aim((host, port + 1), False)
    return a, b


def secured() -> tuple[Leg, Leg, Protector]:
    """Leg b under SRTP; also what the peer of b sends with."""
    a, b = plain()
    b.unprotect, b.protect = Unprotector(key(1)), Protector(key(2))
    return a, b, Protector(key(1))


def test_rtp_goes_across_unchanged_to_where_the_sdp_says() -> None:
    a, b = plain()
    for data in (rtp(1), rtp(2, kind=0x80 | 101, payload=b"\x05\x0a\x03\x20")):  # RFC 4733 events, too
        assert packet(a.port_rtp, data, A) == (b.port_rtp, data, B)
    assert (a.packets_in, b.packets_out, b.packets_in) == (2, 2, 0)
    assert a.bytes_in == b.bytes_out == len(rtp(1)) + 16


def test_nothing_passes_before_both_legs_are_agreed() -> None:
    a, b = plain()
    b.silence()
    assert packet(a.port_rtp, rtp(1), A) is None
    assert packet(b.port_rtp, rtp(1), B) is None
    assert (a.refused, b.refused) == ({"no destination": 1}, {"not agreed": 1})


def test_a_plain_leg_latches_within_its_hosts_and_is_strict_then() -> None:
    a, b = plain()
    assert packet(a.port_rtp, rtp(1), STRANGER) is None
    assert packet(a.port_rtp, rtp(1), MOVED) is not None
    assert packet(a.port_rtp, rtp(2), A) is None  # the SDP's own port, but somebody was first
    assert packet(b.port_rtp, rtp(1), B) == (a.port_rtp, rtp(1), MOVED)
    assert a.refused == {"source": 2}


def test_an_srtp_leg_latches_on_authentication_alone() -> None:
    a, b, peer = secured()
    for source in (STRANGER, B):
        assert packet(b.port_rtp, rtp(1), source) is None
    assert b.port_rtp.source is None and b.port_rtp.target == B
    one, two = peer.rtp(rtp(1)), peer.rtp(rtp(2))
    assert packet(b.port_rtp, one, STRANGER) == (a.port_rtp, rtp(1), A)  # who holds the key is the peer
    assert packet(b.port_rtp, two, B) is None
    sent = packet(a.port_rtp, rtp(9), A)
    assert sent is not None and sent[2] == STRANGER and sent[1] != rtp(9)
    assert Unprotector(key(2)).rtp(sent[1]) == rtp(9)
    assert b.refused == {"authentication": 2, "source": 1}


def test_a_replay_is_refused_and_does_not_count_as_received() -> None:
    a, b, peer = secured()
    one = peer.rtp(rtp(1))
    assert packet(b.port_rtp, one, B) is not None
    assert packet(b.port_rtp, one, B) is None
    assert (b.packets_in, a.packets_out, b.refused) == (1, 1, {"replay": 1})


def test_a_repeated_plain_packet_is_not_encrypted_twice() -> None:
    a, _, _ = secured()
    assert packet(a.port_rtp, rtp(1, b"one"), A) is not None
    assert packet(a.port_rtp, rtp(1, b"two"), A) is None
    assert a.refused == {"replay when sent on": 1}


def test_a_leg_without_its_sending_key_sends_nothing() -> None:
    a, b, _ = secured()
    b.protect = None
    assert packet(a.port_rtp, rtp(1), A) is None
    assert a.refused == {"no key to send with": 1}


def test_the_former_key_serves_until_the_new_one_is_used_and_never_latches() -> None:
    _, b, old = secured()
    assert packet(b.port_rtp, old.rtp(rtp(1)), B) is not None
    b.former, b.unprotect = b.unprotect, Unprotector(key(3))
    b.port_rtp.aim(B, True)
    assert packet(b.port_rtp, old.rtp(rtp(2)), B) is not None
    assert b.port_rtp.source is None
    new = Protector(key(3))
    assert packet(b.port_rtp, new.rtp(rtp(3)), STRANGER) is not None
    assert b.port_rtp.source == STRANGER and b.former is None
    assert packet(b.port_rtp, old.rtp(rtp(4)), STRANGER) is None
    assert b.refused == {"authentication": 1}


def test_rtcp_has_its_own_port_unless_it_is_multiplexed() -> None:
    a, b = plain()
    source = (A[0], A[1] + 1)
    assert packet(a.port_rtcp, rtcp(), source) == (b.port_rtcp, rtcp(), (B[0], B[1] + 1))
    b.mux = True
    assert packet(a.port_rtcp, rtcp(), source) == (b.port_rtp, rtcp(), B)
    assert packet(b.port_rtp, rtcp(), B) == (a.port_rtcp, rtcp(), source)
    assert b.lost == 0 and b.ssrc == b""


def test_srtcp_is_decoded_and_protected_anew() -> None:
    a, b, peer = secured()
    sent = packet(a.port_rtcp, rtcp(), (A[0], A[1] + 1))
    assert sent is not None and Unprotector(key(2)).rtcp(sent[1]) == rtcp()
    assert packet(b.port_rtcp, peer.rtcp(rtcp()), B) == (a.port_rtcp, rtcp(), (A[0], A[1] + 1))


NOT_RTP = [b"", b"\x80", bytes(12), b"\x40" + bytes(40), b"\xc0" + bytes(40), b"\x80" + bytes(MAX_PACKET)]


@pytest.mark.parametrize("data", NOT_RTP)
def test_what_is_not_rtp_is_malformed(data: bytes) -> None:
    for leg in (plain()[0], secured()[1]):
        source = A if leg.side == "a" else B
        assert packet(leg.port_rtp, data, source) is None
        assert leg.refused == {"malformed": 1} and leg.port_rtp.source is None


def test_the_tap_sees_the_decoded_side_of_both_legs() -> None:
    a, b, peer = secured()
    heard: list[tuple[str, bytes]] = []
    a.tap = b.tap = lambda side, data: heard.append((side, data))
    packet(a.port_rtp, rtp(1), A)
    packet(b.port_rtp, peer.rtp(rtp(2)), B)
    packet(b.port_rtp, rtp(3), B)
    assert heard == [("a", rtp(1)), ("b", rtp(2))]


@pytest.mark.parametrize(
    ("sequences", "lost"),
    [
        ([], 0),
        ([1, 2, 3], 0),
        ([1, 2, 5], 2),
        ([1, 3, 2, 4], 0),
        ([65534, 65535, 0, 1], 0),
        ([65534, 2], 3),
        ([65535, 65533, 0], 0),
        ([1, 3, 30000, 30002], 2),  # a restart is not 30,000 losses
        ([5, 5, 5], 0),
    ],
)
def test_losses_by_sequence_number(sequences: list[int], lost: int) -> None:
    leg = pair()[0]
    for each in sequences:
        leg.follow(rtp(each))
    assert leg.lost == lost


def test_losses_of_several_sources_add_up() -> None:
    leg = pair()[0]
    for sequence, ssrc in ((1, 7), (3, 7), (500, 8), (504, 8)):
        leg.follow(rtp(sequence, ssrc=ssrc))
    assert leg.lost == 4


def test_ten_thousand_forgeries_and_replays_reach_nobody() -> None:
    a, b, peer = secured()
    sent = [peer.rtp(rtp(each)) for each in range(100)]
    for each in sent:
        assert packet(b.port_rtp, each, B) is not None
    for number in range(10_000):
        good = sent[number % 100]
        bad = bytearray(good)
        bad[number % len(good)] ^= 1 + number % 255
        data = (good, bytes(bad), rtp(number), good)[number % 4]
        assert packet(b.port_rtp, data, B if number % 4 < 2 else STRANGER) is None
    assert b.refused is not None and sum(b.refused.values()) == 10_000
    assert (a.packets_out, b.port_rtp.target, a.port_rtp.target) == (100, B, A)
    assert packet(b.port_rtp, peer.rtp(rtp(100)), B) is not None
