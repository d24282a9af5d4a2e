"""``sbc blocklist``: which addresses the running SBC refuses, until when, and why; and by hand."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sbc.base import LocalError
from sbc.commands.parser import Commands, configured, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add these commands."""
    text = "show the addresses that are refused, until when and why; block one, or let it come back"
    group = commands.group("blocklist", text, _list)
    text = "the addresses that are refused, until when and why"
    json_option(configured(group.add_parser("list", help=text, description=text), _list))
    text = "refuse an address for a while, over every transport"
    block = json_option(configured(group.add_parser("add", help=text, description=text), _add))
    block.add_argument("address", metavar="ADDRESS", help="of IPv6 its /64 is meant")
    text = "for how long, such as 2h; else as long as `blocklist` of sbc.yaml says"
    block.add_argument("--for", dest="lasts", metavar="TIME", help=text)
    block.add_argument("--note", default="", metavar="TEXT", help="why, for whoever reads the list")
    text = "let an address come back at once"
    lift = json_option(configured(group.add_parser("remove", help=text, description=text), _remove))
    lift.add_argument("address", metavar="ADDRESS")


def _list(options: argparse.Namespace) -> int:
    answer = ask_running(options, "blocklist")
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return 0


def _add(options: argparse.Namespace) -> int:
    from sbc.config.values import parse_duration
    from sbc.observe.text import iso_time

    try:
        seconds = parse_duration(options.lasts) if options.lasts is not None else 0.0
    except ValueError as error:
        raise LocalError(f"--for {error}") from None
    given = {"address": options.address, "seconds": seconds, "note": options.note}
    answer = ask_running(options, "blocklist-add", **given)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(f"{answer['address']} is blocked until {iso_time(answer['until'])}")
    return 0


def _remove(options: argparse.Namespace) -> int:
    answer = ask_running(options, "blocklist-remove", address=options.address)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(f"{answer['address']} is not blocked any more; it was turned away {answer['refused']} times")
    return 0


def render(answer: Mapping[str, Any]) -> str:
    """The answer of the control socket as text."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable
    from sbc.observe.times import span

    now, rows = answer["now"], answer["blocked"]
    ever = f"{len(rows)} blocked now, {answer['lifetime']} ever; {answer['refused']} times turned away"
    parts = [ever, f"policy: {answer['policy']}"]
    if rows:
        heads = ("ADDRESS", "ENDS", "REFUSED", "WHY")
        shown = [
            (
                each["address"], f"in {span(each['until'] - now)}", str(each["refused"]),
                printable(f"{each['why']}: {each['note']}" if each["note"] else each["why"]),
            )
            for each in rows
        ]  # fmt: skip
        parts += ["", table(heads, shown)]
    return "\n".join(parts)
