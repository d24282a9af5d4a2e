"""Who of a call is silent and for how long: how one-way audio is found, and whether its media is a fax.

Nothing is counted for it. A look now and then compares what each leg has counted anyway, of RTP alone: RTCP
comes from who sends nothing, too. So a silence is known to within the time between two looks. What nobody
expects to hear is no silence: a held call, one without audio, one that nobody has answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sbc.media.session import MediaSession
from sbc.media.stats import MediaStats

#: Seconds of silence that are worth telling.
LEAST: Final = 2.0


class Quiet:
    """A call of which a side is silent: ``a`` and ``b`` are for how many seconds, ``media`` what it did."""

    __slots__ = ("a", "b", "call", "media")

    def __init__(self, call: str, a: float, b: float, media: MediaStats) -> None:
        self.call = call
        self.a = a
        self.b = b
        self.media = media


class _Heard:
    """What the last look saw of a call, and since when it has been so."""

    __slots__ = ("a", "a_since", "b", "b_since")

    def __init__(self, a: int, b: int, at: float) -> None:
        self.a = a
        self.b = b
        self.a_since = self.b_since = at


class Silence:
    """The calls that were looked at, as they were then."""

    __slots__ = ("_heard",)

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}

    def look(self, sessions: Mapping[str, MediaSession], at: float) -> list[Quiet]:
        """Those of ``sessions`` with a silent side, at a moment of the monotonic clock."""
        found: list[Quiet] = []
        seen: dict[str, _Heard] = {}
        for call, session in sessions.items():
            counts = heard_of(session)
            if counts is None:
                continue
            a, b = counts
            heard = self._heard.get(call)
            if heard is None:
                seen[call] = _Heard(a, b, at)
                continue
            seen[call] = heard
            if a != heard.a:
                heard.a, heard.a_since = a, at
            if b != heard.b:
                heard.b, heard.b_since = b, at
            silent = at - heard.a_since, at - heard.b_since
            if max(silent) >= LEAST:
                found.append(Quiet(call, *silent, session.stats()))
        self._heard = seen
        return found


def heard_of(session: MediaSession) -> tuple[int, int] | None:
    """Two numbers that another one takes the place of whenever RTP of side a, and of b, has come.

    None where there is no audio both ways that anybody should hear.
    """
    if session.held:
        return None
    a, b, audio = 0, 0, False
    for stream in session.streams:
        near, far = stream.ends["a"].leg, stream.ends["b"].leg
        if stream.kind == "audio" and near.agreed and far.agreed:
            a += near.highest + near.received
            b += far.highest + far.received
            audio = True
    return (a, b) if audio else None


def is_faxing(session: MediaSession) -> bool:
    """Tell whether a fax is passing, or may."""
    for stream in session.streams:
        if stream.ends["a"].leg.fax:
            return True
    return False
