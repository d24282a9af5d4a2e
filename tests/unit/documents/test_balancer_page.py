"""docs/balancer.md: its listener is one that loads, and its numbers are those in force."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from sbc.config.model import Listener
from sbc.policy.proxy_header import HEAD, LONGEST

PAGE = (Path(__file__).parents[3] / "docs" / "balancer.md").read_text("utf-8")


def test_the_listener_loads() -> None:
    (text,) = re.findall(r"```yaml\n# sbc.yaml\n(.*?)```", PAGE, re.DOTALL)
    (given,) = YAML(typ="safe").load(text)["listeners"].values()
    listener = Listener.model_validate(given)
    assert listener.proxy_protocol == ("10.0.0.5/32",)
    assert listener.idle_timeout < 30 * 60, "the balancer's time-outs are longer"


def test_the_bounds_are_right() -> None:
    assert f"more than {LONGEST} octets behind the first {HEAD}" in PAGE
