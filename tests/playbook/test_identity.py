"""Who is believed about who a user is, and who is told, for each trunk and direction (RFC 3325)."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from sbc.config.identity import CallerIdentity
from sbc.config.snapshot import Snapshot
from sbc.sip.message import Message, Request
from tests.playbook.stage import RULES, SDP, Stage, snapshot

TRUST = ("trusted", "screened", "none")
ASSERTED = '"Alice" <sip:+12125550111@office.example;user=phone>'
OURS = '"Alice" <sip:+12125550111@192.0.2.1;user=phone>'
CALLER = '"Somebody" <sip:100@office.example>;tag=1'
SAYING = ("P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID")


def trusting(office: object, carrier: object, rules: str = RULES, transport: str = "udp") -> Stage:
    """A stage whose two trunks have these words for `identity`; None is none."""
    found = snapshot(rules, transport)
    given = {"office": office, "carrier": carrier}
    trunks = {
        name: trunk.model_copy(update={"identity": CallerIdentity.model_validate(given[name])})
        if given.get(name) is not None
        else trunk
        for name, trunk in found.trunks.items()
    }
    return Stage(replace(found, trunks=trunks))


def invited(stage: Stage, **headers: str) -> Request:
    """The INVITE that arrives at the carrier of one that the office sends."""
    stage.office.invite(SDP, **{"From": CALLER, "P_Asserted_Identity": ASSERTED} | headers)
    stage.office.hears(100)
    return stage.carrier.hears_request("INVITE")


def said(message: Message) -> list[tuple[str, str]]:
    """Everything that a message says of who its sender is."""
    return [field for field in message.headers.fields if field[0] in SAYING]


PAIRS = list(product(TRUST, TRUST))


def expected(believed: str, told: str) -> list[tuple[str, str]]:
    """What crosses of an identity that nobody withholds."""
    if believed != "trusted" or told == "none":
        return []
    return [("P-Asserted-Identity", ASSERTED if told == "trusted" else OURS)]


@pytest.mark.parametrize(("believed", "told"), PAIRS)
@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_every_pair_of_trust(believed: str, told: str, transport: str) -> None:
    stage = trusting({"in": believed}, {"out": told}, transport=transport)
    assert said(invited(stage)) == expected(believed, told)


@pytest.mark.parametrize(("believed", "told"), PAIRS)
@pytest.mark.parametrize("privacy", ["id", "user;id", "header"])
def test_every_pair_where_the_caller_withholds_itself(believed: str, told: str, privacy: str) -> None:
    """RFC 3325 7, 9.3: within the trust domain it is told with the wish; beyond it is not."""
    invite = invited(trusting({"in": believed}, {"out": told}), Privacy=privacy)
    within = believed == told == "trusted"
    assert said(invite) == ([("P-Asserted-Identity", ASSERTED)] if within else [])
    if told == "trusted":
        assert invite.headers.get("Privacy") == privacy
    else:
        assert invite.headers.get("Privacy") == ("id" if "id" in privacy else None)
        assert (invite.from_.uri.user == "anonymous") is ("user" in privacy)


@pytest.mark.parametrize(("believed", "told"), PAIRS)
def test_every_pair_in_the_answer_and_within_the_call(believed: str, told: str) -> None:
    """Who was reached is asserted in responses (RFC 3325 9.1), who has it now in UPDATE (RFC 5876)."""
    stage = trusting({"out": told}, {"in": believed})
    stage.office.invite()
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    theirs = '"Bob" <sip:+4930100@far.example>'
    ours = theirs if told == "trusted" else '"Bob" <sip:+4930100@192.0.2.1>'
    crosses = [("P-Asserted-Identity", ours)] if believed == "trusted" and told != "none" else []
    for status, body in ((180, b""), (200, b"v=0")):
        stage.carrier.respond(invite, status, body=body, P_Asserted_Identity=theirs)
        answer = stage.office.hears_response(status)
        assert said(answer) == crosses
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.from_callee(invite, "UPDATE", SDP, P_Asserted_Identity=theirs)
    assert said(stage.office.hears_request("UPDATE")) == crosses


@pytest.mark.parametrize("believed", TRUST)
@pytest.mark.parametrize("told", TRUST)
def test_a_rule_sees_who_is_listened_to_and_asserts_on_its_own(believed: str, told: str) -> None:
    """A claim that is screened crosses when a rule finds it right; what nobody listens to, no rule sees."""
    rules = """
rules:
  - name: ours
    when: trunk == "office" and asserted.user starts with "+1212" and asserted.display == "Alice"
    then: set asserted.user = asserted.user; route "carrier"
  - name: others
    when: trunk == "office"
    then: route "carrier"
"""
    invite = invited(trusting({"in": believed}, {"out": told}, rules))
    claim = '"Alice" <sip:+12125550111@192.0.2.1;user=phone>'
    assert said(invite) == ([("P-Asserted-Identity", claim)] if believed != "none" and told != "none" else [])


@pytest.mark.parametrize(
    ("then", "crosses"),
    [
        ('set asserted.user = "+1800"', '"Alice" <sip:+1800@192.0.2.1;user=phone>'),
        ('set asserted.user = "desk"', '"Alice" <sip:desk@192.0.2.1>'),
        ('set asserted.user = "+1-800"', '"Alice" <sip:+1800@192.0.2.1;user=phone>'),
        (
            'set asserted.user = "+1800"; set asserted.display = "The Office"',
            '"The Office" <sip:+1800@192.0.2.1;user=phone>',
        ),
        (
            'set asserted.display = "Desk"; set asserted.user = "+1800"',
            '"Desk" <sip:+1800@192.0.2.1;user=phone>',
        ),
        ('set asserted.display = ""', "<sip:+12125550111@192.0.2.1;user=phone>"),
        ('set asserted.user = ""', None),
        ('remove header "P-Asserted-Identity"', None),
        ('set asserted.user = "+1800"; remove header "P-Asserted-*"', None),
        (
            'remove header "P-Asserted-Identity"; set asserted.user = "+1800"',
            '"Alice" <sip:+1800@192.0.2.1;user=phone>',
        ),
    ],
)
def test_what_a_rule_asserts(then: str, crosses: str | None) -> None:
    rules = f'rules:\n  - name: out\n    when: true\n    then: |\n      {then}; route "carrier"\n'
    found = said(invited(trusting("trusted", "trusted", rules)))
    assert found == ([("P-Asserted-Identity", crosses)] if crosses else [])


def test_a_name_alone_asserts_nobody() -> None:
    """A claim that no rule has judged does not cross because somebody wrote a name beside it."""
    rules = 'rules: [{name: out, when: true, then: set asserted.display = "A"; route "carrier"}]'
    assert said(invited(trusting("screened", "trusted", rules))) == []


@pytest.mark.parametrize(
    ("header", "value", "crosses"),
    [
        ("P_Preferred_Identity", "<sip:+1212@h.example>", "<sip:+1212@h.example>"),
        (
            "Remote_Party_ID",
            '"A" <sip:+1212@h.example>;party=calling;screen=yes',
            '"A" <sip:+1212@h.example>',
        ),
        ("Remote_Party_ID", "<sip:+1212@h.example>", "<sip:+1212@h.example>"),
        ("Remote_Party_ID", "<sip:+1212@h.example>;party=called", None),
        ("Remote_Party_ID", "<sip:+1212@h.example>;screen=no;party=calling", None),
        ("Remote_Party_ID", "<http://h.example>", None),
        ("P_Asserted_Identity", "nobody", None),
        ("P_Asserted_Identity", "tel:+1-212", "<tel:+1212>"),
        ("P_Asserted_Identity", "<sip:+1%3212@h.example>, <sip:2@h.example>", "<sip:+1212@h.example>"),
    ],
)
def test_what_a_trusted_peer_may_write_instead(header: str, value: str, crosses: str | None) -> None:
    headers = {"P_Asserted_Identity": "", header: value}
    found = said(invited(trusting("trusted", "trusted"), **headers))
    assert found == ([("P-Asserted-Identity", crosses)] if crosses else [])


def test_an_address_and_a_number_cross_together() -> None:
    """RFC 3325 9.1: one SIP address and one tel URI, in one line or two."""
    both = "<sip:+1212@h.example>, <tel:+1-212>, <tel:+1313>"
    found = said(invited(trusting("trusted", "trusted"), P_Asserted_Identity=both))
    assert [value for _, value in found] == ["<sip:+1212@h.example>", "<tel:+1212>"]


@pytest.mark.parametrize(
    ("header", "privacy", "value"),
    [
        ("P-Preferred-Identity", "", ASSERTED),
        ("Remote-Party-ID", "", f"{ASSERTED};party=calling;privacy=off;screen=yes"),
        ("Remote-Party-ID", "id", f"{ASSERTED};party=calling;privacy=full;screen=yes"),
    ],
)
def test_a_peer_is_told_by_the_header_that_it_reads(header: str, privacy: str, value: str) -> None:
    stage = trusting("trusted", {"out": "trusted", "header": header})
    assert said(invited(stage, Privacy=privacy)) == [(header, value)]


def test_remote_party_id_of_the_callee_in_an_answer() -> None:
    stage = trusting({"out": "trusted", "header": "Remote-Party-ID"}, "trusted")
    stage.office.invite()
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180, Remote_Party_ID="<sip:+4930@far.example>;party=called;privacy=full")
    heard = stage.office.hears_response(180)
    assert said(heard) == [
        ("Remote-Party-ID", "<sip:+4930@far.example>;party=called;privacy=full;screen=yes")
    ]
    assert heard.headers.get("Privacy") == "id"


@pytest.mark.parametrize("believed", TRUST)
def test_that_an_identity_is_withheld_is_heard_of_everybody(believed: str) -> None:
    """What Remote-Party-ID asks for does not depend on whether it is believed."""
    stage = trusting({"in": believed}, {"out": "screened"})
    value = "<sip:+1212@h.example>;party=calling;privacy=full"
    invite = invited(stage, P_Asserted_Identity="", Remote_Party_ID=value)
    assert said(invite) == [] and invite.headers.get("Privacy") == "id"


@pytest.mark.parametrize("told", TRUST)
def test_where_a_call_has_been_is_withheld_beyond_trust_over_tls_too(told: str) -> None:
    entry = "<sip:+1555@a.example?Privacy=history>;index=1"
    invite = invited(trusting(None, {"out": told}, transport="tls"), History_Info=entry)
    assert ("History-Info" in invite.headers) is (told == "trusted")


def test_a_downgrade_tells_that_the_trunk_is_trusted_all_the_same() -> None:
    rules = 'rules: [{name: out, when: true, then: route "plain"}]'
    found = snapshot(rules)
    for word, told in (("trusted", "trusted"), ("screened", None)):
        plain = found.trunks["plain"].model_copy(
            update={"identity": CallerIdentity.model_validate({"out": word})}
        )
        made: Snapshot = replace(found, trunks={**found.trunks, "plain": plain})
        stage = Stage(made)
        stage.office.request("INVITE", "sips:+1212@sbc.example", SDP)
        [note] = stage.noted("sips-downgrade")
        assert note.fields.get("identity") == told


def test_where_a_call_has_been_is_told_in_the_header_that_the_trunk_reads() -> None:
    """Over UDP hosts are masked as ever, in the header that is made as well."""
    found = snapshot('rules: [{name: out, when: true, then: route "plain"}]')
    plain = found.trunks["plain"].model_copy(update={"diversion": "history-info"})
    stage = Stage(replace(found, trunks={**found.trunks, "plain": plain}))
    stage.office.invite(SDP, Diversion="<sip:+4911@pbx.secret:5060>;reason=user-busy;counter=1")
    stage.office.hears(100)
    assert stage.plain.hears_request("INVITE").headers.values("History-Info") == [
        "<sip:+4911@anonymous.invalid>;index=1", "<sip:+12125550100@plain.example;cause=486>;index=1.1;mp=1",
    ]  # fmt: skip
