"""Which trunks an operator has disabled, and which were disabled or enabled from one snapshot to the next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sbc.config.snapshot import Snapshot

#: Under which name the trunks that are switched off are saved, each with why.
STATE: Final = "disabled-trunks"


def switched_off(saved: Mapping[str, Any]) -> dict[str, str]:
    """Of what was saved what a running SBC saves: the trunks that are off, each with why."""
    return {name: why for name, why in saved.items() if isinstance(why, str)}


def switched(former: Snapshot | None, fresh: Snapshot) -> Iterator[tuple[str, str, str]]:
    """What became of trunks: event, trunk, why in a line."""
    was = former.disabled if former is not None else {}
    for name, why in fresh.disabled.items():
        if name not in was:
            yield "trunk-disabled", name, why
    for name in was:
        if name in fresh.trunks and name not in fresh.disabled:
            yield "trunk-enabled", name, ""
