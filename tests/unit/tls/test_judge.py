"""The judge of one handshake, told what OpenSSL's callbacks would tell it."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import LabAuthority
from sbc.tls.judge import Agreed, Judge
from sbc.tls.match import Admission, Presented
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import MAX_CHAIN, CertificateCache, read_certificate
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, admission, der, leaf, presented, trunk

AGREED = Agreed("TLSv1.3", "X25519")
# As `man verify` has them: of these the first two are OpenSSL's, the others what we refuse with.
NO_ISSUER, PURPOSE, EXPIRED, NAME, TOO_LONG, REJECTED = 20, 26, 10, 62, 22, 28
ACME = admission([trunk(names=("peer.example",))])


def judge(expected: Admission = ACME) -> Judge:
    return Judge(expected, CertificateCache(), NOW)


def chain(authority: LabAuthority = GOOD, name: str = "peer.example") -> list[bytes]:
    root = authority.certificate.public_bytes(Encoding.DER)
    return [der(authority.issue(dns=[name]).cert_pem), root]


def test_a_chain_under_the_trunks_ca_proves_the_trunk() -> None:
    made = judge()
    assert made.decide(chain(), AGREED) == 0
    assert (made.trunk, made.anchor, made.decided, made.verify_code) == ("acme", "good CA", None, 0)
    assert made.presented is not None
    assert (made.presented.version, made.presented.group) == AGREED


def test_a_refusal_has_the_code_that_makes_the_alert_that_fits() -> None:
    for ders, now, code, kind in (
        (chain(name="evil.example"), NOW, NAME, "name-mismatch"),
        (chain(OTHER), NOW, NO_ISSUER, "unknown-ca"),
        (chain(), NOW + 1000 * DAY, EXPIRED, "expired"),
        ([b"no certificate"], NOW, REJECTED, "bad-certificate"),
    ):
        made = Judge(ACME, CertificateCache(), now)
        assert made.decide(ders, AGREED) == made.verify_code == code
        assert made.trunk is None and made.decided is not None and made.decided.kind == kind


def test_a_chain_that_is_too_long_or_too_large_is_not_even_read() -> None:
    made = judge()
    assert made.decide([chain()[0]] * (MAX_CHAIN + 1), AGREED) == TOO_LONG
    assert made.decide([bytes(1_000_000)], AGREED) == REJECTED
    assert made.leaf is None and made.trunk is None


def test_a_pin_makes_up_for_an_issuer_and_for_nothing_else() -> None:
    its_own = der(GOOD.issue(dns=["peer.example"]).cert_pem)
    pinned = AnchorMaterial("its key", "pin", pins=frozenset((read_certificate(its_own).identity.pin,)))
    expected = admission([trunk(anchors=(pinned,))])

    def excused(code: int, depth: int, shown: bytes = its_own, expected: Admission = expected) -> bool:
        return judge(expected).excuses(code, depth, lambda: b"", lambda: shown)

    assert excused(NO_ISSUER, 0) and excused(EXPIRED, 1) and excused(PURPOSE, 1)
    assert not excused(EXPIRED, 0)
    assert not excused(NO_ISSUER, 0, expected=ACME)
    for stranger in (der(GOOD.issue(dns=["peer.example"]).cert_pem), b"no certificate"):
        assert not excused(NO_ISSUER, 0, stranger) and not excused(EXPIRED, 1, stranger)


def test_the_wrong_purpose_is_excused_where_a_servers_will_do_and_it_is_one() -> None:
    lenient = judge(admission([trunk(client_eku="allow-server-auth")]))
    server, client = (
        der(GOOD.issue(dns=["peer.example"], eku=(of,)).cert_pem) for of in ("server", "client")
    )
    assert lenient.excuses(PURPOSE, 0, lambda: server, lambda: server) and not lenient.purpose_ok
    assert not lenient.excuses(PURPOSE, 0, lambda: client, lambda: client)
    assert not judge().excuses(PURPOSE, 0, lambda: server, lambda: server)


class OneOther:
    """Another way through what was sent: that of the CA that is trusted."""

    def __init__(self, found: Presented | None) -> None:
        self.found = found

    def longer(self, judge: Judge, presented: Presented) -> dict[str, Presented]:
        return {}

    def other(self, judge: Judge, sent: Sequence[bytes]) -> Presented | None:
        return self.found

    def anew(self, judge: Judge, admission: Admission, sent: Sequence[bytes], now: float) -> Presented | None:
        return None


def test_another_way_that_holds_is_decided_on_and_settles_it() -> None:
    good = leaf()
    found = presented(good, ders=tuple(chain()))
    for other, settled in ((found, True), (None, False)):
        made = Judge(ACME, CertificateCache(), NOW, ways=OneOther(other))
        assert made.finds_another(chain(OTHER), AGREED) is settled is made.found_another
        assert made.trunk == ("acme" if settled else None)
