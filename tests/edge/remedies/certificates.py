"""What is wrong with a certificate itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from sbc.demo.pki import Issued, LabAuthority, key_bytes
from sbc.tls.failure import Direction
from tests.edge.remedies.rows import BOTH, DAY, Row, anew, both_ways
from tests.edge.remedies.site import HOST, NAME, Site
from tests.unit.tls.certs import weak_leaf


def showing(make: Callable[[Site], Issued]) -> Callable[[Site, Direction, str], Any]:
    return lambda site, way, version: site.shows(way, make(site), version)


def renamed(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    return site.shows(way, site.theirs.issue(dns=[said[1]]), version)


def constrained(site: Site) -> LabAuthority:
    """An intermediate of the carrier's that may certify its own names only."""
    made = LabAuthority("Narrow CA", issuer=site.theirs)
    limits = x509.NameConstraints([x509.DNSName(NAME)], None)
    made.certificate = x509.load_pem_x509_certificate(anew(made.certificate, site.theirs, limits=limits))
    return made


def narrowed(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    return site.shows(way, constrained(site).issue(dns=["sip." + NAME, NAME]), version)


def weak(what: str) -> Callable[[Site, Direction, str], Any]:
    def inject(site: Site, way: Direction, version: str) -> Any:
        site.tls["names"] = ["weak.example"]
        peer = site.shows(way, None, version)
        made = weak_leaf(site.theirs, site.directory, what)
        peer.set_ciphers("DEFAULT:@SECLEVEL=0")  # the peer itself would refuse it
        peer.load_cert_chain(site.put("tls/weak.pem", made.chain_pem), site.put("tls/weak.key", made.key_pem))
        return peer

    return inject


def strengthened(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    assert said[1] in ("a key of RSA 2048 or P-256", "a signature by SHA-256")
    return site.shows(way, site.theirs.issue(dns=["weak.example"]), version)


def many_names(count: int) -> Callable[[Site], Issued]:
    return lambda site: site.theirs.issue(
        dns=[NAME, HOST, *(f"n{at:05}.carrier.example" for at in range(count))]
    )


def nameless(site: Site) -> Issued:
    """No subject: the names are in the extension alone (RFC 5280 4.1.2.6)."""
    issued = site.theirs.issue(dns=["pbx.example"])
    old = x509.load_pem_x509_certificate(issued.cert_pem)
    made = anew(old, site.theirs, subject=x509.Name([]))
    return Issued(made, made, issued.key_pem)


def expect_names(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.tls["names"] = ["pbx.example"]
    return site.shows(way, nameless(site), version)


def on_curve(curve: ec.EllipticCurve) -> Callable[[Site], Issued]:
    """A certificate whose key is on another curve than the usual."""

    def make(site: Site) -> Issued:
        issued, key = site.good(), ec.generate_private_key(curve)
        old = x509.load_pem_x509_certificate(issued.cert_pem)
        made = anew(old, site.theirs, key=key.public_key())
        return Issued(made, made, key_bytes(key))

    return make


BRAINPOOL, P384 = on_curve(ec.BrainpoolP256R1()), on_curve(ec.SECP384R1())


def usual_key(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    assert said[1] == "P-256 or RSA 2048"
    return site.shows(way, site.good(), version)


def allow_curve(site: Site, version: str, said: re.Match[str]) -> Any:
    site.tls["groups"] = ["X25519", "P-256", said[1]]
    return site.shows("inbound", P384(site), version)


CERTIFICATES = (
    Row(
        "a client's key on brainpool", "inbound", ("1.2",), "bad-certificate",
        rf"the key of CN={NAME} is on brainpoolP256r1, and TLS 1.2 takes it on a curve",
        r"get one with a key of (P-256 or RSA 2048)", "",
        lambda site, version: site.shows("inbound", BRAINPOOL(site), version),
        lambda site, version, said: usual_key(site, "inbound", version, said),
    ),
    Row(
        "a client's key on brainpool", "inbound", ("1.3",), "no-certificate",
        r"the peer showed no certificate and carrier demands one",
        r"shows none where its key is of a kind that is not asked for: it then needs (P-256 or RSA 2048)",
        "tls.mode",
        lambda site, version: site.shows("inbound", BRAINPOOL(site), version),
        lambda site, version, said: usual_key(site, "inbound", version, said),
    ),
    Row(
        "a server's key on brainpool", "outbound", BOTH, "rejected-by-peer",
        r"alert 40 \(handshake_failure\) to what we offered",
        r"let it have a certificate with a key of (P-256 or RSA 2048)", "tls.groups",
        lambda site, version: site.shows("outbound", BRAINPOOL(site), version),
        lambda site, version, said: usual_key(site, "outbound", version, said),
    ),
    Row(
        "a client's key on a curve that is not among the groups", "inbound", ("1.2",), "no-shared-group",
        rf"the key of CN={NAME} is on P-384, and TLS 1.2 takes it on a curve of the trunk's `groups` only",
        r"add (P-384) to the trunk's `groups`", "tls.groups",
        lambda site, version: (
            site.tls.update(groups=["X25519", "P-256"]), site.shows("inbound", P384(site), version),
        )[1],
        allow_curve,
    ),
    *both_ways(
        "a name in the subject alone", "name-mismatch",
        rf"expected {NAME}; CN={NAME} has no subjectAltName, and a common name does not count",
        r"let its owner get one with (\S+) in its subjectAltName", "",
        showing(lambda site: site.theirs.issue(cn=NAME)), renamed,
    ),
    *both_ways(
        "a certificate without a subject", "name-mismatch",
        rf"expected {NAME}; the certificate names dns:pbx.example",
        r"correct the trunk's `names`", "tls.names", showing(nameless), expect_names,
    ),
    Row(
        "a server with a client's certificate", "outbound", BOTH, "wrong-purpose",
        rf"CN={NAME} is not for servers: there is no serverAuth",
        r"extended key usage has (serverAuth)", "",
        lambda site, version: site.shows("outbound", site.good(eku=("client",)), version),
        lambda site, version, said: site.shows("outbound", site.good(eku=("server",)), version),
    ),
    Row(
        "a client with a server's certificate", "inbound", BOTH, "wrong-purpose",
        rf"CN={NAME} is not for clients: there is no clientAuth",
        r"`client_eku: (allow-server-auth)`", "tls.client_eku",
        lambda site, version: site.shows("inbound", site.good(eku=("server",)), version),
        lambda site, version, said: (
            site.tls.update(client_eku=said[1]), site.shows("inbound", site.good(eku=("server",)), version),
        )[1],
    ),
    *both_ways(
        "a name that its CA may not certify", "name-mismatch",
        rf"names dns:office.example, and its CA CN=Narrow CA permits dns:{NAME} only",
        r"let its owner get one whose names that CA may certify", "",
        showing(lambda site: constrained(site).issue(dns=[NAME, "office.example"])), narrowed,
    ),
    *both_ways(
        "a certificate signed by SHA-1", "bad-certificate", r"is signed with SHA1, which can be forged",
        r"let its owner get one with (a signature by SHA-256)", "", weak("-sha1"), strengthened,
    ),
    *both_ways(
        "a key of RSA 1024", "bad-certificate", r"has an RSA key of 1024 bits; 2048 is the least",
        r"let its owner get one with (a key of RSA 2048 or P-256)", "", weak("rsa:1024"), strengthened,
    ),
    *both_ways(
        "a certificate over 64 KiB", "bad-certificate", r"is \d{5} bytes long; 65536 is the most, for",
        r"let its owner get one with (fewer names)", "",
        showing(many_names(3000)),
        lambda site, way, version, said: site.shows(way, many_names(1000)(site), version),
    ),
    *both_ways(
        "certificates over 100 KiB", "chain-too-long",
        r"over 102400 bytes \(100 KiB\) together, the most that TLS takes here",
        r"get a leaf with (fewer names)", "",
        showing(many_names(4600)),
        lambda site, way, version, said: site.shows(way, many_names(1000)(site), version),
    ),
)  # fmt: skip


# Dates, and what is known of issuers


def dated(begins: float, ends: float) -> Callable[[Site], Issued]:
    """A certificate that is valid so many days from now."""
    return lambda site: site.good(not_before=site.now + begins * DAY, not_after=site.now + ends * DAY)


def good_again(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    return site.shows(way, site.good(), version)


def later(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    """Our clock was three days behind."""
    site.now += 3 * DAY
    return site.shows(way, dated(-1, 30)(site), version)


def by_an_old_issuer(site: Site) -> Issued:
    """An intermediate that expired a year ago, sent by a peer that never exchanged it."""
    old = LabAuthority("Carrier Issuing CA", issuer=site.theirs, now=site.now - 11 * 365 * DAY)
    return old.issue(dns=[NAME, HOST], not_after=site.now + 30 * DAY)


def by_the_new_issuer(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    new = LabAuthority("Carrier Issuing CA", issuer=site.theirs)
    return site.shows(way, new.issue(dns=[NAME, HOST]), version)


OLD_ROOT: dict[Site, LabAuthority] = {}


def under_an_old_root(site: Site, way: Direction, version: str) -> Any:
    """The CA that we filed long ago is over."""
    old = OLD_ROOT[site] = LabAuthority("Old Root", now=site.now - 11 * 365 * DAY)
    site.put("tls/old-root.pem", old.cert_pem)
    site.trusting("old-root", ca="tls/old-root.pem")
    return site.shows(way, old.issue(dns=[NAME, HOST], not_after=site.now + 30 * DAY), version)


def file_the_new_root(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    """The CA renewed its certificate with the same key."""
    old = OLD_ROOT[site]
    ends = datetime.fromtimestamp(site.now + 900 * DAY, UTC)
    site.put(site.config["trust"][said[1]]["ca"], anew(old.certificate, old, ends=ends))
    return site.shows(way, old.issue(dns=[NAME, HOST], not_after=site.now + 30 * DAY), version)


def of_many(site: Site) -> Issued:
    """A chain of twelve."""
    issuer = site.theirs
    for number in range(11):
        issuer = LabAuthority(f"CA {number}", issuer=issuer)
    return issuer.issue(dns=[NAME, HOST])


DATES = (
    *both_ways(
        "a certificate that has expired", "expired", rf"CN={NAME} expired on [0-9-]+",
        r"let its owner renew it", "", showing(dated(-9, -1)), good_again,
    ),
    *both_ways(
        "a certificate that is not valid yet, by our clock", "not-yet-valid",
        rf"CN={NAME} is not valid before [0-9-]+", r"compare both machines' clocks", "",
        showing(dated(2, 30)), later,
    ),
    *both_ways(
        "an issuer that the peer sends has expired", "expired",
        rf"CN=Carrier Issuing CA \(which vouches for CN={NAME}\) expired on [0-9-]+",
        r"let the peer put its CA's new certificate into its chain file", "",
        showing(by_an_old_issuer), by_the_new_issuer,
    ),
    *both_ways(
        "a CA of ours has expired", "expired",
        rf"CN=Old Root \(which vouches for CN={NAME}\) expired on [0-9-]+",
        r"get the CA's new certificate from its owner .* put it into the file of trust (old-root)",
        "trust.old-root.ca", under_an_old_root, file_the_new_root,
    ),
    *both_ways(
        "a chain of twelve", "chain-too-long", r"has a chain that is too long: 10 certificates are the most",
        r"let the peer send its leaf and intermediates only", "", showing(of_many), good_again,
    ),
)  # fmt: skip
