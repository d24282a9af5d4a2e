"""The reference of the command line, as the parser has it.

``python -m sbc.commands.reference > docs/commands.md``
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from textwrap import fill

from sbc.cli import command_line

_ORIGIN = """# The commands

Written by `python -m sbc.commands.reference` from the command line's own parser. """
_HEAD = """Every command works on
a configuration directory, `-c DIR`, which is the present one by default. What is asked for goes
to standard output, what is wrong to standard error.

| exit status | what it means |
|---|---|
| 0 | all is well |
| 1 | refused: nothing was started or changed, or what was looked at is not well |
| 2 | the command was misspelled |
| 3 | taken in part (`check`, `reload`): the trunks that need what is broken are stopped or held |
| 141 | whoever read the output went away, such as `head` |
"""


def reference() -> str:
    """Every command with its options, in Markdown, no line over 120 characters."""
    return _ORIGIN + commands()


def commands() -> str:
    """The same without a title, and without a word on how it was made: for the manual."""
    return "\n".join([_HEAD, *_sections(command_line())])


def _sections(parser: argparse.ArgumentParser) -> Iterator[str]:
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if parser.description and parser.prog.count(" "):
        yield f"## `{parser.prog}`\n"
        said = parser.description[:1].upper() + parser.description[1:] + "."
        yield fill(said, 120, break_on_hyphens=False) + "\n"
        yield from _options(parser)
    for group in groups:
        for each in group.choices.values():
            yield from _sections(each)


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    shown = [
        each
        for each in parser._actions
        if each.help and each.help != argparse.SUPPRESS and each.dest not in ("help", "config")
    ]
    for each in shown:
        name = ", ".join(each.option_strings) or str(each.metavar or each.dest)
        if each.option_strings and each.nargs != 0:
            name += f" {each.metavar or each.dest.upper()}"
        yield fill(f"- `{name}`: {each.help}", 120, subsequent_indent="  ")
    if shown:
        yield ""


if __name__ == "__main__":
    print(reference(), end="")
