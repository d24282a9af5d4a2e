"""What one leg of one stream agreed to, and the contexts that follow from it.

Terms are values: an offer prepares them, an answer applies them, a rollback applies the former
ones again. The SRTP contexts are looked up by key and not made anew, so that whoever goes back
to a key (a fork that answers again, a refused re-INVITE) finds its rollover counter and its
replay window as they were (RFC 3711 section 3.2.3).

Which SRTP keys cross which leg: the policy of a trunk against what its peer wrote (RFC 4568).

| we offer  | profile  | crypto lines                  | a plain answer        |
|-----------|----------|-------------------------------|-----------------------|
| off       | RTP/AVP  | none                          | is the only one       |
| accept    | RTP/AVP  | none                          | is the only one       |
| offer     | RTP/AVP  | one a suite (OSRTP, RFC 8643) | is fine               |
| required  | RTP/SAVP | one a suite                   | refuses the call      |

An inbound offer with a usable line is answered with SDES whatever the toggle. Among the lines
that we can use the offerer's order decides: it is the offerer's preference (RFC 4568 5.1.2).
Where ``sdes`` is False keys may not cross the signalling in either direction.

An offered stream that the policy does not allow gets port 0, and the others stand; where none is
left the call is refused. Of a secured and a plain stream of one kind, which is how a peer without
OSRTP leaves the choice to us, the secured one is taken.

In an answer nothing is lenient: a line that we did not offer, or cannot use, refuses the call,
also where a plain answer would have been fine. A peer that answers so believes the call is
encrypted, and it is not ours to disappoint it in the clear. Only its number may be another where we
have offered a single line: many begin anew with 1, whatever number a re-offer had.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sbc.base import Address, PeerError, address
from sbc.ids import Ids
from sbc.media.errors import MediaRefused, StreamRefused
from sbc.media.places import Place
from sbc.media.policy import MediaPolicy
from sbc.media.relay import Leg
from sbc.media.renumbered import Numbers, Renumbered
from sbc.media.sdes import KEY_LENGTHS, CryptoLine, parse_crypto
from sbc.media.sdp import Media, decimal, is_ours_alone, unicast
from sbc.media.srtp import Protector, Unprotector
from sbc.media.stats import LegStats

#: The profiles that can be relayed; the secure ones need SDES (RFC 4568) on their leg.
PROFILES: Final = ("RTP/AVP", "RTP/AVPF", "RTP/SAVP", "RTP/SAVPF")
_FORMER_KEYS = 8


class Terms:
    """One leg's side of an agreed stream, never changed; ``theirs`` and ``ours`` are None on a plain leg.

    ``remote`` is where RTP is sent to until the leg is latched, None on hold by a null address;
    ``hosts`` may send where nothing authenticates; an ``asymmetric`` peer receives there and only there.
    """

    __slots__ = ("asymmetric", "hosts", "mux", "ours", "profile", "remote", "rtcp", "theirs")

    def __init__(
        self, remote: Address | None, rtcp: Address | None, mux: bool, profile: str,
        theirs: CryptoLine | None, ours: CryptoLine | None, hosts: tuple[str, ...], asymmetric: bool = False,
    ) -> None:  # fmt: skip
        self.remote: Final = remote
        self.rtcp: Final = rtcp
        self.mux: Final = mux
        self.profile: Final = profile
        self.theirs: Final = theirs
        self.ours: Final = ours
        self.hosts: Final = hosts
        self.asymmetric: Final = asymmetric

    def without_rtcp(self) -> Terms:
        """The same, but that the peer is sent no RTCP."""
        return Terms(
            self.remote, None, self.mux, self.profile, self.theirs, self.ours, self.hosts, self.asymmetric
        )


class Endpoint:
    """One leg of one stream: its relay leg, our port (0 while none) and its place, its terms and contexts."""

    __slots__ = (
        "_before", "_receivers", "_senders", "clear", "leg", "local", "numbers", "place", "terms", "told",
        "voice",
    )  # fmt: skip

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
        #: Whether something has passed in the clear; so many packets had passed when the terms began.
        self.clear = False
        self._before = 0
        self._senders: dict[bytes, Protector] | None = None
        self._receivers: dict[tuple[str, bytes, bytes], Unprotector] | None = None

    def apply(self, terms: Terms | None) -> None:
        """Make ``terms`` hold from the next packet on; None silences the leg."""
        leg = self.leg
        former, self.terms = self.terms, terms
        passed = leg.packets_in + leg.packets_out
        if former is not None and former.theirs is None and passed != self._before:
            self.clear = True
        self._before = passed
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
        self.clear = False
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

    def give_ports(self) -> None:
        """Give the ports back; harmless without any."""
        if self.place is not None:
            self.place.ports.give(self.local)
            self.local, self.place = 0, None

    def receives_at(self, remote: Address) -> bool:
        """Tell whether ``remote`` is one of its ports."""
        place = self.place
        if place is None or self.local != remote.port & ~1:
            return False
        return remote.host == place.address or place.ports.owner(remote.host, remote.port) == "call"

    def close(self) -> None:
        """Silence the leg for good and give its ports back."""
        self.forget()
        self.leg.release()
        self.give_ports()

    def protected_by(self) -> str:
        """The suite under which all has passed; '' where anything was in the clear."""
        terms = self.terms or self.voice
        return terms.theirs.suite if terms is not None and terms.theirs is not None and not self.clear else ""

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
            address(remote[0], remote[1]) if remote else None,
        )


# Whose terms, and which keys


def is_secure(profile: str) -> bool:
    """Tell whether ``profile`` is RTP/SAVP or RTP/SAVPF."""
    return profile.startswith("RTP/SAVP")


def fresh_line(ids: Ids, tag: int, suite: str, written: str = "") -> CryptoLine:
    """Make a line of ours with a new random key and salt; ``written`` is the peer's spelling of the suite."""
    return CryptoLine(tag, suite, ids.key(KEY_LENGTHS[suite]), written=written)


def lines_to_offer(
    ids: Ids, policy: MediaPolicy, former: Terms | None
) -> tuple[bool, tuple[CryptoLine, ...]]:
    """Return (secure profile?, our crypto lines) for an offer to a leg of ``policy``.

    A leg that has agreed terms keeps them: the one line in use, or plain.
    """
    required = policy.srtp == "required"
    if former is not None and former.ours is not None:
        return is_secure(former.profile) or required, (former.ours,)
    if required and not policy.sdes:
        raise MediaRefused("SRTP is required but keys may not cross this signalling: it is not TLS")
    if not required and (policy.srtp != "offer" or not policy.sdes or former is not None):
        return False, ()
    return required, tuple(fresh_line(ids, tag, suite) for tag, suite in enumerate(policy.suites, 1))


def terms_from_offer(
    ids: Ids, media: Media, policy: MediaPolicy, former: Terms | None, told: dict[bytes, CryptoLine]
) -> Terms:
    """Return the terms on which an offered stream is accepted; ``told`` are our lines by the peer's keys.

    Raises StreamRefused when it can only be had in the clear and must not, or cannot be had at all.
    """
    theirs = _first_usable(media, policy) if media.crypto else None
    if theirs is None and policy.srtp == "required":
        if not policy.sdes:
            raise StreamRefused("SRTP is required but keys may not cross this signalling: it is not TLS")
        raise StreamRefused("SRTP is required and the offer has no usable crypto line")
    if theirs is None and is_secure(media.proto):
        raise StreamRefused("the offer is RTP/SAVP without a usable crypto line")
    ours = None if theirs is None else _answering_line(ids, media, theirs, former, told)
    return _terms(media, policy, theirs, ours)


def _first_usable(media: Media, policy: MediaPolicy) -> CryptoLine | None:
    if not policy.sdes:
        return None
    for value in media.crypto:
        try:
            line = parse_crypto(value)
        except PeerError:
            continue
        if line.suite in policy.suites:
            return line
    return None


def _answering_line(
    ids: Ids, media: Media, theirs: CryptoLine, former: Terms | None, told: dict[bytes, CryptoLine]
) -> CryptoLine:
    """Keep our key unless the suite changed, or key and address both did: another device.

    A device that was here before is known by its key, and was told one of ours.
    """
    known = told.get(theirs.key)
    if known is not None and known.suite == theirs.suite:
        return replace(known, tag=theirs.tag, written=theirs.written)
    if former is None or former.ours is None or former.theirs is None or former.ours.suite != theirs.suite:
        return fresh_line(ids, theirs.tag, theirs.suite, theirs.written)
    moved = former.remote is not None and (media.host, media.port) != former.remote
    if moved and theirs.key != former.theirs.key:
        return fresh_line(ids, theirs.tag, theirs.suite, theirs.written)
    if theirs.key == former.ours.key:
        raise MediaRefused("the offer's crypto line repeats our own key")
    return replace(former.ours, tag=theirs.tag, written=theirs.written)


def terms_from_answer(
    media: Media, policy: MediaPolicy, profile: str, offered: tuple[CryptoLine, ...], mux: bool
) -> Terms:
    """Return the terms that an answer to our offer settles; raises MediaRefused when it breaks them."""
    lines = media.crypto
    if media.proto not in PROFILES:
        raise MediaRefused("the answer has another transport than the offer")
    if not lines:
        if is_secure(profile) or policy.srtp == "required":
            raise MediaRefused("SRTP is required and the answer has no crypto line")
        if is_secure(media.proto):
            raise MediaRefused("the answer is RTP/SAVP without a crypto line")
        return _terms(media, policy, None, None, mux)
    if is_secure(profile) and not is_secure(media.proto):
        raise MediaRefused("SRTP is required and the answer is not RTP/SAVP")
    if len(lines) != 1:
        raise MediaRefused("the answer has more than one crypto line")
    theirs, ours = _matched(lines[0], offered)
    return _terms(media, policy, theirs, ours, mux)


def _matched(value: str, offered: tuple[CryptoLine, ...]) -> tuple[CryptoLine, CryptoLine]:
    try:
        theirs = parse_crypto(value)
    except PeerError as error:
        raise MediaRefused(f"in the answer: {error.reason}") from None
    ours = next((each for each in offered if (each.tag, each.suite) == (theirs.tag, theirs.suite)), None)
    if ours is None and len(offered) == 1 and offered[0].suite == theirs.suite:
        ours = offered[0]  # whatever its number, there is no other that could be meant
    if ours is None:
        raise MediaRefused(f"the answer's {theirs} was not offered")
    if any(theirs.key == each.key for each in offered):
        raise MediaRefused("the answer's crypto line repeats our own key")
    return theirs, ours


def _terms(
    media: Media, policy: MediaPolicy, theirs: CryptoLine | None, ours: CryptoLine | None, mux: bool = True
) -> Terms:
    if not media.lines.rtp:  # RFC 3550 5.1
        raise PeerError("SDP has an RTP payload type that is not a number below 128")
    host, signalling = media.host, policy.signalling_host
    remote = None if host is None else address(host, media.port)
    hosts: tuple[str, ...] = () if host is None else (host,)
    if signalling and signalling != host:
        hosts = (*hosts, signalling)
    mux = mux and media.lines.mux
    # The peer receives RTCP where a=rtcp says (RFC 3605), else on the port above RTP.
    if media.lines.rtcp is not None:
        rtcp = _rtcp_address(media.lines.rtcp, host, signalling)
    else:
        rtcp = None if host is None else address(host, min(media.port + 1, 65535))
    return Terms(remote, rtcp, mux, media.proto, theirs, ours, hosts, policy.asymmetric)


def _rtcp_address(value: str, host: str | None, signalling: str) -> Address | None:
    """Where the peer wants its RTCP (RFC 3605); None where that cannot be read, for no call hangs on it.

    A host may be written there by its name, which nobody here resolves.
    """
    fields = value.split()
    try:
        if len(fields) > 3:
            named = unicast(fields[3])
            if named is None or not is_ours_alone(named, signalling):
                host = named
        port = decimal(fields[0] if fields else "", 65535, "a=rtcp port")
    except PeerError:
        return None
    return None if host is None or not port else Address(host, port)
