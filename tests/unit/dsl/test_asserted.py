"""Who a network says that a caller is: one reading of every spelling, for rules and for what is sent on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.arrival import claimed
from dsl.asserted import is_screened, is_withheld, party_of, read_said
from sbc.policy.identity import taken
from sbc.sip.headers import Headers


@pytest.mark.parametrize(
    ("value", "display", "user", "uri"),
    [
        ("<sip:+1@h>", "", "+1", "sip:+1@h"),
        ('"A \\"B\\"" <sip:+1-2@H.example;user=phone>', 'A "B"', "+12", "sip:+12@h.example;user=phone"),
        ("Alice B <SIPS:alice@h>;x=y", "Alice B", "alice", "sips:alice@h"),
        ("tel:+1-212;phone-context=x", "", "+1212", "tel:+1212"),
        ("<tel:100;phone-context=+49>", "", "100", "tel:100;phone-context=+49"),
        ("sip:a@h, <sip:b@h>", "", "a", "sip:a@h"),
        ('"<sip:fake@h>" <sip:real@h>', "<sip:fake@h>", "real", "sip:real@h"),
    ],
)
def test_what_can_be_read(value: str, display: str, user: str, uri: str) -> None:
    said = read_said(value)
    assert said is not None
    assert (said.display, said.party.user, said.uri) == (display, user, uri)


@pytest.mark.parametrize(
    "value", ["", "alice", "<http://h>", "<sip:a b@h>", '"A <sip:a@h>', ", <sip:a@h>", "<>"]
)
def test_what_cannot(value: str) -> None:
    assert read_said(value) is None


@pytest.mark.parametrize(
    ("params", "screened", "withheld", "party"),
    [
        ("", True, False, "calling"),
        (";screen=no", False, False, "calling"),
        ("; Screen = NO ;party=called", False, False, "called"),
        (";screen=nobody", True, False, "calling"),
        (';x="screen=no;privacy=full"', True, False, "calling"),
        (";privacy=full", True, True, "calling"),
        (";privacy=off", True, False, "calling"),
        (";privacy=name", True, True, "calling"),
    ],
)
def test_what_a_remote_party_id_says_of_itself(
    params: str, screened: bool, withheld: bool, party: str
) -> None:
    said = read_said(f"<sip:+1@h>{params}")
    assert said is not None
    assert (is_screened(said), is_withheld(said), party_of(said, "calling")) == (screened, withheld, party)


PIECES = (
    "<sip:+1@h>", '"A" ', "tel:+2", ",", ", ", ";screen=no", ";party=called", ";privacy=full", "x", '"', "<",
    ">", " ", "sip:b@c", "<tel:+3>", "\\", "<sips:%41@h;x=y>",
)  # fmt: skip
VALUES = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")), VALUES
        ),
        max_size=4,
    )
)
def test_what_rules_see_is_what_goes_on(fields: list[tuple[str, str]]) -> None:
    """Of a trusted peer both are one reading, whatever it writes: nothing crosses that no rule has seen."""
    headers = Headers(fields)
    user, display = claimed(headers.get, "trusted")
    crossing = [read_said(value) for name, value in taken(headers, "trusted", "calling") if name != "Privacy"]
    if crossing and crossing[0] is not None:
        assert (crossing[0].party.user, crossing[0].display) == (user, display)
    else:
        assert not user
