"""How a module of ``sbc/commands/`` adds its commands to the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

Command = Callable[[argparse.Namespace], int]


class Commands:
    """The commands of ``sbc``; a command is a function of the options that returns the exit status."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(self, name: str, command: Command, text: str) -> argparse.ArgumentParser:
        """A command that works on a configuration directory (``-c DIR``, by default this one)."""
        each = self._commands.add_parser(name, help=text, description=text)
        configured(each, command)
        return each

    def group(self, name: str, text: str) -> Any:
        """A command with commands of its own, such as ``sbc certs bind``; add parsers to what is returned."""
        return self._commands.add_parser(name, help=text, description=text).add_subparsers(
            required=True, metavar="COMMAND"
        )


def configured(parser: argparse.ArgumentParser, command: Command) -> argparse.ArgumentParser:
    """Let ``parser`` run ``command`` on a configuration directory."""
    parser.set_defaults(command=command)
    parser.add_argument("-c", "--config", type=Path, default=Path("."), metavar="DIR", help="configuration")
    return parser


def json_option(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Let ``parser`` take ``--json``."""
    parser.add_argument("--json", action="store_true", help="as JSON")
    return parser
