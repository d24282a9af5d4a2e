"""Session descriptions (RFC 8866), read leniently and written strictly.

Devices get the order of lines and the optional ones wrong, and it does not matter: nothing of a
description leaves this system except through an allow-list (``section``). What does matter is
that a line is one line (a lone CR or a NUL could smuggle a second one past us), that numbers
are numbers in range, and that an address is a literal unicast address: a name would have to be
resolved, and a multicast or broadcast address would multiply what is sent to it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Literal

from sbc.base import PeerError
from sbc.media.sdes import CryptoLine, format_crypto

MAX_MEDIA: Final = 16
#: RTP payload types (RFC 3550 5.1).
MAX_FORMATS: Final = 128
DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")
#: Texts up to this many octets are kept, this many of them.
_KEPT_SIZE: Final = 2048
_KEPT: Final = 512
_CONTROLS: Final = (b"\r", b"\0")
_odd_blank: Final = re.compile(r"[\x0b\x0c\x1c-\x1f]").search
_SECRETS: Final = (b"inline:", b"ice-pwd:", b"k=")


class Lines:
    """What the lines say without ``a=crypto`` and the first words. Shared between descriptions!

    Of an ``m=`` line these are ``proto``, ``formats`` (``payload`` as they are written) and ``rtp``: whether
    all are RTP payload types (RFC 3550 5.1) and no more than there can be. They are empty for the lines
    before the first ``m=``. ``attributes`` and ``bandwidth`` are the values of ``a=`` and ``b=`` in order;
    ``connected`` tells whether there is a ``c=`` and ``host`` which; ``origin`` is None without ``o=``;
    ``direction`` and ``rtcp`` (RFC 3605) are '' and None where no attribute names them. ``copied`` is for
    whoever writes.
    """

    __slots__ = (
        "attributes", "bandwidth", "connected", "copied", "direction", "formats", "host", "mux", "origin",
        "payload", "proto", "rtcp", "rtp",
    )  # fmt: skip

    def __init__(self, value: str, lines: list[str]) -> None:
        self.proto, *self.formats = value.split() or [""]
        self.payload = " ".join(self.formats)
        # What else is a blank to Python is none to other readers, who would see other formats here.
        self.rtp = len(self.formats) <= MAX_FORMATS and value.isascii() and not _odd_blank(value)
        self.rtp = self.rtp and all(map(_is_payload_type, self.formats))
        self.host: str | None = None
        self.connected = False
        self.origin: str | None = None
        self.attributes: list[str] = []
        self.bandwidth: list[str] = []
        self.copied: str | None = None
        for line in lines:
            kind = line[:2]
            if kind == "a=":
                # Many devices leave blanks at the end, and a hold is one all the same.
                self.attributes.append(line[2:].rstrip(" \t"))
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


def _is_payload_type(text: str) -> bool:
    """As other readers see it, too: by text 018 is not 18, by number it is."""
    return text.isascii() and text.isdigit() and len(text) <= 3 and int(text) < 128 and text == str(int(text))


class Media:
    """One ``m=`` section; ``host`` is None for ``c=IN IP4 0.0.0.0``, which means: send nothing to me.

    Its ``kind`` is in small letters: media types have no case (RFC 6838 4.2).

    ``crypto`` are the values of its ``a=crypto`` lines, which are not among its ``lines``. ``direction`` is
    its own, else that of the ``session``, the lines before the first ``m=``, else sendrecv (RFC 8866 6.7).
    """

    __slots__ = ("crypto", "direction", "formats", "host", "kind", "lines", "port", "proto")

    def __init__(self, kind: str, port: int, lines: Lines, session: Lines, crypto: list[str]) -> None:
        self.kind = kind
        self.port = port
        self.proto = lines.proto
        self.formats = lines.formats
        self.lines = lines
        self.host = lines.host if lines.connected else session.host
        self.direction = lines.direction or session.direction or "sendrecv"
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


def parse_sdp(data: bytes) -> SessionDescription:
    """Parse a description; raises PeerError, 400 for broken syntax and 488 for what cannot be used."""
    text = data.replace(b"\r\n", b"\n")
    if holds_any(text, _CONTROLS):
        raise PeerError("SDP has a bare CR or a NUL")
    sections = text.split(b"\nm=")
    version, _, head = sections[0].partition(b"\n")
    if version.rstrip(b" \t") != b"v=0":
        raise PeerError("SDP does not begin with v=0")
    if len(sections) > MAX_MEDIA + 1:
        raise PeerError(f"SDP has more than {MAX_MEDIA} media", 488)
    origin = b""
    if head.startswith(b"o="):
        origin, _, head = head.partition(b"\n")
    lines = _heads.get(head) or _read_head(head)
    named = len(origin) > 2 if lines.origin is None else lines.origin != ""
    connected, used = lines.connected, False
    media: list[Media] = []
    for section in sections[1:]:
        each = _media(section, lines)
        media.append(each)
        if each.lines.origin is not None:  # out of order, but there
            named = each.lines.origin != ""
        connected = connected or each.lines.connected
        used = used or each.port > 0
    if not named:
        raise PeerError("SDP has no o= line")
    if used and not connected:
        raise PeerError("SDP has no c= line")
    return SessionDescription(lines, media)


def seen_from_here(description: SessionDescription, signalling: str) -> SessionDescription:
    """``description`` of a peer whose signalling is at ``signalling``, '' where that is not known.

    A loopback address is no place on another machine (RFC 1122 3.2.1.3), and here it is ours: what its peers
    say would go to whatever listens on this machine alone. Telephones name it that take the name of their
    machine for its address. Their media is at their signalling's until they are heard.
    """
    for media in description.media:
        if media.host is not None and is_ours_alone(media.host, signalling):
            media.host = signalling
    return description


def is_ours_alone(host: str, signalling: str) -> bool:
    """Whether what a peer at ``signalling`` means by ``host`` would be this machine, and it is another."""
    return _is_loopback(host) and bool(signalling) and not _is_loopback(signalling)


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


def _media(section: bytes, session: Lines) -> Media:
    fields = section.split(b" ", 2)
    if len(fields) < 3 or not fields[0].isalpha() or not fields[1].isdigit():
        fields = _unusual(section)
    kind, port, rest = fields
    number = decimal(port.decode(), 65535, "port")
    crypto: list[str] = []
    lines = _sections.get(rest)
    if lines is None:
        if b"a=crypto" in rest:
            crypto, rest = _without_crypto(rest)
        lines = _sections.get(rest)
    if lines is None:
        try:
            lines = _read_section(rest)
        except PeerError:
            if number:
                raise
            lines = _read_unused(rest)
    return Media(_text(kind).lower(), number, lines, session, crypto)


def unused(media: Media) -> Media:
    """``media`` with port 0, as whoever rejects it would write it (RFC 3264 6)."""
    return Media(media.kind, 0, media.lines, media.lines, [])


def _unusual(section: bytes) -> list[bytes]:
    """Split a section like a usual one whose ``m=`` line has other blanks or a number of ports."""
    value, _, rest = section.partition(b"\n")
    fields = value.split(None, 2)
    if len(fields) < 3:
        raise _short()
    port, _, count = fields[1].partition(b"/")
    if not port.isdigit():
        raise PeerError("SDP has a bad port")
    if count and count != b"1" and port.strip(b"0"):
        raise PeerError("SDP asks for several ports in one m= line", 488)
    return [fields[0], port, fields[2] + b"\n" + rest]


def _short() -> PeerError:
    return PeerError("SDP has an m= line with fewer than four fields")


#: What was read before, by the octets that it was read from.
_heads: Final[dict[bytes, Lines]] = {}
_sections: Final[dict[bytes, Lines]] = {}


def _read_head(data: bytes) -> Lines:
    lines = Lines("", _text(data).split("\n"))
    return _keep(_heads, data, lines)


def _read_section(data: bytes) -> Lines:
    value, *rest = _text(data).split("\n")
    lines = Lines(value, rest)
    if not lines.formats:
        raise _short()
    return _keep(_sections, data, lines)


def _read_unused(data: bytes) -> Lines:
    """Read what cannot be used of a stream that nobody wants to use: its port is 0 (RFC 3264 6).

    Devices leave there what is no address or no payload type, or no format at all.
    """
    value = _text(data.partition(b"\n")[0])
    count = len(value.split())
    if not count:
        raise _short()
    return Lines(value if count > 1 else f"{value} 0", [])


def may_keep(data: bytes) -> bool:
    """Tell whether what was read from ``data`` may be kept: it is short, and no key is in it."""
    return len(data) <= _KEPT_SIZE and not holds_any(data, _SECRETS)


def holds_any(data: bytes, parts: tuple[bytes, ...]) -> bool:
    """Tell whether one of ``parts`` is in ``data``."""
    # "in" would cost ten times as much: of bytes it first tries whether they are a number.
    for each in parts:
        if data.find(each) >= 0:
            return True
    return False


def _keep(kept: dict[bytes, Lines], data: bytes, lines: Lines) -> Lines:
    if may_keep(data):
        if len(kept) >= _KEPT:
            del kept[next(iter(kept))]
        kept[data] = lines
    return lines


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _without_crypto(data: bytes) -> tuple[list[str], bytes]:
    """Return the values of the ``a=crypto`` lines, and the other lines."""
    crypto: list[str] = []
    others: list[bytes] = []
    for line in data.split(b"\n"):
        if line.startswith(b"a=crypto:") or line == b"a=crypto":
            crypto.append(_text(line[9:]))
        else:
            others.append(line)
    return crypto, b"\n".join(others)


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

    An IPv4 address mapped into IPv6 (RFC 4291 2.5.5.2) is read as what it is, and judged as that. Raises
    PeerError(488) for a name, a multicast group, the broadcast address or one of a single link.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise PeerError("SDP names an address that is not a literal unicast address", 488) from None
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_multicast or str(address) == "255.255.255.255" or "%" in text:
        raise PeerError("SDP names an address that is not a literal unicast address", 488)
    if address.is_link_local:
        raise PeerError("SDP names an address that holds on one link only", 488)
    return None if address.is_unspecified else str(address)


# What an offer says in short, for whoever decides on the call.

# Payload types that need no rtpmap (RFC 3551 6).
STATIC: Final = {
    "0": "PCMU", "3": "GSM", "4": "G723", "8": "PCMA", "9": "G722", "13": "CN", "15": "G728", "18": "G729",
}  # fmt: skip
_TELLING: Final = (b"m=", b"a=rtpmap", b"a=crypto")
_RTPMAP: Final = re.compile(rb"^a=rtpmap:\d+ +([^/\s]+)/", re.MULTILINE)
# Lenient about blanks and case, as descriptions are read above.
_AUDIO: Final = re.compile(
    rb"^m=audio[ \t]++[\d/]++[ \t]++(\S++)[ \t]++([0-9][0-9 \t]*+)", re.MULTILINE | re.IGNORECASE
)

#: What an offer says: codec names, and whether SRTP is asked for.
Offered = tuple[tuple[str, ...], Literal["none", "offered", "required"]]


def describe_offer(body: bytes) -> Offered:
    """Codec names that an SDP offer lists for audio, and what it says of SRTP."""
    head, _, audio = body.partition(b"\nm=audio ")
    port, _, media = audio.partition(b" ")
    # A device says the same in every offer, but for the port.
    if port.isdigit() and may_keep(media) and not holds_any(head, _TELLING):
        return _described(media)
    return _describe(body)


@lru_cache(maxsize=512)
def _described(media: bytes) -> Offered:
    return _describe(b"m=audio 0 " + media)


def _describe(body: bytes) -> Offered:
    audio = _AUDIO.search(body)
    if audio is None:
        return (), "none"
    named = [name.decode("ascii", "replace").upper() for name in _RTPMAP.findall(body)]
    static = [STATIC[each] for each in audio[2].decode().split() if each in STATIC]
    codecs = tuple(dict.fromkeys(static + named))
    if b"SAVP" in audio[1]:
        return codecs, "required"
    return codecs, "offered" if b"\na=crypto:" in body else "none"


# Our description, written from a peer's: nothing is copied because it was not forbidden. Addresses, the
# origin, the session's name, ICE candidates, keys, fingerprints, SSRC and CNAME lines and whatever is
# invented tomorrow stay on the leg they came from; a topology hidden by a deny-list is hidden until the next
# RFC.

_ALLOWED = frozenset(
    "rtpmap fmtp ptime maxptime silenceSupp framerate framesize imageattr rtcp-fb rtcp-rsize".split()
)
_BANDWIDTHS = ("AS", "TIAS", "CT", "RS", "RR")
#: What a direction becomes when the same peer also says "send me nothing" by a null address.
MUTED = {"sendrecv": "sendonly", "recvonly": "inactive"}


def section(
    media: Media, port: int, profile: str, mux: bool, lines: tuple[CryptoLine, ...], address: str = ""
) -> str:  # fmt: skip
    """Write an ``m=`` section on our ``port`` from the peer's ``media``.

    ``address`` is where the port is, '' where the session's line says so.
    """
    direction = media.direction
    if media.host is None:  # RFC 2543's hold; we have an address, so it must be said in words
        direction = MUTED.get(direction, direction)
    attributes = media.lines.copied or copied(media.lines)
    crypto = "".join([f"a=crypto:{format_crypto(line)}\r\n" for line in lines]) if lines else ""
    # Without a=rtcp the peer that declines multiplexing falls back to the port above (RFC 5761 5.1.1).
    rtcp = "rtcp-mux" if mux else f"rtcp:{port + 1}"
    where = f"c={network(address)}\r\n" if address else ""
    return (
        f"m={media.kind} {port} {profile} {media.lines.payload}\r\n"
        f"{where}{attributes}{crypto}a={direction}\r\na={rtcp}\r\n"
    )


def labels(media: Media) -> str:
    """The lines by which what else is said of the call names this stream (RFC 4574)."""
    return "".join([f"a={each}\r\n" for each in media.lines.attributes if each.startswith("label:")])


def copied(lines: Lines) -> str:
    """The lines that may leave: bandwidths, which stand before attributes (RFC 8866 5), and those."""
    if lines.copied is not None:
        return lines.copied
    text = []
    for value in lines.bandwidth:
        kind, _, number = value.partition(":")
        if kind in _BANDWIDTHS and number.isascii() and number.isdigit():
            text.append(f"b={value}\r\n")
    for each in lines.attributes:
        if each.partition(":")[0] in _ALLOWED or each[:3].upper() == "T38":
            text.append(f"a={each}\r\n")
    lines.copied = "".join(text)
    return lines.copied


def network(address: str) -> str:
    """The words of a ``c=`` or ``o=`` line that say where something is."""
    return f"IN {'IP6' if ':' in address else 'IP4'} {address}"


def rejected(media: Media) -> str:
    """Write the section that rejects ``media``, or offers it as not to be used (RFC 3264 6, 5.1).

    Some fill such a line with what is no payload type (255), over which others fall.
    """
    used = media.lines.rtp or not media.proto.startswith("RTP/")
    return f"m={media.kind} 0 {media.proto} {media.formats[0] if used else 0}\r\n"


class Origin:
    """Our ``o=`` line towards one peer: the version grows only when the content did (RFC 3264 8)."""

    __slots__ = ("_body", "_id", "_version")

    def __init__(self, id: int) -> None:
        self._id = id
        self._version = 0
        self._body = ""

    def write(self, address: str, sections: list[str]) -> bytes:
        """Return the whole description, its media at ``address``."""
        where = network(address)
        body = f"s=-\r\nc={where}\r\nt=0 0\r\n{''.join(sections)}"
        if body != self._body:
            self._body = body
            self._version += 1
        head = f"v=0\r\no=- {self._id} {self._version} {where}\r\n"
        return (head + body).encode("utf-8", "surrogateescape")
