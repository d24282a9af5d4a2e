"""Requests and responses: a start line, headers, a body; typed views made when first asked for.

The views are cached in ``headers.parsed`` and dropped by any change to the headers. A malformed
value raises ParseError when it is asked for; after ``validate`` none of them does.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final

from sbc.sip.address import NameAddr, parse_name_addr
from sbc.sip.grammar import TOKEN, ParseError, split_commas
from sbc.sip.headers import Headers
from sbc.sip.uri import Uri, parse_uri
from sbc.sip.via import Via, parse_via

_cseq = re.compile(rf"(?=[0-9])0*+([0-9]{{0,10}}+)[ \t]++([{TOKEN}]++)").fullmatch
_max_forwards = re.compile(r"(?=[0-9])0*+([0-9]{0,3}+)").fullmatch
_call_id = re.compile(r"[!-~]++").fullmatch

REASONS = {
    100: "Trying", 180: "Ringing", 181: "Call Is Being Forwarded", 182: "Queued", 183: "Session Progress",
    199: "Early Dialog Terminated", 200: "OK", 202: "Accepted", 204: "No Notification",
    300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily", 305: "Use Proxy",
    380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone",
    412: "Conditional Request Failed", 413: "Request Entity Too Large", 414: "Request-URI Too Long",
    415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    421: "Extension Required", 422: "Session Interval Too Small", 423: "Interval Too Brief",
    428: "Use Identity Header", 429: "Provide Referrer Identity", 430: "Flow Failed",
    433: "Anonymity Disallowed", 436: "Bad Identity Info", 437: "Unsupported Credential",
    438: "Invalid Identity Header", 439: "First Hop Lacks Outbound Support",
    480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 482: "Loop Detected",
    483: "Too Many Hops", 484: "Address Incomplete", 485: "Ambiguous", 486: "Busy Here",
    487: "Request Terminated", 488: "Not Acceptable Here", 489: "Bad Event", 491: "Request Pending",
    493: "Undecipherable", 494: "Security Agreement Required", 500: "Server Internal Error",
    501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out",
    505: "Version Not Supported", 513: "Message Too Large", 580: "Precondition Failure",
    600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 606: "Not Acceptable",
    607: "Unwanted", 608: "Rejected",
}  # fmt: skip


def _required(headers: Headers, key: str) -> str:
    keys = headers.keys
    if key not in keys:
        raise ParseError(f"missing {key} header")
    return headers.fields[keys.index(key)][1]


class CSeq:
    """A CSeq value, never changed: number below 2**31 and method (RFC 3261 8.1.1.5)."""

    __slots__ = ("method", "number")

    def __init__(self, number: int, method: str) -> None:
        self.number: Final = number
        self.method: Final = method

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CSeq) and self.number == other.number and self.method == other.method

    def __hash__(self) -> int:
        return hash((self.number, self.method))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


class Message:
    """What requests and responses share; make a Request or a Response."""

    __slots__ = ("body", "headers")
    is_request: ClassVar[bool]

    headers: Headers
    body: bytes

    def changed(self) -> None:
        """Forget the typed views; needed only by who changed ``headers.fields`` behind its back."""
        self.headers = Headers(self.headers.fields)

    @property
    def via(self) -> Via:
        """The topmost Via; raises ParseError if it is missing or malformed."""
        parsed = self.headers.parsed
        if "via" not in parsed:
            value = _required(self.headers, "via")
            if "," in value:
                value = (split_commas(value) or [""])[0]
            parsed["via"] = parse_via(value)
        via: Via = parsed["via"]
        return via

    @property
    def call_id(self) -> str:
        """The Call-ID; raises ParseError if it is missing or malformed."""
        parsed = self.headers.parsed
        if "call_id" not in parsed:
            value = _required(self.headers, "call-id")
            if not _call_id(value):
                raise ParseError("malformed Call-ID")
            parsed["call_id"] = value
        call_id: str = parsed["call_id"]
        return call_id

    @property
    def cseq(self) -> CSeq:
        """The CSeq; raises ParseError if it is missing, malformed or 2**31 and more."""
        parsed = self.headers.parsed
        if "cseq" not in parsed:
            match = _cseq(_required(self.headers, "cseq"))
            number = int(match[1] or "0") if match else 1 << 31
            if match is None or number >= 1 << 31:
                raise ParseError("malformed CSeq")
            parsed["cseq"] = CSeq(number, match[2])
        cseq: CSeq = parsed["cseq"]
        return cseq

    @property
    def from_(self) -> NameAddr:
        """The From header; raises ParseError if it is missing or malformed."""
        parsed = self.headers.parsed
        if "from" not in parsed:
            parsed["from"] = parse_name_addr(_required(self.headers, "from"))
        address: NameAddr = parsed["from"]
        return address

    @property
    def to(self) -> NameAddr:
        """The To header; raises ParseError if it is missing or malformed."""
        parsed = self.headers.parsed
        if "to" not in parsed:
            parsed["to"] = parse_name_addr(_required(self.headers, "to"))
        address: NameAddr = parsed["to"]
        return address

    @property
    def from_tag(self) -> str:
        """The From tag, or ""; raises ParseError if From is missing or malformed."""
        return self.from_.tag

    @property
    def to_tag(self) -> str:
        """The To tag, or ""; raises ParseError if To is missing or malformed."""
        return self.to.tag

    @property
    def contact(self) -> NameAddr | None:
        """The first Contact; None if there is none or it is ``*``; raises ParseError if malformed."""
        parsed = self.headers.parsed
        if "contact" not in parsed:
            values = self.headers.values("contact")
            none = not values or values[0] == "*"
            parsed["contact"] = None if none else parse_name_addr(values[0])
        contact: NameAddr | None = parsed["contact"]
        return contact

    @property
    def routes(self) -> list[NameAddr]:
        """All Route values in order; raises ParseError if one is malformed."""
        return self._addresses("route")

    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values in order; raises ParseError if one is malformed."""
        return self._addresses("record-route")

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255, or None if absent; raises ParseError if malformed."""
        value = self.headers.get("max-forwards")
        if value is None:
            return None
        match = _max_forwards(value)
        number = int(match[1] or "0") if match else 256
        if number > 255:
            raise ParseError("malformed Max-Forwards")
        return number

    def _addresses(self, name: str) -> list[NameAddr]:
        parsed = self.headers.parsed
        if name not in parsed:
            parsed[name] = [parse_name_addr(value) for value in self.headers.values(name)]
        addresses: list[NameAddr] = parsed[name]
        return addresses


class Request(Message):
    """A request; ``uri`` is the Request-URI as on the wire."""

    __slots__ = ("_target", "method", "uri")
    is_request = True

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self._target: tuple[str, Uri] | None = None

    @property
    def target(self) -> Uri:
        """The Request-URI, parsed; raises ParseError if malformed."""
        if self._target is None or self._target[0] != self.uri:
            self._target = (self.uri, parse_uri(self.uri))
        return self._target[1]

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.headers!r} body={len(self.body)}>"


class Response(Message):
    """A response; ``status`` is 100 to 699."""

    __slots__ = ("reason", "status")
    is_request = False

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes = b"") -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers!r} body={len(self.body)}>"


_ECHOED = frozenset(("via", "from", "to", "call-id", "cseq"))
_ECHOED_100 = _ECHOED | {"timestamp"}
_ECHOED_DIALOG = _ECHOED | {"record-route"}


def response_to(request: Request, status: int, reason: str = "", to_tag: str = "") -> Response:
    """Build the response to ``request`` with what it must echo (RFC 3261 8.2.6.2, 12.1.1).

    ``to_tag`` is added to To unless the request has one already or ``status`` is 100. Headers that
    the request lacks are left out, and a malformed To is echoed as it is.
    """
    if status == 100:
        echoed = _ECHOED_100
    else:
        echoed = _ECHOED_DIALOG if status < 300 else _ECHOED
    source = request.headers
    kept = [(field, key) for field, key in zip(source.fields, source.keys, strict=True) if key in echoed]
    headers = Headers([field for field, _ in kept], [key for _, key in kept])
    if to_tag and status != 100 and _lacks_tag(request):
        at = headers.keys.index("to")
        name, value = headers.fields[at]
        headers.fields[at] = (name, f"{value};tag={to_tag}")
    return Response(status, reason or REASONS.get(status, "Unknown"), headers)


def _lacks_tag(request: Request) -> bool:
    try:
        return not request.to_tag
    except ParseError:
        return False
