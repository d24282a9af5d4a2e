"""ARCHITECTURE.md names functions and files; each of them exists."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "ARCHITECTURE.md").read_text("utf-8")
# Dotted names of ours in backquotes, such as `sbc.net.driver.Driver.on_message`.
NAMES = sorted(set(re.findall(r"`((?:sbc|dsl|webui)(?:\.\w+)+)`", TEXT)))
PLACES = sorted(set(re.findall(r"`((?:sbc|dsl|webui|tests|docs|bench)/[\w/.]*)`", TEXT)))


def resolve(name: str) -> object:
    """The object that a dotted name means: the longest importable module, then attributes."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            module = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        return reduce(getattr, parts[length:], module)
    raise ModuleNotFoundError(name)


def test_the_path_of_an_invite_is_named() -> None:
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_what_is_named_exists(name: str) -> None:
    assert resolve(name) is not None


@pytest.mark.parametrize("place", PLACES)
def test_places_that_are_named_exist(place: str) -> None:
    assert (ROOT / place).exists()


def test_a_wrong_name_would_be_found() -> None:
    with pytest.raises(AttributeError):
        resolve("sbc.b2bua.engine.Engine.no_such_method")
