"""Our description, written from a peer's through an allow-list.

Nothing is copied because it was not forbidden. Addresses, the origin, the session's name, ICE
candidates, keys, fingerprints, SSRC and CNAME lines and whatever is invented tomorrow stay on
the leg they came from; a topology hidden by a deny-list is hidden until the next RFC.
"""

from __future__ import annotations

from sbc.media.sdes import CryptoLine, format_crypto
from sbc.media.sdp import Lines, Media

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
