"""docs/limits.md: its examples pass and mean what the page says, and every key is explained."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.config.limits import RATED, Limits, Overload
from sbc.config.load import build_snapshot
from sbc.config.model import Caps
from sbc.demo.pki import write_lab
from sbc.policy.rates import RateLimits

PAGE = (Path(__file__).parents[3] / "docs" / "limits.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
USERS = "alice:example.com:1f3870be274f6c49b3e31a0c6728957f3d53b5e1e8b8c0f0d7b24b1e65f0b1aa\n"
RULES = 'rules: [{name: out, when: trunk == "phones", then: route "carrier"}]\n'


def test_the_examples_are_right_and_hold(tmp_path: Path) -> None:
    write_lab(tmp_path, time.time())
    for name, text in {**EXAMPLES, "users/phones": USERS, "routes.d/10.yaml": RULES}.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    made = build_snapshot(tmp_path, time.time())
    limits, passed = RateLimits(), 0
    for address in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
        passed += sum(limits.admit(made.rated["carrier"], address, "INVITE", 0.0) is None for _ in range(30))
    assert passed == 40
    over = limits.admit(made.rated["carrier"], "203.0.113.4", "INVITE", 0.0)
    assert over is not None and over.cap == "limits.rates.invite"
    assert over.why in re.sub(r"\s+", " ", PAGE)


@pytest.mark.parametrize("key", [*Limits.model_fields, *Overload.model_fields, *Caps.model_fields])
def test_every_key_is_explained(key: str) -> None:
    if key != "streams_per_call":  # which is no matter of floods
        assert key in PAGE


@pytest.mark.parametrize("method", RATED)
def test_every_method_is_named(method: str) -> None:
    assert f"`{method}`" in PAGE
