"""Who is a candidate: by address, by the tenant behind the SNI, by strictness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest

from sbc.config.model import Match, Tenant, Trunk
from sbc.tls.match import TrustTable, build_table
from sbc.tls.sources import SourceIndex, parse_network, share_addresses
from tests.unit.tls.certs import GOOD, admission, anchor, trunk

ANCHORS = {"good": anchor(GOOD)}
TENANTS = {
    "acme": Tenant(domains=("sbc.acme.example", "*.acme.net.example"), server_identity="acme-id"),
    "lax": Tenant(domains=("sbc.lax.example",), server_identity="lax-id"),
}


@dataclass(frozen=True)
class Row:
    trunk: str
    mode: str = "required"
    tenant: str | None = None
    sources: tuple[str, ...] = ("10.0.0.0/8",)
    listener: str = "tls"
    identity: str | None = None
    number: str = ""


def table(*rows: Row) -> TrustTable:
    trunks = {}
    for row in rows:
        tls: Any = {"mode": row.mode, "trust": ("good",), "server_identity": row.identity}
        trunks[row.trunk] = Trunk(
            trunk=row.trunk,
            tenant=row.tenant,
            sources=row.sources,
            listener=row.listener,
            tls=tls,
            match=Match.model_validate({"number": row.number}) if row.number else None,
        )
    return build_table(trunks, TENANTS, ANCHORS, ["tls", "other"])


def names(
    made: TrustTable, source: str = "10.0.0.1", sni: str = "", listener: str = "tls"
) -> tuple[str, ...]:
    found = made.admit(listener, source, sni)
    return () if found is None else found.names


COMMON = Row("common")
ACME = Row("acme-1", tenant="acme")
LAX = Row("lax-1", "server", "lax")
ACME_NUMBER = replace(ACME, number="1")
LAX_NUMBER = replace(LAX, number="2")


@pytest.mark.parametrize(
    ("rows", "sni", "expected"),
    [
        ((COMMON,), "", ("common",)),
        ((COMMON,), "anything.example", ("common",)),
        ((ACME,), "sbc.acme.example", ("acme-1",)),
        ((ACME,), "SBC.acme.EXAMPLE", ("acme-1",)),
        ((ACME,), "a.acme.net.example", ("acme-1",)),
        ((ACME,), "a.b.acme.net.example", ()),
        ((ACME,), "acme.net.example", ()),
        ((ACME,), "unknown.example", ()),
        ((ACME,), "", ("acme-1",)),
        ((ACME, LAX), "", ()),
        ((ACME, LAX), "sbc.acme.example", ("acme-1",)),
        ((ACME_NUMBER, LAX_NUMBER), "", ("acme-1", "lax-1")),
        ((ACME_NUMBER, LAX), "", ()),
        ((ACME_NUMBER, LAX_NUMBER), "sbc.lax.example", ("lax-1",)),
        ((ACME_NUMBER, LAX_NUMBER), "unknown.example", ()),
        ((ACME, LAX), "sbc.lax.example", ("lax-1",)),
        ((ACME, COMMON), "", ("common",)),
        ((ACME, COMMON), "unknown.example", ("common",)),
        ((ACME, COMMON), "sbc.acme.example", ("acme-1", "common")),
        ((ACME, Row("open", "server")), "sbc.acme.example", ("acme-1",)),
        ((ACME, Row("maybe", "optional")), "sbc.acme.example", ("acme-1",)),
        ((LAX, Row("open", "server")), "sbc.lax.example", ("lax-1", "open")),
        (
            (Row("elsewhere", tenant="acme", sources=("192.0.2.1",)), Row("open", "server")),
            "sbc.acme.example",
            (),
        ),
        ((Row("plain", "off"),), "", ()),
        ((Row("unsourced", sources=()),), "", ()),
        ((Row("there", listener="other"),), "", ()),
    ],
)
def test_candidates(rows: tuple[Row, ...], sni: str, expected: tuple[str, ...]) -> None:
    assert names(table(*rows), sni=sni) == expected


@pytest.mark.parametrize("source", ["11.0.0.1", "::1", "not an address", "", "10.0.0.1.example"])
def test_an_address_outside_is_nobody(source: str) -> None:
    assert names(table(COMMON), source=source) == ()
    assert table(COMMON).candidates_by_source("tls", source) == ()


def test_an_unknown_listener_admits_nobody() -> None:
    assert names(table(COMMON), listener="nowhere") == ()


def test_ipv4_mapped_addresses_are_ipv4() -> None:
    assert names(table(COMMON), source="::ffff:10.0.0.1") == ("common",)


def test_the_identity_is_the_tenants_then_the_candidates_then_the_listeners() -> None:
    made = table(ACME, Row("a", identity=None), Row("z", identity="z-id", sources=("192.0.2.1",)))
    assert getattr(made.admit("tls", "10.0.0.1", "sbc.acme.example"), "identity", None) == "acme-id"
    assert getattr(made.admit("tls", "10.0.0.1", ""), "identity", None) == "z-id"
    assert getattr(table(Row("a")).admit("tls", "10.0.0.1", ""), "identity", "?") is None


def test_the_same_candidates_are_the_same_admission() -> None:
    made = table(COMMON, ACME)
    first = made.admit("tls", "10.0.0.1", "x.example")
    assert first is made.admit("tls", "10.9.9.9", "y.example")
    assert first is not made.admit("tls", "10.0.0.1", "sbc.acme.example")


def test_what_a_context_needs_follows_from_the_candidates() -> None:
    strict = table(COMMON).admit("tls", "10.0.0.1", "")
    mixed = table(COMMON, Row("open", "server")).admit("tls", "10.0.0.1", "")
    lax = table(Row("open", "server")).admit("tls", "10.0.0.1", "")
    assert strict is not None and mixed is not None and lax is not None
    assert [(each.asks, each.demands) for each in (strict, mixed, lax)] == [
        (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert [each.name for each in strict.anchors] == ["good CA"] and lax.anchors == ()


def test_a_candidate_without_groups_leaves_the_choice_to_openssl() -> None:
    some, any_group = trunk("a", groups=("P-256", "X25519")), trunk("b")
    assert admission([some, trunk("c", groups=("P-384", "P-256"))]).groups == ("P-256", "X25519", "P-384")
    assert admission([some, any_group]).groups == ()


def test_outbound_always_judges_the_server() -> None:
    made = table(Row("open", "server"), Row("plain", "off"))
    dialled = made.outbound("open", "peer.example")
    assert dialled is not None and dialled.demands and dialled.host_names == ("peer.example",)
    assert dialled.identity is None
    assert made.outbound("plain", "peer.example") is None
    assert made.outbound("unknown", "peer.example") is None


def test_narrower_networks_come_first() -> None:
    index = SourceIndex([("0.0.0.0/0", "all"), ("10.0.0.0/8", "ten"), ("10.0.0.1", "one"), ("::/0", "six")])
    assert index.lookup("10.0.0.1") == ("one", "ten", "all")
    assert index.lookup("10.0.0.2") == ("ten", "all")
    assert index.lookup("2001:db8::1") == ("six",)
    assert index.lookup("10.0.0.1") == ("one", "ten", "all"), "the remembered answer is the same"


def test_a_network_that_cannot_be_read_is_an_error() -> None:
    assert str(parse_network(" ::ffff:10.0.0.0/104 ")) == "10.0.0.0/8"
    for text in ("10.0.0.0/33", "peer.example", ""):
        with pytest.raises(ValueError):
            SourceIndex([(text, "x")])


class TestBinding:
    """Which trunk is shown what is staged: outbound each its own, inbound all that share an address."""

    def bound(self, bound: dict[str, frozenset[str]], *trunks: str, tenant: str | None = None) -> TrustTable:
        tls: Any = {"mode": "required", "trust": ("good",), "client_identity": "sbc"}
        if tenant is None:
            tls["server_identity"] = "sbc"
        made = {
            name: Trunk(trunk=name, tenant=tenant, sources=("10.0.0.0/8",), listener="tls", tls=tls)
            for name in trunks
        }
        return build_table(made, TENANTS, ANCHORS, ["tls"], bound)

    def shown(self, made: TrustTable, sni: str = "") -> str | None:
        found = made.admit("tls", "10.0.0.1", sni)
        assert found is not None
        return found.identity

    def test_outbound_by_trunk(self) -> None:
        made = self.bound({"a": frozenset({"sbc"})}, "a", "b")
        shown = [found.identity for name in "ab" if (found := made.outbound(name, "peer.example"))]
        assert shown == ["sbc+next", "sbc"]

    def test_inbound_only_when_every_candidate_that_it_answers_is_bound(self) -> None:
        both = {"a": frozenset({"sbc"}), "b": frozenset({"sbc"})}
        assert self.shown(self.bound({"a": frozenset({"sbc"})}, "a", "b")) == "sbc"
        assert self.shown(self.bound({"a": frozenset({"another"})}, "a")) == "sbc"
        assert self.shown(self.bound(both, "a", "b")) == "sbc+next"

    def test_a_tenant_s_identity_too(self) -> None:
        made = self.bound({"a": frozenset({"acme-id"})}, "a", tenant="acme")
        assert self.shown(made, "sbc.acme.example") == "acme-id+next"


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        (["10.0.0.0/8"], ["10.1.2.3"], True),
        (["10.0.0.1"], ["10.0.0.2"], False),
        (["192.0.2.0/24", "2001:db8::/32"], ["2001:db8::1"], True),
        (["0.0.0.0/0"], ["::/0"], False),
        ([], ["::/0"], False),
    ],
)
def test_whether_two_trunks_share_addresses(one: list[str], other: list[str], shared: bool) -> None:
    assert share_addresses(one, other) is share_addresses(other, one) is shared
