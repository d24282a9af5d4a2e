"""``sbc check``: every mistake in the configuration, before it runs."""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sbc.base import ConfigError
from sbc.commands.parser import GOOD, PARTLY, REFUSED, Commands, json_option

if TYPE_CHECKING:
    from dsl.errors import Diagnostic
    from sbc.b2bua.secrecy import Leak
    from sbc.config.emergency import Emergency
    from sbc.config.snapshot import Snapshot

_SAID = {GOOD: "good", PARTLY: "would run without what is broken", REFUSED: "good, but not by --strict"}


def add(commands: Commands) -> None:
    """Add this command."""
    check = json_option(commands.add("check", _check, "say every mistake in the configuration"))
    text = (
        "refuse warnings too, what is open to others, and every route on which a protected call could leave"
        " in the clear"
    )
    check.add_argument("--strict", action="store_true", help=text)


def _check(options: argparse.Namespace) -> int:
    from sbc.b2bua.secrecy import secrecy_report
    from sbc.config.exposure import exposures
    from sbc.config.load import build_snapshot

    gc.disable()  # what is made here lives until the command ends: of 10,000 rules, a fifth of the time
    try:
        snapshot = build_snapshot(options.config, time.time())
    except ConfigError as error:
        if not options.json:
            raise
        print(json.dumps({"status": "refused", "diagnostics": _plain(error.diagnostics)}, indent=2))
        return REFUSED
    found = (*snapshot.warnings, *exposures(snapshot))
    leaks = secrecy_report(snapshot)
    broken = any(each.severity == "error" for each in found)
    strictly = options.strict and bool(leaks or found)
    status = REFUSED if strictly else PARTLY if broken else GOOD
    if options.json:
        print(json.dumps(_answer(snapshot, status, found, leaks), indent=2))
    else:
        _tell(options, snapshot, status, found, leaks)
    return status


def _tell(
    options: argparse.Namespace,
    snapshot: Snapshot,
    status: int,
    found: tuple[Diagnostic, ...],
    leaks: tuple[Leak, ...],
) -> None:
    """What is wrong goes to standard error, what came of it to standard output."""
    from sbc.config.quarantine import told

    for each in (*found, *told(snapshot), *(leaks if options.strict else ())):
        print(each, file=sys.stderr)
    counts = ", ".join(f"{count} {name}" for name, count in _counts(snapshot).items())
    broken = any(each.severity == "error" for each in found)
    said = _SAID[PARTLY if broken else status]
    print(f"{options.config}: {said}: {counts}; version {snapshot.version}")
    if snapshot.settings.emergency is not None:
        print(_reserved(snapshot.settings.emergency))
    detail = "" if options.strict else "; `sbc check --strict` names them"
    trusted = sum(each.promise == "IDENTITY" for each in leaks)
    recorded = sum(each.promise == "RECORDING" for each in leaks)
    ways = len(leaks) - trusted - recorded
    if ways:
        print(f"secrecy: {ways} ways to leave in the clear for calls that came in protected{detail}")
    if trusted:
        print(f"identity: {trusted} ways to be trusted without a certificate{detail}")
    if recorded:
        print(f"recording: {recorded} ways for calls that were protected into files that are not{detail}")


def _reserved(emergency: Emergency) -> str:
    """Which calls pass, and what stops them all the same: whatever refuses before a number can be read."""
    reserve = emergency.reserve
    return (
        f"emergency: {', '.join(emergency.said)}: {reserve.calls} calls at once and {reserve.cps:g} a second"
        " of each trunk pass every limit, a drain and passwords; a peer whose address or certificate is not"
        " admitted is refused all the same, before it is known whom it calls"
    )


def _answer(
    snapshot: Snapshot, status: int, found: tuple[Diagnostic, ...], leaks: tuple[Leak, ...]
) -> dict[str, Any]:
    emergency = snapshot.settings.emergency
    return {
        "status": {GOOD: "good", PARTLY: "partly", REFUSED: "refused"}[status],
        "version": snapshot.version,
        **_counts(snapshot),
        "diagnostics": _plain(found),
        "quarantined": {name: _plain(said) for name, said in snapshot.quarantined.items()},
        "quarantined_tenants": {name: _plain(said) for name, said in snapshot.quarantined_tenants.items()},
        "secrecy": [asdict(each) for each in leaks],
        **({"emergency": _reserved(emergency)} if emergency is not None else {}),
    }


def _counts(snapshot: Snapshot) -> dict[str, int]:
    return {
        "listeners": len(snapshot.settings.listeners), "trunks": len(snapshot.trunks),
        "rules": len(snapshot.rules.rules), "hooks": len(snapshot.hooks.files),
    }  # fmt: skip


def _plain(found: Iterable[Diagnostic]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]
