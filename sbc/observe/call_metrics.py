"""The families of samples about calls and their quality, by trunk."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.observe.families import family, histogram, summary
from sbc.observe.views import TrunkView


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
