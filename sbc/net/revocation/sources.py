"""The addresses of revocation lists and OCSP responders, asked ahead of need.

An address is learned from the configuration, from our own certificates and from every certificate
that a peer has proved itself with, and it is asked again well before its last answer runs out,
in greenlets of their own: no handshake ever waits here. An answer that cannot be used is said once
with the address and the remedy, and what was known before stays. After a failure the next attempt
comes later each time, and no two addresses keep step. What nobody has needed for a week is forgotten.

Long lists are read in threads of their own, behind which nothing else waits. All that was learned
survives a restart: the lists as files of their own, what they are and the answers as entries of the
Store; everything is verified again when it is read.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cache
from typing import Protocol

import gevent
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from sbc.config.model import Revocation as Settings
from sbc.net.system.clock import Clock
from sbc.net.system.fetch import FetchFailed, Limits, fetch
from sbc.tls.material.problems import day
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import Issuer
from sbc.tls.revocation.link import Link
from sbc.tls.revocation.lists import RevocationList, read_list, split_pem
from sbc.tls.revocation.ocsp import MAX_ANSWER, question
from sbc.tls.revocation.source import RevocationSource, next_attempt, next_fetch

_AT_ONCE = 8
# Of those for the certificates of one trunk's peers: who names addresses that never answer holds up himself.
_FOR_ONE = 4
# Entries of all lists that certificates of one trunk's peers name, a hundred bytes of memory each.
_ENTRIES = 1_500_000
_READERS = 2
_MOST = 4096
_FORGET = 7 * 86400.0
_PERIOD = 1.0
_JITTER = 0.1


@dataclass(slots=True)
class SourceState:
    """What came of asking one address; times are POSIX seconds, 0 for never.

    ``until`` is when what it gave runs out, ``due`` when it is asked again, ``used`` when a handshake
    last needed it, ``kept`` that the configuration or a certificate of our own names it, ``by``
    whose peer named it last, "" for nobody's.
    """

    due: float
    used: float
    kept: bool = False
    until: float = 0.0
    fetched: float = 0.0
    failures: int = 0
    problem: str = ""
    by: str = ""
    done: Event | None = field(default=None, repr=False)


class ListFiles(Protocol):
    """Where lists are kept across a restart."""

    def keep(self, source: RevocationSource, data: bytes) -> None:
        """Write a list down."""

    def drop(self, source: RevocationSource) -> None:
        """It is needed no more."""


class Sources:
    """Every known address, and the loop that asks them.

    ``changed`` is told of each source that gave something, and whether it had nothing before or had
    failed; ``failed`` is told of each that begins to fail.
    """

    def __init__(
        self, cache: RevocationCache, clock: Clock, changed: Callable[[RevocationSource, bool], object],
        failed: Callable[[RevocationSource, str], object], files: ListFiles | None = None,
    ) -> None:  # fmt: skip
        self.settings = Settings()
        self.states: dict[RevocationSource, SourceState] = {}
        self.dirty: dict[RevocationSource, None] = {}
        self._cache = cache
        self._clock = clock
        self._changed = changed
        self._failed = failed
        self._files = files
        self._at_once = BoundedSemaphore(_AT_ONCE)
        self._shares: dict[str, BoundedSemaphore] = {}
        self._loop: gevent.Greenlet | None = None
        self._running: set[gevent.Greenlet] = set()

    def start(self) -> None:
        """Begin to ask ahead."""
        self._loop = gevent.spawn(self._run)

    def close(self) -> None:
        """Ask no more."""
        loop = [self._loop] if self._loop is not None else []
        gevent.killall([*loop, *self._running], block=False)

    def keep(self, sources: Iterable[RevocationSource]) -> None:
        """These are what the configuration names now."""
        kept = set(sources)
        now = self._clock.now()
        for source, state in self.states.items():
            state.kept = source in kept
        for source in kept:
            self.states.setdefault(source, SourceState(now, now)).kept = True

    def want(self, source: RevocationSource, trunk: str = "") -> Event | None:
        """A handshake of ``trunk`` needs it: what to wait for where it is being asked, None where not due."""
        now = self._clock.now()
        state = self.states.get(source)
        if state is None:
            if len(self.states) >= _MOST:
                self._forget_one()
            state = self.states[source] = SourceState(now, now)
        state.used, state.by = now, trunk
        if state.done is None and state.due <= now:
            self._begin(source, state)
        return state.done

    def restore(self, source: RevocationSource, state: SourceState) -> None:
        """What was known of an address before a restart."""
        self.states[source] = state

    def _run(self) -> None:
        while True:
            self.tick()
            gevent.sleep(min(_PERIOD, self.settings.refresh))

    def tick(self) -> None:
        """Ask whatever is due, forget what nobody needs."""
        now = self._clock.now()
        for source, state in list(self.states.items()):
            # A clock that was put back, or a shorter `refresh`, must not leave it waiting.
            state.due = min(state.due, now + self.settings.refresh)
            if not state.kept and state.done is None and now - state.used > _FORGET:
                self._forget(source)
            elif state.done is None and state.due <= now:
                self._begin(source, state)

    def _forget_one(self) -> None:
        """Of the trunk whose peers have named most of them, the one that nobody has needed longest."""
        named = Counter(state.by for state in self.states.values() if not state.kept)
        if named:
            (most, _), *_ = named.most_common(1)
            self._forget(self._named_by(most)[0])

    def _named_by(self, trunk: str) -> list[RevocationSource]:
        """What certificates of a trunk's peers name, what nobody has needed longest first."""
        named = [each for each, state in self.states.items() if state.by == trunk and not state.kept]
        return sorted(named, key=lambda each: self.states[each].used)

    def _bound(self, fresh: RevocationSource, trunk: str) -> None:
        """Forget lists for the sake of a ``fresh`` one where those of the trunk are too long together."""
        named = [each for each in self._named_by(trunk) if each.method == "crl"]
        entries = {each: self._cache.entries(each.url, each.issuers) for each in named}
        total = sum(entries.values())
        for each in named:
            if total > _ENTRIES and each != fresh:
                total -= entries[each]
                self._forget(each)

    def _forget(self, source: RevocationSource) -> None:
        del self.states[source]
        self._drop(source)
        self.dirty[source] = None

    def _drop(self, source: RevocationSource) -> None:
        """Let go of what ``source`` gave, of a list unless another source has it from the same address."""
        self._cache.problems.pop(source.url, None)
        if source.method != "crl":
            return
        alike = [each for each in self.states if (each.method, each.url) == (source.method, source.url)]
        needed = {issuer.id for each in alike for issuer in each.issuers}
        for issuer in source.issuers:
            if issuer.id not in needed:
                self._cache.drop_list(source.url, issuer.id)
        if self._files is not None and source not in self.states:
            self._files.drop(source)

    def _begin(self, source: RevocationSource, state: SourceState) -> None:
        state.done = Event()
        state.due = self._clock.now() + self.settings.refresh
        greenlet = gevent.spawn(self._ask, source, state, state.done)
        self._running.add(greenlet)
        greenlet.rawlink(self._running.discard)

    def _ask(self, source: RevocationSource, state: SourceState, done: Event) -> None:
        try:
            with self._share(state), self._at_once:
                until = self._fetch(source)
        except (FetchFailed, Unusable) as error:
            self._note_failure(source, state, str(error))
        else:
            self._note_success(source, state, until)
        finally:
            state.done = None
            done.set()
            if source not in self.states:
                self._drop(source)  # forgotten meanwhile
            elif source.method == "crl" and not state.kept:
                self._bound(source, state.by)

    def _share(self, state: SourceState) -> AbstractContextManager[object]:
        if state.kept or not state.by:
            return nullcontext()
        share: AbstractContextManager[object]
        share = self._shares.setdefault(state.by, BoundedSemaphore(_FOR_ONE))
        return share

    def _note_failure(self, source: RevocationSource, state: SourceState, problem: str) -> None:
        state.failures += 1
        first = problem != state.problem
        state.problem = self._cache.problems[source.url] = problem
        due = next_attempt(self._clock.now(), state.failures, self.settings.refresh)
        state.due = self._jitter(due)
        if first:
            self._failed(source, problem)

    def _note_success(self, source: RevocationSource, state: SourceState, until: float) -> None:
        now, news = self._clock.now(), not state.fetched or state.failures > 0
        state.failures, state.problem = 0, ""
        self._cache.problems.pop(source.url, None)
        state.fetched, state.until = now, until
        state.due = self._jitter(next_fetch(now, until, self.settings.refresh))
        self.dirty[source] = None
        self._changed(source, news)

    def _jitter(self, due: float) -> float:
        now = self._clock.now()
        return now + (due - now) * random.uniform(1 - _JITTER, 1)

    def _fetch(self, source: RevocationSource) -> float:
        """Ask, verify, keep; returns until when it holds. FetchFailed, Unusable."""
        settings = self.settings
        if source.link is not None:
            return self._fetch_answer(source, source.link, self._limits(settings, MAX_ANSWER))
        data = fetch(source.url, self._limits(settings, settings.max_bytes))
        fresh = read_off_hub(data, source.issuers, self._clock.now())
        if isinstance(fresh, Unusable):
            raise Unusable(f"{source.url}: {fresh.reason}", fresh.remedy)
        if not self._cache.put_list(source.url, fresh):
            raise Unusable(f"{source.url}: the list is older than the one before", "the newer one stays")
        if self._files is not None:
            self._files.keep(source, data)
        if not fresh.fresh(self._clock.now()):
            reason = f"{source.url}: the revocation list is out of date since {day(fresh.next_update)}"
            raise Unusable(reason, "let the CA publish a new one")
        return fresh.next_update

    def _fetch_answer(self, source: RevocationSource, link: Link, limits: Limits) -> float:
        data = fetch(source.url, limits, question(link), "application/ocsp-request")
        try:
            answer = self._cache.read_answer(data, link, self._clock.now())
        except Unusable as error:
            raise Unusable(f"{source.url}: {error.reason}", error.remedy) from None
        if not answer.fresh(self._clock.now()):
            raise Unusable(f"{source.url}: the OCSP answer is out of date", "look at the responder")
        return answer.next_update

    @staticmethod
    def _limits(settings: Settings, max_bytes: int) -> Limits:
        return Limits(max_bytes, settings.timeout, settings.redirects, settings.allow_private)


def read_off_hub(data: bytes, issuers: tuple[Issuer, ...], now: float) -> RevocationList | Unusable:
    """Read a list in a thread, which would print what is raised there."""
    read: RevocationList | Unusable = _readers().apply(_try_read, (data, issuers, now))
    return read


@cache
def _readers() -> ThreadPool:
    return ThreadPool(_READERS)


def _try_read(data: bytes, issuers: tuple[Issuer, ...], now: float) -> RevocationList | Unusable:
    try:
        lists = split_pem(data)
        if len(lists) != 1:
            return Unusable("there are several lists in one file", "give each an address of its own")
        return read_list(lists[0], issuers, now)
    except Unusable as error:
        return error
