"""Snapshot: who speaks for which trunk, when trust has changed, that nothing can be changed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from sbc.config.load import build_snapshot
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from tests.peers.waiting import until_freed
from tests.unit.config.configuration import CARRIER, SBC, Write

PLAIN = "trunk: {}\npeers: [192.0.2.1:5060]\nsources: [{}]\nlistener: {}\n"


def build(directory: Path) -> Snapshot:
    return build_snapshot(directory, time.time())


class TestSources:
    @pytest.fixture
    def snapshot(self, write: Write) -> Snapshot:
        return build(
            write(
                {
                    "sbc.yaml": SBC.replace(
                        "  udp:", "  tcp: {bind: 127.0.0.1:5060, transport: tcp}\n  udp:"
                    ),
                    "trunks.d/a.yaml": PLAIN.format("a", "192.0.2.0/24, 2001:db8::/32", "udp"),
                    "trunks.d/b.yaml": PLAIN.format("b", "192.0.2.128", "udp"),
                    "trunks.d/c.yaml": PLAIN.format("c", "192.0.2.0/24", "tcp"),
                }
            )
        )

    @pytest.mark.parametrize(
        ("listener", "address", "trunk"),
        [
            ("udp", "192.0.2.1", "a"),
            ("udp", "192.0.2.128", "b"),
            ("udp", "2001:db8::1", "a"),
            ("tcp", "192.0.2.128", "c"),
            ("udp", "198.51.100.1", None),
            ("nowhere", "192.0.2.1", None),
        ],
    )
    def test_the_trunk_of_an_address(
        self, snapshot: Snapshot, listener: str, address: str, trunk: str | None
    ) -> None:
        assert snapshot.trunk_for(listener, address) == trunk


class TestTrustGeneration:
    @pytest.fixture
    def generation(self, write: Write) -> Callable[[dict[str, str]], str]:
        return lambda files: build(write(files)).trust_generations["carrier"]

    @pytest.mark.parametrize(
        ("path", "right", "other"),
        [
            ("trunks.d/carrier.yaml", "mode: required", "mode: optional"),
            ("trunks.d/carrier.yaml", "name_match: rfc5922", "name_match: rfc2818"),
            ("trunks.d/carrier.yaml", "  name_match", "  names: [a.example]\n  name_match"),
            ("trunks.d/carrier.yaml", "  name_match", "  min_version: '1.3'\n  name_match"),
            ("trunks.d/carrier.yaml", "client_identity: sbc", "client_identity: none"),
            ("sbc.yaml", "tls/carrier-ca.pem", "tls/lab-ca.pem"),
            ("sbc.yaml", "carrier-ca.pem}", "carrier-ca.pem, permitted: [.example]}"),
            (
                "sbc.yaml",
                "chain: tls/sbc.pem, key: tls/sbc.key",
                "chain: tls/office.pem, key: tls/office.key",
            ),
        ],
    )
    def test_whatever_concerns_trust_changes_it(
        self, generation: Callable[[dict[str, str]], str], path: str, right: str, other: str
    ) -> None:
        text = {"sbc.yaml": SBC, "trunks.d/carrier.yaml": CARRIER}[path]
        assert right in text
        assert generation({path: text.replace(right, other)}) != generation({path: text})

    @pytest.mark.parametrize("line", ["limits: {calls: 1}", "sips: forbid", "# comment"])
    def test_nothing_else_does(self, generation: Callable[[dict[str, str]], str], line: str) -> None:
        assert generation({"trunks.d/carrier.yaml": f"{CARRIER}{line}\n"}) == generation({})

    def test_the_tenants_certificate_counts(self, write: Write) -> None:
        trunk = CARRIER.replace("  server_identity: sbc\n", "") + "tenant: t\n"
        tenants = "tenants: {{t: {{domains: [t.example], server_identity: {}}}}}\n"
        other = SBC.replace("# the trust", "  two: {chain: tls/office.pem, key: tls/office.key}\n# the trust")
        seen = set()
        for name in ("sbc", "two"):
            snapshot = build(
                write({"sbc.yaml": other + tenants.format(name), "trunks.d/carrier.yaml": trunk})
            )
            assert snapshot.identity_of(snapshot.trunks["carrier"]) == name
            seen.add(snapshot.trust_generations["carrier"])
        assert len(seen) == 2

    def test_an_unknown_trunk_has_none(self, write: Write) -> None:
        with pytest.raises(KeyError):
            build(write({})).trust_generations["nobody"]


class TestImmutable:
    def test_nothing_can_be_assigned(self, write: Write) -> None:
        snapshot = build(write({}))
        with pytest.raises(FrozenInstanceError):
            snapshot.version = "other"  # type: ignore[misc]
        with pytest.raises(TypeError):
            snapshot.trunks["x"] = snapshot.trunks["carrier"]  # type: ignore[index]
        with pytest.raises(ValueError, match="frozen"):
            snapshot.trunks["carrier"].srtp = "off"

    def test_a_plaintext_trunk_has_a_generation_and_no_identity(self) -> None:
        settings = Settings.model_validate(
            {"listeners": {"u": {"bind": "127.0.0.1:5060", "transport": "udp"}}}
        )
        trunk = Trunk(trunk="a", listener="u")
        snapshot = Snapshot("0" * 12, Path("."), settings, {"a": trunk}, rules=None)  # type: ignore[arg-type]
        assert snapshot.identity_of(trunk) is None
        assert len(snapshot.trust_generations["a"]) == 16


def test_the_store_swaps_and_returns_the_former(write: Write) -> None:
    former, fresh = build(write({})), build(write({}))
    store = SnapshotStore(former)
    assert store.swap(fresh) is former
    assert store.current is fresh


@pytest.mark.slow
def test_the_store_counts_the_former_ones_that_are_still_held(write: Write) -> None:
    held, store = build(write({})), SnapshotStore(build(write({})))
    store.swap(held)
    store.swap(build(write({})))
    until_freed(lambda: store.replaced == 1, "only one is held")
    del held
    until_freed(lambda: store.replaced == 0, "none is held")
