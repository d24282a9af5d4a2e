"""``sbc run``, and what asks the running SBC: ``reload``, ``status``, ``calls``."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from sbc.commands.parser import GOOD, PARTLY, REFUSED, Commands, json_option


def add(commands: Commands) -> None:
    """Add these commands."""
    commands.add("run", _run, "start the SBC and stay")
    reload = json_option(commands.add("reload", _reload, "let the running SBC read its configuration again"))
    text = "also where no rule, no trunk, no hook or no row of a table is left"
    reload.add_argument("--force", action="store_true", help=text)
    for name, text in (("status", "listeners, trunks and counters"), ("calls", "the live calls")):
        each = json_option(commands.add(name, _show, f"show {text} of the running SBC"))
        each.set_defaults(verb=name)


def ask_running(options: argparse.Namespace, verb: str, **arguments: object) -> Any:
    """What the SBC that runs on this configuration answers to ``verb``; LocalError."""
    from sbc.config.control import control_path
    from sbc.net.system.control import ask

    return ask(control_path(options.config), verb, **arguments)


def _run(options: argparse.Namespace) -> int:
    from gevent import monkey

    # Hooks may sleep or fetch with ordinary libraries: under gevent that must not stop the others.
    monkey.patch_all()
    from sbc.net.tls.settings import settle_openssl

    settle_openssl()
    from sbc.app import Portcullis

    return Portcullis(options.config).run()


def _reload(options: argparse.Namespace) -> int:
    answer = ask_running(options, "reload", **({"force": True} if options.force else {}))
    status = REFUSED if not answer["changed"] else PARTLY if answer["broken"] else GOOD
    if options.json:
        print(json.dumps(answer, indent=2))
        return status
    *wrong, result = answer["lines"]
    for line in wrong:
        print(line, file=sys.stderr)
    print(result, file=sys.stderr if status == REFUSED else sys.stdout)
    return status


def _show(options: argparse.Namespace) -> int:
    from sbc.commands.status_text import render

    answer = ask_running(options, options.verb)
    print(json.dumps(answer, indent=2) if options.json else render(options.verb, answer))
    return 0
