"""What an examination of a trunk's peers found, and what it amounts to in plain words.

``sbc.net.doctor.examine`` dials and fills these pictures; here they are judged. Every finding says what was
seen; a bad one says what to do, and where one line of ours decides it, which.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sbc.config.model import Trunk, TrunkTls
from sbc.config.places import Places, place_to_change
from sbc.config.snapshot import Snapshot
from sbc.observe.times import left
from sbc.tls.causes.rejection import CIPHERS
from sbc.tls.diagnosis import unreachable, unresolved
from sbc.tls.failure import Failure
from sbc.tls.groups import GROUPS, normal_group
from sbc.tls.marks import before_end
from sbc.tls.material.authorities import would_accept
from sbc.tls.names import listed

Level = Literal["good", "note", "warning", "bad"]


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """One certificate of a chain; ``purposes`` are of ``clients`` and ``servers``; times in POSIX seconds."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    purposes: tuple[str, ...]
    is_ca: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What one handshake showed; ``requested`` are CAs, None where the peer asked for no certificate.

    ``staple`` is ``good``, ``none`` or what is wrong with the stapled OCSP answer.
    """

    version: str
    cipher: str
    group: str
    chain: tuple[CertificateFacts, ...]
    requested: tuple[str, ...] | None
    staple: str = ""


@dataclass(frozen=True, slots=True)
class Offers:
    """What a peer takes of all that we know, what it likes best first; ``cut`` says why no more is known."""

    versions: tuple[str, ...]
    groups: tuple[str, ...]
    cut: str = ""


@dataclass(frozen=True, slots=True)
class Visit:
    """One address of a peer, dialled as the SBC dials it, and once more only to look.

    ``trouble`` says why there is no connection, ``failure`` why the handshake failed. ``seen`` is of the
    handshake that was verified, ``looked`` of one that was not, on which no SIP was sent;
    ``look_trouble`` says why that one did not finish either. ``answer`` is the status line that the peer
    gave to OPTIONS, ``silence`` says why there is none. ``doubts`` are certificates of which nothing
    fresh says that they are not revoked, and which the trunk lets pass. ``offers`` is None where nobody
    asked for all that it takes.
    """

    address: str
    milliseconds: float = 0.0
    trouble: str = ""
    seen: Seen | None = None
    anchor: str = ""
    name: str = ""
    failure: Failure | None = None
    looked: Seen | None = None
    look_trouble: str = ""
    offers: Offers | None = None
    doubts: tuple[str, ...] = ()
    answer: str = ""
    silence: str = ""


@dataclass(frozen=True, slots=True)
class PeerReport:
    """One peer of a trunk; ``trouble`` says why it has no address."""

    peer: str
    visits: tuple[Visit, ...] = ()
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence of the diagnosis; ``where`` is the line of the configuration to change.

    ``fault`` is the class of what is bad: one of ``sbc.tls.failure``, or ``no-answer``.
    """

    level: Level
    text: str
    remedy: str = ""
    where: str = ""
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Ours:
    """What we show to a trunk's peers: an identity with its chain and all issuers on its way up."""

    identity: str
    chain: tuple[CertificateFacts, ...]
    issuers: tuple[str, ...]


_CIPHER = "no-shared-cipher"
_OLD = ("TLSv1", "TLSv1.1")
_OTHER_GROUP = "enable one of the trunk's `groups` at the peer"


def _spoken(cipher: str) -> bool:
    return cipher.startswith("ECDHE-") and ("GCM" in cipher or "CHACHA20" in cipher)


class Physician:
    """Judges what was seen of one trunk; ``now`` in POSIX seconds."""

    def __init__(self, snapshot: Snapshot, trunk: Trunk, ours: Ours | None, now: float) -> None:
        assert trunk.tls is not None, "a trunk with TLS"
        self._tls: TrunkTls = trunk.tls
        self._all_places = snapshot.places
        self._places: Places = snapshot.places.get(trunk.trunk, {})
        self._trunk = trunk
        self._ours = ours
        self._now = now

    def of_peer(self, report: PeerReport) -> Iterator[Finding]:
        """What is to be said of a peer before any of its addresses."""
        host = report.peer.rpartition(":")[0]
        if report.trouble:
            failure = unresolved(report.trouble)
            yield Finding("bad", failure.detail, failure.remedy, self._place("peers"), failure.kind)
        elif report.visits and not report.visits[0].address.startswith(host + ":"):
            addresses = ", ".join(each.address for each in report.visits)
            yield Finding("good", f"{host} resolves to {addresses}")

    def of_visit(self, visit: Visit) -> Iterator[Finding]:
        """Every sentence about one address, in the order in which things happen."""
        if visit.trouble:
            failure = unreachable(visit.trouble)
            yield Finding("bad", failure.detail, failure.remedy, self._place("peers"), failure.kind)
            return
        yield Finding("good", f"connected in {visit.milliseconds:.0f} ms")
        if visit.failure is not None:
            yield self._refusal(visit.failure)
        yield from self._agreed(visit)
        yield from _offered(visit.offers)
        yield from _order(visit.looked or visit.seen)
        yield from self._dates(visit)
        yield from self._request(visit)
        yield from self._answer(visit)

    def _place(self, key: str) -> str:
        return f"{self._places[key]} ({key})" if key in self._places else ""

    def _refusal(self, failure: Failure) -> Finding:
        whose = "the peer refuses us" if failure.kind == "rejected-by-peer" else "the handshake fails"
        where = place_to_change(self._all_places, self._trunk.trunk, failure, "outbound")
        return Finding(
            "bad", f"{whose}: {failure.kind}: {failure.detail}", failure.remedy, where, failure.kind
        )

    def _agreed(self, visit: Visit) -> Iterator[Finding]:
        seen = visit.seen
        if seen is None:
            if visit.looked is not None:
                group = f", {visit.looked.group}" if visit.looked.group else ""
                what = f"{visit.looked.version}, {visit.looked.cipher or 'no cipher'}{group}"
                yield Finding("note", f"looked without verification, no SIP was sent: {what}")
                if visit.failure is not None and visit.failure.key == "tls.groups":
                    yield from self._would_take(visit.looked)
            elif visit.look_trouble:
                yield Finding("note", f"a look without verification fails too: {visit.look_trouble}")
            return
        yield Finding("good", f"agreed on {seen.version}, {seen.cipher}, {seen.group or 'no named group'}")
        if visit.failure is not None:
            return
        expected = ", ".join(self._tls.names) or "the name dialled"
        named = f"; of the expected names ({expected}) it carries {visit.name}" if visit.name else ""
        yield Finding("good", f"trust {visit.anchor} vouches for the peer{named}")
        yield from self._revocation(visit)
        best = normal_group(self._tls.groups[0])
        if seen.group and seen.group != best:
            yield Finding(
                "note", f"the group is not the first choice of ours, {best}", "", self._place("tls.groups")
            )

    def _would_take(self, looked: Seen) -> Iterator[Finding]:
        """What a peer that found nothing in common with us took when everything was offered."""
        ours = [normal_group(each) for each in self._tls.groups]
        if looked.group and looked.group not in ours:
            remedy = f"add {looked.group} to the trunk's `groups`" if looked.group in GROUPS else _OTHER_GROUP
            place = self._place("tls.groups")
            text = f"the group it takes, {looked.group}, is not among the trunk's"
            yield Finding("bad", text, remedy, place, "no-shared-group")
        if looked.version == "TLSv1.2" and not _spoken(looked.cipher):
            remedy = f"enable {CIPHERS} at the peer"
            yield Finding(
                "bad", f"the cipher it takes, {looked.cipher}, is none that we speak", remedy, "", _CIPHER
            )

    def _revocation(self, visit: Visit) -> Iterator[Finding]:
        remedy = "let this machine reach the source, or give the CA's list with `crl` in its entry of `trust`"
        for doubt in visit.doubts:
            text = f"nothing fresh says that it is not revoked, and soft lets it pass: {doubt}"
            yield Finding("warning", text, remedy, self._place("tls.revocation"))
        if not visit.doubts and self._tls.revocation.mode != "off":
            yield Finding("good", "no certificate of its chain is revoked")

    def _dates(self, visit: Visit) -> Iterator[Finding]:
        chains = [("the peer's", visit.looked or visit.seen), ("our", self._ours)]
        for whose, held in chains:
            for each in held.chain if held is not None else ():
                remains = each.not_after - self._now
                if not each.not_after:
                    yield Finding("warning", f"{whose} chain has one that cannot be read: {each.subject}")
                elif remains < 0:
                    text = f"{whose} certificate {each.subject} has expired"
                    yield Finding("bad", text, "let its owner renew it", "", "expired")
                elif remains < before_end("warning", each.not_before, each.not_after):
                    text = f"{whose} certificate {each.subject} has {left(each.not_after, self._now)}"
                    yield Finding("warning", text)
        staple = visit.looked.staple if visit.looked is not None else ""
        if staple == "good":
            yield Finding("good", "the peer staples an OCSP answer, and it is good")
        elif staple not in ("", "none"):
            yield Finding(
                "warning",
                f"the stapled OCSP answer: {staple}",
                "let the peer's operator look at its stapling",
            )

    def _request(self, visit: Visit) -> Iterator[Finding]:
        held = visit.seen or visit.looked
        if held is None:
            return
        if held.requested is None:
            if self._ours is not None:
                yield Finding("note", "the peer asks for no certificate: ours is not looked at")
            return
        named = f"; it accepts {listed(held.requested, 6)}" if held.requested else ", and names no CA"
        level: Level = "bad" if visit.failure is not None else "warning"
        fault = "rejected-by-peer" if visit.failure is not None else ""
        where = self._place("tls.client_identity")
        asks = f"the peer asks for a certificate{named}"
        if self._ours is None:
            remedy = "give the trunk a `client_identity` that the peer has been told of"
            yield Finding(level, f"{asks}; we show none", remedy, where, fault)
        elif would_accept(held.requested, self._ours.issuers):
            yield Finding("good", f"{asks}; ours, of {self._ours.issuers[0]}, fits")
        else:
            remedy = "present an identity of a CA in that list, or let the peer add ours"
            issuer = self._ours.issuers[0]
            yield Finding(level, f"{asks}; that is not {issuer}, which issued ours", remedy, where, fault)

    def _answer(self, visit: Visit) -> Iterator[Finding]:
        if visit.seen is None or visit.failure is not None:
            return
        if visit.answer:
            level: Level = "good" if visit.answer.startswith("2") else "warning"
            yield Finding(level, f"the peer answers OPTIONS with {visit.answer}")
        else:
            remedy = "the peer took the connection and says nothing: ask its operator what its log says"
            yield Finding("bad", f"no answer to OPTIONS: {visit.silence}", remedy, "", "no-answer")


def _offered(offers: Offers | None) -> Iterator[Finding]:
    """What the peer takes, and what it should not."""
    if offers is None:
        return
    groups = f"; of the groups, in its order: {', '.join(offers.groups)}" if offers.groups else ""
    yield Finding("note", f"it takes {', '.join(offers.versions)}{groups}")
    if offers.cut:
        yield Finding("note", f"there may be more that it takes: {offers.cut}")
    for old in offers.versions:
        if old in _OLD:
            remedy = "let the peer's operator switch it off (RFC 8996); we never speak it"
            yield Finding("warning", f"the peer still takes {old}", remedy)


def _order(seen: Seen | None) -> Iterator[Finding]:
    """Whether each certificate issued the one before it (RFC 5246 7.4.2)."""
    chain = seen.chain if seen is not None else ()
    for each, above in pairwise(chain):
        if each.not_after and above.not_after and each.issuer != above.subject:
            text = f"the peer's chain is out of order: {each.subject} is followed by {above.subject}"
            remedy = "let it send its own certificate first, then of each the one that issued it"
            yield Finding("warning", text, remedy)
            return
    if len(chain) > 1 and chain[-1].not_after and chain[-1].issuer == chain[-1].subject:
        yield Finding("note", f"the peer sends its root too, {chain[-1].subject}: nobody needs it")
