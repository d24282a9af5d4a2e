"""Revocation at the edge: settle what a handshake left open, and end what is revoked later.

In the handshake only what is known is asked (``sbc.tls.judge``). What it could not answer is settled here,
after the handshake and before the first byte of SIP is read or sent: the connection's own greenlet
waits, for a bounded time, for lists and answers that others fetch (``sources``). Then a trunk
that is ``hard`` refuses whoever is not known to be good; one that is ``soft`` lets pass and tells.

A list or an answer that arrives later is held against every open connection: whoever turns out to be
revoked loses it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import gevent
from gevent.event import Event

from sbc.base import Address, PeerError
from sbc.net.handler import Edge
from sbc.net.revocation.sources import Sources
from sbc.net.revocation.state import SavedLists, SavedSources
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.failure import Failure
from sbc.tls.judge import Judge
from sbc.tls.material.certificate import thumbprint_of
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.files import is_url
from sbc.tls.revocation.finding import Finding
from sbc.tls.revocation.known import Pair, authority_pairs, own_pair
from sbc.tls.revocation.link import Link
from sbc.tls.revocation.policy import RevocationPolicy, SoftPass, refusal
from sbc.tls.revocation.source import RevocationSource, answer_source, list_source, named_sources

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

_REMEMBERED = 4096


class Observer(Protocol):
    """Who is told: the journal and the counters."""

    def soft_pass(self, event: SoftPass) -> None:
        """A certificate of which too little is known was let pass."""

    def revocation(self, level: Literal["INF", "WRN", "ERR"], fields: dict[str, Any], now: float) -> None:
        """Something about a source or a certificate that an operator wants to know."""


class Revocation:
    """What is known, where it comes from, and the connections that depend on it.

    Without a ``store`` nothing survives a restart; ``edges`` have the connections.
    """

    def __init__(
        self, clock: Clock, observer: Observer | None = None, store: Store | None = None,
        edges: Sequence[Edge] = (),
    ) -> None:  # fmt: skip
        self.cache = RevocationCache()
        files = SavedLists(store) if store is not None else None
        self.sources = Sources(self.cache, clock, self._changed, self._failed, files)
        self._edges = edges
        self._clock = clock
        self._observer = observer
        self._store = store
        self._own: dict[str, Link] = {}
        self._configured: dict[str, tuple[RevocationSource, ...]] = {}
        self._named: dict[str, tuple[RevocationSource, ...]] = {}

    # Life

    def start(self) -> None:
        """Take up what was known before the restart, then begin to ask."""
        if self._store is not None:
            SavedSources(self._store, self.cache, self.sources, self._clock.now())
        self.sources.start()

    def close(self) -> None:
        """Ask no more."""
        self.sources.close()

    def apply(self, snapshot: Snapshot) -> None:
        """Use this snapshot's lists, addresses and certificates; who is revoked by them is cut off."""
        self.sources.settings = snapshot.settings.revocation
        self._configured = self._addresses(snapshot)
        urls = {issuer: tuple(each.url for each in found) for issuer, found in self._configured.items()}
        self.cache.configure([each for lists in snapshot.lists.values() for each in lists], urls)
        self._named.clear()
        trusted = [
            der for each in snapshot.anchors.values() if each.kind == "ca" for der in each.certificates
        ]
        pairs = {each.thumbprint: own_pair(each.chain_pem, trusted) for each in snapshot.identities.values()}
        self._own = {
            thumbprint: link
            for thumbprint, pair in pairs.items()
            for link in self._links([pair] if pair is not None else [])
        }
        self.sources.keep(self._known_sources(trusted))
        gevent.spawn(self.cut_revoked)

    def _known_sources(self, trusted: Sequence[bytes]) -> Iterator[RevocationSource]:
        """The addresses that are needed whoever connects."""
        for link in self._own.values():
            yield from (answer_source(url, link) for url in link.responders)
        for found in self._configured.values():
            yield from found
        for link in self._links(authority_pairs(trusted)):
            yield from named_sources(link)

    def _addresses(self, snapshot: Snapshot) -> dict[str, tuple[RevocationSource, ...]]:
        """The addresses of lists that the configuration names, by the id of each CA that they may be of."""
        found: dict[str, tuple[RevocationSource, ...]] = {}
        for name, anchor in snapshot.anchors.items():
            issuers = tuple(self.cache.links.issuer(der, thumbprint_of(der)) for der in anchor.certificates)
            entry = snapshot.settings.trust.get(name)
            for url in entry.crl if entry is not None else ():
                for each in issuers if is_url(url) else ():
                    found[each.id] = (*found.get(each.id, ()), list_source(url, *issuers))
        return found

    def _links(self, pairs: Iterable[Pair]) -> Iterator[Link]:
        for pair in pairs:
            try:
                yield self.cache.links.chain(pair, tuple(map(thumbprint_of, pair)))[0]
            except PeerError:
                continue  # whoever reads it in a handshake refuses it there

    # Handshakes

    def staple(self, thumbprint: str) -> bytes:
        """A fresh OCSP answer about a certificate of our own, b"" where there is none."""
        link = self._own.get(thumbprint)
        answer = self.cache.answer(link) if link is not None else None
        return answer.der if answer is not None and answer.fresh(self._clock.now()) else b""

    def objection(self, judge: Judge, remote: Address) -> Failure | None:
        """Decide what the handshake left open, waiting a bounded time; why the peer is refused, if it is."""
        policy = judge.policy
        if policy is None:
            return None
        asked = self._ask(judge, policy)
        if any(asked.values()):
            self._wait(judge, policy, asked)
        opened = self._open(judge, policy)
        if not opened:
            judge.news = "good" if judge.links else None
            return None
        link, found = opened[0]
        judge.news = found.state
        if policy.mode == "hard" or found.state == "revoked":
            return refusal(link, found)
        if self._observer is not None and judge.trunk is not None:
            if judge.staple_problem and link is judge.links[0]:
                found = found._replace(reason=f"{found.reason}; {judge.staple_problem}")
            direction, now = judge.admission.direction, self._clock.now()
            self._observer.soft_pass(SoftPass(judge.trunk, direction, remote, link.subject, found, now))
        return None

    def _ask(self, judge: Judge, policy: RevocationPolicy) -> dict[str, list[Event]]:
        """Ask every source of the chain that is due: what to wait for, by the key of the link."""
        asked = {}
        for link in judge.links:
            wanted = [each for each in self._sources(link) if each.method in policy.methods]
            events = [self.sources.want(each, judge.trunk or "") for each in wanted]
            asked[link.key] = [each for each in events if each is not None]
        return asked

    def _wait(self, judge: Judge, policy: RevocationPolicy, asked: dict[str, list[Event]]) -> None:
        """Wait while one of those that were asked may settle what is open."""
        with gevent.Timeout(self.sources.settings.wait, False):
            while judge.revoked(self._clock.now()) is None:
                waiting = [event for link, _ in self._open(judge, policy) for event in asked[link.key]]
                pending = [event for event in waiting if not event.is_set()]
                if not pending:
                    return
                gevent.wait(pending, count=1)

    def _sources(self, link: Link) -> tuple[RevocationSource, ...]:
        known = self._named.get(link.key)
        if known is None:
            if len(self._named) >= _REMEMBERED:
                self._named.clear()
            both = (*self._configured.get(link.issuer.id, ()), *named_sources(link))
            known = self._named[link.key] = tuple({each.url: each for each in reversed(both)}.values())
        return known

    def _open(self, judge: Judge, policy: RevocationPolicy) -> list[tuple[Link, Finding]]:
        """The links that are not known to be good, the first that is revoked before the others."""
        now = self._clock.now()
        looked = [(link, self.cache.look(link, policy.methods, now)) for link in judge.links]
        opened = [(link, found) for link, found in looked if found.state != "good"]
        return sorted(opened, key=lambda each: each[1].state != "revoked")

    # What arrives later

    def cut_revoked(self, source: RevocationSource | None = None) -> None:
        """Close every connection whose peer is known to be revoked, of those that ``source`` is about."""
        now = self._clock.now()
        for flow in [flow for edge in self._edges for flow in edge.flows]:
            judge: Judge | None = flow.channel.cipher.judge if flow.tls is not None else None
            if judge is None or (source is not None and not any(map(source.concerns, judge.links))):
                continue
            failure = judge.revoked(now)
            if failure is not None and flow.channel.reason is None:
                flow.channel.close(f"its certificate was revoked: {failure.detail}")
                fields = {
                    "event": "connection-ended", "trunk": flow.trunk, "peer": flow.remote,
                    "detail": failure.detail, "remedy": failure.remedy,
                }  # fmt: skip
                self._tell("ERR", fields)

    def _changed(self, source: RevocationSource, news: bool) -> None:
        if news:
            self._tell("INF", {"event": "source-answers", "source": source.url, "of": source.subject})
        own = source.link is not None and source.link in self._own.values()
        answer = self.cache.answer(source.link) if own and source.link is not None else None
        if answer is not None and answer.state == "revoked":
            remedy = "get a new certificate: peers refuse this one"
            self._tell("ERR", {"event": "own-certificate-revoked", "of": source.subject, "remedy": remedy})
        self.cut_revoked(source)

    def _failed(self, source: RevocationSource, problem: str) -> None:
        self._tell("WRN", {"event": "source-failed", "of": source.subject, "problem": problem})

    def _tell(self, level: Literal["INF", "WRN", "ERR"], fields: dict[str, Any]) -> None:
        if self._observer is not None:
            self._observer.revocation(level, fields, self._clock.now())
