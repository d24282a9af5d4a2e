"""Why media was refused: the reason is written for the operator's log and never holds a key."""

from __future__ import annotations

from sbc.base import PeerError


class MediaRefused(PeerError):
    """An offer or answer that this leg's policy does not allow; answered with 488 (RFC 3261 21.4.26)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, 488)


class StreamRefused(MediaRefused):
    """One offered stream that cannot be taken: it gets port 0, the others stand (RFC 3264 6)."""
