"""Who is believed when it says who a user is, and who is told (RFC 3325).

A network asserts who its users are with P-Asserted-Identity. What is worth believing of that, and whom it may
be told to, is a matter of agreements between networks, which each trunk has for either direction:

    in   trusted    its peers are believed, and what they assert goes on
         screened   what they say is a claim: rules see it, and what goes on is what a rule asserts
         none       nobody listens
    out  trusted    told everything, and that it is to be withheld: the peer sees to that (RFC 3325 7)
         screened   told who it is unless the user withholds it; whose network it was stays here
         none       told nothing

Without a word of the trunk a peer is trusted both ways where its certificate was verified, else not at all; a
phone never is, for it is a user's and vouches for nobody.
Within, an identity is a P-Asserted-Identity of one value, whatever header it came in: a peer that writes
P-Preferred-Identity or Remote-Party-ID instead is understood, and one that reads these is told by them.
"""

from __future__ import annotations

from typing import Final, Literal

from dsl.asserted import (
    ASSERTED,
    PREFERRED,
    REMOTE_PARTY,
    SAYING,
    Said,
    is_screened,
    is_withheld,
    party_of,
    read_said,
)
from sbc.policy.privacy import asked, perform
from sbc.sip.grammar import quote
from sbc.sip.headers import Headers

Field = tuple[str, str]
Trust = Literal["trusted", "screened", "none"]
Written = Literal["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"]
Party = Literal["calling", "called"]

_ASSERTED: Final = ASSERTED.lower()
_PREFERRED: Final = PREFERRED.lower()
_REMOTE_PARTY: Final = REMOTE_PARTY.lower()
#: The headers that say who a user is, canonical.
SAYING_WHO: Final = frozenset((_ASSERTED, _PREFERRED, _REMOTE_PARTY))
#: Who asks for one of these does not want to be known by a number that its network vouches for.
_WITHHOLDING: Final = frozenset(("id", "user", "header"))


class Boundary:
    """What lies between the leg that a message came from and the one that it goes on to.

    ``masked``: hosts of the other side are not for the peer. ``written`` is the header by which the peer is
    told who a user is, ``place`` our host on that leg.
    """

    __slots__ = ("believed", "masked", "place", "told", "written")

    def __init__(self, believed: Trust, told: Trust, masked: bool, written: Written, place: str) -> None:
        self.believed = believed
        self.told = told
        self.masked = masked
        self.written = written
        self.place = place


def taken(headers: Headers, believed: Trust, party: Party) -> list[Field]:
    """What a message says of who its sender is, where that is believed; and that it is to be withheld."""
    first = headers.first
    if not (_ASSERTED in first or _PREFERRED in first or _REMOTE_PARTY in first):
        return []
    fields: list[Field] = []
    if REMOTE_PARTY in headers and "Privacy" not in headers:
        said = read_said(headers.get(REMOTE_PARTY) or "")
        if said is not None and is_withheld(said) and party_of(said, party) == party:
            fields.append(("Privacy", "id"))
    if believed == "trusted":
        fields += [(ASSERTED, written(each)) for each in _asserted(headers, party)]
    return fields


def _asserted(headers: Headers, party: Party) -> list[Said]:
    """At most one SIP address and one number (RFC 3325 9.1), of the first header that says any.

    Its first value is the one that rules see; where it cannot be read none of the others counts.
    """
    for name in SAYING:
        first = read_said(headers.get(name) or "")
        if first is None or (name == REMOTE_PARTY and not _counts(first, party)):
            continue
        found = [first]
        for value in headers.values(name) if name != REMOTE_PARTY else ():
            said = read_said(value)
            if said is not None and (said.party.scheme == "tel") is not (first.party.scheme == "tel"):
                found.append(said)
                break
        return found
    return []


def _counts(said: Said, party: Party) -> bool:
    return is_screened(said) and party_of(said, party) == party


def written(said: Said) -> str:
    """An identity as a header writes it."""
    return f"{quote(said.display)} <{said.uri}>" if said.display else f"<{said.uri}>"


def ours(user: str, display: str, place: str, phone: bool) -> str:
    """An identity that we assert ourselves, of a ``user`` that is escaped already."""
    kind = ";user=phone" if phone else ""
    address = f"<sip:{user}@{place}{kind}>"
    return f"{quote(display)} {address}" if display else address


def told(fields: list[Field], boundary: Boundary, party: Party, request: bool) -> list[Field]:
    """``fields`` as the peer is told them: privacy performed, identities in the words that it reads."""
    if not fields:
        return fields
    wishes = asked(fields)
    fields = perform(fields, boundary.told == "trusted")
    if not any([name == ASSERTED for name, _ in fields]):
        return fields
    kept = [field for field in fields if field[0] != ASSERTED]
    withheld = not _WITHHOLDING.isdisjoint(wishes)
    if boundary.told == "none" or (withheld and boundary.told == "screened"):
        return kept
    for name, value in fields:
        said = read_said(value) if name == ASSERTED else None
        if said is not None:
            kept.append(_written(said, boundary, party, withheld, request))
    return kept


def _written(said: Said, boundary: Boundary, party: Party, withheld: bool, request: bool) -> Field:
    if boundary.told == "screened":
        said = _without_place(said, boundary.place)
    value = written(said)
    if boundary.written == REMOTE_PARTY:
        privacy = "full" if withheld else "off"
        return REMOTE_PARTY, f"{value};party={party};privacy={privacy};screen=yes"
    return (PREFERRED if boundary.written == PREFERRED and request else ASSERTED), value


def _without_place(said: Said, place: str) -> Said:
    """The same one at our host, without what its own network wrote beside it; a tel: URI has no host."""
    if said.party.scheme == "tel":
        return said
    scheme, _, rest = said.uri.partition(":")
    user, at, _ = rest.rpartition("@")
    user = user.partition(":")[0].partition(";")[0]
    kind = ";user=phone" if said.party.type == "phone" else ""
    return said._replace(uri=f"{scheme}:{user}{at}{place}{kind}")
