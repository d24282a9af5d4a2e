"""What an offer becomes while it is open: a plan for each of its streams (``sbc.media.session``)."""

from __future__ import annotations

from sbc.media.errors import MediaRefused
from sbc.media.formats import Formats, formats_of
from sbc.media.listening import Audience, Both
from sbc.media.places import Place
from sbc.media.policy import MediaPolicy
from sbc.media.relay import Leg, pair
from sbc.media.renumbered import numbers
from sbc.media.sdes import CryptoLine
from sbc.media.sdp import Media, Origin, unused
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

    def beside(self, alias_key: bytes) -> Endpoint:
        """An endpoint of one more callee, across from the caller's."""
        leg = Leg("b")
        leg.other, leg.alias_key = self.ends["a"].leg, alias_key
        return Endpoint(leg)


def lend_ears(kind: str, side: str, leg: Leg, listeners: tuple[Audience, ...]) -> None:
    """Let these hear one side of a stream, if it is sound."""
    for each in listeners if kind == "audio" else ():
        ear = each.ear(side)
        leg.tap = ear if leg.tap is None else Both(leg.tap, ear)
        if each.tone is not None:
            leg.tone = each.tone.beside(side).mix


def hear_speech(plans: list[Plan], listeners: tuple[Audience, ...]) -> None:
    """Let these hear what is speech now: a stream that is new, or was a fax or a picture (RFC 3264 8.3.3).

    Not before it is answered: of offers that are refused there may be any number.
    """
    for plan in plans:
        for side, end in plan.stream.ends.items():
            if end.leg.agreed and end.leg.tap is None:
                lend_ears(plan.stream.kind, side, end.leg, listeners)


class Plan:
    """What an offered stream becomes if it is answered; ``terms`` None: we reject it ourselves."""

    __slots__ = ("_was", "before", "lines", "media", "mux", "place", "profile", "stream", "terms")

    def __init__(self, media: Media, stream: Stream, terms: Terms | None, place: Place | None) -> None:
        self.place = place
        self.media = media
        self.stream = stream
        self.terms = terms
        self.mux = terms is not None and terms.mux
        self.profile = media.proto
        self.lines: tuple[CryptoLine, ...] = ()
        a, b = stream.ends["a"], stream.ends["b"]
        self.before = a.terms, b.terms
        self._was = stream.kind, stream.answered, a.numbers, b.numbers

    def undo(self) -> None:
        """Let the stream be again what it was before the offer, though that may have been answered."""
        stream = self.stream
        a, b = stream.ends["a"], stream.ends["b"]
        stream.kind, stream.answered, a.numbers, b.numbers = self._was
        a.apply(self.before[0])
        b.apply(self.before[1])

    def drop(self) -> None:
        """Reject the stream: it gets port 0 on both sides (RFC 3264 5.1, 6)."""
        self.terms, self.mux = None, False


class Offer:
    """The offer that is open or was answered last, of so many ``lines`` as whoever made it has written."""

    __slots__ = (
        "answer", "answered", "held", "known", "lines", "ours", "plans", "sdp", "side", "theirs", "told",
        "written",
    )  # fmt: skip

    def __init__(
        self, side: str, sdp: bytes, plans: list[Plan], ours: MediaPolicy, theirs: MediaPolicy, known: int,
        lines: int, held: bool,
    ) -> None:  # fmt: skip
        self.side = side
        self.sdp = sdp
        self.plans = plans
        self.ours = ours
        self.theirs = theirs
        self.known = known
        self.lines = lines
        self.held = held  # whether the call was before it
        self.told: list[Media | None] = []  # by stream: what who offers may go on sending by
        self.written = self.answered = self.answer = b""

    def spoken(self, index: int) -> Media | None:
        """What whoever offers may go on sending a stream by; None for what the answer says."""
        return self.told[index] if index < len(self.told) else None


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


def by_stream(plans: list[Plan], answer: list[Media]) -> list[Media]:
    """The sections of an answer, one for each plan.

    Each stream has to have its line (RFC 3264 6), but many devices leave out those that they reject, or that
    they were offered with port 0. Whose the lines are that there are is told by their kinds: the streams'
    that are to be used, or those of all, from the first one on. MediaRefused where it is not.
    """
    if len(answer) == len(plans):
        return answer
    live = [index for index, plan in enumerate(plans) if plan.terms is not None]
    for meant in (live, list(range(len(plans)))):
        kinds = [plans[index].media.kind for index in meant[: len(answer)]]
        if answer and kinds == [each.kind for each in answer]:
            found = dict(zip(meant, answer, strict=False))
            return [found.get(index) or unused(plan.media) for index, plan in enumerate(plans)]
    raise MediaRefused("the answer has another number of m= lines than the offer")


def left_out(streams: list[Stream], named: int) -> list[Media]:
    """Sections for the streams behind those that a new offer has ``named``: they are over.

    Whoever leaves out of its answers what is not to be used does so in its offers, too (RFC 3264 8).
    MediaRefused where nothing is named, or a stream is left out that nobody has answered.
    """
    found = []
    for each in streams[named:]:
        if not named or each.answered is None:
            raise MediaRefused("the offer has fewer m= lines than the one before")
        found.append(unused(each.answered))
    return found


def told_before(former: Offer, side: str, sdp: bytes) -> list[Media | None]:
    """What ``side`` was told by the exchange before, where it says nothing new now.

    Then the answer may be for us alone, and the side may go on as before: see ``sbc.media.renumbered``.
    """
    if side == former.side:
        told = former.told or [plan.stream.answered for plan in former.plans]
        return told if sdp == former.sdp else []
    return [plan.media for plan in former.plans] if sdp == former.answered else []


def is_held(plans: list[Plan], answer: list[Media]) -> bool:
    """Whether silence is what was agreed: no speech goes both ways (RFC 3264 8.4), or nothing was offered.

    A picture that is shown one way beside speech, or not at all, is no hold; without speech it is one.
    """
    spoken = shown = False
    speech = pictures = False
    for plan, media in zip(plans, answer, strict=True):
        if plan.terms is None or not media.port:
            continue
        both = plan.media.direction == "sendrecv" == media.direction
        both = both and plan.media.host is not None and media.host is not None
        if media.kind == "audio":
            speech, spoken = True, spoken or both
        else:
            pictures, shown = True, shown or both
    if speech or pictures:
        return not (spoken if speech else shown)
    return not any([plan.terms is not None for plan in plans])


def put_in_force(offer: Offer, side: str, answer: list[Media], settled: list[Terms | None]) -> None:
    """Let both legs of each stream have what an answer from ``side`` has settled."""
    for index, plan in enumerate(offer.plans):
        media, terms = answer[index], settled[index]
        stream, before = plan.stream, offer.spoken(index)
        stream.kind, stream.answered = plan.media.kind, media
        far, near = stream.ends[side], stream.ends[offer.side]
        near.numbers, far.numbers = None, None if before is None else numbers(before, media)
        far.leg.timing().describe(plan.media, media)
        near.leg.timing().describe(before or media, plan.media)
        far.apply(terms)
        near.apply(plan.terms if terms and not offer.ours.unheard else None)


def spoken_formats(offer: Offer) -> tuple[Formats, Formats]:
    """What the payload types mean that the sides send by, a's and b's, as the last answer has them."""
    offered: Formats = {}
    answered: Formats = {}
    for index, plan in enumerate(offer.plans):
        media, answer = plan.media, plan.stream.answered
        if media.kind == "audio" and answer is not None and answer.port:
            offered = {**formats_of(media, answer), **offered}
            answered = {**formats_of(offer.spoken(index) or answer, media), **answered}
    return (answered, offered) if offer.side == "a" else (offered, answered)
