"""What ``sbc doctor`` prints: peer by peer, what was found, both chains, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sbc.commands.lines import wrapped
from sbc.observe.text import printable
from sbc.observe.times import left
from sbc.tls.names import listed

_MARKS = {"good": "ok", "note": "--", "warning": "!!", "bad": "XX"}

Row = Mapping[str, Any]


def render(diagnosis: Row) -> str:
    """A diagnosis of ``sbc.commands.doctor`` as text of at most 100 columns."""
    return "\n".join(_lines(diagnosis))


def _lines(diagnosis: Row) -> Iterator[str]:
    now, ours, trunk = diagnosis["now"], diagnosis["ours"], diagnosis["trunk"]
    mends = "line" if trunk is not None else "option"
    yield f"TRUNK {trunk}" if trunk is not None else "WITHOUT A CONFIGURATION"
    yield from wrapped("  we show: ", f"identity {ours['identity']}" if ours else "no certificate")
    yield from _chain(ours["chain"] if ours else (), now)
    for peer in diagnosis["peers"]:
        yield ""
        yield f"PEER {peer['peer']}"
        yield from _findings(peer["findings"], "  ", mends)
        for visit in peer["visits"]:
            yield from _visit(visit, now, mends)
    verdict = "healthy" if diagnosis["healthy"] else "NOT healthy: see the lines with XX"
    yield ""
    whom = trunk if trunk is not None else ", ".join(each["peer"] for each in diagnosis["peers"])
    yield f"{whom} is {verdict}"


def _visit(visit: Row, now: float, mends: str) -> Iterator[str]:
    yield f"  {visit['address']}"
    shown = visit["looked"] or visit["seen"]
    if shown is not None:
        unverified = "" if visit["seen"] else ", looked at WITHOUT verification"
        yield f"    the peer shows{unverified}:"
        yield from _chain(shown["chain"], now, "      ")
    yield from _findings(visit["findings"], "    ", mends)


def _chain(chain: Any, now: float, indent: str = "    ") -> Iterator[str]:
    for number, each in enumerate(chain, 1):
        if not each["not_after"]:
            yield f"{indent}{number}. {printable(each['subject'])}"
            continue
        remains = left(each["not_after"], now)
        kind = "a CA" if each["is_ca"] else f"for {' and '.join(each['purposes']) or 'neither purpose'}"
        issuer = "itself" if each["issuer"] == each["subject"] else each["issuer"]
        yield from wrapped(f"{indent}{number}. ", f"{each['subject']}, {kind}, {remains}, issued by {issuer}")
        if each["names"]:
            yield from wrapped(f"{indent}   names: ", listed(each["names"]))


def _findings(findings: Any, indent: str, mends: str) -> Iterator[str]:
    for each in findings:
        yield from wrapped(f"{indent}{_MARKS[each['level']]} ", each["text"])
        if each["remedy"]:
            yield from wrapped(f"{indent}   remedy: ", each["remedy"])
        if each["where"]:
            yield f"{indent}   {mends}: {each['where']}"
