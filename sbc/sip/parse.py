"""Bytes to messages (RFC 3261 7, 18.3).

A well-formed head is read in one pass of one pattern. Whatever that pattern does not take goes to
the slow path, which unfolds, and if the head is broken reads what it can, so that the sender can
be told: ParseError carries that much of the message. A bare CR or LF, a control character outside a
quoted-pair or a line that is no header field is refused, because two readers could then disagree
about what the message says; that also ends a stream, whose framing depends on such lines.
Text is UTF-8, and other bytes survive as surrogates, so a value leaves as it came.
"""

from __future__ import annotations

import re

from sbc.sip.grammar import BLANKS, CONTROLS, TOKEN, ParseError, has_bare_control
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response
from sbc.sip.validate import unsupported_extensions, validate

__all__ = [
    "ParseError",
    "content_length",
    "parse_head",
    "parse_message",
    "unsupported_extensions",
    "validate",
]

_fields = re.compile(rf"^([{TOKEN}]++)[ \t]*+:[ \t]*+([^\r\n]*+)\r\n", re.M).findall
_field = re.compile(rf"([{TOKEN}]++)[ \t]*+:[ \t]*+([^\r\n]*+)").fullmatch
_unfold = re.compile(r"\r\n[ \t]++").sub
_lines = re.compile(r"\r\n|\r|\n").split
_status_line = re.compile(r"[sS][iI][pP]/([0-9]++\.[0-9]++) ([0-9]++) (.*+)", re.S).fullmatch
_request_line = re.compile(rf"([{TOKEN}]++) ([^ \t]++) [sS][iI][pP]/([0-9]++\.[0-9]++)").fullmatch
_loose_request = re.compile(rf"[ \t]*+([{TOKEN}]++)[ \t]++([^ \t]++)(?:[ \t].*+)?+", re.S).fullmatch
_digits = re.compile(r"0*+([0-9]{0,9}+)").fullmatch

# Where a value may stand with a comma or a blank at its end that has to go.
_TRAILING = (" \r\n", "\t\r\n", "\r\n ", "\r\n\t")


def parse_message(data: bytes) -> Message:
    """Read a datagram: what follows the body is ignored, a body cut short raises ParseError (18.3)."""
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    end = data.find(b"\r\n\r\n", start)
    if end < 0:
        raise ParseError("the header section does not end", message=_salvage(data[start:]), fatal=True)
    message = parse_head(data[start : end + 2])
    message.body = data[end + 4 :]
    length = content_length(message)
    if length is not None:
        if length > len(message.body):
            raise ParseError("the body is shorter than Content-Length", message=message, fatal=True)
        message.body = message.body[:length]
    return message


def parse_head(head: bytes) -> Message:
    """Read a start line and header fields, each with its CRLF; the body is empty. Raises ParseError."""
    text = head.decode("utf-8", "surrogateescape")
    first, _, rest = text.partition("\r\n")
    if len(head.translate(None, CONTROLS)) != len(head) - 2 * head.count(b"\r\n"):
        return _parse_odd(text)
    for each in _TRAILING:
        if each in rest:
            return _parse_odd(text)
    fields = _fields(rest)
    if len(fields) != rest.count("\r\n") or not rest.endswith("\r\n"):
        return _parse_odd(text)
    return _start(first, Headers(fields))


def content_length(message: Message) -> int | None:
    """The Content-Length, None if absent; raises a fatal ParseError if malformed or contradictory."""
    headers = message.headers
    if "content-length" not in headers.keys:
        return None
    lengths = {_length(value) for value in headers.get_all("content-length")}
    if len(lengths) > 1 or None in lengths:
        raise ParseError("malformed or contradictory Content-Length", message=message, fatal=True)
    return lengths.pop()


def _length(value: str) -> int | None:
    match = _digits(value)
    return int(match[1] or "0") if match and value else None


def _start(line: str, headers: Headers) -> Message:
    match = _request_line(line)
    if match is not None:
        request = Request(match[1], match[2], headers)
        if match[3] != "2.0":
            raise ParseError("SIP version not supported", 505, message=request)
        return request
    match = _status_line(line)
    if match is None:
        raise ParseError("malformed start line", message=_loose_start(line, headers))
    version, status, reason = match.groups()
    if version != "2.0" or len(status) != 3 or not "100" <= status <= "699":
        raise ParseError("malformed status line")
    return Response(int(status), reason, headers)


def _loose_start(line: str, headers: Headers) -> Request | None:
    match = _loose_request(line)
    return Request(match[1], match[2], headers) if match else None


def _parse_odd(text: str) -> Message:
    """Read a head that is folded or broken."""
    if text.startswith((" ", "\t")):
        raise ParseError("blanks before the start line", fatal=True)
    unfolded = _unfold(" ", text)
    first, _, rest = unfolded.partition("\r\n")
    if not rest.endswith("\r\n"):
        raise ParseError("the header section does not end", message=_salvage(text), fatal=True)
    fields = []
    for line in rest[:-2].split("\r\n"):
        match = _field(line)
        if match is None or has_bare_control(match[2]):
            raise ParseError("malformed header line", message=_salvage(text), fatal=True)
        fields.append((match[1], match[2].rstrip(BLANKS)))
    if has_bare_control(first):
        raise ParseError("control character in the start line", message=_salvage(text), fatal=True)
    return _start(first, Headers(fields))


def _salvage(head: bytes | str) -> Request | None:
    """What can be read of a broken request: the lines that are header fields and hold no controls."""
    text = head if isinstance(head, str) else head.decode("utf-8", "surrogateescape")
    first, *lines = _lines(_unfold(" ", text))
    fields = []
    for line in lines:
        if not line:
            break
        match = _field(line)
        if match and not has_bare_control(match[2]):
            fields.append((match[1], match[2].rstrip(BLANKS)))
    return None if has_bare_control(first) else _loose_start(first, Headers(fields))
