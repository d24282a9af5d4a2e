"""Refusals at accept, reported such that a flood of them hides nothing and floods nothing.

An address is reported once a minute for each reason, so a scanner beside it silences no peer that was
configured with a wrong address. Strangers that resemble nobody have a number of lines to themselves,
for of them there may be any number, and addresses of datagrams are forged: in a minute so many of them are
looked at, and no more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from sbc.base import Address
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.observe.throttle import PERIOD, Throttle
from sbc.policy.shares import source_of

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

STRANGER: Final = "no trunk admits this address"
_EACH, _STRANGERS, _OTHERS, _LOOKS = 1, 20, 40, 1000


class Gate(Protocol):
    """Whom to refuse at accept before anything else, the blocklist (row S4), and whom it never does."""

    def blocked(self, host: str) -> bool:
        """True while ``host`` is blocked."""

    def named(self, source: str) -> str:
        """Who names ``source``, an address as it counts; "" for nobody."""


class Refusals:
    """Reports what one listener refuses; the counts are elsewhere."""

    __slots__ = ("_clock", "_handler", "_listener", "_looked", "_others", "_strangers")

    def __init__(self, listener: str, handler: Handler, clock: Clock) -> None:
        self._listener = listener
        self._handler = handler
        self._clock = clock
        self._strangers = Throttle(_EACH, _STRANGERS)
        self._others = Throttle(_EACH, _OTHERS)
        self._looked: _Looked | None = None

    def note(self, address: Address, reason: str) -> None:
        """Report one refusal unless the same address was refused for the same reason just now."""
        self._tell(self._others, address, reason)

    def stranger(self, address: Address, snapshot: Snapshot) -> None:
        """Report one whom no trunk of ``snapshot`` admits, and which trunk it may be after all."""
        at, looked = self._clock.monotonic(), self._looked
        if looked is None or at - looked.since >= PERIOD:
            looked = self._looked = _Looked(self._listener, snapshot, at)
        hint = looked.hint(address.host)
        self._tell(self._others if hint else self._strangers, address, STRANGER, hint)

    def forget(self) -> None:
        """A reload: nothing that was found holds any more."""
        self._looked = None

    def _tell(self, throttle: Throttle, address: Address, reason: str, hint: str = "") -> None:
        more = throttle.note(f"{source_of(address.host)} {reason}", self._clock.monotonic())
        if more is not None:
            self._handler.on_refused(self._listener, address, reason + hint + more)


class _Looked:
    """The strangers who were looked at in one minute, and what was found."""

    __slots__ = ("_hints", "_listener", "_snapshot", "since")

    def __init__(self, listener: str, snapshot: Snapshot, since: float) -> None:
        self._snapshot = snapshot
        self.since = since
        self._listener = listener
        self._hints: dict[str, str] = {}

    def hint(self, host: str) -> str:
        """Which trunk ``host`` resembles and what to do; "" for none, or after so many others."""
        if host in self._hints:
            return self._hints[host]
        if len(self._hints) >= _LOOKS:
            return ""
        found = self._hints[host] = self._look(host)
        return found

    def _look(self, host: str) -> str:
        for trunk in self._snapshot.trunks.values():
            if trunk.listener == self._listener and any(peer.host == host for peer in trunk.peers):
                name = trunk.trunk
                return f"; it is a peer of trunk {name}: if it may call, add {host} to the trunk's `sources`"
        sources = self._snapshot.sources.get(self._listener)
        near = sources.nearest(host) if sources is not None else None
        if near is None:
            return ""
        return (
            f"; it is near {near[0]}, which trunk {near[1]} admits: if it is that peer's, add {host} to the"
            " trunk's `sources`"
        )
