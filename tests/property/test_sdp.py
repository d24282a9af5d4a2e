"""Whatever bytes arrive as a description, the outcome is a description of ours or a PeerError."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.base import PeerError
from sbc.media.policy import SUITES
from sbc.media.sdes import parse_crypto
from sbc.media.sdp import parse_sdp
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, OSRTP, REQUIRED, SBC, audio, crypto, sdp, session

GOOD = (
    sdp(audio()),
    sdp(
        audio(40000, "RTP/SAVP", crypto(1), crypto(2, SUITES[1], 2)),
        "m=video 40010 RTP/AVPF 96\r\nb=AS:90\r\n",
    ),
    sdp(
        "a=inactive\r\n",
        audio(0),
        "m=image 5 udptl t38\r\n",
        audio(40000, "RTP/AVP", "rtcp:5 IN IP4 10.0.0.1"),
    ),
)
LINES = st.sampled_from(sorted({line for each in GOOD for line in each.split(b"\r\n")}))
VALUES = st.one_of(
    LINES, st.binary(max_size=30), LINES.flatmap(lambda line: st.binary(max_size=6).map(lambda b: line + b))
)
MIXED = st.lists(VALUES, max_size=14).map(lambda lines: b"v=0\r\n" + b"\r\n".join(lines))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    data = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data) - 1))
        data[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data)


ANY = st.one_of(st.binary(max_size=200), MIXED, damaged())


@given(ANY)
@settings(max_examples=150, deadline=None)
def test_any_bytes_parse_or_are_the_peers_error(data: bytes) -> None:
    try:
        description = parse_sdp(data)
    except PeerError as error:
        assert error.status in (400, 488)
        return
    assert all(0 <= each.port < 65536 and each.formats for each in description.media)


@given(ANY, st.sampled_from([OFF, ACCEPT, OSRTP, REQUIRED]), st.sampled_from([OFF, OSRTP, REQUIRED]))
@settings(max_examples=150, deadline=None)
def test_any_offer_is_rewritten_without_a_leak_or_refused_without_a_trace(
    data: bytes, ours: object, theirs: object
) -> None:
    call, pool = session()
    try:
        offer = call.offer("a", data, ours, theirs, 0.0)  # type: ignore[arg-type]
    except PeerError:
        assert len(pool) == 50
        return
    written = parse_sdp(offer)
    assert len(written.media) == len(parse_sdp(data).media)
    assert {each.host for each in written.media} <= {SBC}
    assert ALICE.encode() not in offer and b"secret" not in offer and b"alice" not in offer
    call.close()
    assert len(pool) == 50


@pytest.mark.slow
@given(ANY, st.sampled_from([OFF, OSRTP, REQUIRED]))
@settings(max_examples=150, deadline=None)
def test_any_answer_is_taken_or_refused_and_required_never_becomes_plain(data: bytes, theirs: object) -> None:
    call, pool = session()
    call.offer("a", sdp(audio()), ACCEPT, theirs, 0.0)  # type: ignore[arg-type]
    try:
        answer = call.answer("b", data.replace(ALICE.encode(), BOB.encode()), 0.0)
    except PeerError:
        assert not call.streams[0].ends["b"].leg.agreed
    else:
        assert BOB.encode() not in answer
        leg = call.streams[0].ends["b"].leg
        assert theirs is not REQUIRED or not leg.agreed or (leg.protect and leg.unprotect)
    call.close()
    assert len(pool) == 50


@given(st.one_of(st.text(max_size=80), st.text(max_size=20).map(lambda text: crypto(1)[7:] + text)))
@settings(max_examples=150, deadline=None)
def test_any_crypto_line_parses_or_is_unusable(text: str) -> None:
    try:
        line = parse_crypto(text)
    except PeerError as error:
        assert error.status == 488
        return
    assert line.suite in SUITES and len(line.key) in (28, 30, 44, 46)
