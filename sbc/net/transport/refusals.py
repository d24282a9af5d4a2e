"""Refusals at accept, reported such that a flood of them hides nothing and floods nothing.

An address is reported once a minute for each reason, so a scanner beside it silences no peer that was
configured with a wrong address. Strangers that resemble nobody have a number of lines to themselves,
for of them there may be any number, and addresses of datagrams are forged: in a minute so many of them are
looked at, and no more.
"""

from __future__ import annotations

from typing import Final

from sbc.base import Address
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.observe.throttle import PERIOD, Throttle
from sbc.policy.shares import source_of
from sbc.tls.sources import SourceIndex

STRANGER: Final = "no trunk admits this address"
_EACH, _STRANGERS, _OTHERS, _LOOKS = 1, 20, 40, 1000


class Refusals:
    """Reports what one listener refuses; the counts are elsewhere."""

    __slots__ = ("_clock", "_handler", "_listener", "_looked", "_others", "_strangers")

    def __init__(self, listener: str, handler: Handler, clock: Clock) -> None:
        self._listener = listener
        self._handler = handler
        self._clock = clock
        self._strangers = Throttle(_EACH, _STRANGERS)
        self._others = Throttle(_EACH, _OTHERS)
        self._looked = _Looked(None, 0.0)

    def note(self, address: Address, reason: str) -> None:
        """Report one refusal unless the same address was refused for the same reason just now."""
        self._tell(self._others, address, reason)

    def stranger(self, address: Address, sources: SourceIndex | None) -> None:
        """Report one whom no trunk admits, and which trunk it may be after all."""
        at = self._clock.monotonic()
        if sources is not self._looked.sources or at - self._looked.since >= PERIOD:
            self._looked = _Looked(sources, at)
        near = self._looked.nearest(address.host)
        if near is None:
            self._tell(self._strangers, address, STRANGER)
            return
        hint = (
            f"; it is near {near[0]}, which trunk {near[1]} admits: if it is that peer's, add {address.host}"
            " to the trunk's `sources`"
        )
        self._tell(self._others, address, STRANGER, hint)

    def _tell(self, throttle: Throttle, address: Address, reason: str, hint: str = "") -> None:
        more = throttle.note(f"{source_of(address.host)} {reason}", self._clock.monotonic())
        if more is not None:
            self._handler.on_refused(self._listener, address, reason + hint + more)


class _Looked:
    """The strangers who were looked at in one minute, and whom each resembles."""

    __slots__ = ("_found", "since", "sources")

    def __init__(self, sources: SourceIndex | None, since: float) -> None:
        self.sources = sources
        self.since = since
        self._found: dict[str, tuple[str, str] | None] = {}

    def nearest(self, host: str) -> tuple[str, str] | None:
        """The network and the trunk that ``host`` resembles; None for none, or after so many others."""
        if host in self._found:
            return self._found[host]
        if self.sources is None or len(self._found) >= _LOOKS:
            return None
        found = self._found[host] = self.sources.nearest(host)
        return found
