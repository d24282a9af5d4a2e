"""OCSP answers: which prove something about a certificate, and why the others do not."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.revocation.ocsp import MAX_ANSWER, Answer, question, read_answer
from tests.unit.tls.certs import GOOD, NOW, OTHER, der
from tests.unit.tls.revoking import HOUR, Delegate, certificate_of, link_of, ocsp_answer, ocsp_answers

PEER = GOOD.issue(dns=["peer.example"])
ELSE = GOOD.issue(dns=["else.example"])
LINK = link_of(PEER, GOOD)


def read(data: bytes, *, now: float = NOW, revoked: Callable[[int], bool] = lambda _: False) -> Answer:
    return read_answer(data, LINK, now, revoked)


def why(data: bytes, **options: Callable[[int], bool]) -> str:
    with pytest.raises(Unusable) as refused:
        read(data, **options)  # type: ignore[arg-type]
    return str(refused.value)


@pytest.mark.parametrize("state", ["good", "revoked", "unknown"])
@pytest.mark.parametrize("by_key", [False, True])
def test_the_cas_own_answer_is_taken(state: str, by_key: bool) -> None:
    data = ocsp_answer(PEER, GOOD, NOW, state, by_key=by_key)
    found = read(data)
    assert (found.state, found.this_update, found.next_update) == (state, NOW - HOUR, NOW + 24 * HOUR)
    assert found.der == data


@pytest.mark.parametrize("by_key", [False, True])
def test_a_delegated_responder_answers_for_its_ca(by_key: bool) -> None:
    assert read(ocsp_answer(PEER, GOOD, NOW, signer=Delegate(GOOD, NOW), by_key=by_key)).state == "good"


@pytest.mark.parametrize("ends", [-HOUR, HOUR])
def test_a_responder_may_send_its_former_certificate_beside_the_one_it_signs_with(ends: float) -> None:
    # RFC 6960 4.2.1: the certificates help to verify, in no order; the name of both is the same.
    former = Delegate(GOOD, NOW, purpose=ends < 0, ends=ends)
    assert read(ocsp_answer(PEER, GOOD, NOW, signer=Delegate(GOOD, NOW), beside=[former])).state == "good"


def test_a_responder_whose_key_can_be_broken_is_refused() -> None:
    weak = Delegate(GOOD, NOW, key=rsa.generate_private_key(65537, 1024))
    assert "has an RSA key of 1024 bits" in why(ocsp_answer(PEER, GOOD, NOW, signer=weak))


@pytest.mark.parametrize("later", [0, HOUR / 2])
@pytest.mark.parametrize("revoked_first", [True, False])
def test_of_what_one_answer_says_of_a_certificate_the_last_counts(revoked_first: bool, later: float) -> None:
    good = ocsp_answer(PEER, GOOD, NOW)
    revoked = ocsp_answer(PEER, GOOD, NOW, "revoked", begins=later - HOUR)
    other = ocsp_answer(ELSE, GOOD, NOW)
    both = (revoked, good) if revoked_first else (good, revoked)
    assert read(ocsp_answers(GOOD, other, *both)).state == "revoked"
    assert read(ocsp_answers(GOOD, other, good)).state == "good"


def test_an_answer_without_an_end_holds_an_hour() -> None:
    found = read(ocsp_answer(PEER, GOOD, NOW, begins=0, ends=None))
    assert found.fresh(NOW + HOUR) and not found.fresh(NOW + HOUR + 61)


def test_a_revoked_responder_is_refused_unless_it_says_that_nobody_need_ask() -> None:
    checked, exempt = Delegate(GOOD, NOW, no_check=False), Delegate(GOOD, NOW)
    gone = {checked.certificate.serial_number, exempt.certificate.serial_number}
    assert "certificate is revoked" in why(
        ocsp_answer(PEER, GOOD, NOW, signer=checked), revoked=gone.__contains__
    )
    assert read(ocsp_answer(PEER, GOOD, NOW, signer=checked)).state == "good"
    assert read(ocsp_answer(PEER, GOOD, NOW, signer=exempt), revoked=gone.__contains__).state == "good"


def unsuccessful(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")


def altered(octets: bytes) -> bytes:
    """The same but for the last bit, which is of the signature."""
    return octets[:-1] + bytes([octets[-1] ^ 1])


REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "replayed": (lambda: ocsp_answer(ELSE, GOOD, NOW), "about another certificate: a replay"),
    "of a namesake of the CA": (lambda: ocsp_answer(PEER, OTHER, NOW), "another certificate"),
    "signed by a stranger": (lambda: ocsp_answer(PEER, GOOD, NOW, signer=OTHER), "neither by CN=good CA nor"),
    "delegated by another CA": (
        lambda: ocsp_answer(PEER, GOOD, NOW, signer=Delegate(OTHER, NOW)),
        "signed by CN=the responder, whose certificate CN=good CA did not issue",
    ),
    "delegate without the purpose": (
        lambda: ocsp_answer(PEER, GOOD, NOW, signer=Delegate(GOOD, NOW, purpose=False)),
        "is not for OCSP (no OCSPSigning)",
    ),
    "delegate expired": (
        lambda: ocsp_answer(PEER, GOOD, NOW, signer=Delegate(GOOD, NOW, ends=-HOUR)), "only"
    ),
    "altered": (lambda: altered(ocsp_answer(PEER, GOOD, NOW)), "is not signed by CN=good CA"),
    "from the future": (lambda: ocsp_answer(PEER, GOOD, NOW, begins=120), "from the future"),
    "critical extension": (
        lambda: ocsp_answer(PEER, GOOD, NOW, extension=(UNKNOWN, True)), "critical extension"
    ),
    "try later": (
        lambda: unsuccessful(ocsp.OCSPResponseStatus.TRY_LATER),
        "the OCSP responder answers: try later",
    ),
    "a web page": (lambda: b"<html>", "this is no OCSP answer"),
    "nothing": (lambda: b"", "this is no OCSP answer"),
    "too long": (lambda: b"0" * (MAX_ANSWER + 1), "over 65536 bytes"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_what_proves_nothing_is_refused_with_the_reason(case: tuple[Callable[[], bytes], str]) -> None:
    made, expected = case
    assert expected in why(made())


def test_every_cut_of_an_answer_is_refused_and_none_breaks_the_reader() -> None:
    whole = ocsp_answer(PEER, GOOD, NOW, signer=Delegate(GOOD, NOW))
    for length in range(0, len(whole), 3):
        with pytest.raises(Unusable):
            read(whole[:length])


def test_the_question_names_the_certificate() -> None:
    asked = ocsp.load_der_ocsp_request(question(LINK))
    assert asked.serial_number == certificate_of(PEER).serial_number


def test_a_flipped_bit_anywhere_proves_nothing_else() -> None:
    # Outside of what is signed a bit may change and the answer still stand; what it says never changes.
    whole = ocsp_answer(PEER, GOOD, NOW, "revoked", signer=Delegate(GOOD, NOW))
    for at in range(len(whole)):
        try:
            found = read(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        except Unusable:
            continue
        assert (found.state, found.next_update) == ("revoked", NOW + 24 * HOUR), at


def test_an_answer_may_be_signed_with_rsassa_pss(tmp_path: Path) -> None:
    """As it must be where that is what the CA's key is for (RFC 4055 1.2); made by openssl throughout."""
    (tmp_path / "issued").write_text("V\t350101000000Z\t\t4D\tunknown\t/CN=peer\n")
    for line in (
        "req -x509 -newkey rsa-pss -pkeyopt rsa_keygen_bits:2048 -noenc -keyout ca.key -out ca.pem "
        "-subj /CN=pss",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout peer.key -out peer.csr "
        "-subj /CN=peer",
        "x509 -req -in peer.csr -CA ca.pem -CAkey ca.key -set_serial 77 -out peer.pem",
        "ocsp -issuer ca.pem -cert peer.pem -no_nonce -reqout question",
        "ocsp -index issued -CA ca.pem -rsigner ca.pem -rkey ca.key -resp_no_certs -reqin question "
        "-respout answer -ndays 1",
    ):
        subprocess.run(["openssl", *line.split()], cwd=tmp_path, check=True, capture_output=True)
    issuer, peer = (der((tmp_path / name).read_bytes()) for name in ("ca.pem", "peer.pem"))
    link, answer = read_link(peer, read_issuer(issuer)), (tmp_path / "answer").read_bytes()
    now = ocsp.load_der_ocsp_response(answer).produced_at_utc.timestamp()
    assert read_answer(answer, link, now, lambda _: False).state == "good"
    altered = answer[:-1] + bytes([answer[-1] ^ 1])
    with pytest.raises(Unusable, match="is not signed by CN=pss"):
        read_answer(altered, link, now, lambda _: False)
