"""Challenging and verifying: the UAS and registrar side of digest (RFC 3261 22, RFC 8760).

A nonce needs no memory to be recognised: it is the time it was made, a salt, to whom it was given and an
HMAC over all of it with a secret of this process. Memory is only needed against replay: the highest nonce
count seen of each nonce in use. That table is bounded, and only credentials that were right enter it, so a
flood of bad requests cannot push anything out. When a nonce is pushed out, every nonce that is older and not
in the table counts as stale from then on: what we do not remember, we refuse.

A request without qop carries no count and could be replayed; it is refused.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Callable
from enum import Enum
from typing import Final

from dsl.addresses import canonical_host, canonical_text
from sbc.sip.digest import Challenge, Credentials, response_hash, user_hash
from sbc.sip.grammar import ParseError
from sbc.sip.uri import parse_uri

# What is hashed in the place of what there is none of: as long, so that it takes as long.
_NO_USER: Final = {"MD5": "0" * 32, "SHA-256": "0" * 64}
_TIME = 12  # hexadecimal digits of milliseconds
_RECIPIENT, _SIGNATURE = 8, 32  # hexadecimal digits


class Verdict(Enum):
    """What credentials are worth; only ``GOOD`` lets a request pass."""

    GOOD = "good"
    STALE = "the nonce has expired or its count was used before"
    ASTRAY = "the password is right, and it is made for another Request-URI, or without qop"
    WRONG = "unknown user, wrong password, or not made for this request"


class DigestServer:
    """Challenges for one realm, and the verdict on what comes back.

    ``secret`` (at least 16 bytes) signs nonces; ``salt`` returns a string that is new each time;
    ``lifetime`` is how many seconds a nonce is good for; ``remembered`` bounds the replay table.
    """

    __slots__ = ("_forgotten", "_salt", "_secret", "_used", "algorithms", "lifetime", "realm", "remembered")

    def __init__(
        self,
        realm: str,
        secret: bytes,
        salt: Callable[[], str],
        *,
        algorithms: tuple[str, ...] = ("SHA-256", "MD5"),
        lifetime: float = 300.0,
        remembered: int = 20000,
    ) -> None:
        if len(secret) < 16:
            raise ValueError("the secret that signs nonces must have at least 16 bytes")
        self.realm = realm
        self.algorithms = algorithms
        self.lifetime = lifetime
        self.remembered = remembered
        self._secret = secret
        self._salt = salt
        self._used: OrderedDict[str, int] = OrderedDict()
        self._forgotten = float("-inf")

    def challenge(self, at: float, stale: bool = False, to: str = "") -> list[Challenge]:
        """Return one challenge for each algorithm, the preferred first (RFC 8760 2.3).

        ``to`` is where it goes, for ``was_given``.
        """
        nonce = self._nonce(at, to)
        return [
            Challenge(self.realm, nonce, algorithm, ("auth", "auth-int"), stale=stale)
            for algorithm in self.algorithms
        ]

    def verify(
        self, credentials: Credentials, password: str | None, method: str, uri: str, body: bytes, at: float
    ) -> Verdict:
        """Judge ``credentials`` of a request; ``password`` is None for a user who does not exist.

        ``uri`` is the Request-URI as received: credentials made for another user or host are wrong. An
        unknown user costs the same time as a wrong password.
        """
        if credentials.algorithm.removesuffix("-sess") not in self.algorithms:
            return Verdict.WRONG
        user = user_hash(credentials.algorithm, credentials.username, self.realm, password or "")
        return self.verify_hash(credentials, user if password is not None else None, method, uri, body, at)

    def verify_hash(
        self, credentials: Credentials, user: str | None, method: str, uri: str, body: bytes, at: float
    ) -> Verdict:
        """The same; ``user`` is H(name:realm:password) by the credentials' algorithm, None for nobody."""
        if not self._is_for_us(credentials):
            return Verdict.WRONG
        nobody = _NO_USER[credentials.algorithm.removesuffix("-sess")]
        expected = response_hash(nobody if user is None else user, credentials, method, body)
        right = hmac.compare_digest(_octets(expected), _octets(credentials.response))
        if not right or user is None:
            return Verdict.WRONG
        same = credentials.uri == uri or _same_resource(credentials.uri, uri)
        if not same or credentials.qop is None:
            return Verdict.ASTRAY
        made = self._made_at(credentials.nonce)
        fresh = made is not None and at - self.lifetime <= made <= at and self._count(credentials, made)
        return Verdict.GOOD if fresh else Verdict.STALE

    def was_given(self, nonce: str, to: str, at: float) -> bool:
        """Whether ``nonce`` is one of ours that went to ``to`` not long ago: who sends it is really there."""
        made = self._made_at(nonce)
        if made is None or not at - self.lifetime <= made <= at:
            return False
        told = nonce[-_SIGNATURE - _RECIPIENT : -_SIGNATURE]
        return hmac.compare_digest(_octets(told), _octets(self._recipient(to)))

    def _is_for_us(self, credentials: Credentials) -> bool:
        return (
            credentials.realm == self.realm
            and credentials.algorithm.removesuffix("-sess") in self.algorithms
            and credentials.qop in (None, "auth", "auth-int")
        )

    def _nonce(self, at: float, to: str) -> str:
        head = f"{int(at * 1000):0{_TIME}x}{self._salt()}{self._recipient(to)}"
        return head + self._signature(head)

    def _signature(self, head: str) -> str:
        return hmac.digest(self._secret, _octets(f"{head}:{self.realm}"), "sha256").hex()[:_SIGNATURE]

    def _recipient(self, to: str) -> str:
        return hmac.digest(self._secret, _octets(f"to {to}"), "sha256").hex()[:_RECIPIENT]

    def _made_at(self, nonce: str) -> float | None:
        head, signature = nonce[:-_SIGNATURE], nonce[-_SIGNATURE:]
        if not hmac.compare_digest(_octets(self._signature(head)), _octets(signature)):
            return None
        return int(head[:_TIME], 16) / 1000

    def _count(self, credentials: Credentials, made: float) -> bool:
        """Enter the nonce count; False where it, or a higher one, was used before."""
        nonce, count = credentials.nonce, credentials.nc
        last = self._used.get(nonce)
        if last is None and made <= self._forgotten:
            return False
        if count <= (last or 0):
            return False
        self._used[nonce] = count
        if last is None and len(self._used) > self.remembered:
            oldest, _ = self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, self._made_at(oldest) or 0.0)
        return True


def _same_resource(said: str, asked: str) -> bool:
    """Whether two spellings of SIP URIs mean the same user at the same host (RFC 7616 3.4.6).

    Devices prove a password for a URI without the port and the parameters by which the request is sent.
    """
    try:
        one, other = parse_uri(said), parse_uri(asked)
    except ParseError:
        return False
    return (
        bool(one.host)
        and one.scheme == other.scheme
        and canonical_text(one.user) == canonical_text(other.user)
        and canonical_host(one.host) == canonical_host(other.host)
    )


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
