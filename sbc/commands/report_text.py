"""What ``sbc report`` prints: a page to read, or rows for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, Final

from sbc.commands.lines import wrapped
from sbc.commands.status_text import table
from sbc.observe.text import printable

Row = Mapping[str, Any]

_COUNTS: Final = (
    "calls", "answered", "refused", "given_up", "challenged", "turned_away", "unverified",
    "downgrades_sips", "downgrades_srtp",
)  # fmt: skip
_VALUES: Final = ("signalling", "media", "soft_passes")


def render(report: Row) -> str:
    """The report as text."""
    return "\n".join(_lines(report))


def _lines(report: Row) -> Iterator[str]:
    answered = report["answered"]
    yield f"ENCRYPTION OF CALLS from {report['from']} to {report['to']}, days of {_zone(report)}"
    yield from wrapped("  read: ", ", ".join(report["files"]) or "no file is of that time")
    yield f"  {report['calls']} calls, {answered} answered; {report['turned_away']} turned away at once"
    yield f"  {_share(report['protected'], answered)} had TLS and SRTP on both legs"
    if report["unread"]:
        yield f"  !! {report['unread']} lines or files could not be read, and are not counted:"
        for each in report["problems"]:
            yield from wrapped("     ", each)
    yield from _ways(report["encryption"], answered)
    yield from _trunks(report["trunks"])
    if report["not_answered"]:
        yield ""
        rows = [(calls, printable(status)) for status, calls in report["not_answered"].items()]
        yield table(("NOT ANSWERED", "STATUS"), rows)


def _zone(report: Row) -> object:
    return report["zone"] or "the server's zone"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole} answered calls ({100 * part / whole:.1f} %)" if whole else "no answered call"


def _ways(ways: Any, answered: int) -> Iterator[str]:
    if not ways:
        return
    rows = [
        (
            each["calls"], f"{100 * each['calls'] / answered:.1f} %",
            *(printable(each[leg][what]) for leg in ("from", "to") for what in ("signalling", "media")),
        )
        for each in ways
    ]  # fmt: skip
    yield ""
    yield table(("ANSWERED", "SHARE", "CALLER'S LEG", "", "CALLEE'S LEG", ""), rows)


def _trunks(trunks: Any) -> Iterator[str]:
    for each in trunks:
        sips, srtp = each["downgrades_sips"], each["downgrades_srtp"]
        yield ""
        yield f"CALLS {each['leg'].upper()} {printable(each['trunk'] or 'nobody known')}: {each['calls']}"
        yield from wrapped("  what became of them    ", _outcomes(each))
        yield from wrapped("  signalling             ", _values(each["signalling"]))
        yield from wrapped("  media of the answered  ", _values(each["media"]))
        if each["unverified"]:
            yield f"  certificate unverified {each['unverified']}"
        if sips or srtp:
            yield f"  downgraded             {sips} of SIPS to no TLS, {srtp} of SRTP to RTP"
        if each["soft_passes"]:
            yield from wrapped("  revocation not known   ", _values(each["soft_passes"]))


def _outcomes(trunk: Row) -> str:
    said = {"answered": "answered", "refused": "refused", "given_up": "given up by the caller"}
    said |= {"challenged": "asked for a password", "turned_away": "turned away at once, not among the calls"}
    found = [f"{trunk[name]} {words}" for name, words in said.items() if trunk[name] or name == "answered"]
    return ", ".join(found)


def _values(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{calls} {value}" for value, calls in counts.items()) or "none"


def as_csv(report: Row) -> str:
    """One count a row: of the whole, of a way in which both legs were encrypted, or of a trunk."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("from", "to", "zone", "of", "leg", "what", "value", "calls"))
    head = report["from"], report["to"], report["zone"]
    for row in _rows(report):
        writer.writerow((*head, *map(_cell, row)))
    return text.getvalue()


def _rows(report: Row) -> Iterator[tuple[object, ...]]:
    for name in ("calls", "answered", "protected", "turned_away", "unread"):
        yield "all", "", name, "", report[name]
    for status, calls in report["not_answered"].items():
        yield "all", "", "not_answered", status, calls
    for way in report["encryption"]:
        a, b = way["from"], way["to"]
        value = f"{a['signalling']}, {a['media']} / {b['signalling']}, {b['media']}"
        yield "all", "both", "encryption", value, way["calls"]
    for each in report["trunks"]:
        for name in _COUNTS:
            yield each["trunk"], each["leg"], name, "", each[name]
        for name in _VALUES:
            for value, calls in each[name].items():
                yield each["trunk"], each["leg"], name, value, calls


def _cell(value: object) -> object:
    """``value``, and never a formula: a spreadsheet would run what begins like one."""
    if isinstance(value, str):
        text = printable(value)
        return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
    return value
