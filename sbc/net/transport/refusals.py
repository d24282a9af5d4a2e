"""Refusals at accept, reported such that a flood of them hides nothing and floods nothing.

An address is reported once a minute for each reason, so a scanner beside it silences no peer that was
configured with a wrong address. Strangers that resemble nobody have a number of lines to themselves,
for of them there may be any number.
"""

from __future__ import annotations

from typing import Final

from sbc.base import Address
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.observe.throttle import Throttle
from sbc.policy.shares import source_of
from sbc.tls.sources import SourceIndex

STRANGER: Final = "no trunk admits this address"
_EACH, _STRANGERS, _OTHERS = 1, 20, 40


class Refusals:
    """Reports what one listener refuses; the counts are elsewhere."""

    __slots__ = ("_clock", "_handler", "_listener", "_others", "_strangers")

    def __init__(self, listener: str, handler: Handler, clock: Clock) -> None:
        self._listener = listener
        self._handler = handler
        self._clock = clock
        self._strangers = Throttle(_EACH, _STRANGERS)
        self._others = Throttle(_EACH, _OTHERS)

    def note(self, address: Address, reason: str) -> None:
        """Report one refusal unless the same address was refused for the same reason just now."""
        self._tell(self._others, address, reason)

    def stranger(self, address: Address, sources: SourceIndex | None) -> None:
        """Report one whom no trunk admits, and which trunk it may be after all."""
        near = sources.nearest(address.host) if sources is not None else None
        if near is None:
            self._tell(self._strangers, address, STRANGER)
        else:
            network, trunk = near
            self._tell(
                self._others, address,
                f"{STRANGER}; it is near {network}, which trunk {trunk} admits: if it is that peer's, add"
                f" {address.host} to the trunk's `sources`",
            )  # fmt: skip

    def _tell(self, throttle: Throttle, address: Address, reason: str) -> None:
        more = throttle.note(f"{source_of(address.host)} {reason}", self._clock.monotonic())
        if more is not None:
            self._handler.on_refused(self._listener, address, reason + more)
