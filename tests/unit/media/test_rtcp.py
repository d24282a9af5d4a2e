"""RTCP that may leave on the other leg: nothing in it names the peer that sent it."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.media.relay import packet
from sbc.media.rtcp import conceal
from tests.unit.media.kit import ACCEPT, audio, rtcp, sdp, session
from tests.unit.media.test_relay import A, B, plain

KEY = b"k" * 16
CNAME = b"sip:carol@10.1.2.3:5060"


def packed(kind: int, count: int, content: bytes) -> bytes:
    assert len(content) % 4 == 0
    return struct.pack("!BBH", 0x80 | count, kind, len(content) // 4) + content


def chunk(ssrc: int, *items: tuple[int, bytes]) -> bytes:
    text = struct.pack("!I", ssrc) + b"".join(bytes((kind, len(value))) + value for kind, value in items)
    return text + bytes(4 - len(text) % 4)


def sdes(*chunks: bytes) -> bytes:
    return packed(202, len(chunks), b"".join(chunks))


def items(data: bytes) -> list[tuple[int, int, bytes]]:
    """Source, kind and value of every item of the SDES packets in a compound."""
    found, at = [], 0
    while at < len(data):
        end = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        inner = at + 4
        for _ in range(data[at] & 0x1F if data[at + 1] == 202 else 0):
            (ssrc,) = struct.unpack_from("!I", data, inner)
            inner += 4
            while data[inner]:
                found.append((ssrc, data[inner], data[inner + 2 : inner + 2 + data[inner + 1]]))
                inner += 2 + data[inner + 1]
            inner = (inner | 3) + 1
        at = end
    assert at == len(data)
    return found


def test_reports_pass_unchanged() -> None:
    feedback = packed(205, 1, bytes(12)) + packed(206, 4, b"REMB" * 3) + packed(207, 0, bytes(8))
    assert conceal(rtcp() + packed(201, 0, bytes(4)) + feedback, KEY) == (
        rtcp() + packed(201, 0, bytes(4)) + feedback
    )


def test_the_cname_gets_an_alias_and_the_other_items_are_gone() -> None:
    told = ((2, b"Carol"), (1, CNAME), (5, b"Room 101"), (6, b"baresip 1.0"), (8, b"\x03x-yhi"))
    passed = conceal(rtcp() + sdes(chunk(7, *told)), KEY)
    assert passed is not None and passed.startswith(rtcp())
    [(ssrc, kind, alias)] = items(passed)
    assert (ssrc, kind, len(alias)) == (7, 1, 16)
    for secret in (b"carol", b"10.1.2.3", b"Carol", b"Room", b"baresip"):
        assert secret not in passed


def test_an_alias_is_one_name_s_and_one_call_s() -> None:
    compound = sdes(chunk(7, (1, CNAME)), chunk(8, (1, CNAME)), chunk(9, (1, b"other")))
    names = [each[2] for each in items(conceal(compound, KEY) or b"")]
    assert names[0] == names[1] != names[2]
    assert items(conceal(compound, b"x" * 16) or b"")[0][2] != names[0]


def test_without_a_key_no_name_passes() -> None:
    assert items(conceal(sdes(chunk(7, (1, CNAME))), b"") or b"") == []


@pytest.mark.parametrize("size", range(9))
def test_chunks_end_with_a_zero_whatever_their_length(size: int) -> None:
    compound = sdes(chunk(7, (1, b"n" * size)), chunk(8), chunk(9, (1, b"m")))
    assert [each[0] for each in items(conceal(compound, KEY) or b"")] == [7, 9]


def test_goodbye_has_no_reason_and_applications_do_not_talk() -> None:
    reason = b"\x0bgone to bob"
    bye = packed(203, 1, struct.pack("!I", 7) + reason)
    assert conceal(rtcp() + bye, KEY) == rtcp() + packed(203, 1, struct.pack("!I", 7))
    assert conceal(packed(204, 0, struct.pack("!I", 7) + b"PINGPONG"), KEY) == b""
    assert conceal(rtcp() + packed(204, 0, bytes(8)) + packed(210, 0, bytes(8)), KEY) == rtcp()


CUT = [
    rtcp()[:-4],
    rtcp() + b"\x80",
    rtcp() + bytes(8),
    packed(202, 2, chunk(7, (1, CNAME))),
    packed(202, 1, b"\x00\x00\x00\x07\x01\xffxx"),
    packed(202, 1, b"\x00\x00\x00\x07\x01\x02xx"),
    packed(203, 3, bytes(8)),
]


@pytest.mark.parametrize("compound", CUT)
def test_what_is_cut_off_is_malformed(compound: bytes) -> None:
    assert conceal(compound, KEY) is None


@given(st.binary(max_size=120), st.sampled_from([200, 201, 202, 203, 204, 205]), st.integers(0, 31))
def test_any_bytes_are_passed_refused_or_dropped(content: bytes, kind: int, count: int) -> None:
    compound = packed(kind, count, content[: len(content) // 4 * 4])
    passed = conceal(compound, KEY)
    assert passed is None or conceal(passed, KEY) is not None


def test_the_relay_sends_aliases_and_counts_what_is_malformed() -> None:
    a, b = plain()
    a.alias_key = KEY
    source = (A[0], A[1] + 1)
    sent = packet(a.port_rtcp, rtcp() + sdes(chunk(7, (1, CNAME))), source)
    assert sent is not None and sent[2] == (B[0], B[1] + 1)
    assert CNAME not in sent[1] and len(items(sent[1])) == 1
    assert packet(a.port_rtcp, packed(204, 0, bytes(8)), source) is None
    assert packet(a.port_rtcp, CUT[1], source) is None
    assert a.refused == {"malformed": 1}
    assert b.packets_out == 1


def test_all_streams_of_a_call_and_no_others_share_a_key() -> None:
    call, _ = session()
    call.offer("a", sdp(audio(40000), audio(40002)), ACCEPT, ACCEPT, 0.0)
    keys = {end.leg.alias_key for stream in call.streams for end in stream.ends.values()}
    assert len(call.streams) == 2 and len(keys) == 1 and len(keys.pop()) == 16
