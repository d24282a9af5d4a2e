"""Emergency numbers that no rule takes anywhere: told before somebody dials one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dsl.addresses import read_party
from dsl.arrival import Arrival, written
from dsl.breath import breathe
from dsl.decision import Reject
from dsl.errors import Diagnostic
from dsl.ruleset import RuleSet
from sbc.config.crosscheck import SettingsFile

_HINT = "put a rule `when: emergency` that routes it before the rules that bar numbers"


def check_emergency(
    settings: SettingsFile, rules: RuleSet, arrivals: Mapping[str, Arrival]
) -> Iterator[Diagnostic]:
    """A warning for each emergency number that is rejected from every trunk, as far as these two say."""
    emergency = settings.value.emergency
    if emergency is None or not rules.rules:
        return
    for at, number in enumerate(emergency.said):
        if arrivals and not any(_is_routed(number, each, rules) for each in arrivals.values()):
            loc = ("emergency", "numbers", at) if at < len(emergency.numbers) else ("emergency",)
            yield settings.document.problem(
                loc, f"no rule routes {number}, from whichever trunk", _HINT, severity="warning"
            )


def _is_routed(number: str, arrival: Arrival, rules: RuleSet) -> bool:
    breathe()
    facts = written(arrival, read_party(number), emergency=True, unchallenged=True)
    return not isinstance(rules.decide(facts), Reject)
