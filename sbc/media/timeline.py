"""Where in a recording the sound of a packet belongs: by its timestamp, within what its arrival allows.

Timestamps alone know how long a silence was (RFC 3550 5.1): lost packets and DTX leave their gaps, and what
overtakes on the way is put right. But a sender may begin anew, after a hold with the time standing still, and
its clock may run fast or be a lie. So a timestamp counts from where the sender was last, and the moment of
arrival says whether that can be:

* another SSRC, or a packet far later than it says, begins anew at its arrival, behind what there is;
* so does the beginning of a talkspurt (the marker, RFC 3551 4.1) that is off by more than jitter explains;
* what claims to be of a time to come begins anew, too, and further ahead than ``EARLIEST`` nothing is taken:
  whatever a peer sends, a recording grows no faster than time passes.
"""

from __future__ import annotations

from typing import Final

from sbc.media.pcm import RATE

#: How much later or earlier than its arrival a packet may belong, and how much at a talkspurt, in samples.
LATEST: Final = RATE // 2
EARLIEST: Final = 2 * RATE
_JITTER: Final = RATE // 10
#: Nowhere: the packet is not taken.
NOWHERE: Final = -1


class Timeline:
    """One sender's; positions and lengths are samples since the recording began.

    ``at`` is where its newest packet belongs, ``end`` how far it has come.
    """

    __slots__ = ("_sequence", "_ssrc", "_timestamp", "at", "end")

    def __init__(self) -> None:
        self._ssrc = b""
        self._sequence = self._timestamp = self.at = 0
        self.end = 0

    def place(self, data: bytes, length: int, arrival: int) -> int:
        """Where the ``length`` samples of an RTP packet belong that came at ``arrival``; NOWHERE for none."""
        sequence = data[2] << 8 | data[3]
        timestamp = int.from_bytes(data[4:8], "big")
        if data[8:12] != self._ssrc:
            self._ssrc = data[8:12]
            return self._anew(sequence, timestamp, length, arrival)
        ahead = (timestamp - self._timestamp) & 0xFFFFFFFF
        at = self.at + (ahead if ahead < 0x80000000 else ahead - 0x100000000)
        if (sequence - self._sequence - 1) & 0xFFFF >= 0x8000:  # it was overtaken, or is one come twice
            return at if 0 <= at <= arrival + EARLIEST else NOWHERE
        off = at - arrival
        if at >= 0 and -LATEST <= off <= EARLIEST and (data[1] < 0x80 or -_JITTER <= off <= _JITTER):
            self._sequence, self._timestamp, self.at = sequence, timestamp, at
            if at + length > self.end:
                self.end = at + length
            return at
        return self._anew(sequence, timestamp, length, arrival)

    def passed(self, sequence: int, timestamp: int, at: int, end: int) -> None:
        """Packets went on where the last one ended; the last of them is from ``at`` to ``end``."""
        self._sequence, self._timestamp, self.at = sequence, timestamp, at
        if end > self.end:
            self.end = end

    def _anew(self, sequence: int, timestamp: int, length: int, arrival: int) -> int:
        at = arrival if arrival > self.end else self.end
        if at > arrival + EARLIEST:
            return NOWHERE
        self._sequence, self._timestamp, self.at = sequence, timestamp, at
        self.end = at + length
        return at
