"""``sbc route``: ask the rules about a call that is not made, or about those of yesterday."""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sbc.base import LocalError
from sbc.commands.parser import Commands, configured, json_option

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("route", "ask the rules about calls")
    text = "what would become of a call, and why"
    test = json_option(configured(group.add_parser("test", help=text, description=text), _test))
    test.add_argument("--trunk", required=True, help="the trunk it comes from")
    test.add_argument("--from", dest="caller", default="", metavar="A", help="number, user@host or URI")
    test.add_argument("--to", dest="called", required=True, metavar="B", help="number, user@host or URI")
    test.add_argument("--header", action="append", default=[], metavar="NAME:VALUE", help="of the INVITE")
    test.add_argument("--at", metavar="TIME", help="such as 2026-07-01T09:30, here or with an offset; now")
    test.add_argument("--cert", type=Path, metavar="FILE", help="the chain that the peer shows, as PEM")
    test.add_argument("--source", metavar="ADDRESS", help="the first address of the trunk")
    test.add_argument("--codecs", default="", metavar="A,B", help="offered, such as PCMA,OPUS")
    test.add_argument("--srtp", choices=("none", "offered", "required"), help="of the offer; none")
    test.add_argument(
        "--method",
        choices=("INVITE", "MESSAGE", "NOTIFY"),
        default="INVITE",
        help="INVITE, or what is outside of calls",
    )
    test.add_argument("--user", default="", metavar="NAME@REALM", help="who has proved a password")
    test.add_argument(
        "--redirected-from", default="", metavar="A", help="whom it was for, of a call that TRUNK redirected"
    )
    test.add_argument(
        "--referred-by", default="", metavar="A", help="who transfers the caller, on TRUNK, to whom it is for"
    )
    test.add_argument(
        "--lookup",
        action="append",
        default=[],
        metavar="NAME=JSON",
        help="what a service answers, or nothing",
    )
    text = "put the calls of a file of call records to the rules; say what would change"
    replay = json_option(configured(group.add_parser("replay", help=text, description=text), _replay))
    replay.add_argument("records", type=Path, metavar="FILE", help="such as run/calls.jsonl")


def _test(options: argparse.Namespace) -> int:
    from sbc.commands.simulation import simulated
    from sbc.config.load import build_snapshot

    now = _moment(options.at)
    snapshot = build_snapshot(options.config, time.time())
    if options.trunk not in snapshot.trunks:
        raise LocalError(f"there is no trunk {options.trunk!r}; there are {', '.join(snapshot.trunks)}")
    snapshot, unknown = _as_switched(snapshot)
    answer = simulated(snapshot, options, _headers(options.header), now)
    answer["notes"] = [*unknown, *answer["notes"]]
    if options.json:
        print(json.dumps(answer, indent=2))
        return 0
    for line in [*answer["notes"], *answer["trace"], "", *answer["lines"]]:
        print(line)
    return 0


def _as_switched(snapshot: Snapshot) -> tuple[Snapshot, list[str]]:
    """The configuration without the trunks that an operator has disabled; or a note that says why not."""
    from sbc.commands.state import saved
    from sbc.config.switched import STATE, switched_off

    try:
        return snapshot.switching_off(switched_off(saved(snapshot, STATE))), []
    except LocalError as error:
        return snapshot, [f"which trunks are disabled by hand is not known: {error}", ""]


def _replay(options: argparse.Namespace) -> int:
    from sbc.b2bua.replay import replay
    from sbc.config.load import build_snapshot

    snapshot = build_snapshot(options.config, time.time())
    try:
        with options.records.open(encoding="utf-8", errors="replace") as records:
            result = replay(snapshot, records)
    except OSError as error:
        raise LocalError(f"{options.records}: {(error.strerror or '').lower()}") from None
    if options.json:
        print(json.dumps(result.to_json(snapshot), indent=2))
        return 0
    for line in result.lines(snapshot):
        print(line)
    return 0


def _moment(text: str | None) -> float:
    if text is None:
        return time.time()
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise LocalError(f"--at {text!r} is not a time; such as 2026-07-01T09:30") from None


def _headers(written: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for each in written:
        name, colon, value = each.partition(":")
        if not colon or not name.strip():
            raise LocalError(f"--header {each!r} is not NAME:VALUE")
        headers.setdefault(name.strip().lower(), value.strip())
    return headers
