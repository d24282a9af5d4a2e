"""Whose a call is where several trunks share an address: the most specific of what they ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.addresses import Party, read_party
from sbc.policy.customers import Customer, Customers, Numbers, covering

A = Customer("a", numbers=(Numbers("+4930"),))
LONGER = Customer("longer", numbers=(Numbers("+49301"),))
BLOCK = Customer("block", numbers=(Numbers("+4930100", "+4930149"),))
DOMAIN = Customer("domain", to_hosts=("customer.example",))
CALLER = Customer("caller", from_hosts=("pbx.example",))
BOTH = Customer("both", to_hosts=("customer.example",), from_hosts=("pbx.example",))
NUMBER_AT = Customer("number-at", numbers=(Numbers("+4930"),), to_hosts=("customer.example",))
REST = Customer("rest")
ACCOUNT = Customer("account", registers=True, contact="4930555")
OTHER = Customer("other", registers=True, contact="4930666")


def chosen(
    *members: Customer, to: str = "+4930100@sbc.example", caller: str = "sip.example", own: str = "",
    among: tuple[str, ...] | None = None, kept: bool = False,
) -> str | None:  # fmt: skip
    names = tuple(each.trunk for each in members)
    called: Party = read_party(to)
    return Customers(members).choose(called, caller, own or names[0], names if among is None else among, kept)


@pytest.mark.parametrize(
    ("members", "to", "expected"),
    [
        ((A, LONGER, BLOCK, DOMAIN, REST), "+4930100@customer.example", "block"),
        ((A, LONGER, BLOCK, DOMAIN, REST), "+4930150@customer.example", "longer"),
        ((A, LONGER, BLOCK, DOMAIN, REST), "+49301001@customer.example", "longer"),
        ((A, LONGER, BLOCK, DOMAIN, REST), "+4930200@customer.example", "a"),
        ((A, LONGER, BLOCK, DOMAIN, REST), "+1212@customer.example", "domain"),
        ((A, LONGER, BLOCK, DOMAIN, REST), "+1212@sbc.example", "rest"),
        ((A, LONGER, BLOCK, DOMAIN), "+1212@sbc.example", None),
        ((A, NUMBER_AT), "+4930100@customer.example", "number-at"),
        ((A, NUMBER_AT), "+4930100@sbc.example", "a"),
        ((ACCOUNT, A), "4930555@sbc.example", "account"),
        ((ACCOUNT, A), "+4930555@sbc.example", "a"),
        ((ACCOUNT, REST), "4930777@sbc.example", "rest"),
        ((ACCOUNT, OTHER), "4930666@sbc.example", "other"),
        ((ACCOUNT, OTHER), "4930777@sbc.example", None),
        ((ACCOUNT, A), "4930777@sbc.example", "account"),
    ],
)
def test_the_most_specific_wins(members: tuple[Customer, ...], to: str, expected: str | None) -> None:
    assert chosen(*members, to=to) == expected
    assert chosen(*reversed(members), to=to) == expected


@pytest.mark.parametrize(
    ("to", "caller", "expected"),
    [
        ("1@customer.example", "pbx.example", "both"),
        ("1@customer.example", "sip.example", "domain"),
        ("1@sbc.example", "pbx.example", "caller"),
        ("1@sbc.example", "sip.example", None),
    ],
)
def test_hosts(to: str, caller: str, expected: str | None) -> None:
    assert chosen(DOMAIN, CALLER, BOTH, to=to, caller=caller) == expected


def test_a_trunk_that_the_address_does_not_speak_for_is_no_choice() -> None:
    assert chosen(LONGER, A, own="a", among=("a",)) == "a"
    assert chosen(ACCOUNT, A, to="4930555@sbc.example", own="a", among=("a",)) is None


def test_on_the_connection_that_registered_the_rest_is_the_account_s() -> None:
    assert chosen(ACCOUNT, OTHER, to="+1212@sbc.example", own="other", kept=True) == "other"
    assert chosen(ACCOUNT, OTHER, to="4930555@sbc.example", own="other", kept=True) == "account"


def test_two_accounts_of_one_user_are_told_by_what_they_match() -> None:
    twin = ACCOUNT._replace(trunk="twin", numbers=(Numbers("+4940"),))
    named = ACCOUNT._replace(numbers=(Numbers("+4930"),))
    assert chosen(named, twin, to="+49401@sbc.example") == "twin"
    assert chosen(named, twin, to="4930555@sbc.example") is None


def test_whoever_called_when_nobody_s_caller_fits() -> None:
    customers = Customers([CALLER, A])
    called = read_party("1@sbc.example")
    assert customers.choose(called, "sip.example", "a", ("a", "caller"), False) is None
    assert customers.choose(called, None, "a", ("a", "caller"), False) == "caller"


def test_in_words() -> None:
    assert A.says() == "number +4930"
    assert BLOCK.says() == "number +4930100..+4930149"
    assert BOTH.says() == "to.host customer.example and from.host pbx.example"
    assert ACCOUNT._replace(numbers=(Numbers("+49"),)).says() == "Contact 4930555 or number +49"
    assert REST.says() == "whatever no other takes"
    assert ACCOUNT._replace(contact="").says() == "its own connection"
    many = Customer("many", to_hosts=("a", "b", "c", "d", "e"))
    assert many.says() == "to.host a, b, c and 2 more"


@pytest.mark.slow
@given(st.integers(0, 9999), st.integers(0, 9999))
def test_a_block_is_covered_exactly(one: int, other: int) -> None:
    low, high = sorted((one, other))
    found = list(covering(f"+{low:04}", f"+{high:04}"))
    numbers = [f"+{number:04}" for number in range(10000)]
    covered = [each for each in numbers if any(each.startswith(prefix) for prefix in found)]
    assert covered == numbers[low : high + 1]
    assert len(found) <= 9 * 2 * 4
