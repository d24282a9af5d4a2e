"""``sbc trust``: the ledger of trust, for each trunk and direction."""

from __future__ import annotations

import argparse
import json

from sbc.commands.parser import Commands, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add this command."""
    text = "show for each trunk and direction who trusts whom, until when, and what fails"
    each = json_option(commands.add("trust", _trust, text))
    each.add_argument("trunk", nargs="?", metavar="TRUNK", help="this trunk alone")


def _trust(options: argparse.Namespace) -> int:
    from sbc.commands.trust_text import render

    answer = ask_running(options, "trust", trunk=options.trunk or "")
    print(json.dumps(answer, indent=2) if options.json else render(answer["trunks"], answer["now"]))
    return 0
