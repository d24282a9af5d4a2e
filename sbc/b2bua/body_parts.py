"""The parts of a multipart body that stay behind: of all of them only the SDP crosses (RFC 5621)."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sbc.b2bua.translate import boundary_of, content_type
from sbc.base import PeerError
from sbc.sip.message import Request

# Whoever divides a body into more has nothing to say with them.
MOST_PARTS: Final = 50
_LONGEST_TYPE: Final = 100

_unfold: Final = re.compile(r"\r\n[ \t]++").sub
_type: Final = re.compile(r"(?:^|\r\n)content-type[ \t]*+:[ \t]*+([^;\r\n]*+)", re.I | re.A).search
_required: Final = re.compile(
    r"(?:^|\r\n)content-disposition[ \t]*+:[^;\r\n]*+(?:;[^;\r\n]*+)*?"
    r';[ \t]*+handling[ \t]*+=[ \t]*+"?required\b',
    re.I | re.A,
).search


class Part(NamedTuple):
    """A part that is not carried: its media type, and whether its sender wants no call without it."""

    type: str
    required: bool


def left_out(request: Request) -> list[Part]:
    """The parts of ``request`` beside its first SDP; none where it is no multipart; PeerError 400."""
    kind, parameters = content_type(request)
    if not kind.startswith("multipart/"):
        return []
    delimiter = b"--" + boundary_of(parameters)
    if request.body.count(delimiter) > MOST_PARTS:
        raise PeerError("too many parts in a body")
    parts, carried = [], False
    for text in request.body.split(delimiter)[1:]:
        if text.startswith(b"--"):
            break
        part = _read(text.partition(b"\r\n\r\n")[0])
        if part.type == "application/sdp" and not carried:
            carried = True
        else:
            parts.append(part)
    return parts


def _read(head: bytes) -> Part:
    text = _unfold(" ", head.decode("latin-1"))
    kind = _type(text)
    # Without the parameter handling is required too (RFC 3261 20.11), but nobody means it: emergency calls
    # carry the place of the caller in such a part, and go through without it.
    return Part(
        kind[1].strip().lower()[:_LONGEST_TYPE] if kind else "text/plain", _required(text) is not None
    )
