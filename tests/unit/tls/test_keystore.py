"""Mis-filed material is found at load, and each finding says what to do."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from pydantic import ValidationError

from sbc.config.model import TrustAnchor
from sbc.demo.pki import LabAuthority
from sbc.tls.material.anchors import AnchorMaterial, load_anchor
from sbc.tls.material.certificate import read_certificate
from sbc.tls.material.identity import IdentityMaterial, load_identity
from sbc.tls.material.problems import Problem
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, der


@dataclass(frozen=True)
class Entry:
    chain: str = "chain.pem"
    key: str = "key.pem"
    passphrase_file: str | None = None


MIDDLE = LabAuthority("middle", issuer=GOOD, now=NOW)
LEAF = MIDDLE.issue(dns=["sbc.example", "b.example"], uris=["sip:sbc.example"], ips=["192.0.2.1"])
LEAF_FACTS = read_certificate(der(LEAF.cert_pem))
ANOTHER = MIDDLE.issue(dns=["another.example"])


def load(
    directory: Path, chain: bytes | None, key: bytes | None, entry: Entry = Entry(), now: float = NOW
) -> tuple[IdentityMaterial | None, list[Problem]]:
    for name, data in (("chain.pem", chain), ("key.pem", key)):
        if data is not None:
            (directory / name).write_bytes(data)
    return load_identity("sbc", entry, directory, now)


def test_a_good_identity(tmp_path: Path) -> None:
    material, problems = load(tmp_path, LEAF.chain_pem, LEAF.key_pem)
    assert material is not None and problems == []
    assert material.sans == ("dns:sbc.example", "dns:b.example", "uri:sip:sbc.example", "ip:192.0.2.1")
    assert (material.subject, material.issuer) == ("CN=sbc.example", "CN=middle")
    assert len(material.thumbprint) == 64 and material.pin.startswith("sha256/")
    assert material.not_before < NOW < material.not_after
    assert "PRIVATE" not in repr(material) and "key_pem" not in repr(material)


def test_a_chain_in_the_wrong_order_is_put_right_when_it_can_be(tmp_path: Path) -> None:
    material, problems = load(tmp_path, MIDDLE.cert_pem + LEAF.cert_pem, LEAF.key_pem)
    assert material is not None and problems == []
    assert material.chain_pem.startswith(LEAF.cert_pem)


@pytest.mark.parametrize(
    ("chain", "key", "now", "message", "hint"),
    [
        (LEAF.key_pem, LEAF.chain_pem, NOW, "private key where the certificate chain belongs", "swap"),
        (LEAF.chain_pem, LEAF.cert_pem, NOW, "a certificate where the key belongs", "swap"),
        (LEAF.chain_pem, ANOTHER.key_pem, NOW, "not the key of chain.pem", "request a new"),
        (b"rubbish", LEAF.key_pem, NOW, "no certificate can be read", "openssl x509"),
        (LEAF.chain_pem, b"rubbish", NOW, "no PEM private key", "openssl pkey"),
        (
            LEAF.cert_pem + OTHER.cert_pem,
            LEAF.key_pem,
            NOW,
            "not signed by the certificate that follows",
            "order",
        ),
        (LEAF.chain_pem, LEAF.key_pem, NOW + 400 * DAY, "expired on", "renew"),
        (LEAF.chain_pem, LEAF.key_pem, NOW - 2 * DAY, "not valid before", "clock"),
        (None, LEAF.key_pem, NOW, "no such file", "looked for"),
        (LEAF.chain_pem, None, NOW, "no such file", "looked for"),
    ],
)
def test_mis_filed_identities(
    tmp_path: Path, chain: bytes | None, key: bytes | None, now: float, message: str, hint: str
) -> None:
    material, problems = load(tmp_path, chain, key, now=now)
    assert material is None
    assert any(message in each.message and hint in each.hint and each.fatal for each in problems), problems
    assert "PRIVATE KEY" not in "".join(map(str, problems))


def test_a_ca_in_the_keystore(tmp_path: Path) -> None:
    key = GOOD.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    material, problems = load(tmp_path, GOOD.cert_pem, key)
    assert material is None and "is a CA certificate" in problems[0].message


def test_a_leaf_without_its_intermediates_is_a_warning(tmp_path: Path) -> None:
    material, problems = load(tmp_path, LEAF.cert_pem, LEAF.key_pem)
    assert material is not None
    assert [each.fatal for each in problems] == [False] and "intermediate" in problems[0].message
    entry = Entry()
    assert load_identity("sbc", entry, tmp_path, NOW, roots=["CN=middle"])[1] == []


def test_days_before_it_expires_there_is_a_warning(tmp_path: Path) -> None:
    material, problems = load(tmp_path, LEAF.chain_pem, LEAF.key_pem, now=NOW + 360 * DAY)
    assert material is not None and not problems[0].fatal and "in under 6 days" in problems[0].message


@pytest.mark.parametrize(("days", "warned"), [(6, False), (1, False), (0.5, True)])
def test_a_certificate_of_six_days_is_no_mistake_for_all_its_life(
    tmp_path: Path, days: float, warned: bool
) -> None:
    begins = NOW + (days - 6) * DAY
    short = MIDDLE.issue(dns=["sbc.example"], not_before=begins, not_after=NOW + days * DAY)
    material, problems = load(tmp_path, short.chain_pem, short.key_pem)
    assert material is not None and bool(problems) is warned
    assert not warned or "in under 1 day;" in str(problems[0])


def test_encrypted_keys(tmp_path: Path) -> None:
    key = load_pem_private_key(LEAF.key_pem, None)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret words"))
    assert "encrypted" in load(tmp_path, LEAF.chain_pem, sealed)[1][0].message
    (tmp_path / "right").write_bytes(b"secret words\n")
    (tmp_path / "wrong").write_bytes(b"other words\n")
    material, _ = load(tmp_path, LEAF.chain_pem, sealed, Entry(passphrase_file="right"))
    assert material is not None and material.key_pem.startswith(b"-----BEGIN PRIVATE KEY")
    material, problems = load(tmp_path, LEAF.chain_pem, sealed, Entry(passphrase_file="wrong"))
    assert material is None and "does not open" in problems[0].message
    assert "words" not in str(problems)
    material, _ = load(tmp_path, LEAF.chain_pem, LEAF.key_pem, Entry(passphrase_file="right"))
    assert material is not None, "a passphrase for a key in the clear does no harm"


def trust(
    directory: Path, data: bytes, now: float = NOW, kind: str = "ca"
) -> tuple[AnchorMaterial | None, list[Problem]]:
    (directory / "file.pem").write_bytes(data)
    entry = TrustAnchor(ca="file.pem") if kind == "ca" else TrustAnchor(leaf=("file.pem",))
    return load_anchor("peers", entry, directory, now)


def test_a_truststore_file_may_hold_several_cas(tmp_path: Path) -> None:
    material, problems = trust(tmp_path, GOOD.cert_pem + OTHER.cert_pem)
    assert material is not None and problems == []
    assert material.subjects == ("CN=good CA", "CN=other CA")
    assert len(material.thumbprints) == 2


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (LEAF.key_pem, "ca", "private key in the truststore"),
        (GOOD.cert_pem + LEAF.key_pem, "ca", "private key in the truststore"),
        (LEAF.cert_pem, "ca", "is not a CA certificate"),
        (b"rubbish", "ca", "no certificate can be read"),
        (LEAF.cert_pem + ANOTHER.cert_pem, "leaf", "pinned leaf is one certificate"),
    ],
)
def test_mis_filed_trust(tmp_path: Path, data: bytes, kind: str, message: str) -> None:
    material, problems = trust(tmp_path, data, kind=kind)
    assert material is None
    assert any(message in each.message and each.hint for each in problems)


def test_an_expired_ca_is_a_warning_and_trusts_nobody_by_itself(tmp_path: Path) -> None:
    material, problems = trust(tmp_path, GOOD.cert_pem, now=NOW + 4000 * DAY)
    assert material is not None and not problems[0].fatal


@pytest.mark.parametrize(
    ("entry", "wrong"),
    [
        ({"pin": "sha256/" + "a" * 64}, ""),
        ({"pin": ["SHA256/" + "A" * 64, "sha256//" + "A" * 43 + "="]}, ""),
        ({"pin": "sha256/" + "a" * 63}, "64 hexadecimal digits"),
        ({"pin": "sha1/" + "a" * 40}, "64 hexadecimal digits"),
        ({}, "neither ca nor leaf nor pin"),
        ({"ca": "x.pem", "pin": "sha256/" + "a" * 64}, "ca and pin together"),
        ({"leaf": ["a.pem", " "]}, "nothing is given"),
    ],
)
def test_an_entry_is_of_one_kind(tmp_path: Path, entry: dict[str, object], wrong: str) -> None:
    if wrong:
        with pytest.raises(ValidationError, match=wrong):
            TrustAnchor.model_validate(entry)
        return
    material, problems = load_anchor("peers", TrustAnchor.model_validate(entry), tmp_path, NOW)
    assert material is not None and problems == []
    assert all(each.startswith("sha256/") and len(each) == 71 and each.islower() for each in material.pins)


def test_a_pinned_base64_is_the_same_pin(tmp_path: Path) -> None:
    digits = LEAF_FACTS.identity.pin
    spelt = "sha256/" + base64.b64encode(bytes.fromhex(digits[7:])).decode()
    assert TrustAnchor.model_validate({"pin": spelt}).pin == (digits,)


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)
    loaded: Callable[[], object] = lambda: load_anchor("peers", TrustAnchor(ca="file.pem"), tmp_path, NOW)  # noqa: E731
    (tmp_path / "file.pem").write_text("x")
    assert "not readable" in str(loaded())
