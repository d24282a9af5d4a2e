"""Which certificates of ours renew themselves, and which of them have their successor already."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sbc.admin.certificates import ours
from sbc.config.hook_set import NO_HOOKS
from sbc.config.model import Settings
from sbc.config.snapshot import Snapshot
from sbc.tls.lifetime.expiry import ORDERED, REMEDY, RENEWED
from sbc.tls.material.identity import IdentityMaterial
from tests.unit.tls.certs import DAY, NOW

NO_RULES: Any = None
BEGINS, ENDS = NOW - 40 * DAY, NOW + 7 * DAY


def material(name: str) -> IdentityMaterial:
    return IdentityMaterial(name, b"", b"", "CN=sbc", "CN=ca", (), BEGINS, ENDS, "ab" * 32, "")


def lives(acme: bool, *names: str) -> dict[str, tuple[str, str]]:
    """The state and remedy of each of ours, of which the staged ones have just been issued."""
    settings = Settings.model_validate({
        "listeners": {"tls": {"bind": "127.0.0.1:5061", "transport": "tls"}},
        "identities": {"sbc": {"chain": "sbc.pem", "key": "sbc.key", "acme": acme}},
    })  # fmt: skip
    identities = {
        name: replace(material(name), not_before=NOW, not_after=NOW + 47 * DAY)
        if "+" in name
        else material(name)
        for name in names
    }
    snapshot = Snapshot("0" * 12, Path(), settings, {}, NO_RULES, NO_HOOKS, identities, {})
    return {each.name: (each.state(NOW), each.remedy) for each in ours(snapshot)}


@pytest.mark.parametrize(
    ("acme", "names", "told"),
    [
        (False, ("sbc",), {"sbc": ("warning", REMEDY["ours"])}),
        (True, ("sbc",), {"sbc": ("overdue", ORDERED)}),
        (True, ("sbc", "sbc+next"), {"sbc": ("ok", RENEWED), "sbc+next": ("ok", ORDERED)}),
        (
            False, ("sbc", "sbc+next"),
            {"sbc": ("warning", REMEDY["ours"]), "sbc+next": ("ok", REMEDY["ours"])},
        ),
    ],
)  # fmt: skip
def test_what_is_told_of_ours(acme: bool, names: tuple[str, ...], told: dict[str, tuple[str, str]]) -> None:
    assert lives(acme, *names) == told
