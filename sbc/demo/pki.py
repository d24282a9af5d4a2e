"""The lab's certificate authorities: made on the spot, for demonstrations, tests and benchmarks.

Nothing here is for production. An authority lives in memory and its key is never written, so
that a lab's trust cannot be extended later by whoever reads the directory: when one of its
leaves is about to expire, the authority and everything it issued are made anew.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KeyKind = Literal["ec", "rsa"]
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
When = datetime | float

_DAY = 86400.0
_PURPOSES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, the chain a peer is sent (leaf, then intermediates) and its private key; all PEM."""

    cert_pem: bytes
    chain_pem: bytes
    key_pem: bytes = field(repr=False)


class LabAuthority:
    """A certificate authority in memory; with ``issuer`` it is an intermediate.

    ``now`` is POSIX seconds and defaults to the clock: the authority is valid from a year before
    it to ten years after, so that expired leaves can be issued too.
    """

    def __init__(
        self,
        name: str,
        key: KeyKind = "ec",
        *,
        issuer: LabAuthority | None = None,
        now: When | None = None,
    ) -> None:
        self.name = name
        self.now = _moment(now) if now is not None else datetime.now(UTC)
        self.issuer = issuer
        self._key = new_key(key)
        self.certificate = self._certify_itself()

    @property
    def cert_pem(self) -> bytes:
        """The authority's own certificate, PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> PrivateKey:
        """The signing key, for a caller that makes revocation lists or its own certificates."""
        return self._key

    def issue(
        self,
        dns: Iterable[str] = (),
        uris: Iterable[str] = (),
        ips: Iterable[str] = (),
        *,
        eku: Iterable[str] = ("server", "client"),
        not_before: When | None = None,
        not_after: When | None = None,
        key: KeyKind = "ec",
        cn: str | None = None,
        extensions: Iterable[x509.ExtensionType] = (),
    ) -> Issued:
        """Issue a leaf; names go to subjectAltName (RFC 5922 section 4), ``eku`` () leaves the extension out.

        ``not_before`` defaults to an hour ago and ``not_after`` to a year ahead; ``extensions`` are added.
        """
        dns, uris, ips = list(dns), list(uris), list(ips)
        common = cn if cn is not None else next(iter(dns + ips + uris), "unnamed")
        start = _moment(not_before) if not_before is not None else self.now - timedelta(hours=1)
        end = _moment(not_after) if not_after is not None else self.now + timedelta(days=365)
        private = new_key(key)
        builder = self._signed_by_us(common, private, start, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_leaf_usage(key), critical=True)
        names = _alternative_names(dns, uris, ips)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        purposes = [_PURPOSES[each] for each in eku]
        if purposes:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        for each in extensions:
            builder = builder.add_extension(each, critical=False)
        leaf = builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
        return Issued(leaf, leaf + self._intermediates(), key_bytes(private))

    def _intermediates(self) -> bytes:
        return self.cert_pem + self.issuer._intermediates() if self.issuer else b""

    def _certify_itself(self) -> x509.Certificate:
        signer = self.issuer or self
        start, end = self.now - timedelta(days=365), self.now + timedelta(days=3650)
        builder = signer._signed_by_us(self.name, self._key, start, end)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage("key_cert_sign", "crl_sign"), critical=True)
        return builder.sign(signer._key, hashes.SHA256())

    def _signed_by_us(
        self, common: str, private: PrivateKey, start: datetime, end: datetime
    ) -> x509.CertificateBuilder:
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)]))
            .public_key(private.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
            .add_extension(authority_key, critical=False)
        )


def new_key(kind: KeyKind) -> PrivateKey:
    """Make a P-256 (``ec``) or RSA-2048 (``rsa``) key."""
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return ec.generate_private_key(ec.SECP256R1())


def key_bytes(private: PrivateKey) -> bytes:
    """The private key as unencrypted PKCS #8, PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True)
class _Group:
    """What one authority of the lab issues; ``publishes`` is the file of its own certificate."""

    authority: str
    publishes: str | None
    leaves: Mapping[str, str]

    def files(self) -> list[str]:
        own = [self.publishes] if self.publishes else []
        return own + [f"{stem}{ending}" for stem in self.leaves for ending in (".pem", ".key")]


_LAB = (
    _Group("Lab CA", "lab-ca.pem", {"sbc": "sbc.lab.example", "office": "office.lab.example"}),
    _Group("Carrier CA", "carrier-ca.pem", {"carrier": "carrier.lab.example"}),
    _Group("Rogue CA", None, {"rogue": "carrier.lab.example"}),
)


def write_lab(directory: Path | str, now: float) -> list[Path]:
    """Write the lab's PKI to ``directory``/tls and return the files written; ``now`` is POSIX seconds.

    What is there and valid for more than a day is kept. The rogue bears the carrier's name and
    is signed by an authority that nobody trusts. All bear 127.0.0.1 as well, where the lab runs.
    """
    tls = Path(directory) / "tls"
    tls.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for group in _LAB:
        if not _still_good(tls, group, now):
            written += _write_group(tls, group, now)
    return written


def _still_good(tls: Path, group: _Group, now: float) -> bool:
    if not all((tls / name).is_file() for name in group.files()):
        return False
    try:
        leaves = [x509.load_pem_x509_certificate((tls / f"{stem}.pem").read_bytes()) for stem in group.leaves]
    except ValueError:
        return False
    return all(
        leaf.not_valid_before_utc.timestamp() <= now < leaf.not_valid_after_utc.timestamp() - _DAY
        for leaf in leaves
    )


def _write_group(tls: Path, group: _Group, now: float) -> list[Path]:
    authority = LabAuthority(group.authority, now=now)
    written: list[Path] = []
    if group.publishes:
        written.append(_write(tls / group.publishes, authority.cert_pem, 0o644))
    for stem, name in group.leaves.items():
        issued = authority.issue(dns=[name], uris=[f"sip:{name}"], ips=["127.0.0.1"])
        written.append(_write(tls / f"{stem}.pem", issued.chain_pem, 0o644))
        written.append(_write(tls / f"{stem}.key", issued.key_pem, 0o600))
    return written


def _write(path: Path, data: bytes, mode: int) -> Path:
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    fresh.replace(path)
    return path


def _moment(when: When) -> datetime:
    return when if isinstance(when, datetime) else datetime.fromtimestamp(when, UTC)


def _alternative_names(dns: list[str], uris: list[str], ips: list[str]) -> list[x509.GeneralName]:
    return [
        *(x509.DNSName(each) for each in dns),
        *(x509.UniformResourceIdentifier(each) for each in uris),
        *(x509.IPAddress(ipaddress.ip_address(each)) for each in ips),
    ]


def _leaf_usage(key: KeyKind) -> x509.KeyUsage:
    uses = ("digital_signature", "key_encipherment") if key == "rsa" else ("digital_signature",)
    return _key_usage(*uses)


def _key_usage(*uses: str) -> x509.KeyUsage:
    known = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{use: use in uses for use in known})
