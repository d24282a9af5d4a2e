"""What bash completes behind ``sbc``, made from the command line's own parser.

``python -m sbc.commands.printed.completion`` prints it. It is a table and a walk through it: nothing of ours
is run when somebody types a tab, so a broken configuration or a missing right never gets in the way.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from shlex import quote

from sbc.cli import PROGRAM, command_line

# What an argument is, by how the help calls it; a trunk mostly has the name of its file.
_KINDS = (("TRUNK", "trunk"), ("DIR", "folder"), ("FILE", "file"))

# Not by `compgen -W`, which would run what a file's name says: it expands its words as a command line.
_WALK = """\
_{program}() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} path={program} before= dir=. at each kind words=()
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        each=${{COMP_WORDS[at]}}
        if [ "$each" = = ]; then
            continue
        elif [ -n "$before" ]; then
            case $before in -c | --config) dir=$each ;; esac
            before=
        elif [ -n "${{_{program}_value["$path $each"]}}" ]; then
            before=$each
        elif [ -n "${{_{program}_words["$path $each"]}}" ]; then
            path="$path $each"
        fi
    done
    [ "$word" = = ] && word=
    if [ -n "$before" ]; then
        kind=${{_{program}_value["$path $before"]}}
    elif [[ $word == -* ]]; then
        kind="words ${{_{program}_options["$path"]}}"
    else
        kind=${{_{program}_words["$path"]}}
    fi
    case $kind in
        folder) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        trunk)
            for each in "${{dir/#\\~/$HOME}}"/trunks.d/*.yaml; do
                each=${{each##*/}}
                [ "$each" = "*.yaml" ] || words+=("$(printf %q "${{each%.yaml}}")")
            done
            ;;
        words*) read -ra words <<<"${{kind#words}}" ;;
    esac
    for each in "${{words[@]}}"; do
        [[ $each != "$word"* ]] || COMPREPLY+=("$each")
    done
}}
complete -F _{program} {program}
"""


def completion() -> str:
    """The whole file, for /usr/share/bash-completion/completions."""
    commands = list(_commands(command_line(), PROGRAM))
    tables = (
        ("words", {path: _words(parser) for path, parser in commands}),
        ("options", {path: " ".join(_options(parser)) for path, parser in commands}),
        ("value", {f"{path} {name}": kind for path, each in commands for name, kind in _values(each)}),
    )
    lines = [f"# bash completes {PROGRAM}(8) by this; written from its parser.", ""]
    for name, table in tables:
        lines.append(f"declare -gA _{PROGRAM}_{name}=(")
        lines += [f"    [{quote(key)}]={quote(value)}" for key, value in table.items()]
        lines.append(")")
    return "\n".join([*lines, "", _WALK.format(program=PROGRAM)])


def _commands(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    yield path, parser
    for name, each in _choices(parser).items():
        yield from _commands(each, f"{path} {name}")


def _choices(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    groups = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    return {name: each for group in groups for name, each in group.choices.items()}


def _words(parser: argparse.ArgumentParser) -> str:
    """What may stand where no option does: commands, or what the first argument is."""
    if commands := _choices(parser):
        return f"words {' '.join(commands)}"
    first = next((each for each in parser._actions if not each.option_strings), None)
    return _kind(first) if first is not None else "words"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    for each in parser._actions:
        if each.help != argparse.SUPPRESS:
            yield from each.option_strings


def _values(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Options that take a value, and of what kind it is."""
    for each in parser._actions:
        if each.option_strings and each.nargs != 0:
            for name in each.option_strings:
                yield name, _kind(each)


def _kind(action: argparse.Action) -> str:
    if action.choices is not None:
        return f"words {' '.join(map(str, action.choices))}"
    if action.dest == "trunk":
        return "trunk"
    return next((kind for word, kind in _KINDS if word in str(action.metavar)), "words")


if __name__ == "__main__":
    print(completion(), end="")
