"""Which trunks were disabled or enabled from one snapshot to the next, by their files or by an operator."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.config.snapshot import Snapshot


def switched(former: Snapshot | None, fresh: Snapshot) -> Iterator[tuple[str, str, str]]:
    """What became of trunks: event, trunk, why in a line."""
    was = former.disabled if former is not None else {}
    for name, why in fresh.disabled.items():
        if name not in was:
            yield "trunk-disabled", name, why
    for name in was:
        if name in fresh.trunks and name not in fresh.disabled:
            yield "trunk-enabled", name, ""
