"""What ``sbc status`` and ``sbc calls`` print: plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def render(verb: str, answer: Any) -> str:
    """The answer of the control socket to ``verb`` as text."""
    return _calls(answer) if verb == "calls" else _status(answer)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need be, two blanks apart."""
    cells = [list(heads)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _status(status: Mapping[str, Any]) -> str:
    counters = status["counters"]
    head = (
        f"Portcullis {status['release']}, configuration {status['version']},"
        f" up {status['now'] - status['started']:.0f} s"
    )
    totals = (
        f"{len(status['calls'])} calls now, {counters['calls']} ended; {counters['handshakes']} handshakes,"
        f" {counters['handshake_failures']} refused; {counters['downgrades']} downgrades"
    )
    listeners = table(
        ("LISTENER", "TRANSPORT", "ADDRESS", "STATE", "OPEN", "HANDSHAKES", "REFUSED"),
        [
            (each["name"], each["transport"], each["address"], each["state"], each["open"], each["handshakes"], each["failures"])
            for each in status["listeners"]
        ],
    )  # fmt: skip
    trunks = table(
        ("TRUNK", "LISTENER", "TLS", "SRTP", "SIPS", "STATE", "CALLS"),
        [
            (each["name"], each["listener"], each["mode"], each["srtp"], each["sips"], each["state"], each["calls"])
            for each in status["trunks"]
        ],
    )  # fmt: skip
    parts = [head, totals, "", listeners, "", trunks]
    for failure in status["failures"][:5]:
        parts += [
            "",
            f"refused: {failure['peer']} ({failure['trunk'] or 'no trunk'}): {failure['kind']}: {failure['detail']}",
        ]
        parts += [f"  remedy: {failure['remedy']}"]
    return "\n".join(parts)


def _calls(calls: Sequence[Mapping[str, Any]]) -> str:
    if not calls:
        return "no calls"
    return table(
        ("CALL", "FROM", "TO", "TRUNKS", "STATE", "TLS", "SRTP"),
        [
            (
                each["id"], each["caller"], each["callee"], f"{each['a_trunk']} > {each['b_trunk']}", each["state"],
                f"{each['a_tls'] or '-'} | {each['b_tls'] or '-'}", f"{each['a_srtp'] or '-'} | {each['b_srtp'] or '-'}",
            )
            for each in calls
        ],
    )  # fmt: skip
