"""What came as JSON, held against what is declared."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sbc.typed import wrong_argument


class Verb:
    """An object that is called, as some verbs of the control socket are."""

    limit: int = 1

    def __call__(self, force: bool = False) -> None:
        """Do it."""

    def method(self, force: bool = False) -> None:
        """Do it."""


def function(force: bool = False) -> None:
    """Do it."""


@pytest.mark.parametrize("verb", [Verb(), Verb().method, function], ids=["object", "method", "function"])
def test_an_argument_of_a_wrong_type_is_named(verb: Callable[..., object]) -> None:
    assert wrong_argument(verb, {"force": True}) == ""
    assert wrong_argument(verb, {"force": "yes"}) == "force"
