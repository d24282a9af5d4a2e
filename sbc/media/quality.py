"""The quality of one leg of one stream, both ways: what came from its peer, and what that got of ours.

The score is that of ``sbc.media.mos`` for this leg's stretch of the way alone, so that whichever network is
bad shows on its own leg. Its delay is half of the round trip (none where no RTCP tells it), a packet of 20
ms, and a jitter buffer twice as deep as the mean jitter. Of less than a second of speech nothing is said.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sbc.media.mos import mos
from sbc.media.relay import Leg

#: Packets of which a share is worth telling.
LEAST: Final = 50
#: Seconds that a packet holds, and that a jitter buffer holds for each second of jitter.
_FRAME: Final = 0.02
_DEPTH: Final = 2.0


@dataclass(slots=True)
class Quality:
    """What is known of a leg: ratios from 0 to 1, times in seconds, scores from 1 to 5; None: not known.

    ``loss``, ``jitter`` (the mean, and the most) and ``mos`` are of what we received, ``late`` and
    ``duplicates`` are packets of it. ``sent_loss``, ``sent_jitter`` and ``sent_mos`` are what the peer
    reports of what we sent; the last is its own where it gives one. ``round_trip`` is to the peer and back.
    """

    loss: float | None = None
    jitter: float | None = None
    jitter_max: float | None = None
    mos: float | None = None
    round_trip: float | None = None
    late: int = 0
    duplicates: int = 0
    sent_loss: float | None = None
    sent_jitter: float | None = None
    sent_mos: float | None = None


def quality(leg: Leg, agreed: str) -> Quality | None:
    """What is known of ``leg`` now; ``agreed`` is the codec where none was heard. None for nothing."""
    reports = leg.reports
    received = leg.received_before + leg.received + leg.lost >= LEAST
    if not received and reports is None:
        return None
    found = Quality(late=leg.late, duplicates=leg.duplicates)
    if reports is not None:
        found.round_trip, found.sent_jitter = reports.round_trip, reports.jitter
        if reports.sent >= LEAST:
            found.sent_loss = reports.loss
    way = (found.round_trip or 0.0) / 2 + _FRAME
    if received:
        found.loss, timing = leg.loss, leg.timing()
        jitter = timing.jitter
        if jitter is not None:
            found.jitter, found.jitter_max = jitter, max(jitter, timing.most)  # which begins at 0
        found.mos = _score(leg, agreed, found.loss, found.jitter, way)
    if reports is not None:
        found.sent_mos = reports.mos or _score(leg.other, agreed, found.sent_loss, found.sent_jitter, way)
    return found


def _score(speaker: Leg, agreed: str, loss: float | None, jitter: float | None, way: float) -> float | None:
    if loss is None:
        return None
    return mos(speaker.timing().codec or agreed, loss, way + _DEPTH * (jitter or 0.0))
