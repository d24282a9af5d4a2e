"""``sbc registrations``: with whom we are registered, until when, and why where we are not."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sbc.commands.parser import Commands, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add this command."""
    text = "show for each trunk with `register:` whether it is registered, until when, and why not"
    json_option(commands.add("registrations", _registrations, text))


def _registrations(options: argparse.Namespace) -> int:
    answer = ask_running(options, "registrations")
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return 0


def render(answer: Mapping[str, Any]) -> str:
    """The answer of the control socket as text."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable

    rows, now = answer["registrations"], answer["now"]
    if not rows:
        return "no trunk has `register:`"
    heads = ("TRUNK", "ADDRESS", "REGISTRAR", "STATE", "ENDS", "NEXT")
    parts = [
        table(
            heads,
            [
                (
                    each["trunk"], each["address"], each["registrar"] or "-", each["state"],
                    _ahead(each["until"], now), _ahead(each["due"], now),
                )
                for each in rows
            ],
        )
    ]  # fmt: skip
    for each in rows:
        lines = [("failed", each["reason"])] if each["reason"] else []
        lines += [("our numbers", printable(value)) for value in each["associated"]]
        lines += [("service route", printable(value)) for value in each["service_route"]]
        parts += [f"{each['trunk']}: {name}: {printable(value)}" for name, value in lines]
    return "\n".join(parts)


def _ahead(moment: float, now: float) -> str:
    from sbc.observe.times import span

    return f"in {span(moment - now)}" if moment else "-"
