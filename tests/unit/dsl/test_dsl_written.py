"""Numbers and hosts as people write them in rules, against a call's, which has the one form of its URI.

RFC 3966 5.1.1: what helps the eye says nothing. RFC 3261 25.1: no user has a blank, so a blank helps the eye
too. RFC 5952: an IPv6 address has one shortest form.
"""

from __future__ import annotations

import pytest

from dsl.addresses import read_party
from dsl.arrival import NOWHERE, written
from dsl.decision import Route
from dsl.load import load
from dsl.names import Known

KNOWN = Known(trunks=frozenset(("a",)))


def holds(condition: str, to: str, before: str = "") -> bool:
    """Whether a rule with this condition takes a call to ``to``."""
    text = f'{before}rules:\n  - name: it\n    when: |\n      {condition}\n    then: route "a"\n'
    rules, found = load({"a.yaml": text}, KNOWN)
    assert rules is not None, found
    facts = written(NOWHERE, called=read_party(to))
    return isinstance(rules.decide(facts), Route)


@pytest.mark.parametrize(
    ("condition", "to"),
    [
        ('to.user == "+49 30 1234"', "+49301234"),
        ('to.user == "+49\u00a030\u00a01234"', "+49301234"),
        ('"+49-30-1234" == to.user', "+49301234"),
        ('to.user in ["+1", "+49 (30) 1234"]', "+49301234"),
        ('to.user in "+49-30-100".."+49-30-199"', "+4930150"),
        ('to.user in "+49 30 100".."+4930199"', "+4930150"),
        ('to.user starts with "+49 30"', "+49301234"),
        ('to.user starts with "0900-1"', "0900123"),
        ('to.user starts with "0900 1"', "0900123"),
        ('to.user starts with "(0900)"', "0900123"),
        ('to.user ends with "555-1234"', "+13055551234"),
        ('to.user starts with "0900-1"', "0900-1-service"),
        ('to.user starts with "john-"', "john-smith"),
        ('to.host == "[2001:DB8:0::1]"', "sip:1@[2001:db8::1]"),
        ('to.host == "2001:DB8:0::1"', "sip:1@[2001:db8::1]"),
        ('to.host in ["a.example", "2001:DB8:0:0::1"]', "sip:1@[2001:db8::1]"),
        ('"A.example" == to.host', "sip:1@a.EXAMPLE"),
    ],
)
def test_a_number_or_host_means_the_same_however_it_is_written(condition: str, to: str) -> None:
    assert holds(condition, to)


@pytest.mark.parametrize(
    ("condition", "to"),
    [
        ('to.user ends with "-1"', "2341"),
        ('to.user starts with "-1"', "123"),
        ('to.user == "0900 1"', "09002"),
        ('to.user in "+49-30-100".."+49-30-199"', "+4930200"),
    ],
)
def test_what_it_does_not_mean_it_does_not_take(condition: str, to: str) -> None:
    assert not holds(condition, to)


def test_a_list_of_barred_numbers_bars_them_however_they_are_written() -> None:
    lists = "lists:\n  premium: [0900 1, +49 900, (0)190]\n"
    for number in ("09001555", "+49900555", "0190555"):
        assert holds("to.user starts with list.premium", number, lists)


def test_a_host_that_a_rule_has_set_is_one_for_the_next() -> None:
    text = (
        "rules:\n  - name: first\n    when: true\n    then: |\n"
        '      set to.host = "[2001:DB8::1]"\n      continue\n'
        '  - name: second\n    when: to.host == "2001:db8::1"\n    then: route "a"\n'
    )
    rules, found = load({"a.yaml": text}, KNOWN)
    assert rules is not None, found
    assert isinstance(rules.decide(written(NOWHERE)), Route)


def test_many_rules_of_numbers_are_filed_as_they_are_asked() -> None:
    rows = "".join(
        f'  - name: r{each}\n    when: to.user starts with "0900-{each}"\n    then: reject 40{each}\n'
        for each in range(10)
    )
    rules, found = load({"a.yaml": f"rules:\n{rows}"}, KNOWN)
    assert rules is not None, found
    for each in range(10):
        for to in (f"0900{each}55", f"0900-{each}-x"):
            facts = written(NOWHERE, called=read_party(to))
            assert rules.decide(facts).rule.startswith(f"r{each} ("), to
            assert rules.decide(facts) == rules.explain(facts)[0]
