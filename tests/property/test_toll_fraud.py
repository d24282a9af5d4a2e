"""Limits of time against a plain sum; and who decides about a call says the same of its limits."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest

from dsl.decision import Limit, Route, Turn, Window
from dsl.facts import Facts
from sbc.b2bua.dry_run import describe
from sbc.b2bua.replay import facts_of_record
from sbc.observe.cdr import call_record
from sbc.policy.rule_limits import RuleLimits
from tests.playbook.stage import Stage
from tests.playbook.test_toll_fraud import Talk, passes, with_table

ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "America/New_York", "Pacific/Chatham", "UTC")]
# Both days of the year that are not of 24 hours are within three days of one of these.
BEGINS = [datetime(2026, 3, 27), datetime(2026, 10, 23), datetime(2026, 3, 6), datetime(2026, 10, 30)]


def began(now: float, zone: ZoneInfo, per: Turn) -> float:
    """When the hour or day that ``now`` is in began, found by looking minute by minute."""
    here = datetime.fromtimestamp(now, zone)
    wanted = (here.date(), here.hour, here.utcoffset()) if per == "hour" else here.date()
    moment = now // 60 * 60
    while True:
        before = datetime.fromtimestamp(moment - 60, zone)
        found = (before.date(), before.hour, before.utcoffset()) if per == "hour" else before.date()
        if found != wanted:
            return moment
        moment -= 60


@pytest.mark.parametrize("seed", range(24))
def test_what_is_spent_is_the_sum_of_what_was_talked_in_the_window(seed: int) -> None:
    chance = Random(seed)
    zone = ZONES[seed % 4]
    per: Turn = "hour" if chance.random() < 0.5 else "day"
    limit = Limit("k", 100_000, 0, 403, "", Window("minutes", per, zone))
    limits, at = RuleLimits(), 50.0
    start = (chance.choice(BEGINS) + timedelta(minutes=chance.randrange(1440))).replace(tzinfo=zone)
    epoch = start.timestamp() - at
    talked: list[tuple[float, float]] = []
    running: dict[str, float] = {}
    for step in range(120):
        at += chance.choice((1.0, 17.5, 600.0, 3000.0, 20_000.0)) * chance.random()
        now = epoch + at
        if running and chance.random() < 0.45:
            call = chance.choice(sorted(running))
            talked.append((running.pop(call), now))
            limits.release((limit,), call, at, now)
        else:
            assert limits.admit((limit,), at, now) is None
            running[str(step)] = now
            limits.begin((limit,), str(step), at, now)
        if chance.random() < 0.3:
            limits.allowances.tick(at, now)
        first = began(now, zone, per)
        spans = [*talked, *[(begun, now) for begun in running.values()]]
        wanted = sum(max(0.0, end - max(begun, first)) for begun, end in spans) / 60
        found = {each.key: each.used for each in limits.allowances.views(at, now, 9)}
        assert found.get("k", 0.0) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("seed", range(30))
def test_rules_tests_replay_and_live_calls_agree_about_limits(seed: int) -> None:
    chance = Random(seed)
    to = chance.choice(('"+882"', "table.irsf", '["+1", table.irsf]', '"+49"'))
    amount = chance.choice(("60 minutes a day", "5 calls a day", "2 calls", "3 hours an hour"))
    rules = f"""
zone: Europe/Berlin
rules:
  - name: guard
    when: trunk == "office"
    then: |
      limit {amount} per from.user to {to}
      limit 7 minutes a day per trunk
      continue
  - name: out
    when: trunk == "office"
    then: route "carrier"
"""
    configuration = with_table({"minutes_a_day": 10, "calls_a_day": 9, "per": "caller"}, rules)
    there = Stage(configuration)
    number, caller = chance.choice(("+88212", "+8811", "+4930", "+1212")), chance.choice(("alice", "bob"))
    talk = Talk(there, f"sip:{number}@sbc.example", caller).answered()
    (call,) = there.engine.calls.values()
    live = {each.key for each in call.limits}
    passes(there, 3)
    talk.over()

    facts = Facts(trunk="office", ruri_user=number, from_user=caller, now=there.now)
    decided = configuration.rules.decide(facts)
    explained, _ = configuration.rules.explain(facts)
    assert isinstance(decided, Route) and decided == explained
    told = there.noted("call-ended")[-1]
    again = configuration.rules.decide(
        facts_of_record(configuration, json.loads(call_record(told.call, told.fields)))
    )
    assert isinstance(again, Route) and again.limits == decided.limits
    of_trunk = configuration.premium["office"].of(decided, number, (caller,))
    assert live == {each.key for each in decided.limits + of_trunk}
    shown = [line for line in describe(configuration, facts, decided) if line.startswith("  limit ")]
    assert len(shown) == len(live) and all(any(f" for {key}," in line for line in shown) for key in live)
