"""The emergency numbers of sbc.yaml: as they are dialled, and routed by some rule."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from tests.unit.config.configuration import FILES, ROUTES, Write

WORDS = "emergency: {numbers: [112, 0110, +911, '999', '*55'], reserve: {calls: 3, cps: 0.5}}\n"


def built(write: Write, words: str, routes: str = ROUTES) -> Snapshot:
    files = {"sbc.yaml": FILES["sbc.yaml"] + words, "routes.d/10.yaml": routes}
    return build_snapshot(write(files), time.time())


def test_numbers_are_read_as_they_are_written(write: Write) -> None:
    emergency = built(write, WORDS).settings.emergency
    assert emergency is not None
    assert emergency.said == ("112", "0110", "+911", "999", "*55", "urn:service:sos")
    assert (emergency.reserve.calls, emergency.reserve.cps) == (3, 0.5)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "emergency: {numbers: [112, help]}",
            "sbc.yaml:12:28: error: numbers: 'help' is not a number that is dialled"
            " | write digits, such as 112",
        ),
        (
            "emergency: {urns: false}",
            "sbc.yaml:12:1: error: emergency: no call would be an emergency call"
            " | write numbers: [112, 911], or urns: true",
        ),
        (
            "emergency: {numbers: [112], reserve: {calls: 0}}",
            "sbc.yaml:12:46: error: calls: 0 is too small | the least is 1",
        ),
        (
            "emergency: {numbers: [112], reserve: {cps: 0}}",
            "sbc.yaml:12:44: error: cps: 0 is too small | the least is 0.1",
        ),
        (
            "emergency: {number: [112]}",
            "sbc.yaml:12:13: error: unknown key 'number' | did you mean 'numbers'?",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_a_remedy(write: Write, words: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        built(write, words + "\n")
    (found,) = [each for each in caught.value.diagnostics if each.severity == "error"]
    place = f"{found.path}:{found.line}:{found.col}: {found.severity}: {found.message} | {found.hint}"
    assert place == told


BARRED = """\
rules:
  - name: emergencies
    when: emergency and to.user != "0110"
    then: route "carrier"
  - name: short numbers
    when: length(to.user) < 5
    then: reject 403
  - name: out
    when: true
    then: route "carrier"
"""


def test_a_number_that_no_rule_routes_is_warned_of(write: Write) -> None:
    found = [
        f"{each.path}:{each.line}:{each.col} {each.message}"
        for each in built(write, WORDS, BARRED).warnings
        if "routes" in each.message
    ]
    assert found == ["sbc.yaml:12:28 no rule routes 0110, from whichever trunk"]


def test_tests_beside_the_rules_know_emergency_calls(write: Write) -> None:
    tests = """\
tests:
  - given: {trunk: carrier, to: "112"}
    expect: {route: [carrier], rule: emergencies}
  - given: {trunk: carrier, to: "urn:service:sos.fire"}
    expect: {rule: emergencies}
  - given: {trunk: carrier, to: "113"}
    expect: {reject: 403}
  - given: {trunk: carrier, to: "113", emergency: true}
    expect: {rule: emergencies}
"""
    assert built(write, WORDS, BARRED + tests).rules.tests
