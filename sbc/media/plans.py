"""An offer as it is kept until its answer and after it: a plan for each stream, and what it would become.

Plans outlive their answer, for an offer can be answered several times: see ``sbc.media.session``.
"""

from __future__ import annotations

from sbc.media.places import Place
from sbc.media.policy import MediaPolicy
from sbc.media.relay import pair
from sbc.media.sdes import CryptoLine
from sbc.media.sdp import Media
from sbc.media.terms import Endpoint, Terms, is_secure


class Stream:
    """One ``m=`` line of the call: its endpoints by side. A rejected stream has no ports."""

    __slots__ = ("answered", "ends", "kind")

    def __init__(self, kind: str, alias_key: bytes) -> None:
        self.kind = kind
        self.answered: Media | None = None  # the section of the last answer
        a, b = pair()
        for leg in (a, b):
            leg.alias_key = alias_key
        self.ends = {"a": Endpoint(a), "b": Endpoint(b)}


class Plan:
    """What an offered stream becomes if it is answered; ``terms`` None: we reject it ourselves."""

    __slots__ = ("before", "lines", "media", "mux", "place", "profile", "stream", "terms")

    def __init__(self, media: Media, stream: Stream, terms: Terms | None, place: Place | None) -> None:
        self.place = place
        self.media = media
        self.stream = stream
        self.terms = terms
        self.mux = terms is not None and terms.mux
        self.profile = media.proto
        self.lines: tuple[CryptoLine, ...] = ()
        self.before = stream.ends["a"].terms, stream.ends["b"].terms

    def drop(self) -> None:
        """Reject the stream: it gets port 0 on both sides (RFC 3264 5.1, 6)."""
        self.terms, self.mux = None, False


class Offer:
    """The offer that is open or was answered last."""

    __slots__ = ("answer", "answered", "known", "ours", "plans", "sdp", "side", "theirs", "told", "written")

    def __init__(
        self, side: str, sdp: bytes, plans: list[Plan], ours: MediaPolicy, theirs: MediaPolicy, known: int
    ) -> None:
        self.side = side
        self.sdp = sdp
        self.plans = plans
        self.ours = ours
        self.theirs = theirs
        self.known = known
        self.told: list[Media | None] = []  # by stream: what who offers may go on sending by
        self.written = self.answered = self.answer = b""


def prefer_secured(plans: list[Plan]) -> None:
    """Reject what is plain beside a secured stream of its kind: a peer that offers both means one of them."""
    secured = {plan.media.kind for plan in plans if plan.terms and is_secure(plan.terms.profile)}
    for plan in plans if secured else ():
        if plan.terms and not plan.terms.theirs and plan.media.kind in secured:
            plan.drop()


def drop_over(most: int, plans: list[Plan]) -> None:
    """Reject the streams that are too many: each takes two pairs of ports. Running ones come first."""
    wanted = [plan for plan in plans if plan.terms is not None]
    if len(wanted) > most:
        wanted.sort(key=lambda plan: plan.before[0] is None)
        for plan in wanted[most:]:
            plan.drop()


def told_before(former: Offer, side: str, sdp: bytes) -> list[Media | None]:
    """What ``side`` was told by the exchange before, where it says nothing new now.

    Then the answer may be for us alone, and the side may go on as before: see ``sbc.media.renumbered``.
    """
    if side == former.side:
        told = former.told or [plan.stream.answered for plan in former.plans]
        return told if sdp == former.sdp else []
    return [plan.media for plan in former.plans] if sdp == former.answered else []
