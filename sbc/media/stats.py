"""What a call's media did, for queries and the call record.

These are values, though not frozen: that would make them four times as dear, at the end of each call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from sbc.base import Address
from sbc.media.kept import Kept
from sbc.media.quality import Quality


@dataclass(slots=True)
class LegStats:
    """Counters of one leg: packets and payload bytes (RTP and RTCP), losses by RTP sequence number.

    ``refused`` counts dropped packets by reason, ``suite`` is '' on a plain leg, and ``remote``
    is the latched source, else the address of the SDP. ``codec`` is what the last answer chose to talk with,
    ``quality`` how well that went, None where nothing is known.
    """

    packets_in: int = 0
    bytes_in: int = 0
    packets_out: int = 0
    bytes_out: int = 0
    lost: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    suite: str = ""
    remote: Address | None = None
    codec: str = ""
    quality: Quality | None = None


@dataclass(slots=True)
class StreamStats:
    """One stream: the kind of its ``m=`` line and its two legs."""

    kind: str
    a: LegStats
    b: LegStats


@dataclass(slots=True)
class MediaStats:
    """All streams of a call, and its recording if it has one; empty for a call that never had media."""

    streams: tuple[StreamStats, ...] = ()
    recording: Kept | None = None

    @property
    def a(self) -> LegStats:
        """Side a's counters, summed over the streams."""
        return _sum([each.a for each in self.streams])

    @property
    def b(self) -> LegStats:
        """Side b's counters, summed over the streams."""
        return _sum([each.b for each in self.streams])


def _sum(legs: list[LegStats]) -> LegStats:
    if len(legs) == 1:
        return legs[0]
    refused: Counter[str] = Counter()
    for each in legs:
        refused.update(each.refused)
    return LegStats(
        sum(each.packets_in for each in legs),
        sum(each.bytes_in for each in legs),
        sum(each.packets_out for each in legs),
        sum(each.bytes_out for each in legs),
        sum(each.lost for each in legs),
        dict(refused),
        next((each.suite for each in legs if each.suite), ""),
        next((each.remote for each in legs if each.remote), None),
        next((each.codec for each in legs if each.codec), ""),
        next((each.quality for each in legs if each.codec), None),
    )
