"""What no single key can get wrong: trunks against listeners, identities, trust and each other.

Each check is a generator of diagnostics over one trunk. It asks ``part`` first whether the keys
that it needs were readable, and is silent where they were not.
"""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dsl.breath import breathe
from dsl.errors import Diagnostic
from dsl.ruleset import RuleSet
from sbc.base import is_wildcard
from sbc.config.model import Listener, Settings, Trunk, TrunkTls
from sbc.config.schema import Loc, suggest
from sbc.config.values import parse_ports
from sbc.config.yaml_reader import Document
from sbc.tls.material.authorities import normal_subject
from sbc.tls.names import is_ip
from sbc.tls.sources import SourceIndex


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """sbc.yaml as read; ``value`` lacks what is in ``broken``."""

    value: Settings
    document: Document
    broken: frozenset[Loc] = frozenset()

    def names(self, section: str) -> set[str]:
        """Every name that the operator gave in ``section``, whether its entry is right or not."""
        given = self.document.data.get(section)
        return set(given) if isinstance(given, dict) else set()


@dataclass(frozen=True, slots=True)
class TrunkFile:
    """One file of trunks.d as read; ``value`` lacks the keys in ``broken``."""

    value: Trunk
    document: Document
    broken: frozenset[Loc] = frozenset()

    def right(self, *keys: str) -> bool:
        """True where none of these keys had a mistake of its own."""
        return not any((key,) in self.broken for key in keys)

    def error(self, loc: Loc, message: str, hint: str, *, key: bool = False) -> Diagnostic:
        """A mistake of this trunk at ``loc``."""
        return self.document.problem(loc, message, hint, key=key)

    def warning(self, loc: Loc, message: str, hint: str) -> Diagnostic:
        """Something that is allowed and is seldom meant."""
        return self.document.problem(loc, message, hint, severity="warning")


def check_trunks(settings: SettingsFile, trunks: list[TrunkFile]) -> Iterator[Diagnostic]:
    """Every mistake between the files of trunks.d and sbc.yaml."""
    yield from _duplicates(trunks)
    yield from _shared_sources(settings, trunks)
    yield from _two_trunks(settings, trunks)
    for trunk in trunks:
        yield from _references(settings, trunk)
        yield from _ports(settings, trunk)
        yield from _users(trunk)
        listener = settings.value.listeners.get(trunk.value.listener)
        if listener is None or not trunk.right("listener"):
            continue
        breathe()
        if listener.transport == "tls":
            yield from _on_tls(settings, trunk)
        else:
            yield from _on_plaintext(trunk, listener)
        yield from _reach(trunk, listener)
        yield from _told(trunk)
        yield from _shares(trunk)


def check_routing(rules: RuleSet, trunks: list[TrunkFile]) -> Iterator[Diagnostic]:
    """Rules that route to a trunk that cannot be called, and methods that no rule routes."""
    first: dict[str, str] = {}
    for rule in rules.rules:
        breathe()
        for name in rule.outcome.trunks:
            first.setdefault(name, rule.place)
    for trunk in trunks:
        place = first.get(trunk.value.trunk)
        if place is not None and not trunk.value.peers and trunk.right("peers", "srv"):
            hint = "write peers: [host:port]; until then each call to it fails over or gets 503"
            yield trunk.warning((), f"no peers, but rule {place} routes to it", hint)
        if trunk.value.methods and trunk.right("methods") and not rules.outside:
            said = trunk.value.methods[0]
            hint = f'write a rule such as `when: method == "{said}"`: all others are about calls alone'
            yield trunk.warning(("methods",), f"no rule names `method`: each {said} gets 404", hint)


def check_control(settings: SettingsFile, directory: Path) -> Iterator[Diagnostic]:
    """A file in the place of the socket, which would have to go for it."""
    path = settings.value.control
    try:
        mode = (directory / path).lstat().st_mode
    except OSError:
        return  # there is none yet; what else is wrong the start says
    if not stat.S_ISSOCK(mode):
        hint = "write the path of a socket that Portcullis makes, such as run/sbc.sock"
        yield settings.document.problem(("control",), f"{path} is no socket", hint)


def _duplicates(trunks: list[TrunkFile]) -> Iterator[Diagnostic]:
    first: dict[str, TrunkFile] = {}
    for trunk in trunks:
        known = first.setdefault(trunk.value.trunk, trunk)
        if known is not trunk:
            line = known.document.place(("trunk",))[0]
            hint = f"it is also in {known.document.path}:{line}; one trunk, one file"
            yield trunk.error(("trunk",), f"trunk {trunk.value.trunk!r} is defined twice", hint)


def _references(settings: SettingsFile, trunk: TrunkFile) -> Iterator[Diagnostic]:
    value = trunk.value
    if trunk.right("listener"):
        yield from _known(settings, trunk, "listeners", "listener", ("listener",), value.listener)
    if value.tenant is not None and trunk.right("tenant"):
        yield from _known(settings, trunk, "tenants", "tenant", ("tenant",), value.tenant)
    if value.network is not None and trunk.right("network") and ("media",) not in settings.broken:
        yield from _network(settings, trunk, value.network)
    if value.tls is None or not trunk.right("tls"):
        return
    for key in ("server_identity", "client_identity"):
        name = getattr(value.tls, key)
        if name is not None and (key, name) != ("client_identity", "none"):
            yield from _known(settings, trunk, "identities", "identity", ("tls", key), name)
    for index, name in enumerate(value.tls.trust):
        yield from _known(settings, trunk, "trust", "trust anchor", ("tls", "trust", index), name)
    for index, name in enumerate(value.tls.peer_trusts):
        yield from _declared(settings, trunk, ("tls", "peer_trusts", index), name)


def _network(settings: SettingsFile, trunk: TrunkFile, name: str) -> Iterator[Diagnostic]:
    media = settings.document.data.get("media")
    given = media.get("networks") if isinstance(media, dict) else None
    names = set(given) if isinstance(given, dict) else set()
    if name not in names:
        hint = suggest(name, names, "define it under `media.networks:` in sbc.yaml")
        yield trunk.error(("network",), f"unknown media network {name!r}", hint)


def _ports(settings: SettingsFile, trunk: TrunkFile) -> Iterator[Diagnostic]:
    limit = trunk.value.limits.ports
    if limit is None or not trunk.right("limits") or any(loc[:1] == ("media",) for loc in settings.broken):
        return
    pairs, written = 0, []
    for place in settings.value.media.places:
        first, last = parse_ports(place.ports)
        pairs += (last + 1) // 2 - (first + 1) // 2
        written.append(place.ports)
    if limit > pairs:
        ports = ", ".join(written)
        key = "media.networks" if settings.value.media.networks else "media.ports"
        hint = f"{key} {ports} holds {pairs}: write fewer, or widen {key} in sbc.yaml"
        yield trunk.warning(
            ("limits", "ports"), f"{limit} pairs of media ports are more than there are", hint
        )


def _users(trunk: TrunkFile) -> Iterator[Diagnostic]:
    if trunk.value.limits.rates_per_user and not trunk.value.phones and trunk.right("limits"):
        hint = "write rates_per_source, or `phones: true` if they are users of the registrar"
        yield trunk.error(("limits", "rates_per_user"), "nobody proves here to be a user of ours", hint)


def _declared(settings: SettingsFile, trunk: TrunkFile, loc: Loc, name: str) -> Iterator[Diagnostic]:
    """A CA that the peer trusts: an entry of our truststore, or a subject."""
    if "=" not in name:
        yield from _known(settings, trunk, "trust", "trust anchor", loc, name)
    elif normal_subject(name) is None:
        hint = "write it as `openssl x509 -noout -subject -nameopt RFC2253` does"
        yield trunk.error(loc, f"{name!r} is not the subject of a CA", hint)


def _known(
    settings: SettingsFile, trunk: TrunkFile, section: str, what: str, loc: Loc, name: str
) -> Iterator[Diagnostic]:
    names = settings.names(section)
    if name not in names:
        hint = suggest(name, names, f"define it under `{section}:` in sbc.yaml")
        yield trunk.error(loc, f"unknown {what} {name!r}", hint)


def _on_tls(settings: SettingsFile, trunk: TrunkFile) -> Iterator[Diagnostic]:
    tls, name = trunk.value.tls, trunk.value.listener
    if not trunk.right("tls"):
        return
    if tls is None:
        hint = f"listener {name!r} is TLS: say whom to trust under `tls:`, or use a udp or tcp listener"
        yield trunk.error((), "key 'tls' is missing", hint)
    elif tls.mode == "off":
        hint = f"listener {name!r} is TLS: choose server, optional or required, or a udp or tcp listener"
        yield trunk.error(("tls", "mode"), "mode 'off' on a TLS listener", hint)
    else:
        yield from _identity(settings, trunk, tls)
        if trunk.value.alias and tls.mode == "server":
            hint = "remove it: a peer that shows no certificate has not proved that it is one of `peers`"
            yield trunk.warning(("alias",), "alias has no effect in mode server", hint)
        yield from _trust(trunk, tls)
        yield from _revocation(trunk, tls)


def _revocation(trunk: TrunkFile, tls: TrunkTls) -> Iterator[Diagnostic]:
    asks = trunk.value.sources and tls.mode in ("optional", "required") and trunk.right("sources")
    if asks and tls.revocation.mode != "off" and tls.revocation.methods == ("staple",):
        where, hint = ("tls", "revocation", "methods"), "add crl or ocsp: a peer that connects cannot staple"
        yield trunk.warning(where, "nothing can be learned of peers that connect", hint)


def _identity(settings: SettingsFile, trunk: TrunkFile, tls: TrunkTls) -> Iterator[Diagnostic]:
    if tls.server_identity is None and trunk.value.tenant is None and trunk.right("tenant"):
        hint = "write server_identity: NAME (of `identities:` in sbc.yaml), or give the trunk a tenant"
        yield trunk.error(("tls",), f"mode {tls.mode!r} without a server identity", hint, key=True)
    if tls.mode == "required" and trunk.value.peers and "client_identity" not in tls.model_fields_set:
        hint = "write client_identity: NAME, or `none` to say that it is meant"
        yield trunk.warning(("tls",), "peers are dialled without a certificate of ours", hint)


def _trust(trunk: TrunkFile, tls: TrunkTls) -> Iterator[Diagnostic]:
    if not tls.trust:
        if tls.mode in ("required", "optional"):
            hint = "write trust: [NAME] (of `trust:` in sbc.yaml); without it nobody can be verified"
            yield trunk.error(("tls", "mode"), f"mode {tls.mode!r} without trust", hint)
        elif trunk.value.peers:
            hint = "write trust: [NAME]: we verify whom we dial in every mode"
            yield trunk.error(("tls",), "peers are dialled by TLS but nobody is trusted", hint, key=True)


def _on_plaintext(trunk: TrunkFile, listener: Listener) -> Iterator[Diagnostic]:
    value, how = trunk.value, listener.transport.upper()
    if value.alias:
        hint = f"listener {value.listener!r} is {how}: without certificates nobody has proved who he is"
        yield trunk.warning(("alias",), f"alias has no effect over {how}", hint)
    if value.tls is not None and value.tls.mode != "off" and trunk.right("tls"):
        hint = f"listener {value.listener!r} is {how}: remove `tls:`, or use a TLS listener"
        yield trunk.error(("tls",), "tls on a listener without TLS", hint, key=True)
    if value.scheme == "sips":
        hint = f"listener {value.listener!r} is {how}: write scheme: sip, or use a TLS listener"
        yield trunk.error(("scheme",), "scheme 'sips' without TLS", hint)
    if value.sdes_in_clear or not trunk.right("srtp", "sdes_in_clear"):
        return
    if value.srtp == "required":
        hint = "use a TLS listener, or accept it with sdes_in_clear: true"
        yield trunk.error(("srtp",), f"srtp 'required' over {how}: the keys would cross in the clear", hint)
    elif value.srtp == "offer":
        hint = "without TLS no keys are offered: use a TLS listener, or srtp: accept"
        yield trunk.warning(("srtp",), f"srtp 'offer' has no effect over {how}", hint)


def _reach(trunk: TrunkFile, listener: Listener) -> Iterator[Diagnostic]:
    value = trunk.value
    if "long_requests" in value.model_fields_set and listener.transport != "udp":
        hint = "remove it; it is for trunks on a udp listener"
        yield trunk.warning(("long_requests",), "long_requests has no effect here", hint)
    if not value.sources and value.registration is None and trunk.right("sources", "register"):
        hint = 'write sources: [NETWORK, ...] to take calls from it; [0.0.0.0/0, "::/0"] is everybody'
        yield trunk.warning((), "no sources: the trunk can be called but cannot call", hint)
    if value.options is not None and not value.peers and trunk.right("peers", "srv"):
        yield trunk.warning(("options",), "there is no peer to probe", "write peers: [host:port]")
    for index, peer in enumerate(value.peers):
        if is_ip(peer.host) and peer in (listener.bind, listener.advertise):
            hint = "a trunk's peer is the other side: a call to it would come back to us"
            yield trunk.warning(("peers", index), f"{peer} is our own listener {value.listener!r}", hint)
        if peer.port == 0 and "port" in value.listed[index].model_fields_set:
            yield trunk.error(("peers", index), f"{peer} has port 0", "write the peer's port, such as 5061")
        if is_wildcard(peer.host):
            yield trunk.error(("peers", index), f"{peer} is nobody's address", "write the peer's own")
        elif listener.transport == "udp" and not _same_family(listener.bind.host, peer.host):
            hint = f"listener {value.listener!r} is on {listener.bind}: use one of the peer's family, or [::]"
            yield trunk.error(("peers", index), f"{peer} cannot be reached over UDP from here", hint)
    if value.domain is not None and is_wildcard(value.domain):
        hint = "write the host name that this trunk's peers know us by, or leave `domain` out"
        yield trunk.error(("domain",), f"no peer can reach {value.domain}", hint)


def _told(trunk: TrunkFile) -> Iterator[Diagnostic]:
    identity = trunk.value.identity
    if identity.out == "none" and "header" in identity.model_fields_set and trunk.right("identity"):
        hint = "write out: screened or out: trusted, or remove header"
        yield trunk.warning(("identity", "header"), "header has no effect: its peers are told nothing", hint)


def _shares(trunk: TrunkFile) -> Iterator[Diagnostic]:
    """How a trunk's peers share its calls: each has a priority, or none has."""
    servers = trunk.value.servers
    if servers and trunk.value.srv is not None:
        hint = f"keep one of them; `peers: [{trunk.value.srv}]` says the same as `srv`"
        yield trunk.error(("srv",), "srv beside peers", hint, key=True)
        return
    ranked = any(each.priority is not None for each in servers)
    for index, server in enumerate(servers):
        if server.address in trunk.value.peers[:index]:
            hint = "remove one; a greater `weight` gives it more of the calls"
            yield trunk.error(("peers", index), f"{server.address} stands twice", hint)
        elif ranked and server.priority is None:
            hint = "write `priority` beside each peer, the lowest is tried first; or beside none"
            yield trunk.error(("peers", index), f"{server.address} has no priority, but others have", hint)
        elif server.priority is None and server.weight is not None:
            hint = "write priority: 1 beside it, and beside every peer that shares the calls with it"
            yield trunk.error(("peers", index, "weight"), "a weight without a priority", hint)


def _same_family(bound: str, peer: str) -> bool:
    """Whether a UDP socket on ``bound`` reaches ``peer``; a name may have addresses of either family."""
    if not is_ip(peer) or not is_ip(bound) or (":" in bound and is_wildcard(bound)):
        return True
    return (":" in bound) is (":" in peer)


def _shared_sources(settings: SettingsFile, trunks: Iterable[TrunkFile]) -> Iterator[Diagnostic]:
    """Without certificates and `match` the address is all that tells two trunks apart."""
    first: dict[tuple[str, str], TrunkFile] = {}
    for trunk in trunks:
        listener = settings.value.listeners.get(trunk.value.listener)
        if listener is None or listener.transport == "tls" or trunk.value.told_by_request:
            continue
        if not trunk.right("sources", "match", "register"):
            continue
        for index, source in enumerate(trunk.value.sources):
            known = first.setdefault((trunk.value.listener, source), trunk)
            if known is not trunk and known.value.trunk != trunk.value.trunk:
                hint = "without TLS only the address tells them apart: give each its own, or one `match`"
                message = f"source {source} is also that of trunk {known.value.trunk!r}"
                yield trunk.error(("sources", index), message, hint)


def _two_trunks(settings: SettingsFile, trunks: list[TrunkFile]) -> Iterator[Diagnostic]:
    """A peer whose certificate we verify when we call it, and that shows none when it calls us.

    What it sends within our calls on a connection of its own comes from an address alone.
    """
    unverified = [each for each in trunks if each.value.tls is not None and each.value.tls.mode == "server"]
    for trunk in trunks:
        listener = settings.value.listeners.get(trunk.value.listener)
        if listener is None or listener.transport != "tls":
            continue
        for index, peer in enumerate(trunk.value.peers):
            if not is_ip(peer.host) or _admits(trunk, peer.host):
                continue
            for other in unverified:
                same = other is not trunk and other.value.listener == trunk.value.listener
                if same and _admits(other, peer.host):
                    name = other.value.trunk
                    hint = f"give this trunk the source {peer.host}, or {name!r} another mode than server"
                    message = (
                        f"{peer.host} connects as trunk {name!r}, without a certificate: its BYE gets 481"
                    )
                    yield trunk.warning(("peers", index), message, hint)


def _admits(trunk: TrunkFile, host: str) -> bool:
    return SourceIndex((source, "") for source in trunk.value.sources).first(host) is not None
