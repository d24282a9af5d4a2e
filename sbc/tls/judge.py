"""The judge of one handshake: what it learned of the peer, and the verdict on the peer's chain.

OpenSSL's callbacks only fetch (``sbc.net.tls.end``); everything that decides is here and in the modules
that this one asks. The verdict is made while the handshake runs and waits for nothing: of revocation only
what is known already is asked, and what is not known is settled before the first byte of SIP
(``sbc.net.revocation.inquiry``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from sbc.base import PeerError
from sbc.tls.evidence import Evidence, NoIssuer
from sbc.tls.failure import Failure
from sbc.tls.match import Admission, Match, Presented, match, still_trusted
from sbc.tls.material.certificate import MAX_CHAIN, MAX_DER, Certificate, CertificateCache, thumbprint_of
from sbc.tls.material.missing import no_issuer
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import State, Unusable
from sbc.tls.revocation.link import Link
from sbc.tls.revocation.policy import RevocationPolicy, no_staple, refusal

# X509_V_ERR codes: what a pin makes up for, what a lenient client_eku does, and what a refusal of ours is.
_NO_ISSUER = frozenset((2, 18, 19, 20, 21, 27))
_CHAIN_TOO_LONG, _REJECTED = 22, 28
_INVALID_PURPOSE, _APPLICATION = 26, 50
_REFUSALS = {
    "name-mismatch": 62, "unknown-ca": 20, "wrong-purpose": _INVALID_PURPOSE, "expired": 10,
    "not-yet-valid": 9, "chain-too-long": _CHAIN_TOO_LONG, "no-shared-version": _APPLICATION,
    "no-shared-group": _APPLICATION, "revoked": 23,
}  # fmt: skip


class Agreed(NamedTuple):
    """What both sides have agreed when the chain is judged; ``group`` is None where that is still to come."""

    version: str
    group: str | None


class Ways(Protocol):
    """Who looks for other ways through the peer's certificates than the one OpenSSL took (RFC 4158 2)."""

    def longer(self, judge: Judge, presented: Presented) -> dict[str, Presented]:
        """The same chain, longer, for each trunk that trusts an issuer of its end."""

    def other(self, judge: Judge, sent: Sequence[bytes]) -> Presented | None:
        """What is presented by the first of the other ways through what a server sent that holds."""

    def anew(self, judge: Judge, admission: Admission, sent: Sequence[bytes], now: float) -> Presented | None:
        """What is presented by what a peer sent under the trust of ``admission``, None where nothing is.

        PeerError.
        """


class Judge:
    """What one handshake learns through OpenSSL's callbacks: alerts, verify codes, the verdict.

    ``links`` are the certificates whose revocation matters under ``policy``: () where the peer is
    pinned, for a pin is taken back by whoever set it. ``news`` is what their revocation was found to be
    when it was settled, None where nothing was demanded. ``ways`` is None where no other way is looked
    for: in the verification of one that was found. ``led_anew`` where the chain leads to what is trusted
    since a reload by another way than in the handshake. ``assumed`` stands for what would be agreed, where
    the chain alone is judged. ``now`` is POSIX seconds.
    """

    __slots__ = (
        "__weakref__", "admission", "alert_received", "alert_sent", "anchor", "anchored", "asked", "assumed",
        "cache", "chain", "decided", "found_another", "leaf", "led_anew", "links", "news", "now", "policy",
        "presented", "purpose_ok", "revocation", "settled_under", "staple_problem", "trunk", "verify_code",
        "verify_depth", "ways",
    )  # fmt: skip

    def __init__(
        self, admission: Admission, cache: CertificateCache, now: float,
        revocation: RevocationCache | None = None, ways: Ways | None = None, assumed: Agreed | None = None,
    ) -> None:  # fmt: skip
        self.admission = admission
        self.cache = cache
        self.now = now
        self.revocation = revocation if revocation is not None else RevocationCache()
        self.ways = ways
        self.assumed = assumed
        self.anchored = True
        self.purpose_ok = True
        self.verify_code = 0
        self.verify_depth = 0
        self.alert_sent: int | None = None
        self.alert_received: int | None = None
        self.leaf: Certificate | None = None
        self.chain: tuple[bytes, ...] = ()
        self.presented: Presented | None = None
        self.decided: Failure | None = None
        self.trunk: str | None = None
        self.anchor: str | None = None
        self.asked = False
        self.found_another = False
        self.led_anew = False
        self.policy: RevocationPolicy | None = None
        self.settled_under: RevocationPolicy | None = None
        self.links: tuple[Link, ...] = ()
        self.news: State | None = None
        self.staple_problem = ""

    # While OpenSSL verifies

    def excuses(
        self, code: int, depth: int, certificate: Callable[[], bytes], leaf: Callable[[], bytes]
    ) -> bool:
        """True for an error that some candidate may live with; ``match`` holds the others to it.

        ``certificate`` gives the one objected to, ``leaf`` the peer's own, as DER. A pinned key is good
        whoever certified it, so what is wrong with an issuer (``depth`` over 0) is no matter to it; the
        leaf's own dates, purpose and strength are. To whoever has another key it matters as without pins:
        he must not have us verify, or keep, what he has signed himself.
        """
        admission = self.admission
        if (code in _NO_ISSUER or depth > 0) and admission.pins and self._is_pinned(leaf()):
            self.anchored = False
            return True
        lenient = admission.direction == "inbound" and admission.server_auth_will_do
        if code == _INVALID_PURPOSE and lenient and self._is_for_servers(certificate(), depth):
            self.purpose_ok = False
            return True
        return False

    def _is_for_servers(self, certificate: bytes, depth: int) -> bool:
        """Whether its extended key usage has serverAuth and is what OpenSSL has objected to."""
        try:
            facts = self.cache.read(certificate)
        except PeerError:
            return False
        return facts.server_auth and (depth > 0 or facts.signs)

    def _is_pinned(self, leaf: bytes) -> bool:
        try:
            return self.cache.read(leaf).identity.pin in self.admission.pins
        except PeerError:
            return False

    def finds_another(self, sent: Sequence[bytes], agreed: Agreed) -> bool:
        """Decide on another way through what a server sent, where one holds; True where that lets it in."""
        other = self.ways.other(self, sent) if self.ways is not None else None
        if other is not None:
            self.anchored, self.purpose_ok = other.anchored, other.purpose_ok
            self.found_another = self.decide(other.ders, agreed) == 0
        return self.found_another

    def refuse(self, code: int, depth: int, ders: Sequence[bytes]) -> None:
        """OpenSSL's error is final; the chain, as far as it was built, is kept for whoever explains it."""
        # Name constraints are looked at last, when the chain has been judged already.
        self.trunk = self.presented = None
        self.verify_code, self.verify_depth = code, depth
        if ders and max(map(len, ders)) <= MAX_DER:
            self.chain = tuple(ders[:MAX_CHAIN])
        try:
            self.leaf = self.cache.read(ders[0]) if ders else None
        except PeerError:
            self.leaf = None  # the verify code tells enough

    def decide(self, ders: Sequence[bytes], agreed: Agreed) -> int:
        """Decide on a chain that OpenSSL verified, leaf first; 0 or the code of the refusal."""
        self.verify_code = self._decide(ders, agreed)
        return self.verify_code

    def _decide(self, ders: Sequence[bytes], agreed: Agreed) -> int:
        if not 0 < len(ders) <= MAX_CHAIN:
            return _CHAIN_TOO_LONG
        if (longest := max(map(len, ders))) > MAX_DER:
            self.decided = _too_large(longest)
            return _REJECTED
        try:
            verdict = self._match(ders, agreed)
            failure = verdict.failure
            if failure is None:
                self._hold_to(verdict, self.admission)
                self.settled_under = self.policy
                failure = self.revoked(self.now)
        except PeerError as error:
            self.decided = Failure("bad-certificate", error.reason, "let the peer replace it")
            return _REJECTED
        self.decided = failure
        if failure is not None:
            return _REFUSALS.get(failure.kind, _REJECTED)
        self.trunk, self.anchor = verdict.trunk, verdict.anchor
        return 0

    def _match(self, ders: Sequence[bytes], agreed: Agreed) -> Match:
        """``match``; where the chain ends at an intermediate that a trunk filed, by what is above too."""
        leaf = self.leaf = self.cache.read(ders[0])
        chain = (leaf.identity.thumbprint, *map(thumbprint_of, ders[1:]))
        self.chain = self.cache.keep(ders, chain)
        presented = self.presented = Presented(
            leaf, chain, agreed.version, agreed.group, self.anchored, self.purpose_ok, self.chain,
            excluded_from(leaf, ders, self.cache),
        )  # fmt: skip
        longer: dict[str, Presented] = {}
        open_end = self.anchored and not self.cache.read(ders[-1]).self_issued
        if self.ways is not None and len(self.admission.candidates) > 1 and open_end:
            longer = self.ways.longer(self, presented)
        verdict = match(presented, self.admission, self.now, longer)
        if verdict.trunk in longer:
            self.presented = longer[verdict.trunk]
            self.chain = self.presented.ders
        return verdict

    def no_issuer(self) -> NoIssuer | None:
        """What the peer's chain lacks, where it ended before anything that is trusted."""
        if self.anchored and (self.decided is not None or self.verify_code not in _NO_ISSUER):
            return None
        return no_issuer(self.chain, self.admission.anchors, self.cache)

    def evidence(self, verify_text: str) -> Evidence:
        """What is known of a handshake that failed; ``verify_text`` are OpenSSL's words for its code."""
        who = self.leaf.identity if self.leaf is not None else None
        return Evidence(
            self.admission.direction, self.decided, self.verify_code, self.verify_depth, verify_text,
            self.alert_sent, self.alert_received, trunks=self.admission.names,
            who=who.label if who is not None else "", pin=who.pin if who is not None else "",
            no_issuer=self.no_issuer(), filed=self._filed(), chain=self.chain, now=self.now,
        )  # fmt: skip

    def _filed(self) -> str:
        """The truststore entry that has the issuer which OpenSSL objected to, "" for none."""
        if not 0 < self.verify_depth < len(self.chain):
            return ""
        thumbprint = thumbprint_of(self.chain[self.verify_depth])
        return next((each.name for each in self.admission.anchors if thumbprint in each.thumbprints), "")

    # Revocation

    def _hold_to(self, verdict: Match, admission: Admission) -> None:
        """What is demanded about revocation of a peer that was taken for the trunk of ``verdict``."""
        presented = self.presented
        assert presented is not None, "matched"
        trust = next(each for each in admission.candidates if each.trunk == verdict.trunk)
        by_ca = any(each.name == verdict.anchor and each.kind == "ca" for each in trust.anchors)
        self.policy, self.links = None, ()
        if trust.revocation.mode != "off" and by_ca:
            self.links = self.revocation.links.chain(presented.ders, presented.chain)
            self.policy = trust.revocation

    def readmit(
        self, trunk: str, admission: Admission, now: float, sent: Callable[[], Sequence[bytes]]
    ) -> bool:
        """Whether a peer that was taken for ``trunk`` is still good after a reload, under ``admission``.

        From now on its revocation is judged as that demands. ``sent`` gives the certificates that it sent:
        a CA is its name and key (RFC 5280 6.1.1 d), and may have another certificate now, or be below
        another that is trusted.
        """
        verdict = still_trusted(trunk, self.presented, admission, now)
        try:
            if verdict.failure is not None and verdict.failure.kind == "unknown-ca" and self.ways is not None:
                other = self.ways.anew(self, admission, sent(), now)
                verdict = still_trusted(trunk, other, admission, now) if other is not None else verdict
                if other is not None and verdict.trunk is not None:
                    self.presented, self.chain, self.led_anew = other, other.ders, True
            if verdict.trunk is not None and self.presented is not None:
                self._hold_to(verdict, admission)
        except PeerError:
            return False
        return verdict.trunk is not None

    @property
    def unsettled(self) -> bool:
        """True where a reload demands something about revocation that nobody has looked at yet."""
        return self.policy is not None and self.policy != self.settled_under

    def revoked(self, now: float) -> Failure | None:
        """The failure of a peer one of whose certificates is known to be revoked; None where none is."""
        if self.policy is None:
            return None
        found = self.revocation.revoked(self.links, self.policy.methods, now)
        return refusal(*found) if found is not None else None

    def takes_staple(self, staple: bytes) -> bool:
        """Look at what the server stapled (b"" for nothing), in the handshake; False refuses it.

        One that proves nothing counts as none: other methods may still answer.
        """
        if self.policy is None or not self.links:
            return True
        leaf, good = self.links[0], False
        self.staple_problem = "the server stapled nothing"
        if staple:
            try:
                answer = self.revocation.read_answer(staple, leaf, self.now)
                good = answer.state == "good" and answer.fresh(self.now)
                self.staple_problem = "" if good else f"the stapled answer says: {answer.state}"
            except Unusable as bad:
                self.staple_problem = f"stapled: {bad.reason}"
        self.decided = self.revoked(self.now)
        if self.decided is None and leaf.must_staple and not good:
            self.decided = no_staple(leaf, self.staple_problem)
        return self.decided is None


def excluded_from(leaf: Certificate, ders: Sequence[bytes], cache: CertificateCache) -> tuple[str, ...]:
    """The names that issuers of ``leaf`` exclude and that a wildcard of it could reach; PeerError."""
    if not any("*" in each for each in leaf.identity.sans):
        return ()
    return tuple(subtree for each in ders[1:] for subtree in cache.read(each).excluded)


def _too_large(size: int) -> Failure:
    return Failure(
        "bad-certificate",
        f"a certificate of the peer's is {size} bytes long; {MAX_DER} is the most, for whoever connects "
        "has it read before anything is proved",
        "let its owner get one with fewer names",
    )
