"""``sbc run``, and what asks the running SBC: ``reload``, ``status``, ``calls``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from pathlib import Path
from typing import Any

from sbc.commands.history import add_history
from sbc.commands.parser import GOOD, PARTLY, REFUSED, Commands, configured, json_option


def add(commands: Commands) -> None:
    """Add these commands."""
    run = commands.add("run", _run, "start the SBC and stay")
    text = "the file of the journal, in the place of standard output; SIGUSR1 opens it anew"
    run.add_argument("--log", type=Path, metavar="FILE", help=text)
    reload = json_option(commands.add("reload", _reload, "let the running SBC read its configuration again"))
    text = "also where no rule, no trunk, no hook or no row of a table is left"
    reload.add_argument("--force", action="store_true", help=text)
    status = json_option(
        commands.add("status", _show, "show listeners, trunks and counters of the running SBC")
    )
    status.set_defaults(verb="status")
    calls = commands.group(
        "calls", "show the live calls of the running SBC, end one, or search those that are over", _show
    )
    text = "end a call: BYE to both sides, or CANCEL where nobody has answered yet"
    end = json_option(configured(calls.add_parser("end", help=text, description=text), _end_call))
    end.add_argument("call", metavar="ID", help="as `sbc calls` shows it")
    add_history(calls)


def ask_running(options: argparse.Namespace, verb: str, **arguments: object) -> Any:
    """What the SBC that runs on this configuration answers to ``verb``; LocalError."""
    from sbc.commands.asking import ask
    from sbc.config.control import control_path

    return ask(control_path(options.config), verb, **arguments)


def _run(options: argparse.Namespace) -> int:
    # Until they are heard, a log that is rotated or a reload that is asked for must not end us.
    for each in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(each, signal.SIG_IGN)
    load()
    from sbc.app import Portcullis

    return Portcullis(options.config, options.log).run()


def load() -> None:
    """Load all that an SBC is made of; gevent's patches come first, OpenSSL's settings second."""
    _patch()
    from sbc.net.tls.settings import configure_openssl

    configure_openssl()
    import sbc.app  # noqa: F401


def _patch() -> None:
    """Under gevent, hooks that sleep or fetch with ordinary libraries must not stop the others."""
    from gevent import events, monkey

    # Each of its 25 steps is announced to plug-ins, for which it would look through all installed packages.
    announced, events.notify_and_call_entry_points = events.notify_and_call_entry_points, events.notify
    try:
        monkey.patch_all()
    finally:
        events.notify_and_call_entry_points = announced


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

    verb = getattr(options, "verb", "calls")
    answer = ask_running(options, verb)
    print(json.dumps(answer, indent=2) if options.json else render(verb, answer))
    return 0


def _end_call(options: argparse.Namespace) -> int:
    answer = ask_running(options, "calls-end", call=options.call)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(f"call {answer['call']} from {answer['caller']} to {answer['called']} is ended")
    return 0
