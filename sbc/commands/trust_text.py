"""What ``sbc trust`` prints: for each trunk and direction who accepts whom, until when, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sbc.commands.lines import wrapped
from sbc.observe.times import ago, left

_LABEL = 18
_TITLES = {"inbound": "INBOUND, the peer connects to us", "outbound": "OUTBOUND, we dial the peer"}
_KNOWN = {
    "": "not known; declare it with `peer_trusts`",
    "asks for none": "it asks for no certificate",
    "names none": "it asks for a certificate and names no CA",
}
_SHOWN_MOST = 5
_SHARES_MOST = 6

Row = Mapping[str, Any]


def render(trunks: Sequence[Row], now: float) -> str:
    """The views of ``sbc.observe.trust`` as JSON gives them, as text of at most 100 columns."""
    if not trunks:
        return "no trunk with TLS"
    return "\n\n".join("\n".join(_trunk(each, now)) for each in trunks)


def _trunk(view: Row, now: float) -> Iterator[str]:
    contact = f", contact: {view['contact']}" if view["contact"] else ""
    yield from wrapped(f"TRUNK {view['trunk']} ", f"TLS {view['mode']}{contact}")
    for warning in view["warnings"]:
        yield from wrapped("  ! ", warning)
    shares = [what if trunk == view["trunk"] else f"{trunk}: {what}" for trunk, what in view["shares"]]
    yield from _rows("its calls", shares[:_SHARES_MOST])
    for each in view["directions"]:
        yield ""
        yield f"  {_TITLES[each['direction']]}"
        yield from _direction(view, each, now)


def _direction(view: Row, side: Row, now: float) -> Iterator[str]:
    accepts = [f"{each['name']}: {_roll(each, now)}" for each in side["accepts"]]
    yield from _rows("we accept", accepts or ["any peer, without a certificate"])
    names = ", ".join(view["names"])
    if accepts:
        yield from _rows("  with names", [f"{names} ({view['name_match']})" if names else "not checked"])
        yield from _rows("  revocation", [view["revocation"]])
    ours = side["presents"]
    yield from _rows("we present", [f"{ours['name']}: {_roll(ours, now)}" if ours else "no certificate"])
    known = side["known_by"]
    accepted = [f"{each} ({known})" for each in side["peer_accepts"]] or [_KNOWN[known]]
    yield from _rows("the peer accepts", accepted)
    shown = [f"{_roll(each, now)}{_vouched(each)}" for each in side["shown"][:_SHOWN_MOST]]
    yield from _rows("the peer showed", shown or ["nothing yet"])
    yield from _rows("last good", [_good(side, now)])
    yield from _rows("last failure", _bad(side, now))


def _rows(label: str, values: Sequence[str]) -> Iterator[str]:
    for index, value in enumerate(values):
        yield from wrapped(f"    {label if not index else '':<{_LABEL}}", value)


def _roll(roll: Row, now: float) -> str:
    if not roll["not_after"]:
        return str(roll["subject"])
    contact = f", {roll['contact']}" if roll["contact"] else ""
    return f"{roll['subject']}, {left(roll['not_after'], now)}{contact}"


def _vouched(roll: Row) -> str:
    return ", REFUSED" if roll["name"] == "refused" else f", by trust {roll['name']}"


def _good(side: Row, now: float) -> str:
    good = side["good"]
    if good is None:
        return "never"
    return (
        f"{ago(good['at'], now)}, {good['remote']}, {good['version']} {good['group']}; {side['goods']} in all"
    )


def _bad(side: Row, now: float) -> list[str]:
    bad = side["bad"]
    if bad is None:
        return ["never"]
    alert = f", alert {bad['alert']}" if bad["alert"] else ""
    lines = [
        f"{ago(bad['at'], now)}, {bad['remote']}: {bad['kind']}{alert}; {side['bads']} in all",
        bad["detail"],
        f"remedy: {bad['remedy']}",
    ]
    return lines + ([f"line: {bad['where']}"] if bad["where"] else [])
