"""Markdown as our pages have it, to a manual page: roff with the macros of man(7), tables by tbl(1).

Of a link its text stays, for the pages lie together in the manual as they do in docs/; of one to another
host the address too. What a page says in code is shown bold within a line, and as it stands in a block.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_INLINE = re.compile(
    r"`([^`]+)`|\*\*(.+?)\*\*|(?<![\w*])\*(?!\s)([^*]+)\*(?![\w*])|\[([^\]]+)\]\(([^)\s]+)\)"
)
_ITEM = re.compile(r"(\s*)(?:[-*]|(\d+\.)) +(.*)")
_RULE = re.compile(r"\|[\s:|-]+\|").fullmatch
_FENCE = "```"
# Characters of a column but the last, at most; a manual is read in 80.
_WIDEST = 26


def roff(markdown: str) -> str:
    """The body of a manual page: sections, paragraphs, lists, tables and examples; no title."""
    return "\n".join(_blocks(markdown.splitlines())) + "\n"


def escaped(text: str) -> str:
    """``text`` as it is to be read, a hyphen as the one that is typed."""
    return text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")


def _blocks(lines: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        end = _end(lines, at)
        block = lines[at:end]
        first = block[0]
        if first.startswith("#"):
            yield _heading(first)
        elif first.lstrip().startswith(_FENCE):
            yield from _example(block)
        elif first.startswith("|"):
            yield from _table(block)
        elif _ITEM.match(first):
            yield from _item(block)
        elif first.strip():
            yield ".PP"
            yield from _text(" ".join(each.strip() for each in block))
        at = end


def _end(lines: list[str], at: int) -> int:
    """Where the block ends that begins at ``at``."""
    first = lines[at].lstrip()
    end = at + 1
    if first.startswith(_FENCE):
        while end < len(lines) and not lines[end].lstrip().startswith(_FENCE):
            end += 1
        return min(end + 1, len(lines))
    if first.startswith("#") or not first:
        return end
    table = first.startswith("|")
    while end < len(lines) and _goes_on(lines[end], table):
        end += 1
    return end


def _goes_on(line: str, table: bool) -> bool:
    if table:
        return line.startswith("|")
    return bool(line.strip()) and not line.lstrip().startswith(("#", "|", _FENCE)) and not _ITEM.match(line)


def _heading(line: str) -> str:
    marks, _, title = line.partition(" ")
    plain = _INLINE.sub(lambda found: next(each for each in found.groups() if each), title)
    if len(marks) <= 2:
        return f'.SH "{_quoted(plain.upper() if marks == "#" else plain)}"'
    return f'.SS "{_quoted(plain)}"'


def _quoted(text: str) -> str:
    return escaped(text).replace('"', "\\(dq")


def _example(block: list[str]) -> Iterator[str]:
    body = block[1:-1] if block[-1].lstrip().startswith(_FENCE) else block[1:]
    yield ".PP"
    yield ".RS 4"
    yield ".nf"
    yield from (_safe(escaped(line)) for line in body)
    yield ".fi"
    yield ".RE"


def _item(block: list[str]) -> Iterator[str]:
    found = _ITEM.match(block[0])
    assert found is not None, "a block of a list begins with an item"
    indent, number, first = found.groups()
    nested = len(indent) >= 2
    if nested:
        yield ".RS 4"
    yield f'.IP "{number or chr(92) + "(bu"}" 4'
    yield from _text(" ".join([first, *(each.strip() for each in block[1:])]))
    if nested:
        yield ".RE"


def _table(block: list[str]) -> Iterator[str]:
    rows = [_cells(line) for line in block if not _RULE(line)]
    count = max(map(len, rows))
    rows = [row + [""] * (count - len(row)) for row in rows]
    widths = [min(_WIDEST, max(2, *(len(row[at]) for row in rows))) for at in range(count - 1)]
    form = " ".join([*(f"lw({width}n)" for width in widths), "lx"])
    yield ".PP"
    yield ".TS"
    yield f"{form}."
    for row in rows:
        yield "\t".join("T{\n.ad l\n" + "\n".join(_text(cell)) + "\nT}" if cell else "" for cell in row)
    yield ".TE"


def _cells(line: str) -> list[str]:
    inner = line.strip().removeprefix("|").removesuffix("|")
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", inner)]


def _text(markdown: str) -> Iterator[str]:
    """A running text, a sentence or so a line."""
    for line in re.split(r"(?<=[.!?;:]) +", _inline(markdown)):
        yield _safe(line)


def _inline(text: str) -> str:
    parts, at = [], 0
    for found in _INLINE.finditer(text):
        parts.append(_plain(text[at : found.start()]))
        code, strong, slanted, link, target = found.groups()
        if code:
            parts.append(rf"\fB{escaped(code)}\fR")
        elif strong:
            parts.append(rf"\fB{_bare(strong)}\fR")
        elif slanted:
            parts.append(rf"\fI{_bare(slanted)}\fR")
        else:
            parts.append(_inline(link) + (f" <{escaped(target)}>" if "://" in target else ""))
        at = found.end()
    return "".join([*parts, _plain(text[at:])])


def _bare(text: str) -> str:
    """What is bold or slanted as a whole, without marks of its own."""
    return _plain(_INLINE.sub(lambda found: next(each for each in found.groups() if each), text))


def _plain(text: str) -> str:
    return text.replace("\\", "\\e")


def _safe(line: str) -> str:
    """No request, whatever it begins with."""
    return rf"\&{line}" if line.startswith((".", "'")) else line
