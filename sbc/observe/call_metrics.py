"""The families of samples about calls and their quality, by trunk."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.observe.families import family, histogram, summary
from sbc.observe.views import HistogramView, TrunkView


def outcomes(trunks: tuple[TrunkView, ...]) -> Iterator[str]:
    """What became of calls, how long it took until one rang, and how long the answered ones were."""
    rows = [
        ({"trunk": view.name, "direction": each.direction}, each) for view in trunks for each in view.outcomes
    ]
    codes = [({**labels, "code": code}, float(count)) for labels, each in rows for code, count in each.codes]
    yield from family("sbc_trunk_outcomes_total", "counter", "Calls by their final status, or a word.", codes)
    yield from summary(
        "sbc_trunk_call_duration_seconds",
        "Answered calls that are over, from the answer to the end.",
        [(labels, each.seconds, each.ended) for labels, each in rows],
    )
    yield from histogram(
        "sbc_trunk_post_dial_delay_seconds",
        "From the INVITE to the first 18x or 2xx.",
        [(labels, each.delays) for labels, each in rows],
    )


def qualities(trunks: tuple[TrunkView, ...]) -> Iterator[str]:
    """How good the media of each leg was whose call is over."""
    rows = [({"trunk": view.name, "way": each.way}, each) for view in trunks for each in view.quality]
    found: list[tuple[str, str, list[tuple[dict[str, str], HistogramView]]]] = [
        ("sbc_call_mos", "Score of a leg, 1 to 4.4 (ITU-T G.107).", [(each, of.scores) for each, of in rows]),
        (
            "sbc_call_loss_ratio",
            "Share of a leg's packets that was lost.",
            [(each, of.losses) for each, of in rows],
        ),
        ("sbc_call_jitter_seconds", "Mean jitter of a leg.", [(each, of.jitters) for each, of in rows]),
    ]
    for name, text, samples in found:
        yield from histogram(name, text, [each for each in samples if sum(each[1].counts)])
    trips = [({"trunk": each["trunk"]}, of.round_trips) for each, of in rows if of.round_trip is not None]
    yield from histogram("sbc_call_round_trip_seconds", "Mean round trip between us and a peer.", trips)
