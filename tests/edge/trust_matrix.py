"""What happens to every kind of certificate under every trust model: the specification, and its material.

``SPECIFICATION`` is read as a specification. A row is a trust model and what is wrong with the
certificate that its peer shows; then what becomes of the handshake where the peer connects to us
and where we dial it: ``accepted``, or the class of the failure and the alert. ``40/116`` is the
alert on TLS 1.2 and on 1.3 where they differ; ``<40`` is one that the peer sent to us.

The models: a *public* CA with ``names`` (RFC 5922, or RFC 2818 where wildcards count), a *private* CA
with ``permitted`` domains and no ``names``, a *constrained* private CA whose own certificate has X.509
name constraints (RFC 5280 4.2.1.10), a pinned *leaf* and a pinned *key*. A pinned certificate is
itself what bears the fault; a pin is of the key that the faulty certificate has. A good peer of a CA's
is certified by an intermediate and sends it. An issuer is *missing* where we know that intermediate
from elsewhere (RFC 5246 7.4.2: it is the peer's to send), and *unknown* where nobody here has ever seen it.

Rows with a revocation list are ``hard`` unless they say *soft*; the list is a file that the CA signed. What
a list leaves open is settled when the handshake is over and before SIP is: ``-`` is no alert, just the end.
A pin is taken back by whoever set it, not by a CA that nobody here trusts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from sbc.demo.pki import Issued, LabAuthority
from sbc.tls.failure import Direction
from sbc.tls.material.certificate import read_certificate
from tests.unit.tls.certs import der
from tests.unit.tls.revoking import pem_of_list, revocation_list

DAY = 86400.0
NAME = "peer.trunk.example"
HOST = "localhost"  # what is dialled

SPECIFICATION = """
public       good                   accepted                    accepted
public       no certificate         no-certificate 40/116       rejected-by-peer <40
public       wrong CA               unknown-ca 48               unknown-ca 48
public       wrong name             name-mismatch 42            name-mismatch 42
public       wildcard               name-mismatch 42            name-mismatch 42
public       expired                expired 45                  expired 45
public       not yet valid          not-yet-valid 42            not-yet-valid 42
public       good list              accepted                    accepted
public       revoked                revoked 44                  revoked 44
public       stale list             stale-revocation -          stale-revocation -
public       stale list, soft       accepted                    accepted
public       wrong purpose          wrong-purpose 43            wrong-purpose 43
public       missing intermediate   missing-intermediate 48     missing-intermediate 48
public       unknown issuer         unknown-ca 48               unknown-ca 48
public       key not held           key-not-held 51             key-not-held 51

public2818   good                   accepted                    accepted
public2818   wrong name             name-mismatch 42            name-mismatch 42
public2818   wildcard               accepted                    accepted

private      good                   accepted                    accepted
private      no certificate         no-certificate 40/116       rejected-by-peer <40
private      wrong CA               unknown-ca 48               unknown-ca 48
private      wrong name             name-mismatch 42            name-mismatch 42
private      wildcard               accepted                    name-mismatch 42
private      expired                expired 45                  expired 45
private      not yet valid          not-yet-valid 42            not-yet-valid 42
private      good list              accepted                    accepted
private      revoked                revoked 44                  revoked 44
private      stale list             stale-revocation -          stale-revocation -
private      stale list, soft       accepted                    accepted
private      wrong purpose          wrong-purpose 43            wrong-purpose 43
private      missing intermediate   missing-intermediate 48     missing-intermediate 48
private      key not held           key-not-held 51             key-not-held 51

constrained  good                   accepted                    accepted
constrained  no certificate         no-certificate 40/116       rejected-by-peer <40
constrained  wrong CA               unknown-ca 48               unknown-ca 48
constrained  wrong name             name-mismatch 46            name-mismatch 46
constrained  wildcard               accepted                    name-mismatch 42
constrained  expired                expired 45                  expired 45
constrained  not yet valid          not-yet-valid 42            not-yet-valid 42
constrained  good list              accepted                    accepted
constrained  revoked                revoked 44                  revoked 44
constrained  stale list             stale-revocation -          stale-revocation -
constrained  stale list, soft       accepted                    accepted
constrained  wrong purpose          wrong-purpose 43            wrong-purpose 43
constrained  missing intermediate   missing-intermediate 48     missing-intermediate 48
constrained  key not held           key-not-held 51             key-not-held 51

leaf         good                   accepted                    accepted
leaf         no certificate         no-certificate 40/116       rejected-by-peer <40
leaf         wrong CA               unknown-ca 48               unknown-ca 48
leaf         wrong name             accepted                    accepted
leaf         wildcard               accepted                    accepted
leaf         expired                expired 45                  expired 45
leaf         not yet valid          not-yet-valid 42            not-yet-valid 42
leaf         revoked                accepted                    accepted
leaf         wrong purpose          wrong-purpose 43            wrong-purpose 43
leaf         missing intermediate   accepted                    accepted
leaf         key not held           key-not-held 51             key-not-held 51

key          good                   accepted                    accepted
key          no certificate         no-certificate 40/116       rejected-by-peer <40
key          wrong CA               accepted                    accepted
key          wrong key              unknown-ca 48               unknown-ca 48
key          wrong name             accepted                    accepted
key          wildcard               accepted                    accepted
key          expired                expired 45                  expired 45
key          not yet valid          not-yet-valid 42            not-yet-valid 42
key          revoked                accepted                    accepted
key          wrong purpose          wrong-purpose 43            wrong-purpose 43
key          missing intermediate   accepted                    accepted
key          key not held           key-not-held 51             key-not-held 51
"""

# What the operator is told to do must say at least this.
REMEDIES = {
    "no-certificate": "client certificate",
    "rejected-by-peer": "let it have a certificate",
    "unknown-ca": "by another way",
    "revoked": "treat its key as lost",
    "stale-revocation": "let the CA publish in time",
    "missing-intermediate": "append its intermediates",
    "name-mismatch": "name",
    "expired": "renew",
    "not-yet-valid": "clocks",
    "wrong-purpose": "extended key usage",
    "key-not-held": "attack",
}


LISTED = ("good list", "revoked", "stale list", "stale list, soft")


@dataclass(frozen=True)
class Expected:
    """What one handshake must come to; ``alert`` by TLS version, ``sent`` by us or else received."""

    kind: str
    alert: dict[str, int]
    sent: bool = True

    def alerts(self, version: str) -> tuple[int | None, int | None]:
        """The alert that we send and the one that we receive."""
        alert = self.alert.get(version)
        return (alert, None) if self.sent else (None, alert)


@dataclass(frozen=True)
class Row:
    """One row of the specification."""

    model: str
    case: str
    inbound: Expected
    outbound: Expected

    @property
    def trunk(self) -> str:
        """The name of the trunk that stands for this row."""
        return f"{self.model}-{self.case.replace(',', '').replace(' ', '-')}".lower()


def rows() -> Iterator[Row]:
    """The specification, row by row."""
    for line in SPECIFICATION.split("\n"):
        if line:
            model, case, inbound, outbound = (line[a:b].strip() for a, b in _COLUMNS)
            yield Row(model, case, _expected(inbound), _expected(outbound))


_COLUMNS = ((0, 13), (13, 36), (36, 64), (64, None))


def _expected(text: str) -> Expected:
    kind, _, alert = text.partition(" ")
    if alert in ("", "-"):
        return Expected(kind, {})
    first, _, second = alert.lstrip("<").partition("/")
    return Expected(kind, {"1.2": int(first), "1.3": int(second or first)}, not alert.startswith("<"))


class Material:
    """The authorities of the matrix, and the certificate that each row's peer shows."""

    def __init__(self, direction: Direction) -> None:
        self.ca = LabAuthority("Matrix CA")
        self.constrained = _constrained("Constrained CA")
        self.stranger = LabAuthority("Stranger CA")
        roots = (self.ca, self.constrained)
        self.intermediates = {each.name: LabAuthority("Issuing " + each.name, issuer=each) for each in roots}
        self._publishing: dict[str, LabAuthority] = {}
        self._wrong_purpose = "server" if direction == "inbound" else "client"

    def authority(self, row: Row) -> LabAuthority:
        """The CA of a row: its model's, and one of its own where the row has a revocation list."""
        if row.case in LISTED:
            make = _constrained if row.model == "constrained" else LabAuthority
            return self._publishing.setdefault(row.trunk, make(f"CA of {row.trunk}"))
        return self.constrained if row.model == "constrained" else self.ca

    def list(self, row: Row, shown: Issued | None) -> bytes | None:
        """The revocation list of a row's CA, PEM; None for none."""
        if row.case not in LISTED:
            return None
        revoked = [shown] if row.case == "revoked" and shown is not None else []
        ends = -60.0 if row.case.startswith("stale") else DAY
        made = revocation_list(self.authority(row), time.time(), revoked, begins=-DAY, ends=ends)
        return pem_of_list(made)

    def shown(self, row: Row) -> Issued | None:
        """The certificate with the row's fault; None where that is to have none."""
        if row.case == "no certificate":
            return None
        authority = self.authority(row)
        issuer = authority if row.case in LISTED else self.intermediates[authority.name]
        if row.case == "wrong CA":
            issuer = self.stranger
        if row.case == "unknown issuer":
            issuer = LabAuthority("Another Issuing CA", issuer=authority)
        issued = issuer.issue(**self._fault(row.case))
        if row.case in ("missing intermediate", "unknown issuer"):
            return Issued(issued.cert_pem, issued.cert_pem, issued.key_pem)
        return issued

    def anchor(self, row: Row, shown: Issued | None) -> dict[str, Any]:
        """The truststore entry of a row; ``ca`` and ``leaf`` are PEM here, not the name of a file."""
        if row.model in ("leaf", "key"):
            strange = shown is None or row.case == ("wrong CA" if row.model == "leaf" else "wrong key")
            pinned = self.ca.issue(dns=[NAME, HOST]) if strange else shown
            assert pinned is not None
            if row.model == "leaf":
                return {"leaf": pinned.cert_pem}
            return {"pin": read_certificate(der(pinned.cert_pem)).identity.pin}
        options: dict[str, Any] = {"ca": self.authority(row).cert_pem}
        if row.model == "private":
            options["permitted"] = ("trunk.example", HOST)
        return {**options, "public": row.model.startswith("public")}

    def _fault(self, case: str) -> dict[str, Any]:
        now = time.time()
        faults: dict[str, dict[str, Any]] = {
            "wrong name": {"dns": ["evil.example", HOST]},
            "wildcard": {"dns": ["*.trunk.example"]},
            "expired": {"not_before": now - 9 * DAY, "not_after": now - DAY},
            "not yet valid": {"not_before": now + DAY, "not_after": now + 9 * DAY},
            "wrong purpose": {"eku": (self._wrong_purpose,)},
        }
        return {"dns": [NAME, HOST], **faults.get(case, {})}


def policy(row: Row) -> dict[str, Any]:
    """The ``tls:`` block of a row's trunk, beside what every trunk of the lab has."""
    named = {"names": (NAME,)} if row.model.startswith("public") else {}
    hard = row.case in LISTED and "soft" not in row.case
    return {
        "trust": (row.trunk,),
        "name_match": "rfc2818" if row.model == "public2818" else "rfc5922",
        "revocation": {"mode": "hard" if hard else "soft"},
        **named,
    }


def _constrained(name: str) -> LabAuthority:
    authority = LabAuthority(name)
    authority.certificate = _constrain(authority, ("trunk.example", HOST))
    return authority


def _constrain(authority: LabAuthority, domains: tuple[str, ...]) -> x509.Certificate:
    """The authority's certificate again, with X.509 name constraints that permit only ``domains``."""
    old = authority.certificate
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer, subject_name=old.subject, public_key=old.public_key(),
        serial_number=old.serial_number, not_valid_before=old.not_valid_before_utc,
        not_valid_after=old.not_valid_after_utc, extensions=list(old.extensions),
    )  # fmt: skip
    permitted = x509.NameConstraints([x509.DNSName(each) for each in domains], None)
    return builder.add_extension(permitted, critical=True).sign(authority.key, hashes.SHA256())
