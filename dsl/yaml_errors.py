"""What is wrong with a file that is not YAML, in words for who wrote it, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence

from ruamel.yaml.error import MarkedYAMLError

Place = tuple[int, int]

_MESSAGES = (
    ("cannot start any token", "this character cannot stand here", "quote the whole value"),
    ("mapping values are not allowed", "a colon stands where none may be", "quote the value, or indent it"),
    ("could not find expected ':'", "a colon is missing after the key", "write `key: value`"),
    ("expected ',' or", "a list or mapping in brackets is not closed", "close it, or add the comma"),
    (
        "found undefined alias",
        "an alias names an anchor that does not exist",
        "put what begins with * in quotes; an anchor is defined with & above",
    ),
    (
        "expected alphabetic or numeric character",
        "* and & begin an alias or an anchor, and this names none",
        "put what begins with them in quotes",
    ),
    ("expected <block end>", "the indentation does not fit the lines above", "align it with its siblings"),
    ("found another document", "a second document (---) is in the file", "write one document a file"),
)


def explained(error: MarkedYAMLError, lines: Sequence[str]) -> tuple[Place, str, str]:
    """Line and column, from 1, what is wrong there, and a hint."""
    mark = error.problem_mark or error.context_mark
    place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    line = lines[place[0] - 1] if place[0] <= len(lines) else ""
    blanks = line[: len(line) - len(line.lstrip())]
    if "\t" in blanks:
        return (place[0], blanks.index("\t") + 1), "a tab indents this line", "YAML takes only spaces"
    if line[place[1] - 1 : place[1]] == "\t":
        return place, "a tab stands here", "YAML takes only spaces"
    if place[0] > len(lines) and error.context_mark:
        place = (error.context_mark.line + 1, error.context_mark.column + 1)
    if line[place[1] - 2 : place[1] - 1] in ("*", "&") and "alphabetic" in str(error.problem):
        place = (place[0], place[1] - 1)
    for part, message, hint in _MESSAGES:
        if part in str(error.problem):
            return place, message, hint
    return place, str(error.problem or error.context), ""
