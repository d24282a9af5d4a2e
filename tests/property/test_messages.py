"""Whatever octets come, the message layer answers with PeerError or with sense, in linear time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sbc.b2bua.screening import required_but_unknown
from sbc.base import PeerError
from sbc.sip.grammar import parse_params, split_commas
from sbc.sip.headers import Headers, parse_via
from sbc.sip.message import Message, Request, Response, response_to, serialize
from sbc.sip.parse import ParseError, parse_message, validate
from sbc.sip.stream import PING, Keepalive, MessageStream
from sbc.sip.uri import parse_name_addr, parse_uri
from tests.peers.runaway import no_runaway
from tests.unit.sip_message.sample import INVITE, RINGING

VIEWS = (
    "via", "call_id", "cseq", "from_", "to", "from_tag", "to_tag", "contact", "routes", "record_routes",
    "max_forwards", "target",
)  # fmt: skip
PIECES = st.sampled_from(
    [b"\r\n", b"\r", b"\n", b" ", b"\t", b":", b";", b",", b'"', b"\\", b"<", b">", b"@", b"[", b"]", b"%",
     b"\0", b"?",
     b"=", b"Via: ", b"l: 3", b"Content-Length: 4\r\n", b"sip:", b"SIP/2.0", b"tag=", b"CSeq: 1 X\r\n",
     b"\xc3", b"\xff",
     b"Contact: *\r\n", b"Route: ", b"z9hG4bK", b"99999999999", b"\xd9\xa3", b"\xc2\x85"],
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sound message with pieces of it replaced or cut out."""
    data = draw(st.sampled_from([INVITE, RINGING]))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 6)))
        piece = draw(st.one_of(PIECES, st.binary(max_size=4)))
        data = data[:start] + piece + data[end:]
    return data


STEPS = st.lists(st.integers(1, 50), min_size=1, max_size=8)
DATA = st.one_of(damaged(), st.binary(max_size=300), st.lists(PIECES, max_size=40).map(b"".join))
TEXT = st.one_of(
    st.text(max_size=80),
    st.lists(PIECES, max_size=20).map(lambda parts: b"".join(parts).decode("utf-8", "surrogateescape")),
)


def touch(message: Message) -> None:
    """Ask for every typed view; each gives a value or PeerError."""
    for view in VIEWS:
        try:
            getattr(message, view)
        except PeerError:
            pass
        except AttributeError:
            assert view == "target" and isinstance(message, Response)
    try:
        str((message.via.branch, message.via.received, message.via.rport, message.via.maddr))
    except PeerError:
        pass
    if isinstance(message, Request):
        required_but_unknown(message)


@pytest.mark.slow
@given(DATA)
@settings(max_examples=400, deadline=None)
@example(INVITE)
def test_only_peer_errors_from_a_datagram(data: bytes) -> None:
    try:
        message: Message | None = parse_message(data)
    except ParseError as error:
        message = error.message
        if isinstance(message, Request) and error.answerable:
            serialize(response_to(message, error.status, to_tag="x"))
    if message is None:
        return
    touch(message)
    try:
        validate(message)
    except ParseError as error:
        assert error.message is message
        return
    for view in VIEWS if isinstance(message, Request) else VIEWS[:-1]:
        getattr(message, view)


@given(DATA)
@settings(max_examples=300, deadline=None)
def test_what_is_parsed_is_written_and_read_the_same(data: bytes) -> None:
    try:
        message = parse_message(data)
    except ParseError:
        return
    written = serialize(message)
    again = parse_message(written)
    assert serialize(again) == written
    assert again.body == message.body
    if "content-length" in message.headers:
        for each in (again, message):
            each.headers.remove("Content-Length")
        assert again.headers == message.headers and again.headers.first == message.headers.first


# What begins as another protocol does, and might be read as a message that is merely wrong.
OTHERS = [
    b"PROXY ",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 5061 5061\r\n",
    b"\r\n\r\n\x00\r\nQUIT\n!\x11\x00\x0c",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"SSH-2.0 ",
    b"SSH-2.0 sip:b@h SIP/2.0\r\nX: ",
    b"220 sip:b@h SIP/2.0\r\nX: ",
    b"220 ",
    b"220 mail.example ESMTP\r\n",
    b"HTTP/1.1 200 OK\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nContent-Length: 0\r\nUpgrade: websocket\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nv=0\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
]


@pytest.mark.slow
@given(st.lists(DATA | st.sampled_from(OTHERS), max_size=3), STEPS)
@settings(max_examples=200, deadline=None)
def test_a_stream_raises_nothing_and_does_not_care_how_it_is_cut(
    parts: list[bytes], steps: list[int]
) -> None:
    for item in alike_however_cut(b"".join(parts), steps):
        if isinstance(item, Message):
            touch(item)


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: repr(other[:24]))
@pytest.mark.parametrize("step", [1, 5, 16])
def test_what_another_protocol_began_ends_alike_however_it_is_cut(other: bytes, step: int) -> None:
    items = [item for item in alike_however_cut(other + INVITE, [step]) if item is not PING]
    error = items[0]
    assert isinstance(error, ParseError)
    assert (error.fatal and error.protocol) or other == b"PROXY "


def alike_however_cut(data: bytes, steps: list[int]) -> list[Message | Keepalive | ParseError]:
    """What a stream makes of ``data``, having seen that it makes the same of it cut in ``steps``."""
    stream, at, items = MessageStream(), 0, []
    for turn in range(len(data)):
        step = steps[turn % len(steps)]
        items += stream.feed(data[at : at + step])
        at += step
    whole = MessageStream().feed(data)

    def shown(found: list[object]) -> list[object]:
        errors = [(e.status, e.reason, e.fatal) if isinstance(e, ParseError) else e for e in found]
        return [
            serialize(e) if isinstance(e, Message) else e for e in errors if isinstance(e, Message | tuple)
        ]

    assert shown([*items]) == shown([*whole])
    return whole


BROKEN = st.sampled_from(
    [b'X: "\x01"', b"X: \0", b"X: \x7f", b"X: a\nb", b"X: a\rb", b"no colon", b"two words: x", b"\xff\x02: 1"]
)


@st.composite
def refused(draw: st.DrawFn) -> bytes:
    """A message whose head is broken and whose length is not in doubt."""
    message = draw(st.sampled_from([INVITE, RINGING]))
    at = draw(st.sampled_from([b"From:", b"Call-ID:", b"Content-Length:"]))
    return message.replace(at, draw(BROKEN) + b"\r\n" + at, 1)


@pytest.mark.slow
@given(
    st.lists(st.one_of(st.sampled_from([INVITE, RINGING, b"\r\n\r\n"]), refused()), max_size=8),
    st.lists(st.integers(1, 700), min_size=1, max_size=8),
)
@settings(deadline=None)
def test_good_messages_between_refused_ones_all_come_out_in_order(
    parts: list[bytes], steps: list[int]
) -> None:
    """One bad message costs its sender that message, not the calls of all who share the connection."""
    data, stream, at, found = b"".join(parts), MessageStream(), 0, []
    for turn in range(len(data)):
        step = steps[turn % len(steps)]
        found += stream.feed(data[at : at + step])
        at += step
    good = [serialize(item) for item in found if isinstance(item, Message)]
    assert good == [part for part in parts if part in (INVITE, RINGING)]
    errors = [item for item in found if isinstance(item, ParseError)]
    assert len(errors) == len([part for part in parts if part not in (INVITE, RINGING, b"\r\n\r\n")])
    assert not stream.failed and not any(error.fatal for error in errors)


@pytest.mark.slow
@given(TEXT)
@settings(max_examples=400, deadline=None)
def test_single_values_give_peer_errors_or_come_back_equal(text: str) -> None:
    for parse in (parse_uri, parse_name_addr, parse_via):
        try:
            value = parse(text)
        except PeerError:
            continue
        assert parse(str(value)) == value
    split_commas(text)


@given(st.text(max_size=30), st.text(max_size=30))
@settings(max_examples=300)
def test_no_value_ever_makes_a_second_header(value: str, reason: str) -> None:
    message = Response(200, reason, Headers([("X", value), ("CSeq", "1 X")]))
    try:
        data = serialize(message)
    except ValueError:
        return
    assert [name for name, _ in parse_message(data).headers.fields] == ["X", "CSeq", "Content-Length"]


HOSTILE = [
    '"' * 30000, '"\\' * 15000, "<" * 30000, "<\"" * 15000, ";" * 30000, ";a" * 15000, "," * 30000,
    " " * 30000,
    "a" * 30000, "sip:" + "a;" * 15000, "sip:a" + ";b=" * 10000, "a <" * 10000, '"a" ' * 7500,
    "sip:[" + ":" * 30000,
    "SIP/2.0/UDP h" + ";a=\"" * 7500, "x" + "\t" * 30000 + "x", "%4" * 15000, "\\" * 30001, "\r\n " * 10000,
    '"\\"' * 10000 + "\0", "sip:a@" + "a." * 15000 + "!", "0" * 30000,
]  # fmt: skip
READERS: list[Callable[[str], object]] = [
    parse_uri, parse_name_addr, parse_via, parse_params, split_commas,
    lambda text: parse_message(INVITE.replace(b"Alice", text.encode())),
    lambda text: validate(parse_message(INVITE.replace(b"Max-Forwards: 70",
    b"Max-Forwards: " + text.encode()))),
    lambda text: parse_message(text.encode() + INVITE),
    lambda text: MessageStream(max_head=10**6).feed(text.encode() + INVITE),
    lambda text: parse_message(INVITE.replace(b"70\r\n", b"70\r\n" + text.encode() + b"\r\n")),
    lambda text: touch(Request("X", text, Headers([(n, text) for n in ("CSeq", "Via", "To", "Route", "i")]))),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_lengths_cost_what_their_length_does(text: str) -> None:
    """Ten times as long: what grows with the square would take a hundred times as long, minutes."""
    for read in READERS:
        for hostile in (text, 10 * text):
            with no_runaway(), contextlib.suppress(PeerError):
                read(hostile)
