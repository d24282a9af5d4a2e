"""Requests and responses: a start line, headers, a body; typed views made when first asked for.

The views are cached in ``headers.views`` and dropped by any change to the headers. A malformed
value raises ParseError when it is asked for; after ``validate`` none of them does.

``serialize`` is the last door before the wire: whatever control character a value brought along, from a
peer, a rule or a hook, stops there, so no header can be injected into a message. The check costs one pass of
``bytes.translate``: what is left after the controls are deleted must be as long as the head less its own
line ends. Content-Length is written there and nowhere else (RFC 3261 20.14).
"""

from __future__ import annotations

from typing import ClassVar, Final

from sbc.sip.grammar import CONTROLS, ParseError, decimal, has_bare_control, split_commas
from sbc.sip.headers import CSeq, Field, Headers, Via, parse_cseq, parse_via
from sbc.sip.uri import NameAddr, Uri, parse_name_addr, parse_uri

SDP: Final = "application/sdp"
REASONS: Final = {
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

# What a response repeats of its request beside Via: names, and what they are found by.
_ECHOED: Final = (("From", "from"), ("To", "to"), ("Call-ID", "call-id"), ("CSeq", "cseq"))


def _required(headers: Headers, key: str) -> str:
    value = headers.first.get(key)
    if value is None:
        raise ParseError(f"missing {key} header")
    return value


class Message:
    """What requests and responses share; make a Request or a Response.

    ``head`` are the octets that it was read from, each line with its CRLF, until somebody has taken them;
    empty for one that nobody sent us.
    """

    __slots__ = ("body", "head", "headers")
    is_request: ClassVar[bool]

    headers: Headers
    body: bytes
    head: bytes

    def changed(self) -> None:
        """Forget the typed views; needed only by who changed ``headers.fields`` behind its back."""
        self.headers = Headers(self.headers.fields)

    @property
    def via(self) -> Via:
        """The topmost Via; raises ParseError if it is missing or malformed."""
        views = self.headers.views
        via = views.via
        if via is None:
            value = _required(self.headers, "via")
            if "," in value:
                value = (split_commas(value) or [""])[0]
            via = views.via = parse_via(value)
        return via

    @property
    def call_id(self) -> str:
        """The Call-ID; raises ParseError if it is missing or malformed."""
        views = self.headers.views
        call_id = views.call_id
        if call_id is None:
            call_id = _required(self.headers, "call-id")
            if not (call_id.isascii() and call_id.isprintable()) or " " in call_id or not call_id:
                raise ParseError("malformed Call-ID")
            views.call_id = call_id
        return call_id

    @property
    def cseq(self) -> CSeq:
        """The CSeq; raises ParseError if it is missing, malformed or 2**31 and more."""
        views = self.headers.views
        cseq = views.cseq
        if cseq is None:
            cseq = views.cseq = parse_cseq(_required(self.headers, "cseq"))
        return cseq

    @property
    def from_(self) -> NameAddr:
        """The From header; raises ParseError if it is missing or malformed."""
        views = self.headers.views
        address = views.from_
        if address is None:
            address = views.from_ = parse_name_addr(_required(self.headers, "from"))
        return address

    @property
    def to(self) -> NameAddr:
        """The To header; raises ParseError if it is missing or malformed."""
        views = self.headers.views
        address = views.to
        if address is None:
            address = views.to = parse_name_addr(_required(self.headers, "to"))
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
        views = self.headers.views
        contact = views.contact
        if contact is None:
            value = self.headers.first.get("contact")
            if value is not None and ("," in value or not value):
                value = next(iter(self.headers.values("contact")), None)
            if value is None or value == "*":
                return None
            contact = views.contact = parse_name_addr(value)
        return contact

    @property
    def is_sdp(self) -> bool:
        """Whether all of its body is SDP, as nearly always: the quick question before the body is read."""
        return self.headers.first.get("content-type") == SDP

    @property
    def routes(self) -> list[NameAddr]:
        """All Route values in order; raises ParseError if one is malformed."""
        views = self.headers.views
        if views.routes is None:
            views.routes = self._addresses("route")
        return views.routes

    @property
    def record_routes(self) -> list[NameAddr]:
        """All Record-Route values in order; raises ParseError if one is malformed."""
        views = self.headers.views
        if views.record_routes is None:
            views.record_routes = self._addresses("record-route")
        return views.record_routes

    @property
    def max_forwards(self) -> int | None:
        """Max-Forwards, 0 to 255, or None if absent; raises ParseError if malformed."""
        value = self.headers.first.get("max-forwards")
        if value is None:
            return None
        number = decimal(value)
        if number is None or number > 255:
            raise ParseError("malformed Max-Forwards")
        return number

    def _addresses(self, name: str) -> list[NameAddr]:
        return [parse_name_addr(value) for value in self.headers.values(name)]


class Request(Message):
    """A request; ``uri`` is the Request-URI as on the wire."""

    __slots__ = ("_target", "method", "uri")
    is_request = True

    def __init__(self, method: str, uri: str, headers: Headers, body: bytes = b"") -> None:
        self.method = method
        self.uri = uri
        self.headers = headers
        self.body = body
        self.head = b""
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
        self.head = b""

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.headers!r} body={len(self.body)}>"


def response_to(request: Request, status: int, reason: str = "", to_tag: str = "") -> Response:
    """Build the response to ``request`` with what it must echo (RFC 3261 8.2.6.2, 12.1.1).

    ``to_tag`` is added to To unless the request has one already or ``status`` is 100. Headers that
    the request lacks are left out, and a malformed To is echoed as it is.
    """
    source = request.headers
    first = source.first
    fields = [("Via", value) for value in source.get_all("via")]
    echoed = {"via": fields[0][1]} if fields else {}
    for name, key in _ECHOED:
        value = first.get(key)
        if value is None:
            continue
        if key == "to" and to_tag and status != 100 and _lacks_tag(request):
            value = f"{value};tag={to_tag}"
        fields.append((name, value))
        echoed[key] = value
    headers = Headers(fields, echoed)
    if status == 100 and "timestamp" in first:
        headers.add("Timestamp", first["timestamp"])
    if 100 < status < 300 and "record-route" in first:
        headers.extend([("Record-Route", value) for value in source.get_all("record-route")])
    return Response(status, reason or REASONS.get(status, "Unknown"), headers)


def _lacks_tag(request: Request) -> bool:
    try:
        return not request.to_tag
    except ParseError:
        return False


def serialize(message: Message) -> bytes:
    """Write a message with the Content-Length of its body; raises ValueError for control characters."""
    body = message.body
    headers = message.headers
    length = str(len(body))
    fields = headers.fields
    lines = [start_line(message)]
    if "content-length" in headers.first:
        fields = _with_length(headers, length)
        lines += [f"{name}: {value}" for name, value in fields]
    else:
        lines += [f"{name}: {value}" for name, value in fields]
        lines.append(f"Content-Length: {length}")
    lines.append("\r\n")
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    if len(data.translate(None, CONTROLS)) != len(data) - 2 * len(lines):
        _refuse_controls(lines[0], fields)
    return data + body if body else data


def start_line(message: Message) -> str:
    """The start line; raises ValueError where a part of it could be taken for another."""
    if isinstance(message, Request):
        method, uri = message.method, message.uri
        if not method or not uri or " " in method or " " in uri:
            raise ValueError("the method and the Request-URI must not be empty or hold blanks")
        return f"{method} {uri} SIP/2.0"
    if isinstance(message, Response):
        if not 100 <= message.status <= 699:
            raise ValueError("the status must be 100 to 699")
        return f"SIP/2.0 {message.status} {message.reason}"
    raise TypeError("neither a Request nor a Response")


def _with_length(headers: Headers, length: str) -> list[Field]:
    """The fields with one Content-Length, in place of the first."""
    if headers.unique and headers.first["content-length"] == length:
        return headers.fields
    headers = headers.copy()
    headers.set(headers.fields[headers.index("content-length")][0], length)
    return headers.fields


def _refuse_controls(start: str, fields: list[Field]) -> None:
    # A control character in a quoted-pair is legitimate (RFC 3261 25.1); CR and LF never are.
    if has_bare_control(start):
        raise ValueError("control character in the start line")
    for name, value in fields:
        if has_bare_control(name):
            raise ValueError("control character in a header's name")
        if has_bare_control(value):
            raise ValueError(f"control character in the value of {name}")
