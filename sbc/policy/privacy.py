"""What a user asks to be withheld, performed where the next peer is not of the trust domain (RFC 3323).

Towards a peer that is trusted (``sbc.policy.identity``) everything passes, Privacy with it: that peer sees to
it further on. For any other peer we are the last that can, so we do it:

    user            From is anonymous, and so is the user of our Contact; Subject stays here (RFC 3323 5.3)
    header          Via, Contact and Record-Route are ours anyway; History-Info stays here (RFC 7044 10.1)
    session         media is relayed, so nobody sees the other's address; History-Info stays here
    history         History-Info stays here, and Diversion in all three
    id              P-Asserted-Identity does not go there (RFC 3325 7)

What was performed leaves the header (RFC 3323 5). ``id`` stays in it: who comes next may assert an identity
of its own, of the trunk say, and has to know that it is not to be shown (RFC 3325 9.3). So does what we
do not know, and that fails the call where it is ``critical``. ``none`` passes as it is (RFC 3323 4.2).
"""

from __future__ import annotations

import re
from typing import Final

from sbc.base import PeerError

Field = tuple[str, str]

ANONYMOUS: Final = "anonymous"
ANONYMOUS_DISPLAY: Final = "Anonymous"
ANONYMOUS_HOST: Final = "anonymous.invalid"

_PERFORMED: Final = frozenset(("user", "header", "session", "history"))
_KNOWN: Final = _PERFORMED | {"id", "none", "critical"}
_TELLING_HISTORY: Final = frozenset(("header", "session", "history"))
_between: Final = re.compile(r"[\s;,]+").split


def asked(fields: list[Field]) -> tuple[str, ...]:
    """What the Privacy header asks for, in small letters and each once; empty where it is not there."""
    values = [value.lower() for name, value in fields if len(name) == 7 and name.lower() == "privacy"]
    if not values:
        return ()
    return tuple(dict.fromkeys(each for value in values for each in _between(value) if each))


def hides_caller(fields: list[Field], trusted_out: bool) -> bool:
    """Whether who calls must not be told to the peer that ``fields`` go to."""
    return not trusted_out and "user" in asked(fields)


def check_critical(fields: list[Field]) -> None:
    """PeerError 500 where the user would rather have no call than one without what we cannot do.

    ``fields`` go to a peer that is not trusted.
    """
    wishes = asked(fields)
    unknown = [each for each in wishes if each not in _KNOWN]
    if unknown and "critical" in wishes:
        raise PeerError(f"privacy that we cannot give is critical: {';'.join(unknown)}", 500)


def perform(fields: list[Field], trusted_out: bool) -> list[Field]:
    """``fields`` of the allow-list as they may go to the peer: without what is to be withheld from it."""
    if trusted_out:
        return fields
    wishes = asked(fields)
    if not wishes or wishes == ("none",):
        return fields
    withheld = {"privacy"}
    if "user" in wishes:
        withheld.add("subject")
    if not _TELLING_HISTORY.isdisjoint(wishes):
        withheld |= {"history-info", "diversion"}
    kept = [field for field in fields if field[0].lower() not in withheld]
    left = [each for each in wishes if each not in _PERFORMED and each != "none"]
    if left and left != ["critical"]:
        kept.append(("Privacy", ";".join(left)))
    return kept
