"""Answering a challenge: the UAC side of digest (RFC 3261 22.2 and 22.3, RFC 8760 2.4).

A password is only ever used for the realm it was configured for. Whoever can make us answer for
any realm can collect hashes made for a realm of his choice, or relay another server's challenge.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sbc.sip.digest import ALGORITHMS, Challenge, Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.grammar import ParseError


@dataclass(frozen=True, slots=True)
class Account:
    """A user name and password, and the one realm they are for."""

    username: str
    realm: str
    password: str = field(repr=False)


def choose(challenges: Iterable[str], account: Account) -> Challenge | None:
    """Return the first challenge that we can and may answer; None where there is none.

    ``challenges`` are header values in their order, which is the server's preference (RFC 8760
    2.4). Malformed ones, unknown algorithms and other realms are passed over.
    """
    for value in challenges:
        try:
            challenge = parse_challenge(value)
        except ParseError:
            continue
        if (
            challenge.realm == account.realm
            and challenge.algorithm in ALGORITHMS
            and _qop(challenge) is not None
        ):
            return challenge
    return None


def answer(
    challenge: Challenge, account: Account, method: str, uri: str, cnonce: str, nc: int = 1, body: bytes = b""
) -> Credentials:
    """Return the credentials of a request; ``nc`` counts the uses of this nonce from 1.

    ValueError where the challenge is for another realm than the account's.
    """
    if challenge.realm != account.realm:
        raise ValueError("the challenge is for another realm than the account")
    blank = Credentials(
        account.username, account.realm, challenge.nonce, uri, "", challenge.algorithm,
        _qop(challenge) or None, cnonce, nc, challenge.opaque,
    )  # fmt: skip
    user = user_hash(challenge.algorithm, account.username, account.realm, account.password)
    return _with_response(blank, response_hash(user, blank, method, body))


def _qop(challenge: Challenge) -> str | None:
    """Return the quality of protection to use, "" for a challenge without any, None if unknown."""
    if not challenge.qop:
        return ""
    return next((qop for qop in ("auth", "auth-int") if qop in challenge.qop), None)


def _with_response(blank: Credentials, response: str) -> Credentials:
    return Credentials(
        blank.username, blank.realm, blank.nonce, blank.uri, response, blank.algorithm,
        blank.qop, blank.cnonce, blank.nc, blank.opaque,
    )  # fmt: skip
