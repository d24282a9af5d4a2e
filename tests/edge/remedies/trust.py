"""Certificates that nothing in the truststore vouches for."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from sbc.demo.pki import Issued, LabAuthority, key_bytes
from sbc.tls.failure import Direction
from sbc.tls.material.certificate import read_certificate
from tests.edge.remedies.rows import BOTH, Row, both_ways
from tests.edge.remedies.site import HOST, NAME, Site
from tests.unit.tls.certs import der


def by_itself(*names: str) -> Issued:
    """A certificate that is signed by itself, as appliances make them."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )  # fmt: skip
    return Issued(made, made, key_bytes(key))


class Remembered:
    """The certificate that a peer showed, for it shows the same after we have mended."""

    def __init__(self, make: Callable[[Site], Issued]) -> None:
        self._make = make
        self._made: dict[Site, Issued] = {}

    def __call__(self, site: Site) -> Issued:
        if site not in self._made:
            self._made[site] = self._make(site)
        return self._made[site]


ALONE = Remembered(lambda site: by_itself(NAME, HOST))
RENEWED = Remembered(lambda site: site.theirs.issue(dns=[NAME, HOST]))


def unpinned(site: Site, way: Direction, version: str) -> Any:
    return site.shows(way, ALONE(site), version)


def pin_it(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.trusting("carrier-key", pin=said[1])
    return site.shows(way, ALONE(site), version)


def file_it(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.put("tls/carrier.pem", ALONE(site).cert_pem)
    site.trusting("carrier", leaf="tls/carrier.pem")
    return site.shows(way, ALONE(site), version)


def pinned_before(kind: str) -> Callable[[Site, Direction, str], Any]:
    def inject(site: Site, way: Direction, version: str) -> Any:
        old = site.good()
        if kind == "pin":
            site.trusting("carrier-old", pin=read_certificate(der(old.cert_pem)).identity.pin)
        else:
            site.put("tls/old.pem", old.cert_pem)
            site.trusting("carrier-old", leaf="tls/old.pem")
        return site.shows(way, RENEWED(site), version)

    return inject


def pin_anew(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    pin, kind, name = said.groups()
    entry = site.config["trust"][name]
    del entry[kind]
    entry["pin"] = pin
    return site.shows(way, RENEWED(site), version)


PLACE = "http://ca.example/issuing.der"
MIDDLE: dict[Site, LabAuthority] = {}


def without_issuer(site: Site, way: Direction, version: str) -> Any:
    """A leaf alone, of an intermediate that nobody here has ever seen."""
    MIDDLE[site] = LabAuthority("Carrier Issuing CA", issuer=site.theirs)
    where = x509.UniformResourceIdentifier(PLACE)
    access = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, where)
    made = MIDDLE[site].issue(dns=[NAME, HOST], extensions=[x509.AuthorityInformationAccess([access])])
    return site.shows(way, Issued(made.cert_pem, made.cert_pem, made.key_pem), version)


def append_issuer(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    return site.shows(way, MIDDLE[site].issue(dns=[NAME, HOST]), version)


def file_issuer(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.put("tls/issuing.der", der(MIDDLE[site].cert_pem))  # as it lies at PLACE
    site.config["trust"]["carrier-issuing"] = {"ca": "tls/issuing.der"}
    site.tls["trust"].append("carrier-issuing")
    made = MIDDLE[site].issue(dns=[NAME, HOST])
    return site.shows(way, Issued(made.cert_pem, made.cert_pem, made.key_pem), version)


def of_known_issuer(site: Site, way: Direction, version: str) -> Any:
    """A leaf alone; its intermediate is known here from our own chain."""
    MIDDLE[site] = LabAuthority("Carrier Issuing CA", issuer=site.theirs)
    site.identify("sbc", MIDDLE[site].issue(dns=["sbc.example"]))
    made = MIDDLE[site].issue(dns=[NAME, HOST])
    return site.shows(way, Issued(made.cert_pem, made.cert_pem, made.key_pem), version)


NEW_CA: dict[Site, LabAuthority] = {}


def of_renewed_ca(site: Site, way: Direction, version: str) -> Any:
    """The carrier's CA has a new key under its old name."""
    NEW_CA[site] = LabAuthority(site.theirs.name)
    return site.shows(way, NEW_CA[site].issue(dns=[NAME, HOST]), version)


def add_renewed_ca(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.put("tls/renewed-ca.pem", NEW_CA[site].cert_pem)
    site.config["trust"]["renewed"] = {"ca": "tls/renewed-ca.pem"}
    site.tls["trust"].append("renewed")
    return site.shows(way, NEW_CA[site].issue(dns=[NAME, HOST]), version)


def of_other_name(site: Site, way: Direction, version: str) -> Any:
    return site.shows(way, site.theirs.issue(dns=["pbx.example"]), version)


def correct_names(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.tls["names"] = ["pbx.example"]
    return of_other_name(site, way, version)


def not_permitted(site: Site, way: Direction, version: str) -> Any:
    site.config["trust"]["carrier-ca"]["permitted"] = [NAME, HOST]
    site.tls["names"] = ["pbx.example"]
    return of_other_name(site, way, version)


def permit(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.config["trust"][said[1]]["permitted"].append("pbx.example")
    return of_other_name(site, way, version)


TRUST = (
    *both_ways(
        "a certificate signed by itself: its key is pinned", "unknown-ca", "is signed by itself",
        r"add an entry with `pin: (sha256/[0-9a-f]{64})`", "tls.trust", unpinned, pin_it,
    ),
    *both_ways(
        "a certificate signed by itself: its file is pinned", "unknown-ca", "is signed by itself",
        r"or its file as `leaf:`", "tls.trust", unpinned, file_it,
    ),
    *both_ways(
        "a pinned key that was renewed", "unknown-ca",
        rf"trust carrier-old pins the key sha256/[0-9a-f]{{64}}; the peer shows CN={NAME}, issued by "
        r"CN=Carrier CA, "
        "with the key sha256/",
        r"write `pin: (sha256/[0-9a-f]{64})` in place of `(pin):` of trust (\S+);", "trust.carrier-old.pin",
        pinned_before("pin"), pin_anew,
    ),
    *both_ways(
        "a pinned certificate that was renewed", "unknown-ca",
        rf"trust carrier-old pins the certificate CN={NAME} until [0-9-]+; the peer shows CN={NAME}, "
        r"issued by",
        r"write `pin: (sha256/[0-9a-f]{64})` in place of `(leaf):` of trust (\S+);", "trust.carrier-old.leaf",
        pinned_before("leaf"), pin_anew,
    ),
    *both_ways(
        "an issuer never seen: the peer sends it", "unknown-ca",
        rf"issued by CN=Carrier Issuing CA.*issuer's is at {PLACE}",
        r"let the peer append it to its chain file", "tls.trust", without_issuer, append_issuer,
    ),
    *both_ways(
        "an issuer never seen: it is filed", "unknown-ca",
        rf"issued by CN=Carrier Issuing CA.*issuer's is at {PLACE}",
        r"or file it as a `ca:` in the trunk's `trust`", "tls.trust", without_issuer, file_issuer,
    ),
    Row(
        "a client without a certificate", "inbound", BOTH, "no-certificate",
        r"the peer showed no certificate and carrier demands one",
        r"configure the peer with a client certificate of a CA in the trunk's `trust`", "tls.mode",
        lambda site, version: site.shows("inbound", None, version),
        lambda site, version, said: site.shows("inbound", site.good(), version),
    ),
    *both_ways(
        "a known intermediate left out: the peer sends it", "missing-intermediate",
        rf"the peer shows CN={NAME} without the intermediate CN=Carrier Issuing CA that its chain needs",
        r"let the peer append its intermediates to its chain file", "tls.trust",
        of_known_issuer, append_issuer,
    ),
    *both_ways(
        "a known intermediate left out: it is filed", "missing-intermediate",
        rf"the peer shows CN={NAME} without the intermediate CN=Carrier Issuing CA that its chain needs",
        r"the intermediate itself can be filed as a `ca:` in the trunk's `trust`", "tls.trust",
        of_known_issuer, file_issuer,
    ),
    *both_ways(
        "a CA renewed under its old name", "unknown-ca",
        r"the CA of that name in trust carrier-ca has another key",
        r"get its new certificate from its owner by another way, and add it to the truststore", "tls.trust",
        of_renewed_ca, add_renewed_ca,
    ),
    *both_ways(
        "another name", "name-mismatch", rf"expected {NAME}; the certificate names dns:pbx.example",
        r"correct the trunk's `names` if the peer is the right one", "tls.names",
        of_other_name, correct_names,
    ),
    *both_ways(
        "a name that the entry does not permit", "name-mismatch",
        rf"trust carrier-ca may vouch for {NAME}, {HOST} only; it names dns:pbx.example",
        r"add the name to `permitted` of trust (carrier-ca)", "trust.carrier-ca.permitted",
        not_permitted, permit,
    ),
)  # fmt: skip
