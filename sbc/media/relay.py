"""The relay: a packet in, at most one packet out. Pure; sockets are somebody else's.

A stream has two legs, and a leg has two ports, RTP and RTCP. What arrives on a leg is decoded
there (authenticated and decrypted, or taken as it is), shown to the tap, and protected anew by
the other leg. Until both legs are agreed nothing passes in either direction.

Who may send, and where we send to (the lesson of CVE-2017-14099 and CVE-2025-53399):

* We send to the address that the leg's SDP names until a packet was accepted from the leg; from then
  on to where that packet came from (symmetric RTP, RFC 4961). An asymmetric leg, which sends from
  one port and receives on another, is only ever sent to where its SDP says.
* **A packet from the address that the SDP names is never refused for its source, and wins the latch
  from whoever has it.** Who comes first is chance, what is signalled is not.
* On a plain leg, while nobody is latched, so is the first whose IP address is the one of the leg's SDP
  or of its signalling; from then on everybody else is refused. A re-INVITE opens the latch again.
* On an SRTP leg what authenticates is the peer's and passes, wherever it comes from. A packet newer
  than all before also moves the latch there, for that is how we learn that a NAT has changed its port.
* When signalling moves a leg, packets of the former address are still in flight (RFC 3264 8.3.1), and
  must not take the latch that has just opened for the new one. So a *former* source is not latched on a
  plain leg until it is signalled again, and on an SRTP leg, like any other source beside the one that the
  SDP names, only once that one has been silent for some seconds.

A packet from one of our own media ports is the hairpin of a PBX that has two calls through us, and passes.
Where both calls end in each other it would run round for ever: each leg counts how many calls its packet
has crossed since the last that came from outside, and a leg at which that are too many is a loop.

A refused packet is counted by reason and has no other effect; no number of them ends a call.

RTP passes as it is, RTCP without what names the peer (``sbc.media.rtcp``). On their way packets are counted
by their sequence numbers: one that is late is no longer lost, and one that comes twice makes up for no other.
Timing is sampled (``sbc.media.arrivals``), and reports are read (``sbc.media.reports``).

A fax (``sbc.media.fax``) has the same rules of source and latch as plain RTP, and nothing is read in it. So
as not to ask each packet, a leg of a fax is one that has not agreed to RTP.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from typing import Any, Final

from sbc.media.arrivals import EVERY, Arrivals
from sbc.media.listening import Hearing
from sbc.media.reports import Reports
from sbc.media.rtcp import conceal
from sbc.media.srtp import MAX_PACKET, Protector, SrtpError, Unprotector

Source = tuple[Any, ...]
#: Is given an RTP packet, decoded, and when it came, and returns what is sent on in its place.
Mix = Callable[[bytes, float], bytes]
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100
_SAMPLED: Final = EVERY - 1
#: The packets behind the newest of which it is known whether they came, one bit each.
_KNOWN: Final = (1 << _MAX_MISORDER + 1) - 1
#: Ticks a second of timestamps of which nothing is known.
_RATE: Final = 8000
#: Seconds without a packet after which a source is silent, so that another may be latched in its place.
_SILENT = 2.0
#: Former sources that a port remembers, and calls of ours that a packet may cross in a row.
_FORMER, _CROSSINGS = 16, 50


class Port:
    """One of our ports on a leg. ``channel`` belongs to whoever owns the socket, as in a Flow.

    ``remote`` is the peer's address by its SDP, ``source`` the latched one, ``target`` what we
    send to; each is None while unknown, and ``target`` on hold, too. ``heard`` is when ``source`` was
    heard last. ``former`` says of a source under which address of the SDP it was the peer's, and until
    when it is not latched. ``ours`` finds the port of ours that is at an address, if one is.
    """

    __slots__ = ("channel", "former", "heard", "inside", "leg", "ours", "remote", "rtcp", "source", "target")

    def __init__(self, leg: Leg, rtcp: bool) -> None:
        self.leg = leg
        self.rtcp = rtcp
        self.channel: Any = None
        self.remote: Source | None = None
        self.source: Source | None = None
        self.target: Source | None = None
        self.heard = 0.0
        self.former: dict[Source, tuple[Source | None, float]] | None = None
        self.ours: Callable[[Source], Port | None] | None = None
        self.inside = False

    def aim(self, remote: Source | None, reopen: bool) -> None:
        """Set the address that the SDP names, None for a hold by a null address (RFC 3264 8.4).

        The latch opens when the address is another, or on ``reopen``; until somebody is latched an
        address that did not change is sent to as before.
        """
        if remote is None:
            self.target = None
        elif remote == self.remote:
            symmetric = None if self.leg.asymmetric else self.source or self.target
            self.target = symmetric or remote
            if reopen:
                self.source = None
        else:
            if not self.leg.asymmetric:
                self._leave()
            if self.former:  # who was the peer under this address may be it again
                self.former = {each: past for each, past in self.former.items() if past[0] != remote}
            self.remote = self.target = remote
            self.source = None
            self.heard = 0.0

    def drop(self) -> None:
        """Forget the peer: what it still sends is not the next one's."""
        self._leave()
        self.remote = self.source = self.target = None
        self.heard = 0.0

    def shun(self, sources: Iterable[Source], until: float) -> None:
        """Do not latch ``sources`` before ``until`` unless the SDP names them: they were a former call's."""
        self.former = {each: (None, until) for each in sources}

    def latch(self, source: Source, now: float) -> None:
        """Take ``source`` as the peer: on a plain leg accept only from there, and send to there."""
        self.source = source
        self.heard = now
        self.inside = self.ours is not None and self.ours(source) is not None
        if self.target is not None and not self.leg.asymmetric:
            self.target = source

    def _leave(self) -> None:
        named = self.remote
        if named is None:
            return
        former = self.former or {}
        for each in (named, self.source):
            if each is not None:
                if each in former:
                    del former[each]  # for it is the newest now
                former[each] = named, inf
        while len(former) > _FORMER:
            del former[next(iter(former))]
        self.former = former


class Leg:
    """One side of one stream: its contexts, its ports, and its counters.

    ``unprotect`` is None on a plain leg. ``former`` still accepts packets under the key before
    the present one, until one arrives under the present one. ``agreed`` is about RTP, ``fax`` about UDPTL.
    ``hosts`` are the addresses from
    which a plain leg may be latched. ``alias_key`` is for the names in its RTCP. ``crossed`` is how
    many calls of ours its last packet had crossed before. ``late`` packets came behind newer ones, and
    ``duplicates`` a second time; ``holes`` has a bit for each packet that was missing when ``holes_at``
    came, the one before it being bit 1. ``odd`` would follow on a packet that fits nowhere. ``reports`` are
    the peer's, once there are any.
    """

    __slots__ = (
        "agreed", "alias_key", "arrivals", "asymmetric", "bytes_in", "bytes_out", "crossed", "duplicates",
        "fax", "former", "highest", "holes", "holes_at", "hosts", "late", "lost_before", "mux", "odd",
        "other", "packets_in", "packets_out", "port_rtcp", "port_rtp", "protect", "received",
        "received_before", "refused", "reports", "side", "ssrc", "start", "tap", "tone",
        "unprotect",
    )  # fmt: skip

    def __init__(self, side: str) -> None:
        self.side = side
        self.other: Leg = self
        self.port_rtp = Port(self, False)
        self.port_rtcp = Port(self, True)
        self.agreed = self.mux = self.asymmetric = self.fax = False
        self.protect: Protector | None = None
        self.unprotect: Unprotector | None = None
        self.former: Unprotector | None = None
        self.hosts: tuple[str, ...] = ()
        self.alias_key = b""
        self.tap: Hearing | None = None  # is shown what is decoded
        self.tone: Mix | None = None  # where there is a tap
        self.packets_in = self.bytes_in = self.packets_out = self.bytes_out = 0
        self.refused: dict[str, int] | None = None
        self.crossed = 0
        self.ssrc = b""
        self.start = self.highest = self.received = self.lost_before = self.received_before = 0
        self.late = self.duplicates = self.holes = self.holes_at = 0
        self.odd = -1
        self.arrivals: Arrivals | None = None
        self.reports: Reports | None = None

    def refuse(self, reason: str) -> None:
        """Count a packet that was dropped for ``reason``."""
        if self.refused is None:
            self.refused = {}
        self.refused[reason] = self.refused.get(reason, 0) + 1

    def begin(self) -> None:
        """Know nothing of the quality any more: the peer will be another one."""
        self.ssrc = b""
        self.start = self.highest = self.received = self.lost_before = self.received_before = 0
        self.late = self.duplicates = self.holes = self.holes_at = 0
        self.odd = -1
        self.arrivals = self.reports = None

    def silence(self) -> None:
        """Forget what was agreed: nothing is sent to this leg or accepted from it any more."""
        self.agreed = self.mux = self.fax = False
        self.protect = self.unprotect = self.former = None
        self.hosts = ()
        self.port_rtp.drop()
        self.port_rtcp.drop()

    def release(self) -> None:
        """Let go of ports and other leg for good, so that reference counts free all three at once."""
        self.port_rtp.leg = self.port_rtcp.leg = self.other = _NOBODY

    @property
    def lost(self) -> int:
        """RTP packets that the sequence numbers say were lost before us (RFC 3550 A.3), not negative."""
        return self.lost_before + self.missed

    @property
    def missed(self) -> int:
        """Those of the present source alone."""
        return max(0, self.highest - self.start + 1 - self.received) if self.ssrc else 0

    @property
    def loss(self) -> float | None:
        """The share of all RTP packets that was lost before us; None before there were any."""
        lost = self.lost
        sent = lost + self.received_before + self.received
        return lost / sent if sent else None

    def follow(self, data: bytes, now: float) -> None:
        """Count an RTP packet that arrived at ``now``: over wraps, restarts and changes of SSRC."""
        if data[8:12] == self.ssrc and (data[2] << 8 | data[3]) - self.highest & 0xFFFF == 1:
            self.highest += 1
            received = self.received = self.received + 1
            if received & _SAMPLED < 2 and self.arrivals is not None:
                if received & _SAMPLED == 0:
                    self.arrivals.first(data, now)
                else:
                    self.arrivals.second(data, now)
            return
        self._stray(data)

    def timing(self) -> Arrivals:
        """How evenly its packets arrive, which is followed from the first call of this on."""
        found = self.arrivals
        if found is None:
            found = self.arrivals = Arrivals()
        return found

    def _interrupt(self) -> None:
        if self.arrivals is not None:
            self.arrivals.interrupt()

    def _stray(self, data: bytes) -> None:
        """Count a packet that is not the next one of its source."""
        sequence = data[2] << 8 | data[3]
        if data[8:12] == self.ssrc:
            step = (sequence - self.highest) & 0xFFFF
            if 0 < step < _MAX_DROPOUT:
                self._leap(step)
                return
            back = -step & 0xFFFF
            if back < _MAX_MISORDER:
                self._came_behind(back)
                return
            if sequence != self.odd:  # one alone is a straggler; two in a row have begun anew (RFC 3550 A.1)
                self.odd = (sequence + 1) & 0xFFFF
                return
        self.lost_before = self.lost
        self.received_before += self.received
        self.ssrc = data[8:12]
        self.start = self.highest = self.holes_at = sequence
        self.received = 1
        self.holes, self.odd = 0, -1
        self._interrupt()

    def _leap(self, step: int) -> None:
        """A packet came ``step`` after the newest: those between are missing."""
        self.highest += step
        self.received += 1
        moved = self.highest - self.holes_at
        former = self.holes << moved if moved <= _MAX_MISORDER else 0
        between = (1 << min(step, _MAX_MISORDER + 1)) - 2
        self.holes, self.holes_at = (former | between) & _KNOWN, self.highest
        self._interrupt()

    def _came_behind(self, back: int) -> None:
        """A packet came that is ``back`` before the newest: it was missed, or is here again."""
        bit = 1 << max(0, back - (self.highest - self.holes_at))
        if self.holes & bit:
            self.holes &= ~bit
            self.received += 1
            self.late += 1
        elif self.highest - back < self.start:
            self.late += 1  # it was sent before what came first, of which nothing is missed
        else:
            self.duplicates += 1

    def ahead(self, data: bytes) -> bool:
        """Tell whether an RTP packet is newer than all before, or of another SSRC."""
        step = (data[2] << 8 | data[3]) - self.highest
        return data[8:12] != self.ssrc or 0 < step & 0xFFFF < 0x8000


#: Whose a port is when its call is over: a leg that agrees to nothing.
_NOBODY = Leg("")


def pair() -> tuple[Leg, Leg]:
    """Make the two legs of a stream, sides ``a`` and ``b``."""
    a, b = Leg("a"), Leg("b")
    a.other, b.other = b, a
    return a, b


def packet(port: Port, data: bytes, source: Source, now: float = 0.0) -> tuple[Port, bytes, Source] | None:
    """Take a datagram that arrived on ``port`` at ``now`` and return (port to send from, data, destination).

    None means that it was refused, which has been counted.
    """
    leg = port.leg
    if not leg.agreed:
        if leg.fax and not port.rtcp:
            return _pass_fax(port, data, source[:2], now)
        leg.refuse("not agreed")
        return None
    unprotect = leg.unprotect
    latched = source == port.source
    if not latched:
        source = source[:2]  # IPv6 has two numbers more, which no SDP names
        latched = source == port.source
        if not latched and unprotect is None and not _may_latch(port, source, now):
            leg.refuse("source")
            return None
    size = len(data)
    rtcp = port.rtcp or (size > 1 and 192 <= data[1] <= 223)  # RFC 5761 section 4; without mux, too
    if size < (8 if rtcp else 12) or data[0] & 0xC0 != 0x80 or size >= MAX_PACKET:
        leg.refuse("malformed")
        return None
    try:
        plain = _decode(leg, unprotect, data, rtcp) if unprotect is not None else data
    except SrtpError as error:
        stranger = not latched and port.source is not None and source != port.remote
        leg.refuse("source" if stranger else error.reason)
        return None
    if latched:
        port.heard = now
    elif leg.former is None:  # one under a former key must not shut out the new source
        _consider(port, plain, source, rtcp, now)
    if port.inside:
        if not _cross(port, source):
            return None
    else:
        leg.crossed = 0
    leg.packets_in += 1
    leg.bytes_in += size
    if not rtcp:
        leg.follow(plain, now)
        if leg.tap is not None:
            if leg.tone is not None:
                plain = leg.tone(plain, now)
            leg.tap.hear(plain, now)
    return _forward_rtcp(leg, plain, now) if rtcp else _forward(leg, plain, False)


def _pass_fax(port: Port, data: bytes, source: Source, now: float) -> tuple[Port, bytes, Source] | None:
    """Take a datagram of UDPTL: its sequence number, a length, and what only the machines understand.

    RTP of the speech before the fax may still be in flight. To a machine it would be another sequence.
    """
    leg = port.leg
    if source != port.source:
        if not _may_latch(port, source, now):
            leg.refuse("source")
            return None
    size = len(data)
    if size < 3 or size >= MAX_PACKET:
        leg.refuse("malformed")
        return None
    if size >= 12 and data[0] & 0xC0 == 0x80 and data[8:12] == leg.ssrc:
        leg.refuse("speech")
        return None
    if source == port.source:
        port.heard = now
    else:
        port.latch(source, now)
    if not port.inside:
        leg.crossed = 0
    elif not _cross(port, source):
        return None
    leg.packets_in += 1
    leg.bytes_in += size
    other = leg.other
    target = other.port_rtp.target
    if target is None or not other.fax:
        leg.refuse("no destination")
        return None
    other.packets_out += 1
    other.bytes_out += size
    return other.port_rtp, data, target


def _may_latch(port: Port, source: Source, now: float) -> bool:
    """Tell whether a plain leg may be heard from ``source``, which is not the latched one."""
    if source == port.remote:
        return True
    leg = port.leg
    if source[0] not in leg.hosts or (port.source is not None and not leg.asymmetric):
        return False
    past = port.former.get(source) if port.former else None
    return past is None or now >= past[1]


def _consider(port: Port, plain: bytes, source: Source, rtcp: bool, now: float) -> None:
    """Latch ``source``, from which a good packet came, unless a secured leg's peer is elsewhere."""
    leg, held, named = port.leg, port.source, port.remote
    if leg.unprotect is None or source == named:
        port.latch(source, now)
        return
    if held is not None and not (port.rtcp if rtcp else leg.ahead(plain)):
        return
    past = port.former.get(source) if port.former else None
    if (held is None or held != named) and (past is None or past[0] is None):
        port.latch(source, now)
    elif not port.heard:
        port.heard = now
    elif not 0 <= now - port.heard < _SILENT:  # a clock may be set back
        port.latch(source, now)


def _cross(port: Port, source: Source) -> bool:
    """Count a packet from a port of ours; False when it has crossed too many calls."""
    leg = port.leg
    origin = port.ours(source) if port.ours is not None else None
    leg.crossed = 0 if origin is None else origin.leg.other.crossed + 1
    if leg.crossed <= _CROSSINGS:
        return True
    leg.refuse("loop")
    return False


def _decode(leg: Leg, unprotect: Unprotector, data: bytes, rtcp: bool) -> bytes:
    try:
        plain = unprotect.rtcp(data) if rtcp else unprotect.rtp(data)
    except SrtpError as error:
        former = leg.former
        if former is not None:
            try:
                return former.rtcp(data) if rtcp else former.rtp(data)
            except SrtpError:
                pass
        if rtcp or error.reason != "authentication":
            raise
        plain = unprotect.recover(data)
    leg.former = None
    return plain


def _forward_rtcp(leg: Leg, plain: bytes, now: float) -> tuple[Port, bytes, Source] | None:
    passed = conceal(plain, leg.alias_key)
    if passed:
        _read(leg, passed, now)
        return _forward(leg, passed, True)
    if passed is None:
        leg.refuse("malformed")
    return None


def _read(leg: Leg, passed: bytes, now: float) -> None:
    """Learn what RTCP from ``leg`` says of what it was sent; the other side may refer to it later."""
    other = leg.other
    if leg.reports is None:
        leg.reports = Reports()
    if other.reports is None:
        other.reports = Reports()
    rate = other.timing().rate or _RATE
    leg.reports.hear(passed, other.ssrc, other.received, other.missed, rate, now)
    other.reports.passed(passed, now)


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
