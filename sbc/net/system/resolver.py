"""From a peer's configured name to addresses to dial: literal, /etc/hosts, A and AAAA.

The system's resolver blocks whoever asks it, for many seconds where no server answers, and cannot be called
off. So it is asked in threads that do nothing else: the log, the state and a reload never wait behind a
name. Nor does one name behind another: each is asked for once at a time, whoever waits for it, so that a
trunk has no more threads than names; and one that has not been answered within a second gives its turn to
the next, and has to wait behind others like it until it is answered again.

Where nobody answers, what was known of a name holds on (RFC 8767): a DNS server that is down must not take
the peers with it. Where the answer is that there is no such name, there is none.
"""

from __future__ import annotations

import _socket
from typing import Final

import gevent
from gevent.event import AsyncResult
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from sbc.base import Address
from sbc.tls.names import is_ip

# A thread that waits costs some ten KiB; one with nothing to do ends after a minute.
THREADS: Final = 128
_IDLE: Final = 60
# How many names are asked for at a time, and of those that were silent the last time.
QUICK: Final = 32
SLOW: Final = 16
# Whoever takes so many seconds is silent: a server that answers takes milliseconds.
SILENT_AFTER: Final = 1.0
_MOST_SILENT: Final = 4096
# Of how many names the last answer is remembered.
_MOST_KNOWN: Final = 1024
MOST_ADDRESSES: Final = 8  # of one name
_NO_SUCH_NAME: Final = (_socket.EAI_NONAME, _socket.EAI_NODATA)

Answer = list[Address] | OSError


class ResolveFailed(Exception):
    """A name has no address; the text says which name and why."""


class _Lookup:
    """A name that is asked for, and how many wait for the answer."""

    __slots__ = ("answer", "waiting")

    def __init__(self) -> None:
        self.answer: AsyncResult[Answer] = AsyncResult()
        self.waiting = 0

    def wait(self) -> Answer:
        """The answer; who is tired of waiting for it raises its Timeout here."""
        self.waiting += 1
        try:
            answer: Answer = self.answer.get()
            return answer
        finally:
            self.waiting -= 1


class Names:
    """Looks names up; one for the process."""

    __slots__ = ("_known", "_pool", "_quick", "_silent", "_slow", "_under_way")

    def __init__(self, quick: int = QUICK, slow: int = SLOW) -> None:
        self._quick = BoundedSemaphore(quick)
        self._slow = BoundedSemaphore(slow)
        self._silent: set[str] = set()
        self._known: dict[Address, list[Address]] = {}
        self._under_way: dict[Address, _Lookup] = {}
        self._pool: ThreadPool | None = None

    def __len__(self) -> int:
        """How many names are being asked for, or wait to be."""
        return len(self._under_way)

    def look_up(self, target: Address) -> Answer:
        """The addresses of ``target``, or why there are none.

        Where they are known from before, they hold when nothing else is said within a second.
        """
        lookup = self._under_way.get(target)
        if lookup is None:
            lookup = self._under_way[target] = _Lookup()
            # On its own: whoever asks for the name next gets the answer that this one did not wait for.
            gevent.spawn(self._ask, target, lookup)
        known = self._known.get(target)
        if known is None:
            return lookup.wait()
        answer: Answer = known
        with gevent.Timeout(SILENT_AFTER, False):
            answer = lookup.wait()
        return known if _is_silence(answer) else answer

    def _ask(self, target: Address, lookup: _Lookup) -> None:
        answer: Answer = OSError("nobody waited for it")
        turns = self._slow if target.host in self._silent else self._quick
        turns.acquire()
        try:
            if lookup.waiting:
                job = self._threads().spawn(_look_up, target)
                job.wait(SILENT_AFTER)
                silent = not job.ready()
                self._remember(target.host, silent)
                if silent and turns is self._quick:
                    turns.release()
                    turns = None
                answer = job.get()
                self._keep(target, answer)
        finally:
            if turns is not None:
                turns.release()
            del self._under_way[target]
            lookup.answer.set(answer)

    def _remember(self, host: str, silent: bool) -> None:
        if not silent:
            self._silent.discard(host)
            return
        if len(self._silent) >= _MOST_SILENT:
            self._silent.clear()
        self._silent.add(host)

    def _keep(self, target: Address, answer: Answer) -> None:
        if not _is_silence(answer):
            self._known.pop(target, None)
        if not isinstance(answer, OSError):
            self._known[target] = answer
            if len(self._known) > _MOST_KNOWN:
                del self._known[next(iter(self._known))]

    def _threads(self) -> ThreadPool:
        if self._pool is None:
            self._pool = ThreadPool(THREADS, idle_task_timeout=_IDLE)
        return self._pool


def resolve(target: Address) -> list[Address]:
    """The literal addresses of ``target`` in the order to try them; ResolveFailed where there are none."""
    if is_ip(target.host):
        return [target]
    try:
        target.host.encode("idna")
    except UnicodeError:
        raise ResolveFailed(f"{target.host} is no name: a part of it is empty or too long") from None
    answer = _names.look_up(target)
    if isinstance(answer, OSError):
        raise ResolveFailed(f"{target.host} does not resolve: {answer.strerror or answer}")
    return answer


def _is_silence(answer: Answer) -> bool:
    """Whether nobody has said anything, not even that there is no such name."""
    return isinstance(answer, OSError) and answer.errno not in _NO_SUCH_NAME


def _look_up(target: Address) -> Answer:
    """Ask the system, in a thread, which would print what is raised there."""
    try:
        found = _socket.getaddrinfo(target.host, target.port, 0, _socket.SOCK_STREAM)
    except OSError as error:
        return error
    except ValueError as error:  # a name that cannot even be asked for
        return OSError(str(error))
    addresses = dict.fromkeys([Address(str(entry[4][0]), int(entry[4][1])) for entry in found])
    return list(addresses)[:MOST_ADDRESSES]  # each that is dead is waited for


_names = Names()
