"""What the configuration may say of ACME, and what comes of an identity that has no certificate yet."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.acme import acme_names, ordered
from sbc.config.load import build_snapshot
from sbc.demo.pki import LabAuthority
from tests.unit.config.configuration import FILES, Write

SBC = FILES["sbc.yaml"].replace(
    "# the truststore",
    "  own: {chain: tls/own.pem, key: tls/own.key, acme: true}\n"
    "tenants:\n"
    "  acme: {domains: [SIP.acme.example, acme.example], server_identity: own}\n"
    "  globex: {domains: [globex.example], server_identity: own}\n"
    "acme: {directory: 'https://ca.example/dir', email: ops@acme.example}\n"
    "# the truststore",
)


def mistakes(write: Write, old: str = "", new: str = "") -> list[str]:
    assert old in SBC
    directory = write({"sbc.yaml": SBC.replace(old, new) if old else SBC})
    try:
        snapshot = build_snapshot(directory, time.time())
    except ConfigError as error:
        return [
            f"{each.line}: {each.message} | {each.hint}"
            for each in error.diagnostics
            if each.severity == "error"
        ]
    return [] if snapshot else ["nothing"]


def test_the_names_are_the_domains_of_the_tenants(write: Write) -> None:
    snapshot = build_snapshot(write({"sbc.yaml": SBC}), time.time())
    assert ordered(snapshot.settings) == ("own",)
    assert acme_names(snapshot.settings, "own") == ("acme.example", "globex.example", "sip.acme.example")
    assert acme_names(snapshot.settings, "sbc") == ()


def test_a_certificate_that_is_still_to_come_is_no_mistake(write: Write) -> None:
    directory = write({"sbc.yaml": SBC})
    snapshot = build_snapshot(directory, time.time())
    assert "own" not in snapshot.identities
    assert any("no certificate yet" in each.message for each in snapshot.warnings)
    for ending in ("pem", "key"):
        (directory / f"tls/own.{ending}").write_bytes((directory / f"tls/sbc.{ending}").read_bytes())
    snapshot = build_snapshot(directory, time.time())
    assert "own" in snapshot.identities
    assert not any("no certificate yet" in each.message for each in snapshot.warnings)


def test_half_a_pair_is_still_to_come(write: Write) -> None:
    directory = write({"sbc.yaml": SBC})
    (directory / "tls/own.pem").write_bytes((directory / "tls/sbc.pem").read_bytes())
    assert "own" not in build_snapshot(directory, time.time()).identities


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "acme: {directory: 'https://ca.example/dir', email: ops@acme.example}\n",
            "",
            "there is no ACME directory to order it from | write acme: {directory: https://...}",
        ),
        ("https://ca", "http://ca", "directory: 'http://ca.example/dir' is not an https address | write"),
        ("globex.example]", "'*.globex.example']", "HTTP-01 proves single names, never a wildcard | list"),
        ("server_identity: own", "server_identity: sbc", "no tenant has identity own, so there is no name"),
        ("own.key, ", "own.key, passphrase_file: tls/pass, ", "an ordered key has no passphrase | remove"),
        ("ops@acme.example}", "ops@acme.example, ca_file: tls/none.pem}", "here | there is no such file"),
        ("ops@acme.example}", "ops@acme.example, ca_file: tls/sbc.key}", "can be read here | give the CA"),
        ("ops@acme.example}", "ops}", "email: "),
        (
            "ops@acme.example}",
            "ops@acme.example, listen: '0.0.0.0:5061'}",
            "'acme' cannot bind 0.0.0.0:5061 | 'tls' has TCP 127.0.0.1:5061 already",
        ),
        (
            "ops@acme.example}",
            "ops@acme.example, external_account: {id: me, key_file: tls/sbc.key}}",
            "sbc.key: no key can be read here | it holds the key as",
        ),
        (
            "ops@acme.example}",
            "ops@acme.example, external_account: {id: me, key_file: nowhere}}",
            "nowhere: no key can be read here | there is no such file",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_ordered_is_said_at_load(write: Write, old: str, new: str, said: str) -> None:
    (mistake,) = mistakes(write, old, new)
    assert said in mistake


def test_a_right_one_has_no_mistake(write: Write) -> None:
    assert mistakes(write) == []


def test_an_expired_one_does_not_keep_us_from_running_for_only_so_is_it_renewed(write: Write) -> None:
    directory = write(
        {"sbc.yaml": SBC, "trunks.d/carrier.yaml": FILES["trunks.d/carrier.yaml"].replace(": sbc", ": own")}
    )
    expired = LabAuthority("CA").issue(dns=["acme.example"], not_after=time.time() - 60)
    (directory / "tls/own.pem").write_bytes(expired.chain_pem)
    (directory / "tls/own.key").write_bytes(expired.key_pem)
    snapshot = build_snapshot(directory, time.time())
    assert "expired on" in snapshot.why_quarantined("carrier")
    assert any(
        "expired on" in each.message and each.hint == "another is ordered" for each in snapshot.warnings
    )
