"""What crosses outside of calls: MESSAGE (RFC 3428), NOTIFY of waiting messages (RFC 3842)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.page import Page
from sbc.b2bua.secrecy import secrecy_report
from sbc.base import Address
from sbc.config.snapshot import Snapshot
from sbc.config.users import read_users
from sbc.dns.search import Target
from sbc.flow import Flow
from sbc.sip.digest_client import Account, answer, choose
from sbc.sip.message import Request, response_to
from tests.peers.trunks import with_peers
from tests.playbook.stage import Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

RULES = """
rules:
  - name: calls
    when: true
    then: route "carrier"
  - name: texts
    when: method == "MESSAGE" and trunk == "office"
    then: |
      set from.user = "+49301"
      route "carrier" then "backup"
  - name: lamps
    when: method == "NOTIFY" and trunk == "carrier"
    then: route "office"
"""
TEXT = b"Is it raining? \xc3\xa4\x00\r\n"
LAMP = b"Messages-Waiting: yes\r\nVoice-Message: 2/8 (0/2)\r\n"
PASSWORD, REALM = "correct horse", "lab.example"
USERS = f"alice:{REALM}:7eddfa1e141be0b807f0919665062123\n"


def made(rules: str = RULES, **options: Any) -> Snapshot:
    return snapshot(rules, "tls", **{"methods": ["MESSAGE", "NOTIFY"], **options})


def says(there: Stage, peer: str = "office", method: str = "MESSAGE", **headers: str) -> None:
    """``peer`` sends a text, without a Contact (RFC 3428 4)."""
    given = {"Contact": "", "Content_Type": "text/plain;charset=utf-8", **headers}
    there.peers[peer].request(method, "sip:+12125550100@sbc.example", TEXT, **given)


def test_a_text_crosses_with_its_octets_and_nothing_of_its_leg() -> None:
    there = Stage(made())
    says(there, Subject="Weather", Expires="60", Date="Sat, 13 Nov 2010 23:29:00 GMT", X_Secret="no")
    sent = there.carrier.hears_request("MESSAGE")
    assert sent.uri == "sip:+12125550100@carrier.example;transport=tls" and sent.body == TEXT
    assert sent.from_.uri.user == "+49301" and sent.max_forwards == 69 and not sent.to_tag
    names = {name for name, _ in sent.headers.fields}
    assert names == {
        "Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Content-Type", "Expires", "Date", "Subject",
        "Content-Length",
    }  # fmt: skip
    assert sent.headers.get("Content-Type") == "text/plain;charset=utf-8"
    assert "office.example" not in str(sent.headers.fields) and len(sent.headers.get_all("Via")) == 1
    there.carrier.respond(sent, 200)
    answer = there.office.hears_response(200)
    assert "Contact" not in answer.headers and answer.to_tag not in ("", "callee")
    (note,) = there.noted("message")
    assert (note.fields["trunk"], note.fields["to_trunk"], note.fields["status"]) == (
        "office",
        "carrier",
        200,
    )
    assert (note.fields["method"], note.fields["to"]) == ("MESSAGE", "+12125550100")
    assert "texts" in note.fields["rule"] and "raining" not in str(note.fields)
    nothing_is_left(there)


def test_a_lamp_is_lit() -> None:
    """RFC 3842 3.4: unasked, with its event, by whom its trunk lets tell."""
    there = Stage(made())
    headers = {
        "Event": "message-summary", "Subscription_State": "active",
        "Content_Type": "application/simple-message-summary",
    }  # fmt: skip
    there.carrier.request("NOTIFY", "sip:+12125550100@sbc.example", LAMP, **headers)
    sent = there.office.hears_request("NOTIFY")
    assert sent.body == LAMP and sent.headers.get("Event") == "message-summary"
    assert sent.headers.get("Subscription-State") == "active" and sent.contact is not None
    assert "carrier.example" not in str(sent.headers.fields)
    there.office.respond(sent, 200)
    there.carrier.hears(200)


@pytest.mark.parametrize("event", ["presence", "dialog;id=1", ""])
def test_any_other_event_is_489(event: str) -> None:
    there = Stage(made())
    says(there, "carrier", "NOTIFY", Event=event)
    assert there.carrier.hears_response(489).headers.get("Allow-Events") == "message-summary"
    there.office.hears_nothing()


def test_no_rule_that_takes_every_call_takes_a_text() -> None:
    rules = "rules: [{name: calls, when: true, then: 'route \"carrier\"'}]"
    there = Stage(made(rules))
    says(there)
    there.office.hears(404)
    there.carrier.hears_nothing()


@pytest.mark.parametrize("methods", [[], ["NOTIFY"]])
def test_a_trunk_that_does_not_list_it_may_not_send_it(methods: list[str]) -> None:
    there = Stage(made(methods=methods))
    says(there)
    refusal = there.office.hears_response(405)
    assert ("NOTIFY" in (refusal.headers.get("Allow") or "")) == bool(methods)
    assert "MESSAGE" not in (refusal.headers.get("Allow") or "")
    there.office.request("OPTIONS")
    assert ("NOTIFY" in (there.office.hears_response(200).headers.get("Allow") or "")) == bool(methods)


def test_a_trunk_that_does_not_list_it_is_not_sent_it() -> None:
    base = made()
    carrier = base.trunks["carrier"].model_copy(update={"methods": ("NOTIFY",)})
    there = Stage(replace(base, trunks={**base.trunks, "carrier": carrier}))
    says(there)
    there.office.hears(405)
    there.carrier.hears_nothing()
    (note,) = there.noted("message")
    assert note.fields["reason"] == "methods of carrier have no MESSAGE"


def test_within_a_call_it_is_refused() -> None:
    there = Stage(made())
    _, answer = there.established()
    there.within("office", answer, "MESSAGE", TEXT, Content_Type="text/plain")
    there.office.hears(405)


@pytest.mark.parametrize(
    ("status", "told"), [(486, 486), (404, 404), (503, 503), (407, 403), (302, 480), (408, 480)]
)
def test_a_refusal_comes_back(status: int, told: int) -> None:
    there = Stage(made(RULES.replace(' then "backup"', "")))
    says(there)
    there.carrier.respond(there.carrier.hears_request("MESSAGE"), status)
    there.office.hears(told)
    nothing_is_left(there)


def test_what_cannot_be_reached_or_is_busy_is_followed_by_the_next() -> None:
    there = Stage(made())
    says(there)
    there.carrier.respond(there.carrier.hears_request("MESSAGE"), 503)
    there.backup.respond(there.backup.hears_request("MESSAGE"), 202)
    there.office.hears(202)
    there.dead.add("carrier")
    says(there, Call_ID="second")
    there.backup.respond(there.backup.hears_request("MESSAGE"), 200)
    there.office.hears(200)
    there.dead.add("backup")
    says(there, Call_ID="third")
    there.office.hears(503)
    assert [note.fields["to_trunk"] for note in there.noted("message")] == ["backup"] * 3
    nothing_is_left(there)


def test_one_trunk_has_several_servers() -> None:
    base = made(RULES.replace(' then "backup"', ""))
    carrier = with_peers(
        base.trunks["carrier"], *(Address(each, 5061) for each in ("first.example", "second.example"))
    )
    there = Stage(replace(base, trunks={**base.trunks, "carrier": carrier}))
    says(there)
    there.carrier.respond(there.carrier.hears_request("MESSAGE"), 503)
    second = there.peers["second"]
    second.respond(second.hears_request("MESSAGE"), 200)
    there.office.hears(200)


def test_silence_is_no_408() -> None:
    """RFC 4320 4.1: its sender's transaction is over by then."""
    there = Stage(made())
    says(there)
    there.carrier.hears("MESSAGE")
    there.wait(33)
    there.office.hears(504)
    there.backup.hears_nothing()
    nothing_is_left(there)


def test_a_text_that_is_repeated_goes_on_once() -> None:
    there = Stage(made())
    says(there)
    request = there.carrier.hears_request("MESSAGE")
    again = response_to(request, 200)  # only to have its own fields at hand
    assert again.call_id == request.call_id
    there.cseq -= 1
    says(there)
    there.carrier.hears_nothing()
    there.carrier.respond(request, 200)
    there.office.hears(200)


def test_a_server_that_asks_for_a_password_gets_it() -> None:
    base = replace(made(), accounts={"carrier": Account("4930", REALM, PASSWORD)})
    there = Stage(base)
    says(there)
    first = there.carrier.hears_request("MESSAGE")
    asked = response_to(first, 407, "", "x")
    asked.headers.add("Proxy-Authenticate", f'Digest realm="{REALM}", nonce="n1", algorithm=MD5')
    there.carrier.say(asked)
    second = there.carrier.hears_request("MESSAGE")
    assert "Proxy-Authorization" in second.headers and second.cseq.number == first.cseq.number + 1
    assert second.body == TEXT
    there.carrier.respond(second, 200)
    there.office.hears(200)


def test_a_rule_may_ask_its_sender_for_a_password() -> None:
    rules = f"""
rules:
  - name: texts
    when: method == "MESSAGE"
    then: |
      challenge "{REALM}"
      route "carrier"
"""
    users, problems = read_users("users", USERS)
    assert not problems
    there = Stage(replace(made(rules), logins=users))
    says(there)
    asked = there.office.hears_response(407).headers.get_all("Proxy-Authenticate")
    there.carrier.hears_nothing()
    account = Account("alice", REALM, PASSWORD)
    challenge = choose(asked, account)
    assert challenge is not None
    proof = answer(challenge, account, "MESSAGE", "sip:+12125550100@sbc.example", "c1", 1, TEXT)
    says(there, Call_ID="again", Proxy_Authorization=str(proof))
    sent = there.carrier.hears_request("MESSAGE")
    assert "Proxy-Authorization" not in sent.headers


@pytest.mark.parametrize(
    ("then", "status"),
    [
        ("reject 403", 403),
        ('redirect "sip:x@y.example"', 302),
        ('call hook "fraud"\n      route "carrier"', 500),
    ],
)
def test_other_endings_of_a_rule(then: str, status: int) -> None:
    rules = f"""
rules:
  - name: texts
    when: method == "MESSAGE"
    then: |
      {then}
"""
    there = Stage(made(rules))
    says(there)
    response = there.office.hears_response(status)
    assert response.headers.get("Contact") == ("<sip:x@y.example>" if status == 302 else None)
    there.carrier.hears_nothing()
    nothing_is_left(there)


def test_limits_of_the_trunk_and_of_rules() -> None:
    there = Stage(made(limits={"rates": {"message": 2}}))
    for number in range(3):
        says(there, Call_ID=f"m{number}")
    for _ in range(2):
        there.carrier.respond(there.carrier.hears_request("MESSAGE"), 200)
    assert there.office.hears_response(503).headers.get("Retry-After") == "1"
    there.office.hears(200)
    there.office.hears(200)
    there.wait(1)
    says(there, Call_ID="later")
    there.carrier.hears("MESSAGE")
    rules = """
rules:
  - name: texts
    when: method == "MESSAGE"
    then: |
      limit 1 calls per from.user else reject 429
      route "carrier"
"""
    there = Stage(made(rules))
    says(there, Call_ID="one")
    says(there, Call_ID="two")
    there.office.hears(429)
    there.carrier.respond(there.carrier.hears_request("MESSAGE"), 200)
    there.office.hears(200)
    says(there, Call_ID="three")
    there.carrier.hears("MESSAGE")


def test_no_text_leaves_tls_where_that_is_forbidden() -> None:
    rules = """
rules:
  - name: texts
    when: method == "MESSAGE"
    then: |
      forbid downgrade
      route "plain"
"""
    base = made(rules)
    plain = base.trunks["plain"].model_copy(update={"methods": ("MESSAGE",)})
    there = Stage(replace(base, trunks={**base.trunks, "plain": plain}))
    says(there)
    there.office.hears(503)
    there.plain.hears_nothing()
    there = Stage(replace(made(rules.replace("forbid", "warn")), trunks={**base.trunks, "plain": plain}))
    says(there)
    there.plain.respond(there.plain.hears_request("MESSAGE"), 200)
    assert there.noted("message")[0].fields["downgraded"] == "yes"


def test_who_hides_is_hidden_and_while_we_drain_nothing_begins() -> None:
    there = Stage(made(RULES.replace('set from.user = "+49301"\n      ', "")), strangers=("carrier",))
    says(there, Privacy="user")
    sent = there.carrier.hears_request("MESSAGE")
    assert str(sent.from_.uri) == "sip:anonymous@anonymous.invalid"
    there.engine.draining = True
    says(there, Call_ID="late")
    there.office.hears(503)


def test_a_sender_whose_connection_closed_is_answered_on_the_next() -> None:
    there = Stage(made())
    says(there)
    sent = there.carrier.hears_request("MESSAGE")
    there.closes(there.office)
    there.carrier.respond(sent, 200)
    there.office.hears(200)
    nothing_is_left(there)


def test_a_late_answer_of_a_server_that_was_given_up_changes_nothing() -> None:
    there = Stage(made())
    says(there)
    first = there.carrier.hears_request("MESSAGE")
    there.closes(there.carrier)
    second = there.backup.hears_request("MESSAGE")
    there.carrier.respond(first, 200)
    there.office.hears_nothing()
    there.backup.respond(second, 404)
    there.office.hears(404)
    assert isinstance(first, Request) and not [
        each for each in there.engine.transactions.live() if isinstance(each.user, Page)
    ]


def test_check_names_a_text_that_may_leave_tls() -> None:
    rules = RULES.replace('route "carrier" then "backup"', 'route "plain"')
    leaks = [(each.origin, each.target) for each in secrecy_report(made(rules)) if "texts" in each.rule]
    assert ("office", "plain") in leaks
    assert not [each for each in secrecy_report(made(rules, methods=[])) if "texts" in each.rule]


def test_a_text_goes_to_a_server_of_a_domain_by_the_name_of_the_domain() -> None:
    configuration = made()
    domain = with_peers(configuration.trunks["carrier"], {"host": "carrier.example"})
    there = Stage(replace(configuration, trunks={**configuration.trunks, "carrier": domain}))
    at = Address(there.carrier.flow.remote.host, 5071)
    found = (Target("a.example", at, 1, 1),)
    there.engine.peers.located.learn("carrier", Address("carrier.example", 0), found)
    says(there)
    sent = there.carrier.hears_request("MESSAGE")
    assert sent.uri == "sip:+12125550100@carrier.example;transport=tls"
    assert there.connects[-1] == ((at,), ())


def test_a_text_that_is_too_long_for_a_datagram_goes_by_tcp() -> None:
    """RFC 3428 8: over what heeds congestion, or not at all."""
    rules = 'rules: [{name: texts, when: method == "MESSAGE", then: route "plain"}]'
    configuration = made(rules)
    plain = configuration.trunks["plain"].model_copy(update={"methods": ("MESSAGE",)})
    there = Stage(replace(configuration, trunks={**configuration.trunks, "plain": plain}))
    remote = there.plain.flow.remote
    there.streams["plain"] = Flow(
        99, "tcp", Address("192.0.2.1", 40000), remote, listener="udp", trunk="plain"
    )
    there.office.request("MESSAGE", "sip:7@sbc.example", TEXT * 80, Contact="", Content_Type="text/plain")
    sent = there.plain.hears_request("MESSAGE")
    assert (sent.headers.get("Via") or "").startswith("SIP/2.0/TCP ")
    assert there.ways[sent.headers.get("Via"), sent.headers.get("CSeq")] == "tcp"
