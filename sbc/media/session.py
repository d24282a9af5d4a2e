"""One call's media: offers and answers (RFC 3264) between two legs that must not see each other.

An offer changes nothing. It is read into *plans*, one for each ``m=`` line: on what terms the
offering side would be accepted, and what the other side is offered. The answer turns the plans
into terms and applies them to both legs at once, or refuses and applies none. So a refused
re-INVITE has nothing to undo before it was answered, and while one is pending the former media
runs on.

Plans outlive their answer, because an offer can be answered several times: by the forks of an
INVITE, or first in a 183 and again in the 200. The last answer wins; the same bytes again are
answered with the same bytes, an offer until it has its answer. ``rollback`` applies the terms from
before the offer.

Where the caller's offer goes to several callees at once, each is a *branch*: it has endpoints, keys and a
session identifier of its own across from the one leg of the caller. One branch is in the callee's place at
a time (``turn``), the others wait with what they have, until one is taken and all others are dropped.

Our port, our key and our session identifier belong to the leg and stay with it. Only
``restart`` takes them from the other leg: it means that another peer, the next trunk of a
failover, gets the same offer, and no key is ever shown to two peers.
"""

from __future__ import annotations

from sbc.base import Address, PeerError
from sbc.ids import Ids
from sbc.media import fax
from sbc.media.codecs import agreed, chosen, is_fax, permitted
from sbc.media.errors import MediaRefused, StreamRefused
from sbc.media.listening import Audience
from sbc.media.places import Networks, Place
from sbc.media.plans import (
    Branch,
    Offer,
    Plan,
    Stream,
    by_stream,
    drop_over,
    hear_speech,
    is_held,
    left_out,
    lend_ears,
    prefer_secured,
    put_in_force,
    spoken_formats,
    told_before,
)
from sbc.media.policy import MediaPolicy
from sbc.media.quality import quality
from sbc.media.sdp import (
    Media,
    Origin,
    SessionDescription,
    labels,
    parse_sdp,
    rejected,
    section,
    seen_from_here,
)
from sbc.media.stats import MediaStats, StreamStats
from sbc.media.terms import (
    PROFILES,
    Endpoint,
    Terms,
    lines_to_offer,
    terms_from_answer,
    terms_from_offer,
)


def other(side: str) -> str:
    """Return the side across."""
    return "b" if side == "a" else "a"


class MediaSession:
    """The media of one call, whose legs may be in different ``networks``."""

    __slots__ = ("_alias_key", "_audience", "_branch", "_branches", "_ids", "_networks", "_offer", "_origins",
                 "_seen", "_seen_at", "_staged", "call_id", "held", "streams")  # fmt: skip

    def __init__(self, call_id: str, ids: Ids, networks: Networks) -> None:
        self.call_id = call_id
        self.streams: list[Stream] = []
        self.held = False
        self._ids = ids
        self._networks = networks
        self._offer: Offer | None = None
        self._staged = False  # the last offer was good, so there is something to roll back
        self._origins: dict[str, Origin] = {}
        self._alias_key = ids.key(16)
        self._branch = 0  # which of several is in the callee's place; 0: there is one, or one was taken
        self._branches: dict[int, Branch] | None = None  # the others
        self._audience: tuple[Audience, ...] = ()
        self._seen = 0
        self._seen_at: float | None = None

    def offer(
        self, side: str, sdp: bytes, ours: MediaPolicy, theirs: MediaPolicy, now: float, restart: bool = False
    ) -> bytes:
        """Turn an offer from ``side`` into ours to the other, whose policy is ``theirs``.

        Raises MediaRefused or PeerError for the offer, LocalError when no port is left; then the
        state is as before, except that ``restart`` has already silenced the other leg and closed the
        former offer: its answer would take up a key again whose counter is forgotten.
        """
        pending = self._offer
        if pending is not None and self._staged and not (pending.answered or restart):
            if (pending.side, pending.sdp, pending.ours, pending.theirs) == (side, sdp, ours, theirs):
                return pending.written
        description = parse_sdp(sdp if theirs.codecs is None else chosen(sdp, theirs.codecs))
        seen_from_here(description, ours.signalling_host)
        if len(description.media) < len(self.streams) and not self._answered():
            self.rollback()  # what the unanswered offer added is withdrawn by this one
        self._staged = False
        lines = len(description.media)
        if lines < len(self.streams):
            description.media += left_out(self.streams, lines)
        if restart:
            self._restart(other(side), theirs)
        plans = self._plans(side, description, ours, theirs)
        far = self._networks.towards(theirs.network, theirs.signalling_host)
        self._take_ports(plans, side, far, ours if side == "a" else theirs)
        known = len(self.streams)
        for plan in plans[:known]:
            for end in plan.stream.ends.values():
                end.prune()
        for plan in plans[known:]:
            self.streams.append(plan.stream)
        self._offer = offer = Offer(side, sdp, plans, ours, theirs, known, lines, self.held)
        if pending is not None and pending.answered and not restart:
            offer.told = told_before(pending, side, sdp)
        self._staged = True
        target = other(side)
        address = _session_address(plans, target) or far.address
        sections = [_offered(plan, plan.stream.ends[target], address) for plan in plans]
        if ours.labels and theirs.labels:
            sections = [_labelled(text, plan, plan.media) for text, plan in zip(sections, plans, strict=True)]
        offer.written = self._origin(target).write(address, sections)
        return offer.written

    def answer(self, side: str, sdp: bytes, now: float) -> bytes:
        """Turn an answer from ``side`` into ours to the side that offered, and let media flow.

        Raises MediaRefused when the answer breaks what was offered; then nothing has changed.
        """
        offer = self._offer
        if offer is None or offer.side == side:
            raise PeerError("an answer came without an offer", 488)
        if sdp == offer.answered:
            return offer.answer
        codecs = offer.theirs.codecs
        description = parse_sdp(sdp if codecs is None else permitted(sdp, codecs))
        seen_from_here(description, offer.theirs.signalling_host)
        answered = by_stream(offer.plans, description.media)
        settled: list[Terms | None] = []
        sections: list[str] = []
        address = _session_address(offer.plans, offer.side)
        if not address:
            policy = offer.ours
            address = self._networks.towards(policy.network, policy.signalling_host).address
        for plan, media in zip(offer.plans, answered, strict=True):
            terms = self._answered_terms(plan, media, offer.theirs, plan.stream.ends[side])
            settled.append(terms)
            near = plan.stream.ends[offer.side]
            text = _answered(plan, media, near, address) if terms else rejected(plan.media)
            if terms and offer.ours.labels and offer.theirs.labels:
                text = _labelled(text, plan, media)
            sections.append(text)
        put_in_force(offer, side, answered, settled)
        if self._audience:
            hear_speech(offer.plans, self._audience)
        self.held = is_held(offer.plans, answered)
        self._return_ports(offer.plans)
        self._seen_at = now
        offer.answer = self._origin(offer.side).write(address, sections[: offer.lines])
        offer.answered = sdp
        if self._audience:
            self._describe(self._audience)
        return offer.answer

    def rollback(self) -> None:
        """Return to the terms before the last offer, which was refused or given up.

        Does nothing when that offer was refused by ``offer`` itself, for then it changed nothing.
        """
        if self._offer is None or not self._staged:
            return
        offer, self._offer, self._staged = self._offer, None, False
        self.held = offer.held
        for plan in offer.plans:
            plan.undo()
        self._return_ports(offer.plans, unused=True)
        if not self._branches:  # who waits has been offered them as well
            del self.streams[offer.known :]

    def turn(self, branch: int) -> int:
        """Put the callee of ``branch`` in its place: the next offer or answer is from or to that one.

        Returns which one was there and has answered, and so is talked to already, 0 for none.
        """
        if branch == self._branch:
            return 0
        former = self._branch if self._offer is not None and self._offer.answered else 0
        waiting = self._branches = self._branches or {}
        if self._branch:
            ends = [stream.ends["b"] for stream in self.streams]
            waiting[self._branch] = Branch(ends, self._offer, self._staged, self._origins.pop("b", None))
        else:
            self._vacate()  # whoever was offered it before, alone, is offered nothing any more
            for stream in self.streams:
                stream.ends["b"].leg.release()
        came = waiting.pop(branch, None) or Branch([], None, False, None)
        self._branch, self._offer, self._staged = branch, came.offer, came.staged
        if came.origin is not None:
            self._origins["b"] = came.origin
        for index, stream in enumerate(self.streams):
            near = stream.ends["a"].leg
            known = index < len(came.ends)
            end = came.ends[index] if known else stream.beside(self._alias_key)
            stream.ends["b"], near.other = end, end.leg
        return former

    def take(self, branch: int) -> None:
        """``branch`` is the callee from now on, and all others are dropped."""
        self.turn(branch)
        self._branch = 0
        for each in (self._branches or {}).values():
            for end in each.ends:
                end.close()
        self._branches = None
        if self._offer is not None and self._offer.answered:
            self._return_ports(self._offer.plans)

    def drop(self, branch: int) -> None:
        """Nothing comes of ``branch``: silence it and give its ports back."""
        if branch == self._branch:
            self._vacate()
            self._branch = 0
            return
        waiting = self._branches
        if waiting is not None and branch in waiting:
            for end in waiting.pop(branch).ends:
                end.close()

    def _vacate(self) -> None:
        """Nobody is in the callee's place any more."""
        self._offer, self._staged = None, False
        self._origins.pop("b", None)
        for stream in self.streams:
            stream.ends["b"].forget()
            stream.ends["b"].give_ports()

    def close(self) -> MediaStats:
        """Silence every leg, give the ports back and return the final counters.

        A leg on which anything has passed in the clear was not protected, whatever it was at the end. One
        whose stream was secured and has ended was.
        """
        stats = self.stats()
        for stream, told in zip(self.streams, stats.streams, strict=True):
            for end, leg in ((stream.ends["a"], told.a), (stream.ends["b"], told.b)):
                leg.suite = end.protected_by()
        for each in (self._branches or {}).values():
            for end in each.ends:
                end.close()
        self._branches = None
        for stream in self.streams:
            for end in stream.ends.values():
                end.close()
        self.streams = []
        self._offer = None
        return stats

    def stats(self) -> MediaStats:
        """Return the counters as they are now."""
        streams = []
        for stream in self.streams:
            a, b = stream.ends["a"].stats(), stream.ends["b"].stats()
            a.codec = b.codec = codec = agreed(stream.answered) if stream.answered is not None else ""
            a.quality = quality(stream.ends["a"].leg, codec)
            b.quality = quality(stream.ends["b"].leg, codec)
            streams.append(StreamStats(stream.kind, a, b))
        return MediaStats(tuple(streams))

    def silent_for(self, now: float) -> float:
        """Return the seconds since a packet was last seen by this method, 0 before the first answer.

        A held call may rightly be silent and is 0, too.
        """
        count = 0
        for stream in self.streams:
            for end in stream.ends.values():
                count += end.leg.packets_in
        if self._seen_at is None or self.held:
            return 0.0
        if count != self._seen:
            self._seen, self._seen_at = count, now
        return now - self._seen_at

    def listen(self, listener: Audience) -> None:
        """Let ``listener`` hear both sides from now on, decoded, beside those that hear them already."""
        self._audience = (*self._audience, listener)
        for index, stream in enumerate(self.streams):
            for side, end in stream.ends.items():
                lend_ears(stream.kind, side, end.leg, (listener,))
            for each in (self._branches or {}).values():
                for end in each.ends[index : index + 1]:
                    lend_ears(stream.kind, "b", end.leg, (listener,))
        self._describe((listener,))

    def _describe(self, listeners: tuple[Audience, ...]) -> None:
        """Tell what the payload types mean that the sides send by, as the last answer has them."""
        offer = self._offer
        if offer is None or not offer.answered:
            return
        a, b = spoken_formats(offer)
        for each in listeners:
            each.describe(a, b)

    def _answered(self) -> bool:
        return self._offer is None or bool(self._offer.answered)

    def _plans(
        self, side: str, description: SessionDescription, ours: MediaPolicy, theirs: MediaPolicy
    ) -> list[Plan]:
        plans: list[Plan] = []
        why, asked = "the offer has no stream that can be relayed", False
        for index, media in enumerate(description.media):
            if index < len(self.streams):
                stream = self.streams[index]
            else:
                stream = Stream(media.kind, self._alias_key)
            terms, place = None, None
            try:
                audible = media.proto in PROFILES
                if media.port and (audible or is_fax(media)):  # asked for, and of a kind that is relayed
                    end = stream.ends[side]
                    own = end.place or self._networks.receiving(
                        ours.network, media.host, ours.signalling_host
                    )
                    if audible:
                        offered = terms_from_offer(self._ids, media, ours, end.former, end.told)
                    else:
                        offered = fax.offered_terms(media, ours, theirs)
                    terms, place = self._sendable(offered, media, own), own
            except StreamRefused as error:
                why = error.reason
            plans.append(Plan(media, stream, terms, place))
            asked = asked or media.port > 0
        if len(plans) > 1:
            prefer_secured(plans)
        if len(plans) > ours.streams:
            drop_over(ours.streams, plans)
        if asked and all(plan.terms is None for plan in plans):
            raise MediaRefused(why)
        for plan in plans:
            if plan.terms is not None and plan.media.lines.rtp:
                former = plan.stream.ends[other(side)].former
                secure, plan.lines = lines_to_offer(self._ids, theirs, former)
                feedback = "F" if plan.media.proto.endswith("F") else ""  # it is kept (RFC 4585)
                plan.profile = ("RTP/SAVP" if secure else "RTP/AVP") + feedback
        return plans

    def _answered_terms(self, plan: Plan, media: Media, policy: MediaPolicy, end: Endpoint) -> Terms | None:
        if plan.terms is None or not media.port:
            return None
        assert end.place is not None, "its port was taken with the offer"
        if not plan.media.lines.rtp:
            if not is_fax(media):
                raise MediaRefused("the answer has another transport than the offer")
            return self._sendable(fax.terms(media, policy), media, end.place)
        terms = terms_from_answer(media, policy, plan.profile, plan.lines, plan.mux)
        return self._sendable(terms, media, end.place)

    def _sendable(self, terms: Terms, media: Media, place: Place) -> Terms:
        """Return the terms; MediaRefused where the peer cannot be sent to, or must not.

        Where that is so of RTCP alone, and the peer did not say where it wants it, it gets none.
        """
        self._check(terms.remote, place)
        try:
            self._check(terms.rtcp, place)
        except MediaRefused:
            if media.lines.rtcp is not None:
                raise
            return terms.without_rtcp()
        return terms

    def _check(self, remote: Address | None, place: Place) -> None:
        """Raise MediaRefused for what a socket of ``place`` cannot or must not send to.

        That is a port of ours, unless it is that of another call (the hairpin of a PBX): two legs that each
        name our port of theirs would make one packet run round for ever.
        """
        if remote is None:
            return
        ends = [end for stream in self.streams for end in stream.ends.values()]
        if self._branches:
            ends += [end for each in self._branches.values() for end in each.ends]
        if any([end.receives_at(remote) for end in ends]):
            raise MediaRefused("the description names our own media port of this call")
        self._networks.check(remote, place)

    def _take_ports(self, plans: list[Plan], side: str, far: Place, caller: MediaPolicy) -> None:
        """Take what the legs have not yet; ``far`` is the place of the leg that is offered to."""
        taken: list[Endpoint] = []
        whole = False
        try:
            for plan in plans:
                if plan.terms is None:
                    continue
                for each, end in plan.stream.ends.items():
                    if end.place is not None:
                        continue
                    place = plan.place if each == side and plan.place is not None else far
                    end.local, end.place = place.ports.take(caller.trunk, caller.ports), place
                    taken.append(end)
            whole = True
        finally:
            for end in () if whole else taken:
                end.give_ports()

    def _return_ports(self, plans: list[Plan], unused: bool = False) -> None:
        """Give back the ports of streams that the offer rejected, or (``unused``) that no terms hold for.

        The caller's stay while other callees wait, for another may have what one of them may not.
        """
        for plan in plans:
            ends = plan.stream.ends
            if not (ends["a"].terms or ends["b"].terms) if unused else plan.terms is None:
                ends["b"].give_ports()
                if not self._branches:
                    ends["a"].give_ports()

    def _restart(self, side: str, policy: MediaPolicy) -> None:
        """Forget the peer; the next one's leg may be in another place, which it then has ports of."""
        self._offer = None
        self._origins.pop(side, None)
        place = self._networks.towards(policy.network, policy.signalling_host)
        for stream in self.streams:
            end = stream.ends[side]
            end.forget()
            end.leg.begin()
            if end.place is not place:
                end.give_ports()

    def _origin(self, side: str) -> Origin:
        origin = self._origins.get(side)
        if origin is None:
            origin = self._origins[side] = Origin(int.from_bytes(self._ids.key(7), "big"))
        return origin


def _session_address(plans: list[Plan], side: str) -> str:
    """What the session's ``c=`` says: where the first stream is received, '' without one."""
    for plan in plans:
        place = plan.stream.ends[side].place
        if plan.terms is not None and place is not None:
            return place.address
    return ""


def _offered(plan: Plan, end: Endpoint, address: str) -> str:
    """Write an offered section to the other leg; it says where it is received unless that is ``address``."""
    if plan.terms is None or end.place is None:
        return rejected(plan.media)
    where = end.place.address if end.place.address != address else ""
    if not plan.media.lines.rtp:
        return fax.section(plan.media, end.local, plan.profile, where)
    return section(plan.media, end.local, plan.profile, plan.mux, plan.lines, where)


def _labelled(text: str, plan: Plan, media: Media) -> str:
    return text + labels(media) if plan.terms is not None else text


def _answered(plan: Plan, media: Media, end: Endpoint, address: str) -> str:
    """Write the answer's section to the leg that offered, in its profile."""
    assert plan.terms is not None and end.place is not None, "its port was taken with the offer"
    lines = () if plan.terms.ours is None else (plan.terms.ours,)
    where = end.place.address if end.place.address != address else ""
    if not plan.media.lines.rtp:
        return fax.section(media, end.local, plan.media.proto, where)
    return section(media, end.local, plan.media.proto, plan.terms.mux, lines, where)
