"""The examples of docs/configuration.md are a configuration that passes, and the page knows every key."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from sbc.b2bua.leg import network_of
from sbc.config.emergency import Emergency, EmergencyReserve
from sbc.config.load import build_snapshot
from sbc.config.media import Marks, MediaConfig, MediaNetwork
from sbc.config.model import (
    Caps,
    Dns,
    Identity,
    Listener,
    Server,
    Settings,
    Tenant,
    Trunk,
    TrunkTls,
    TrustAnchor,
)
from tests.unit.config.configuration import Write

PAGE = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_are_right(write: Write) -> None:
    snapshot = build_snapshot(write(EXAMPLES), time.time())
    assert set(EXAMPLES) == {"sbc.yaml", "trunks.d/carrier.yaml"}
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []


def test_the_example_of_peers_with_a_priority_is_right(write: Write) -> None:
    peers, _ = re.findall(r"^```yaml\n(peers:\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    carrier = re.sub(r"^peers: .*\n", peers, EXAMPLES["trunks.d/carrier.yaml"], flags=re.MULTILINE)
    snapshot = build_snapshot(write({**EXAMPLES, "trunks.d/carrier.yaml": carrier}), time.time())
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
    first, last = snapshot.trunks["carrier"].ranks
    assert [each.weight for each in first] == [3, 1] and last[0].host == "backup.carrier.lab.example"
    assert set(snapshot.trunks["carrier"].patience.values()) == {4.0}


def test_the_examples_of_domains_are_right(write: Write) -> None:
    examples = re.findall(r"^```yaml\n((?:peers|srv):.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    found = []
    for words in examples[1:]:
        carrier = re.sub(r"^peers: .*\n", words, EXAMPLES["trunks.d/carrier.yaml"], flags=re.MULTILINE)
        snapshot = build_snapshot(write({**EXAMPLES, "trunks.d/carrier.yaml": carrier}), time.time())
        assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
        found.append(snapshot.trunks["carrier"])
    one, two = found
    assert one.peers == one.domains == two.domains and len(two.peers) == 2


@pytest.mark.parametrize(
    "model",
    [
        Caps,
        Dns,
        Emergency,
        EmergencyReserve,
        Identity,
        Listener,
        Marks,
        MediaConfig,
        MediaNetwork,
        Server,
        Settings,
        Tenant,
        Trunk,
        TrunkTls,
        TrustAnchor,
    ],
)
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in PAGE] == []


def test_the_example_of_networks_is_right_and_a_trunk_may_be_in_one(write: Write) -> None:
    (networks,) = re.findall(r"```yaml\n(media:\n  networks:\n.*?)```", PAGE, re.DOTALL)
    settings = re.sub(r"^media: .*\n", lambda found: networks, EXAMPLES["sbc.yaml"], flags=re.MULTILINE)
    settings += "dscp: {sip: cs3, rtp: ef}\n"
    trunk = EXAMPLES["trunks.d/carrier.yaml"] + "network: wan\n"
    files = {**EXAMPLES, "sbc.yaml": settings, "trunks.d/carrier.yaml": trunk}
    snapshot = build_snapshot(write(files), time.time())
    assert network_of(snapshot, snapshot.trunks["carrier"]) == "wan"
    bound = [each.address for each in snapshot.settings.media.places]
    assert bound == ["10.0.0.9", "10.0.0.9", "2001:db8::9"]
    assert (snapshot.settings.dscp.sip, snapshot.settings.dscp.rtp) == (24, 46)


def test_the_example_of_emergency_calls_is_right(write: Write) -> None:
    (words,) = re.findall(r"```yaml\n(emergency: .*\n)```", PAGE)
    snapshot = build_snapshot(write({**EXAMPLES, "sbc.yaml": EXAMPLES["sbc.yaml"] + words}), time.time())
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
    emergency = snapshot.settings.emergency
    assert emergency is not None and emergency.said == ("112", "911", "urn:service:sos")
    assert (emergency.reserve.calls, emergency.reserve.cps) == (10, 5.0)
