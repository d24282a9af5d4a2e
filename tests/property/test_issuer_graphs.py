"""Whatever certificates a server sends, in whatever knots, few verifications are made and none is wrong."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any
from unittest.mock import patch

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sbc.net.tls.context import build_context
from sbc.net.tls.verify import verify
from sbc.tls.match import Admission
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import MAX_CHAIN, read_certificate
from sbc.tls.material.paths import MAX_PATHS
from tests.unit.tls.certs import trunk

# Who issues, or is certified: a name, and which of its keys.
Who = tuple[str, int]
# A certificate: of whom, and by whom.
Link = tuple[Who, Who]

ROOT: Who = ("root", 0)
NAMES = ("A", "B", "C")
ENOUGH = 100  # where a search that does not end is ended, for the test's sake


@cache
def key_of(_who: Who) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def certificate(subject: Who, issuer: Who, leaf: bool = False) -> bytes:
    """The DER of one, signed with the very key of its issuer, whoever that is."""
    now = datetime.now(UTC)
    private = key_of(subject)
    made = (
        x509.CertificateBuilder().subject_name(named(subject)).issuer_name(named(issuer))
        .public_key(private.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
    )  # fmt: skip
    if leaf:
        made = made.add_extension(x509.SubjectAlternativeName([x509.DNSName("peer.example")]), critical=False)
    return made.sign(key_of(issuer), hashes.SHA256()).public_bytes(Encoding.DER)


def named(who: Who) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who[0])])


@cache
def outbound() -> Admission:
    """What a trunk expects that dials peer.example and trusts the root alone."""
    data = certificate(ROOT, ROOT)
    anchors = (AnchorMaterial("root", "ca", (data,), (read_certificate(data),), subjects=("CN=root",)),)
    return Admission(
        (trunk("acme", anchors=anchors),), None, direction="outbound", host_names=("peer.example",)
    )


def led(by: Who, links: list[Link]) -> bool:
    """Whether what ``by`` signed is really under the root, by some way through ``links``."""
    known = {by}
    while True:
        more = {issuer for subject, issuer in links if subject in known} - known
        if not more:
            return ROOT in known
        known |= more


def ways(by: Who, links: list[Link]) -> int:
    """How many ways lead from ``by`` to the root by names, which is all that a certificate claims."""
    count = int(by[0] == ROOT[0])
    for at, (subject, issuer) in enumerate(links):
        if subject[0] == by[0]:
            count += ways(issuer, links[:at] + links[at + 1 :])
    return count


def verified(by: Who, links: list[Link]) -> tuple[bool, int]:
    """Whether a server with this chain is let in, and how many verifications that took."""
    ders = [certificate(("leaf", 0), by, True), *(certificate(*each) for each in links)]
    counted: list[Admission] = []

    def counting(admission: Admission, identity: Any) -> Any:
        counted.append(admission)
        assert len(counted) <= ENOUGH, "it goes on and on"
        return build_context(admission, identity)

    with patch("sbc.net.tls.verify.build_context", counting):
        said = verify(outbound(), ders, time.time())
    return said.trunk == "acme", len(counted)


ISSUERS = st.tuples(st.sampled_from((*NAMES, "root")), st.integers(0, 1))
SUBJECTS = st.tuples(st.sampled_from(NAMES), st.integers(0, 1))
ANY = st.lists(st.tuples(ISSUERS, ISSUERS), max_size=MAX_CHAIN - 1)
# Without what OpenSSL itself never goes through: a certificate of the root's name, or of the issuer's own.
PLAIN = st.lists(
    st.tuples(SUBJECTS, ISSUERS).filter(lambda link: link[0][0] != link[1][0]), max_size=5, unique=True
)
FORGED: Who = ("root", 1)
FIVE: list[Link] = [
    (("A", 0), ("B", 0)), (("A", 0), ("B", 0)), (("B", 0), ("A", 0)), (("B", 0), FORGED),
]  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(by=ISSUERS, links=ANY)
@example(by=("A", 0), links=FIVE)
@example(by=("A", 0), links=[(("A", 0), ("B", 1)), (("A", 1), ("B", 0)), *FIVE[1:]])
def test_few_verifications_and_nobody_let_in_who_is_not_under_the_root(by: Who, links: list[Link]) -> None:
    let_in, count = verified(by, links)
    assert count <= 1 + MAX_PATHS
    assert not let_in or led(by, links)


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(by=ISSUERS, links=PLAIN)
def test_where_the_ways_are_few_the_right_one_is_found(by: Who, links: list[Link]) -> None:
    let_in, _ = verified(by, links)
    if ways(by, links) <= MAX_PATHS and len(set(links)) == len(links):
        assert let_in == led(by, links)
