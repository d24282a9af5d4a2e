"""A callee's 3xx: refused, passed on in our name, or followed as another call (RFC 3261 8.1.3.4, 21.3)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.redirects import MOST_FOLLOWED
from sbc.config.hooks import load_hooks
from sbc.observe.cdr import call_record
from sbc.policy.acl import Acl, Rule
from sbc.sip.message import Request, Response
from tests.playbook.stage import SDP, Stage, snapshot

OUT = """
rules:
  - name: never premium
    when: to.user starts with "+1900"
    then: reject 403 "No premium numbers"
  - name: diverted
    when: trunk == "carrier" and redirected_from != ""
    then: |
      {diverted}
  - name: out
    when: trunk == "office"
    then: |
      {out}
"""
TO_BACKUP = 'route "backup"'
HIDDEN = "10.9.8.7"


def staged(
    redirects: str = "follow", out: str = 'route "carrier"', diverted: str = TO_BACKUP, **options: Any
) -> Stage:
    rules = OUT.format(out=out.replace("\n", "\n      "), diverted=diverted.replace("\n", "\n      "))
    return Stage(snapshot(rules, redirects=redirects, **options))


def moved(stage: Stage, *contacts: str, status: int = 302, invite: Request | None = None) -> Request:
    """The office calls, and the carrier names ``contacts``; its own are not among them."""
    if invite is None:
        stage.office.invite()
        stage.office.hears(100)
        invite = stage.carrier.hears_request("INVITE")
    answer = Response(status, "Moved", invite.headers.__class__(_echo(invite)))
    for contact in contacts:
        answer.headers.add("Contact", contact)
    stage.carrier.say(answer)
    stage.carrier.hears("ACK")
    return invite


def _echo(invite: Request) -> list[tuple[str, str]]:
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    fields = [(name, invite.headers.get(name) or "") for name in names]
    return [(name, value + ";tag=mover" if name == "To" else value) for name, value in fields]


def records(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(call_record(note.call, note.fields)) for note in stage.noted("call-ended")]


def nothing_left(stage: Stage) -> None:
    """No call is left, and none counts anywhere."""
    assert not stage.engine.calls
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup", "plain")] == [0] * 4


# Refused, as long as nobody has said otherwise


@pytest.mark.parametrize("status", [300, 301, 302, 305, 380, 399])
@pytest.mark.parametrize("policy", ["refuse", "pass", "expose", "follow"])
def test_what_is_not_allowed_or_names_nobody_is_480(status: int, policy: str) -> None:
    stage = staged(policy)
    moved(stage, "<sip:10.9.8.7>" if policy == "pass" else "<mailto:bob@example.com>", status=status)
    answer = stage.office.hears_response(480)
    assert "Contact" not in answer.headers
    stage.backup.hears_nothing()
    nothing_left(stage)


@pytest.mark.parametrize("status", [305, 380])
@pytest.mark.parametrize("policy", ["refuse", "pass", "expose", "follow"])
def test_a_proxy_or_a_service_is_never_gone_to(status: int, policy: str) -> None:
    stage = staged(policy)
    moved(stage, f"<sip:proxy@{HIDDEN}>", status=status)
    assert "Contact" not in stage.office.hears_response(480).headers
    stage.backup.hears_nothing()


def test_refusing_is_the_default() -> None:
    stage = Stage(snapshot(OUT.format(out='route "carrier"', diverted=TO_BACKUP)))
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    assert "Contact" not in stage.office.hears_response(480).headers


@pytest.mark.parametrize(
    ("trunk", "rule", "heard"),
    [("refuse", "pass", 302), ("pass", "refuse", 480), ("follow", "refuse", 480), ("follow", "pass", 302)],
)
def test_a_rule_chooses_otherwise_than_the_trunk(trunk: str, rule: str, heard: int) -> None:
    stage = staged(trunk, f'{rule} redirects\nroute "carrier"')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.office.hears(heard)
    stage.backup.hears_nothing()


def test_a_rule_that_names_302_among_a_hops_failures_comes_first() -> None:
    stage = staged("follow", 'route "carrier" then "plain" on 302')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.backup.hears_nothing()
    stage.plain.hears("INVITE")


# The access list


def listed(stage: Stage, *rules: Rule) -> None:
    """These are the rules of the access list from now on."""
    stage.engine.store.swap(replace(stage.engine.store.current, acl=Acl(rules)))


@pytest.mark.parametrize("silent", [False, True])
def test_a_place_that_the_access_list_denies_is_not_gone_to(silent: bool) -> None:
    stage = staged()
    denied = Rule(False, "sip-did", ("+12125550199",), place="acl.d/10.yaml:2", silent=silent)
    listed(stage, denied)
    moved(stage, f"<sip:+1-212-555-0199@{HIDDEN}>")
    stage.office.hears(480)
    stage.backup.hears_nothing()
    assert denied.count.hits == 1 and stage.engine.store.current.acl.denied["sip-did"] == 1
    (note,) = stage.noted("redirect-ignored")
    assert note.fields["reason"] == "acl.d/10.yaml:2 denies it: deny sip-did +12125550199"
    nothing_left(stage)


def test_where_it_denies_one_place_the_next_is_gone_to() -> None:
    stage = staged()
    stage.office.invite()
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    listed(stage, Rule(True, "sip-did", ("+12125550198",)), Rule(False, "sip-did", ("+1212*",)))
    moved(stage, f"<sip:+12125550199@{HIDDEN}>;q=1.0", f"<sip:+12125550198@{HIDDEN}>;q=0.5", invite=invite)
    assert stage.backup.hears_request("INVITE").uri.startswith("sip:+12125550198@")


# Passed on


@pytest.mark.parametrize("status", [300, 301, 302])
def test_a_passed_place_is_an_address_of_ours(status: int) -> None:
    stage = staged("pass")
    contacts = (
        f'"Bob" <sip:bob:secret@{HIDDEN}:5070;maddr={HIDDEN}?Subject=x>;q=0.5',
        f"<sip:+1-212-555-0199@{HIDDEN}>;q=1.0",
        "<tel:+12125550198>;q=0.1",
        f"<sip:bob@inner.{HIDDEN}>;q=0.2",
    )
    moved(stage, *contacts, status=status)
    answer = stage.office.hears_response(status)
    assert answer.headers.get_all("Contact") == [
        "<sip:+12125550199@192.0.2.1:5061;transport=tls>;q=1.0",
        "<sip:bob@192.0.2.1:5061;transport=tls>;q=0.5",
        "<sip:+12125550198@192.0.2.1:5061;user=phone;transport=tls>;q=0.1",
    ]
    assert HIDDEN not in str(answer.headers.fields)
    (record,) = records(stage)
    assert (record["status"], record["ended_by"], record["redirected_by"]) == (status, "callee", "")
    nothing_left(stage)


def test_whoever_goes_where_it_was_told_comes_through_the_rules() -> None:
    stage = staged("pass")
    moved(stage, f"<sip:+19005550100@{HIDDEN}>")
    contact = stage.office.hears_response(302).contact
    assert contact is not None
    stage.office.request("INVITE", str(contact.uri), SDP, Call_ID="again", To=f"<{contact.uri}>")
    stage.office.hears(100)
    stage.office.hears(403)


def test_a_trunk_that_exposes_its_places_has_them_told_but_for_their_secrets() -> None:
    stage = staged("expose")
    moved(stage, "<sip:bob:secret@next.example:5070;user=phone?Subject=x>;q=0.5", "<tel:+12125550198>")
    answer = stage.office.hears_response(302)
    assert answer.headers.get_all("Contact") == [
        "<tel:+12125550198>", "<sip:bob@next.example:5070;user=phone>;q=0.5",
    ]  # fmt: skip


def test_who_came_over_tls_is_not_told_of_places_without_where_that_is_forbidden() -> None:
    stage = staged("expose", sips="forbid")
    moved(stage, "<sip:bob@next.example>", "<sips:bob@next.example>")
    assert stage.office.hears_response(302).headers.get_all("Contact") == ["<sips:bob@next.example>"]
    stage = staged("expose", sips="forbid")
    moved(stage, "<sip:bob@next.example>")
    stage.office.hears(480)


# Followed


def test_a_followed_redirect_is_a_call_with_its_own_record() -> None:
    stage = staged()
    moved(stage, f"<sip:+12125550199@{HIDDEN}:5070>")
    invite = stage.backup.hears_request("INVITE")
    assert invite.uri == "sip:+12125550199@backup.example;transport=tls"
    assert HIDDEN not in str(invite.headers.fields)
    stage.backup.respond(invite, 180)
    stage.backup.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(180)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.backup.hears("ACK")
    (first,) = records(stage)
    assert (first["status"], first["reason"], first["ended_by"]) == (302, "302 Moved", "callee")
    assert (first["called"], first["b"]["trunk"], first["redirected_from"]) == (
        "+12125550100", "carrier", "",
    )  # fmt: skip
    stage.within("office", answer, "BYE")
    stage.backup.hears("BYE")
    _, second = records(stage)
    assert second["call"] != first["call"] and second["status"] == 200
    assert (second["called"], second["b"]["trunk"]) == ("+12125550199", "backup")
    assert (second["redirected_from"], second["redirected_by"]) == ("+12125550100", "carrier")
    assert second["rule"].startswith("diverted (")
    (note,) = stage.noted("redirect-followed")
    assert (note.call, note.fields["as"]) == (first["call"], second["call"])
    nothing_left(stage)


@pytest.mark.parametrize(("diverted", "heard"), [('reject 603 "No"', 603), ('route "backup"', 403)])
def test_a_premium_number_is_refused_by_the_rule_for_a_dialled_one(diverted: str, heard: int) -> None:
    stage = staged(diverted=diverted)
    moved(stage, f"<sip:+1-900-{heard}@{HIDDEN}>" if heard == 403 else f"<sip:+1@{HIDDEN}>")
    stage.office.hears(heard)
    stage.backup.hears_nothing()
    nothing_left(stage)


def test_what_no_rule_routes_is_refused_and_no_host_of_a_message_is_dialled() -> None:
    rules = 'rules:\n  - {name: out, when: trunk == "office", then: route "carrier"}\n'
    stage = Stage(snapshot(rules, redirects="follow"))
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.office.hears(404)
    assert [address.host for peers, near in stage.connects for address in (*peers, *near)] == [
        "carrier.example"
    ]
    assert [record["status"] for record in records(stage)] == [302, 404]
    nothing_left(stage)


def test_rules_and_hooks_see_a_call_of_the_trunk_that_redirected() -> None:
    text = (
        "from sbc.hookapi import amend\n\n\ndef on_invite(facts):\n"
        "    return amend(tags=(f'{facts.trunk} {facts.ruri_user} for {facts.redirected_from}',))\n"
    )
    hooks, problems = load_hooks({"see.py": text})
    assert not problems
    configuration = snapshot(OUT.format(out='route "carrier"', diverted=TO_BACKUP), redirects="follow")
    stage = Stage(replace(configuration, hooks=hooks))
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    stage.office.hears(486)
    assert [record["tags"] for record in records(stage)] == [
        ["office +12125550100 for "], ["carrier +12125550199 for +12125550100"],
    ]  # fmt: skip


def test_a_redirected_call_is_not_asked_for_a_password_of_somebody_else() -> None:
    stage = staged(diverted='challenge "lab.example"\nroute "backup"')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.office.hears(403)
    nothing_left(stage)


def test_what_the_first_rule_demanded_stays_demanded() -> None:
    stage = staged("follow", 'require srtp\nforbid downgrade\nroute "carrier"', 'no srtp\nroute "plain"')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    assert "Warning" in stage.office.hears_response(480).headers
    stage.plain.hears_nothing()
    stage = staged("follow", 'require srtp\nroute "carrier"', 'no srtp\nroute "backup"')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    assert [offer.theirs.srtp for offer in stage.media if hasattr(offer, "theirs")] == ["required"] * 2


def test_a_redirected_call_counts_for_the_caller_and_for_who_redirected_it() -> None:
    stage = staged(limits={"calls": 1})
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    stage.backup.hears("INVITE")
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup")] == [1, 1, 1]
    stage.carrier.invite(Call_ID="another")
    stage.carrier.hears(100)
    stage.carrier.hears(503)
    stage.office.request("CANCEL", Via=_via(stage), CSeq="1 CANCEL")
    stage.office.hears(200)
    stage.office.hears(487)
    nothing_left(stage)


def _via(stage: Stage) -> str:
    return "SIP/2.0/TLS office.example;branch=z9hG4bK-office-1"


def test_a_limit_of_the_first_rule_holds_and_none_counts_twice() -> None:
    limit = "limit 1 calls per from.user"
    stage = staged("follow", f'{limit}\nroute "carrier"', f'{limit}\nroute "backup"')
    moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    invite = stage.backup.hears_request("INVITE")
    stage.office.invite(Call_ID="second")
    stage.office.hears(100)
    stage.office.hears(503)
    stage.backup.respond(invite, 486)
    stage.office.hears(486)
    stage.office.invite(Call_ID="third")
    stage.office.hears(100)
    stage.carrier.hears("INVITE")


def test_places_are_tried_in_the_callees_order_until_one_takes_the_call() -> None:
    stage = staged()
    moved(
        stage,
        f"<sip:+12125550103@{HIDDEN}>;q=0.2",
        f"<sip:+19005550101@{HIDDEN}>;q=0.9",
        f"<sip:+12125550102@{HIDDEN}>;q=0.5",
    )
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    stage.backup.hears("ACK")
    stage.office.hears_nothing()
    second = stage.backup.hears_request("INVITE")
    assert second.uri.startswith("sip:+12125550103@")
    stage.backup.respond(second, 480)
    stage.office.hears(480)
    assert [(each["called"], each["status"]) for each in records(stage)] == [
        ("+12125550100", 302), ("+19005550101", 403), ("+12125550102", 486), ("+12125550103", 480),
    ]  # fmt: skip
    nothing_left(stage)


def test_a_decline_everywhere_ends_the_search() -> None:
    stage = staged()
    moved(stage, f"<sip:+12125550101@{HIDDEN}>", f"<sip:+12125550102@{HIDDEN}>")
    stage.backup.respond(stage.backup.hears_request("INVITE"), 603)
    stage.office.hears(603)
    stage.backup.hears("ACK")
    stage.backup.hears_nothing()
    nothing_left(stage)


def test_what_is_withdrawn_goes_nowhere_else() -> None:
    stage = staged()
    moved(stage, f"<sip:+12125550101@{HIDDEN}>", f"<sip:+12125550102@{HIDDEN}>")
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 180)
    stage.office.hears(180)
    stage.office.request("CANCEL", Via=_via(stage), CSeq="1 CANCEL")
    stage.office.hears(200)
    stage.office.hears(487)
    stage.backup.hears("CANCEL")
    stage.backup.respond(invite, 487)
    stage.backup.hears("ACK")
    stage.backup.hears_nothing()
    nothing_left(stage)


def test_a_callee_that_rang_before_it_redirected_leaves_nothing_behind() -> None:
    stage = staged()
    stage.office.invite()
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 early")
    early = stage.office.hears_response(183)
    moved(stage, f"<sip:+12125550199@{HIDDEN}>", invite=invite)
    second = stage.backup.hears_request("INVITE")
    stage.backup.respond(second, 200, body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    assert answer.to_tag != early.to_tag
    stage.within("office", answer, "ACK")
    stage.backup.hears("ACK")
    stage.within("office", early, "INFO")
    stage.office.hears(481)
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    nothing_left(stage)


# Loops


def test_where_the_call_was_before_it_does_not_go_again() -> None:
    stage = staged(diverted='route "carrier"')
    first = moved(stage, f"<sip:+12125550199@{HIDDEN}>")
    second = stage.carrier.hears_request("INVITE")
    assert second.uri != first.uri
    moved(stage, f"<sip:+1-212-555-0199@{HIDDEN}>", "<sip:+12125550100@sbc.example>", invite=second)
    stage.carrier.hears_nothing()
    stage.office.hears(480)
    reasons = [note.fields["reason"] for note in stage.noted("redirect-ignored")]
    assert reasons == ["the call was there"] * 2
    nothing_left(stage)


@pytest.mark.parametrize("contacts", [1, 3, 30])
def test_a_callee_that_always_names_another_place_is_followed_so_often_and_no_oftener(contacts: int) -> None:
    stage = staged(diverted='route "carrier"')
    stage.office.invite()
    stage.office.hears(100)
    asked = 0
    while stage.carrier.heard and asked < 3 * MOST_FOLLOWED:
        invite = stage.carrier.hears_request("INVITE")
        asked += 1
        places = [f"<sip:+1212{asked:04}{each:03}@{HIDDEN}>" for each in range(contacts)]
        moved(stage, *places, invite=invite)
    assert asked == MOST_FOLLOWED + 1
    stage.office.hears(480)
    assert len(records(stage)) == asked
    nothing_left(stage)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("pass", []),
        ("none", []),
        (
            "diversion",
            [("Diversion", "<sip:+12125550100@192.0.2.1>;reason=unconditional;privacy=off;counter=1")],
        ),
        (
            "history-info",
            [
                (
                    "History-Info",
                    "<sip:+12125550100@192.0.2.1>;index=1, "
                    "<sip:+12125550199@backup.example;cause=302>;index=1.1;mp=1",
                )
            ],
        ),
    ],
)
def test_who_redirected_is_told_to_peers_that_read_it(word: str, told: list[tuple[str, str]]) -> None:
    stage = staged(diversion=word)
    moved(stage, "<sip:+12125550199@elsewhere.example>")
    invite = stage.backup.hears_request("INVITE")
    assert [each for each in invite.headers.fields if each[0] in ("Diversion", "History-Info")] == told


def test_who_redirected_comes_before_whom_the_call_was_diverted_by_earlier() -> None:
    stage = staged(diversion="diversion")
    stage.office.invite(SDP, Diversion="<sip:+1555@pbx.example>;reason=user-busy")
    stage.office.hears(100)
    moved(stage, "<sip:+12125550199@elsewhere.example>", invite=stage.carrier.hears_request("INVITE"))
    found = stage.backup.hears_request("INVITE").headers.get_all("Diversion")
    assert [each.partition("@")[0] for each in found] == ["<sip:+12125550100", "<sip:+1555"]
