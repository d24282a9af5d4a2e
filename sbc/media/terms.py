"""What one leg of one stream agreed to, and the contexts that follow from it.

Terms are values: an offer prepares them, an answer applies them, a rollback applies the former
ones again. The SRTP contexts are looked up by key and not made anew, so that whoever goes back
to a key (a fork that answers again, a refused re-INVITE) finds its rollover counter and its
replay window as they were (RFC 3711 section 3.2.3).
"""

from __future__ import annotations

from typing import NamedTuple

from sbc.base import Address
from sbc.media.places import Place
from sbc.media.relay import Leg
from sbc.media.renumbered import Numbers, Renumbered
from sbc.media.sdes import CryptoLine
from sbc.media.srtp import Protector, Unprotector
from sbc.media.stats import LegStats

_FORMER_KEYS = 8


class Terms(NamedTuple):
    """One leg's side of an agreed stream; ``theirs`` and ``ours`` are None on a plain leg.

    ``remote`` is where RTP is sent to until the leg is latched, None on hold by a null address;
    ``hosts`` may send where nothing authenticates; an ``asymmetric`` peer receives there and only there.
    """

    remote: Address | None
    rtcp: Address | None
    mux: bool
    profile: str
    theirs: CryptoLine | None
    ours: CryptoLine | None
    hosts: tuple[str, ...]
    asymmetric: bool = False


class Endpoint:
    """One leg of one stream: its relay leg, our port (0 while none) and its place, its terms and contexts."""

    __slots__ = ("_receivers", "_senders", "leg", "local", "numbers", "place", "terms", "told", "voice")

    def __init__(self, leg: Leg) -> None:
        self.leg = leg
        self.local = 0
        self.place: Place | None = None  # where ``local`` is
        self.terms: Terms | None = None
        #: Those of the secured speech that a fax has interrupted: what comes after it is secured, too.
        self.voice: Terms | None = None
        self.numbers: Numbers | None = None  # how what is sent here is to be renumbered
        #: Which key of ours the peer that has a key was told: a fork may be gone back to.
        self.told: dict[bytes, CryptoLine] = {}
        self._senders: dict[bytes, Protector] | None = None
        self._receivers: dict[tuple[str, bytes, bytes], Unprotector] | None = None

    def apply(self, terms: Terms | None) -> None:
        """Make ``terms`` hold from the next packet on; None silences the leg."""
        leg = self.leg
        former, self.terms = self.terms, terms
        speech = terms is not None and terms.profile.startswith("RTP/")
        if not speech and leg.unprotect is not None:
            self.voice = former
        if terms is None:
            leg.silence()
            return
        reopen = True  # nothing but signalling tells that a plain leg's source has moved
        if terms.theirs is None or terms.ours is None:
            leg.protect = leg.unprotect = leg.former = None
        else:
            receiver = self._receiver(terms.theirs)
            reopen = receiver is not leg.unprotect
            if reopen:
                if leg.unprotect is not None:
                    receiver.inherit(leg.unprotect)
                leg.former, leg.unprotect = leg.unprotect, receiver
            leg.protect = self._sender(terms.ours)
            self.told.pop(terms.theirs.key, None)
            self.told[terms.theirs.key] = terms.ours
            if len(self.told) > _FORMER_KEYS:
                del self.told[next(iter(self.told))]
        if self.numbers is not None and speech:
            leg.protect = Renumbered(leg.protect, self.numbers)
        leg.mux = terms.mux
        leg.hosts = terms.hosts
        leg.asymmetric = terms.asymmetric
        leg.port_rtp.aim(terms.remote, reopen)
        leg.port_rtcp.aim(terms.rtcp, reopen)
        leg.agreed, leg.fax = speech, not speech

    @property
    def former(self) -> Terms | None:
        """The terms of the speech that a description of the stream follows upon, a fax between or not."""
        terms = self.terms
        return terms if terms is not None and terms.profile.startswith("RTP/") else self.voice

    def forget(self) -> None:
        """Silence the leg and drop its keys for good: another peer will take its place."""
        self.apply(None)
        self.voice = self.numbers = None
        self._senders = self._receivers = None
        self.told = {}

    def prune(self) -> None:
        """Drop the sending contexts of keys that no terms may have again.

        All others stay: under a key that began anew with its counter, packets would share a key stream.
        """
        if self._senders and len(self._senders) > 1:
            kept = {each.key for each in self.told.values()}
            if self.terms and self.terms.ours:
                kept.add(self.terms.ours.key)
            self._senders = {key: each for key, each in self._senders.items() if key in kept}

    def _sender(self, line: CryptoLine) -> Protector:
        if self._senders is None:
            self._senders = {}
        context = self._senders.get(line.key)
        if context is None:
            context = self._senders[line.key] = Protector(line)
        return context

    def _receiver(self, line: CryptoLine) -> Unprotector:
        if self._receivers is None:
            self._receivers = {}
        key = (line.suite, line.key, line.mki)
        context = self._receivers.pop(key, None) or Unprotector(line)
        self._receivers[key] = context
        if len(self._receivers) > _FORMER_KEYS:
            del self._receivers[next(iter(self._receivers))]
        return context

    def stats(self) -> LegStats:
        """Return this leg's counters as they are now."""
        leg, terms = self.leg, self.terms
        remote = leg.port_rtp.target
        return LegStats(
            leg.packets_in,
            leg.bytes_in,
            leg.packets_out,
            leg.bytes_out,
            leg.lost,
            leg.refused.copy() if leg.refused else {},
            terms.theirs.suite if terms and terms.theirs else "",
            Address(remote[0], remote[1]) if remote else None,
        )
