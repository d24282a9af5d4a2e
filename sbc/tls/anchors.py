"""One entry of the truststore, loaded: CA certificates, a pinned leaf, or a public-key pin.

A CA accepts whatever it signed (within ``permitted`` names); a pinned leaf accepts that one
certificate; a pin accepts any certificate over that one public key, whoever signed it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.base import PeerError
from sbc.tls.certificate import Certificate, read_certificate
from sbc.tls.problems import Problem, day, read_pem_file

_PIN = re.compile(r"sha256/[0-9a-f]{64}\Z")


class AnchorFiles(Protocol):
    """What the configuration says of an anchor; ``config.model.TrustAnchor`` is one."""

    @property
    def ca(self) -> str | None: ...
    @property
    def leaf(self) -> str | None: ...
    @property
    def pin(self) -> str | None: ...
    @property
    def public(self) -> bool: ...
    @property
    def permitted(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class AnchorMaterial:
    """A loaded anchor: DER certificates with their facts, or a pin (``sha256/HEX``)."""

    name: str
    kind: Literal["ca", "leaf", "pin"]
    certificates: tuple[bytes, ...] = ()
    facts: tuple[Certificate, ...] = ()
    pin: str = ""
    public: bool = False
    permitted: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    thumbprints: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        prints = frozenset(each.identity.thumbprint for each in self.facts)
        object.__setattr__(self, "thumbprints", prints)


def load_anchor(
    name: str, config: AnchorFiles, directory: Path, now: float
) -> tuple[AnchorMaterial | None, list[Problem]]:
    """Load one truststore entry; what is mis-filed comes back as problems, fatal ones without material."""
    given = [kind for kind in ("ca", "leaf", "pin") if getattr(config, kind) is not None]
    if len(given) != 1:
        return None, [Problem("", f"trust {name}: give exactly one of ca, leaf and pin", "remove the others")]
    if config.pin is not None:
        return _load_pin(name, config)
    kind: Literal["ca", "leaf"] = "ca" if config.ca is not None else "leaf"
    path = str(config.ca if config.ca is not None else config.leaf)
    ders, problems = _read_certificates(path, directory)
    facts = []
    for der in ders:
        try:
            facts.append(read_certificate(der))
        except PeerError as error:
            problems.append(Problem(path, error.reason, "replace the file"))
    for each in facts:
        problems += _check(path, each, kind, now)
    if kind == "leaf" and len(ders) > 1:
        problems.append(Problem(path, "a pinned leaf is one certificate, here are more", "keep one"))
    if any(each.fatal for each in problems) or not facts:
        return None, problems
    subjects = tuple(each.identity.subject for each in facts)
    permitted = tuple(config.permitted)
    return (
        AnchorMaterial(name, kind, tuple(ders), tuple(facts), "", config.public, permitted, subjects),
        problems,
    )


def _load_pin(name: str, config: AnchorFiles) -> tuple[AnchorMaterial | None, list[Problem]]:
    pin = (config.pin or "").lower()
    if _PIN.match(pin):
        return AnchorMaterial(name, "pin", pin=pin, permitted=tuple(config.permitted)), []
    hint = (
        "openssl x509 -in FILE -noout -pubkey | openssl pkey -pubin -outform der | sha256sum "
        "gives the digits; write sha256/DIGITS"
    )
    return None, [Problem("", f"trust {name}: the pin is not sha256/ and 64 hexadecimal digits", hint)]


def _read_certificates(path: str, directory: Path) -> tuple[list[bytes], list[Problem]]:
    data, problems = read_pem_file(path, directory)
    if data is None:
        return [], problems
    if b"PRIVATE KEY-----" in data:
        message = "this is a private key in the truststore"
        hint = "a truststore holds the peers' CA certificates only; move the key to the keystore (identities)"
        return [], [Problem(path, message, hint)]
    try:
        certificates = x509.load_pem_x509_certificates(data)
    except ValueError:
        return [], [
            Problem(path, "no PEM certificate can be read here", "convert it: openssl x509 -inform der")
        ]
    return [each.public_bytes(Encoding.DER) for each in certificates], []


def _check(path: str, certificate: Certificate, kind: str, now: float) -> list[Problem]:
    who = certificate.identity
    problems = []
    if kind == "ca" and not certificate.is_ca:
        message = f"{who.subject} is not a CA certificate"
        hint = "put the issuing CA here, or pin this one certificate with `leaf:`"
        problems.append(Problem(path, message, hint))
    if who.not_after < now:
        message = f"{who.subject} expired on {day(who.not_after)}"
        problems.append(Problem(path, message, "get the current certificate from its owner", fatal=False))
    elif who.not_before > now:
        message = f"{who.subject} is not valid before {day(who.not_before)}"
        problems.append(Problem(path, message, "check this machine's clock", fatal=False))
    return problems
