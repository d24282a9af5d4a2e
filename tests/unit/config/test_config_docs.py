"""The examples of docs/configuration.md are a configuration that passes, and the page knows every key."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from sbc.config.load import build_snapshot
from sbc.config.model import (
    Caps,
    Identity,
    Listener,
    MediaConfig,
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


@pytest.mark.parametrize(
    "model", [Caps, Identity, Listener, MediaConfig, Settings, Tenant, Trunk, TrunkTls, TrustAnchor]
)
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    keys = [field.alias or name for name, field in model.model_fields.items()]
    assert [key for key in keys if f"`{key}`" not in PAGE] == []
