"""The secrecy report of what is recorded: a call that was protected lies on a disk that is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.secrecy import secrecy_report
from sbc.config.hooks import load_hooks
from sbc.config.model import Settings
from tests.property.test_secrecy import SETTINGS, TLS_TO_UDP, snapshot

LISTENERS = {
    name: {"bind": str(each.bind), "transport": each.transport} for name, each in SETTINGS.listeners.items()
}
KEPT = Settings.model_validate({"listeners": LISTENERS, "recordings": {"directory": "kept"}})
PLAIN = {"a": {"listener": "udp-1"}, "b": {"listener": "udp-1"}, "c": {"listener": "udp-1"}}
Rule = tuple[str, list[str], str]


def named(
    peers: dict[str, Any], *rules: Rule, hook: str = "", settings: Settings = KEPT
) -> list[tuple[str, str]]:
    made = replace(snapshot(peers, list(rules)), settings=settings)
    if hook:
        hooks, problems = load_hooks({"hooks/x.py": hook})
        assert not problems
        made = replace(made, hooks=hooks)
    leaks = [each for each in secrecy_report(made) if each.promise == "RECORDING"]
    for each in leaks:
        where = "hooks/x.py" if each.rule == "its on_media" else "kept"
        assert str(each).startswith(f"RECORDING: from {each.origin} to {where} unencrypted, by ")
    return [(each.origin, each.rule.partition(" (")[0]) for each in leaks]


def test_a_rule_that_records_what_came_over_tls_is_named() -> None:
    assert named(TLS_TO_UDP, ('trunk == "a"', ["record"], 'route "c"')) == [("a", "rule r0")]
    assert named(TLS_TO_UDP, ('trunk == "a"', [], 'route "c"')) == []


def test_a_leg_that_demands_srtp_is_protected_on_whichever_side_it_is() -> None:
    rule = ('trunk == "a"', ["record"], 'route "c"')
    assert named(PLAIN, rule) == []
    for secured in ("a", "c"):
        peers = {**PLAIN, secured: {"listener": "udp-1", "srtp": "required", "sdes_in_clear": True}}
        assert named(peers, rule) == [("a", "rule r0")]


def test_a_rule_that_goes_on_and_one_behind_it_are_told_apart() -> None:
    first, then = ('to.user == "1"', ["record"], "continue"), ('trunk == "a"', list[str](), 'route "c"')
    assert named(TLS_TO_UDP, first, then) == [(each, "rule r0") for each in ("a", "c")]
    behind = ("true", list[str](), 'route "c"'), ("true", ["record"], 'route "c"')
    assert named(TLS_TO_UDP, *behind) == []


@pytest.mark.parametrize("how", [{"redirects": "follow"}, {"transfers": "perform"}])
def test_as_a_call_of_whoever_redirects_or_transfers_it(how: dict[str, str]) -> None:
    rules = ('trunk == "a"', list[str](), 'route "c"'), ('trunk == "c"', ["record"], 'route "a"')
    assert ("a", "rule r1") not in named(TLS_TO_UDP, *rules)
    assert ("a", "rule r1") in named({**TLS_TO_UDP, "c": {"listener": "tls-2", **how}}, *rules)


def test_a_hook_may_have_any_call_recorded_where_there_is_a_place_for_it() -> None:
    hook = "def on_route(facts, decision): pass\n"
    rule = ('trunk == "a"', list[str](), 'route "c"')
    found = named(TLS_TO_UDP, rule, hook=hook)
    assert ("a", "hook hooks/x.py, which may have any call recorded") in found
    assert named(TLS_TO_UDP, rule, hook=hook, settings=SETTINGS) == []


def test_a_hook_that_hears_protected_calls_is_named() -> None:
    hook = "def on_media(facts, frames): pass\n"
    rule = ('trunk == "a"', list[str](), 'route "c"')
    assert named(TLS_TO_UDP, rule, hook=hook, settings=SETTINGS) == [("a", "its on_media")]
    assert named(PLAIN, rule, hook=hook, settings=SETTINGS) == []
