"""``sbc trust rehearse FILE...``: who would break under a changed truststore, before it is put in force."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError
from sbc.commands.lines import wrapped
from sbc.observe.times import ago

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot
    from sbc.tls.ledger import Ledger

_MARKS = {"breaks": "BREAKS  ", "new": "ACCEPTED", "same": "as now  "}


def rehearsed(directory: Path, files: Sequence[Path]) -> dict[str, Any]:
    """The rehearsal of changed files against what peers of the SBC presented, as JSON types.

    ConfigError where the changed configuration has mistakes; LocalError where there is no ledger.
    """
    from sbc.config.load import build_snapshot
    from sbc.config.overlay import mirror, read_changes
    from sbc.net.doctor.rehearse import rehearse

    if not files:
        raise LocalError("rehearse what? give the changed sbc.yaml or files of trunks.d")
    now = time.time()
    current = build_snapshot(directory, now)
    changes = read_changes(directory, files)
    with TemporaryDirectory(prefix="sbc-rehearse-") as scratch:
        place = Path(scratch) / "configuration"
        mirror(directory, changes, place)
        changed = build_snapshot(place, now)
    ledger = _ledger(current)
    found = rehearse(current, changed, ledger, now)
    outcomes = [asdict(each) for each in found.outcomes]
    return {"now": now, "breaks": found.breaks, "superseded": found.superseded, "outcomes": outcomes}


def _ledger(snapshot: Snapshot) -> Ledger:
    from sbc.commands.state import saved
    from sbc.tls.ledger import Ledger

    known, ledger = saved(snapshot, "ledger"), Ledger()
    if not known:
        raise LocalError(f"there is no ledger in {snapshot.settings.state}: no peer has been seen yet")
    for key, entry in known.items():
        with suppress(ValueError):  # the running SBC puts it aside
            ledger.restore(key, entry)
    return ledger


def render(answer: Mapping[str, Any]) -> str:
    """A rehearsal as text of at most 100 columns."""
    return "\n".join(_lines(answer))


def _lines(answer: Mapping[str, Any]) -> Iterator[str]:
    order = {"breaks": 0, "new": 1, "same": 2}
    outcomes = sorted(answer["outcomes"], key=lambda each: (order[each["what"]], each["trunk"]))
    for each in outcomes:
        who = f"{each['trunk']} {each['direction']}: {each['subject']} of {each['host']}"
        yield from wrapped(f"{_MARKS[each['what']]} ", f"{who}, seen {ago(each['last'], answer['now'])}")
        failure = each["failure"]
        if failure is not None and each["what"] == "breaks":
            yield from wrapped("           ", f"{failure['kind']}: {failure['detail']}")
            yield from wrapped("           remedy: ", failure["remedy"])
            if each["where"]:
                yield f"           line: {each['where']}"
        elif each["what"] == "breaks":
            yield f"           it would be taken for trunk {each['now_trunk']}"
    counts = {what: sum(each["what"] == what for each in outcomes) for what in order}
    left = f"; {answer['superseded']} old ones left out" if answer["superseded"] else ""
    yield (
        f"{counts['breaks']} would break, {counts['new']} newly accepted, {counts['same']} as now{left}"
        if outcomes
        else "no peer has presented a certificate yet"
    )
