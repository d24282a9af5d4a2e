"""A trunk with the profile `teams`: what Microsoft Teams hears of us, and what becomes of what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.config.model import Trunk
from sbc.sip.message import Request
from tests.playbook.stage import SDP, Peer, Stage, snapshot

RULES = """
rules:
  - name: to teams
    when: trunk == "office"
    then: route "teams"
  - name: from teams
    when: trunk == "teams"
    then: route "office"
"""


@pytest.fixture
def stage() -> Stage:
    """A stage with Teams beyond one of its trunks; its second and third name are peers too."""
    found = snapshot(RULES.replace("teams", "carrier"))
    given = {
        "trunk": "carrier", "listener": "main", "profile": "teams", "domain": "sbc.customer.example",
        "tls": {"server_identity": "sbc", "client_identity": "sbc", "trust": ["teams-roots"]},
    }  # fmt: skip
    return Stage(replace(found, trunks={**found.trunks, "carrier": Trunk.model_validate(given)}))


def called(stage: Stage, by: Peer | None = None, **headers: str) -> Request:
    """The INVITE that Teams hears (its second name, where that is given) of one that the office sends."""
    stage.office.invite(SDP, From="<sip:+12125550111@office.example>;tag=1", **headers)
    stage.office.hears(100)
    return (by or stage.carrier).hears_request("INVITE")


def test_the_contact_has_our_name_and_the_number(stage: Stage) -> None:
    """`Contact: <sip:+E164@FQDN;transport=tls>`, and never sips:."""
    invite = called(stage)
    assert invite.headers.get("Contact") == "<sip:+12125550111@sbc.customer.example:5061;transport=tls>"
    assert (invite.target.user, invite.target.host) == ("+12125550100", "sip.pstnhub.microsoft.com")
    assert invite.uri.startswith("sip:") and invite.from_.uri.host == "sbc.customer.example"


def test_every_name_is_asked_by_options_with_our_name(stage: Stage) -> None:
    stage.carry_out(stage.engine.probe(stage.now))
    for name in ("carrier", "sip2", "sip3"):
        asked = stage.peers[name].hears_request("OPTIONS")
        assert asked.contact is not None and asked.contact.uri.host == "sbc.customer.example"
        stage.peers[name].respond(asked, 200)


def test_an_options_of_theirs_is_answered(stage: Stage) -> None:
    stage.carrier.request("OPTIONS", "sip:sbc.customer.example:5061;transport=tls")
    stage.carrier.hears_response(200)


def test_503_leads_to_the_next_name_and_retry_after_rests_the_first(stage: Stage) -> None:
    invite = called(stage)
    stage.carrier.respond(invite, 503, Retry_After="30")
    stage.carrier.hears("ACK")
    second = stage.peers["sip2"].hears_request("INVITE")
    assert second.target.host == "sip2.pstnhub.microsoft.com"
    stage.peers["sip2"].respond(second, 603)
    stage.peers["sip2"].hears("ACK")
    stage.office.hears_response(603)
    stage.peers["sip3"].hears_nothing()
    stage.office.request("ACK")
    again = called(stage, stage.peers["sip2"], Call_ID="another")
    assert again.target.host == "sip2.pstnhub.microsoft.com"


def test_a_call_without_an_offer_gets_one_of_ours(stage: Stage) -> None:
    stage.office.invite(b"")
    stage.office.hears(100)
    assert b"PCMU" in stage.carrier.hears_request("INVITE").body


def test_and_is_refused_where_that_cannot_be(stage: Stage) -> None:
    """An answer to the caller's PRACK would come too late for an offer of ours."""
    stage.office.invite(b"", Require="100rel")
    stage.office.hears(100)
    stage.office.hears_response(488)
    stage.carrier.hears_nothing()
    assert "offer" in str(stage.noted("hop-failed")[-1].fields["reason"])


def test_several_ringing_phones_and_a_long_message(stage: Stage) -> None:
    invite = called(stage)
    for tag in ("a", "b", "c"):
        stage.carrier.respond(invite, 180, tag, User_Agent="x" * 3000)
    tags = {stage.office.hears_response(180).to_tag for _ in range(3)}
    assert len(tags) == 3
    stage.carrier.respond(invite, 200, "b", b"v=0")
    assert stage.office.hears_response(200).to_tag in tags


def test_whom_teams_withholds_stays_withheld(stage: Stage) -> None:
    """Teams asserts the number with Privacy: id; the office is of the trust domain, and is told both."""
    stage.carrier.invite(
        SDP, From='"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1',
        P_Asserted_Identity="<tel:+12125550111>, <sip:alice@customer.example>", Privacy="id",
    )  # fmt: skip
    stage.carrier.hears(100)
    invite = stage.office.hears_request("INVITE")
    assert invite.headers.get("Privacy") == "id" and invite.from_.uri.host == "anonymous.invalid"
    assert invite.headers.get_all("P-Asserted-Identity") == [
        "<tel:+12125550111>",
        "<sip:alice@customer.example>",
    ]


def test_history_goes_out_and_replaces_does_not(stage: Stage) -> None:
    entry = "<sip:+1555@pbx.example;user=phone>;index=1"
    invite = called(stage, History_Info=entry, Replaces="1@a;to-tag=1;from-tag=2")
    assert invite.headers.get("History-Info") == entry and "Replaces" not in invite.headers


def test_a_diversion_of_the_office_is_told_as_history(stage: Stage) -> None:
    invite = called(stage, Diversion="<sip:+4911@pbx.example;user=phone>;reason=no-answer")
    assert "Diversion" not in invite.headers
    assert invite.headers.values("History-Info") == [
        "<sip:+4911@pbx.example;user=phone>;index=1",
        "<sip:+12125550100@sip.pstnhub.microsoft.com;cause=408>;index=1.1;mp=1",
    ]
