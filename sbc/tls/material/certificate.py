"""What X.509 certificates say, and those that were seen, read once. Nothing here verifies anything.

Reading a certificate in Python costs several times what OpenSSL needs to verify it, and a trunk's peer
shows the same one on every connection, so the facts are kept: bounded, by SHA-256 of the DER.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID as Eku
from cryptography.x509.oid import ExtensionOID

from sbc.base import PeerError
from sbc.flow import PeerIdentity
from sbc.tls.material.extensions import extensions_of
from sbc.tls.material.reading import load
from sbc.tls.material.spki import spki_of

# The most of them in one chain, and the most bytes of one: ten times what anybody needs.
MAX_CHAIN = 10
MAX_DER = 65536
# How many are kept.
_CACHE = 4096
# Of DER, all together. What is read takes up to twenty times as much, where somebody names himself
# twenty thousand times, and who may connect need not be trusted to have his certificate read.
_CACHE_BYTES = 6 << 20
# Of chains, whose DER stays as it is. Who shows another's certificate may put 100 KiB of his own above it.
_CHAIN_BYTES = 16 << 20
# Steps from an issuer to one that is trusted.
_LONGEST_WAY = 10
# What the library raises for a certificate that is malformed or of a kind that it does not know.
UNREADABLE = (
    ValueError,
    TypeError,
    KeyError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of one certificate: who, the purposes it allows (None: any), and whether it is a CA.

    ``issues`` where it bears what only an issuer's certificate may: CA, the right to sign
    certificates, or name constraints (RFC 5280 4.2.1.3, 4.2.1.9, 4.2.1.10), where it is ``constrained``.
    ``excluded`` are the DNS and URI subtrees that those take from whatever it issues, in lower case.
    ``signs`` where its key may sign a handshake (RFC 8446 4.4.2.2).
    """

    identity: PeerIdentity
    server_auth: bool
    client_auth: bool
    is_ca: bool
    self_issued: bool
    issues: bool = False
    excluded: tuple[str, ...] = ()
    constrained: bool = False
    signs: bool = True

    verified: PeerIdentity = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # The same identity once chain, key and name have been verified; made once, not per connection.
        object.__setattr__(self, "verified", replace(self.identity, verified=True))


def thumbprint_of(der: bytes) -> str:
    """SHA-256 of the DER, 64 hexadecimal digits."""
    return hashlib.sha256(der).hexdigest()


def read_certificate(der: bytes) -> Certificate:
    """The facts of a DER certificate; PeerError where it cannot be read or is over 64 KiB."""
    if len(der) > MAX_DER:
        raise PeerError(f"the certificate is {len(der)} bytes long; {MAX_DER} is the limit")
    try:
        return facts_of(load(der), der)
    except UNREADABLE as error:
        raise PeerError(f"the certificate cannot be read: {type(error).__name__}") from None


def facts_of(certificate: x509.Certificate, der: bytes) -> Certificate:
    """The facts of a certificate already parsed; ValueError where an extension is malformed."""
    certificate.public_key()  # one of a kind that is not known is no use to anybody
    found = extensions_of(certificate)
    usages = _extension(found, ExtensionOID.EXTENDED_KEY_USAGE)
    basic = _extension(found, ExtensionOID.BASIC_CONSTRAINTS)
    uses = _extension(found, ExtensionOID.KEY_USAGE)
    constraints = _extension(found, ExtensionOID.NAME_CONSTRAINTS)
    is_ca = isinstance(basic, x509.BasicConstraints) and basic.ca
    identity = PeerIdentity(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        sans=_sans(_extension(found, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)),
        pin="sha256/" + hashlib.sha256(spki_of(certificate)).hexdigest(),
        thumbprint=thumbprint_of(der),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        verified=False,
    )
    return Certificate(
        identity,
        server_auth=_allows(usages, Eku.SERVER_AUTH),
        client_auth=_allows(usages, Eku.CLIENT_AUTH),
        is_ca=is_ca,
        self_issued=certificate.subject == certificate.issuer,
        issues=is_ca or (isinstance(uses, x509.KeyUsage) and uses.key_cert_sign) or constraints is not None,
        excluded=_excluded(constraints),
        constrained=constraints is not None,
        signs=not isinstance(uses, x509.KeyUsage) or uses.digital_signature,
    )


def _extension(found: x509.Extensions, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
    try:
        return found.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None


def _allows(usages: x509.ExtensionType | None, purpose: x509.ObjectIdentifier) -> bool:
    if not isinstance(usages, x509.ExtendedKeyUsage):
        return True
    return purpose in usages or Eku.ANY_EXTENDED_KEY_USAGE in usages


def _excluded(constraints: x509.ExtensionType | None) -> tuple[str, ...]:
    if not isinstance(constraints, x509.NameConstraints):
        return ()
    named = (x509.DNSName, x509.UniformResourceIdentifier)
    return tuple(
        each.value.lower() for each in constraints.excluded_subtrees or () if isinstance(each, named)
    )


def _sans(names: x509.ExtensionType | None) -> tuple[str, ...]:
    if not isinstance(names, x509.SubjectAlternativeName):
        return ()
    sans = []
    for name in names:
        if isinstance(name, x509.DNSName):
            sans.append("dns:" + name.value)
        elif isinstance(name, x509.UniformResourceIdentifier):
            sans.append("uri:" + name.value)
        elif isinstance(name, x509.IPAddress):
            sans.append("ip:" + str(name.value))
    return tuple(sans)


class CertificateCache:
    """The last few thousand certificates seen, by their DER, least recently used dropped first.

    Their size is bounded beside their number: those of strangers are among them.
    """

    __slots__ = ("_bytes", "_chain_bytes", "_chains", "_known", "issuers")

    def __init__(self) -> None:
        self.issuers = Issuers()
        self._known: OrderedDict[bytes, Certificate] = OrderedDict()
        self._bytes = 0
        self._chains: OrderedDict[tuple[str, ...], tuple[bytes, ...]] = OrderedDict()
        self._chain_bytes = 0

    def read(self, der: bytes) -> Certificate:
        """The facts of ``der``, read once; PeerError as ``read_certificate``."""
        known = self._known.get(der)
        if known is not None:
            self._known.move_to_end(der)
            return known
        certificate = self._known[der] = read_certificate(der)
        self._bytes += len(der)
        while len(self._known) > _CACHE or self._bytes > _CACHE_BYTES:
            dropped, _ = self._known.popitem(last=False)
            self._bytes -= len(dropped)
        return certificate

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, der: bytes) -> None:
        """Remember who issued a CA's certificate; what cannot be read is passed over."""
        try:
            self.issuers.learn(self.read(der))
        except PeerError:
            return

    def keep(self, ders: Sequence[bytes], thumbprints: tuple[str, ...]) -> tuple[bytes, ...]:
        """A chain's DERs, the same objects for every connection that shows this chain."""
        known = self._chains.get(thumbprints)
        if known is not None:
            self._chains.move_to_end(thumbprints)
            return known
        chain = self._chains[thumbprints] = tuple(ders)
        self._chain_bytes += sum(map(len, chain))
        while len(self._chains) > _CACHE or self._chain_bytes > _CHAIN_BYTES:
            _, dropped = self._chains.popitem(last=False)
            self._chain_bytes -= sum(map(len, dropped))
        return chain


class Issuers:
    """Remembers CA certificates of our own chains, the truststore and verified peers; bounded."""

    __slots__ = ("_issuer_of",)

    def __init__(self) -> None:
        self._issuer_of: OrderedDict[str, str] = OrderedDict()

    def learn(self, certificate: Certificate) -> None:
        """Remember a CA certificate; any other is passed over."""
        who = certificate.identity
        if certificate.is_ca and who.subject not in self._issuer_of:
            self._issuer_of[who.subject] = who.issuer
            if len(self._issuer_of) > _CACHE:
                self._issuer_of.popitem(last=False)

    def lead_to(self, issuer: str, subjects: Collection[str]) -> bool:
        """Whether a known CA named ``issuer`` was issued, in however many steps, by one of ``subjects``."""
        for _ in range(_LONGEST_WAY):
            above = self._issuer_of.get(issuer)
            if above is None or above == issuer:
                return False
            if above in subjects:
                return True
            issuer = above
        return False
