"""Session descriptions (RFC 8866), read leniently and written strictly.

Devices get the order of lines and the optional ones wrong, and it does not matter: nothing of a
description leaves this system except through the allow-list in ``rewrite.py``. What does matter
is that a line is one line (a lone CR or a NUL could smuggle a second one past us), that numbers
are numbers in range, and that an address is a literal unicast address: a name would have to be
resolved, and a multicast or broadcast address would multiply what is sent to it.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from sbc.base import PeerError

MAX_MEDIA = 16
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")
#: Lines up to this many characters are kept, this many of them.
_KEPT_SIZE, _KEPT = 2048, 512
_SECRETS = ("inline:", "ice-pwd:", "k=")


class Lines:
    """What lines other than ``m=`` and ``a=crypto`` say. Shared between descriptions: do not change it.

    ``attributes`` and ``bandwidth`` are the values of ``a=`` and ``b=`` in order; ``connected`` tells
    whether there is a ``c=`` and ``host`` which; ``origin`` is None without ``o=``; ``direction`` and
    ``rtcp`` (RFC 3605) are '' and None where no attribute names them. ``copied`` is for whoever writes.
    """

    __slots__ = (
        "attributes",
        "bandwidth",
        "connected",
        "copied",
        "direction",
        "host",
        "mux",
        "origin",
        "rtcp",
    )

    def __init__(self, text: str) -> None:
        self.host: str | None = None
        self.connected = False
        self.origin: str | None = None
        self.attributes: list[str] = []
        self.bandwidth: list[str] = []
        self.copied: str | None = None
        for line in text.split("\n"):
            kind = line[:2]
            if kind == "a=":
                self.attributes.append(line[2:])
            elif kind == "c=":
                self.host, self.connected = _connection(line[2:]), True
            elif kind == "b=":
                self.bandwidth.append(line[2:])
            elif kind == "o=":
                self.origin = line[2:]
            elif line and kind[1:] != "=":
                raise PeerError("SDP has a line without a type")
        self.mux = "rtcp-mux" in self.attributes
        self.direction = next((each for each in self.attributes if each in DIRECTIONS), "")
        self.rtcp = next(iter(_values(self.attributes, "rtcp")), None)


class Formats(NamedTuple):
    """The end of an ``m=`` line; ``rtp`` tells whether all are RTP payload types (RFC 3550 5.1)."""

    proto: str
    names: list[str]
    text: str
    rtp: bool


class Media:
    """One ``m=`` section; ``host`` is None for ``c=IN IP4 0.0.0.0``, which means: send nothing to me.

    ``crypto`` are the values of its ``a=crypto`` lines, which are not among its ``lines``.
    """

    __slots__ = ("crypto", "format", "formats", "host", "kind", "lines", "port", "proto")

    def __init__(
        self, kind: str, port: int, format: Formats, lines: Lines, host: str | None, crypto: list[str]
    ) -> None:
        self.kind = kind
        self.port = port
        self.proto = format.proto
        self.formats = format.names
        self.format = format
        self.lines = lines
        self.host = host
        self.crypto = crypto

    def values(self, name: str) -> list[str]:
        """Return the values of every attribute ``name``; a property attribute has the value ''."""
        return self.crypto if name == "crypto" else _values(self.lines.attributes, name)


class SessionDescription:
    """A parsed description: ``lines`` are those before the first ``m=``."""

    __slots__ = ("lines", "media")

    def __init__(self, lines: Lines, media: list[Media]) -> None:
        self.lines = lines
        self.media = media

    def direction(self, media: Media) -> str:
        """Return the direction of ``media``: its own, else the session's, else sendrecv (RFC 8866 6.7)."""
        return media.lines.direction or self.lines.direction or "sendrecv"


def parse_sdp(data: bytes) -> SessionDescription:
    """Parse a description; raises PeerError, 400 for broken syntax and 488 for what cannot be used."""
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\r" in text or "\0" in text:
        raise PeerError("SDP has a bare CR or a NUL")
    sections = text.split("\nm=")
    version, _, head = sections[0].partition("\n")
    if version != "v=0":
        raise PeerError("SDP does not begin with v=0")
    if len(sections) > MAX_MEDIA + 1:
        raise PeerError(f"SDP has more than {MAX_MEDIA} media", 488)
    origin = ""
    if head.startswith("o="):
        origin, _, head = head[2:].partition("\n")
    lines = _lines(head if "a=crypto" not in head else _without_crypto(head)[1])
    media = [_media(section, lines.host) for section in sections[1:]]
    _check(origin, lines, media)
    return SessionDescription(lines, media)


def _check(origin: str, session: Lines, media: list[Media]) -> None:
    if session.origin is not None:
        origin = session.origin
    connected, used = session.connected, False
    for each in media:
        if each.lines.origin is not None:  # out of order, but there
            origin = each.lines.origin
        connected = connected or each.lines.connected
        used = used or each.port > 0
    if not origin:
        raise PeerError("SDP has no o= line")
    if used and not connected:
        raise PeerError("SDP has no c= line")


def _media(section: str, host: str | None) -> Media:
    value, _, rest = section.partition("\n")
    fields = value.split(None, 2)
    if len(fields) < 3:
        raise _short()
    kind, port, formats = fields
    if "/" in port:
        port, _, count = port.partition("/")
        if count and count != "1":
            raise PeerError("SDP asks for several ports in one m= line", 488)
    number = decimal(port, 65535, "port")
    format = _kept_formats(formats) if len(formats) <= _KEPT_SIZE else _formats(formats)
    crypto: list[str] = []
    if "a=crypto" in rest:
        crypto, rest = _without_crypto(rest)
    lines = _lines(rest)
    return Media(kind, number, format, lines, lines.host if lines.connected else host, crypto)


def _short() -> PeerError:
    return PeerError("SDP has an m= line with fewer than four fields")


def _formats(text: str) -> Formats:
    proto, *names = text.split()
    if not names:
        raise _short()
    rtp = all(each.isascii() and each.isdigit() and len(each) <= 3 and int(each) < 128 for each in names)
    return Formats(proto, names, " ".join(names), rtp)


_kept_formats = lru_cache(maxsize=_KEPT)(_formats)
_kept_lines = lru_cache(maxsize=_KEPT)(Lines)


def _lines(text: str) -> Lines:
    if len(text) > _KEPT_SIZE:
        return Lines(text)
    for each in _SECRETS:
        if each in text:
            return Lines(text)
    return _kept_lines(text)


def _without_crypto(text: str) -> tuple[list[str], str]:
    """Return the values of the ``a=crypto`` lines, and the other lines."""
    crypto: list[str] = []
    others: list[str] = []
    for line in text.split("\n"):
        if line.startswith("a=crypto:") or line == "a=crypto":
            crypto.append(line[9:])
        else:
            others.append(line)
    return crypto, "\n".join(others)


def _values(attributes: list[str], name: str) -> list[str]:
    start = name + ":"
    return [each[len(start) :] for each in attributes if each == name or each.startswith(start)]


def decimal(text: str, limit: int, what: str) -> int:
    """Read ASCII digits up to ``limit``; PeerError(400) naming ``what`` otherwise."""
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > limit:
        raise PeerError(f"SDP has a bad {what}")
    return int(text)


def _connection(value: str) -> str | None:
    fields = value.split()
    if len(fields) != 3 or fields[0] != "IN" or fields[1] not in ("IP4", "IP6"):
        raise PeerError("SDP has a bad c= line")
    return unicast(fields[2])


@lru_cache(maxsize=4096)
def unicast(text: str) -> str | None:
    """Return a literal unicast address in its usual spelling, None for 0.0.0.0 and ::.

    Raises PeerError(488) for a name, a multicast group or the broadcast address.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise PeerError("SDP names an address that is not a literal unicast address", 488) from None
    if address.is_multicast or str(address) == "255.255.255.255" or "%" in text:
        raise PeerError("SDP names an address that is not a literal unicast address", 488)
    return None if address.is_unspecified else str(address)
