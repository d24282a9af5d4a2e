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

from sbc.base import PeerError

MAX_MEDIA = 16
DIRECTIONS = ("sendrecv", "sendonly", "recvonly", "inactive")


class Media:
    """One ``m=`` section; ``host`` is None for ``c=IN IP4 0.0.0.0``, which means: send nothing to me.

    ``attributes`` are the values of the ``a=`` lines in order, ``bandwidth`` those of ``b=``.
    """

    __slots__ = ("attributes", "bandwidth", "formats", "host", "kind", "port", "proto")

    def __init__(self, kind: str, port: int, proto: str, formats: list[str]) -> None:
        self.kind = kind
        self.port = port
        self.proto = proto
        self.formats = formats
        self.host: str | None = None
        self.bandwidth: list[str] = []
        self.attributes: list[str] = []

    def values(self, name: str) -> list[str]:
        """Return the values of every attribute ``name``; a property attribute has the value ''."""
        start = name + ":"
        return [each[len(start) :] if each != name else "" for each in self.attributes
                if each == name or each.startswith(start)]  # fmt: skip


class SessionDescription:
    """A parsed description: ``origin`` is the value of ``o=``, ``host`` the session's address."""

    __slots__ = ("attributes", "host", "media", "origin")

    def __init__(self, origin: str, host: str | None = None) -> None:
        self.origin = origin
        self.host = host
        self.attributes: list[str] = []
        self.media: list[Media] = []

    def direction(self, media: Media) -> str:
        """Return the direction of ``media``: its own, else the session's, else sendrecv (RFC 8866 6.7)."""
        for attributes in (media.attributes, self.attributes):
            for each in attributes:
                if each in DIRECTIONS:
                    return each
        return "sendrecv"


def parse_sdp(data: bytes) -> SessionDescription:
    """Parse a description; raises PeerError, 400 for broken syntax and 488 for what cannot be used."""
    text = data.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\r" in text or "\0" in text:
        raise PeerError("SDP has a bare CR or a NUL")
    lines = text.split("\n")
    if lines[0] != "v=0":
        raise PeerError("SDP does not begin with v=0")
    description = SessionDescription("")
    section: Media | None = None
    for line in lines:
        kind, value = line[:2], line[2:]
        if kind == "a=":
            (description if section is None else section).attributes.append(value)
        elif kind == "m=":
            section = _media(value)
            section.host = description.host
            description.media.append(section)
        elif kind == "c=":
            (description if section is None else section).host = _connection(value)
        elif kind == "b=" and section is not None:
            section.bandwidth.append(value)
        elif kind == "o=":
            description.origin = value
        elif line and kind[1:] != "=":
            raise PeerError("SDP has a line without a type")
    _check(description, "\nc=" in text)
    return description


def _check(description: SessionDescription, any_connection: bool) -> None:
    if not description.origin:
        raise PeerError("SDP has no o= line")
    if len(description.media) > MAX_MEDIA:
        raise PeerError(f"SDP has more than {MAX_MEDIA} media", 488)
    if not any_connection and any(each.port for each in description.media):
        raise PeerError("SDP has no c= line")


def _media(value: str) -> Media:
    fields = value.split()
    if len(fields) < 4:
        raise PeerError("SDP has an m= line with fewer than four fields")
    port, _, count = fields[1].partition("/")
    if count and count != "1":
        raise PeerError("SDP asks for several ports in one m= line", 488)
    return Media(fields[0], decimal(port, 65535, "port"), fields[2], fields[3:])


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
