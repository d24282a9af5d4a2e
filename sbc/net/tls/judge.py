"""The judge of one handshake: what OpenSSL's callbacks learned, and the verdict on the peer's chain.

The callbacks (tls_context.py) only fetch; everything that decides is here and in ``sbc.tls``. The
verdict is made while the handshake runs and waits for nothing: of revocation only what is known
already is asked, and what is not known is settled before the first byte of SIP (revocation.py).
"""

from __future__ import annotations

from dataclasses import replace
from time import thread_time

from OpenSSL import SSL

from sbc.base import PeerError
from sbc.tls.diagnosis import Failure, NoIssuer
from sbc.tls.groups import normal_group
from sbc.tls.match import Admission, Presented, Verdict, match, still_trusted
from sbc.tls.material.certificate import MAX_DER, Certificate, thumbprint_of
from sbc.tls.material.certificate_cache import CertificateCache
from sbc.tls.material.missing import no_issuer
from sbc.tls.revocation.cache import RevocationCache
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.link import Link
from sbc.tls.revocation.policy import RevocationPolicy, no_staple, refusal

MAX_CHAIN = 10
# X509_V_ERR codes: what a pin makes up for, what a lenient client_eku does, and what a refusal of ours is.
_NO_ISSUER = frozenset((2, 18, 19, 20, 21, 27))
CHAIN_TOO_LONG, REJECTED = 22, 28
INVALID_PURPOSE, _APPLICATION = 26, 50
_REFUSALS = {
    "name-mismatch": 62, "unknown-ca": 20, "wrong-purpose": INVALID_PURPOSE, "expired": 10,
    "not-yet-valid": 9, "chain-too-long": CHAIN_TOO_LONG, "no-shared-version": _APPLICATION,
    "no-shared-group": _APPLICATION, "revoked": 23,
}  # fmt: skip


class Search:
    """How much one handshake may be spent on other ways than the one that OpenSSL took (RFC 4158 2).

    Whoever we talk to chooses the certificates, and while they are verified nobody else gets a turn. So the
    verifications are counted, and their time, in seconds of CPU so that a busy machine refuses nobody.
    """

    __slots__ = ("_end", "left")

    MOST, LONGEST = 8, 0.1

    def __init__(self) -> None:
        self.left = self.MOST
        self._end: float | None = None

    def more(self) -> bool:
        """Whether one more verification may begin; it is counted."""
        if self._end is None:
            self._end = thread_time() + self.LONGEST
        self.left -= 1
        return self.left >= 0 and thread_time() < self._end


class Judge:
    """What one handshake learns through OpenSSL's callbacks: alerts, verify codes, the verdict.

    ``links`` are the certificates whose revocation matters under ``policy``: () where the peer is
    pinned, for a pin is taken back by whoever set it. ``search`` is None where no other way is
    looked for: in the verification of one that was found.
    """

    __slots__ = (
        "__weakref__", "admission", "alert_received", "alert_sent", "anchor", "anchored", "asked", "cache",
        "chain", "connection", "decided", "excused", "leaf", "links", "now", "policy", "presented",
        "purpose_ok", "revocation", "search", "settled", "settled_under", "staple_problem", "trunk",
        "verify_code", "verify_depth",
    )  # fmt: skip

    def __init__(
        self, admission: Admission, cache: CertificateCache, now: float, connection: SSL.Connection,
        revocation: RevocationCache | None = None,
    ) -> None:  # fmt: skip
        self.admission = admission
        self.cache = cache
        self.now = now
        self.connection = connection
        self.revocation = revocation if revocation is not None else RevocationCache()
        self.search: Search | None = Search()
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
        self.settled = False
        self.excused: tuple[int, int] | None = None
        self.policy: RevocationPolicy | None = None
        self.settled_under: RevocationPolicy | None = None
        self.links: tuple[Link, ...] = ()
        self.staple_problem = ""

    @property
    def version(self) -> str:
        """The version agreed so far."""
        return version_of(self.connection)

    def no_issuer(self) -> NoIssuer | None:
        """What the peer's chain lacks, where it ended before anything that is trusted."""
        if self.anchored and self.verify_code not in _NO_ISSUER:
            return None
        return no_issuer(self.chain, self.admission.anchors, self.cache)

    def _group(self) -> str | None:
        if self.admission.direction == "outbound" and self.version == "TLSv1.2":
            return None
        return group_of(self.connection)

    def excuses(self, code: int, depth: int) -> bool:
        """True for an error that some candidate may live with; ``match`` holds the others to it.

        A pinned key is good whoever certified it, so what is wrong with an issuer (``depth`` over 0)
        is no matter to it; the leaf's own dates, purpose and strength are.
        """
        admission = self.admission
        if admission.pins and code not in _NO_ISSUER and depth > 0 and self.excused is None:
            self.excused = (code, depth)
        if admission.pins and (code in _NO_ISSUER or depth > 0):
            self.anchored = False
            return True
        if code == INVALID_PURPOSE and admission.direction == "inbound" and admission.server_auth_will_do:
            self.purpose_ok = False
            return True
        return False

    def note(self, ders: list[bytes]) -> None:
        """Remember a chain that did not verify, as far as it was built, for whoever explains it."""
        if ders and max(map(len, ders)) <= MAX_DER:
            self.chain = tuple(ders[:MAX_CHAIN])
        try:
            self.leaf = self.cache.read(ders[0]) if ders else None
        except PeerError:
            self.leaf = None  # the verify code tells enough

    def decide(self, ders: list[bytes]) -> int:
        """Decide on a chain that OpenSSL verified, leaf first; 0 or the code of the refusal."""
        try:
            leaf = self.leaf = self.cache.read(ders[0])
            chain = (leaf.identity.thumbprint, *map(thumbprint_of, ders[1:]))
            self.chain = self.cache.keep(ders, chain)
            self.presented = Presented(
                leaf, chain, self.version, self._group(), self.anchored, self.purpose_ok, self.chain
            )
            verdict = self._match(self.presented)
            failure = verdict.failure or self._known_revoked(verdict, self.presented)
        except PeerError as error:
            self.decided = Failure("bad-certificate", error.reason, "let the peer replace it")
            return REJECTED
        if failure is not None and failure.kind == "unknown-ca" and self.excused is not None:
            # No pin made up for it: what was wrong with the issuer is the reason.
            self.verify_code, self.verify_depth = self.excused
            return self.verify_code
        self.decided = failure
        if failure is not None:
            return _REFUSALS.get(failure.kind, REJECTED)
        self.trunk, self.anchor = verdict.trunk, verdict.anchor
        return 0

    def _match(self, presented: Presented) -> Verdict:
        """``match``; where the chain ends at an intermediate that a trunk filed, by what is above too."""
        longer = self._longer(presented)
        above = (each for other in longer.values() for each in other.chain[len(presented.chain) :])
        seen = replace(presented, chain=(*presented.chain, *above)) if longer else presented
        verdict = match(seen, self.admission, self.now)
        if verdict.trunk in longer:
            self.presented = longer[verdict.trunk]
            self.chain = self.presented.ders
        return verdict

    def _longer(self, presented: Presented) -> dict[str, Presented]:
        if self.search is None or len(self.admission.candidates) == 1 or not self.anchored:
            return {}
        # It plays handshakes of its own, with a judge, and so imports this module.
        from sbc.net.tls.verify import longer

        return longer(self, presented, self.search)

    def settle(self, other: Presented) -> bool:
        """Decide on another way from the same leaf, which holds; True where that lets the peer in."""
        self.anchored, self.purpose_ok = other.anchored, other.purpose_ok
        self.settled = self.decide(list(other.ders)) == 0
        return self.settled

    def _known_revoked(self, verdict: Verdict, presented: Presented) -> Failure | None:
        self._hold_to(verdict, presented, self.admission)
        self.settled_under = self.policy
        return self.revoked(self.now)

    def _hold_to(self, verdict: Verdict, presented: Presented, admission: Admission) -> None:
        """What is demanded about revocation of a peer that was taken for the trunk of ``verdict``."""
        trust = next(each for each in admission.candidates if each.trunk == verdict.trunk)
        by_ca = any(each.name == verdict.anchor and each.kind == "ca" for each in trust.anchors)
        self.policy, self.links = None, ()
        if trust.revocation.mode != "off" and by_ca:
            self.links = self.revocation.links.chain(presented.ders, presented.chain)
            self.policy = trust.revocation

    def readmit(self, trunk: str, admission: Admission, now: float) -> bool:
        """Whether a peer that was taken for ``trunk`` is still good after a reload, under ``admission``.

        From now on its revocation is judged as that demands.
        """
        verdict = still_trusted(trunk, self.presented, admission, now)
        if verdict.trunk is None or self.presented is None:
            return verdict.trunk is not None
        try:
            self._hold_to(verdict, self.presented, admission)
        except PeerError:
            return False
        return True

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


def version_of(connection: SSL.Connection) -> str:
    """The agreed version: ``TLSv1.2`` or ``TLSv1.3``."""
    return str(connection.get_protocol_version_name())


def group_of(connection: SSL.Connection) -> str:
    """The agreed key-exchange group in the configuration's spelling, "" for none."""
    return normal_group(connection.get_group_name() or "")
