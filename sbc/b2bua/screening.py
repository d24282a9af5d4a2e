"""Which requests are answered at once, and how, before any rule is asked (RFC 3261 8.2, 16.3)."""

from __future__ import annotations

from typing import NamedTuple

from sbc.b2bua.translate import ALLOW, CARRIED_EXTENSIONS, METHODS, content_type
from sbc.sip.message import Request

_KNOWN_ELSEWHERE = frozenset(("REGISTER", "SUBSCRIBE", "NOTIFY", "PUBLISH", "MESSAGE", "REFER"))
_ANY_BODY = frozenset(("INFO", "BYE", "CANCEL", "ACK", "OPTIONS"))
ACCEPT = ("Accept", "application/sdp")


class Refusal(NamedTuple):
    """A final answer: status, reason phrase, and the headers that explain it."""

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...] = ()


def refuse(request: Request, merged: bool, looped: bool) -> Refusal | None:
    """The answer that ``request`` gets whatever the rules say, or None."""
    method = request.method
    if method not in METHODS:
        status, reason = (
            (405, "Method Not Allowed") if method in _KNOWN_ELSEWHERE else (501, "Not Implemented")
        )
        return Refusal(status, reason, (("Allow", ALLOW),))
    if method in ("ACK", "CANCEL"):
        return None
    unsupported = required_but_unknown(request)
    if unsupported:
        return Refusal(420, "Bad Extension", (("Unsupported", ", ".join(unsupported)),))
    if merged or looped:
        return Refusal(482, "Loop Detected" if looped else "Request Merged")
    if request.max_forwards == 0 and method != "OPTIONS":
        return Refusal(483, "Too Many Hops")
    return _refuse_body(request) if request.body else None


def required_but_unknown(request: Request) -> list[str]:
    """Option tags of Require and Proxy-Require that we do not carry (RFC 3261 8.2.2.3)."""
    headers = request.headers
    tags: list[str] = []
    for name in ("Require", "Proxy-Require"):
        if name in headers:
            tags += [tag for tag in headers.values(name) if tag.lower() not in CARRIED_EXTENSIONS]
    return tags


def _refuse_body(request: Request) -> Refusal | None:
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        return Refusal(415, "Unsupported Media Type", (("Accept-Encoding", "identity"),))
    if request.method in _ANY_BODY:
        return None
    kind, _ = content_type(request)
    if kind == "application/sdp" or kind == "multipart/mixed":
        return None
    return Refusal(415, "Unsupported Media Type", (ACCEPT,))
