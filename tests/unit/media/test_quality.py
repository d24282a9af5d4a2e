"""What a leg's packets and its peer's reports say of its quality, and what a peer that lies makes of it."""

from __future__ import annotations

import struct
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.media.mos import mos
from sbc.media.quality import Quality, quality
from sbc.media.relay import Leg, packet
from tests.unit.media.kit import ACCEPT, ALICE, BOB, audio, first, sdp, session
from tests.unit.media.reports import (
    LSR,
    A,
    B,
    block,
    legs,
    receiver_report,
    sender_report,
    speak,
    voice,
    voip_metrics,
)


def report(leg: Leg, data: bytes, now: float) -> None:
    host, port = A if leg.side == "a" else B
    assert packet(leg.port_rtcp, data, (host, port + 1), now) is not None


def of(leg: Leg) -> Quality:
    found = quality(leg, "PCMU")
    assert found is not None
    return found


def test_a_perfect_leg_has_the_best_score() -> None:
    a, b = legs()
    speak(a, range(1, 301))
    found = of(a)
    assert (found.loss, found.late, found.duplicates, found.round_trip) == (0.0, 0, 0, None)
    assert found.jitter == pytest.approx(0.0, abs=1e-9)
    assert found.mos == pytest.approx(mos("PCMU", 0.0, 0.02)) == pytest.approx(4.40, abs=0.005)
    assert quality(b, "PCMU") is None


def test_of_less_than_a_second_nothing_is_said() -> None:
    a, _ = legs()
    speak(a, range(1, 50))
    assert quality(a, "PCMU") is None
    speak(a, [50])
    assert of(a).loss == 0.0


@pytest.mark.parametrize("start", [1, 65500])
def test_losses_late_packets_and_duplicates_are_told_apart(start: int) -> None:
    a, _ = legs()
    order = [start + each for each in range(200) if each not in (40, 41, 90)]
    order.insert(100, start + 40)  # late by some sixty
    order.insert(120, order[119])  # twice in a row
    order.insert(150, order[100 + 5])  # and again after many
    speak(a, order)
    found = of(a)
    assert (a.lost, found.late, found.duplicates) == (2, 1, 2)
    assert found.loss == pytest.approx(2 / 200)


def test_a_duplicate_does_not_hide_a_loss() -> None:
    a, _ = legs()
    speak(a, [1, 1, 1, 2, 4, 4, *range(6, 100)])
    assert (a.lost, of(a).duplicates) == (2, 3)


def test_a_packet_that_is_late_twice_is_late_once() -> None:
    a, _ = legs()
    speak(a, [1, 3, 4, 5, 2, 2, *range(6, 100)])
    assert (a.lost, of(a).late, of(a).duplicates) == (0, 1, 1)


def test_what_came_before_the_first_packet_is_late_and_nothing_more() -> None:
    a, _ = legs()
    speak(a, [10, 9, *range(11, 100)])
    assert (a.lost, of(a).late, of(a).loss) == (0, 1, 0.0)


@given(st.integers(0), st.integers(0, 0xFFFF))
def test_any_order_of_a_window_loses_what_did_not_come(seed: int, start: int) -> None:
    (a, _), chance = legs(), Random(seed)
    sent = [start + each for each in range(400)]
    came = [each for each in sent if each in (sent[0], sent[-1]) or chance.random() > 0.1]
    copies = chance.sample(came[1:-1], 30)
    rest = sorted([*came[1:-1], *copies], key=lambda each: each + chance.uniform(0, 40))
    speak(a, [came[0], *rest, came[-1]])
    found = of(a)
    assert (a.lost, found.duplicates) == (400 - len(came), 30)


def test_losses_of_two_sources_make_one_share() -> None:
    a, _ = legs()
    speak(a, [*range(1, 50), *range(51, 101)])
    speak(a, [*range(1000, 1050), *range(1060, 1100)], ssrc=9)
    assert of(a).loss == pytest.approx(11 / 200)


def test_jitter_is_the_mean_difference_of_two_transits() -> None:
    a, _ = legs()
    speak(a, range(1, 2001), late=0.008)
    found = of(a)
    assert found.jitter == pytest.approx(0.008) and found.jitter_max is not None
    assert 0.0079 < found.jitter_max <= 0.00801
    assert found.mos == pytest.approx(mos("PCMU", 0.0, 0.02 + 0.016))


def test_the_highest_jitter_is_not_below_the_mean_of_a_short_call() -> None:
    a, _ = legs()
    speak(a, range(1, 81), late=0.008)
    found = of(a)
    assert found.jitter is not None and found.jitter_max is not None
    assert found.jitter_max >= found.jitter == pytest.approx(0.008)


def test_jitter_counts_in_the_ticks_of_the_codec_that_is_heard() -> None:
    opus = first(sdp("m=audio 40000 RTP/AVP 111 0\r\na=rtpmap:111 opus/48000/2\r\n"))
    a, _ = legs(opus)
    for turn in range(400):
        packet(a.port_rtp, voice(turn, turn * 960, kind=111), A, 0.02 * turn)
    assert of(a).jitter == pytest.approx(0.0, abs=1e-9)
    for turn in range(400, 800):  # it has changed to PCMU, as it may
        packet(a.port_rtp, voice(turn, turn * 160), A, 0.02 * turn)
    assert of(a).jitter == pytest.approx(0.0, abs=1e-9)


def test_a_tone_a_pause_and_a_new_beginning_are_no_jitter() -> None:
    a, _ = legs()
    for turn in range(3000):
        stamp, kind = turn * 160, 0
        if turn // 100 % 3 == 1:
            stamp, kind = turn // 100 * 16000, 101  # RFC 4733: one timestamp as long as it lasts
        pause = 60.0 if turn >= 1500 else 0.0
        stamp += 0x9000_0000 if turn >= 2000 else 60 * 8000 if turn >= 1500 else 0
        packet(a.port_rtp, voice(turn, stamp, kind=kind), A, 0.02 * turn + pause)
    assert of(a).jitter == pytest.approx(0.0, abs=1e-9)


def test_timestamps_wrap() -> None:
    a, _ = legs()
    for turn in range(200):
        packet(a.port_rtp, voice(turn, 0xFFFF_FF00 + turn * 160), A, 0.02 * turn)
    assert of(a).jitter == pytest.approx(0.0, abs=1e-9)


def test_the_round_trip_is_from_us_to_the_peer_and_back() -> None:
    a, b = legs()
    speak(a, range(1, 101))
    report(a, sender_report(), 200.0)
    report(b, receiver_report(block(lsr=LSR, dlsr=int(1.5 * 65536))), 201.58)
    assert of(b).round_trip == pytest.approx(0.08)
    assert of(a).round_trip is None  # of the other leg nothing has been learned


def test_what_the_peer_lost_of_ours_is_without_what_we_missed() -> None:
    a, b = legs()
    speak(a, [each for each in range(1, 201) if each % 20])  # 190 of 200 reach us, the last of them 199
    assert a.lost == 9
    report(b, receiver_report(block(lost=9 + 19, jitter=80)), 200.0)
    found = of(b)
    assert found.sent_loss == pytest.approx(19 / 190) and found.sent_jitter == pytest.approx(0.01)
    assert found.sent_mos == mos("PCMU", 0.1, 0.02 + 0.02)
    assert (found.loss, found.mos) == (None, None)


def test_reports_of_two_sources_add_up() -> None:
    a, b = legs()
    speak(a, range(1, 101))
    report(b, receiver_report(block(lost=10)), 200.0)
    speak(a, range(1, 301), ssrc=9)
    report(b, receiver_report(block(lost=50, ssrc=9)), 210.0)
    assert of(b).sent_loss == pytest.approx(60 / 400)


def test_a_peer_s_own_score_is_taken() -> None:
    a, b = legs()
    speak(a, range(1, 101))
    report(b, receiver_report(block()) + voip_metrics(40, 37), 200.0)
    assert of(b).sent_mos == 3.7
    report(b, receiver_report(block()) + voip_metrics(36, 127), 200.0)  # 127: the second is not known
    assert of(b).sent_mos == 3.6


def test_who_is_called_next_is_not_judged_by_who_was_before() -> None:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, ACCEPT, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    leg = call.streams[0].ends["b"].leg
    for each in range(0, 200, 2):
        packet(leg.port_rtp, voice(each), (BOB, 50000))
    before = call.stats().b
    assert before.lost == 99 and before.quality is not None
    call.offer("a", sdp(audio()), ACCEPT, ACCEPT, 0.0, restart=True)
    assert call.stats().b.lost == 0 and call.stats().b.quality is None


def test_a_session_tells_the_quality_of_what_was_agreed() -> None:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, ACCEPT, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    near, far = call.streams[0].ends["a"].leg, call.streams[0].ends["b"].leg
    for turn in range(400):
        packet(near.port_rtp, voice(turn), (ALICE, 40000), 0.02 * turn)
        packet(far.port_rtp, voice(turn), (BOB, 50000), 0.02 * turn)
    stats = call.close()
    for found in (stats.a.quality, stats.b.quality):
        assert found is not None and found.mos is not None and found.mos > 4.3
        assert found.jitter == pytest.approx(0.0, abs=1e-9)


LIES = {
    "more than there was time for": block(lsr=LSR, dlsr=0xFFFF_FFFF),
    "longer than any way": block(lsr=LSR),
    "of a report that there never was": block(lsr=0xDEAD_BEEF, dlsr=1),
    "of none": block(lsr=0, dlsr=0),
    "all is lost, and the fraction too": block(lost=0x7FFFFF, fraction=255),
    "fewer than none": block(lost=-0x800000),
    "jitter of days": block(jitter=0xFFFF_FFFF),
    "another stream": block(lost=90, jitter=800, lsr=LSR, ssrc=99),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
def test_a_peer_that_lies_makes_no_figure_absurd(lie: bytes) -> None:
    a, b = legs()
    speak(a, range(1, 101))
    report(a, sender_report(), 200.0)
    report(b, receiver_report(lie), 215.0)
    found = quality(b, "PCMU") or Quality()
    assert found.round_trip is None and found.sent_jitter in (None, 0.0)
    assert found.sent_loss in (None, 0.0, 1.0)
    assert found.sent_mos is None or 1.0 <= found.sent_mos <= 4.5


@pytest.mark.parametrize("score", [0, 9, 51, 126, 127, 255])
def test_a_score_off_the_scale_is_not_taken(score: int) -> None:
    a, b = legs()
    speak(a, range(1, 101))
    report(b, receiver_report(block()) + voip_metrics(score, score), 200.0)
    assert of(b).sent_mos == mos("PCMU", 0.0, 0.02)


def test_the_reports_of_a_flood_are_not_kept() -> None:
    a, b = legs()
    speak(a, range(1, 101))
    for stamp in range(1, 10_000):
        report(a, sender_report(stamp), 200.0)
    report(b, receiver_report(block(lsr=1)), 200.1)
    assert of(b).round_trip is None
    report(b, receiver_report(block(lsr=9_999)), 200.1)
    assert of(b).round_trip == pytest.approx(0.1)


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.booleans(), st.sampled_from((200, 201, 205, 207)), st.integers(0, 31), st.binary(max_size=120)
        ),
        max_size=8,
    ),
    st.lists(st.integers(0, 0xFFFF), min_size=60, max_size=90),
)
def test_whatever_arrives_every_figure_stays_in_its_bounds(
    reports: list[tuple[bool, int, int, bytes]], sequences: list[int]
) -> None:
    a, b = legs()
    for turn, each in enumerate(sequences):
        packet(a.port_rtp, voice(each, each * each), A, turn / 7)
    for turn, (near, kind, count, body) in enumerate(reports):
        body = struct.pack("!I", 7) + body + bytes(-len(body) % 4)
        data = struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body
        leg, (host, port) = (a, A) if near else (b, B)
        packet(leg.port_rtcp, data, (host, port + 1), 50 + turn)
    for leg in (a, b):
        found = quality(leg, "PCMU") or Quality()
        for share in (found.loss, found.sent_loss):
            assert share is None or 0 <= share <= 1
        for seconds in (found.jitter, found.jitter_max, found.round_trip, found.sent_jitter):
            assert seconds is None or 0 <= seconds <= 10
        for score in (found.mos, found.sent_mos):
            assert score is None or 1 <= score <= 5


@pytest.mark.parametrize("words", range(8))
def test_reports_of_any_length_before_others_pass_and_break_nothing(words: int) -> None:
    """Compiled code is stricter with bytes than Python is, and an error would hold up all calls."""
    a, b = legs()
    speak(a, range(1, 60))
    for kind in (200, 201, 205, 206, 207):
        for content in (bytes(4 * words), b"\xff" * 4 * words, b"\x07" * 4 * words):
            odd = struct.pack("!BBH", 0x81, kind, words) + content
            for more in (receiver_report(b""), odd):
                report(b, odd + more, 102.0)
    assert of(a).loss == 0.0
