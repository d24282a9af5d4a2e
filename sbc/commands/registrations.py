"""``sbc registrations``: with whom we are registered, until when, and why not; and who is with us."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from sbc.commands.parser import Commands, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add this command."""
    text = "show whether each trunk with `register:` is registered, until when, and why not; and the phones"
    json_option(commands.add("registrations", _registrations, text))


def _registrations(options: argparse.Namespace) -> int:
    answer = ask_running(options, "registrations")
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return 0


def render(answer: Mapping[str, Any]) -> str:
    """The answer of the control socket as text."""

    phones = _phones(answer)
    if not answer["registrations"]:
        return phones or "no trunk has `register:`, and no phone is registered"
    return "\n\n".join([registered(answer), *([phones] if phones else [])])


def _phones(answer: Mapping[str, Any]) -> str:
    """Who is registered with us, and where."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable

    now, rows = answer["now"], answer["phones"]
    heads = ("USER", "TRUNK", "FROM", "CONTACT", "REACHABLE", "ENDS", "PHONE")
    shown = [
        (
            printable(each["user"]), each["trunk"], f"{each['transport']}:{each['remote']}",
            printable(each["contact"]), "yes" if each["reachable"] else "no", _ahead(each["until"], now),
            printable(each["user_agent"]) or "-",
        )
        for each in rows
    ]  # fmt: skip
    return table(heads, shown) if rows else ""


def registered(answer: Mapping[str, Any]) -> str:
    """With whom we are registered, and what they said."""
    from sbc.commands.status_text import table
    from sbc.observe.text import printable

    rows, now = answer["registrations"], answer["now"]
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
