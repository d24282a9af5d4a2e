"""``sbc demo`` and ``sbc lab-pki``: the lab."""

from __future__ import annotations

import argparse
import time

from sbc.commands.parser import Commands


def add(commands: Commands) -> None:
    """Add these commands."""
    text = "place a real mutual-TLS call with SRTP through a lab SBC"
    commands.add("demo", _demo, text).add_argument(
        "--keep", action="store_true", help="leave the lab's files where they are"
    )
    commands.add("lab-pki", _lab_pki, "make the lab's certificates under tls/")


def _demo(options: argparse.Namespace) -> int:
    from sbc.demo.run import run

    return run(keep=options.keep)


def _lab_pki(options: argparse.Namespace) -> int:
    from sbc.demo.pki import write_lab

    write_lab(options.config, time.time())
    print(f"{options.config / 'tls'}: the lab's certificates are there")
    return 0
