"""Answering a trunk's challenges (RFC 3261 22.2, 22.3): its request again, with credentials.

Only the realm that the trunk's `register:` names is answered. Whoever can make us answer for another collects
hashes that are good elsewhere; so such a challenge gets no answer, and a line in the journal. A challenge
that comes again although it was answered is answered once more only where it says that its nonce was stale:
a wrong password is not tried until the account is locked.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.commands import Command, Note
from sbc.b2bua.translate import Fields
from sbc.config.snapshot import SnapshotStore
from sbc.ids import Ids
from sbc.sip.dialog import Dialog
from sbc.sip.digest import Challenge, parse_challenge
from sbc.sip.digest_client import Account, answer, choose
from sbc.sip.grammar import ParseError
from sbc.sip.message import Request, Response

# The header of a challenge, and that of its answer.
CHALLENGES: Final = {
    401: ("WWW-Authenticate", "Authorization"),
    407: ("Proxy-Authenticate", "Proxy-Authorization"),
}
CREDENTIALS: Final = tuple([answer_header for _, answer_header in CHALLENGES.values()])
# How often one request is sent again: for a proxy, for the server behind it, and once for a stale nonce.
MOST: Final = 3
# How many nonces are counted for one trunk; a server has one for a while, and seldom a second.
NONCES: Final = 16


class Given:
    """What was answered for one request so far: the challenges by the header of their answer."""

    __slots__ = ("challenges", "times")

    def __init__(self) -> None:
        self.challenges: dict[str, Challenge] = {}
        self.times = 0


class Proofs:
    """The answers of all trunks; ``_counts`` has how often each nonce was used (RFC 7616 3.4)."""

    __slots__ = ("_counts", "_ids", "_store")

    def __init__(self, store: SnapshotStore, ids: Ids) -> None:
        self._store = store
        self._ids = ids
        self._counts: dict[str, dict[str, int]] = {}

    def again(
        self, trunk: str, request: Request, response: Response, given: Given, cseq: int, out: list[Command],
        account: Account | None = None,
    ) -> Request | None:  # fmt: skip
        """``request``, which ``response`` challenges, with its number ``cseq`` and credentials.

        None where it cannot or must not be answered; ``refusal`` says why. Without an ``account`` it is the
        trunk's of now.
        """
        asked, header = CHALLENGES[response.status]
        account = account or self._store.current.accounts.get(trunk)
        if account is None or given.times >= MOST:
            return None
        challenge = choose(response.headers.get_all(asked), account)
        if challenge is None:
            self._tell(trunk, account.realm, request, response, out)
            return None
        former = given.challenges.get(header)
        if former is not None and not (challenge.stale and challenge.nonce != former.nonce):
            return None
        given.challenges[header] = challenge
        given.times += 1
        repeated = repeat(request, cseq, self._ids.branch())
        self.add(trunk, repeated, given.challenges, account)
        return repeated

    def within(
        self, trunk: str, dialog: Dialog, request: Request, response: Response, given: Given,
        out: list[Command],
    ) -> Request | None:  # fmt: skip
        """``again`` for a request of ``dialog``, whose next number it then has (RFC 3261 12.2.1.1)."""
        number = dialog.local_cseq + 1
        repeated = self.again(trunk, request, response, given, number, out)
        if repeated is not None:
            dialog.local_cseq = number
        return repeated

    def add(
        self, trunk: str, request: Request, challenges: dict[str, Challenge], account: Account | None
    ) -> None:
        """Give ``request`` credentials for ``challenges``, in place of any that it has."""
        for header, challenge in challenges.items():
            if account is not None and challenge.realm == account.realm:
                count = self._count(trunk, challenge.nonce)
                cnonce = self._ids.key(8).hex()
                proof = answer(challenge, account, request.method, request.uri, cnonce, count, request.body)
                request.headers.set(header, str(proof))

    def _count(self, trunk: str, nonce: str) -> int:
        counts = self._counts.setdefault(trunk, {})
        count = counts.pop(nonce, 0) + 1
        counts[nonce] = count
        if len(counts) > NONCES:
            del counts[next(iter(counts))]
        return count

    def refusal(self, response: Response, account: Account | None) -> str:
        """Why a challenge is not answered, for whoever reads the status."""
        realms = _realms(response)
        if account is None:
            return "it wants a password, and none is configured"
        if account.realm not in realms:
            return f"it asks for realm {_named(realms)}, and only {account.realm!r} is answered"
        return f"{response.status} {response.reason}: it does not accept the user or the password"

    def _tell(self, trunk: str, realm: str, request: Request, response: Response, out: list[Command]) -> None:
        """A challenge that gets no answer: of a realm that is not the trunk's, or in a way unknown to us."""
        realms = _realms(response)
        if realm in realms:
            reason = "its algorithm or quality of protection is not known to us"
            remedy = "have the server offer MD5 or SHA-256, with qop auth or without"
        else:
            reason = f"a challenge for realm {_named(realms)} gets no answer"
            remedy = f"if the realm is the carrier's, write it in place of {realm!r} under register.realm"
        fields = {"trunk": trunk, "method": request.method, "reason": reason, "remedy": remedy}
        out.append(Note("challenge-refused", "", fields))


def repeat(request: Request, cseq: int, branch: str) -> Request:
    """``request`` as a new transaction of ours, with its own branch and number (RFC 3261 8.1.3.5)."""
    headers = request.headers.copy()
    via, _, _ = (headers.get("Via") or "").partition(";branch=")
    headers.set("Via", f"{via};branch={branch}")
    headers.set("CSeq", f"{cseq} {request.method}")
    return Request(request.method, request.uri, headers, request.body)


def proven(request: Request) -> Fields:
    """The credentials of an INVITE: its ACK has the same (RFC 3261 13.2.2.4, 22.1)."""
    return tuple([(name, value) for name in CREDENTIALS for value in request.headers.get_all(name)])


def _realms(response: Response) -> list[str]:
    found: list[str] = []
    for value in response.headers.get_all(CHALLENGES[response.status][0]):
        try:
            found.append(parse_challenge(value).realm)
        except ParseError:
            continue
    return found


def _named(realms: list[str]) -> str:
    return ", ".join([repr(realm[:100]) for realm in realms[:3]]) or "none"
