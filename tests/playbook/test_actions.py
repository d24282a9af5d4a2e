"""What the actions of rules do to a call: limits, groups, challenges, headers, codecs, tags, ringing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsl.decision import Codecs
from sbc.b2bua.commands import OfferMedia
from sbc.config.users import Users, read_users
from sbc.sip.digest import Challenge, parse_challenge
from sbc.sip.digest_client import Account, answer, choose
from sbc.sip.message import Response
from tests.playbook.stage import Stage, snapshot

REALM, PASSWORD = "lab.example", "correct horse"
# H(alice:lab.example:correct horse) by MD5 and by SHA-256, as `htdigest` and its kin write it.
USERS = f"""# who may call
alice:{REALM}:7eddfa1e141be0b807f0919665062123
"""


def stage(then: str, *, before: str = "", users: Users | None = None) -> Stage:
    lines = "\n      ".join(then.split("\n"))
    rules = f'{before}\nrules:\n  - name: out\n    when: trunk == "office"\n    then: |\n      {lines}\n'
    configuration = snapshot(rules)
    return Stage(replace(configuration, logins=users) if users else configuration)


def calls(there: Stage, count: int, caller: str = "alice") -> list[int]:
    """The office calls so often; what became of each call: 100 where it went on, else the refusal."""
    heard = []
    for number in range(count):
        who = f'"A" <sip:{caller}@office.example>;tag=t{there.cseq}{number}'
        there.office.heard.clear()
        there.office.invite(Call_ID=f"call-{there.cseq}-{number}", From=who)
        there.office.hears(100)
        final = there.office.heard.popleft() if there.office.heard else None
        heard.append(final.status if isinstance(final, Response) else 100)
    return heard


def test_calls_at_once_are_limited_for_each_caller() -> None:
    there = stage('limit 2 calls per from.user else reject 486 "Enough"\nroute "carrier"')
    assert calls(there, 3) == [100, 100, 486]
    assert calls(there, 1, "bob") == [100]
    first = there.carrier.hears_request("INVITE")
    there.carrier.respond(first, 603)
    assert calls(there, 2) == [100, 486]
    reasons = [note.fields["reason"] for note in there.noted("call-ended") if note.fields["status"] == 486]
    assert reasons == ["limit of 2 calls: out #0 alice"] * 2


def test_calls_a_second_are_limited_and_a_refused_call_costs_nothing_of_another_limit() -> None:
    there = stage('limit 9 calls per "all"\nlimit 2 calls a second per trunk\nroute "carrier"')
    assert calls(there, 4) == [100, 100, 503, 503]
    there.wait(0.5)
    assert calls(there, 2) == [100, 503]
    there.wait(60)
    assert calls(there, 3) == [100, 100, 503]
    assert len(there.engine.calls) <= 9


def test_a_group_takes_turns_by_weight_and_fails_over_within_itself() -> None:
    there = stage("route group.both", before="groups: {both: {carrier: 2, backup: 1}}")
    first = []
    for _ in range(6):
        calls(there, 1)
        name = next(name for name in ("carrier", "backup") if there.peers[name].heard)
        first.append(name)
        there.peers[name].respond(there.peers[name].hears_request("INVITE"), 503)
        there.peers[name].hears("ACK")
        other = "backup" if name == "carrier" else "carrier"
        there.peers[other].respond(there.peers[other].hears_request("INVITE"), 486)
        there.peers[other].hears("ACK")
        assert there.office.hears_response(486)
    assert first == ["carrier", "backup", "carrier"] * 2


def test_a_rule_says_how_long_a_hop_rings() -> None:
    there = stage('ring for 20 seconds\nroute "carrier" then "backup" on timeout')
    there.office.invite()
    there.carrier.respond(there.carrier.hears_request("INVITE"), 180)
    there.wait(19.9)
    there.backup.hears_nothing()
    there.wait(0.2)
    there.carrier.hears("CANCEL")
    there.backup.hears("INVITE")


def test_headers_are_copied_set_and_removed() -> None:
    there = stage(
        'copy header "X-Trace-*"\ncopy header "X-Customer" to "X-Account"\n'
        'copy header "Subject" to "X-Subject"\n'
        'remove header "Subject"\nset header "X-Who" = from.user\nroute "carrier"'
    )
    there.office.invite(
        X_Trace_Id="7", X_Customer="gold", X_Other="no", Subject="Hello", Authorization="Digest x"
    )
    sent = there.carrier.hears_request("INVITE").headers
    found = {name: value for name, value in sent.fields if name.startswith(("X-", "Subject", "Auth"))}
    assert found == {"X-Trace-Id": "7", "X-Account": "gold", "X-Subject": "Hello", "X-Who": "alice"}


def test_no_copied_header_crosses_twice() -> None:
    there = stage(
        'set header "X-Account" = "none"\ncopy header "X-Customer" to "X-Account"\ncopy header "Subj*"\n'
        'copy header "X-Absent" to "X-Trace-Id"\ncopy header "X-Trace-Id"\nroute "carrier"'
    )
    there.office.invite(X_Trace_Id="7", X_Customer="gold", Subject="Hello")
    sent = there.carrier.hears_request("INVITE").headers
    found = [(name, value) for name, value in sent.fields if name.startswith(("X-", "Sub"))]
    assert found == [("Subject", "Hello"), ("X-Account", "gold"), ("X-Trace-Id", "7")]


def test_what_rules_say_of_codecs_holds_for_both_legs() -> None:
    there = stage('prefer codecs "PCMA"\ndeny codecs "G729"\nroute "carrier"')
    there.office.invite()
    (offer,) = [command for command in there.media if isinstance(command, OfferMedia)]
    assert offer.theirs.codecs == offer.ours.codecs is not None
    assert offer.theirs.codecs == Codecs((), ("G729",), ("PCMA",))


@pytest.mark.parametrize("ending", ['route "carrier"', 'reject 403 "No"', 'redirect "sip:a@b.example"'])
def test_tags_are_in_the_record_whatever_becomes_of_the_call(ending: str) -> None:
    there = stage('tag "vip"\ntag "from " + from.user\n' + ending)
    there.office.invite()
    if there.carrier.heard:
        there.carrier.respond(there.carrier.hears_request("INVITE"), 486)
    (ended,) = there.noted("call-ended")
    assert ended.fields["tags"] == ("vip", "from alice")


def challenged(there: Stage, **headers: Any) -> list[Challenge]:
    there.office.invite(**headers)
    there.office.hears(100)
    response = there.office.hears_response(407)
    there.office.request("ACK", CSeq=f"{there.cseq} ACK", To=response.headers.get("To") or "")
    there.office.heard.clear()
    return [parse_challenge(value) for value in response.headers.get_all("Proxy-Authenticate")]


def credentials(challenges: list[Challenge], password: str = PASSWORD, count: int = 1) -> str:
    account = Account("alice", REALM, password)
    picked = choose([str(each) for each in challenges], account)
    assert picked is not None
    return str(answer(picked, account, "INVITE", "sip:+12125550100@sbc.example", "cafe", count))


def users(text: str = USERS) -> Users:
    found, problems = read_users("users", text)
    assert not problems
    return found


def test_a_challenged_caller_proves_the_password_and_is_routed() -> None:
    there = stage(f'challenge "{REALM}"\ntag "user " + auth.user\nroute "carrier"', users=users())
    asked = challenged(there)
    assert [(each.realm, each.algorithm, each.stale) for each in asked] == [(REALM, "MD5", False)]
    there.carrier.hears_nothing()
    good = credentials(asked)
    there.office.invite(Proxy_Authorization=good, Call_ID="second")
    sent = there.carrier.hears_request("INVITE")
    assert "Proxy-Authorization" not in sent.headers
    there.carrier.respond(sent, 486)
    assert there.noted("call-ended")[-1].fields["tags"] == ("user alice",)
    there.office.heard.clear()
    replayed = challenged(there, Proxy_Authorization=good, Call_ID="third")
    assert replayed[0].stale and replayed[0].nonce != asked[0].nonce


@pytest.mark.parametrize("wrong", ["password", "realm", "user", "broken", "expired"])
def test_whoever_cannot_prove_it_is_asked_again(wrong: str) -> None:
    there = stage(f'challenge "{REALM}"\nroute "carrier"', users=users())
    asked = challenged(there)
    good = credentials(asked, "guess" if wrong == "password" else PASSWORD)
    realm = (f'realm="{REALM}"', 'realm="other"')
    changes = {"realm": realm, "user": ('"alice"', '"bob"'), "broken": ("Digest", "Basic")}
    old, new = changes.get(wrong, ("", ""))
    if wrong == "expired":
        there.wait(301)
    again = challenged(there, Authorization=good.replace(old, new) if old else good, Call_ID="again")
    assert again[0].stale is (wrong == "expired")
    there.carrier.hears_nothing()


def test_the_users_file_is_read_and_its_mistakes_hold_no_secret() -> None:
    sha = "ab" * 32
    found = users(USERS + f"alice:{REALM}:{sha}\nbob:other:{sha}\n")
    assert len(found) == 2 and found.realms == {REALM, "other"}
    assert found.algorithms(REALM) == ("SHA-256", "MD5") and found.algorithms("other") == ("SHA-256",)
    assert (
        found.hash_of(REALM, "alice", "SHA-256-sess") == sha
        and found.hash_of("other", "alice", "MD5") is None
    )
    assert sha not in repr(found)
    _, problems = read_users("users", f"{USERS}carol:{REALM}:{PASSWORD}\nalice:{REALM}:{'12' * 16}\n")
    assert [(each.line, each.col) for each in problems] == [(3, 1), (4, 1)]
    assert PASSWORD not in "".join(map(str, problems)) and "12" * 16 not in "".join(map(str, problems))


def test_what_cannot_be_written_is_left_out_of_what_a_rule_sets() -> None:
    rules = """
rules:
  - name: odd
    when: true
    then: "set header \\"X-A\\" = \\"a\\ud800b\\"\\nset from.user = \\"c\\udfff\\"\\nroute \\"carrier\\""
"""
    stage = Stage(snapshot(rules))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    assert invite.headers.get("X-A") == "ab" and invite.from_.uri.user == "c"


def test_a_rack_of_other_digits_is_none() -> None:
    stage = Stage()
    stage.office.invite(Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, Require="100rel", RSeq="1")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(183), "PRACK", RAck="\u0661 1 INVITE")
    stage.office.hears(400)
    stage.carrier.hears_nothing()
