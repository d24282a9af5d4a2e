"""Would this chain be accepted: the check of a handshake, without the peer.

OpenSSL verifies a chain the moment that the peer's Certificate message is read, before the peer has
proved anything. So a handshake is played up to that message: the context is the one that real
handshakes of the admission use, the verify callback and the match are the real ones, and what would
follow, the proof of the key, is left out. Nothing is asked here that a handshake would not ask and
nothing is left out, whatever the store, the flags or the security level.

The message is written by hand (RFC 5246 7.4.1.3, 7.4.2): TLS 1.2, because there it travels in the
clear. The trunk's demands on version and groups are therefore not part of the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from time import thread_time
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from sbc.base import PeerError
from sbc.net.tls.context import CIPHERS, build_context, set_groups
from sbc.net.tls.end import drain, open_session, reasons_of, verify_text
from sbc.tls.diagnosis import classify
from sbc.tls.failure import Failure
from sbc.tls.judge import Agreed, Judge, Ways, excluded_from
from sbc.tls.match import Admission, Presented, TrunkTrust, match
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import MAX_CHAIN, CertificateCache, thumbprint_of
from sbc.tls.material.identity import IdentityMaterial
from sbc.tls.material.paths import paths

_HANDSHAKE, _SERVER_HELLO, _CERTIFICATE = 22, 2, 11
_RECORD = 16384
_GROUPS = ("X25519", "P-256")
_BEST = Agreed("TLSv1.3", None)
# TLS 1.2, ECDHE with RSA and AES-128-GCM, no compression, and the empty renegotiation_info (RFC 5746 3.6).
_HELLO = b"\x03\x03" + bytes(32) + b"\x00\xc0\x2f\x00" + b"\x00\x05\xff\x01\x00\x01\x00"


# A trunk, and those of its CAs that may have issued the end of a chain.
_Above = tuple[TrunkTrust, tuple[AnchorMaterial, ...]]


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of a chain: the trunk it proves and the trust entry that vouched, or the failure.

    ``presented`` is None where OpenSSL refused the chain.
    """

    trunk: str | None
    failure: Failure | None
    anchor: str | None = None
    presented: Presented | None = None


def verify(
    admission: Admission, ders: Sequence[bytes], now: float, known: CertificateCache | None = None
) -> Verified:
    """What a handshake of ``admission`` at ``now`` (POSIX seconds) would say to this chain, leaf first.

    LocalError where the admission's trust makes no context.
    """
    return _verify(admission, ders, now, known, Search())


def _verify(
    admission: Admission, ders: Sequence[bytes], now: float, known: CertificateCache | None,
    ways: Ways | None = None,
) -> Verified:  # fmt: skip
    """The same; without other ``ways`` of this one alone, which is what ends every search."""
    context = build_context(admission, _throwaway() if admission.direction == "inbound" else None)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    set_groups(context, _GROUPS)
    side: Literal["server", "client"] = "server" if admission.direction == "inbound" else "client"
    known = known if known is not None else CertificateCache()
    judge = Judge(admission, known, now, ways=ways, assumed=_BEST)
    connection = open_session(context, judge, side)
    flight = _client_hello() if side == "server" else b""
    certificate = _records(_message(_CERTIFICATE, _sized(b"".join(map(_sized, ders)))))
    if side == "client":
        certificate = _records(_message(_SERVER_HELLO, _HELLO)) + certificate
    reasons: tuple[str, ...] = ()
    for data in (flight, certificate):
        reasons = _step(connection, data)
    return _outcome(judge, reasons)


class Search:
    """The other ways that one handshake looks for, and how much it may be spent on them (RFC 4158 2).

    Whoever we talk to chooses the certificates, and while they are verified nobody else gets a turn. So the
    verifications are counted, and their time, in seconds of CPU so that a busy machine refuses nobody.
    """

    MOST, LONGEST = 8, 0.1
    KINDS = 64
    spent, _end = 0, 0.0

    def _more(self) -> bool:
        """Whether one more verification may begin; it is counted in ``spent``."""
        if not self.spent:
            self._end = thread_time() + self.LONGEST
        if self.spent == self.MOST or thread_time() >= self._end:
            return False
        self.spent += 1
        return True

    def longer(self, judge: Judge, presented: Presented) -> dict[str, Presented]:
        """The same chain, longer, for each trunk that trusts an issuer of its end.

        OpenSSL ends a chain at the first certificate that is filed. Where one trunk filed an intermediate and
        its neighbours on the port the root above it, the neighbours' peers would otherwise be nobody's. What
        lies above is the same for all who filed the same: it is verified once, however many they are.
        """
        issuer = judge.cache.read(presented.ders[-1]).identity.issuer
        alike: dict[frozenset[str], list[_Above]] = {}
        for candidate in judge.admission.candidates:
            filed = tuple(each for each in candidate.anchors if each.kind == "ca" and issuer in each.subjects)
            if candidate.asks and filed:
                prints = filed[0].thumbprints.union(*(each.thumbprints for each in filed[1:]))
                alike.setdefault(prints, []).append((candidate, filed))
        found: dict[str, Presented] = {}
        for group in alike.values():
            likely = next((each for each in group if _would_do(*each, judge, presented)), None)
            if likely is None:
                continue
            if not self._more():
                break
            alone = Admission(
                (replace(likely[0], anchors=likely[1]),), None, direction=judge.admission.direction
            )
            said = _verify(alone, presented.ders, judge.now, judge.cache).presented
            if said is not None and said.anchored:
                own = replace(said, version=presented.version, group=presented.group)
                found.update((trunk.trunk, own) for trunk, _ in group)
        return found

    def other(self, judge: Judge, sent: Sequence[bytes]) -> Presented | None:
        """What is presented by the first of the other ways through what a server ``sent`` that holds."""
        if not 2 < len(sent) <= MAX_CHAIN:
            return None
        ders = list(dict.fromkeys(sent))
        try:
            facts = [judge.cache.read(each) for each in ders]
        except PeerError:
            return None
        roots = {subject for anchor in judge.admission.anchors for subject in anchor.subjects}
        for way in paths(facts, roots):
            if not self._more():
                break
            said = _verify(judge.admission, [ders[at] for at in way], judge.now, judge.cache)
            if said.trunk is not None:
                return said.presented
        return None

    def anew(self, judge: Judge, admission: Admission, sent: Sequence[bytes], now: float) -> Presented | None:
        """What is presented by what a peer ``sent`` under the trust of ``admission``, None where nothing is.

        A CA's certificate may be exchanged under thousands of connections at once. Those with the same
        issuers lead to the same: one is verified for all of them. One that may fail for its own sake does not
        stand for the others, nor does any where names are constrained; all that are verified are counted.
        PeerError.
        """
        before = judge.presented
        if before is None or not before.anchored or not sent:
            return None
        leaf, known = before.leaf, admission.led_anew
        alike = (*before.chain[1:], "", *map(thumbprint_of, sent[1:]))
        issuers = known.get(alike, ())
        if not issuers:
            if len(known) == self.KINDS:
                return None
            said = verify(admission, sent, now, judge.cache).presented
            if said is None or not said.anchored:
                known[before.chain[0], *alike] = ()
                return None
            issuers = said.ders[1:]
            own = any(judge.cache.read(each).constrained for each in issuers)
            known[(before.chain[0], *alike) if own else alike] = issuers
        ders = (before.ders[0], *issuers)
        chain = (leaf.identity.thumbprint, *map(thumbprint_of, issuers))
        return replace(
            before, chain=chain, ders=judge.cache.keep(ders, chain), anchored=True,
            excluded=excluded_from(leaf, ders, judge.cache),
        )  # fmt: skip


def _would_do(
    candidate: TrunkTrust, filed: tuple[AnchorMaterial, ...], judge: Judge, presented: Presented
) -> bool:
    """Whether the chain would prove ``candidate`` if its end led to what that ``filed``.

    That costs a hundredth of a verification, and of many CAs with one name it leaves the one that is meant.
    """
    alone = Admission((candidate,), None, direction=judge.admission.direction)
    best = replace(presented, version=_BEST.version, group=_BEST.group)
    return any(
        match(replace(best, chain=(*best.chain, *each.thumbprints)), alone, judge.now).trunk is not None
        for each in filed
    )


def _step(connection: SSL.Connection, data: bytes) -> tuple[str, ...]:
    if data:
        connection.bio_write(data)
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        drain(connection)
    except SSL.Error as error:
        return reasons_of(error)
    return ()


def _outcome(judge: Judge, reasons: tuple[str, ...]) -> Verified:
    if judge.trunk is not None and judge.decided is None and not judge.verify_code:
        return Verified(judge.trunk, None, judge.anchor, judge.presented)
    evidence = replace(judge.evidence(verify_text(judge.verify_code)), reasons=reasons)
    return Verified(None, classify(evidence), None, judge.presented)


def _message(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + _sized(body)


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(3, "big") + data


def _records(message: bytes) -> bytes:
    pieces = [message[start : start + _RECORD] for start in range(0, len(message), _RECORD)]
    return b"".join(bytes((_HANDSHAKE, 3, 3)) + len(each).to_bytes(2, "big") + each for each in pieces)


def _client_hello() -> bytes:
    """What a TLS 1.2 client begins with."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    try:
        connection.do_handshake()
    except SSL.WantReadError:
        pass
    return drain(connection)


@cache
def _throwaway() -> IdentityMaterial:
    """A server has to show something before it may ask; nobody sees this one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rehearsal")])
    begins = datetime(2000, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(begins).not_valid_after(begins + timedelta(days=36500))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return IdentityMaterial(
        "rehearsal", certificate.public_bytes(Encoding.PEM), key_pem, "CN=rehearsal", "CN=rehearsal", (),
        begins.timestamp(), begins.timestamp(), "", "",
    )  # fmt: skip
