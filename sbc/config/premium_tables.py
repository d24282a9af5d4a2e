"""The tables that ``limits.premium`` of trunks name: whether they are there, and what comes of both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from zoneinfo import ZoneInfo

from dsl.breath import breathe
from dsl.decision import Limit, Window
from dsl.errors import Diagnostic
from dsl.ruleset import RuleSet
from dsl.scope import TABLE
from dsl.table import DATE, Table
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.config.model import Trunk
from sbc.config.premium import PremiumLimits
from sbc.config.schema import suggest
from sbc.policy.premium import Premium

#: Who is over an allowance is refused for good, who is over a number of calls for now.
_SPENT, _BUSY = 403, 503


def check_premium(
    settings: SettingsFile, trunks: list[TrunkFile], tables: Mapping[str, Table]
) -> Iterator[Diagnostic]:
    """What is wrong with the tables that trunks name."""
    for trunk in trunks:
        breathe()
        found = trunk.value.limits.premium
        if found is None or not trunk.right("limits"):
            continue
        name, loc = found.to.removeprefix(TABLE), ("limits", "premium", "to")
        if name not in settings.names("tables"):
            hint = suggest(name, settings.names("tables"), "name its file under `tables:` in sbc.yaml")
            yield trunk.error(loc, f"there is no table {name!r}", hint)
        elif name in tables and tables[name].kind == DATE:
            hint = "name a table of numbers, with the column prefix or key"
            yield trunk.error(loc, f"{found.to} is a table of dates", hint)


def premium_of(trunks: Iterable[Trunk], rules: RuleSet) -> Mapping[str, Premium]:
    """For each trunk whose file says so, what its calls to numbers that cost come under."""
    found: dict[str, Premium] = {}
    for trunk in trunks:
        said = trunk.limits.premium
        table = tables_of(rules).get(said.to.removeprefix(TABLE)) if said is not None else None
        if said is not None and table is not None:
            found[trunk.trunk] = Premium(tuple(_limits(trunk.trunk, said)), table.find, said.per == "caller")
    return MappingProxyType(found)


def tables_of(rules: RuleSet) -> Mapping[str, Table]:
    """The tables that a set of rules looks up, by their names."""
    return rules.rules[0].scope.tables if rules.rules else {}


def _limits(trunk: str, said: PremiumLimits) -> Iterator[Limit]:
    zone, name = ZoneInfo(said.zone) if said.zone is not None else None, f"trunk {trunk} premium"
    if said.calls is not None:
        yield Limit(f"{name} calls", said.calls, 0, _BUSY, name=name)
    windows = (
        (said.calls_a_day, Window("calls", "day", zone)),
        (said.minutes_an_hour, Window("minutes", "hour", zone, said.hard)),
        (said.minutes_a_day, Window("minutes", "day", zone, said.hard)),
    )
    for most, window in windows:
        if most is not None:
            yield Limit(f"{name} {window.of} a {window.per}", most, 0, _SPENT, window=window, name=name)
