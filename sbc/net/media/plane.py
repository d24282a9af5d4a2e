"""What the driver asks of whoever carries the media."""

from __future__ import annotations

from typing import Protocol

from sbc.media.listening import Audience
from sbc.media.policy import MediaPolicy
from sbc.media.stats import MediaStats


class MediaPlane(Protocol):
    """Who carries the media: ``sbc.net.media.embedded.MediaIO``, or a relay elsewhere."""

    def offer(
        self, call: str, side: str, sdp: bytes, ours: MediaPolicy, theirs: MediaPolicy, restart: bool,
        branch: int,
    ) -> bytes:  # fmt: skip
        """Turn an offer into ours to the other side; PeerError or LocalError where it cannot be had."""

    def answer(self, call: str, side: str, sdp: bytes, branch: int) -> bytes:
        """Turn an answer into ours to the side that offered; PeerError or LocalError likewise."""

    def take(self, call: str, branch: int) -> None:
        """Keep the callee of ``branch`` as the only one."""

    def drop(self, call: str, branch: int) -> None:
        """Close the side of one of several callees."""

    def rollback(self, call: str) -> None:
        """Return to the media from before the last offer."""

    def record(self, call: str, tone: bool = False) -> None:
        """Keep what is said in the call from now on; with ``tone`` both sides hear that."""

    def listen(self, call: str, listener: Audience) -> None:
        """Let ``listener`` hear both sides of the call from now on."""

    def delete(self, call: str) -> MediaStats:
        """Close the call's media and return its counters."""
