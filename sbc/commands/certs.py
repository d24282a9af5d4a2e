"""``sbc certs``: every certificate and its days left, and the steps of a rotation."""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sbc.base import LocalError
from sbc.commands.parser import Command, Commands, configured, json_option
from sbc.commands.running import ask_running


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("certs", "show and rotate the certificates of the running SBC", _show)

    def command(name: str, function: Command, text: str) -> argparse.ArgumentParser:
        each = configured(group.add_parser(name, help=text, description=text), function)
        each.add_argument("name", metavar="NAME", help="of an identity or a trust entry in sbc.yaml")
        return each

    stage = command("stage", _stage, "put a new certificate beside the old one, checked")
    stage.add_argument("--chain", type=Path, metavar="FILE", help="the new chain of an identity")
    stage.add_argument("--key", type=Path, metavar="FILE", help="its key; without it the key in use")
    stage.add_argument("--ca", type=Path, metavar="FILE", help="the new certificates of a trust entry")
    stage.add_argument(
        "--until", type=_date, metavar="YYYY-MM-DD", help="end of the window; 30 days, or a third of its life"
    )
    bind = command("bind", _bind, "show what is staged to one trunk, or to all")
    which = bind.add_mutually_exclusive_group(required=True)
    which.add_argument("trunk", nargs="?", metavar="TRUNK", help="the trunk")
    which.add_argument("--all", action="store_true", dest="every", help="every trunk that it is shown to")
    json_option(command("ready", _ready, "say which peers have the new one, and which need the old"))
    retire = command("retire", _retire, "let what is staged take the old one's place, once all are ready")
    retire.add_argument("--force", action="store_true", help="even if a peer still needs the old one")
    rollback = command("rollback", _rollback, "one step back: unbind, or after retiring the old one again")
    rollback.add_argument("trunk", nargs="?", metavar="TRUNK", help="this trunk alone")
    command("renew", _renew, "renew the certificate of an identity that ACME orders, now")


def _show(options: argparse.Namespace) -> int:
    from sbc.commands.status_text import certificates

    answer = ask_running(options, "certs")
    print(json.dumps(answer, indent=2) if options.json else certificates(answer))
    return 0


def _stage(options: argparse.Namespace) -> int:
    if (options.chain is None) == (options.ca is None) or (options.key is not None and options.chain is None):
        raise LocalError("give --chain FILE and --key FILE for an identity, or --ca FILE for a trust entry")
    running = _runs(options)
    if options.until is not None and not running:
        raise LocalError("--until is kept by the running SBC, and none answers; nothing was put in place")
    for line in _put(options):
        print(line, file=sys.stderr)
    if not running:
        print(f"{options.name}: staged; no Portcullis runs here, the next one begins the window")
        return 0
    return _say(ask_running(options, "certs-staged", name=options.name, until=options.until))


def _put(options: argparse.Namespace) -> list[str]:
    """Check and write the files; warnings."""
    from sbc.config import staging
    from sbc.config.load import build_snapshot

    now = time.time()
    snapshot = build_snapshot(options.config, now)
    settings, name = snapshot.settings, options.name.rpartition("/")[2]
    if options.ca is not None:
        entry = settings.trust.get(name)
        if entry is None:
            raise LocalError(f"no trust entry {name!r}; there are {', '.join(settings.trust) or 'none'}")
        return staging.stage_entry(entry, options.config, options.ca, now)
    identity = settings.identities.get(name)
    if identity is None:
        raise LocalError(f"no identity {name!r}; there are {', '.join(settings.identities) or 'none'}")
    roots = {subject for anchor in snapshot.anchors.values() for subject in anchor.subjects}
    return staging.stage_pair(identity, options.config, options.chain, options.key, now, roots)


def _runs(options: argparse.Namespace) -> bool:
    try:
        ask_running(options, "calls")
    except LocalError:
        return False
    return True


def _bind(options: argparse.Namespace) -> int:
    trunk = options.trunk or ""
    return _say(ask_running(options, "certs-bind", name=options.name, trunk=trunk, every=options.every))


def _ready(options: argparse.Namespace) -> int:
    answer = ask_running(options, "certs-ready", name=options.name)
    if not options.json:
        return _say(answer)
    print(json.dumps(answer, indent=2))
    return 0


def _retire(options: argparse.Namespace) -> int:
    answer = ask_running(options, "certs-retire", name=options.name, force=options.force)
    print(f"{options.name}: the new one is in place; the old one is kept as {', '.join(answer['kept'])}")
    return 0


def _rollback(options: argparse.Namespace) -> int:
    return _say(ask_running(options, "certs-rollback", name=options.name, trunk=options.trunk or ""))


def _renew(options: argparse.Namespace) -> int:
    print("\n".join(ask_running(options, "certs-renew", name=options.name)["lines"]))
    return 0


def _say(answer: dict[str, Any]) -> int:
    from sbc.commands.status_text import readiness

    print(readiness(answer))
    return 0


def _date(text: str) -> float:
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date: write YYYY-MM-DD") from None
