"""Nobody learns from an answer, or from the work that it takes, whether there is such a user.

Time is not measured: it says more about the machine than about us. What is compared is the work itself,
call by call, Python's own and those into C, each with the lengths of the texts that it is given, from what
comes to what goes; and the answers, each octet. Two stages with one history draw the same lots, so that not
even nonces and tags may differ. One thing is left out: of the last addresses that came, whoever sent them,
the parser keeps what it has read (``sbc.sip.grammar.recent``), and is a few microseconds faster with them.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType
from typing import Any

import pytest

from sbc.b2bua.login import Login
from sbc.config.users import Users
from sbc.sip.digest import Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.digest_server import Verdict
from sbc.sip.grammar import forget_recent
from sbc.sip.machine import Send
from sbc.sip.message import Request, Response, serialize
from sbc.sip.parse import parse_message
from tests.playbook.phones import REALM, USERS, Phone, lines, stage
from tests.playbook.stage import Stage

pytestmark = pytest.mark.pure  # what compiled code calls is seen by nobody

MIXED = lines("alice", "", ("SHA-256",)) + lines("bob", "", ("MD5",)) + lines("carol")
BOUND = lines("alice", "tls_only contacts=1") + lines("bob")
FILES = {"as usual": USERS, "hashes of several kinds": MIXED, "with terms": BOUND}
FORMS = ("auth", "MD5", "auth-int", "sess")
CHALLENGED = {"REGISTER": True, "INVITE": True, "MESSAGE": False, "OPTIONS": False, "SUBSCRIBE": False}

Call = tuple[str, str, tuple[int, ...]]


class Prober:
    """Somebody who asks as a user, of an SBC of which it knows nothing; ``busy``: alice is registered."""

    def __init__(self, users: str, trunk: str, busy: bool) -> None:
        self.made: Stage = stage(users=users)
        if busy:
            Phone(self.made, "alice", "phones").registers()
        self._phone = Phone(self.made, "someone", trunk, "probe")
        self._count = 0
        self.calls: list[Call] = []
        for user in ("wwwww", "vvvvv"):  # what is made once is made
            self.asks(user, "REGISTER")

    def asks(self, user: str, method: str, credentials: str = "", uri: str = f"sip:{REALM}") -> list[bytes]:
        """What it hears; ``calls`` is what that took."""
        self._count += 1
        transport, branch = self._phone.flow.transport.upper(), f"z9hG4bK{self._count}"
        to = f"sip:{user}@{REALM}"
        head = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/{transport} 10.9.9.9:5060;rport;branch={branch}",
            f"From: <{to}>;tag=1", f"To: <{to}>", f"Call-ID: probe-{self._count}", f"CSeq: 1 {method}",
            "Max-Forwards: 70", "Contact: <sip:probe@10.9.9.9:5060>", "Event: presence", f"Refer-To: <{to}>",
            *([f"Authorization: {credentials}"] if credentials else []), "Content-Length: 0", "", "",
        ]  # fmt: skip
        data = "\r\n".join(head).encode()
        self.calls = []
        forget_recent()
        gc.disable()  # what other tests have left is not tidied up meanwhile
        with_c = sys.getprofile()
        sys.setprofile(self._called)
        try:
            commands = self.made.engine.receive(self._phone.flow, parse_message(data), self.made.now)
            heard = [serialize(each.message) for each in commands if isinstance(each, Send)]
        finally:
            sys.setprofile(with_c)
            gc.enable()
        return heard

    def _called(self, frame: FrameType, event: str, said: Any) -> None:
        if event == "c_call":
            self.calls.append((event, getattr(said, "__qualname__", ""), ()))
        elif event == "call":
            name, given = frame.f_code.co_qualname, frame.f_locals.values()
            sizes = [len(each) for each in given if isinstance(each, (str, bytes))]
            # This one is told whether there is such a user.
            self.calls.append((event, name, () if name == "DigestServer.verify_hash" else tuple(sizes)))


def wrong(answer: bytes, user: str, method: str, uri: str, form: str) -> str:
    """Credentials of a wrong password for the challenge of ``answer``."""
    response = parse_message(answer)
    assert isinstance(response, Response)
    offered = response.headers.get_all("WWW-Authenticate") + response.headers.get_all("Proxy-Authenticate")
    challenge = parse_challenge(offered[0])
    algorithm = "MD5" if form == "MD5" else challenge.algorithm + ("-sess" if form == "sess" else "")
    qop = "auth-int" if form == "auth-int" else "auth"
    empty = Credentials(user, REALM, challenge.nonce, uri, "", algorithm, qop, "c", 1)
    secret = user_hash(algorithm, user, REALM, "guessed")
    return str(replace(empty, response=response_hash(secret, empty, method)))


def attempts(users: str, trunk: str, busy: bool, user: str, method: str, form: str) -> Iterator[Any]:
    """What is heard, and the calls that it took: without a password, then with a wrong one."""
    prober = Prober(users, trunk, busy)
    uri = f"sip:{REALM}" if method == "REGISTER" else f"sip:{user}@{REALM}"
    challenged = prober.asks(user, method, "", uri)
    yield challenged, prober.calls
    if b"uthenticate: " in challenged[-1]:
        credentials = wrong(challenged[-1], user, method, uri, form)
        yield prober.asks(user, method, credentials, uri), prober.calls


def offered(users: str, user: str) -> list[str]:
    """The algorithms that ``user`` is asked by."""
    (answer,) = Prober(users, "phones", False).asks(user, "REGISTER")
    values = parse_message(answer).headers.get_all("WWW-Authenticate")
    return [parse_challenge(each).algorithm for each in values]


def stranger(users: str, known: str) -> str:
    """A user who does not exist, with a name as long, who is asked by the same algorithms."""
    wanted = offered(users, known)
    names = (f"{'x' * (len(known) - 3)}{number:03}" for number in range(100))
    return next(name for name in names if offered(users, name) == wanted)


@pytest.mark.parametrize("users", FILES)
@pytest.mark.parametrize("method", CHALLENGED)
@pytest.mark.parametrize("trunk", ["phones", "soft"])
def test_who_exists_and_who_does_not_take_the_same_work_and_hear_the_same(
    users: str, method: str, trunk: str
) -> None:
    text = FILES[users]
    known, busy = "alice", trunk == "phones"
    nobody = stranger(text, known)
    for form in FORMS:
        ways = [list(attempts(text, trunk, busy, user, method, form)) for user in (known, nobody)]
        assert len(ways[0]) == 1 + CHALLENGED[method]
        for (heard, calls), (other, others) in zip(*ways, strict=True):
            assert [each.replace(known.encode(), nobody.encode()) for each in heard] == other
            assert len(calls) > 50
            assert calls == others, first_difference(calls, others)


def test_a_shorter_way_for_nobody_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compared tells: here of somebody unknown no digest is made."""
    judge = Login._judge

    def hasty(login: Login, credentials: Credentials, request: Request, users: Users, at: float) -> Verdict:
        if users.hash_of(credentials.realm, credentials.username, credentials.algorithm) is None:
            return Verdict.WRONG
        return judge(login, credentials, request, users, at)

    monkeypatch.setattr(Login, "_judge", hasty)
    known, nobody = [
        list(attempts(USERS, "soft", False, each, "REGISTER", "auth")) for each in ("alice", "trudy")
    ]
    assert known[0][1] == nobody[0][1] and len(known[1][1]) > len(nobody[1][1])


def first_difference(calls: list[Call], others: list[Call]) -> str:
    """Where two ways part."""
    for at, (one, other) in enumerate(zip(calls, others, strict=False)):
        if one != other:
            return f"{at}: {calls[max(0, at - 3) : at + 2]} and {others[max(0, at - 3) : at + 2]}"
    return f"{len(calls)} and {len(others)} calls"
