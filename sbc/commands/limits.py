"""``sbc limits``: what is spent of the allowances of an hour or a day, and who is given a new one."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sbc.commands.parser import Commands, configured, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add these commands."""
    text = "show what is spent of each limit of minutes, or of calls a day, the nearest to its end first"
    limits = commands.group("limits", text, _list)
    text = "let an allowance be unspent, such as that of a caller whose calls were no fraud"
    reset = json_option(configured(limits.add_parser("reset", help=text, description=text), _reset))
    reset.add_argument("key", metavar="KEY", help="as `sbc limits` shows it; in quotes, for it has blanks")


def _list(options: argparse.Namespace) -> int:
    answer = ask_running(options, "limits")
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return 0


def _reset(options: argparse.Namespace) -> int:
    answer = ask_running(options, "limits-reset", key=options.key)
    print(json.dumps(answer, indent=2) if options.json else f"nothing is spent of {answer['key']}")
    return 0


def render(answer: Mapping[str, Any]) -> str:
    """The answer of the control socket as text."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable
    from sbc.observe.times import span

    if not answer["limits"]:
        return "nothing is spent of any limit of minutes, or of calls a day"
    rows = [
        (
            f"{each['share'] * 100:.0f} %", f"{each['used']:.1f}".removesuffix(".0"),
            each["limit"] + (", hard" if each["hard"] else ""), each["running"],
            f"in {span(each['ends'] - answer['now'])}", f'"{printable(each["key"])}"',
        )
        for each in answer["limits"]
    ]  # fmt: skip
    return table(("SPENT", "USED", "OF", "CALLS NOW", "ANEW", "KEY"), rows)
