"""What a message must satisfy before anything decides about it (RFC 3261 8.1.1, 16.3; RFC 4475).

After ``validate`` no typed view of the message raises.
"""

from __future__ import annotations

from collections.abc import Collection

from sbc.sip.grammar import ParseError
from sbc.sip.message import Message, Request

KNOWN_SCHEMES = frozenset(("sip", "sips", "tel"))
SINGLE = (
    "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires",
    "min-expires", "event", "rseq", "rack", "session-expires", "min-se", "refer-to", "referred-by",
    "replaces", "retry-after", "subscription-state", "date", "content-disposition", "timestamp",
)  # fmt: skip


def validate(message: Message) -> None:
    """Check everything that RFC 3261 wants of any message; raises ParseError with the status due."""
    try:
        keys = message.headers.keys
        if len(set(keys)) != len(keys):
            _check_single(keys)
        via = message.via
        if via.branch == "z9hG4bK":
            raise ParseError("the Via branch is only the magic cookie")
        method = message.cseq.method
        message.call_id  # noqa: B018
        scheme = message.to.uri.scheme
        message.from_  # noqa: B018
        for key in keys:
            if key in _LAZY:
                _LAZY[key](message)
        if isinstance(message, Request):
            _check_request(message, method, scheme)
    except ParseError as error:
        error.message = error.message or message
        raise


_LAZY = {
    "contact": lambda message: message.contact,
    "route": lambda message: message.routes,
    "record-route": lambda message: message.record_routes,
    "max-forwards": lambda message: message.max_forwards,
}


def _check_single(keys: list[str]) -> None:
    for key in SINGLE:
        if keys.count(key) > 1:
            raise ParseError(f"more than one {key} header")


def _check_request(request: Request, method: str, to_scheme: str) -> None:
    if method != request.method:
        raise ParseError("the CSeq method is not the request's")
    target = request.target
    if target.scheme not in KNOWN_SCHEMES:
        raise ParseError("unknown scheme of the Request-URI", 416)
    if target.headers:
        raise ParseError("the Request-URI holds headers")
    if method == "REGISTER" and to_scheme not in KNOWN_SCHEMES:
        raise ParseError("To is not an address-of-record")


def unsupported_extensions(request: Message, supported: Collection[str]) -> list[str]:
    """The option tags in Require that are not in ``supported`` (lower case), for 420 (RFC 3261 8.2.2.3)."""
    required = request.headers.values("require")
    return [tag for tag in required if tag.lower() not in supported]
