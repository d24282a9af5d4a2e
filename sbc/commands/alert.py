"""``sbc alert``: what is wrong with the running SBC, where that is told, and whether it arrives there."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sbc.commands.parser import GOOD, REFUSED, Commands, configured, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add these commands."""
    text = "show what is wrong now and where it is told, or send a test there"
    group = commands.group("alert", text, _list)
    text = "what is wrong now, and how the places are that it is told at"
    json_option(configured(group.add_parser("list", help=text, description=text), _list))
    text = "send a test to every place of `alerts: {to: ...}`, or to one, and wait until it is taken"
    test = json_option(configured(group.add_parser("test", help=text, description=text), _test))
    test.add_argument("name", nargs="?", default="", metavar="NAME", help="as sbc.yaml calls it")


def _list(options: argparse.Namespace) -> int:
    answer = ask_running(options, "alerts")
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return GOOD


def _test(options: argparse.Namespace) -> int:
    answer = ask_running(options, "alert-test", **({"name": options.name} if options.name else {}))
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        from sbc.observe.text import printable

        for each in answer["sinks"]:
            print(f"{each['name']}: {printable(each['problem']) or 'taken'}")
    return REFUSED if any(each["problem"] for each in answer["sinks"]) else GOOD


def render(answer: Mapping[str, Any]) -> str:
    """The answer of the control socket as text."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable
    from sbc.observe.times import ago

    now, standing, sinks = answer["now"], answer["standing"], answer["sinks"]
    if not sinks:
        return "alerts go nowhere: write alerts: {to: {NAME: {url_file: FILE}}} in sbc.yaml"
    parts = []
    if standing:
        rows = [
            (
                each["urgency"],
                ago(each["since"], now),
                "yes" if each["told"] else "no",
                printable(each["title"]),
            )
            for each in standing
        ]
        parts.append(table(("URGENCY", "SINCE", "TOLD", "WHAT"), rows))
    else:
        parts.append("nothing is wrong")
    shown = [
        (
            each["name"], each["scheme"], str(each["sent"]), str(each["waiting"]), str(each["lost"]),
            printable(each["problem"]) or "-",
        )
        for each in sinks
    ]  # fmt: skip
    return "\n".join([*parts, "", table(("TO", "BY", "SENT", "WAITING", "LOST", "PROBLEM"), shown)])
