"""Services that rules ask, over HTTP: questions carried out, connections kept, and what came of them told.

What is decided, how long an answer is used and when a service is left alone, is in ``sbc.policy.inquiries``.
Here each question that has to be asked is a greenlet with a time limit over all of it: the name, the
connection, the handshake, the answer. Only the calls that asked wait for it. A service goes on with its
answers and its breaker as long as a reload leaves it what it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import gevent
from gevent import Greenlet, ssl
from gevent.event import AsyncResult, Event

from dsl.answers import NoAnswer, parse_answer
from dsl.services import Answer
from sbc.b2bua.commands import Note
from sbc.config.lookup import Lookup
from sbc.config.snapshot import Snapshot
from sbc.net.lookups.exchange import Connection, NotAnswered, request_of
from sbc.net.system.clock import Clock
from sbc.net.system.resolver import ResolveFailed
from sbc.net.system.trust import context_of
from sbc.observe.views import LookupView
from sbc.policy.inquiries import ANSWERED, GOOD, NO_ANSWER, TIMEOUT, UNASKED, UNREACHABLE, Inquiries, Inquiry

#: Seconds after which a connection that carried nothing is closed; many a server closes it then too.
IDLE: Final = 15.0
#: A time limit that was noticed so many seconds late was not the service's to keep alone.
HELD_UP: Final = 0.05
#: Connections of one service that are kept for what is asked next.
MOST_IDLE: Final = 32

Tell = Callable[[Note], object]


class Asked:
    """One question: ``answer`` is there once it is ``over``, None where nothing was answered."""

    __slots__ = ("_event", "inquiry")

    def __init__(self, inquiry: Inquiry) -> None:
        self.inquiry = inquiry
        self._event: Event | None = None if inquiry.over else Event()

    @property
    def over(self) -> bool:
        """Whether there is nothing to wait for."""
        return self.inquiry.over

    @property
    def answer(self) -> Answer | None:
        """What was answered."""
        return self.inquiry.answer

    def wait(self) -> Answer | None:
        """The answer, as soon as there is one or never will be."""
        if self._event is not None:
            self._event.wait()
        return self.inquiry.answer

    def end(self) -> None:
        """Let go of all who wait."""
        if self._event is not None:
            self._event.set()


@dataclass(slots=True)
class _Idle:
    """A connection that waits for the next question, since a moment of the monotonic clock."""

    connection: Connection
    since: float


class _Desk:
    """All that goes on with one service, as one configuration has it."""

    def __init__(self, lookup: Lookup, clock: Clock, tell: Tell) -> None:
        config = lookup.config
        self.lookup = lookup
        self.inquiries = Inquiries(config.cache, config.in_flight, config.failures, config.pause)
        self.reason = ""  # why it gave no answer the last time
        self.seconds = 0.0
        self._clock = clock
        self._tell = tell
        self._asked: dict[bytes, Asked] = {}
        self._idle: list[_Idle] = []
        self._closed = False
        self._context: AsyncResult[Any] | None = context_of(lookup) if config.secure else None

    def ask(self, sent: tuple[tuple[str, Any], ...], who: str, call: str) -> Asked:
        """Ask, or take what is known, or wait with whoever has asked the same."""
        question = json.dumps(dict(sent), separators=(",", ":")).encode("ascii")
        inquiry = self.inquiries.ask(question, who, self._clock.monotonic())
        if inquiry.over:
            if inquiry.answer is None:
                self._say_failed(inquiry.ending, UNASKED.get(inquiry.ending, ""), call)
            return Asked(inquiry)
        if inquiry.begun:
            return self._asked[inquiry.key]
        inquiry.begun = True
        asked = self._asked[inquiry.key] = Asked(inquiry)
        gevent.spawn(self._carry_out, asked, question, call)
        return asked

    def _carry_out(self, asked: Asked, question: bytes, call: str) -> None:
        """The body of a question's greenlet: nobody waits for ever, whatever goes wrong here."""
        inquiry, limit, began = asked.inquiry, self.lookup.config.timeout, self._clock.monotonic()
        answer: Answer | None = None
        ending, reason = UNREACHABLE, "an error of our own"
        runner = Greenlet.spawn(self._attempt, question)
        try:
            runner.join(limit)
            late = self._clock.monotonic() - began - limit
            if not runner.ready() and late > HELD_UP:
                runner.join(late)  # another one held everything up: the time was not the service's
            if not runner.ready():
                ending, reason = TIMEOUT, f"no answer within {limit:g} s"
            elif runner.value is not None:
                answer, ending, reason = runner.value
        finally:
            runner.kill(block=False)
            at = self._clock.monotonic()
            self.seconds += at - began
            del self._asked[inquiry.key]
            changed = self.inquiries.end(inquiry, answer, ending, at)
            asked.end()
            if answer is None:
                self._say_failed(ending, reason, call)
            if changed is not None:
                self._say_changed(changed == "closed")

    def _attempt(self, question: bytes) -> tuple[Answer | None, str, str]:
        """The answer, or how the question ended without one, and why."""
        try:
            return self._exchange(question), ANSWERED, ""
        except NotAnswered as failure:
            return None, failure.ending, str(failure)
        except NoAnswer as why:
            return None, NO_ANSWER, f"what it says is no answer: {why}"
        except ResolveFailed as failure:
            return None, UNREACHABLE, str(failure)
        except OSError as error:
            return None, UNREACHABLE, _why(error)

    def _exchange(self, question: bytes) -> Answer:
        """Ask on a connection that there is, or on a new one; where an old one was closed, once more."""
        lookup = self.lookup
        if lookup.broken:
            raise NotAnswered(UNREACHABLE, lookup.broken)
        request = request_of(lookup.config.url, question, lookup.token)
        connection = self._take()
        if connection is not None:
            try:
                return self._on(connection, request)
            except NotAnswered as failure:
                if not failure.unread:
                    raise
        return self._on(Connection(lookup.config.url, self._trusting()), request)

    def _on(self, connection: Connection, request: bytes) -> Answer:
        again = False
        try:
            body, again = connection.ask(request)
        finally:
            if again and not self._closed and len(self._idle) < MOST_IDLE:
                self._idle.append(_Idle(connection, self._clock.monotonic()))
            else:
                connection.close()
        return parse_answer(body, self.lookup.service, self.lookup.trunks)

    def _trusting(self) -> Any:
        """The TLS context, None without TLS."""
        made = self._context.get() if self._context is not None else None
        if isinstance(made, str):
            raise NotAnswered(UNREACHABLE, made)
        return made

    def _take(self) -> Connection | None:
        """The connection that was used last; none where all have been idle for too long."""
        self.tidy(self._clock.monotonic())
        return self._idle.pop().connection if self._idle else None

    def tidy(self, at: float) -> None:
        """Close what nobody has needed for a while."""
        while self._idle and (self._closed or at - self._idle[0].since >= IDLE):
            self._idle.pop(0).connection.close()

    def close(self) -> None:
        """No call that begins now asks it: keep no connection."""
        self._closed = True
        self.tidy(0.0)

    def _say_failed(self, ending: str, reason: str, call: str) -> None:
        if ending not in UNASKED:
            self.reason = reason
        fields = {"lookup": self.lookup.name, "kind": ending, "reason": reason}
        self._tell(Note("lookup-failed", call, fields))

    def _say_changed(self, well: bool) -> None:
        fields: dict[str, Any] = {"lookup": self.lookup.name}
        if not well:
            pause = self.lookup.config.pause
            fields["reason"] = f"{self.reason}; nothing is asked for {pause:g} s, each `else` counts at once"
        self._tell(Note("lookup-up" if well else "lookup-down", "", fields))

    def view(self) -> LookupView:
        """What is told of it."""
        at, inquiries = self._clock.monotonic(), self.inquiries
        state, counts = inquiries.state(at), inquiries.counts
        answered, total = sum([counts[each] for each in GOOD]), sum(counts.values())
        return LookupView(
            self.lookup.name, urlsplit(self.lookup.config.url).hostname or "", state, inquiries.under_way,
            inquiries.kept, tuple(counts.items()), round(self.seconds, 6),
            self.reason if state != "closed" else "", inquiries.retry_in(at), answered, total - answered,
        )  # fmt: skip


class Lookups:
    """The services of every configuration that calls still have; ``tell`` hears what becomes of them."""

    def __init__(self, clock: Clock, tell: Tell = lambda note: None) -> None:
        self._clock = clock
        self._tell = tell
        self._desks: dict[str, _Desk] = {}
        self._in_force: Mapping[str, Lookup] = {}

    def apply(self, snapshot: Snapshot) -> None:
        """This snapshot is in force: its services are ready, and those that it lacks let go."""
        self._in_force = snapshot.lookups
        for lookup in snapshot.lookups.values():
            self._desk(lookup)
        wanted = {each.version for each in snapshot.lookups.values()}
        for version in [each for each in self._desks if each not in wanted]:
            self._desks.pop(version).close()

    def _desk(self, lookup: Lookup) -> _Desk:
        desk = self._desks.get(lookup.version)
        if desk is None:
            desk = self._desks[lookup.version] = _Desk(lookup, self._clock, self._tell)
        return desk

    def ask(self, lookup: Lookup, sent: tuple[tuple[str, Any], ...], trunk: str, call: str) -> Asked:
        """Ask a service about ``call``, which is one of ``trunk``; nothing here waits."""
        return self._desk(lookup).ask(sent, trunk, call)

    def tick(self, at: float) -> None:
        """Close connections that nobody needs; to be called about every second."""
        for desk in self._desks.values():
            desk.tidy(at)

    def views(self) -> Iterator[LookupView]:
        """What is told of each service of the configuration in force."""
        for lookup in self._in_force.values():
            yield self._desk(lookup).view()


def _why(error: OSError) -> str:
    """Why a connection could not be had."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the handshake failed: {error.reason or type(error).__name__}"
    return (error.strerror or str(error) or type(error).__name__).lower()
