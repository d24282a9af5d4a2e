"""A trace from process to process: nothing that a peer wrote ends a frame, and the reader gets it all."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.flow import Path, PeerIdentity, TlsFacts
from sbc.observe.tap import Seen
from sbc.observe.trace.frames import HEARTBEAT, Broken, Decoder, Encoder, Remark, end, lost
from sbc.observe.trace.ladder import Ladder

PEER = PeerIdentity("CN=\x1b]0;x\x07", "CN=CA", ("dns:a.example",), "sha256/00", "", 0.0, 1.0, True)
TLS = TlsFacts("TLSv1.3", "AES", "X25519", "sni", "sbc", PEER)
WAY = Path(7, "tls", Address("192.0.2.1", 5061), Address("2001:db8::7", 4), "office", "main", True, TLS)
HOSTILE = "\x1b[2J\x1b]0;owned\x07\r\nM 1 0 < a b 3 \u202e\x9b1m\x00\ud8ff\udc9b\x7f\u2028"


def decoded(*frames: bytes) -> list[Seen | Remark]:
    decoder = Decoder(io.BytesIO(b"".join(frames)))
    return list(iter(decoder.next, None))


def shown(*frames: bytes, whole: bool = True) -> list[str]:
    ladder = Ladder(lambda style, text: text, True, whole)
    return [line for event in decoded(*frames) for line in ladder.lines(event)]


def encoder() -> Encoder:
    return Encoder(bytes)


def test_a_message_arrives_as_it_was_with_its_path_told_once() -> None:
    write = encoder()
    first = Seen(0.0, 1801474200.5, True, WAY, b"\r\nM 1 0\n\0", "id", "6f1e", "b", "customer")
    frames = write.message(first) + HEARTBEAT + write.message(first)
    assert frames.count(b"\nP ") + frames.startswith(b"P ") == 1
    for seen in decoded(frames):
        assert isinstance(seen, Seen)
        assert (seen.now, seen.sent, seen.octets) == (1801474200.5, True, b"\r\nM 1 0\n\0")
        assert (seen.call_id, seen.call, seen.side, seen.trunk) == ("id", "6f1e", "b", "customer")
        assert (seen.path.local, seen.path.remote, seen.path.tls) == (WAY.local, WAY.remote, TLS)


@pytest.mark.slow
@given(st.binary(max_size=300), st.text(max_size=50), st.text(max_size=50))
def test_whatever_a_peer_writes_comes_out_as_one_message_and_one_remark(
    octets: bytes, call_id: str, text: str
) -> None:
    write = encoder()
    frames = write.message(Seen(0.0, 1.0, False, WAY, octets, call_id, "6f1e", "a"))
    frames += write.message(Seen(0.0, 1.0, False, WAY, octets, malformed=text or "x"))
    frames += write.remark("N", 1.0, "", text)
    one, two, three = decoded(frames)
    assert isinstance(one, Seen) and isinstance(two, Seen) and isinstance(three, Remark)
    assert one.octets == two.octets == octets and three.call == ""
    assert all(line.isprintable() for line in shown(frames))


@pytest.mark.parametrize(
    "start",
    [
        f"INVITE sip:{HOSTILE}@b SIP/2.0",
        f"SIP/2.0 200 {HOSTILE}",
        f"REGISTER sip:b SIP/2.0\r\nTo: <sip:{HOSTILE}@b>",
        HOSTILE,
        "",
    ],
)
@pytest.mark.parametrize("malformed", ["", HOSTILE])
def test_no_message_moves_the_cursor_or_forges_a_line(start: str, malformed: str) -> None:
    octets = f"{start}\r\nSubject: {HOSTILE}\r\n\r\n{HOSTILE}".encode("utf-8", "surrogatepass")
    write = encoder()
    frames = write.message(Seen(0.0, 1.0, False, WAY, octets, HOSTILE, malformed=malformed))
    frames += write.remark("D", 1.0, "6f1e", HOSTILE) + end(HOSTILE)
    lines = shown(frames)
    assert lines and all(line.isprintable() for line in lines)


def test_an_enormous_message_is_one_line_and_with_whole_as_many_as_it_has() -> None:
    octets = b"INVITE sip:" + b"1" * 16000 + b"@b SIP/2.0\r\n" + b"X: y\r\n" * 10_000
    frames = encoder().message(Seen(0.0, 1.0, False, WAY, octets, "1" * 16000, "6f1e", "a"))
    _, line = shown(frames, whole=False)
    assert len(line) < 140
    assert len(shown(frames)) == 2 + 10_001


def test_what_was_missed_and_the_end_are_told() -> None:
    assert decoded(lost(12), end("60 s are over")) == [
        Remark("lost", 0.0, "", "12"), Remark("end", 0.0, "", "60 s are over"),
    ]  # fmt: skip


def test_thousands_of_connections_are_told_apart_without_being_remembered() -> None:
    write, trunks = encoder(), []
    frames = []
    for number in range(10_000):
        way = Path(number, "tcp", WAY.local, Address("198.51.100.7", number), f"t{number}")
        frames.append(write.message(Seen(0.0, 1.0, False, way, b"x")))
        trunks.append(f"t{number}")
    assert [each.trunk for each in decoded(*frames) if isinstance(each, Seen)] == trunks


@pytest.mark.parametrize(
    "octets",
    [
        b"M 1 0 < a b 3 id\nabc", b"M x\n", b"Q\n", b"P 1 {\n", b'P 1 {"tls": 3}\n', b"L many\n", b"X 1\n",
        b"\xff\xfe\n", b"M 1 0 < a b 99999999999 id\n",
    ],
)  # fmt: skip
def test_what_is_no_trace_is_refused_as_that(octets: bytes) -> None:
    with pytest.raises(Broken):
        decoded(octets)


def test_a_certificate_that_says_very_much_is_cut_and_the_trace_goes_on() -> None:
    peer = PeerIdentity("CN=" + "\U0001f600" * 50_000, "\0" * 50_000, ("dns:a",) * 50_000, "", "", 0, 1, True)
    way = Path(7, "tls", WAY.local, WAY.remote, "office", tls=TlsFacts("TLSv1.3", "", "", "", "", peer))
    (seen,) = decoded(encoder().message(Seen(0.0, 1.0, False, way, b"x", "\U0001f600" * 4000)))
    assert isinstance(seen, Seen) and seen.octets == b"x" and len(shown(encoder().message(seen))[0]) < 10_000


def test_a_remark_has_no_password_of_a_uri() -> None:
    (remark,) = decoded(encoder().remark("D", 1.0, "6f1e", "redirect sip:bob:hunter2@b.example, by out"))
    assert isinstance(remark, Remark) and "hunter2" not in remark.text and "by out" in remark.text


def test_an_end_in_the_middle_is_told_apart_from_the_end() -> None:
    frames = encoder().message(Seen(0.0, 1.0, False, WAY, b"abcdef", "id"))
    assert decoded(frames[: frames.index(b"\n")]) == []
    with pytest.raises(Broken):
        decoded(frames[:-3])
