"""A callee's 3xx: the places that it names, and what of them the caller may be told (RFC 3261 8.1.3.4, 21.3).

Where a place is followed, its URI is judged by the rules like one that was dialled, and never dialled itself.
Where it is passed on, the caller is told an address of ours that stands for it, so that its next call comes
through the rules too; only a trunk that exposes its places has them told as they are.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from dsl.addresses import Party, escape_user
from dsl.decision import Downgrade, Limit, Route
from sbc.b2bua.leg import Leg
from sbc.b2bua.translate import is_secure, redirect_contact
from sbc.base import PeerError
from sbc.policy.acl import Acl, why
from sbc.policy.downgrade import verdict
from sbc.sip.message import Response
from sbc.sip.uri import Uri, parse_name_addr

#: How many places one INVITE of a caller is tried at, beside the one that it was for.
MOST_FOLLOWED: Final = 5
# The other 3xx do not name the one who was called at another place: 305 names a proxy, 380 a service.
_NAMING: Final = frozenset((300, 301, 302))
_MOST_CONTACTS: Final = 20
_SCHEMES: Final = ("sip", "sips", "tel")

#: A place, such that a callee that names it in another spelling has named no other.
Place = tuple[str, str, int]


class Target(NamedTuple):
    """One place that a 3xx names; ``rank`` is its preference, 1 the highest, and ``q`` says so."""

    uri: Uri
    rank: float
    q: str


class Redirection(NamedTuple):
    """Why a call is one that a callee redirected: ``by`` is that callee's leg, ``called`` whom it was for.

    ``targets`` are where it may go, the first being where it goes now; ``seen`` is every place that the
    caller's INVITE was for, ``followed`` how many of them it went on to. What ``route`` demanded of the
    call's protection stays demanded, and the call still counts under ``limits``.
    """

    by: Leg
    called: str
    targets: tuple[Uri, ...]
    seen: frozenset[Place]
    followed: int
    route: Route
    limits: tuple[Limit, ...]


def place_of(uri: Uri) -> Place:
    """Which place a URI names."""
    party = uri.party
    return party.user, party.host, party.port


def targets_of(response: Response) -> list[Target]:
    """The places that a 3xx names, the preferred first; those that cannot be called are left out."""
    if response.status not in _NAMING:
        return []
    found = []
    for text in response.headers.values("Contact")[:_MOST_CONTACTS]:
        try:
            address = parse_name_addr(text)
        except PeerError:
            continue
        if address.uri.scheme in _SCHEMES:
            uri = Uri(**{**address.uri.parts(), "password": None, "headers": ""})
            found.append(_ranked(uri, address.param("q")))
    return sorted(found, key=_rank, reverse=True)


def _ranked(uri: Uri, q: str | None) -> Target:
    """``q`` is 0 to 1 with up to three decimals (RFC 3261 25.1); what is none of these says nothing."""
    if q is None or q[:1] not in ("0", "1") or not q.replace(".", "", 1).isdecimal() or not q.isascii():
        return Target(uri, 1.0, "")
    rank = float(q)
    return Target(uri, rank, f";q={q}") if rank <= 1.0 and len(q) <= 5 else Target(uri, 1.0, "")


def _rank(target: Target) -> float:
    return target.rank


def barred(acl: Acl, by: Leg, place: Uri, caller: Party, now: float) -> str:
    """Why the access list lets ``caller`` not go on to ``place``, "" where it does; what decides is counted.

    It is a call of the callee on ``by``, who redirected it, and comes from there. ``now``: POSIX seconds.
    """
    flow = by.flow
    rule = acl.judge(flow.listener, flow.remote.host, by.trunk.tenant or "", place.party, caller, now)
    if rule is None:
        return ""
    acl.decided(rule, now)
    return "" if rule.allow else why(rule)


def masked(targets: list[Target], leg: Leg) -> list[str]:
    """The Contacts by which the caller on ``leg`` reaches ``targets`` through us; none twice.

    A place without a user is nobody that we could be asked for.
    """
    made: dict[str, str] = {}
    for target in targets:
        party = target.uri.party
        if party.user:
            phone = ";user=phone" if party.type == "phone" else ""
            made.setdefault(leg.address_of(escape_user(party.user), phone), target.q)
    return [address + q for address, q in made.items()]


def exposed(targets: list[Target], secure: bool, policy: Downgrade) -> list[str]:
    """The Contacts of ``targets`` as they are, but for those that a caller over TLS may not be told."""
    found = []
    for target in targets:
        text = str(target.uri)
        contact = redirect_contact(text)
        if contact is not None and verdict(secure, is_secure(text), policy).outcome != "forbid":
            found.append(contact + target.q)
    return found
