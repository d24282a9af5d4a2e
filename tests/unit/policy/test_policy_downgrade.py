"""SIPS downgrade (RFC 5630): when it is one, and what each policy makes of it."""

from __future__ import annotations

import pytest

from dsl.decision import Downgrade
from sbc.policy.downgrade import verdict

POLICIES: tuple[Downgrade, ...] = ("allow", "warn", "forbid")


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(("a", "b"), [(True, True), (False, True), (False, False)])
def test_no_downgrade_is_always_allowed(a: bool, b: bool, policy: Downgrade) -> None:
    assert verdict(a, b, policy) == ("allow", False, 0, "")


@pytest.mark.parametrize("policy", ["allow", "warn"])
def test_a_permitted_downgrade_is_still_told(policy: Downgrade) -> None:
    assert verdict(True, False, policy) == (policy, True, 0, "")


def test_a_forbidden_one_is_480_with_warning_380() -> None:
    judged = verdict(True, False, "forbid")
    assert (judged.outcome, judged.downgraded, judged.status) == ("forbid", True, 480)
    assert judged.warning.format(agent="sbc.example") == '380 sbc.example "SIPS Not Allowed"'
