"""The quality of calls that are over, by trunk: what came from it, and what it reports of what we sent."""

from __future__ import annotations

from typing import Final, Literal

from sbc.histogram import Histogram
from sbc.media.quality import Quality
from sbc.media.stats import MediaStats

Way = Literal["received", "sent"]
SCORES: Final[tuple[float, ...]] = (2.0, 2.5, 3.0, 3.3, 3.6, 3.8, 4.0, 4.1, 4.2, 4.3)
LOSSES: Final[tuple[float, ...]] = (0.0, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
JITTERS: Final[tuple[float, ...]] = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5)
ROUND_TRIPS: Final[tuple[float, ...]] = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 1.0, 2.0)


class Heard:
    """One trunk, one way: scores, shares that were lost, and seconds; round trips are counted as received."""

    __slots__ = ("jitters", "losses", "round_trips", "scores")

    def __init__(self) -> None:
        self.scores = Histogram(SCORES)
        self.losses = Histogram(LOSSES)
        self.jitters = Histogram(JITTERS)
        self.round_trips = Histogram(ROUND_TRIPS)

    def add(self, score: float | None, loss: float | None, jitter: float | None, trip: float | None) -> None:
        """One leg is over; None is not known."""
        if score is not None:
            self.scores.observe(score)
        if loss is not None:
            self.losses.observe(loss)
        if jitter is not None:
            self.jitters.observe(jitter)
        if trip is not None:
            self.round_trips.observe(trip)


class Qualities:
    """The quality of every trunk there has been since the start."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[str, Way], Heard] = {}

    def note(self, caller: str, callee: str, media: MediaStats) -> None:
        """A call is over whose legs were on these trunks, "" for none."""
        for trunk, leg in ((caller, media.a), (callee, media.b)):
            if trunk and leg.quality is not None:
                self._add(trunk, leg.quality)

    def known(self, trunk: str) -> list[tuple[Way, Heard]]:
        """What was heard on ``trunk``, each way that anything was."""
        both: tuple[Way, Way] = ("received", "sent")
        return [(way, self._known[trunk, way]) for way in both if (trunk, way) in self._known]

    def _add(self, trunk: str, found: Quality) -> None:
        trip = found.round_trip
        if found.loss is not None or trip is not None:
            self._of(trunk, "received").add(found.mos, found.loss, found.jitter, trip)
        if found.sent_loss is not None:
            self._of(trunk, "sent").add(found.sent_mos, found.sent_loss, found.sent_jitter, None)

    def _of(self, trunk: str, way: Way) -> Heard:
        heard = self._known.get((trunk, way))
        if heard is None:
            heard = self._known[trunk, way] = Heard()
        return heard
