from __future__ import annotations

import pytest

from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, serialize
from sbc.sip.parse import parse_message
from tests.unit.sip_message.sample import INVITE, RINGING, bent


@pytest.mark.parametrize(
    "data",
    [INVITE, RINGING, bent(b"Via", b"v"), bent(b"Alice A.", "Zoë \\\" ".encode()), bent(b"Alice A.",
     b"\xff\xfe\xc3")],
)  # fmt: skip
def test_unchanged_is_byte_for_byte(data: bytes) -> None:
    assert serialize(parse_message(data)) == data


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], [("Content-Length", "3")]),
        ([("l", "9"), ("X", "y")], [("l", "3"), ("X", "y")]),
        ([("X", "y"), ("Content-Length", "9"), ("l", "8")], [("X", "y"), ("Content-Length", "3")]),
    ],
)
def test_the_content_length_is_the_bodys(
    fields: list[tuple[str, str]], expected: list[tuple[str, str]]
) -> None:
    message = Request("INFO", "sip:x", Headers(fields), b"abc")
    written = parse_message(serialize(message))
    assert written.headers.fields == expected and written.body == b"abc"
    assert message.headers.fields == fields


@pytest.mark.parametrize(
    "value", ["a\r\nEvil: 1", "a\rb", "a\nb", "a\0b", "\x07", "a\x7f", '"a\\\r\n"', '"\\\n"', "a\r\n"]
)
def test_a_control_character_in_a_value_never_leaves_and_the_error_names_the_header(value: str) -> None:
    with pytest.raises(ValueError, match="X-Secret") as caught:
        serialize(Request("INFO", "sip:x", Headers([("Fine", "1"), ("X-Secret", value)])))
    assert value not in str(caught.value)


def test_a_control_character_in_a_name_never_leaves() -> None:
    with pytest.raises(ValueError, match="name"):
        serialize(Request("INFO", "sip:x", Headers([("X\r\nEvil", "1")])))


@pytest.mark.parametrize(
    "message",
    [
        Request("INFO x", "sip:x", Headers()), Request("INFO", "sip:x SIP/2.0\r\nX: y", Headers()),
        Request("", "a", Headers()),
        Request("INFO", "", Headers()), Request("INFO", "a b", Headers()), Request("INFO\r\n", "a",
        Headers()),
        Response(99, "x", Headers()), Response(700, "x", Headers()), Response(200, "OK\r\nX: y", Headers()),
        Response(200, "O\0K", Headers()),
    ],
)  # fmt: skip
def test_start_lines_that_could_be_taken_for_something_else(message: Message) -> None:
    with pytest.raises(ValueError):
        serialize(message)


def test_an_empty_reason_and_a_tab() -> None:
    response = Response(200, "", Headers([("X", "a\tb")]))
    assert serialize(response) == b"SIP/2.0 200 \r\nX: a\tb\r\nContent-Length: 0\r\n\r\n"
