"""Bytes to messages (RFC 3261 7, 18.3).

A well-formed head is split into lines and each line at its colon. Whatever does not fit (a folded
line, a blank before the colon, a control character) goes to the slow path, which unfolds, and if the
head is broken reads what it can, so that the sender can be told: ParseError carries that much of the
message. A bare CR or LF, a control character outside a quoted-pair or a line that is no header field
is refused, because two readers could then disagree about what the message says. Text is UTF-8, and
other bytes survive as surrogates, so a value leaves as it came.

What a message must satisfy before anything decides about it (RFC 3261 8.1.1, 16.3; RFC 4475) is ``validate``:
after it no typed view of the message raises.
"""

from __future__ import annotations

import re
from typing import Final

from dsl.addresses import is_sos
from sbc.sip.framing import folded_length
from sbc.sip.grammar import (
    BLANKS,
    CONTROLS,
    DROP_CONTROLS,
    TOKEN,
    ParseError,
    decimal,
    has_bare_control,
    is_token,
)
from sbc.sip.headers import CANONICAL, KNOWN_METHODS, Headers, canonical
from sbc.sip.message import Message, Request, Response

__all__ = [
    "MAX_HEAD",
    "ParseError",
    "content_length",
    "essentials",
    "parse_head",
    "parse_message",
    "read_fields",
    "read_start",
    "validate",
]

# Octets of a start line and its headers. Other implementations stop somewhere near this, and a stream
# that carries one message too long for them is lost to every call on it; so datagrams have it as well.
MAX_HEAD: Final = 16384

_field: Final = re.compile(rf"([{TOKEN}]++)[ \t]*+:[ \t]*+([^\r\n]*+)").fullmatch
_unfold: Final = re.compile(r"\r\n[ \t]++").sub
_lines: Final = re.compile(r"\r\n|\r|\n").split
# Whoever has no reason to give may leave out the blank before it, too.
_status_line: Final = re.compile(r"[sS][iI][pP]/([0-9]++\.[0-9]++) ([0-9]++)(?: (.*+)|)", re.S).fullmatch
_request_line: Final = re.compile(rf"([{TOKEN}]++) ([^ \t]++) [sS][iI][pP]/([0-9]++\.[0-9]++)").fullmatch
_loose_request: Final = re.compile(rf"[ \t]*+([{TOKEN}]++)[ \t]++([^ \t]++)(?:[ \t].*+)?", re.S).fullmatch
KNOWN_SCHEMES: Final = frozenset(("sip", "sips", "tel"))
SINGLE: Final = (
    "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires",
    "min-expires", "event", "rseq", "rack", "session-expires", "min-se", "refer-to", "referred-by",
    "replaces", "retry-after", "subscription-state", "date", "content-disposition", "timestamp",
)  # fmt: skip
_NEEDED: Final = ("Via", "From", "To", "Call-ID", "CSeq")
_STATUSES: Final = {str(status): status for status in range(100, 700)}


def parse_message(data: bytes) -> Message:
    """Read a datagram: what follows the body is ignored, a body cut short raises ParseError (18.3).

    A head of more than ``MAX_HEAD`` octets raises it too, with status 513 and no message.
    """
    start = 0
    while data.startswith(b"\r\n", start):
        start += 2
    end = data.find(b"\r\n\r\n", start, start + MAX_HEAD + 4)
    if end < 0:
        if len(data) - start > MAX_HEAD:
            raise ParseError("the header section is too long", 513, fatal=True)
        raise ParseError("the header section does not end", message=_salvage(data[start:]), fatal=True)
    head = data[start : end + 2]
    message = parse_head(head)
    message.head = head
    try:
        length = content_length(message.headers)
    except ParseError as error:
        error.message = message
        raise
    message.body = data[end + 4 :]
    if length is not None and length != len(message.body):
        if length > len(message.body):
            whole = (
                message if message.is_request else None
            )  # a response is discarded, another copy may be whole
            raise ParseError("the body is shorter than Content-Length", message=whole, fatal=True)
        message.body = message.body[:length]
    return message


def parse_head(head: bytes) -> Message:
    """Read a start line and header fields, each with its CRLF; the body is empty. Raises ParseError."""
    line, headers = read_fields(head)
    return read_start(line, headers)


def read_fields(head: bytes) -> tuple[str, Headers]:
    """Divide a head into its start line and its fields; raises ParseError.

    Whether the stream can go on behind it is for who knows the framing (``length_beyond_doubt``).
    """
    text = head.decode("utf-8", "surrogateescape")
    lines = text.split("\r\n")
    if lines.pop() or len(head.translate(None, CONTROLS)) != len(head) - 2 * len(lines):
        return _read_odd_fields(text)
    fields: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    start = lines[0]
    del lines[0]
    for line in lines:
        name, colon, value = line.partition(":")
        key = CANONICAL.get(name)
        if key is None or not colon:
            if not colon or not is_token(name):
                return _read_odd_fields(text)
            key = canonical(name)
        value = value.strip(BLANKS)
        fields.append((name, value))
        first.setdefault(key, value)
    return start, Headers(fields, first)


def read_start(line: str, headers: Headers) -> Message:
    """Make the message that a start line announces; raises ParseError (505 for another SIP version)."""
    parts = line.split(" ", 2)
    if len(parts) == 3:
        if parts[0] == "SIP/2.0" and parts[1] in _STATUSES:
            return Response(_STATUSES[parts[1]], parts[2], headers)
        if parts[2] == "SIP/2.0" and parts[0] in KNOWN_METHODS and parts[1] and "\t" not in parts[1]:
            return Request(parts[0], parts[1], headers)
    return _read_odd_start(line, headers)


def _read_odd_start(line: str, headers: Headers) -> Message:
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
    if version != "2.0" or status not in _STATUSES:
        raise ParseError("malformed status line")
    return Response(_STATUSES[status], reason or "", headers)


def content_length(headers: Headers) -> int | None:
    """The Content-Length, None if absent; raises a fatal ParseError if malformed or contradictory."""
    value = headers.first.get("content-length")
    if value is None:
        return None
    length = decimal(value)
    if length is None or (
        not headers.unique and any(decimal(each) != length for each in headers.get_all("content-length"))
    ):
        raise ParseError("malformed or contradictory Content-Length", fatal=True)
    return length


def _loose_start(line: str, headers: Headers) -> Request | None:
    match = _loose_request(line)
    return Request(match[1], match[2], headers) if match else None


def _read_odd_fields(text: str) -> tuple[str, Headers]:
    """Read a head that is folded, has blanks to be stripped, or is broken."""
    if folded_length(text):
        raise ParseError("a folded Content-Length", message=_salvage(text))
    first, _, rest = _unfold(" ", text).partition("\r\n")
    fields = []
    for line in rest.removesuffix("\r\n").split("\r\n"):
        match = _field(line)
        if match is None or has_bare_control(match[2]):
            raise ParseError("malformed header line", message=_salvage(text))
        fields.append((match[1], match[2].rstrip(BLANKS)))
    if has_bare_control(first):
        raise ParseError("control character in the start line", message=_salvage(text))
    return first, Headers(fields)


def _salvage(head: bytes | str) -> Message | None:
    """What can be read of a broken message: the lines that are header fields, less the controls in them."""
    text = head if isinstance(head, str) else head.decode("utf-8", "surrogateescape")
    text = _unfold(" ", text)
    first, *lines = text.split("\r\n") if "\r\n" in text else _lines(text)
    fields = []
    for line in lines:
        if not line:
            break
        name, colon, value = line.partition(":")
        name = name.rstrip(BLANKS)
        if colon and is_token(name):
            plain = value.translate(DROP_CONTROLS) if has_bare_control(value) else value
            fields.append((name, plain.strip(BLANKS)))
    if has_bare_control(first):
        return None
    status = _status_line(first)
    if status is not None and status[2] in _STATUSES:
        return Response(_STATUSES[status[2]], status[3] or "", Headers(fields))
    return _loose_start(first, Headers(fields))


# Validity


def validate(message: Message) -> None:
    """Check everything that RFC 3261 wants of any message; raises ParseError with the status due."""
    try:
        headers = message.headers
        if not headers.unique:
            _check_single(headers)
        via = message.via
        if via.branch == "z9hG4bK":
            raise ParseError("the Via branch is only the magic cookie")
        method = message.cseq.method
        message.call_id  # noqa: B018
        message.from_  # noqa: B018
        scheme = message.to.uri.scheme
        first = headers.first
        # A registrar tells of all devices, whatever these have said of themselves; its 200 is read elsewhere.
        if "contact" in first and (method != "REGISTER" or isinstance(message, Request)):
            message.contact  # noqa: B018
        if "route" in first:
            message.routes  # noqa: B018
        if "record-route" in first:
            message.record_routes  # noqa: B018
        if "max-forwards" in first:
            message.max_forwards  # noqa: B018
        if isinstance(message, Request):
            if method != message.method:
                raise ParseError("the CSeq method is not the request's")
            target = message.target
            if target.scheme not in KNOWN_SCHEMES and not is_sos(target.party.user):
                raise ParseError("unknown scheme of the Request-URI", 416)
            if target.headers:
                raise ParseError("the Request-URI holds headers")
            if method == "REGISTER" and scheme not in KNOWN_SCHEMES:
                raise ParseError("To is not an address-of-record")
    except ParseError as error:
        error.message = error.message or message
        raise


def _check_single(headers: Headers) -> None:
    keys = [canonical(name) for name, _ in headers.fields]
    for key in SINGLE:
        if keys.count(key) > 1:
            raise ParseError(f"more than one {key} header")


def essentials(response: Response) -> Response | None:
    """What remains of a ``response`` that is invalid: enough to acknowledge it and hang up, or None.

    Each header that the transaction and the dialog need, once, and no body. Contact and Record-Route are
    left out where they are what is wrong.
    """
    headers = response.headers
    needed = [(name, headers.first[name.lower()]) for name in _NEEDED if name in headers]
    further = [("Record-Route", value) for value in headers.get_all("Record-Route")]
    further += [("Contact", value) for value in headers.get_all("Contact")[:1]]
    for fields in (needed + further, needed):
        reduced = Response(response.status, response.reason, Headers(fields))
        try:
            validate(reduced)
        except ParseError:
            continue
        return reduced
    return None
