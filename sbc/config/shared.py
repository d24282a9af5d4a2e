"""Trunks that share an address: what tells each one's requests, and where nothing does.

Two trunks share an address where some address lies in `sources` of both, or where they have the same peers;
on a TLS listener only if what they demand of a certificate is the same, for otherwise that tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dsl.breath import breathe
from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.config.customers import customer, demands
from sbc.config.model import Listener, Trunk
from sbc.config.schema import Loc
from sbc.tls.sources import share_addresses


class _Claim(NamedTuple):
    """Numbers of one length under one pair of hosts that a trunk asks for; "" where it asks for none."""

    low: str
    high: str
    trunk: TrunkFile
    loc: Loc


def check_shared(settings: SettingsFile, trunks: list[TrunkFile]) -> Iterator[Diagnostic]:
    """Requests that two trunks of one address claim with the same right; each once, at the later file."""
    listeners = settings.value.listeners
    claims: dict[tuple[object, ...], list[_Claim]] = {}
    for trunk in trunks:
        value = trunk.value
        listener = listeners.get(value.listener)
        if listener is None or not trunk.right("listener", "sources", "match", "register", "tls", "peers"):
            continue
        breathe()
        place = (value.listener, demands(value, listener))
        for key, claim in _claims(trunk, listener):
            claims.setdefault((*place, *key), []).append(claim)
    told: set[tuple[str, str]] = set()
    for some in claims.values():
        for one, other in _overlapping(some):
            pair = (one.trunk.value.trunk, other.trunk.value.trunk)
            if pair not in told and _share(one.trunk.value, other.trunk.value):
                told.add(pair)
                yield _mistake(one, other)


def _claims(trunk: TrunkFile, listener: Listener) -> Iterator[tuple[tuple[object, ...], _Claim]]:
    """All that a trunk claims: what has the same key may be claimed twice."""
    value = trunk.value
    known, match = customer(value), value.match
    if known.contact and match is None:
        yield ("contact",), _Claim(known.contact, known.contact, trunk, ("register", "user"))
    if match is None:
        # Whoever registers over a connection is told by it; over TLS and TCP others are as they were.
        if known.registers and not known.contact and listener.transport == "udp":
            yield ("bulk",), _Claim("", "", trunk, ("register",))
        return
    for to_host in known.to_hosts or ("",):
        for from_host in known.from_hosts or ("",):
            if not known.numbers:
                loc = ("match", "to.host" if to_host else "from.host")
                yield ("hosts", to_host, from_host), _Claim("", "", trunk, loc)
            for index, numbers in enumerate(known.numbers):
                claim = _Claim(numbers.low, numbers.high or numbers.low, trunk, _place(trunk, index))
                yield ("number", to_host, from_host, len(numbers.low)), claim


def _place(trunk: TrunkFile, index: int) -> Loc:
    """Where a trunk's number stands, which may be the only one."""
    given = trunk.document.data["match"]["number"]
    return ("match", "number", index) if isinstance(given, list) else ("match", "number")


def _overlapping(claims: list[_Claim]) -> Iterator[tuple[_Claim, _Claim]]:
    """The pairs of different trunks whose numbers overlap; all are of one length."""
    open_: list[_Claim] = []
    for claim in sorted(claims, key=lambda each: (each.low, each.high)):
        breathe()
        open_ = [each for each in open_ if each.high >= claim.low]
        for each in open_:
            if each.trunk.value.trunk != claim.trunk.value.trunk:
                first, second = sorted((each, claim), key=lambda one: one.trunk.document.path)
                yield first, second
        open_.append(claim)


def _share(one: Trunk, other: Trunk) -> bool:
    hosts = {peer.host.lower() for peer in one.peers}
    same = bool(hosts) and hosts == {peer.host.lower() for peer in other.peers}
    return same or share_addresses(one.sources, other.sources)


def _mistake(known: _Claim, claim: _Claim) -> Diagnostic:
    name, loc = known.trunk.value.trunk, claim.loc
    line = known.trunk.document.place(known.loc)[0]
    there = f"{known.trunk.document.path}:{line}"
    if loc[0] == "register":
        what = f"user {claim.low!r}" if claim.low else "a bulk registration"
        hint = f'{there} has it too, at the same address: write `match` in both, such as number: ["+4930100"]'
        return claim.trunk.error(loc, f"{what} is also that of trunk {name!r}", hint, key=True)
    what = "number" if claim.low else str(loc[1])
    both = claim.low if claim.low == known.low else max(claim.low, known.low)
    shown = f"{what} {both}" if both else f"this {what}"
    hint = f"{there} has it too, at the same address: leave it to one of them, or add what tells them apart"
    return claim.trunk.error(loc, f"{shown} is also that of trunk {name!r}", hint)
