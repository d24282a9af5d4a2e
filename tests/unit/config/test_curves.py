"""An identity on a curve that a trunk's groups leave out is told of where the groups are."""

from __future__ import annotations

import time

import pytest

from sbc.config.load import build_snapshot
from sbc.demo.pki import LabAuthority
from tests.unit.config.configuration import CARRIER, SBC, Write
from tests.unit.tls.certs import P384, P521, openssl_leaf


def warned(write: Write, key: tuple[str, ...], trunk: str) -> list[str]:
    directory = write({"sbc.yaml": SBC, "trunks.d/carrier.yaml": trunk})
    issued = openssl_leaf(LabAuthority("root"), directory, key, "DNS:sbc.example")
    (directory / "tls/sbc.pem").write_bytes(issued.chain_pem)
    (directory / "tls/sbc.key").write_bytes(issued.key_pem)
    told = build_snapshot(directory, time.time()).warnings
    return [f"{each.path}:{each.line}: {each.message}" for each in told if "groups" in each.message]


def with_groups(groups: str) -> str:
    return CARRIER.replace("  name_match", f"  groups: [{groups}]\n  name_match")


@pytest.mark.parametrize(
    ("key", "trunk", "said"),
    [
        (P384, CARRIER, []),
        (P384, with_groups("X25519, P-256"), ["10: identity 'sbc' has a key on P-384"]),
        (P384, with_groups("X25519, P-384"), []),
        (P521, CARRIER, ["5: identity 'sbc' has a key on P-521"]),
        (P521, CARRIER.replace("  name_match", '  min_version: "1.3"\n  name_match'), []),
        (("rsa:2048",), with_groups("X25519"), []),
    ],
)
def test_a_curve_must_be_among_the_groups(
    write: Write, key: tuple[str, ...], trunk: str, said: list[str]
) -> None:
    assert warned(write, key, trunk) == [
        f"trunks.d/carrier.yaml:{each}, which is not in `groups`" for each in said
    ]


def test_an_identity_that_nobody_is_shown_says_nothing(write: Write) -> None:
    lonely = with_groups("X25519").replace("sources: [10.0.0.0/8]\n", "")
    assert warned(write, P384, lonely.replace("client_identity: sbc", "client_identity: none")) == []
