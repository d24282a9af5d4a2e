"""What an offer becomes while it is open: a plan for each of its streams (``sbc.media.session``)."""

from __future__ import annotations

from sbc.media.places import Place
from sbc.media.policy import MediaPolicy
from sbc.media.relay import Tap, pair
from sbc.media.rewrite import Origin
from sbc.media.sdes import CryptoLine
from sbc.media.sdp import Media
from sbc.media.terms import Endpoint, Terms


class Stream:
    """One ``m=`` line of the call: its endpoints by side. A rejected stream has no ports."""

    __slots__ = ("answered", "ends", "kind")

    def __init__(self, kind: str, tap: Tap | None, alias_key: bytes) -> None:
        self.kind = kind
        self.answered: Media | None = None  # the section of the last answer
        a, b = pair()
        for leg in (a, b):
            leg.tap, leg.alias_key = tap, alias_key
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
