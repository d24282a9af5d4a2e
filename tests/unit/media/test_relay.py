"""The relay's latch, its counters and its refusals, packet by packet."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sbc.media.overhearing import Overhearing
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
    assert packet(a.port_rtp, rtp(2), (A[0], 45678)) is None
    assert packet(b.port_rtp, rtp(1), B) == (a.port_rtp, rtp(1), MOVED)
    assert a.refused == {"source": 2}


@pytest.mark.parametrize("control", [False, True])
def test_the_source_that_the_sdp_names_wins_from_whoever_was_first(control: bool) -> None:
    a, b = plain()
    port, across, data = (a.port_rtcp, b.port_rtcp, rtcp()) if control else (a.port_rtp, b.port_rtp, rtp(1))
    named, far = (A[0], A[1] + control), (B[0], B[1] + control)
    assert packet(port, data, MOVED) is not None
    assert packet(port, data, named) is not None
    assert packet(port, data, MOVED) is None
    assert packet(across, data, far) == (port, data, named)
    assert a.refused == {"source": 1}


def test_an_ipv6_source_is_known_by_address_and_port() -> None:
    a, _ = plain()
    a.hosts = ("2001:db8::1",)
    a.port_rtp.aim(("2001:db8::1", 40000), False)
    assert packet(a.port_rtp, rtp(1), ("2001:db8::1", 41234, 0, 0)) is not None
    assert packet(a.port_rtp, rtp(2), ("2001:db8::1", 40000, 0, 0)) is not None
    assert packet(a.port_rtp, rtp(3), ("2001:db8::1", 41234, 0, 0)) is None
    assert packet(a.port_rtp, rtp(4), ("2001:db8::1", 40000, 0, 0)) is not None
    assert a.port_rtp.target == ("2001:db8::1", 40000)


def heard_from(leg: Leg, data: bytes, source: tuple[str, int], now: float = 0.0) -> bool:
    return packet(leg.port_rtp, data, source, now) is not None


def answers_to(leg: Leg) -> object:
    """Where the leg's peer is sent to now."""
    sent = packet(leg.other.port_rtp, rtp(next(_counter)), A if leg.side == "b" else B)
    return None if sent is None else sent[2]


_counter = iter(range(1000, 60000))
NEW = (B[0], 52000)


def test_what_is_in_flight_does_not_shut_out_the_port_that_a_plain_leg_moved_to() -> None:
    """RFC 3264 8.3.1: media for the former port may arrive after the answer."""
    _, b = plain()
    assert heard_from(b, rtp(1), B)
    b.port_rtp.aim(NEW, True)
    assert answers_to(b) == NEW
    assert not heard_from(b, rtp(2), B) and answers_to(b) == NEW
    assert heard_from(b, rtp(3), NEW) and not heard_from(b, rtp(4), B)
    assert answers_to(b) == NEW


def test_a_former_source_behind_a_nat_waits_until_it_is_signalled_again() -> None:
    _, b = plain()
    nat, other_nat = (B[0], 61000), (B[0], 62000)
    assert heard_from(b, rtp(1), nat)
    b.port_rtp.aim(NEW, True)
    assert not heard_from(b, rtp(2), nat, 3600.0)
    assert heard_from(b, rtp(3), other_nat, 3600.0) and answers_to(b) == other_nat
    b.port_rtp.aim(B, True)  # the first fork again, or a refused re-INVITE
    assert not heard_from(b, rtp(4), other_nat) and heard_from(b, rtp(5), nat) and answers_to(b) == nat


def test_three_moves_in_a_row_leave_the_last_address_and_a_bounded_memory() -> None:
    _, b = plain()
    for port in range(50001, 50100):
        assert heard_from(b, rtp(port), (B[0], port - 1))
        b.port_rtp.aim((B[0], port), True)
        for late in range(max(50000, port - 3), port):
            assert not heard_from(b, rtp(late), (B[0], late))
        assert answers_to(b) == (B[0], port)
    assert b.port_rtp.former is not None and len(b.port_rtp.former) <= 16


def test_a_re_invite_opens_a_plain_legs_latch_and_sends_on_until_somebody_comes() -> None:
    _, b = plain()
    before, after = (B[0], 61000), (B[0], 62000)
    assert heard_from(b, rtp(1), before)
    assert not heard_from(b, rtp(2), after)
    b.port_rtp.aim(B, True)
    assert answers_to(b) == before
    assert heard_from(b, rtp(3), after) and answers_to(b) == after


def test_a_hold_by_a_null_address_forgets_nobody() -> None:
    _, b = plain()
    nat = (B[0], 61000)
    assert heard_from(b, rtp(1), nat)
    b.port_rtp.aim(None, True)
    assert answers_to(b) is None
    b.port_rtp.aim(B, True)
    assert answers_to(b) == nat and heard_from(b, rtp(2), nat)


def test_an_srtp_leg_passes_what_is_in_flight_and_sends_to_where_the_sdp_says() -> None:
    _, b, peer = secured()
    assert heard_from(b, peer.rtp(rtp(1)), B)
    b.port_rtp.aim(NEW, False)
    for sequence in (2, 3, 4):
        assert heard_from(b, peer.rtp(rtp(sequence)), B) and answers_to(b) == NEW
    assert heard_from(b, peer.rtp(rtp(5)), NEW)
    assert heard_from(b, peer.rtp(rtp(6)), B) and answers_to(b) == NEW
    assert b.refused is None


def test_an_srtp_legs_former_source_returns_when_the_one_of_the_sdp_has_stopped() -> None:
    _, b, peer = secured()
    assert heard_from(b, peer.rtp(rtp(1)), B, 1.0)
    b.port_rtp.aim(NEW, False)
    assert heard_from(b, peer.rtp(rtp(3)), NEW, 2.0)
    assert heard_from(b, peer.rtp(rtp(4)), B, 3.9) and answers_to(b) == NEW
    assert heard_from(b, peer.rtp(rtp(2)), B, 9.0) and answers_to(b) == NEW  # it is old
    assert heard_from(b, peer.rtp(rtp(5)), B, 9.1) and answers_to(b) == B
    assert heard_from(b, peer.rtp(rtp(6)), NEW, 9.2) and answers_to(b) == NEW


def test_an_srtp_leg_whose_nat_did_not_change_with_its_sdp_is_found_after_a_while() -> None:
    _, b, peer = secured()
    nat = ("192.0.2.77", 61000)
    assert heard_from(b, peer.rtp(rtp(1)), nat, 1.0) and answers_to(b) == nat
    b.port_rtp.aim(NEW, False)
    assert heard_from(b, peer.rtp(rtp(2)), nat, 1.5) and answers_to(b) == NEW
    assert heard_from(b, peer.rtp(rtp(3)), nat, 3.6) and answers_to(b) == nat


def test_an_srtp_leg_follows_a_nat_that_changes_its_port() -> None:
    _, b, peer = secured()
    nat, later = ("192.0.2.77", 61000), ("192.0.2.77", 62000)
    assert heard_from(b, peer.rtp(rtp(1)), nat)
    late = peer.rtp(rtp(2))
    assert heard_from(b, fresh := peer.rtp(rtp(3)), later) and answers_to(b) == later
    assert heard_from(b, late, nat) and answers_to(b) == later
    assert not heard_from(b, fresh, STRANGER)
    assert not heard_from(b, Protector(key(9)).rtp(rtp(4)), STRANGER)
    assert answers_to(b) == later and b.refused == {"source": 2}


def test_an_srtp_leg_latches_on_authentication_alone() -> None:
    a, b, peer = secured()
    for source in (STRANGER, B):
        assert packet(b.port_rtp, rtp(1), source) is None
    assert b.port_rtp.source is None and b.port_rtp.target == B
    one, two = peer.rtp(rtp(1)), peer.rtp(rtp(2))
    assert packet(b.port_rtp, one, STRANGER) == (a.port_rtp, rtp(1), A)  # who holds the key is the peer
    sent = packet(a.port_rtp, rtp(9), A)
    assert sent is not None and sent[2] == STRANGER and sent[1] != rtp(9)
    assert Unprotector(key(2)).rtp(sent[1]) == rtp(9)
    assert packet(b.port_rtp, two, B) == (a.port_rtp, rtp(2), A) and answers_to(b) == B
    assert b.refused == {"authentication": 2}


def test_an_asymmetric_peer_sends_from_any_port_and_receives_where_its_sdp_says() -> None:
    for a, b, protect in ((*plain(), lambda data: data), secured_with()):
        b.asymmetric = True
        for sequence, source in enumerate(((B[0], 61000), B, (B[0], 61000), (B[0], 62000)), 1):
            assert heard_from(b, protect(rtp(sequence)), source) and answers_to(b) == B
        b.port_rtp.aim(NEW, True)
        assert heard_from(b, protect(rtp(9)), (B[0], 61000)) and answers_to(b) == NEW
        assert packet(b.port_rtp, rtp(10), STRANGER) is None
        assert a.refused is None


def secured_with() -> tuple[Leg, Leg, Callable[[bytes], bytes]]:
    a, b, peer = secured()
    return a, b, peer.rtp


def test_the_sources_of_a_former_call_are_not_latched_while_their_time_lasts() -> None:
    _, b = plain()
    late = (B[0], 61000)
    b.port_rtp.shun((late, B), 1030.0)
    assert not heard_from(b, rtp(1), late, 1000.0)
    assert heard_from(b, rtp(2), B, 1001.0), "the SDP names it"
    _, b = plain()
    b.port_rtp.shun((late,), 1030.0)
    assert not heard_from(b, rtp(1), late, 1029.9) and heard_from(b, rtp(2), late, 1030.0)
    _, b, peer = secured()
    b.port_rtp.shun((late,), 1030.0)
    assert heard_from(b, peer.rtp(rtp(1)), late, 1000.0) and answers_to(b) == late  # it has the new key


def test_a_peer_that_was_dropped_is_a_former_source_for_the_next() -> None:
    _, b = plain()
    nat = (B[0], 61000)
    assert heard_from(b, rtp(1), nat)
    b.silence()
    assert b.port_rtp.target is None
    b.agreed, b.hosts = True, (B[0],)
    b.port_rtp.aim(NEW, True)
    assert not heard_from(b, rtp(2), nat) and not heard_from(b, rtp(2), B)
    assert heard_from(b, rtp(3), NEW)


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


def test_rtcp_on_the_rtp_port_is_concealed_whether_it_is_multiplexed_or_not() -> None:
    """RFC 5761 section 4: 192 to 223 are RTCP; a CNAME names user and address."""
    named = rtcp() + b"\x81\xca\x00\x06" + (7).to_bytes(4, "big") + b"\x01\x11bob@198.51.100.20" + b"\0"
    a, b = plain()
    sent = packet(b.port_rtp, named, B)
    assert sent is not None and sent[0] is a.port_rtcp and sent[2] == (A[0], A[1] + 1)
    assert sent[1].startswith(rtcp()) and b"bob" not in sent[1]
    assert b.ssrc == b"" and b.lost == 0
    a, b, _ = secured()
    sent = packet(a.port_rtp, named, A)
    assert sent is not None and sent[0] is b.port_rtcp
    assert b"bob" not in Unprotector(key(2)).rtcp(sent[1])


@pytest.mark.parametrize("mux", [True, False])
def test_rtcp_of_reduced_size_passes_on_either_port(mux: bool) -> None:
    """RFC 5506: a receiver report without a block has eight octets."""
    short = b"\x80\xc9\x00\x01\x00\x00\x00\x07"
    a, b, peer = secured()
    a.mux = b.mux = mux
    sent = packet(a.port_rtp if mux else a.port_rtcp, short, A)
    assert sent is not None and Unprotector(key(2)).rtcp(sent[1]) == short
    back = packet(b.port_rtp if mux else b.port_rtcp, peer.rtcp(short), B)
    assert back is not None and back[1] == short
    assert packet(a.port_rtp, b"\x80\x00" + bytes(6), A) is None and a.refused == {"malformed": 1}


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
    heard = Overhearing(0.0)
    a.tap, b.tap = heard.ear("a"), heard.ear("b")
    packet(a.port_rtp, rtp(1), A, 4.0)
    packet(b.port_rtp, peer.rtp(rtp(2)), B, 5.0)
    packet(b.port_rtp, rtp(3), B)
    packet(b.port_rtcp, peer.rtcp(rtcp()), B)
    assert heard.waiting == [("a", rtp(1), 4.0), ("b", rtp(2), 5.0)], "RTP alone, and what was accepted alone"


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
        ([1, 3, 30000, 30001, 30003], 2),  # a restart is not 30,000 losses
        ([500, 501, 100, 502, 503], 0),  # and one packet that is very late is no restart
        ([500, 501, 40000, 502, 504], 1),
        ([5, 5, 5], 0),
    ],
)
def test_losses_by_sequence_number(sequences: list[int], lost: int) -> None:
    leg = pair()[0]
    for each in sequences:
        leg.follow(rtp(each), 0.0)
    assert leg.lost == lost


def test_losses_of_several_sources_add_up() -> None:
    leg = pair()[0]
    for sequence, ssrc in ((1, 7), (3, 7), (500, 8), (504, 8)):
        leg.follow(rtp(sequence, ssrc=ssrc), 0.0)
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
