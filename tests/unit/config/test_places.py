"""The line to change: found when the file is read, named for the kind of failure that it decides."""

from __future__ import annotations

import time
from typing import get_args

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.places import deciding_key, place_to_change
from sbc.tls.failure import Direction, Failure, Kind
from tests.unit.config.configuration import CARRIER, SBC, Write


@pytest.mark.parametrize(
    ("kind", "direction", "place"),
    [
        ("unknown-ca", "inbound", "trunks.d/carrier.yaml:9 (tls.trust)"),
        ("no-certificate", "inbound", "trunks.d/carrier.yaml:6 (tls.mode)"),
        ("rejected-by-peer", "outbound", "trunks.d/carrier.yaml:8 (tls.client_identity)"),
        ("rejected-by-peer", "inbound", "trunks.d/carrier.yaml:7 (tls.server_identity)"),
        ("name-mismatch", "outbound", "trunks.d/carrier.yaml:5 (tls.names)"),  # not given: where `tls:` is
        ("expired", "inbound", ""),
        ("timeout", "inbound", ""),
    ],
)
def test_each_kind_has_its_line(write: Write, kind: Kind, direction: Direction, place: str) -> None:
    snapshot = build_snapshot(write({}), time.time())
    failure = Failure(kind, "what", "how")
    assert place_to_change(snapshot.places, "carrier", failure, direction) == place


def test_a_trust_entry_has_its_line_in_sbc_yaml(write: Write) -> None:
    text = SBC.replace(
        "carrier-ca: {ca: tls/carrier-ca.pem}", "carrier.ca: {ca: tls/carrier-ca.pem, permitted: [x.example]}"
    )
    carrier = CARRIER.replace("carrier-ca", "carrier.ca")
    snapshot = build_snapshot(write({"sbc.yaml": text, "trunks.d/carrier.yaml": carrier}), time.time())
    failure = Failure("name-mismatch", "what", "how", key="trust.carrier.ca.permitted")
    place = place_to_change(snapshot.places, "carrier", failure, "inbound")
    assert place == "sbc.yaml:10 (trust.carrier.ca.permitted)"


def test_every_key_that_decides_is_a_key_of_a_trunk(write: Write) -> None:
    places = build_snapshot(write({}), time.time()).places["carrier"]
    directions: tuple[Direction, ...] = ("inbound", "outbound")
    for kind in get_args(Kind):
        for direction in directions:
            key = deciding_key(kind, direction)
            assert not key or key in places


def test_a_trunk_that_is_unknown_has_no_line() -> None:
    assert place_to_change({}, "nobody", Failure("unknown-ca", "what", "how"), "inbound") == ""


def test_declared_authorities_are_checked(write: Write) -> None:
    good = CARRIER.replace("srtp:", "  peer_trusts: [carrier-ca, 'CN=Their CA,O=Carrier']\nsrtp:")
    assert build_snapshot(write({"trunks.d/carrier.yaml": good}), time.time()).trunks
    for wrong, message in (
        ("carier-ca", "unknown trust anchor"),
        ("CN", "unknown"),
        ("=x", "subject of a CA"),
    ):
        text = CARRIER.replace("srtp:", f"  peer_trusts: ['{wrong}']\nsrtp:")
        with pytest.raises(ConfigError) as refused:
            build_snapshot(write({"trunks.d/carrier.yaml": text}), time.time())
        (found,) = [each for each in refused.value.diagnostics if each.severity == "error"]
        assert message in found.message and (found.path, found.line) == ("trunks.d/carrier.yaml", 11)
