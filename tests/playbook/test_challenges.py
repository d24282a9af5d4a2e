"""A carrier that challenges what we send it within and before a call (RFC 3261 22.2, 22.3)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.sip.digest import parse_credentials, response_hash, user_hash
from sbc.sip.digest_client import Account
from sbc.sip.message import Request, response_to
from tests.peers.canaries import PASSWORD
from tests.peers.trunks import with_peers
from tests.playbook.stage import RULES, SDP, Stage, snapshot

REALM = "sip.carrier.example"
ACCOUNT = Account("4930", REALM, PASSWORD)
HEADERS = {401: ("WWW-Authenticate", "Authorization"), 407: ("Proxy-Authenticate", "Proxy-Authorization")}


def stage() -> Stage:
    """The carrier has our account, nobody else has one."""
    return Stage(replace(snapshot(), accounts={"carrier": ACCOUNT}))


def challenge(made: Stage, request: Request, status: int = 407, **words: str) -> None:
    """The carrier asks who we are; ``words`` are in place of its usual ones."""
    said = {"realm": f'"{REALM}"', "nonce": '"n1"', "qop": '"auth"', "algorithm": "MD5"} | words
    value = "Digest " + ", ".join(f"{name}={word}" for name, word in said.items() if word)
    response = response_to(request, status, "", "" if request.to_tag else "callee")
    response.headers.add(HEADERS[status][0], value)
    made.carrier.say(response)


def proves(request: Request, status: int = 407, count: int = 1) -> None:
    """``request`` has the account's credentials, and uses its nonce for the ``count``th time."""
    given = parse_credentials(request.headers.get(HEADERS[status][1]) or "")
    user = user_hash(given.algorithm, "4930", REALM, PASSWORD)
    assert given.response == response_hash(user, given, request.method, request.body)
    assert (given.username, given.realm, given.uri) == ("4930", REALM, request.uri)
    assert given.nc == (count if given.qop else 0)


def repeats(first: Request, second: Request) -> None:
    """The same request as a new transaction: RFC 3261 22.2, 8.1.3.5."""
    assert second.cseq.number == first.cseq.number + 1
    assert second.via.branch != first.via.branch
    for name in ("From", "To", "Call-ID", "Contact", "Max-Forwards"):
        assert second.headers.get(name) == first.headers.get(name)
    assert (second.uri, second.body) == (first.uri, first.body)


@pytest.mark.parametrize("status", [401, 407])
@pytest.mark.parametrize(
    "words",
    [{}, {"algorithm": "SHA-256"}, {"qop": ""}, {"qop": '"auth-int"'}, {"algorithm": "MD5-sess"}],
    ids=str,
)
def test_an_invite_is_sent_again_with_credentials(status: int, words: dict[str, str]) -> None:
    made = stage()
    made.office.invite()
    first = made.carrier.hears_request("INVITE")
    challenge(made, first, status, **words)
    assert made.carrier.hears_request("ACK").via.branch == first.via.branch
    second = made.carrier.hears_request("INVITE")
    repeats(first, second)
    proves(second, status)
    made.carrier.respond(second, 200, body=b"v=0 answer")
    made.office.hears(100)
    answer = made.office.hears_response(200)
    made.within("office", answer, "ACK")
    ack = made.carrier.hears_request("ACK")
    assert ack.cseq.number == second.cseq.number
    name = HEADERS[status][1]
    assert ack.headers.get(name) == second.headers.get(name)  # RFC 3261 13.2.2.4


def test_a_proxy_and_the_server_behind_it_both_ask() -> None:
    made = stage()
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"), 407)
    made.carrier.hears("ACK")
    second = made.carrier.hears_request("INVITE")
    challenge(made, second, 401, nonce='"n2"')
    made.carrier.hears("ACK")
    third = made.carrier.hears_request("INVITE")
    repeats(second, third)
    proves(third, 407, 2)
    proves(third, 401)


def test_another_realm_gets_no_answer_and_a_line() -> None:
    made = stage()
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"), 407, realm='"evil.example"')
    made.carrier.hears("ACK")
    made.carrier.hears_nothing()
    (note,) = made.noted("challenge-refused")
    assert note.fields["trunk"] == "carrier" and "'evil.example'" in note.fields["reason"]
    assert "register.realm" in note.fields["remedy"]
    made.office.hears(100)
    made.office.hears_response(403)


def test_of_several_challenges_the_trunk_s_is_answered() -> None:
    made = stage()
    made.office.invite()
    first = made.carrier.hears_request("INVITE")
    other = 'Digest realm="other.example", nonce="x", algorithm=MD5'
    own = f'Digest realm="{REALM}", nonce="n1", algorithm=MD5, qop="auth"'
    response = response_to(first, 407, "", "callee")
    response.headers.add("Proxy-Authenticate", other)
    response.headers.add("Proxy-Authenticate", own)
    made.carrier.say(response)
    made.carrier.hears("ACK")
    proves(made.carrier.hears_request("INVITE"))


def test_a_trunk_without_an_account_answers_nobody() -> None:
    made = Stage(snapshot())
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"))
    made.carrier.hears("ACK")
    made.carrier.hears_nothing()
    assert not made.noted("challenge-refused")


def test_a_wrong_password_is_not_tried_again() -> None:
    made = stage()
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"))
    made.carrier.hears("ACK")
    challenge(made, made.carrier.hears_request("INVITE"), nonce='"n2"')
    made.carrier.hears("ACK")
    made.carrier.hears_nothing()
    made.office.hears(100)
    made.office.hears_response(403)


def test_a_stale_nonce_is_answered_once_more_and_not_for_ever() -> None:
    made = stage()
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"))
    for turn in (2, 3):
        made.carrier.hears("ACK")
        request = made.carrier.hears_request("INVITE")
        proves(request)
        challenge(made, request, nonce=f'"n{turn}"', stale="true")
    made.carrier.hears("ACK")
    last = made.carrier.hears_request("INVITE")
    proves(last)
    challenge(made, last, nonce='"n4"', stale="true")
    made.carrier.hears("ACK")
    made.carrier.hears_nothing()


def test_a_nonce_that_comes_again_is_counted_on() -> None:
    made = stage()
    made.established()
    made.office.hears_nothing()
    for count in (1, 2):
        made.office.invite(Call_ID=f"another-{count}", body=SDP)
        challenge(made, made.carrier.hears_request("INVITE"))
        made.carrier.hears("ACK")
        proves(made.carrier.hears_request("INVITE"), count=count)


def test_a_bye_is_sent_again_with_credentials() -> None:
    made = stage()
    _, answer = made.established()
    made.within("office", answer, "BYE")
    bye = made.carrier.hears_request("BYE")
    challenge(made, bye)
    again = made.carrier.hears_request("BYE")
    repeats(bye, again)
    proves(again)
    made.carrier.respond(again, 200)
    made.carrier.hears_nothing()
    assert not made.engine.calls


def test_a_re_invite_and_an_update_are_sent_again_with_credentials() -> None:
    made = stage()
    second, answer = made.established()
    for method, body in (("INVITE", SDP), ("UPDATE", b"")):
        made.within("office", answer, method, body)
        first = made.carrier.hears_request(method)
        assert first.cseq.number == second.cseq.number + 1
        challenge(made, first, nonce=f'"{method}"')
        if method == "INVITE":
            made.carrier.hears("ACK")
            made.office.hears(100)
        second = made.carrier.hears_request(method)
        repeats(first, second)
        proves(second)
        made.carrier.respond(second, 200, body=b"v=0 answer" if body else b"")
        made.office.hears(200)
        if method == "INVITE":
            made.within("office", answer, "ACK", CSeq=f"{made.cseq} ACK")
            ack = made.carrier.hears_request("ACK")
            assert ack.cseq.number == second.cseq.number
            assert ack.headers.get("Proxy-Authorization") == second.headers.get("Proxy-Authorization")
    made.within("office", answer, "BYE")
    assert made.carrier.hears_request("BYE").cseq.number == second.cseq.number + 1


@pytest.mark.parametrize("allow", ["INVITE, UPDATE", "INVITE"])
def test_a_session_refresh_is_sent_again_with_credentials(allow: str) -> None:
    made = stage()
    made.office.invite()
    invite = made.carrier.hears_request("INVITE")
    made.carrier.respond(invite, 200, body=b"v=0 answer", Session_Expires="600;refresher=uac", Allow=allow)
    made.office.hears(100)
    made.within("office", made.office.hears_response(200), "ACK", CSeq=f"{made.cseq} ACK")
    made.carrier.hears("ACK")
    for count in (1, 2):
        made.wait(300)
        method = allow.split(", ")[-1]
        first = made.carrier.hears_request(method)
        challenge(made, first)
        if method == "INVITE":
            made.carrier.hears("ACK")
        second = made.carrier.hears_request(method)
        repeats(first, second)
        proves(second, count=count)
        made.carrier.respond(second, 200, body=first.body and b"v=0 answer", Session_Expires="600")
        if method == "INVITE":
            ack = made.carrier.hears_request("ACK")
            assert ack.cseq.number == second.cseq.number
            assert ack.headers.get("Proxy-Authorization") == second.headers.get("Proxy-Authorization")
    assert not made.noted("refresh-failed")


def test_who_wants_a_longer_session_after_a_challenge_may_challenge_again() -> None:
    configuration = snapshot(RULES, "tls", session_timer={"expires": "1800s"})
    made = Stage(replace(configuration, accounts={"carrier": ACCOUNT}))
    made.office.invite()
    challenge(made, made.carrier.hears_request("INVITE"))
    made.carrier.hears("ACK")
    made.carrier.respond(made.carrier.hears("INVITE"), 422, Min_SE="3600")
    made.carrier.hears("ACK")
    third = made.carrier.hears_request("INVITE")
    assert third.headers.get("Session-Expires") == "3600"
    assert "Proxy-Authorization" not in third.headers, "a proof is good for one request"
    challenge(made, third)
    made.carrier.hears("ACK")
    fourth = made.carrier.hears_request("INVITE")
    repeats(third, fourth)
    proves(fourth, count=2)


def test_a_call_that_is_given_up_while_it_proves_itself_is_cancelled_once_it_is_heard() -> None:
    made = stage()
    made.office.invite()
    first = made.carrier.hears_request("INVITE")
    made.carrier.respond(first, 100)
    challenge(made, first)
    made.carrier.hears("ACK")
    second = made.carrier.hears_request("INVITE")
    made.office.request("CANCEL", CSeq=f"{made.cseq} CANCEL")
    made.carrier.hears_nothing()  # RFC 3261 9.1
    made.carrier.respond(second, 180)
    cancel = made.carrier.hears_request("CANCEL")
    assert (cancel.via.branch, cancel.cseq.number) == (second.via.branch, second.cseq.number)


def test_the_callee_s_leg_is_challenged_as_well_where_the_carrier_called() -> None:
    made = stage()
    made.carrier.invite()
    invite = made.office.hears_request("INVITE")
    made.office.respond(invite, 200, body=b"v=0 answer")
    made.carrier.hears(100)
    answer = made.carrier.hears_response(200)
    made.within("carrier", answer, "ACK")
    made.office.hears("ACK")
    (call,) = made.engine.calls
    made.carry_out(made.engine.end_call(call, "the SBC is shutting down", made.now))
    bye = made.carrier.hears_request("BYE")
    challenge(made, bye)
    proves(made.carrier.hears_request("BYE"))


def test_a_peers_own_time_counts_for_what_is_sent_again() -> None:
    configuration = replace(snapshot(), accounts={"carrier": ACCOUNT})
    hurried = with_peers(
        configuration.trunks["carrier"], {"host": "carrier.example", "port": 5061, "try_for": 2}
    )
    made = Stage(replace(configuration, trunks={**configuration.trunks, "carrier": hurried}))
    made.office.invite()
    first = made.carrier.hears_request("INVITE")
    made.carrier.respond(first, 100)
    challenge(made, first)
    made.carrier.hears("ACK")
    made.carrier.hears("INVITE")
    made.wait(1.9)
    made.backup.hears_nothing()
    made.wait(0.2)
    made.backup.hears("INVITE")
