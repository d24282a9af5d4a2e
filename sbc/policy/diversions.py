"""Where a call has been, in the header that a trunk's peers read: Diversion and History-Info (RFC 7544).

Diversion (RFC 5806) names each who diverted and why, the last one first. History-Info (RFC 7044) names each
place that the call was for, the first one first, and a place that it was diverted to says why (``cause``, RFC
4458). So the reason of one who diverted is the cause of the next place, and the last place is where the call
goes now. Older History-Info has it in a Reason of the one who diverted (RFC 4244).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from sbc.base import PeerError
from sbc.sip.grammar import decimal, quote, split_commas
from sbc.sip.uri import Uri, parse_name_addr

Field = tuple[str, str]
Diverted = Literal["pass", "diversion", "history-info", "none"]

DIVERSION: Final = "Diversion"
HISTORY: Final = "History-Info"
#: Entries that are read; a call that has been diverted more often tells the last ones.
MOST: Final = 20

# RFC 7544 5 and 6: those of Diversion that say no more than that it was diverted are 404.
_CAUSES: Final = {
    "unconditional": 302, "user-busy": 486, "no-answer": 408, "deflection": 480, "unavailable": 503,
    "unknown": 404, "time-of-day": 404, "do-not-disturb": 404, "follow-me": 404, "out-of-service": 404,
    "away": 404,
}  # fmt: skip
_REASONS: Final = {
    302: "unconditional", 486: "user-busy", 408: "no-answer", 480: "deflection", 487: "deflection",
    503: "unavailable", 404: "unknown",
}  # fmt: skip
_TOLD: Final = 512  # characters of a URI's headers in which a reason is looked for
_UNKNOWN: Final = "unknown.invalid"  # the host of a place that nobody has told us
_code: Final = re.compile(r"cause(?:%3D|=)([0-9]{3})", re.IGNORECASE).search


_withheld: Final = re.compile(r"privacy=(?!none)", re.IGNORECASE).search


class Diverter(NamedTuple):
    """One who diverted the call, for the ``cause``, the last of so many ``times``.

    ``withheld``: who it is, is not to be shown.
    """

    address: str
    cause: int
    withheld: bool
    times: int = 1


def converted(fields: list[Field], wanted: Diverted, target: str) -> list[Field]:
    """``fields`` with where the call has been in the header that is ``wanted``; it goes to ``target``."""
    if wanted == "pass" or not any([name in (DIVERSION, HISTORY) for name, _ in fields]):
        return fields
    rest = [field for field in fields if field[0] not in (DIVERSION, HISTORY)]
    if wanted == "none":
        return rest
    name, other = (DIVERSION, HISTORY) if wanted == "diversion" else (HISTORY, DIVERSION)
    kept = [field for field in fields if field[0] == name]
    if kept:
        return rest + kept
    values = [value for each, line in fields if each == other for value in split_commas(line)]
    if name == DIVERSION:
        return rest + [(DIVERSION, each) for each in _as_diversion(read_history(values[-MOST:]))]
    found = read_diversion(values[:MOST])
    return rest + ([(HISTORY, ", ".join(_as_history(found, target)))] if found else [])


def with_redirect(fields: list[Field], wanted: Diverted, user: str, place: str) -> list[Field]:
    """``fields`` with one more who diverted the call: whose redirect we follow. ``user`` is escaped already.

    It is told at our host, to peers that read such headers alone.
    """
    if not user or wanted not in ("diversion", "history-info"):
        return fields
    return [(DIVERSION, f"<sip:{user}@{place}>;reason=unconditional;privacy=off;counter=1"), *fields]


def read_diversion(values: Iterable[str]) -> list[Diverter]:
    """Who diverted, the first one first; what cannot be read is left out."""
    found: list[Diverter] = []
    for value in values:
        try:
            address = parse_name_addr(value)
        except PeerError:
            continue
        reason = (address.param("reason") or "unknown").strip('"').lower()
        withheld = (address.param("privacy") or "off").strip('"').lower() != "off"
        count = decimal(address.param("counter") or "") or 1
        found.append(
            Diverter(
                _named(address.display, address.uri), _CAUSES.get(reason, 404), withheld, min(count, MOST)
            )
        )
    found.reverse()
    return found


def read_history(values: Iterable[str]) -> list[Diverter]:
    """Who diverted, the first one first; places that the call was only sent on to have diverted nothing."""
    places: list[tuple[str, str, Uri]] = []  # index, the address as it is shown, the whole URI
    found: list[Diverter] = []
    missing = 0
    for value in values:
        try:
            address = parse_name_addr(value)
        except PeerError:
            continue
        came_from = _before(
            address.param("mp") or address.param("rc") or "", address.param("index") or "", places
        )
        if came_from is not None:
            _, shown, uri = came_from
            cause = _cause(address.uri, uri)
            if cause is not None and uri.host == _UNKNOWN:
                missing += 1
            elif cause is not None:
                found.append(Diverter(shown, cause, _withheld(uri.headers) is not None, 1 + missing))
                missing = 0
        places.append((address.param("index") or "", _named(address.display, address.uri), address.uri))
    return found


def _before(parent: str, index: str, places: list[tuple[str, str, Uri]]) -> tuple[str, str, Uri] | None:
    """The place that the call came from: the one that is named, or the index of which this one continues."""
    for wanted in (parent, index.rpartition(".")[0]):
        for place in reversed(places):
            if wanted and place[0] == wanted:
                return place
    return places[-1] if places else None


def _cause(there: Uri, here: Uri) -> int | None:
    """Why the call went from ``here`` to ``there``; None where it was not diverted."""
    cause = decimal(there.param("cause") or "")
    for each in here.headers[:_TOLD].split("&") if cause is None else ():
        name, _, value = each.partition("=")
        match = _code(value) if name.lower() == "reason" and value[:3].upper() == "SIP" else None
        if match is not None:
            cause = int(match[1])
            break
    return cause if cause in _REASONS else None


def _named(display: str, uri: Uri) -> str:
    """A name-addr with what says who somebody is, and nothing of why it is there."""
    params = tuple([each for each in uri.params if each[0].lower() != "cause"])
    bare = Uri(uri.scheme, uri.user, None, uri.host, uri.port, params)
    return f"{quote(display)} <{bare}>" if display else f"<{bare}>"


def _as_diversion(diverters: list[Diverter]) -> list[str]:
    return [
        f"{each.address};reason={_REASONS[each.cause]};privacy={'full' if each.withheld else 'off'}"
        f";counter={each.times}"
        for each in reversed(diverters)
    ]


def _as_history(diverters: list[Diverter], target: str) -> list[str]:
    """The places, each a level deeper than the one before; what nobody has told is ``unknown``."""
    entries: list[str] = []
    index, cause = "1", 0

    def put(address: str, withheld: bool, why: int) -> None:
        nonlocal index, cause
        if cause:
            address, index, came = _because(address, cause), f"{index}.1", index
            behind = f";index={index};mp={came}"
        else:
            behind = f";index={index}"
        entries.append(f"{_withholding(address) if withheld else address}{behind}")
        cause = why

    for each in diverters:
        for _ in range(min(each.times - 1, MOST - len(entries))):
            put(f"<sip:unknown@{_UNKNOWN}>", False, 404)
        put(each.address, each.withheld, each.cause)
    put(f"<{target}>", False, 0)
    return entries


def _because(address: str, cause: int) -> str:
    return f"{address[:-1]};cause={cause}>"


def _withholding(address: str) -> str:
    return f"{address[:-1]}?Privacy=history>"
