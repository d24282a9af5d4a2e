"""Phones of one trunk are strangers to one another: what one has begun is none of another's.

A branch, a Call-ID and tags tell a transaction and a dialog; they prove nobody (RFC 3261 9.2, 26.1.4).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.sip.message import Request, Response
from tests.playbook.phones import REALM, Phone, configured, stage
from tests.playbook.stage import SDP, Stage

VIA = "SIP/2.0/TLS 10.0.0.7:5061;branch=z9hG4bKlearned"
URI = "sip:+12125550100@sbc.example"
FROM = f"<sip:alice@{REALM}>;tag=x"
METHODS = ["BYE", "INVITE", "UPDATE", "INFO"]


def two(trunk: str = "phones") -> tuple[Stage, Phone, Phone]:
    """Alice and bob, both registered, each at an address of its own."""
    made = stage()
    alice, bob = Phone(made, "alice", trunk), Phone(made, "bob", trunk)
    alice.registers()
    bob.registers()
    return made, alice, bob


def calls(made: Stage, phone: Phone) -> Request:
    """Alice's INVITE, as the carrier has it."""
    phone.peer.request("INVITE", URI, SDP, From=FROM, Via=VIA, CSeq="7 INVITE", Call_ID="learned")
    phone.peer.hears(100)
    return made.carrier.hears_request("INVITE")


def talks(made: Stage, phone: Phone) -> Response:
    """Alice's call is up; the 200 that she heard."""
    made.carrier.respond(calls(made, phone), 200, body=b"v=0 answer")
    answer = phone.peer.hears_response(200)
    within(phone, answer, "ACK", "7 ACK")
    made.carrier.hears("ACK")
    return answer


def within(phone: Phone, answer: Response, method: str, cseq: str = "", **more: str) -> None:
    """A request within alice's dialog, whoever sends it."""
    assert answer.contact is not None
    headers = {"CSeq": cseq or f"8 {method}", "From": FROM, "To": answer.headers.get("To") or "", **more}
    body = SDP if method in ("INVITE", "UPDATE") else b""
    phone.peer.request(method, str(answer.contact.uri), body, Call_ID="learned", **headers)


def moves(made: Stage, phone: Phone) -> Phone:
    """The phone's other connection, from another address: it went from one network to another."""
    again = Phone(made, phone.user, phone.flow.trunk or "", name=f"{phone.user}-moved")
    assert again.flow.remote.host != phone.flow.remote.host
    return again


def test_a_phone_cancels_no_call_of_another() -> None:
    made, alice, bob = two()
    calls(made, alice)
    bob.peer.request("CANCEL", URI, From=FROM, Via=VIA, CSeq="7 CANCEL", Call_ID="learned")
    bob.peer.hears(481)
    alice.peer.hears_nothing()
    made.carrier.hears_nothing()


def test_a_phone_swallows_no_call_of_another() -> None:
    made, alice, bob = two()
    bob.peer.request("OPTIONS", URI, From=FROM, Via=VIA, CSeq="7 OPTIONS", Call_ID="learned")
    bob.peer.request("INVITE", URI, SDP, From=f"<sip:bob@{REALM}>;tag=x", Via=VIA, CSeq="7 INVITE",
                     Call_ID="learned")  # fmt: skip
    made.carrier.hears("INVITE")
    calls(made, alice)


def test_a_phone_that_connects_anew_cancels_its_call() -> None:
    made, alice, _ = two()
    calls(made, alice)
    made.closes(alice.peer)
    alice.peer.request("CANCEL", URI, From=FROM, Via=VIA, CSeq="7 CANCEL", Call_ID="learned")
    assert 200 in [each.status for each in alice.peer.heard if isinstance(each, Response)]


@pytest.mark.parametrize("method", METHODS)
def test_a_phone_says_nothing_within_the_dialog_of_another(method: str) -> None:
    made, alice, bob = two()
    answer = talks(made, alice)
    within(bob, answer, method)
    refused = bob.peer.heard[-1]
    assert isinstance(refused, Response) and refused.status in (407, 481)
    alice.peer.hears_nothing()
    made.carrier.hears_nothing()
    within(alice, answer, "BYE")
    alice.peer.hears(200)
    made.carrier.hears("BYE")


def test_a_phone_does_not_prove_itself_into_the_dialog_of_another() -> None:
    made, alice, bob = two()
    answer = talks(made, alice)
    assert answer.contact is not None
    given = bob.credentials("BYE", str(answer.contact.uri))
    within(bob, answer, "BYE", Proxy_Authorization=str(given))
    bob.peer.hears(481)
    made.carrier.hears_nothing()


@pytest.mark.parametrize("method", ["BYE", "INVITE"])
def test_a_phone_that_registers_from_elsewhere_goes_on_with_its_call(method: str) -> None:
    made, alice, _ = two()
    answer = talks(made, alice)
    made.closes(alice.peer)
    again = moves(made, alice)
    again.registers()
    within(again, answer, method)
    made.carrier.hears(method)


def test_a_phone_that_acknowledges_from_elsewhere_hears_no_answer_again() -> None:
    """The ACK of a 2xx is the dialog's (RFC 3261 13.2.2.4), wherever its sender is now."""
    made, alice, _ = two()
    made.carrier.respond(calls(made, alice), 200, body=b"v=0 answer")
    answer = alice.peer.hears_response(200)
    again = moves(made, alice)
    again.registers()
    within(again, answer, "ACK", "7 ACK")
    made.carrier.hears("ACK")
    made.wait(40)
    alice.peer.hears_nothing()
    again.peer.hears_nothing()
    assert len(made.engine.calls) == 1


def test_a_phone_that_proves_itself_from_elsewhere_goes_on_with_its_call() -> None:
    made, alice, _ = two()
    answer = talks(made, alice)
    again = moves(made, alice)
    within(again, answer, "BYE")
    again.hears(407)
    assert answer.contact is not None
    given = again.credentials("BYE", str(answer.contact.uri))
    within(again, answer, "BYE", cseq="9 BYE", Proxy_Authorization=str(given))
    again.peer.hears(200)
    made.carrier.hears("BYE")


@pytest.mark.parametrize(("user", "status"), [("bob", 403), ("alice", 202)])
def test_a_phone_transfers_no_call_of_another_by_naming_its_dialog(user: str, status: int) -> None:
    base = configured()
    trunk = base.trunks["phones"].model_copy(update={"transfers": "perform"})
    made = Stage(replace(base, trunks={**base.trunks, "phones": trunk}))
    phones = {name: Phone(made, name) for name in ("alice", "bob")}
    for each in phones.values():
        each.registers()
    answer, who = talks(made, phones["alice"]), phones[user]
    named = f"learned;local-tag=x;remote-tag={answer.to_tag}"
    who.peer.request(
        "REFER", URI, Refer_To="<sip:+12125550199@sbc.example>", Call_ID="another", Target_Dialog=named,
        Require="tdialog", From=f"<sip:{user}@{REALM}>;tag=new",
        Proxy_Authorization=str(who.credentials("REFER", URI)),
    )  # fmt: skip
    who.peer.hears(status)


def test_a_phone_does_not_call_as_another_that_shares_its_proxy() -> None:
    """A proxy's connection is that of all phones behind it: who is there proves itself (RFC 3261 22.3)."""
    made = stage()
    bob = Phone(made, "bob")
    by_proxy = "SIP/2.0/TLS edge.invalid;branch=z9hG4bKedge{0}, SIP/2.0/TLS 10.0.0.{0};branch=z9hG4bK{0}"
    bob.registers(Via=by_proxy.format(1), Path="<sip:edge.invalid;lr>")
    as_bob = {"From": f"<sip:bob@{REALM}>;tag=x"}
    bob.peer.request("INVITE", URI, SDP, Call_ID="stranger", Via=by_proxy.format(2), **as_bob)
    bob.peer.hears(100)
    bob.hears(407)
    made.carrier.hears_nothing()
    bob.proves("INVITE", URI, SDP, Call_ID="bob", Via=by_proxy.format(3), **as_bob)
    bob.peer.hears(100)
    made.carrier.hears("INVITE")
