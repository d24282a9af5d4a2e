"""What became of a recording: known when its files are whole, which is a moment after the call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(slots=True)
class KeptFile:
    """A file of a recording: where it is, the SHA-256 of what is in it, its length in bytes."""

    path: str
    sha256: str
    size: int


class Kept:
    """The files of one call's recording, none of them before ``settle``.

    ``seconds`` is how long the sound is, ``dropped`` how many packets are in no file, ``problem`` why the
    recording ended before the call did, or "". ``tones`` is how often each side heard that it was
    recorded, None where it was to hear none.
    """

    __slots__ = ("_then", "dropped", "files", "known", "problem", "seconds", "tones")

    def __init__(self) -> None:
        self.files: tuple[KeptFile, ...] = ()
        self.seconds = 0.0
        self.dropped = 0
        self.problem = ""
        self.tones: dict[str, int] | None = None
        self.known = False
        self._then: Callable[[], object] | None = None

    def then(self, tell: Callable[[], object]) -> None:
        """Call ``tell`` once everything is known: now, or later."""
        if self.known:
            tell()
        else:
            self._then = tell

    def complete(self) -> None:
        """All is known."""
        self.known = True
        tell, self._then = self._then, None
        if tell is not None:
            tell()
