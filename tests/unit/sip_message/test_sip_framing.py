"""A message that is refused costs its sender that message; framing in doubt costs the connection."""

from __future__ import annotations

import pytest

from sbc.sip.message import Message, Request, serialize
from sbc.sip.parse import ParseError
from sbc.sip.stream import MessageStream
from tests.unit.sip_message.sample import INVITE, RINGING, bent


def shown(data: bytes) -> list[object]:
    """What a stream makes of ``data`` and a good response behind it."""
    items = MessageStream().feed(data + RINGING)
    return [serialize(item) if isinstance(item, Message) else item for item in items]


def refused_alone(data: bytes) -> ParseError:
    """The error for a message behind which the stream went on."""
    error, *rest = shown(data)
    assert isinstance(error, ParseError) and not error.fatal and rest == [RINGING]
    return error


def ends_the_stream(data: bytes) -> None:
    error, *rest = shown(data)
    assert isinstance(error, ParseError) and error.fatal and rest == []


BAD_NAMES = [b'"Al\x01ice"', b'"Al\0ice"', b'"Al\x7fice"', b'"Al\nice"', b'"Al\rice"']


@pytest.mark.parametrize("name", BAD_NAMES)
def test_an_octet_that_no_display_name_has_refuses_the_one_message(name: bytes) -> None:
    error = refused_alone(bent(b'"Alice A."', name))
    assert (error.status, error.answerable) == (400, True)
    assert isinstance(error.message, Request) and error.message.body == b"v=0\n"


@pytest.mark.parametrize("name", BAD_NAMES[:3])
def test_the_refusal_can_tell_which_dialog_it_is_about(name: bytes) -> None:
    message = refused_alone(bent(b'"Alice A."', name)).message
    assert message.from_tag == "1928301774" and message.call_id and message.cseq and message.to


@pytest.mark.parametrize("line", [b"no colon here", b": no name", b"two words: x", b"Long name l: 3"])
def test_a_line_that_is_no_header_field_refuses_the_one_message(line: bytes) -> None:
    assert refused_alone(bent(b"Max-Forwards: 70", line)).answerable


def test_a_response_with_such_an_octet_is_dropped_alone() -> None:
    assert not refused_alone(RINGING.replace(b"sip:alice", b"sip:al\x01ice")).answerable


def test_a_broken_start_line_refuses_the_one_message() -> None:
    assert not refused_alone(bent(b"INVITE sip:bob", b"INVITE sip:\0bob")).fatal


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 4\r\nl: 5",
        b"Content-Length: 4\nl: 5",
        b"X: a\nContent-Length: 4",
        b"X: a\rl: 5\r\nContent-Length: 4",
        b"X: a\x0bl: 5\r\nContent-Length: 4",
        b"l: 4\n",
        b"Content-Length:\r\n 4",
        b"Content-Length: 4\r\n 0",
        b"Content-Length\r\n : 4",
        b"Subject: x\r\n Content-Length: 5\r\nContent-Length: 4",
        b"Content-Length 5\r\nl: 4",
        b"l\x01: 5\r\nl: 4",
        b"Content-Length: 4\x01",
        b"Content-Length: 4, 4",
        b"Content-Length: -4",
        b"X: a",
    ],
)
@pytest.mark.parametrize("wrong", [b"X: \x01", b"no colon here"])
def test_a_broken_head_whose_length_two_readers_could_tell_differently_ends_the_stream(
    wrong: bytes, lines: bytes
) -> None:
    for order in (wrong + b"\r\n" + lines, lines + b"\r\n" + wrong):
        ends_the_stream(bent(b"Content-Length: 4", order))


@pytest.mark.parametrize(
    "blank", [b"\n\n", b"\n\r\n", b"\r\r", b"\r\n\n", b"\r\r\n", b"\n \n", b"\r\n \r\n\t\n"]
)
def test_a_head_that_ends_earlier_for_another_reader_ends_the_stream(blank: bytes) -> None:
    ends_the_stream(bent(b"Max-Forwards: 70", b"X: a" + blank + b"Max-Forwards: 70"))
    ends_the_stream(bent(b"70\r\n", b"70" + blank + b"OPTIONS sip:a@b SIP/2.0\r\n"))


def test_a_line_end_before_the_start_line_or_behind_the_last_field_ends_the_stream() -> None:
    ends_the_stream(b"\n" + INVITE)
    ends_the_stream(b"Content-Length: 4" + bent(b"Content-Length: 4", b"X: \x01")[INVITE.index(b"\r\n") :])
    ends_the_stream(bent(b"Length: 4\r\n", b"Length: 4\r\nX: \x01\n\r\n"))


@pytest.mark.parametrize("length", [b"Content-Length:\r\n 4", b"l: 4\r\n  ", b"L : \r\n\t4"])
def test_a_content_length_that_is_folded_ends_the_stream(length: bytes) -> None:
    ends_the_stream(bent(b"Content-Length: 4", length))


def test_a_broken_head_may_say_its_length_twice_alike() -> None:
    assert refused_alone(bent(b"Content-Length: 4", b"L : 04\r\nno colon\r\nContent-Length: 4")).answerable


def test_a_body_that_is_too_long_refuses_the_one_message_and_is_kept_nowhere() -> None:
    stream = MessageStream(max_body=100)
    head = bent(b"Content-Length: 4", b"Content-Length: 60000")[: -len(b"v=0\n")]
    (error,) = stream.feed(head)
    assert isinstance(error, ParseError) and (error.status, error.fatal) == (413, False)
    for _ in range(60):
        assert stream.feed(b"x" * 1000) == []
    assert not stream.waiting
    (item,) = stream.feed(RINGING)
    assert isinstance(item, Message) and serialize(item) == RINGING


def test_a_length_that_nobody_means_ends_the_stream() -> None:
    ends_the_stream(bent(b"Content-Length: 4", b"Content-Length: 9999999999"))
