"""A signed identity goes on where what it signs does, and is left out elsewhere with a note (RFC 8224)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest

from sbc.config.identity import CallerIdentity
from sbc.sip.message import Request
from tests.playbook.stage import SDP, Stage, snapshot

DATE = "Tue, 16 Aug 2016 19:23:38 GMT"
COMPACT = "..sv5CTo05KqpSmtHt3dcEiO_1CWTSZtnG3iV_1nmurLXV_HmtyNS7Ltrg9dlxkWzo;info=<https://c.example/cert>;alg=ES256"
CALLER = '"A" <sip:+12155551212@office.example;user=phone>;tag=1'
CALLED = "<sip:+12125550100@sbc.example;user=phone>"


def whole(**claims: object) -> str:
    """A PASSporT in its full form (RFC 8225); nobody here verifies the signature."""
    parts = [{"alg": "ES256", "typ": "passport"}, {"iat": 1471375418, **claims}]
    octets = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return f"{'.'.join(octets)}.sig;info=<https://c.example/cert>"


WHOLE = whole(orig={"tn": "12155551212"}, dest={"tn": ["12125550100"]})


def sent(then: str = "", trunk: str = "carrier", **headers: str) -> tuple[Request, list[str]]:
    """The INVITE that goes on, and why its identity does not."""
    rules = f'rules:\n  - name: out\n    when: true\n    then: |\n      {then}route "{trunk}"\n'
    found = snapshot(rules)
    words = {"carrier": "trusted", "plain": "screened"}
    trunks = {
        name: each.model_copy(update={"identity": CallerIdentity.model_validate(words.get(name, "trusted"))})
        for name, each in found.trunks.items()
    }
    stage = Stage(replace(found, trunks=trunks))
    given = {"From": CALLER, "To": CALLED, "Date": DATE, "Identity": COMPACT} | headers
    stage.office.invite(SDP, **given)
    stage.office.hears(100)
    reasons = [str(note.fields["reason"]) for note in stage.noted("identity-dropped")]
    return stage.peers[trunk].hears_request("INVITE"), reasons


@pytest.mark.parametrize("value", [COMPACT, WHOLE])
@pytest.mark.parametrize("trunk", ["carrier", "plain"])
def test_it_goes_on_with_its_date(value: str, trunk: str) -> None:
    invite, dropped = sent(trunk=trunk, Identity=value)
    assert invite.headers.get_all("Identity") == [value] and invite.headers.get_all("Date") == [DATE]
    assert dropped == []


def test_it_goes_on_with_the_number_that_the_network_vouches_for() -> None:
    asserted = "<sip:+12155559999@office.example>"
    invite, dropped = sent(P_Asserted_Identity=asserted)
    assert invite.headers.get("Identity") == COMPACT and dropped == []


def test_a_whole_one_needs_no_date() -> None:
    assert sent(Identity=WHOLE, Date="")[0].headers.get("Identity") == WHOLE
    invite, dropped = sent(Date="")
    assert "Identity" not in invite.headers and dropped == ["there is no Date"]


OTHER_CALLER = "the caller leaves with another number"
OTHER_CALLED = "the called one leaves with another number"


@pytest.mark.parametrize(
    ("then", "headers", "why"),
    [
        ('set from.user = "+1999"; ', {}, OTHER_CALLER),
        ('set to.user = "+1999"; ', {}, OTHER_CALLED),
        ('set from.user = "+1-215-555-1212"; ', {}, ""),
        ('set asserted.user = "+1999"; ', {}, OTHER_CALLER),
        ('set header "Privacy" = "user"; ', {"trunk": "plain"}, OTHER_CALLER),
        ("", {"To": "<sip:+1888@sbc.example>"}, OTHER_CALLED),
        ("", {"From": "<sip:alice@office.example>;tag=1"}, "it is not of two numbers"),
        (
            "",
            {"Identity": whole(mky=[{"alg": "sha-256", "dig": "02"}])},
            "it signs the keys of media, which are",
        ),
        ("", {"Identity": "x" * 9000}, "it is too long"),
        (
            "",
            {"trunk": "plain", "P_Asserted_Identity": "<sip:+1999@h.example>", "Privacy": "id"},
            OTHER_CALLER,
        ),
    ],
)
def test_what_is_changed_is_not_signed_any_more(then: str, headers: dict[str, str], why: str) -> None:
    invite, dropped = sent(then, **headers)
    assert ("Identity" in invite.headers) is ("Date" in invite.headers) is (not why)
    assert [each[: len(why)] for each in dropped] == ([why] if why else [])


def test_a_date_alone_stays_here() -> None:
    invite, dropped = sent(Identity="")
    assert "Date" not in invite.headers and dropped == []
