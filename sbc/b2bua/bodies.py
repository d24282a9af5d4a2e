"""Bodies of messages, part by part (RFC 5621, RFC 2046 5.1): SDP is ours, what else may cross is not read.

Of a multipart the first SDP is taken out and goes its own way through the media. A part of a type that both
trunks name crosses octet for octet, with its own headers, so that what refers to its Content-ID still finds
it. All others stay behind: what is in them is said of the leg that they came on. The boundary is made of what
it divides, so nobody can write it into a part.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from hashlib import sha256
from typing import Final, NamedTuple, TypeVar

from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.policy.bodies import LOCATION_HEADERS, media_types
from sbc.sip.grammar import find_param, parse_params, unquote
from sbc.sip.message import SDP, Message

M = TypeVar("M", bound=Message)

SIPREC: Final = "siprec"
# Whoever divides a body into more has nothing to say with them.
MOST_PARTS: Final = 50
_SDP_HEAD: Final = b"Content-Type: application/sdp\r\n\r\n"
_LONGEST_TYPE: Final = 100
# What says of a body that is none of several what a part says of itself.
_OF_A_BODY: Final = ("Content-Type", "Content-Disposition", "Content-ID", "Content-Language")

_BOUNDARY: Final = re.compile(r"[0-9A-Za-z'()+_,\-./:=? ]{0,69}[0-9A-Za-z'()+_,\-./:=?]").fullmatch
_unfold: Final = re.compile(r"\r\n[ \t]++").sub
_types: Final = re.compile(r"(?:^|\r\n)content-type[ \t]*+:[ \t]*+([^;\r\n]*+)", re.I | re.A).findall
_bare: Final = re.compile(r"\r(?!\n)|(?<!\r)\n|\x00").search
_required: Final = re.compile(
    r"(?:^|\r\n)content-disposition[ \t]*+:[^;\r\n]*+(?:;[^;\r\n]*+)*?"
    r';[ \t]*+handling[ \t]*+=[ \t]*+"?required\b',
    re.I | re.A,
).search


class Part(NamedTuple):
    """A part beside the SDP: its media type, whether its sender wants no call without it, all of its octets.

    The type is empty where two readers could read two of it. ``fields`` are its headers where it came alone.
    """

    type: str
    required: bool
    octets: bytes
    fields: tuple[tuple[str, str], ...] = ()


class Body(NamedTuple):
    """The SDP of a message, empty for none, and its other parts, of which so many stood before it."""

    sdp: bytes
    parts: tuple[Part, ...]
    before: int


_NOTHING: Final = Body(b"", (), 0)


def read_body(message: Message) -> Body:
    """What ``message`` has in its body; PeerError 400 where that cannot be divided."""
    if not message.body:
        return _NOTHING
    kind, parameters = content_type(message)
    if kind == SDP:
        return Body(message.body, (), 0)
    if kind.startswith("multipart/"):
        return _divided(message.body, b"\r\n--" + boundary_of(parameters))
    fields = [(name, message.headers.get(name)) for name in _OF_A_BODY]
    given = tuple([(name, value) for name, value in fields if value is not None])
    head = "".join([f"{name}: {value}\r\n" for name, value in given])
    octets = head.encode("utf-8", "surrogateescape") + b"\r\n" + message.body
    return Body(b"", (Part(*_read(head), octets, given),), 0)


def carried_body(message: Message) -> bytes:
    """The SDP of a message: its body where it is application/sdp, or that part of a multipart; PeerError."""
    return message.body if not message.body or message.is_sdp else read_body(message).sdp


def boundary_of(parameters: str) -> bytes:
    """What divides the parts of a multipart body, from its Content-Type; PeerError 400 (RFC 2046 5.1.1)."""
    boundary = unquote(find_param(parse_params(f";{parameters}"), "boundary") or "")
    if not _BOUNDARY(boundary):
        raise PeerError("a multipart body without a proper boundary")
    return boundary.encode("ascii", "surrogateescape")


def content_type(message: Message) -> tuple[str, str]:
    """Media type in lower case, and its parameters; both empty where the header is missing."""
    kind, _, parameters = message.headers.first.get("content-type", "").partition(";")
    return kind.strip().lower(), parameters


def _divided(body: bytes, delimiter: bytes) -> Body:
    if body.count(delimiter) > MOST_PARTS:
        raise PeerError("too many parts in a body")
    sdp: bytes | None = None
    parts: list[Part] = []
    before = 0
    pieces = _pieces(body, delimiter)
    if not pieces:  # what is offered in them must not be taken for no offer
        raise PeerError("a multipart body that its boundary does not divide")
    for octets in pieces:
        head, _, content = (b"\r\n" + octets).partition(b"\r\n\r\n")
        kind, required = _read(head[2:].decode("latin-1"))
        if kind == SDP and sdp is None:
            sdp, before = content, len(parts)
        else:
            parts.append(Part(kind, required, octets))
    return Body(sdp or b"", tuple(parts), before)


def _pieces(body: bytes, delimiter: bytes) -> list[bytes]:
    """What stands between the delimiters, each of which is a line of its own (RFC 2046 5.1.1)."""
    found: list[bytes] = []
    for text in (b"\r\n" + body).split(delimiter)[1:]:
        if text.startswith(b"--"):
            break
        octets = text.lstrip(b" \t")
        if octets.startswith(b"\r\n"):
            found.append(octets[2:])
        elif found:
            found[-1] += delimiter + text  # it only begins like one
    return found


def _read(head: str) -> tuple[str, bool]:
    text = _unfold(" ", head)
    kinds = _types(text)
    # Without the parameter handling is required too (RFC 3261 20.11), but nobody means it: emergency calls
    # carry the place of the caller in such a part, and go through without it.
    required = _required(text) is not None
    if len(kinds) > 1 or _bare(text):
        return "", required
    return (kinds[0].strip().lower()[:_LONGEST_TYPE] if kinds else "text/plain"), required


# From leg to leg


def crossing(near: Trunk, far: Trunk) -> frozenset[str]:
    """The media types that cross between two trunks."""
    if not near.bodies or not far.bodies:
        return frozenset()
    return media_types(set(near.bodies).intersection(far.bodies))


def lost(parts: Collection[Part], types: Collection[str]) -> list[Part]:
    """Those of ``parts`` that stay behind where ``types`` cross."""
    return [part for part in parts if part.type not in types]


def required_parts(message: Message, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """``parts``; those that say who is recorded are required where ``message`` requires a recorder."""
    if not parts or SIPREC not in [each.lower() for each in message.headers.values("Require")]:
        return parts
    types = media_types((SIPREC,))
    return tuple([part._replace(required=True) if part.type in types else part for part in parts])


def acceptable(trunk: Trunk | None) -> tuple[str, str]:
    """The header that says which bodies may come from ``trunk``."""
    kinds = sorted(media_types(trunk.bodies)) if trunk is not None else []
    return "Accept", ", ".join([SDP, "multipart/mixed", *kinds] if kinds else [SDP])


def location(message: Message, near: Trunk, far: Trunk) -> list[tuple[str, str]]:
    """The headers by which ``message`` says where its caller is, if that may be known on the other leg."""
    if "pidf-lo" not in near.bodies or "pidf-lo" not in far.bodies:
        return []
    return [(name, value) for name in LOCATION_HEADERS for value in message.headers.get_all(name)]


def recording_tag(message: Message, name: str, near: Trunk, far: Trunk) -> str:
    """``siprec``, where a header of ``name`` has it and both trunks let recorders pass (RFC 7866)."""
    if "siprec" not in near.bodies or "siprec" not in far.bodies:
        return ""
    return SIPREC if SIPREC in [each.lower() for each in message.headers.values(name)] else ""


def recording_feature(message: Message, near: Trunk, far: Trunk) -> str:
    """What the Contact says of one who records or has recorded (RFC 7866 6.1.1), as ours says it too."""
    if "siprec" not in near.bodies or "siprec" not in far.bodies or message.contact is None:
        return ""
    found = [each for each in ("+sip.src", "+sip.srs") if message.contact.param(each) is not None]
    return "".join([f";{each}" for each in found])


def with_sdp(message: M, sdp: bytes) -> M:
    """Give ``message`` an SDP body; an empty one leaves it without."""
    if sdp:
        message.headers.add("Content-Type", SDP)
        message.body = sdp
    return message


def with_bodies(message: M, received: Message, sdp: bytes, near: Trunk, far: Trunk) -> M:
    """Give ``message`` our SDP, and those parts that cross from ``received``, which came from ``near``.

    PeerError 400 where that cannot be divided.
    """
    if not near.bodies or not far.bodies or not received.body:
        return with_sdp(message, sdp)
    body, types = read_body(received), crossing(near, far)
    kept = [part for part in body.parts if part.type in types]
    if not kept:
        return with_sdp(message, sdp)
    if len(kept) == 1 and kept[0].fields and not sdp:
        message.headers.extend(kept[0].fields)
        message.body = received.body
        return message
    pieces = [part.octets for part in kept]
    if sdp:
        before = len([part for part in body.parts[: body.before] if part.type in types])
        pieces.insert(before, _SDP_HEAD + sdp)
    boundary = sha256(b"\r\n".join(pieces)).hexdigest()[:32]
    delimiter = b"--" + boundary.encode("ascii", "replace")
    message.headers.add("Content-Type", f"multipart/mixed;boundary={boundary}")
    message.headers.add("MIME-Version", "1.0")
    message.body = b"".join([delimiter + b"\r\n" + each + b"\r\n" for each in pieces]) + delimiter + b"--\r\n"
    return message
