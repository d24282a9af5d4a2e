"""Numbers of the configuration: a truth is none, and a unit stands only where one is read."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import CARRIER, Write

WRONG = [
    (
        "limits: {calls: true}",
        17,
        "calls: expected a number, found true",
        "write a number, or remove the key",
    ),
    ("limits: {cps: true}", 15, "cps: expected a number, found true", "write a number, or remove the key"),
    (
        "limits: {cps: 10/s}",
        15,
        "cps: expected a number, found the text '10/s'",
        "write 10, without what stands behind it",
    ),
    ("limits: {calls: many}", 17, "calls: expected a whole number, found the text 'many'", "write a number"),
    (
        "limits: {calls: 12:30}",
        17,
        "calls: expected a whole number, found the text '12:30'",
        "write a number",
    ),
]


@pytest.mark.parametrize(("line", "col", "message", "hint"), WRONG)
def test_what_is_no_number_is_told(write: Write, line: str, col: int, message: str, hint: str) -> None:
    directory = write({"trunks.d/carrier.yaml": f"{CARRIER}{line}\n"})
    with pytest.raises(ConfigError) as refused:
        build_snapshot(directory, time.time())
    (told,) = [each for each in refused.value.diagnostics if each.severity == "error"]
    assert (told.line, told.col, told.message, told.hint) == (12, col, message, hint)
