"""What a trunk may send outside of calls: only rules that name the method take it."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import FILES, ROUTES, Write

TRUNK = "trunks.d/carrier.yaml"
TEXTS = ROUTES.replace(
    "rules:\n", 'rules:\n  - name: texts\n    when: method == "MESSAGE"\n    then: route "carrier"\n'
)


def warned(write: Write, more: str, routes: str = ROUTES) -> list[str]:
    files = {TRUNK: FILES[TRUNK] + more, "routes.d/10.yaml": routes}
    found = build_snapshot(write(files), time.time()).warnings
    return [
        f"{each.path}:{each.line}:{each.col} {each.message} | {each.hint}"
        for each in found
        if "method" in each.message
    ]


def test_a_method_that_no_rule_names_is_warned_of(write: Write) -> None:
    assert warned(write, "methods: [MESSAGE]\n") == [
        "trunks.d/carrier.yaml:12:1 no rule names `method`: each MESSAGE gets 404"
        ' | write a rule such as `when: method == "MESSAGE"`: all others are about calls alone'
    ]
    assert warned(write, "methods: [MESSAGE]\n", TEXTS) == [] == warned(write, "")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("methods: [MESAGE]", "'MESAGE' is not a choice | write one of MESSAGE, NOTIFY"),
        ("bodies: [pidf]", "'pidf' is not a body that can cross | write one of pidf-lo, isup, qsig, siprec"),
        (
            "limits: {rates: {message: 0}}",
            "0 a second lets nothing pass | write a number over 0, such as 20/s",
        ),
    ],
)
def test_a_word_that_is_none_is_told_with_those_that_are(write: Write, words: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_snapshot(write({TRUNK: FILES[TRUNK] + words + "\n"}), time.time())
    (found,) = [each for each in caught.value.diagnostics if each.severity == "error"]
    assert f"{found.message} | {found.hint}".partition(": ")[2] == told and found.line == 12
