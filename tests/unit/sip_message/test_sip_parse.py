from __future__ import annotations

import pytest

from sbc.sip.message import Request, Response, serialize
from sbc.sip.parse import MAX_HEAD, ParseError, parse_head, parse_message
from tests.unit.sip_message.sample import INVITE, RINGING, bent


def refused(data: bytes) -> ParseError:
    with pytest.raises(ParseError) as caught:
        parse_message(data)
    return caught.value


def test_a_request() -> None:
    request = parse_message(INVITE)
    assert isinstance(request, Request)
    assert (request.method, request.uri) == ("INVITE", "sip:bob@biloxi.example;transport=tls")
    assert request.headers.fields[1] == ("Max-Forwards", "70")
    assert request.body == b"v=0\n"


def test_a_response() -> None:
    response = parse_message(RINGING)
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.body) == (180, "Ringing", b"")


@pytest.mark.parametrize("line", [b"SIP/2.0 200 ", "sip/2.0 200 не плохо".encode(), b"SIP/2.0 200 a  b \xff"])
def test_reason_phrases_are_kept(line: bytes) -> None:
    data = RINGING.replace(b"SIP/2.0 180 Ringing", line)
    assert serialize(parse_message(data)) == data.replace(b"sip/2.0", b"SIP/2.0")


def test_a_status_line_may_end_with_its_status() -> None:
    """RFC 3261 7.2 wants a blank behind it; a refusal without one is a refusal, and not silence."""
    response = parse_message(RINGING.replace(b"SIP/2.0 180 Ringing", b"SIP/2.0 480"))
    assert isinstance(response, Response) and (response.status, response.reason) == (480, "")
    assert serialize(response).startswith(b"SIP/2.0 480 \r\n")
    broken = refused(RINGING.replace(b"SIP/2.0 180 Ringing", b"SIP/2.0 480").replace(b"CSeq", b"C Seq"))
    assert getattr(broken.message, "status", 0) == 480


def test_a_head_that_no_stream_would_carry_is_refused_in_a_datagram_too() -> None:
    head = INVITE.index(b"\r\n\r\n")
    for over in (0, 1):
        filler = b"X" * (MAX_HEAD - head - len(b"Subject: \r\n") + over)
        data = bent(b"Max-Forwards", b"Subject: " + filler + b"\r\nMax-Forwards")
        if over:
            error = refused(data)
            assert (error.status, error.answerable) == (513, False)
        else:
            assert parse_message(data).body == b"v=0\n"
    assert refused(b"INVITE " + b"x" * 60000).status == 513


def test_folding_and_blanks_around_the_colon() -> None:
    data = bent(
        b"Max-Forwards: 70\r\n", b"maX-Forwards \t:\r\n\t 0068 \t\r\nSubject: one\r\n  two\r\n\tthree \r\n"
    )
    request = parse_message(data)
    assert request.headers.fields[1:3] == [("maX-Forwards", "0068"), ("Subject", "one two three")]
    assert request.max_forwards == 68


def test_an_empty_value_and_an_unknown_header() -> None:
    request = parse_message(bent(b"Max-Forwards: 70", b"s :\r\nX-Odd!:;;,,;"))
    assert request.headers.get("Subject") == "" and request.headers.get("x-odd!") == ";;,,;"


def test_leading_line_ends_and_what_follows_the_body_are_ignored() -> None:
    assert parse_message(b"\r\n\r\n" + INVITE + b"trailing").body == b"v=0\n"


def test_without_content_length_a_datagram_is_all_body() -> None:
    assert parse_message(bent(b"Content-Length: 4\r\n", b"") + b"more").body == b"v=0\nmore"


@pytest.mark.parametrize(
    "value", [b"5", b"9999", b"-1", b"x", b"", b"4, 4", b"+4", b"\xd9\xa3", b"0x4", b"9" * 5000]
)
def test_a_content_length_that_cannot_be_is_refused(value: bytes) -> None:
    error = refused(bent(b"Content-Length: 4", b"Content-Length: " + value))
    assert (error.status, error.fatal, error.answerable) == (400, True, True)


def test_two_content_lengths_must_agree() -> None:
    assert parse_message(bent(b"Content-Length: 4", b"Content-Length: 4\r\nl: 04")).body == b"v=0\n"
    assert refused(bent(b"Content-Length: 4", b"Content-Length: 4\r\nl: 0")).fatal


@pytest.mark.parametrize(
    "junk",
    [b"no colon here", b": no name", b"two words: x", b"X: bare\rreturn", b"X: bare\nfeed", b"X: nul\0",
     b"X: bell\x07",
     b'X: "bell\x07"', b"X: \\\0", b'X: "\\\0', b"X\0: y", "Ü: y".encode(), b"X: a\x7f",
     b'X: "a\\\x07" \x07'],
)  # fmt: skip
def test_a_line_that_is_no_header_field_is_refused_and_can_be_answered(junk: bytes) -> None:
    error = refused(bent(b"Max-Forwards: 70", junk))
    assert (error.status, error.answerable) == (400, True)
    assert error.message is not None and error.message.cseq.number == 314159
    serialize(error.message)


def test_a_control_character_in_a_quoted_pair_is_legitimate() -> None:
    data = bent(b'"Alice A."', b'"NUL:\\\0 BEL:\\\x07 DEL:\\\x7f"')
    assert serialize(parse_message(data)) == data


@pytest.mark.parametrize(
    "line",
    [b"INVITE  sip:a@b SIP/2.0", b"INVITE sip:a@b SIP/2.0 ", b"INVITE sip:a@b; lr SIP/2.0", b"INVITE sip:a@b",
     b"INV/ITE sip:a@b SIP/2.0", b"INVITE sip:a@b HTTP/1.1", b"INVITE sip:a@b SIP/2", b"", b"garbage",
     b" INVITE a SIP/2.0",
     b"INVITE sip:a@b SIP/2.0\x0b", b"INVITE sip:\x00 SIP/2.0"],
)  # fmt: skip
def test_malformed_request_lines(line: bytes) -> None:
    assert refused(line + INVITE[INVITE.index(b"\r\n") :]).status == 400


@pytest.mark.parametrize("version", [b"SIP/7.0", b"SIP/2.1", b"SIP/1.0", b"sip/3.0"])
def test_another_version_is_505_and_answerable(version: bytes) -> None:
    error = refused(bent(b"SIP/2.0\r\n", version + b"\r\n"))
    assert (error.status, error.fatal, error.answerable) == (505, False, True)


@pytest.mark.parametrize(
    "line",
    [b"SIP/2.0 4294967301 big", b"SIP/2.0 099 low", b"SIP/2.0 700 high", b"SIP/2.0 20 OK", b"SIP/2.0 2x0 a",
     b"SIP/2.0 2000", b"SIP/2.0 200\tOK",
     b"SIP/3.0 200 OK", b"SIP/2.0  200 OK", b"SIP/2.0 \xd9\xa3\xd9\xa3\xd9\xa3 x"],
)  # fmt: skip
def test_malformed_status_lines_are_never_answered(line: bytes) -> None:
    assert not refused(RINGING.replace(b"SIP/2.0 180 Ringing", line)).answerable


def test_a_head_without_an_end_and_keepalives_are_refused() -> None:
    assert refused(INVITE[:-6].rstrip(b"\r\n")).message is not None
    for data in (b"", b"\r\n", b"\r\n\r\n", b"\0\0\0\0", b"\xff" * 100):
        assert not refused(data).answerable


def test_an_ack_and_a_request_without_via_are_not_answerable() -> None:
    data = bent(b"INVITE sip", b"ACK sip").replace(b"CSeq", b"C Seq")
    assert not refused(data).answerable
    assert not refused(bent(b"Via", b"V ia")).answerable


def test_a_head_alone_has_an_empty_body() -> None:
    assert parse_head(INVITE[: INVITE.index(b"\r\n\r\n") + 2]).body == b""
