"""REGISTER of phones: from the password to the 200, and what else ends a binding (RFC 3261 10.3).

It takes three steps: the password, the hooks, and writing down what it changes. Its 200 waits for the disk,
so that a binding that was confirmed is there after a restart. Where the disk fails that is said, and the
binding holds all the same while we run: a full disk silences no phone.
"""

from __future__ import annotations

from dsl.addresses import canonical_host
from sbc.b2bua.commands import AskRegister, Command, KeepBindings, Note, Suspect
from sbc.b2bua.desk import Desk
from sbc.b2bua.facts import facts_of
from sbc.b2bua.phones import Phones, terms_of, way_refused
from sbc.b2bua.screening import GOING
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.registrar import RegistrarSettings
from sbc.config.snapshot import Snapshot
from sbc.config.users import Users
from sbc.flow import Flow
from sbc.hookapi.arguments import Registration
from sbc.registrar.binding import Binding
from sbc.registrar.register import Change, Refused, register
from sbc.sip.grammar import decimal
from sbc.sip.transactions import ServerTransaction
from sbc.sip.uri import NameAddr, parse_name_addr


class Asked:
    """A REGISTER whose user has proved who it is, while hooks or the disk have it."""

    __slots__ = ("change", "flow", "server", "snapshot", "trunk", "user")

    def __init__(
        self, flow: Flow, server: ServerTransaction, snapshot: Snapshot, trunk: Trunk, user: str
    ) -> None:
        self.flow = flow
        self.server = server
        self.snapshot = snapshot
        self.trunk = trunk
        self.user = user
        self.change: Change | None = None


class Registering:
    """One for the engine; it asks ``phones`` who somebody is."""

    __slots__ = ("_asked", "_clock", "_desk", "_key", "_phones", "_users")

    def __init__(self, desk: Desk, phones: Phones) -> None:
        self._desk = desk
        self._phones = phones
        self._asked: dict[int, Asked] = {}
        self._key = 0
        self._clock: float | None = None
        self._users: Users = desk.store.current.phones

    def receive(
        self, flow: Flow, server: ServerTransaction, trunk: Trunk, at: float, out: list[Command]
    ) -> None:
        """Take in a REGISTER of a trunk with phones."""
        snapshot = self._desk.store.current
        settings = snapshot.settings.registrar
        if self._desk.draining or settings is None:
            self._phones.answer(server, GOING.status, GOING.reason, at, out, GOING.headers)
            self._phones.forget_stranger(server, at)
            return
        request = server.request
        asked, to = request.target.party, request.to.uri.party
        ours = settings.hosts
        if asked.host not in ours or to.host not in ours:
            ours = self._hosts(flow, snapshot, settings, trunk)
        if asked.host not in ours:
            why = f"{asked.host or 'it'} is not registered with us: add it to `registrar` domains if it is"
            self._phones.refuse(server, 404, "Not Found", why, at, out)
            self._phones.forget_stranger(server, at)
            if flow.reliable:
                out.append(Suspect(flow, "domain"))
            return
        user = self._phones.proves(server, snapshot, settings, 401, at, out)
        if not user or not self._phones.is_within_rate(server, trunk, user, at, out):
            return
        why = self._phones.unfit(flow, snapshot, settings, user)
        if not why and (to.user != user or to.host not in ours):
            why = f"{user} registers {to.user or 'nobody'}@{to.host}, which is not its own"
        if why:
            self._phones.refuse(server, 403, "Forbidden", why, at, out)
            return
        known = Asked(flow, server, snapshot, trunk, user)
        if snapshot.hooks.register and request.headers.get("Contact") is not None:
            self._ask(known, settings, at, out)
        else:
            self._change(known, at, out)

    def _hosts(
        self, flow: Flow, snapshot: Snapshot, settings: RegistrarSettings, trunk: Trunk
    ) -> frozenset[str]:
        """The names and addresses that phones know us by."""
        listener = snapshot.settings.listeners[trunk.listener]
        found = {canonical_host(flow.local.host), canonical_host(listener.bind.host)}
        if listener.advertise is not None:
            found.add(canonical_host(listener.advertise.host))
        if trunk.domain is not None:
            found.add(canonical_host(trunk.domain))
        tenant = snapshot.settings.tenants.get(trunk.tenant or "")
        if tenant is not None:
            found.update([each.lower() for each in tenant.domains])
        return settings.hosts | found

    def _ask(self, asked: Asked, settings: RegistrarSettings, at: float, out: list[Command]) -> None:
        desk, request, trunk = self._desk, asked.server.request, asked.trunk
        facts = facts_of(
            request, asked.flow, trunk.tenant, desk.date(at), desk.count, (asked.user, settings.realm),
            trunk=trunk.trunk, registered=desk.registrar.registered,
        )  # fmt: skip
        values = tuple(request.headers.values("contact"))
        expires = _longest(request.headers.get("Expires"), values)
        registration = Registration(
            asked.user, tuple([_uri(value) for value in values]), expires,
            facts.user_agent, desk.registrar.is_registered(asked.user, desk.date(at)), desk.date(at),
        )  # fmt: skip
        key = self._wait(asked)
        out.append(AskRegister(key, asked.snapshot, asked.snapshot.hooks.register, facts, registration))

    def on_asked(self, key: int, refused: str, failed: str, at: float, out: list[Command]) -> None:
        """Hooks have spoken: why they refuse, "" where they do not; file:line of one that failed."""
        asked = self._asked.pop(key, None)
        if asked is None:
            return
        if failed:
            self._phones.refuse(asked.server, 500, "", f"hook failed: {failed}", at, out)
        elif refused:
            self._phones.refuse(asked.server, 403, "Forbidden", refused, at, out)
        else:
            self._change(asked, at, out)

    def _change(self, asked: Asked, at: float, out: list[Command]) -> None:
        self._follow_clock(out)
        registrar, now, user = self._desk.registrar, self._desk.date(at), asked.user
        snapshot = self._desk.store.current
        settings = snapshot.settings.registrar
        if settings is None or (snapshot is not asked.snapshot and self._is_outdated(asked, settings)):
            why = "a reload has removed the user, or what it came by, meanwhile"
            self._phones.refuse(asked.server, 403, "Forbidden", why, at, out)
            return
        terms = settings.terms(terms_of(snapshot, settings, user).contacts)
        known = [each for each in registrar.known(user) if each.expires_at > now]
        try:
            change = register(asked.server.request, user, known, asked.flow, terms, now, asked.trunk.trunk)
        except Refused as refusal:
            status, reason, headers = refusal.status, refusal.reason, refusal.headers
            self._phones.refuse(asked.server, status, reason, refusal.why, at, out, headers)
            return
        except PeerError as error:
            self._phones.refuse(asked.server, error.status, "", error.reason, at, out)
            return
        asked.change = change
        if not change.changed:
            self._confirm(asked, at, out)
            return
        registrar.put(user, change.bindings)
        for each in change.bindings:
            if each.flow is not None and not each.flow.alive:
                registrar.flow_closed(each.flow)
        out.append(KeepBindings(self._wait(asked), user, tuple(change.bindings)))

    def _is_outdated(self, asked: Asked, settings: RegistrarSettings) -> bool:
        """Whether what was proved when it came counts no more by the configuration in force."""
        snapshot, user = self._desk.store.current, asked.user
        trunk = snapshot.trunks.get(asked.trunk.trunk)
        return (
            trunk is None
            or not trunk.phones
            or snapshot.phones.name_of(settings.realm, user) is None
            or _has_another_password(user, asked.snapshot.phones, snapshot.phones, settings)
            or bool(self._phones.unfit(asked.flow, snapshot, settings, user))
        )

    def on_kept(self, key: int, at: float, out: list[Command]) -> None:
        """What a REGISTER changed is on the disk, or was said not to be."""
        asked = self._asked.pop(key, None)
        if asked is not None:
            self._confirm(asked, at, out)

    def _confirm(self, asked: Asked, at: float, out: list[Command]) -> None:
        change = asked.change
        assert change is not None, "it has been worked out"
        response = self._desk.respond_to(asked.server, 200, "OK")
        response.headers.extend(change.headers)
        asked.server.respond(response, at, out)
        for each in change.added:
            out.append(
                _note("phone-registered", each, {"expires": round(each.expires_at - self._desk.date(at))})
            )
        for each in change.removed:
            out.append(_note("phone-unregistered", each, {}))
        self._phones.counts["registered"] += len(change.added)
        self._phones.counts["unregistered"] += len(change.removed)
        if change.changed and not change.added and not change.removed:
            self._phones.counts["refreshed"] += 1

    def _wait(self, asked: Asked) -> int:
        self._key += 1
        self._asked[self._key] = asked
        return self._key

    # Time, and what else ends a binding

    def tick(self, at: float, out: list[Command]) -> None:
        """Take out what has expired, about every second; and move with a wall clock that was set."""
        self._follow_clock(out)
        gone = self._desk.registrar.expired(self._desk.date(at))
        self._phones.counts["expired"] += len(gone)
        self._tell_gone("phone-expired", gone, out)

    def _follow_clock(self, out: list[Command]) -> None:
        epoch, registrar, former = self._desk.epoch, self._desk.registrar, self._clock
        if former is not None and abs(epoch - former) >= 1.0:
            registrar.shift(epoch - former)
            for user in dict.fromkeys([each.user for each in registrar]):
                out.append(KeepBindings(0, user, tuple(registrar.known(user))))
        self._clock = epoch

    def follow(self, at: float, out: list[Command]) -> None:
        """Do what the configuration in force says: who may not register any more is not registered."""
        gone = self._desk.registrar.drop(self._is_unwanted)
        self._users = self._desk.store.current.phones
        self._tell_gone("phone-dropped", gone, out)

    def _is_unwanted(self, binding: Binding) -> bool:
        snapshot = self._desk.store.current
        settings, trunk = snapshot.settings.registrar, snapshot.trunks.get(binding.trunk)
        if settings is None or trunk is None or not trunk.phones:
            return True
        if snapshot.phones.name_of(settings.realm, binding.user) is None:
            return True
        if _has_another_password(binding.user, self._users, snapshot.phones, settings):
            return True
        terms = terms_of(snapshot, settings, binding.user)
        if terms.tls_only and binding.transport != "tls":
            return True
        flow = binding.flow
        return flow is not None and bool(way_refused(flow, terms))

    def _tell_gone(self, event: str, gone: list[Binding], out: list[Command]) -> None:
        for each in gone:
            out.append(_note(event, each, {}))
        for user in dict.fromkeys([each.user for each in gone]):
            out.append(KeepBindings(0, user, tuple(self._desk.registrar.known(user))))


def _has_another_password(user: str, then: Users, now: Users, settings: RegistrarSettings) -> bool:
    """Whether whoever registered as ``user`` proved a password that is none any more."""
    if then is now:
        return False
    name = now.name_of(settings.realm, user) or user
    was, has = then.secrets(settings.realm, name), now.secrets(settings.realm, name)
    return bool(was) and not any([was.get(each) == digest for each, digest in has.items()])


def _note(event: str, binding: Binding, more: dict[str, object]) -> Note:
    fields: dict[str, object] = {
        "user": binding.user, "trunk": binding.trunk, "remote": str(binding.remote),
        "transport": binding.transport, "contact": str(binding.contact), **more,
    }  # fmt: skip
    return Note(event, "", fields)


def _uri(value: str) -> str:
    return value if value == "*" else str(parse_name_addr(value).uri)


def _longest(header: str | None, values: tuple[str, ...]) -> int:
    """The longest that is asked for, in seconds; -1 where nothing is."""
    asked = [decimal(_expires(parse_name_addr(each)) or header or "") for each in values if each != "*"]
    known = [each for each in asked if each is not None]
    if "*" in values:
        known.append(0)
    return max(known) if known else -1


def _expires(address: NameAddr) -> str:
    return address.param("expires") or ""
