"""``sbc certs``: the certificates of the running SBC."""

from __future__ import annotations

import argparse

from sbc.commands.parser import Commands, configured
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("certs", "look after the certificates of the running SBC")
    text = "renew the certificate of an identity that ACME orders, now"
    renew = configured(group.add_parser("renew", help=text, description=text), _renew)
    renew.add_argument("identity", help="its name in sbc.yaml")


def _renew(options: argparse.Namespace) -> int:
    print("\n".join(ask_running(options, "certs-renew", name=options.identity)["lines"]))
    return 0
