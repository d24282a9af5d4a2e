"""What is said of a call that is not made."""

from __future__ import annotations

import pytest

from dsl.decision import Downgrade, Redirect
from dsl.facts import Facts
from sbc.b2bua.dry_run import describe
from tests.playbook.stage import snapshot

CLEAR, SECURE = "sip:b.example", "sips:b.example"


@pytest.mark.parametrize(
    ("transport", "policy", "said"),
    [
        ("tls", None, [f"  {CLEAR}: a SIPS downgrade (warn)"]),
        ("tls", "allow", [f"  {CLEAR}: a SIPS downgrade (allow)"]),
        ("tls", "forbid", [f"  {CLEAR}: not told: the downgrade is forbidden (forbid)"]),
        ("udp", "forbid", []),
    ],
)
def test_a_redirect_says_which_targets_lose_tls(
    transport: str, policy: Downgrade | None, said: list[str]
) -> None:
    decision = Redirect((CLEAR, SECURE), "moved (10.yaml:2)", downgrade=policy)
    lines = describe(snapshot(), Facts(trunk="office", transport=transport), decision)
    assert lines == ["decided by moved (10.yaml:2)", f"redirect {CLEAR}, {SECURE}", *said]
