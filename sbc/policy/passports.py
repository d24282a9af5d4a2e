"""A signed identity (Identity, RFC 8224) goes on where all that it signs does.

It signs the caller's number, the called one and the time, and whoever verifies it compares them with From (or
P-Asserted-Identity), To and Date. Where the SBC has changed one of them a verifier would find a forgery, and
the call would be worse off than without one; so it is left out then.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from typing import Final

from dsl.addresses import is_number
from dsl.arrival import claimed
from sbc.sip.message import Request

_LONGEST: Final = 8192  # octets of all that is passed on


def sign_on(received: Request, sent: Request) -> str:
    """Give ``sent``, the INVITE of ``received`` on the other leg, its Identity and Date.

    Why they are left out; empty where they are not, and where there are none.
    """
    if "identity" not in received.headers.first:
        return ""
    why = _changed(received, sent)
    if why:
        return why
    fields = [("Date", value) for value in received.headers.get_all("Date")[:1]]
    fields += [("Identity", value) for value in received.headers.get_all("Identity")]
    if sum([len(value) for _, value in fields]) > _LONGEST:
        return "it is too long"
    sent.headers.extend(fields)
    return ""


def _changed(received: Request, sent: Request) -> str:
    caller, called = received.from_.uri.party.user, received.to.uri.party.user
    if not (is_number(caller) and is_number(called)):
        return "it is not of two numbers"
    if caller != sent.from_.uri.party.user or _vouched(received) != _vouched(sent):
        return "the caller leaves with another number"
    if called != sent.to.uri.party.user:
        return "the called one leaves with another number"
    for value in received.headers.get_all("Identity"):
        claims = _claims(value)
        if not claims and "Date" not in received.headers:
            return "there is no Date"
        if "mky" in claims:
            return "it signs the keys of media, which are others on each leg"
    return ""


def _vouched(request: Request) -> str:
    """The number that a network vouches for, else the caller's own: that one is signed."""
    return claimed(request.headers.get, "screened")[0] or request.from_.uri.party.user


def _claims(value: str) -> frozenset[str]:
    """The names of what a PASSporT in its full form claims (RFC 8225 3); empty of the compact form (7)."""
    payload = value.partition(";")[0].split(".")[1:2]
    if not payload or not payload[0]:
        return frozenset()
    try:
        claims = json.loads(urlsafe_b64decode(payload[0].strip(" \t") + "=="))
    except (ValueError, RecursionError):
        return frozenset()
    return frozenset(map(str, claims)) if isinstance(claims, dict) else frozenset()
