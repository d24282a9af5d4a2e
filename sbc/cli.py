"""The command ``sbc``; what it can do is in ``sbc/commands/``, a module for each subject."""

from __future__ import annotations

import argparse
import errno
import os
import sys
import warnings
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from sbc.base import ConfigError, LocalError
from sbc.commands import (
    acl,
    alert,
    blocklist,
    certs,
    checking,
    doctor,
    lab,
    limits,
    registrations,
    report,
    routing,
    running,
    support,
    trace,
    trunks,
    trust,
    users,
)
from sbc.commands.parser import REFUSED, UNREAD, Commands

PROGRAM = "sbc"
SUBJECTS = (
    running, alert, registrations, limits, trunks, acl, blocklist,
    checking, routing, users, certs, trust, doctor, trace, report, support, lab,
)  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit status (docs/commands.md has them)."""
    if not sys.warnoptions:
        # What libraries remark of a stranger's certificate names neither a file nor a remedy; we name both.
        warnings.simplefilter("ignore")
    if isinstance(sys.stdout, TextIOWrapper):
        # What the terminal has no character for is an escape, as on standard error: a peer chose it.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return _run(arguments)
        finally:
            if sys.stdout is not None:  # it is where the shell has closed it
                sys.stdout.flush()
    except BrokenPipeError:
        _leave(sys.stdout, sys.stderr)  # whoever read the output has seen enough
        return UNREAD
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _leave(sys.stdout)
        print(f"{PROGRAM}: what came of it cannot be written: {error.strerror}", file=sys.stderr)
        return REFUSED


def _leave(*streams: TextIO | None) -> None:
    """Let what is still buffered go nowhere: it must not fail once more at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        if stream is not None:
            os.dup2(nowhere, stream.fileno())


def _run(arguments: list[str] | None) -> int:
    options = command_line().parse_args(arguments)
    try:
        _check_directory(options.config)
        status: int = options.command(options)
        return status
    except ConfigError as error:
        print(error, file=sys.stderr)
        print(f"{_count(error)}; nothing was started or changed", file=sys.stderr)
    except LocalError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return REFUSED


def _check_directory(path: Path) -> None:
    if os.path.isfile(path):
        raise LocalError(f"-c {path} is a file: give the directory that it is in, -c {path.parent}")


def _count(error: ConfigError) -> str:
    count = sum(each.severity == "error" for each in error.diagnostics)
    return f"{count} mistake" + ("s" if count != 1 else "")


class _Version(argparse.Action):
    """What is imported to say so is imported only then."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from sbc.release import line

        print(line())
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Fails where its help cannot be written; some versions of argparse say nothing of that."""

    def _print_message(self, message: str, file: Any = None) -> None:
        if message:
            (file or sys.stderr).write(message)


def command_line() -> argparse.ArgumentParser:
    """The parser with every command."""
    parser = _Parser(prog=PROGRAM, description="Portcullis, a SIP Session Border Controller")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version, compiled or not")
    parser.set_defaults(config=Path("."), json=False)
    commands = Commands(parser)
    for subject in SUBJECTS:
        subject.add(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
