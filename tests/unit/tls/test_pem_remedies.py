"""The command that is printed for a file of the wrong kind makes the right one of it: it is run here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Literal

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    pkcs7,
)

from sbc.config.model import Identity, TrustAnchor
from sbc.tls.material.anchors import load_anchor
from sbc.tls.material.identity import load_identity
from sbc.tls.material.problems import Problem
from tests.unit.tls.certs import GOOD, NOW

LEAF = GOOD.issue(dns=["sbc.example"])
Kind = Literal["ca", "leaf"]


def run(directory: Path, hint: str) -> list[str]:
    """Do what a hint says, as whoever knows the password does; the files that it says to name, in order."""
    command, _, names = hint.partition(", and name ")
    assert names, f"no command: {hint}"
    given = command.replace("openssl pkcs12", "openssl pkcs12 -passin pass:secret")
    done = subprocess.run(given, shell=True, cwd=directory, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return re.findall(r"\S+\.(?:pem|key)\b", names)


def trusted(directory: Path, kind: Kind, name: str) -> list[Problem]:
    material, problems = load_anchor("peers", TrustAnchor.model_validate({kind: name}), directory, NOW)
    assert (material is None) is bool(problems)
    return problems


def shown(directory: Path, chain: str, key: str) -> list[Problem]:
    material, problems = load_identity("sbc", Identity(chain=chain, key=key), directory, NOW)
    fatal = [each for each in problems if each.fatal]
    assert (material is None) is bool(fatal)
    return fatal


def pkcs12(directory: Path, name: str, *options: str) -> None:
    """A PKCS#12 file of the leaf, its key and its CA, as a Windows server exports it."""
    for file, data in (("l.pem", LEAF.cert_pem), ("l.key", LEAF.key_pem), ("c.pem", GOOD.cert_pem)):
        (directory / file).write_bytes(data)
    argv = ["-inkey", "l.key", "-in", "l.pem", "-certfile", "c.pem", "-passout", "pass:secret", "-out", name]
    subprocess.run(
        ["openssl", "pkcs12", "-export", *options, *argv], cwd=directory, check=True, capture_output=True
    )


WIDE = [
    ("UTF-16", lambda text: text.encode("utf-16")),
    ("UTF-16", lambda text: b"\xfe\xff" + text.encode("utf-16-be")),
    ("UTF-16LE", lambda text: text.encode("utf-16-le")),
    ("UTF-16BE", lambda text: text.encode("utf-16-be")),
]


@pytest.mark.parametrize(("named", "encode"), WIDE)
def test_pem_in_utf_16(tmp_path: Path, named: str, encode: object) -> None:
    assert callable(encode)
    (tmp_path / "ca.cer").write_bytes(encode(GOOD.cert_pem.decode()))
    (told,) = trusted(tmp_path, "ca", "ca.cer")
    assert f"a text in {named}," in told.message
    (name,) = run(tmp_path, told.hint)
    assert trusted(tmp_path, "ca", name) == []


def test_a_key_in_utf_16(tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_bytes(LEAF.chain_pem)
    (tmp_path / "k.key").write_bytes(LEAF.key_pem.decode().encode("utf-16"))
    (told,) = shown(tmp_path, "c.pem", "k.key")
    (name,) = run(tmp_path, told.hint)
    assert shown(tmp_path, "c.pem", name) == []


@pytest.mark.parametrize("options", [(), ("-legacy",)], ids=["of today", "with RC2"])
class TestPkcs12:
    def test_where_the_chain_belongs(self, tmp_path: Path, options: tuple[str, ...]) -> None:
        pkcs12(tmp_path, "sbc.p12", *options)
        (tmp_path / "k.pem").write_bytes(LEAF.key_pem)
        (told,) = shown(tmp_path, "sbc.p12", "k.pem")
        chain, key = run(tmp_path, told.hint)
        assert shown(tmp_path, chain, key) == []

    def test_where_the_key_belongs(self, tmp_path: Path, options: tuple[str, ...]) -> None:
        pkcs12(tmp_path, "sbc.p12", *options)
        (tmp_path / "chain.pem").write_bytes(LEAF.chain_pem)
        (told,) = shown(tmp_path, "chain.pem", "sbc.p12")
        (key,) = run(tmp_path, told.hint)
        assert shown(tmp_path, "chain.pem", key) == []

    @pytest.mark.parametrize("kind", ["ca", "leaf"])
    def test_where_trust_belongs(self, tmp_path: Path, options: tuple[str, ...], kind: Kind) -> None:
        pkcs12(tmp_path, "peer.pfx", *options)
        (told,) = trusted(tmp_path, kind, "peer.pfx")
        (name,) = run(tmp_path, told.hint)
        assert trusted(tmp_path, kind, name) == []


def test_a_root_of_version_1_is_told_from_a_certificate_that_is_no_ca(tmp_path: Path) -> None:
    (tmp_path / "k.pem").write_bytes(LEAF.key_pem)
    for argv in (
        ["req", "-new", "-key", "k.pem", "-subj", "/CN=Old Root", "-out", "r.csr"],
        ["x509", "-req", "-in", "r.csr", "-signkey", "k.pem", "-days", "9000", "-out", "root.pem"],
    ):
        subprocess.run(["openssl", *argv], cwd=tmp_path, check=True, capture_output=True)
    told = trusted(tmp_path, "ca", "root.pem")
    assert "CN=Old Root is of X.509 version 1" in told[0].message and "version 3" in told[0].hint
    assert "file the intermediate below it here" in told[0].hint


@pytest.mark.parametrize("encoding", [Encoding.PEM, Encoding.DER])
def test_a_bundle_of_certificates(tmp_path: Path, encoding: Encoding) -> None:
    (tmp_path / "ca.p7b").write_bytes(pkcs7.serialize_certificates([GOOD.certificate], encoding))
    (told,) = trusted(tmp_path, "ca", "ca.p7b")
    (name,) = run(tmp_path, told.hint)
    assert trusted(tmp_path, "ca", name) == []


def test_a_key_in_der(tmp_path: Path) -> None:
    key = load_pem_private_key(LEAF.key_pem, None)
    (tmp_path / "c.pem").write_bytes(LEAF.chain_pem)
    (tmp_path / "k.der").write_bytes(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    (told,) = shown(tmp_path, "c.pem", "k.der")
    (name,) = run(tmp_path, told.hint)
    assert shown(tmp_path, "c.pem", name) == []
