"""What is wrong with a `blocklist`: the line, what it is, and what to write instead."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import SBC, Write


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("blocklist:", "nothing is given | write false to block nobody, or leave the key out"),
        ("blocklist: {failures: 0}", "failures: 0 is too small | the least is 1"),
        ("blocklist: {failures: 101}", "failures: 101 is too much | the most is 100"),
        (
            "blocklist: {within: 2d}",
            "within: what happened is remembered for a day at most | write",
        ),
        ("blocklist: {for: ever}", "for: 'ever' is not a duration | write a number and ms, s, m, h or d"),
        ("blocklist: {lasts: 1h}", "unknown key 'lasts'"),
        ("blocklist: {scanners: [sipcli/1]}", "'sipcli/1' is no product | write what stands before the /"),
        (
            "blocklist: off",
            "'off' is no blocklist | write false to block nobody, or {",
        ),
    ],
)
def test_it_is_said(write: Write, words: str, said: str) -> None:
    with pytest.raises(ConfigError) as found:
        build_snapshot(write({"sbc.yaml": f"{words}\n{SBC}"}), time.time())
    (diagnostic,) = [each for each in found.value.diagnostics if each.severity == "error"]
    assert str(diagnostic).startswith("sbc.yaml:1:") and said in f"{diagnostic.message} | {diagnostic.hint}"


@pytest.mark.parametrize("words", ["blocklist: true", "blocklist: {}", ""])
def test_the_defaults_hold_where_nothing_else_is_said(write: Write, words: str) -> None:
    settings = build_snapshot(write({"sbc.yaml": f"{words}\n{SBC}"}), time.time()).settings.blocklist
    assert settings is not None and settings.terms == (15, 300.0, 3600.0)
