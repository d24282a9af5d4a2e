"""The demo's SIP ladder: who sent what to whom, over two legs, in the order in which it happened."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sbc.demo.link import Exchange
from sbc.demo.paint import Paint
from sbc.observe.trace.rung import arrow, describe, style

WIDTH = 26


class Rung(NamedTuple):
    """One message: when, on which side of the middle column, its direction, what it was."""

    at: float
    left: bool
    rightward: bool
    text: str
    style: str


def rungs(left: Iterable[Exchange], right: Iterable[Exchange]) -> list[Rung]:
    """The messages of the agents left and right of the SBC, in time order."""
    found = [_rung(each, True) for each in left] + [_rung(each, False) for each in right]
    return sorted(found, key=lambda rung: rung.at)


def draw(left: str, middle: str, right: str, ladder: list[Rung], paint: Paint) -> list[str]:
    """The ladder as lines of text; times are seconds since its first message."""
    bar = "│" if paint.unicode else "|"
    heads = f"{'':9}{left:<{WIDTH}}{middle:^{1}}"
    lines = [paint("bold", heads + f"{right:>{WIDTH + 1 - len(middle) + 1}}")]
    begun = ladder[0].at if ladder else 0.0
    for rung in ladder:
        arrow = _arrow(rung, paint)
        empty = " " * WIDTH
        near, far = (arrow, empty) if rung.left else (empty, arrow)
        lines.append(f"{paint('dim', f'{rung.at - begun:7.3f}')}  {bar}{near}{bar}{far}{bar}")
    return lines


def _rung(exchange: Exchange, left: bool) -> Rung:
    message = exchange.message
    return Rung(exchange.at, left, exchange.outgoing == left, describe(message), style(message))


def _arrow(rung: Rung, paint: Paint) -> str:
    return paint(rung.style, arrow(rung.text, rung.rightward, WIDTH, paint.unicode))
