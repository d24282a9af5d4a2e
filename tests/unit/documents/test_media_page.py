"""docs/media.md: its examples are valid, and its tables are those of the product."""

from __future__ import annotations

import re
from pathlib import Path

from ruamel.yaml import YAML

from sbc.config.model import Trunk
from sbc.media.policy import SUITES

PAGE = (Path(__file__).parents[3] / "docs" / "media.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[str]:
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)


def test_every_example_is_a_trunk() -> None:
    assert EXAMPLES and [
        Trunk.model_validate(YAML(typ="safe", pure=True).load(each)).trunk for each in EXAMPLES
    ]


def test_the_suites_are_named_in_the_order_in_which_they_are_offered() -> None:
    assert tuple(rows("SRTP suites")) == SUITES
