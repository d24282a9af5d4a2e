"""The relay: a packet in, at most one packet out. Pure; sockets are somebody else's.

A stream has two legs, and a leg has two ports, RTP and RTCP. What arrives on a leg is decoded
there (authenticated and decrypted, or taken as it is), shown to the tap, and protected anew by
the other leg. Until both legs are agreed nothing passes in either direction.

Who may send, and where we send to (the lesson of CVE-2017-14099 and CVE-2025-53399):

* We send to the address that the leg's SDP names, and to no other, until a packet was accepted
  from the leg; from then on to where that packet came from (symmetric RTP, RFC 4961).
* On an SRTP leg the first packet that *authenticates* decides that source. On a plain leg it is
  the first packet whose IP address is the one of the leg's SDP or of its signalling.
* From then on every other source is refused, whatever it sends, until a new offer or answer
  brings another address or another key. A peer that moves says so by signalling.

A refused packet is counted by reason and has no other effect; no number of them ends a call.

RTP passes as it is, RTCP without what names the peer (``sbc.media.rtcp``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sbc.media.rtcp import conceal
from sbc.media.srtp import MAX_PACKET, Protector, SrtpError, Unprotector

Source = tuple[Any, ...]
Tap = Callable[[str, bytes], None]
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


class Port:
    """One of our ports on a leg. ``channel`` belongs to whoever owns the socket, as in a Flow.

    ``remote`` is the peer's address by its SDP, ``source`` the latched one, ``target`` what we
    send to; each is None while unknown.
    """

    __slots__ = ("channel", "leg", "remote", "rtcp", "source", "target")

    def __init__(self, leg: Leg, rtcp: bool) -> None:
        self.leg = leg
        self.rtcp = rtcp
        self.channel: Any = None
        self.remote: Source | None = None
        self.source: Source | None = None
        self.target: Source | None = None

    def aim(self, remote: Source | None, reopen: bool) -> None:
        """Set the address that the SDP names; the latch opens when it changed, or on ``reopen``."""
        if remote != self.remote:
            self.remote = self.target = remote
            self.source = None
        elif reopen:
            self.source = None

    def latch(self, source: Source) -> None:
        """Take ``source`` as the peer: accept only from there and send only to there."""
        self.source = source
        if self.remote is not None:  # on hold by c=0.0.0.0 we listen but do not send
            self.target = source


class Leg:
    """One side of one stream: its contexts, its ports, and its counters.

    ``unprotect`` is None on a plain leg. ``former`` still accepts packets under the key before
    the present one, until one arrives under the present one. ``hosts`` are the addresses from
    which a plain leg may be latched. ``alias_key`` is for the names in its RTCP.
    """

    __slots__ = (
        "agreed", "alias_key", "bytes_in", "bytes_out", "former", "highest", "hosts", "lost_before", "mux",
        "other", "packets_in", "packets_out", "port_rtcp", "port_rtp", "protect", "received", "refused",
        "side", "ssrc", "start", "tap", "unprotect",
    )  # fmt: skip

    def __init__(self, side: str) -> None:
        self.side = side
        self.other: Leg = self
        self.port_rtp = Port(self, False)
        self.port_rtcp = Port(self, True)
        self.agreed = self.mux = False
        self.protect: Protector | None = None
        self.unprotect: Unprotector | None = None
        self.former: Unprotector | None = None
        self.hosts: tuple[str, ...] = ()
        self.alias_key = b""
        self.tap: Tap | None = None
        self.packets_in = self.bytes_in = self.packets_out = self.bytes_out = 0
        self.refused: dict[str, int] | None = None
        self.ssrc = b""
        self.start = self.highest = self.received = self.lost_before = 0

    def refuse(self, reason: str) -> None:
        """Count a packet that was dropped for ``reason``."""
        if self.refused is None:
            self.refused = {}
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def silence(self) -> None:
        """Forget what was agreed: nothing is sent to this leg or accepted from it any more."""
        self.agreed = self.mux = False
        self.protect = self.unprotect = self.former = None
        self.hosts = ()
        self.port_rtp.aim(None, True)
        self.port_rtcp.aim(None, True)

    def release(self) -> None:
        """Let go of ports and other leg for good, so that reference counts free all three at once."""
        self.port_rtp.leg = self.port_rtcp.leg = self.other = _NOBODY

    @property
    def lost(self) -> int:
        """RTP packets that the sequence numbers say were lost before us (RFC 3550 A.3), not negative."""
        if not self.ssrc:
            return 0
        return self.lost_before + max(0, self.highest - self.start + 1 - self.received)

    def follow(self, data: bytes) -> None:
        """Count an RTP packet by its sequence number, over wraps, restarts and changes of SSRC."""
        sequence = data[2] << 8 | data[3]
        if data[8:12] == self.ssrc:
            step = (sequence - self.highest) & 0xFFFF
            if step < _MAX_DROPOUT:
                self.highest += step
                self.received += 1
                return
            if step > 0xFFFF - _MAX_MISORDER:
                self.received += 1
                return
        self.lost_before = self.lost
        self.ssrc = data[8:12]
        self.start = self.highest = sequence
        self.received = 1


#: Whose a port is when its call is over: a leg that agrees to nothing.
_NOBODY = Leg("")


def pair() -> tuple[Leg, Leg]:
    """Make the two legs of a stream, sides ``a`` and ``b``."""
    a, b = Leg("a"), Leg("b")
    a.other, b.other = b, a
    return a, b


def packet(port: Port, data: bytes, source: Source) -> tuple[Port, bytes, Source] | None:
    """Take a datagram that arrived on ``port`` and return (port to send from, data, destination).

    None means that it was refused, which has been counted.
    """
    leg = port.leg
    if not leg.agreed:
        leg.refuse("not agreed")
        return None
    unprotect = leg.unprotect
    latched = source == port.source
    if not latched and (port.source is not None or (unprotect is None and source[0] not in leg.hosts)):
        leg.refuse("source")
        return None
    size = len(data)
    if (size < 12 and (size < 8 or not port.rtcp)) or data[0] & 0xC0 != 0x80 or size >= MAX_PACKET:
        leg.refuse("malformed")
        return None
    rtcp = port.rtcp or (leg.mux and 192 <= data[1] <= 223)  # RFC 5761 section 4
    try:
        plain = _decode(leg, unprotect, data, rtcp) if unprotect is not None else data
    except SrtpError as error:
        leg.refuse(error.reason)
        return None
    if not latched and leg.former is None:  # one under a former key must not shut out the new source
        port.latch(source)
    leg.packets_in += 1
    leg.bytes_in += size
    if not rtcp:
        leg.follow(plain)
    if leg.tap is not None:
        leg.tap(leg.side, plain)
    return _forward_rtcp(leg, plain) if rtcp else _forward(leg, plain, False)


def _decode(leg: Leg, unprotect: Unprotector, data: bytes, rtcp: bool) -> bytes:
    former = leg.former
    if former is None:
        return unprotect.rtcp(data) if rtcp else unprotect.rtp(data)
    try:
        plain = unprotect.rtcp(data) if rtcp else unprotect.rtp(data)
    except SrtpError:
        return former.rtcp(data) if rtcp else former.rtp(data)
    leg.former = None
    return plain


def _forward_rtcp(leg: Leg, plain: bytes) -> tuple[Port, bytes, Source] | None:
    passed = conceal(plain, leg.alias_key)
    if passed:
        return _forward(leg, passed, True)
    if passed is None:
        leg.refuse("malformed")
    return None


def _forward(leg: Leg, plain: bytes, rtcp: bool) -> tuple[Port, bytes, Source] | None:
    other = leg.other
    port = other.port_rtcp if rtcp and not other.mux else other.port_rtp
    target = port.target
    if target is None or not other.agreed:
        leg.refuse("no destination")
        return None
    protect = other.protect
    if protect is not None:
        try:
            plain = protect.rtcp(plain) if rtcp else protect.rtp(plain)
        except SrtpError as error:
            leg.refuse(f"{error.reason} when sent on")
            return None
    elif other.unprotect is not None:  # cannot be; if ever it is, nothing leaves in the clear
        leg.refuse("no key to send with")
        return None
    other.packets_out += 1
    other.bytes_out += len(plain)
    return port, plain, target
