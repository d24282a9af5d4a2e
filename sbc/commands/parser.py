"""How a module of ``sbc/commands/`` adds its commands to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]

# Exit statuses beside argparse's own 2: refused; taken, but what is broken in it is stopped; and that of
# a program whose reader has gone away, as the shell counts one that SIGPIPE ended.
GOOD, REFUSED, PARTLY, UNREAD = 0, 1, 3, 141


class Commands:
    """The commands of ``sbc``; a command is a function of the options that returns the exit status."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, command: Command, text: str) -> argparse.ArgumentParser:
        """A command that works on a configuration directory (``-c DIR``, by default this one)."""
        each = self._commands.add_parser(name, help=text, description=text)
        configured(each, command)
        return each

    def group(self, name: str, text: str, command: Command | None = None) -> Any:
        """A command with commands of its own, such as ``sbc certs bind``; add parsers to what is returned.

        Without one of them ``command`` is run, which may be asked for JSON.
        """
        if command is None:
            parser = self._commands.add_parser(name, help=text, description=text)
        else:
            parser = json_option(self.add(name, command, text))
        return parser.add_subparsers(required=command is None, metavar="COMMAND")


def configured(parser: argparse.ArgumentParser, command: Command) -> argparse.ArgumentParser:
    """Let ``parser`` run ``command`` on a configuration directory."""
    parser.set_defaults(command=command)
    # Suppressed, so that a command of a group does not undo a -c that stands before it.
    parser.add_argument(
        "-c", "--config", type=Path, default=argparse.SUPPRESS, metavar="DIR", help="configuration"
    )
    return parser


def json_option(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let ``parser`` take ``--json``."""
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
    return parser
