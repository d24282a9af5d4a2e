"""What ``sbc status`` and ``sbc calls`` print: plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sbc.observe.text import printable

Row = Mapping[str, Any]


def render(verb: str, answer: Any) -> str:
    """The answer of the control socket to ``verb`` as text."""
    return _calls(answer) if verb == "calls" else _status(answer)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need be, two blanks apart."""
    cells = [list(heads)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _columns(rows: Sequence[Row], **columns: Callable[[Row], object]) -> str:
    return table(tuple(columns), [[cell(row) for cell in columns.values()] for row in rows])


def _status(status: Row) -> str:
    counters = status["counters"]
    head = (
        f"Portcullis {status['release']}, configuration {status['version']},"
        f" up {status['now'] - status['started']:.0f} s"
    )
    totals = (
        f"{len(status['calls'])} calls now, {counters['calls']} ended; {counters['handshakes']} handshakes,"
        f" {counters['handshake_failures']} refused; {counters['downgrades']} downgrades;"
        f" {status['transactions']} transactions, {status['free_media_ports']} media ports free"
    )
    listeners = _columns(
        status["listeners"],
        LISTENER=lambda each: each["name"],
        TRANSPORT=lambda each: each["transport"],
        ADDRESS=lambda each: each["address"],
        STATE=lambda each: each["state"],
        OPEN=lambda each: each["open"],
        HANDSHAKES=lambda each: each["handshakes"],
        REFUSED=lambda each: each["failures"] + each["refused"],
    )
    trunks = _columns(
        status["trunks"],
        TRUNK=lambda each: each["name"],
        LISTENER=lambda each: each["listener"],
        TLS=lambda each: each["mode"],
        SRTP=lambda each: each["srtp"],
        SIPS=lambda each: each["sips"],
        STATE=lambda each: each["state"],
        CALLS=lambda each: each["calls"],
    )
    parts = [head, totals, "", listeners, "", trunks]
    for each in status["trunks"]:
        if each["held"] or each["state"] == "quarantined":
            parts += ["", f"{'held' if each['held'] else 'quarantined'}: {each['name']}: {each['reason']}"]
    for each in status["trunks"]:
        if each["optional"]:
            parts += ["", f"optional: {each['name']}: {each['optional']}"]
    for each in status["failures"][:5]:
        who = f"{each['peer']} ({each['trunk'] or 'no trunk'})"
        parts += [
            "",
            f"refused: {who}: {each['kind']}: {printable(each['detail'])}",
            f"  remedy: {each['remedy']}",
        ]
        if each["where"]:
            parts.append(f"  line: {each['where']}")
    return "\n".join(parts)


def _calls(calls: Sequence[Row]) -> str:
    if not calls:
        return "no calls"
    return _columns(
        calls,
        CALL=lambda each: each["id"],
        FROM=lambda each: each["caller"],
        TO=lambda each: each["callee"],
        TRUNKS=lambda each: f"{each['a_trunk']} > {each['b_trunk'] or '-'}",
        STATE=lambda each: each["state"],
        TLS=lambda each: f"{each['a_tls'] or '-'} | {each['b_tls'] or '-'}",
        SRTP=lambda each: f"{each['a_srtp'] or '-'} | {each['b_srtp'] or '-'}",
    )
