"""Who withholds the number stays unknown to whoever is not trusted (RFC 3323, RFC 3325)."""

from __future__ import annotations

import pytest

from sbc.sip.message import Request, serialize
from tests.playbook.stage import SDP, Peer, Stage, snapshot

ASSERTED = "<sip:+12125550111@office.example>"
CALLER = '"Alice Smith" <sip:+12125550111@office.example>;tag=1'
EVERYWHERE = 'rules: [{name: out, when: true, then: route "%s"}]'


def to_plain(then: str = "") -> Stage:
    """A stage where every call goes on over UDP."""
    actions = f"{then}; " if then else ""
    return Stage(
        snapshot(f'rules:\n  - name: out\n    when: true\n    then: |\n      {actions}route "plain"')
    )


def invited(caller: Peer, callee: Peer, privacy: str, From: str = CALLER, **headers: str) -> Request:
    """The INVITE that arrives of one that asks for ``privacy``."""
    caller.invite(SDP, Privacy=privacy, P_Asserted_Identity=ASSERTED, From=From, **headers)
    caller.hears(100)
    return callee.hears_request("INVITE")


@pytest.mark.parametrize(
    "privacy", ["user", "id;user", "ID; User ;critical", "header;user;session", "user,id"]
)
def test_a_caller_that_withholds_itself_is_anonymous_beyond_trust(privacy: str) -> None:
    stage = to_plain()
    invite = invited(
        stage.office, stage.plain, privacy, Subject="from Alice", History_Info="<sip:+1@a>;index=1"
    )
    assert str(invite.headers.get("From")).startswith('"Anonymous" <sip:anonymous@anonymous.invalid>;tag=')
    assert invite.contact is not None and invite.contact.uri.user == "anonymous"
    wire = serialize(invite)
    assert b"2125550111" not in wire and b"Alice" not in wire
    left = [each for each in ("id", "critical") if each in privacy.lower()] if "id" in privacy.lower() else []
    assert invite.headers.get("Privacy") == (";".join(left) or None)


def test_neither_is_one_of_whom_no_certificate_was_verified_told() -> None:
    stage = Stage(strangers=("carrier",))
    invite = invited(stage.office, stage.carrier, "id;user")
    assert b"2125550111" not in serialize(invite)


@pytest.mark.parametrize("name", ["office", "plain"])
def test_to_a_trusted_peer_the_wish_is_passed_with_the_identity(name: str) -> None:
    """Whoever asks for it, over TLS or not; the identity is believed of one alone."""
    stage = Stage(snapshot(EVERYWHERE % "carrier"))
    invite = invited(stage.peers[name], stage.carrier, "id;user;critical;private-ext")
    assert invite.headers.get("Privacy") == "id;user;critical;private-ext"
    assert invite.from_.uri.user == "+12125550111"
    assert ("P-Asserted-Identity" in invite.headers) is (name == "office")


def test_id_withholds_what_the_network_asserts_and_is_passed_on() -> None:
    """RFC 3325 9.3: From is the caller's own to write; who is next may assert what it knows of the trunk."""
    stage = to_plain()
    invite = invited(stage.office, stage.plain, "id")
    assert "P-Asserted-Identity" not in invite.headers and invite.headers.get("Privacy") == "id"
    assert invite.from_.uri.user == "+12125550111"


def test_none_is_passed_and_nothing_withheld() -> None:
    stage = to_plain()
    invite = invited(stage.office, stage.plain, "none", Subject="from Alice")
    assert invite.headers.get("Privacy") == "none" and invite.headers.get("Subject") == "from Alice"
    assert invite.from_.display == "Alice Smith"


@pytest.mark.parametrize("privacy", ["history", "header", "session"])
def test_where_a_call_has_been_is_withheld(privacy: str) -> None:
    """RFC 7044 10.1: each of the three covers every entry."""
    stage = to_plain()
    told = {"History_Info": "<sip:+1555@a.example>;index=1", "Diversion": "<sip:+1555@a.example>"}
    invite = invited(stage.office, stage.plain, privacy, **told)
    assert "History-Info" not in invite.headers and "Privacy" not in invite.headers
    assert "Diversion" not in invite.headers


def test_what_cannot_be_done_and_is_critical_fails_the_call() -> None:
    """RFC 3323 5: better no call than one without it; without ``critical`` who comes next is asked."""
    stage = to_plain()
    stage.office.invite(Privacy="user;private-ext;critical")
    stage.office.hears(100)
    assert "Privacy" in stage.office.hears_response(500).reason
    stage.plain.hears_nothing()
    assert not stage.engine.calls
    stage.office.request("ACK")
    assert invited(stage.office, stage.plain, "user;private-ext").headers.get("Privacy") == "private-ext"


@pytest.mark.parametrize("then", ['set from.user = "+1" + from.user', 'set from.display = "Alice"'])
def test_no_rule_gives_a_number_back_by_writing_it_anew(then: str) -> None:
    stage = to_plain(then)
    invite = invited(stage.office, stage.plain, "user")
    assert str(invite.headers.get("From")).startswith('"Anonymous" <sip:anonymous@anonymous.invalid>')


def test_a_rule_may_ask_for_privacy_and_lift_it() -> None:
    stage = to_plain('set header "Privacy" = "user;id"')
    stage.office.invite(From=CALLER)
    invite = stage.plain.hears_request("INVITE")
    assert invite.from_.uri.user == "anonymous" and invite.headers.get("Privacy") == "id"
    stage = to_plain('remove header "Privacy"')
    invite = invited(stage.office, stage.plain, "user;id")
    assert invite.from_.uri.user == "+12125550111" and "Privacy" not in invite.headers


@pytest.mark.parametrize("trunk", ["carrier", "plain"])
def test_who_is_anonymous_already_stays_so(trunk: str) -> None:
    stage = Stage(snapshot(EVERYWHERE % trunk))
    anonymous = '"Anonymous" <sip:anonymous@anonymous.invalid>'
    invite = invited(stage.office, stage.peers[trunk], "id", From=f"{anonymous};tag=1")
    assert str(invite.headers.get("From")).startswith(f"{anonymous};tag=")


def test_a_callee_that_withholds_itself() -> None:
    """In responses too: what is asserted stays here, and who comes next is told not to assert it."""
    stage = Stage(snapshot(EVERYWHERE % "carrier"))
    stage.plain.invite()
    stage.plain.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    for status, body in ((180, b""), (200, b"v=0")):
        stage.carrier.respond(
            invite, status, body=body, P_Asserted_Identity=ASSERTED, Privacy="id;user", Subject="Carol"
        )
        heard = stage.plain.hears_response(status)
        assert heard.headers.get("Privacy") == "id"
        assert b"2125550111" not in serialize(heard) and b"Carol" not in serialize(heard)


def test_within_a_call_too() -> None:
    stage = to_plain()
    invite = invited(stage.office, stage.plain, "user;id")
    stage.plain.respond(invite, 200, body=b"v=0")
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", From=CALLER)
    stage.plain.hears("ACK")
    stage.within("office", answer, "INVITE", body=SDP, From=CALLER, Privacy="user;id", Subject="Alice")
    again = stage.plain.hears_request("INVITE")
    assert again.headers.get("Privacy") == "id" and again.from_.uri.user == "anonymous"
    assert b"2125550111" not in serialize(again) and b"Alice" not in serialize(again)
