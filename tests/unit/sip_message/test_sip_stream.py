from __future__ import annotations

import time

import pytest

from sbc.sip.message import Message, serialize
from sbc.sip.parse import ParseError
from sbc.sip.stream import PING, PONG, MessageStream
from tests.unit.sip_message.sample import INVITE, RINGING, bent


def plain(items: list[object]) -> list[object]:
    return [serialize(item) if isinstance(item, Message) else item for item in items]


def bytewise(stream: MessageStream, data: bytes) -> list[object]:
    return [item for at in range(len(data)) for item in stream.feed(data[at : at + 1])]


def only_error(items: list[object]) -> ParseError:
    assert len(items) == 1 and isinstance(items[0], ParseError)
    return items[0]


def test_messages_back_to_back_and_in_pieces() -> None:
    stream = MessageStream()
    assert plain([*stream.feed(INVITE + RINGING + INVITE[:100])]) == [INVITE, RINGING]
    assert stream.waiting
    assert plain([*stream.feed(INVITE[100:-2])]) == []
    assert plain([*stream.feed(INVITE[-2:])]) == [INVITE]
    assert not stream.waiting


def test_byte_by_byte() -> None:
    assert plain(bytewise(MessageStream(), INVITE + RINGING)) == [INVITE, RINGING]


@pytest.mark.parametrize(
    ("data", "items"),
    [
        (b"\r\n\r\n", [PING]),
        (b"\r\n", [PONG]),
        (b"\r\n\r\n\r\n\r\n", [PING, PING]),
        (b"\r\n\r\n\r\n", [PING, PONG]),
        (b"\r\n" + RINGING, [PONG, RINGING]),
        (INVITE + b"\r\n\r\n" + RINGING, [INVITE, PING, RINGING]),
        # Some stacks send one octet too many behind a keepalive, or behind a message.
        (INVITE + b"\r\n\0" + RINGING, [INVITE, PONG, PONG, RINGING]),
        (INVITE + b"\0" + RINGING + b"\0\0\0", [INVITE, PONG, RINGING, PONG]),
        (INVITE + b"\0\r\n\r\n\0", [INVITE, PONG, PING, PONG]),
    ],
)
def test_keepalives(data: bytes, items: list[object]) -> None:
    assert plain([*MessageStream().feed(data)]) == items


def test_octets_of_zero_between_messages_are_no_part_of_them_however_they_come() -> None:
    stream = MessageStream()
    assert plain(bytewise(stream, INVITE + b"\r\n\0" + INVITE + b"\0\0" + RINGING)) == [
        INVITE, PONG, PONG, INVITE, PONG, PONG, RINGING,
    ]  # fmt: skip
    assert not stream.waiting and not stream.failed


def test_before_the_first_message_they_are_none_of_sip() -> None:
    """The PROXY protocol, for one, begins with a keepalive and a zero."""
    error = only_error([*MessageStream().feed(b"\0" + INVITE)])
    assert "control character" in error.reason


def test_within_a_message_they_are_wrong_as_ever() -> None:
    error = only_error([*MessageStream().feed(bent(b"INVITE", b"INV\0ITE"))])
    assert isinstance(error, ParseError)


def test_a_keepalive_split_after_its_third_octet() -> None:
    stream = MessageStream()
    assert stream.feed(b"\r\n\r") == [] and stream.feed(b"\n") == [PING]
    assert stream.feed(b"\r") == [] and stream.feed(b"\n") == [PONG]
    assert not stream.waiting


@pytest.mark.parametrize(
    "length",
    [
        b"",
        b"Content-Length: -1\r\n",
        b"Content-Length: 4\r\nl: 5\r\n",
        b"l: four\r\n",
        b"Content-Length: 4, 4\r\n",
    ],
)
def test_a_framing_error_is_fatal(length: bytes) -> None:
    stream = MessageStream()
    error = only_error([*stream.feed(bent(b"Content-Length: 4\r\n", length))])
    assert (error.fatal, error.status, error.answerable, stream.failed) == (True, 400, True, True)
    assert stream.feed(RINGING) == [] and not stream.waiting


def test_another_protocol_is_fatal() -> None:
    assert only_error([*MessageStream().feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")]).fatal


def test_a_message_that_is_merely_wrong_does_not_end_the_stream() -> None:
    stream = MessageStream()
    first, second, third = stream.feed(
        bent(b"SIP/2.0\r\n", b"SIP/7.0\r\n") + RINGING.replace(b"180", b"999") + INVITE
    )
    assert isinstance(first, ParseError) and (first.status, first.fatal) == (505, False)
    assert first.message is not None and first.message.body == b"v=0\n"
    assert isinstance(second, ParseError) and not second.fatal and not second.answerable
    assert plain([third]) == [INVITE]


def test_the_head_is_capped_whether_or_not_it_ends() -> None:
    head = INVITE.index(b"\r\n\r\n")
    assert plain([*MessageStream(max_head=head).feed(INVITE)]) == [INVITE]
    for data in (INVITE, INVITE[: head + 2]):
        error = only_error([*MessageStream(max_head=head - 1).feed(data)])
        assert (error.status, error.fatal) == (513, True)
    endless = MessageStream(max_head=1000)
    assert only_error(bytewise(endless, b"x" * 2000)).status == 513


def test_the_body_is_capped() -> None:
    assert plain([*MessageStream(max_body=4).feed(INVITE)]) == [INVITE]
    error = only_error([*MessageStream(max_body=3).feed(INVITE)])
    assert (error.status, error.fatal, error.answerable) == (413, False, True)


def test_byte_by_byte_is_linear() -> None:
    def seconds(size: int) -> float:
        stream = MessageStream(max_head=size + 1000)
        data = bent(b"Max-Forwards: 70", b"X: " + b"a" * size)
        started = time.process_time()
        assert len(bytewise(stream, data)) == 1
        return time.process_time() - started

    assert min(seconds(80_000) for _ in range(2)) < 40 * min(seconds(8_000) for _ in range(3))
