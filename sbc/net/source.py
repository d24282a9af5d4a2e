"""Where plaintext comes from: the seam between what reads a socket and what cuts messages out of it."""

from __future__ import annotations

from typing import Protocol

from sbc.net.system.turn import Turn


class Ended(Exception):
    """The connection can be read no further; the text says why."""


class Plaintext(Protocol):
    """Implemented by ``PlainSource`` (TCP) and by ``TlsSession``; ``turn`` is that of whoever reads."""

    turn: Turn

    def read(self) -> bytes:
        """The next plaintext, never empty; raises ``Ended``."""
