"""One entry of the truststore, loaded: CA certificates, pinned leaves, or public-key pins.

A CA accepts whatever it signed (within ``permitted`` names); a pinned leaf accepts that one
certificate; a pin accepts any certificate over that one public key, whoever signed it. An entry is
of one kind, because what an operator must do when it ends differs; a trunk names several entries.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cryptography import x509

from sbc.base import PeerError
from sbc.tls.material.certificate import Certificate, read_certificate
from sbc.tls.material.pem import encode, has_key, read_certificates
from sbc.tls.material.problems import Problem, day, read_pem_file
from sbc.tls.material.public_roots import is_public
from sbc.tls.material.strength import weakness

AnchorKind = Literal["ca", "leaf", "pin"]


class AnchorFiles(Protocol):
    """What the configuration says of an anchor; ``config.model.TrustAnchor`` is one."""

    @property
    def ca(self) -> str | None: ...
    @property
    def leaf(self) -> tuple[str, ...]: ...
    @property
    def pin(self) -> tuple[str, ...]: ...
    @property
    def public(self) -> bool: ...
    @property
    def permitted(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class AnchorMaterial:
    """A loaded anchor: DER certificates with their facts, or pins (``sha256/HEX``).

    ``public`` is what the operator said or what the well-known roots say; ``coming`` is what is
    staged to take its place; its certificates are among these, trusted already, and ``old`` are
    the thumbprints of those that were there before it.
    """

    name: str
    kind: AnchorKind
    certificates: tuple[bytes, ...] = ()
    facts: tuple[Certificate, ...] = ()
    pins: frozenset[str] = frozenset()
    public: bool = False
    permitted: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    coming: AnchorMaterial | None = field(default=None, repr=False)
    old: frozenset[str] = frozenset()
    thumbprints: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prints = frozenset(each.identity.thumbprint for each in self.facts)
        object.__setattr__(self, "thumbprints", prints)


def load_anchor(
    name: str, config: AnchorFiles, directory: Path, now: float
) -> tuple[AnchorMaterial | None, list[Problem]]:
    """Load one truststore entry; what is mis-filed comes back as problems, fatal ones without material."""
    kind = kind_of(config)
    if kind == "pin":
        pins = frozenset(config.pin)
        return AnchorMaterial(name, "pin", pins=pins, permitted=tuple(config.permitted)), []
    certificates: list[x509.Certificate] = []
    problems: list[Problem] = []
    for path in config.leaf if kind == "leaf" else (str(config.ca),):
        found, wrong = _read(path, kind, directory, now)
        certificates += found
        problems += wrong
    if any(each.fatal for each in problems) or not certificates:
        return None, problems
    ders = tuple(encode(certificates))
    facts = tuple(map(read_certificate, ders))
    return (
        AnchorMaterial(
            name, kind, ders, facts,
            public=config.public or (kind == "ca" and any(map(is_public, certificates))),
            permitted=tuple(config.permitted),
            subjects=tuple(each.identity.subject for each in facts),
        ),
        problems,
    )  # fmt: skip


def kind_of(config: AnchorFiles) -> AnchorKind:
    """Which of the three an entry is."""
    if config.pin:
        return "pin"
    return "leaf" if config.leaf else "ca"


def _read(
    path: str, kind: AnchorKind, directory: Path, now: float
) -> tuple[list[x509.Certificate], list[Problem]]:
    data, problems = read_pem_file(path, directory)
    if data is not None and has_key(data):
        message = "this is a private key in the truststore"
        hint = "a truststore holds the peers' CA certificates only; move the key to the keystore (identities)"
        return [], [Problem(path, message, hint)]
    certificates, problems = read_certificates(path, directory, kind)
    for der, certificate in zip(encode(certificates), certificates, strict=True):
        try:
            facts = read_certificate(der)
        except PeerError as error:
            problems.append(Problem(path, error.reason, "replace the file"))
            continue
        problems += _check(path, facts, kind, now, certificate.version is x509.Version.v1)
        if (weak := weakness(certificate)) is not None:
            who = facts.identity.subject
            # A self-signed anchor is trusted by being here; its own signature is never looked at.
            if weak.of_key or not facts.self_issued:
                problems.append(Problem(path, f"{who} {weak.text}", "OpenSSL refuses it; get a stronger one"))
    if kind == "leaf" and len(certificates) > 1:
        hint = "keep one here and list the others: leaf: [FILE, FILE]"
        problems.append(Problem(path, "a pinned leaf is one certificate, here are more", hint))
    return certificates, problems


def _check(path: str, certificate: Certificate, kind: AnchorKind, now: float, first: bool) -> list[Problem]:
    """What is wrong with one certificate; ``first``: it is of version 1."""
    who = certificate.identity
    problems = []
    if kind == "ca" and first:
        message = f"{who.label} is of X.509 version 1, which cannot say that it is a CA (RFC 5280 4.2.1.9)"
        hint = (
            "ask its owner for the CA's certificate of version 3; or file the intermediate below it here, "
            "or pin the peer's own certificate with `leaf:`"
        )
        problems.append(Problem(path, message, hint))
    elif kind == "ca" and not certificate.is_ca:
        message = f"{who.subject} is not a CA certificate"
        hint = "put the issuing CA here, or pin this one certificate with `leaf:`"
        problems.append(Problem(path, message, hint))
    if kind == "ca" and not who.subject:
        message = "a CA certificate without a subject: nothing can be issued in its name (RFC 5280 4.1.2.6)"
        problems.append(Problem(path, message, "get a certificate that names the CA"))
    if kind == "leaf" and certificate.is_ca and not certificate.self_issued:
        message = f"{who.subject} is a CA certificate, pinned as if it were a peer's own"
        problems.append(Problem(path, message, "write `ca:` to trust what it issues"))
    if who.not_after < now:
        message = f"{who.subject} expired on {day(who.not_after)}"
        problems.append(Problem(path, message, "get the current certificate from its owner", fatal=False))
    elif who.not_before > now:
        message = f"{who.subject} is not valid before {day(who.not_before)}"
        problems.append(Problem(path, message, "check this machine's clock", fatal=False))
    return problems
