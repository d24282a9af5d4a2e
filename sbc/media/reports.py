"""What a peer says of the packets that we send it: its RTCP reports (RFC 3550 6.4, RFC 3611 4.7).

Sequence numbers, timestamps and reports cross us unchanged. So a report is about the whole way from whoever
speaks to whoever reports, and ours is the middle of it:

* **Round trip.** A report names the sender report that it heard last (LSR) and for how long it has had it
  (DLSR). We know when that one passed us, on its way to the peer: what is left when DLSR is taken away is the
  way from us to the peer and back. No clock but ours is asked.
* **Loss.** The cumulative number counts what was lost on both stretches. What we missed ourselves is taken
  away; the rest was lost between us and the peer.

Whatever is read here a peer may have made up. Each figure is held to what it could be, or not believed: a
round trip is from 0 to ten seconds, no more packets are lost than were sent, jitter is at most ten
seconds, a MOS is from 1 to 5. Only the stream that the leg is sent now is listened to.
"""

from __future__ import annotations

from typing import Final

_SR: Final = 200
_RR: Final = 201
_XR: Final = 207
_BLOCK: Final = 24
#: The block of RFC 3611 with the VoIP metrics, and its octets.
_VOIP: Final = 7
_VOIP_SIZE: Final = 36
#: Sender reports whose passing is remembered: at one in five seconds, for over half a minute.
_REMEMBERED: Final = 8
#: Seconds beyond which nothing is believed.
_MOST: Final = 10.0
#: Seconds by which a report may seem to come too early: we read every two milliseconds, and DLSR is rounded.
_EARLY: Final = 0.005


class Reports:
    """What one leg's peer reports; ratios are from 0 to 1, times in seconds, and None is not known.

    ``trips`` round trips add up to ``away``; ``jitter`` is the highest and ``mos`` the last that it told.
    """

    __slots__ = ("_before", "_lost", "_passed", "_sent", "_ssrc", "away", "jitter", "mos", "trips")

    def __init__(self) -> None:
        self.trips = 0
        self.away = 0.0
        self.jitter: float | None = None
        self.mos: float | None = None
        self._passed: dict[bytes, float] = {}
        self._ssrc = b""
        self._lost = self._sent = 0
        self._before = (0, 0)

    @property
    def round_trip(self) -> float | None:
        """The mean way to the peer and back."""
        return self.away / self.trips if self.trips else None

    @property
    def sent(self) -> int:
        """The packets from us that it has reported on."""
        return self._before[1] + self._sent

    @property
    def loss(self) -> float | None:
        """The share of the packets from us that it did not get."""
        sent = self.sent
        return (self._before[0] + self._lost) / sent if sent else None

    def passed(self, compound: bytes, at: float) -> None:
        """A well-formed compound packet goes to the peer at ``at``: remember its sender reports."""
        for kind, start, end in packets(compound):
            if kind == _SR and end - start >= 28:
                stamp = compound[start + 10 : start + 14]  # the middle of the NTP timestamp, as LSR has it
                self._passed.pop(stamp, None)
                self._passed[stamp] = at
                if len(self._passed) > _REMEMBERED:
                    del self._passed[next(iter(self._passed))]

    def hear(self, compound: bytes, ssrc: bytes, sent: int, missed: int, rate: int, at: float) -> None:
        """Read a well-formed compound packet of the peer, which came at ``at``.

        ``ssrc`` is the stream that it is sent: we had ``sent`` packets of it to send and ``missed`` others,
        and its timestamps have ``rate`` ticks a second.
        """
        if not ssrc:
            return
        if ssrc != self._ssrc:
            self._before = self._before[0] + self._lost, self._before[1] + self._sent
            self._ssrc, self._lost, self._sent = ssrc, 0, 0
        for kind, start, end in packets(compound):
            if kind == _SR or kind == _RR:
                first = start + (28 if kind == _SR else 8)
                for block in range(compound[start] & 0x1F):
                    here = first + _BLOCK * block
                    if here + _BLOCK <= end and compound[here : here + 4] == ssrc:
                        self._block(compound[here : here + _BLOCK], sent, missed, rate, at)
            elif kind == _XR and start + 8 <= end:  # compiled, bytes that end before they begin are an error
                self._extended(compound[start + 8 : end], ssrc)

    def _block(self, block: bytes, sent: int, missed: int, rate: int, at: float) -> None:
        """A report block (RFC 3550 6.4.1); duplicates can make the cumulative number negative."""
        lost = int.from_bytes(block[5:8], "big", signed=True)
        self._lost, self._sent = max(0, min(lost - missed, sent)), sent
        jitter = int.from_bytes(block[12:16], "big") / rate
        if jitter <= _MOST:
            self.jitter = jitter if self.jitter is None else max(self.jitter, jitter)
        passed = self._passed.get(block[16:20])
        if passed is None or block[16:20] == b"\0\0\0\0":  # it has heard no sender report
            return
        away = at - passed - int.from_bytes(block[20:24], "big") / 65536
        if -_EARLY <= away <= _MOST:
            self.trips += 1
            self.away += max(0.0, away)

    def _extended(self, blocks: bytes, ssrc: bytes) -> None:
        """Extended reports: of the VoIP metrics the MOS for conversation, else that for listening."""
        at = 0
        while at + 4 <= len(blocks):
            end = at + 4 * (1 + int.from_bytes(blocks[at + 2 : at + 4], "big"))
            if blocks[at] == _VOIP and end - at == _VOIP_SIZE and blocks[at + 4 : at + 8] == ssrc:
                for score in blocks[at + 26 : at + 28]:  # the last that is known wins; 127 is not known
                    if 10 <= score <= 50:
                        self.mos = score / 10
            at = end


def packets(compound: bytes) -> list[tuple[int, int, int]]:
    """Type, start and end of each packet of a compound one whose lengths are right."""
    found, at, size = [], 0, len(compound)
    while at + 4 <= size:
        end = at + 4 * (1 + int.from_bytes(compound[at + 2 : at + 4], "big"))
        found.append((compound[at + 1], at, min(end, size)))
        at = end
    return found
