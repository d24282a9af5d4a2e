"""Phones: users of ours, who prove a password for all that they begin (RFC 3261 22).

A trunk with ``phones`` is open to whoever knows a password of the registrar's users, so nothing is kept of
who has not proved one: a challenge is answered and forgotten, its nonce tells by itself that it is ours
(``sbc.sip.digest_server``). Who does not exist, and who gave a wrong password, hear the same.

A connection on which a user has registered speaks for that user until the binding ends. A datagram's source
can be forged, and behind a proxy are many phones: there each request proves itself. From names who calls:
somebody else's name is refused, and what rules and the other side are told is thereby what was proved.
"""

from __future__ import annotations

from typing import Final

from dsl.addresses import Party, user_named
from sbc.b2bua.commands import Command, Note, Suspect
from sbc.b2bua.desk import Desk
from sbc.b2bua.gate import over_cap
from sbc.b2bua.screening import Refusal, refuse_with
from sbc.config.model import Trunk
from sbc.config.registrar import RegistrarSettings
from sbc.config.snapshot import Snapshot
from sbc.config.users import UserTerms
from sbc.flow import Flow
from sbc.policy.privacy import ANONYMOUS, ANONYMOUS_HOST
from sbc.policy.shares import source_of
from sbc.sip.message import Request, Response
from sbc.sip.transactions import ServerTransaction

Login = tuple[str, str]

_MOST_SHOWN: Final = 64  # characters of a User-Agent
_REASONS: Final = {401: "Unauthorized", 407: "Proxy Authentication Required"}


class Phones:
    """One for the engine; ``counts`` says how often what came of a REGISTER."""

    __slots__ = ("_desk", "counts")

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.counts = {
            "registered": 0, "refreshed": 0, "unregistered": 0, "expired": 0, "challenged": 0, "refused": 0,
        }  # fmt: skip

    # Who it is

    def login(
        self, flow: Flow, server: ServerTransaction, trunk: Trunk, at: float, out: list[Command]
    ) -> Login | None:
        """Who has proved to have sent a request that begins something, and the realm; None: answered."""
        snapshot = self._desk.store.current
        settings = snapshot.settings.registrar
        if settings is None:
            self.refuse(server, 403, "Forbidden", "there is no registrar", at, out)
            return None
        caller = server.request.from_.uri.party
        anonymous = _withholds(caller)
        user = self._proved_before(flow, server.request, "" if anonymous else caller.user, at)
        if not user:
            user = self.proves(server, snapshot, settings, 407, at, out)
        if not user:
            return None
        why = self.unfit(flow, snapshot, settings, user)
        if not why and user != caller.user and not anonymous:
            why = f"{user} calls as {caller.user or 'nobody'}: From has to name who proves a password"
        if why:
            self.refuse(server, 403, "Forbidden", why, at, out)
            return None
        return (user, settings.realm) if self.is_within_rate(server, trunk, user, at, out) else None

    def is_within_rate(
        self, server: ServerTransaction, trunk: Trunk, user: str, at: float, out: list[Command]
    ) -> bool:
        """Whether ``user``, who has proved to be it, may send one more now; else it was refused.

        The answer is 480 and not 503: a proxy between us would take that to be about all users (21.5.4).
        """
        rates = trunk.limits.rates_per_user
        over = self._desk.rates.admit_user(rates, trunk.trunk, user, server.method, at) if rates else None
        if over is None:
            return True
        out.append(over_cap(server.flow, trunk, server.method, over))
        headers = (("Retry-After", str(over.wait)),)
        self.answer(server, 480, "Temporarily Unavailable", at, out, headers)
        self._desk.transactions.forget(server)
        return False

    def _proved_before(self, flow: Flow, request: Request, user: str, at: float) -> str:
        """``user``, or whoever it is where that is not said, if it has registered on this connection.

        What has come through a proxy says nothing by that: the connection is the proxy's, and many share it.
        """
        if not flow.reliable or len(request.headers.values("via")) > 1:
            return ""
        users = self._desk.registrar.users_on(flow, self._desk.date(at))
        if user:
            return user if user in users else ""
        return users[0] if len(users) == 1 else ""

    def proves(
        self, server: ServerTransaction, snapshot: Snapshot, settings: RegistrarSettings, status: int,
        at: float, out: list[Command],
    ) -> str:  # fmt: skip
        """The user whose password a request proves, as rules see it; "" where it was challenged."""
        desk, users, realm = self._desk, snapshot.phones, settings.realm
        name, _, stale = desk.login.user(server.request, users, frozenset((realm,)), at)
        if name:
            return user_named(name)
        self.counts["challenged"] += 1
        request = server.request
        first = request.headers.first
        flow = server.flow
        claimed = (request.to if server.method == "REGISTER" else request.from_).uri.party
        says = "" if _withholds(claimed) else claimed.user
        if not stale and ("authorization" in first or "proxy-authorization" in first):
            tried = desk.login.tried(request, realm)
            says = says or tried or ""
            if tried is not None:
                why = desk.login.astray(request, users, realm, at)
                self._tell_refused(server, status, why or "no password of ours proves it", out)
                if not why and self._is_there(flow, request, snapshot, at):
                    out.append(Suspect(flow, "password", tried))
        response = desk.respond_to(server, status, _REASONS[status])
        desk.login.ask(response, realm, users, says, stale, at, flow.remote.host)
        server.respond(response, at, out)
        self.forget_stranger(server, at)
        return ""

    def turn_away(self, server: ServerTransaction, refusal: Refusal, at: float, out: list[Command]) -> None:
        """Refuse what anybody may have sent, on a trunk with phones without keeping anything."""
        refuse_with(self._desk, server, refusal, at, out)
        if not server.request.to_tag or self._desk.dialogs.find(server.request) is None:
            self.forget_stranger(server, at)

    def forget_stranger(self, server: ServerTransaction, at: float) -> None:
        """A request of a trunk with phones was answered without a password: count it, and keep nothing."""
        desk, flow = self._desk, server.flow
        snapshot = desk.store.current
        trunk = snapshot.trunks.get(flow.trunk or "")
        if trunk is not None and trunk.phones:
            rate = snapshot.settings.caps.challenges_per_source
            desk.rates.challenged(source_of(flow.remote.host), rate, at)
            desk.transactions.forget(server)

    def unfit(self, flow: Flow, snapshot: Snapshot, settings: RegistrarSettings, user: str) -> str:
        """Why ``user``, whoever has proved to be it, may not come this way; "" where it may."""
        return way_refused(flow, terms_of(snapshot, settings, user))

    # Who is a scanner

    def turns_away(self, flow: Flow, request: Request, at: float, out: list[Command]) -> bool:
        """Whether ``request`` calls itself a scanner: it gets no answer, and its address is suspect."""
        snapshot = self._desk.store.current
        settings = snapshot.settings.blocklist
        agent = request.headers.get("User-Agent")
        if settings is None or not agent or not settings.names(agent):
            return False
        if self._is_there(flow, request, snapshot, at):
            out.append(Suspect(flow, "scanner", "", f"it calls itself {agent[:_MOST_SHOWN]}"))
        else:
            fields = {"trunk": flow.trunk, "remote": str(flow.remote), "method": request.method}
            out.append(Note("scanner-dropped", "", {**fields, "agent": agent[:_MOST_SHOWN]}))
        return True

    def _is_there(self, flow: Flow, request: Request, snapshot: Snapshot, at: float) -> bool:
        """Whether ``request`` comes from where it says; of a datagram that takes a nonce that went there."""
        if flow.reliable:
            return True
        settings = snapshot.settings.registrar
        return settings is not None and self._desk.login.came_back(
            request, settings.realm, snapshot.phones, flow.remote.host, at
        )

    # Answers

    def refuse(
        self, server: ServerTransaction, status: int, reason: str, why: str, at: float,
        out: list[Command], headers: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        """Answer so, and say why in the journal."""
        self.counts["refused"] += 1
        self._tell_refused(server, status, why, out)
        self.answer(server, status, reason, at, out, headers)

    def _tell_refused(self, server: ServerTransaction, status: int, why: str, out: list[Command]) -> None:
        request = server.request
        said = request.to if server.method == "REGISTER" else request.from_
        fields = {
            "trunk": server.flow.trunk, "user": said.uri.party.user, "method": server.method,
            "remote": str(server.flow.remote), "transport": server.flow.transport, "status": status,
            "reason": why,
        }  # fmt: skip
        out.append(Note("phone-refused", "", fields))

    def answer(
        self, server: ServerTransaction, status: int, reason: str, at: float, out: list[Command],
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:  # fmt: skip
        """Answer so."""
        response: Response = self._desk.respond_to(server, status, reason)
        response.headers.extend(headers)
        server.respond(response, at, out)


def _withholds(said: Party) -> bool:
    """Whether somebody does not say who it is (RFC 3323 4.1.1.3); any other user there would be somebody."""
    return said.host == ANONYMOUS_HOST and said.user.lower() in ("", ANONYMOUS)


def terms_of(snapshot: Snapshot, settings: RegistrarSettings, user: str) -> UserTerms:
    """What the users file says of the phones of ``user``, as rules see it."""
    return snapshot.phones.terms(settings.realm, snapshot.phones.name_of(settings.realm, user) or user)


def way_refused(flow: Flow, terms: UserTerms) -> str:
    """Why a user with these terms may not come over ``flow``; "" where it may."""
    if terms.tls_only and not flow.secure:
        return f"it comes over {flow.transport.upper()}, and the users file says tls_only of it"
    if not terms.certificate:
        return ""
    wanted = terms.certificate.lower()
    peer = flow.tls.peer if flow.tls is not None else None
    if peer is None or not peer.verified:
        return f"it shows no certificate that we trust, and the users file binds it to {terms.certificate}"
    names = [each.partition(":")[2].lower() for each in peer.sans]
    if wanted in names:
        return ""
    return f"its certificate is of {peer.label}, and the users file binds it to {terms.certificate}"
