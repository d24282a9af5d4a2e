"""What a message must satisfy before anything decides about it (RFC 3261 8.1.1, 16.3; RFC 4475).

After ``validate`` no typed view of the message raises.
"""

from __future__ import annotations

from typing import Final

from dsl.addresses import is_sos
from sbc.sip.grammar import ParseError
from sbc.sip.headers import Headers, canonical
from sbc.sip.message import Message, Request, Response

KNOWN_SCHEMES: Final = frozenset(("sip", "sips", "tel"))
SINGLE: Final = (
    "from", "to", "call-id", "cseq", "max-forwards", "content-length", "content-type", "expires",
    "min-expires", "event", "rseq", "rack", "session-expires", "min-se", "refer-to", "referred-by",
    "replaces", "retry-after", "subscription-state", "date", "content-disposition", "timestamp",
)  # fmt: skip
_NEEDED: Final = ("Via", "From", "To", "Call-ID", "CSeq")


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
        scheme = message.to.uri.scheme
        message.from_  # noqa: B018
        first = headers.first
        if "contact" in first:
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
