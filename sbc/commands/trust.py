"""``sbc trust``: the ledger of trust, both ways; ``sbc trust rehearse``: what a change of it would break."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from sbc.base import LocalError
from sbc.commands.parser import Commands, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add this command."""
    text = (
        "show for each trunk and direction who trusts whom, until when, and what fails; "
        "`sbc trust rehearse FILE...` says who would break under changed files"
    )
    each = json_option(commands.add("trust", _trust, text))
    each.add_argument("words", nargs="*", metavar="[TRUNK | rehearse FILE...]", help="this trunk alone")


def _trust(options: argparse.Namespace) -> int:
    first, *rest = options.words or [""]
    if first == "rehearse":
        return _rehearse(options, [Path(each) for each in rest])
    if rest:
        raise LocalError(f"sbc trust takes one trunk, not {len(options.words)}")
    from sbc.commands.trust_text import render

    answer = ask_running(options, "trust", trunk=first)
    print(json.dumps(answer, indent=2) if options.json else render(answer["trunks"], answer["now"]))
    return 0


def _rehearse(options: argparse.Namespace, files: list[Path]) -> int:
    from sbc.commands.rehearse import rehearsed, render

    answer = rehearsed(options.config, files)
    print(json.dumps(answer, indent=2) if options.json else render(answer))
    return 1 if answer["breaks"] else 0
