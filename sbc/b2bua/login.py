"""Who calls, proved by a password: digest authentication of INVITEs that a rule challenges (RFC 3261 22).

We stand between the caller and whom it calls, so the challenge is a proxy's, 407; credentials are taken from
either header, for there are phones that know only one. They are judged before the rules are asked, only where
a rule has ever challenged for their realm, and once a request: a nonce count is good for one use.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from sbc.base import PeerError
from sbc.config.users import Users
from sbc.ids import Ids
from sbc.sip.digest import Credentials, parse_credentials, proves_nothing
from sbc.sip.digest_server import DigestServer, Verdict
from sbc.sip.message import Request, Response

_HEADERS = ("Proxy-Authorization", "Authorization")
# How many credentials of a request are judged in either header: there is one for each realm, not hundreds.
MOST_CREDENTIALS = 8
_MOST_SHOWN = 100  # characters of a URI


class Login:
    """The digest servers of every realm; one for the life of the process, so that nonces outlive a reload."""

    __slots__ = ("_ids", "_secret", "_servers")

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._secret = b""
        self._servers: dict[str, DigestServer] = {}

    def user(
        self, request: Request, users: Users, realms: frozenset[str], at: float
    ) -> tuple[str, str, bool]:
        """The name that ``request`` has proved and its realm, empty for none; whether a nonce was stale."""
        stale = False
        for credentials in _given(request):
            if credentials.realm not in realms:
                continue
            verdict = self._judge(credentials, request, users, at)
            if verdict is Verdict.GOOD:
                return credentials.username, credentials.realm, False
            stale = stale or verdict is Verdict.STALE
        return "", "", stale

    def challenge(self, response: Response, realm: str, users: Users, stale: bool, at: float) -> Response:
        """Complete ``response``, a 401 or 407, with a challenge for each algorithm that the file serves."""
        server = self._server(realm, users)
        name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        for challenge in server.challenge(at, stale):
            response.headers.add(name, str(challenge))
        return response

    def ask(
        self, response: Response, realm: str, users: Users, claimed: str, stale: bool, at: float, to: str = ""
    ) -> Response:
        """The same for whoever says that it is ``claimed``, by the algorithms that this user has hashes by.

        A phone answers by the strongest that it knows, so one that the user has no hash by must not be
        offered. Somebody who does not exist is offered what some have, always the same: nothing tells. Who
        withholds its name, ``claimed`` "", is offered what everybody has, if there is that.
        ``to`` is the address that is asked, for ``came_back``.
        """
        server = self._server(realm, users)
        server.algorithms = self._algorithms(realm, users, claimed)
        name = "WWW-Authenticate" if response.status == 401 else "Proxy-Authenticate"
        for challenge in server.challenge(at, stale, to):
            response.headers.add(name, str(challenge))
        return response

    def tried(self, request: Request, realm: str) -> str | None:
        """The user of ``realm`` whose password ``request`` tries, whether there is one or not.

        "" where that cannot be read; None where all that it proves is for others on its way, who have realms
        of their own (RFC 3261 22.3), or where it only says who it is: an empty response tries nothing, and
        some send one before they are asked (3GPP TS 24.229 5.1.1.2).
        """
        given = [each for each in _given(request) if each.response]
        for credentials in given:
            if credentials.realm == realm:
                return credentials.username
        return None if given or all(map(proves_nothing, _values(request))) else ""

    def astray(self, request: Request, users: Users, realm: str, at: float) -> str:
        """Why a right password of ``realm`` proves nothing in ``request``; "" where none is right."""
        for credentials in _given(request):
            if (
                credentials.realm != realm
                or self._judge(credentials, request, users, at) is not Verdict.ASTRAY
            ):
                continue
            if credentials.qop is None:
                return "it proves its password without qop, so that whoever overhears it could do so as well"
            said = f"made for {credentials.uri[:_MOST_SHOWN]}, and it asks {request.uri[:_MOST_SHOWN]}"
            return f"its proof is {said}: something on the way rewrites that, a router's SIP ALG perhaps"
        return ""

    def came_back(self, request: Request, realm: str, users: Users, to: str, at: float) -> bool:
        """Whether ``request`` brings a nonce of ours that was sent to ``to``: its source is not forged."""
        server = self._server(realm, users)
        return any([server.was_given(each.nonce, to, at) for each in _given(request)])

    def _algorithms(self, realm: str, users: Users, claimed: str) -> tuple[str, ...]:
        choices = users.choices(realm)
        known = users.algorithms(realm)
        if len(choices) < 2:
            return known
        if not claimed:
            return tuple([each for each in known if all([each in some for _, some in choices])]) or known
        said = f"algorithms of {claimed}".encode("utf-8", "surrogateescape")
        # All of it for everybody, or the time would tell; and as often as users have it, or that would.
        point = int.from_bytes(hmac.new(self._secret, said, sha256).digest()[:4]) / (1 << 32)
        drawn: tuple[str, ...] = ()
        for share, some in choices:
            if point >= share:
                drawn = some
        own = tuple(users.secrets(realm, users.name_of(realm, claimed) or claimed))
        return own or drawn

    def _judge(self, credentials: Credentials, request: Request, users: Users, at: float) -> Verdict:
        server = self._server(credentials.realm, users)
        known = users.hash_of(credentials.realm, credentials.username, credentials.algorithm)
        return server.verify_hash(credentials, known, request.method, request.uri, request.body, at)

    def _server(self, realm: str, users: Users) -> DigestServer:
        server = self._servers.get(realm)
        if server is None:
            self._secret = self._secret or self._ids.key(32)
            server = self._servers[realm] = DigestServer(realm, self._secret, self._ids.tag)
        server.algorithms = users.algorithms(realm)
        return server


def _given(request: Request) -> list[Credentials]:
    """Every credentials of either header that can be read."""
    found: list[Credentials] = []
    for value in _values(request):
        credentials = _read(value)
        if credentials is not None:
            found.append(credentials)
    return found


def _values(request: Request) -> list[str]:
    return [
        value for header in _HEADERS for value in request.headers.get_all(header)[:MOST_CREDENTIALS]
    ]  # fmt: skip


def _read(value: str) -> Credentials | None:
    try:
        return parse_credentials(value)
    except PeerError:
        return None
