"""Every identifier and key that Portcullis makes comes from one injected source.

The worker's number stands in each branch and tag, so that a message which the kernel hands to
another worker can be handed over to the one that knows its transaction or dialog.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Final

MAGIC_COOKIE: Final = "z9hG4bK"
_RANDOM: Final = 10
_BLOCK: Final = 4096


class Ids:
    """Branches, tags, Call-IDs, SSRCs and keys out of ``random_bytes`` (number of bytes -> bytes).

    ``worker`` (0 to 255) is the number of this worker process. Nothing made here tells a peer
    more than that number (no host name, no time).
    """

    __slots__ = ("_random", "_worker", "branch_head", "worker")

    def __init__(self, random_bytes: Callable[[int], bytes], worker: int = 0) -> None:
        if not 0 <= worker <= 255:
            raise ValueError(f"worker {worker} is not within 0 to 255")
        self.worker = worker
        self._random = random_bytes
        self._worker = f"{worker:02x}"
        #: How every branch begins that is made here, and few others do.
        self.branch_head = MAGIC_COOKIE + self._worker

    def branch(self) -> str:
        """Return a new Via branch: the magic cookie, the worker, 80 random bits (RFC 3261 8.1.1.7)."""
        return self.branch_head + self._random(_RANDOM).hex()

    def tag(self) -> str:
        """Return a new From or To tag: the worker and 80 random bits (RFC 3261 19.3)."""
        return self._worker + self._random(_RANDOM).hex()

    def call_id(self) -> str:
        """Return a new Call-ID of 128 random bits, without a host (RFC 3261 8.1.1.4)."""
        return self._random(16).hex()

    def ssrc(self) -> int:
        """Return a new RTP synchronisation source, 1 to 2**32 - 1 (RFC 3550 8.1)."""
        return int.from_bytes(self._random(4), "big") or 1

    def key(self, length: int) -> bytes:
        """Return ``length`` bytes of key material."""
        return self._random(length)


class Blocks:
    """``random_bytes``, asked for a block at a time: a system call for hundreds of identifiers, not for each.

    Every byte is given once, so what is drawn from here is as hard to guess as what is asked for by itself.
    """

    __slots__ = ("_at", "_block", "_random")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random = random_bytes
        self._block = b""
        self._at = 0

    def __call__(self, length: int) -> bytes:
        """Return the next ``length`` bytes, none of them twice."""
        at, end = self._at, self._at + length
        if end > len(self._block):
            self._block = self._random(max(_BLOCK, length))
            at, end = 0, length
        self._at = end
        return self._block[at:end]


def counter_bytes() -> Callable[[int], bytes]:
    """Return a source for tests that counts 1, 2, 3 in place of being random."""
    numbers = count(1)
    return lambda length: (next(numbers) % (1 << 8 * length)).to_bytes(length, "big")
