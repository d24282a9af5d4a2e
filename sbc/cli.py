"""The command ``sbc``: run, check, reload, status, calls, demo, lab-pki."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from sbc.base import ConfigError, LocalError

PROGRAM = "sbc"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (0 good, 1 refused, 2 misused)."""
    options = _parser().parse_args(arguments)
    try:
        status: int = options.command(options)
        return status
    except ConfigError as error:
        print(error, file=sys.stderr)
        print(f"{_count(error)}; nothing was started or changed", file=sys.stderr)
    except LocalError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return 1


def _count(error: ConfigError) -> str:
    count = sum(each.severity == "error" for each in error.diagnostics)
    return f"{count} mistake" + ("s" if count != 1 else "")


class _Version(argparse.Action):
    """What is imported to say so is imported only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from sbc.release import line

        print(line())
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description="Portcullis, a SIP Session Border Controller")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version, compiled or not")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        each = commands.add_parser(name, help=text, description=text)
        each.set_defaults(command=function)
        return each

    configured = [
        command("run", _run, "start the SBC and stay"),
        command("check", _check, "say every mistake in the configuration"),
        command("reload", _reload, "let the running SBC read its configuration again"),
    ]
    for name, text in (("status", "listeners, trunks and counters"), ("calls", "the live calls")):
        each = command(name, _ask, f"show {text} of the running SBC")
        each.set_defaults(verb=name)
        each.add_argument("--json", action="store_true", help="as JSON")
        configured.append(each)
    for each in configured:
        each.add_argument("-c", "--config", type=Path, default=Path("."), metavar="DIR", help="configuration")
    demo = command("demo", _demo, "place a real mutual-TLS call with SRTP through a lab SBC")
    demo.add_argument("--keep", action="store_true", help="leave the lab's files where they are")
    lab = command("lab-pki", _lab_pki, "make the lab's certificates under tls/")
    lab.add_argument("-c", "--config", type=Path, default=Path("."), metavar="DIR", help="configuration")
    return parser


def _run(options: argparse.Namespace) -> int:
    from gevent import monkey

    # Hooks may sleep or fetch with ordinary libraries: under gevent that must not stop the others.
    monkey.patch_all()
    from sbc.app import Portcullis

    return Portcullis(options.config).run()


def _check(options: argparse.Namespace) -> int:
    from sbc.config.load import build_snapshot

    snapshot = build_snapshot(options.config, time.time())
    for warning in snapshot.warnings:
        print(warning)
    settings = snapshot.settings
    print(
        f"{options.config}: good: {len(settings.listeners)} listeners, {len(snapshot.trunks)} trunks,"
        f" {len(snapshot.rules.rules)} rules, {len(snapshot.hooks)} hooks; version {snapshot.version}"
    )
    return 0


def _control(options: argparse.Namespace) -> Path:
    from sbc.config.control import control_path

    return control_path(options.config)


def _reload(options: argparse.Namespace) -> int:
    from sbc.net.control import ask

    answer = ask(_control(options), "reload")
    print("\n".join(answer["lines"]))
    return 0 if answer["changed"] else 1


def _ask(options: argparse.Namespace) -> int:
    from sbc.net.control import ask
    from sbc.tables import render

    answer = ask(_control(options), options.verb)
    if options.json:
        print(json.dumps(answer, indent=2))
    else:
        print(render(options.verb, answer))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from sbc.demo.run import run

    return run(keep=options.keep)


def _lab_pki(options: argparse.Namespace) -> int:
    from sbc.demo.pki import write_lab

    write_lab(options.config, time.time())
    print(f"{options.config / 'tls'}: the lab's certificates are there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
