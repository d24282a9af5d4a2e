"""What a call's media did, for queries and the call record.

These are values, though not frozen, and their ``__init__`` is written out: what ``dataclass`` would make is
not compiled, and many times as dear, at the end of each call.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sbc.base import Address
from sbc.media.kept import Kept
from sbc.media.quality import Quality


@dataclass(slots=True, init=False)
class LegStats:
    """Counters of one leg: packets and payload bytes (RTP and RTCP), losses by RTP sequence number.

    ``refused`` counts dropped packets by reason, ``suite`` is '' on a leg of which anything is plain, and
    ``remote`` is the latched source, else the address of the SDP. ``codec`` is what the last answer chose to
    talk with, ``quality`` how well that went, None where nothing is known.
    """

    packets_in: int
    bytes_in: int
    packets_out: int
    bytes_out: int
    lost: int
    refused: dict[str, int]
    suite: str
    remote: Address | None
    codec: str
    quality: Quality | None

    def __init__(
        self, packets_in: int = 0, bytes_in: int = 0, packets_out: int = 0, bytes_out: int = 0, lost: int = 0,
        refused: dict[str, int] | None = None, suite: str = "", remote: Address | None = None,
        codec: str = "", quality: Quality | None = None,
    ) -> None:  # fmt: skip
        self.packets_in = packets_in
        self.bytes_in = bytes_in
        self.packets_out = packets_out
        self.bytes_out = bytes_out
        self.lost = lost
        self.refused = refused if refused is not None else {}
        self.suite = suite
        self.remote = remote
        self.codec = codec
        self.quality = quality


@dataclass(slots=True, init=False)
class StreamStats:
    """One stream: the kind of its ``m=`` line and its two legs."""

    kind: str
    a: LegStats
    b: LegStats

    def __init__(self, kind: str, a: LegStats, b: LegStats) -> None:
        self.kind = kind
        self.a = a
        self.b = b


@dataclass(slots=True, init=False)
class MediaStats:
    """All streams of a call, and its recording if it has one; empty for a call that never had media."""

    streams: tuple[StreamStats, ...]
    recording: Kept | None

    def __init__(self, streams: tuple[StreamStats, ...] = (), recording: Kept | None = None) -> None:
        self.streams = streams
        self.recording = recording

    @property
    def a(self) -> LegStats:
        """Side a's counters, summed over the streams."""
        return _sum([each.a for each in self.streams])

    @property
    def b(self) -> LegStats:
        """Side b's counters, summed over the streams."""
        return _sum([each.b for each in self.streams])


def _is_clear(leg: LegStats) -> bool:
    """Whether something passes, or may, that is not protected; a stream that was rejected is nothing."""
    return not leg.suite and (leg.remote is not None or leg.packets_in + leg.packets_out > 0)


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
        "" if any(map(_is_clear, legs)) else next((each.suite for each in legs if each.suite), ""),
        next((each.remote for each in legs if each.remote), None),
        next((each.codec for each in legs if each.codec), ""),
        next((each.quality for each in legs if each.codec), None),
    )
