"""What an offer becomes while it is open: a plan for each of its streams (``sbc.media.session``)."""

from __future__ import annotations

from sbc.media.listening import Audience, tap_of
from sbc.media.places import Place
from sbc.media.policy import MediaPolicy
from sbc.media.relay import Leg, pair
from sbc.media.rewrite import Origin
from sbc.media.sdes import CryptoLine
from sbc.media.sdp import Media
from sbc.media.terms import Endpoint, Terms


class Stream:
    """One ``m=`` line of the call: its endpoints by side. A rejected stream has no ports."""

    __slots__ = ("answered", "ends", "kind")

    def __init__(self, kind: str, alias_key: bytes, audience: tuple[Audience, ...] = ()) -> None:
        self.kind = kind
        self.answered: Media | None = None  # the section of the last answer
        a, b = pair()
        for leg in (a, b):
            leg.alias_key = alias_key
            if audience:
                lend_ears(kind, leg.side, leg, audience)
        self.ends = {"a": Endpoint(a), "b": Endpoint(b)}

    def beside(self, alias_key: bytes, audience: tuple[Audience, ...]) -> Endpoint:
        """An endpoint of one more callee, across from the caller's."""
        leg = Leg("b")
        leg.other, leg.alias_key = self.ends["a"].leg, alias_key
        if audience:
            lend_ears(self.kind, "b", leg, audience)
        return Endpoint(leg)


def lend_ears(kind: str, side: str, leg: Leg, listeners: tuple[Audience, ...]) -> None:
    """Let these hear one side of a stream, if it is sound."""
    for each in listeners if kind == "audio" else ():
        leg.tap = tap_of(leg.tap, each.ear(side).hear)


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

    __slots__ = ("answer", "answered", "known", "ours", "plans", "sdp", "side", "theirs", "written")

    def __init__(
        self, side: str, sdp: bytes, plans: list[Plan], ours: MediaPolicy, theirs: MediaPolicy, known: int
    ) -> None:
        self.side = side
        self.sdp = sdp
        self.plans = plans
        self.ours = ours
        self.theirs = theirs
        self.known = known
        self.written = self.answered = self.answer = b""


class Branch:
    """A callee's side, while that of another branch is in its place."""

    __slots__ = ("ends", "offer", "origin", "staged")

    def __init__(
        self, ends: list[Endpoint], offer: Offer | None, staged: bool, origin: Origin | None
    ) -> None:
        self.ends = ends
        self.offer = offer
        self.staged = staged
        self.origin = origin
