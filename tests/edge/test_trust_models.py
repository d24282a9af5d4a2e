"""Trust models against real authorities and handshakes: constraints, purposes, pins, weak and long chains."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sbc.demo.pki import Issued, LabAuthority, PrivateKey, key_bytes
from sbc.net.tls.verify import verify
from sbc.tls.material.certificate import read_certificate
from tests.edge.tls_lab import Lab, client_context
from tests.edge.tls_pair import Door
from tests.peers.runaway import no_runaway
from tests.unit.tls.certs import DAY, der, weak_leaf


def issue_ca(
    name: str, issuer: LabAuthority, *extensions: x509.ExtensionType, key: PrivateKey | None = None
) -> tuple[x509.Certificate, PrivateKey]:
    """An intermediate with extensions of its own, critical all."""
    private = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(issuer.certificate.subject).public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
    )  # fmt: skip
    for each in extensions:
        builder = builder.add_extension(each, critical=True)
    return builder.sign(issuer.key, hashes.SHA256()), private


def through(lab: Lab, *extensions: x509.ExtensionType, **options: list[str]) -> Issued:
    """A leaf under an intermediate with these extensions."""
    certificate, key = issue_ca("constrained", lab.ca, *extensions)
    middle = LabAuthority("constrained", issuer=lab.ca)
    middle._key, middle.certificate = key, certificate
    return middle.issue(**options)  # type: ignore[arg-type]


def permitting(*names: str) -> x509.NameConstraints:
    return x509.NameConstraints([x509.DNSName(each) for each in names], None)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_name_constraints_of_a_ca_are_honoured(lab: Lab, version: str) -> None:
    lab.trunk("a", {})
    door = Door(lab)
    good = through(lab, permitting("acme.example"), dns=["sip.acme.example"])
    assert door.enters(good, version) == "a"
    assert door.enters(through(lab, permitting("acme.example"), dns=["sip.other.example"]), version) is None
    assert door.reason == "name-mismatch"
    both = through(lab, permitting("acme.example"), dns=["sip.acme.example", "sip.other.example"])
    assert door.enters(both, version) is None, "every name counts, not only the first"
    excluded = x509.NameConstraints(None, [x509.DNSName("bad.example")])
    assert door.enters(through(lab, excluded, dns=["sip.bad.example"]), version) is None
    assert door.enters(through(lab, excluded, dns=["sip.acme.example"]), version) == "a"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_wildcard_is_no_way_into_an_excluded_name(lab: Lab, version: str) -> None:
    lab.trunk("a", {"names": ("bar.acme.example",), "name_match": "rfc2818"}, peers=("localhost:1",))
    door = Door(lab)
    excluded = x509.NameConstraints(None, [x509.DNSName("BAR.acme.example")])
    wild = through(lab, excluded, dns=["*.acme.example"])
    assert door.enters(wild, version) is None and door.reason == "name-mismatch"
    assert "excludes" in door.ours.failure().failure.detail
    assert door.reaches("a", wild, version) is None and door.reason == "name-mismatch"
    lab.trunk("a", {"names": ("foo.acme.example",), "name_match": "rfc2818"}, peers=("localhost:1",))
    door.reload()
    assert door.enters(wild, version) == "a" and door.reaches("a", wild, version) == "a"


def test_what_the_root_excludes_holds_only_for_who_trusts_the_root(lab: Lab) -> None:
    root = LabAuthority("rooted")
    excluded = x509.NameConstraints(None, [x509.DNSName("bar.acme.example")])
    certificate, key = issue_ca("rooted", root, excluded)
    root._key, root.certificate = key, certificate
    middle = LabAuthority("middle", issuer=root)
    lab.anchor("rooted", root)
    lab.anchor("middle", middle)
    lab.trunk("by-middle", {"trust": ("middle",), "names": ("foo.example",)})
    lab.trunk("by-root", {"trust": ("rooted",), "names": ("bar.acme.example",), "name_match": "rfc2818"})
    door, wild = Door(lab), middle.issue(dns=["*.acme.example"])
    assert door.enters(wild) is None and door.reason == "name-mismatch"
    lab.trunk("by-middle", {"trust": ("middle",), "names": ("bar.acme.example",), "name_match": "rfc2818"})
    door.reload()
    assert door.enters(wild) == "by-middle"


def test_constraints_of_the_filed_root_itself_are_honoured(lab: Lab) -> None:
    root = LabAuthority("rooted")
    certificate, key = issue_ca("rooted", root, permitting("acme.example"))
    root._key, root.certificate = key, certificate
    lab.anchor("rooted", root)
    lab.trunk("a", {"trust": ("rooted",)})
    door = Door(lab)
    assert door.enters(root.issue(dns=["sip.acme.example"])) == "a"
    assert door.enters(root.issue(dns=["sip.other.example"])) is None
    assert door.reason == "name-mismatch"


def test_permitted_names_bind_a_ca_that_has_no_constraints_of_its_own(lab: Lab) -> None:
    lab.anchor("narrow", lab.ca, permitted=("acme.example",))
    lab.trunk("a", {"trust": ("narrow",)})
    door = Door(lab)
    assert door.enters(lab.ca.issue(dns=["sip.acme.example"], uris=["sip:acme.example"])) == "a"
    assert door.enters(lab.ca.issue(dns=["sip.acme.example"], uris=["sip:other.example"])) is None
    assert door.reason == "name-mismatch"
    assert door.enters(lab.ca.issue(dns=["notacme.example"])) is None


def test_a_lenient_trunk_still_demands_that_every_issuer_may_certify_servers(lab: Lab) -> None:
    lab.trunk("a", {"client_eku": "allow-server-auth"})
    door = Door(lab)
    server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    code = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    names = {"dns": ["peer.example"], "eku": ["server"]}
    assert door.enters(through(lab, server, **names)) == "a"
    assert door.enters(through(lab, code, **names)) is None
    assert door.reason == "wrong-purpose"


def test_a_pinned_key_may_be_certified_anew_but_not_be_another(lab: Lab) -> None:
    stranger, other = LabAuthority("stranger"), LabAuthority("other stranger")
    first = stranger.issue(dns=["peer.example"])
    lab.anchor_file("key", pin=(read_certificate(der(first.cert_pem)).identity.pin,))
    lab.trunk("pinned", {"trust": ("key",)})
    door = Door(lab)
    assert door.enters(first) == "pinned"
    renewed = certify(first, other, datetime.now(UTC) + timedelta(days=30))
    assert door.enters(renewed) == "pinned", "the same key under another CA"
    rogue = other.issue(dns=["peer.example"])
    assert door.enters(rogue) is None and door.reason == "unknown-ca"
    expired = certify(first, other, datetime.now(UTC) - timedelta(days=1))
    assert door.enters(expired) is None and door.reason == "expired"


def test_a_pinned_key_is_good_whatever_became_of_its_issuers(lab: Lab) -> None:
    now = time.time()
    root = LabAuthority("root")
    old = LabAuthority("old middle", issuer=root, now=now - 4000 * DAY)
    peer = old.issue(dns=["peer.example"], not_before=now - DAY, not_after=now + DAY)
    lab.anchor("root", root)
    lab.anchor_file("key", pin=(read_certificate(der(peer.cert_pem)).identity.pin,))
    lab.trunk("by-ca", {"trust": ("root",), "names": ("peer.example",)})
    door = Door(lab)
    assert door.enters(peer) is None and door.reason == "expired", "its issuer is"
    lab.trunk("pinned", {"trust": ("key",)})
    door.reload()
    assert door.enters(peer) == "pinned"
    another = old.issue(dns=["peer.example"], not_before=now - DAY, not_after=now + DAY)
    assert door.enters(another) is None and door.reason == "expired", "and its issuer is told of still"


def certify(issued: Issued, issuer: LabAuthority, until: datetime) -> Issued:
    """Another certificate over the key of ``issued``."""
    old = x509.load_pem_x509_certificate(issued.cert_pem)
    fresh = (
        x509.CertificateBuilder().subject_name(old.subject).issuer_name(issuer.certificate.subject)
        .public_key(old.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(until - timedelta(days=60)).not_valid_after(until)
        .sign(issuer.key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )  # fmt: skip
    return Issued(fresh, fresh, issued.key_pem)


@pytest.mark.parametrize("is_ca", [False, True])
def test_a_self_signed_certificate_is_pinned_as_leaf(lab: Lab, is_ca: bool) -> None:
    own = self_signed("peer.example", is_ca)
    lab.anchor_file("leaf", leaf=(lab.write("own.pem", own.cert_pem),))
    lab.trunk("pinned", {"trust": ("leaf",)})
    door = Door(lab)
    assert door.enters(own) == "pinned"
    assert door.enters(self_signed("peer.example", is_ca)) is None
    assert door.reason == "unknown-ca"


def test_what_a_pinned_certificate_signs_is_not_trusted(lab: Lab) -> None:
    sly = LabAuthority("sly")
    lab.anchor_file("leaf", leaf=(lab.write("sly.pem", sly.cert_pem),))
    lab.trunk("pinned", {"trust": ("leaf",)})
    door = Door(lab)
    assert door.enters(sly.issue(dns=["peer.example"])) is None
    assert door.reason == "unknown-ca"


def self_signed(name: str, is_ca: bool) -> Issued:
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    pem = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        .sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )  # fmt: skip
    return Issued(pem, pem, key_bytes(key))


def test_five_kinds_of_trunk_on_one_port(lab: Lab) -> None:
    keyed = LabAuthority("nobody's").issue(dns=["keyed.example"])
    lab.anchor("other", lab.other_ca)
    lab.anchor_file("key", pin=(read_certificate(der(keyed.cert_pem)).identity.pin,))
    lab.trunk("one", {"trust": ("good",), "names": ("one.example",)})
    lab.trunk("two", {"trust": ("other",), "names": ("two.example",)})
    lab.trunk("pinned", {"trust": ("key",)})
    lab.trunk("maybe", {"mode": "optional", "trust": ("other",), "names": ("maybe.example",)})
    lab.trunk("open", {"mode": "server"})
    door = Door(lab)
    came = {
        "one": lab.ca.issue(dns=["one.example"]), "two": lab.other_ca.issue(dns=["two.example"]),
        "pinned": keyed, "maybe": lab.other_ca.issue(dns=["maybe.example"]),
    }  # fmt: skip
    assert {name: door.enters(issued) for name, issued in came.items()} == {name: name for name in came}
    assert door.enters(None) == "maybe", "without a certificate the first that allows it"
    for wrong in (lab.ca.issue(dns=["two.example"]), lab.other_ca.issue(dns=["one.example"])):
        assert door.enters(wrong) is None, "a certificate that is shown must be good for somebody"
        assert door.reason == "name-mismatch"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_hundred_intermediates_with_one_subject_and_key_cost_nothing(lab: Lab, version: str) -> None:
    lab.trunk("a", {})
    door = Door(lab)
    _, key = issue_ca("twin", lab.ca)
    twins = [issue_ca("twin", lab.ca, key=key)[0].public_bytes(Encoding.PEM) for _ in range(100)]
    middle = LabAuthority("twin", issuer=lab.ca)
    middle._key = key
    leaf = middle.issue(dns=["peer.example"])
    many = Issued(leaf.cert_pem, leaf.cert_pem + b"".join(twins), leaf.key_pem)
    context = client_context(lab, many, version)
    with no_runaway():
        door.meet(context).drive()


@pytest.mark.parametrize(
    ("weak", "why"), [("-sha1", "signed with SHA1"), ("rsa:1024", "RSA key of 1024 bits")]
)
def test_a_weak_certificate_is_refused_as_bad(lab: Lab, weak: str, why: str) -> None:
    lab.trunk("a", {})
    door = Door(lab)
    admission = door.contexts.table.admit("tls", "127.0.0.1", "")
    assert admission is not None
    said = verify(admission, [der(weak_leaf(lab.ca, lab.directory, weak).cert_pem)], time.time())
    assert said.failure is not None and said.failure.kind == "bad-certificate"
    assert why in said.failure.detail


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("trusted", ["first", "second", "neither"])
def test_a_server_whose_issuer_two_roots_certified_is_known_by_either(
    lab: Lab, trusted: str, version: str
) -> None:
    roots = {name: LabAuthority(name) for name in ("first", "second", "neither")}
    key = ec.generate_private_key(ec.SECP256R1())
    crossed = [issue_ca("crossed", roots[name], key=key)[0] for name in ("first", "second")]
    middle = LabAuthority("crossed", issuer=roots["first"])
    middle._key = key
    leaf = middle.issue(dns=["peer.example"])
    sent = leaf.cert_pem + b"".join(each.public_bytes(Encoding.PEM) for each in crossed)
    lab.anchor("root", roots[trusted])
    lab.trunk("a", {"trust": ("root",), "names": ("peer.example",)}, peers=("127.0.0.1:1",))
    door = Door(lab)
    proved = door.reaches("a", Issued(leaf.cert_pem, sent, leaf.key_pem), version, host="127.0.0.1")
    if trusted == "neither":
        assert proved is None and door.reason == "unknown-ca"
        return
    peer = door.ours.told().facts.peer
    assert proved == "a" and peer is not None and peer.verified


def test_no_other_way_leads_round_a_wrong_name(lab: Lab) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    twins = [issue_ca("twin", lab.ca, key=key)[0].public_bytes(Encoding.PEM) for _ in range(8)]
    middle = LabAuthority("twin", issuer=lab.ca)
    middle._key = key
    leaf = middle.issue(dns=["other.example"])
    lab.trunk("a", {"names": ("peer.example",)}, peers=("127.0.0.1:1",))
    door = Door(lab)
    sent = Issued(leaf.cert_pem, leaf.cert_pem + b"".join(twins), leaf.key_pem)
    assert door.reaches("a", sent, host="127.0.0.1") is None
    assert door.reason == "name-mismatch" and not door.theirs.heard


def test_a_server_that_sends_a_knot_of_issuers_is_refused_at_once(lab: Lab) -> None:
    lab.trunk("a", {"names": ("peer.example",)}, peers=("peer.example:5061",))
    door = Door(lab)
    admission = door.contexts.table.outbound("a", "peer.example")
    assert admission is not None
    forger = LabAuthority("good CA")
    key = ec.generate_private_key(ec.SECP256R1())
    twins = [issue_ca("twin", forger, key=key)[0].public_bytes(Encoding.DER) for _ in range(8)]
    middle = LabAuthority("twin", issuer=forger)
    middle._key = key
    chain = [der(middle.issue(dns=["peer.example"]).cert_pem), *twins]
    with no_runaway():
        said = verify(admission, chain, time.time())
    assert said.failure is not None and said.failure.kind == "bad-certificate"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_neighbour_that_files_an_intermediate_does_not_hide_its_root(lab: Lab, version: str) -> None:
    middle = LabAuthority("middle", issuer=lab.ca)
    lab.anchor("middle", middle)
    lab.trunk("by-root", {"trust": ("good",), "names": ("root.example",)})
    lab.trunk("by-middle", {"trust": ("middle",), "names": ("middle.example",)})
    door = Door(lab)
    assert door.enters(middle.issue(dns=["root.example"]), version) == "by-root"
    assert door.enters(middle.issue(dns=["middle.example"]), version) == "by-middle"
    assert door.enters(lab.ca.issue(dns=["root.example"]), version) == "by-root"
    assert door.enters(lab.ca.issue(dns=["middle.example"]), version) is None
    assert door.enters(middle.issue(dns=["other.example"]), version) is None
    assert door.reason == "name-mismatch"
    door.reload()
    forger = LabAuthority("middle", issuer=LabAuthority("good CA"))
    assert door.enters(forger.issue(dns=["root.example"]), version) is None


def test_the_roots_constraints_hold_for_who_trusts_the_root(lab: Lab) -> None:
    root = LabAuthority("rooted")
    certificate, key = issue_ca("rooted", root, permitting("acme.example"))
    root._key, root.certificate = key, certificate
    middle = LabAuthority("middle", issuer=root)
    lab.anchor("rooted", root)
    lab.anchor("middle", middle)
    lab.trunk("by-root", {"trust": ("rooted",), "names": ("sip.other.example", "sip.acme.example")})
    lab.trunk("by-middle", {"trust": ("middle",), "names": ("sip.middle.example",)})
    door = Door(lab)
    assert door.enters(middle.issue(dns=["sip.acme.example"])) == "by-root"
    assert door.enters(middle.issue(dns=["sip.other.example"])) is None
