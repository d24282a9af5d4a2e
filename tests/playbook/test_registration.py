"""REGISTER to a carrier: challenges, times, failures, what is saved and taken back (RFC 3261 10.2)."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from sbc.b2bua.registration import AHEAD, Registration
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.sip.digest import parse_credentials, response_hash, user_hash
from sbc.sip.digest_client import Account
from sbc.sip.message import Message, Request, response_to
from tests.peers.canaries import PASSWORD
from tests.playbook.stage import SDP, Peer, Stage, snapshot

REALM = "sip.carrier.example"
ACCOUNT = Account("account-7", REALM, PASSWORD)
TERMS = {"user": "4930123", "auth_user": "account-7", "realm": REALM, "password_file": "secrets/carrier"}


def with_terms(base: Snapshot, **changes: Any) -> Snapshot:
    """``base`` with a carrier that we register with; ``trunk`` has more of its keys."""
    more: dict[str, Any] = changes.pop("trunk", {})
    given = {
        "trunk": "carrier", "listener": "main", "peers": ["carrier.example:5061"],
        "sources": ["198.51.100.0/24"], "register": {**TERMS, **changes}, **more,
    }  # fmt: skip
    trunks = {**base.trunks, "carrier": Trunk.model_validate(given)}
    return replace(base, trunks=trunks, accounts={"carrier": ACCOUNT})


def stage(transport: str = "tls", **changes: Any) -> Stage:
    return Stage(with_terms(snapshot(transport=transport), **changes))


def look(made: Stage, after: float = 0.0) -> None:
    """What the housekeeping does each second, at least once."""
    made.wait(after)
    made.carry_out(made.engine.probe(made.now))


def of(made: Stage) -> Registration:
    found = made.engine.registrations.of("carrier")
    assert found is not None
    return found


def registers(peer: Peer) -> Request:
    return peer.hears_request("REGISTER")


def accept(made: Stage, request: Request, expires: int | None = None, **more: str) -> None:
    """The registrar's 200, with the binding as it was asked for, or for ``expires`` seconds."""
    asked = request.headers.get("Expires") if expires is None else expires
    response = response_to(request, 200, "", "registrar")
    response.headers.add("Contact", f"{request.headers.get('Contact')};expires={asked}")
    for name, value in more.items():
        response.headers.add(name.replace("_", "-"), value)
    made.carrier.say(response)


def ask(made: Stage, request: Request, nonce: str = "n1", realm: str = REALM, stale: bool = False) -> None:
    """The registrar's 401."""
    response = response_to(request, 401, "", "registrar")
    value = f'Digest realm="{realm}", nonce="{nonce}", qop="auth", algorithm=SHA-256'
    response.headers.add("WWW-Authenticate", value + (", stale=true" if stale else ""))
    made.carrier.say(response)


def refuse(made: Stage, request: Message, status: int, **more: str) -> None:
    assert isinstance(request, Request)
    response = response_to(request, status, "", "registrar")
    for name, value in more.items():
        response.headers.add(name.replace("_", "-"), value)
    made.carrier.say(response)


def registered(**changes: Any) -> Stage:
    """A carrier that has taken our REGISTER after a challenge."""
    made = stage(**changes)
    look(made)
    ask(made, registers(made.carrier))
    accept(made, registers(made.carrier))
    assert of(made).state == "registered"
    return made


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    "foreign",
    ['<sip:4930123@10.0.0.7;x="a">;expires=3600', "sip:a b", "<sip:phone@10.0.0.7>;expires=10;", "*", '"'],
)
def test_what_other_devices_of_the_account_have_bound_is_not_ours_to_read(first: bool, foreign: str) -> None:
    """A registrar lists all bindings of an account (RFC 3261 10.3), and others write theirs as they like."""
    made = stage()
    look(made)
    request = registers(made.carrier)
    response = response_to(request, 200, "", "registrar")
    own = f"{request.headers.get('Contact')};expires=600"
    for value in (foreign, own) if first else (own, foreign):
        response.headers.add("Contact", value)
    made.carrier.say(response)
    assert of(made).state == "registered" and of(made).until == made.now + 600


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ("<sip:p1.example;lr>, <sip:p2.example;lr>", ["<sip:p1.example;lr>", "<sip:p2.example;lr>"]),
        ("sip:p1.example;lr", ["<sip:p1.example;lr>"]),
        ("garbage", []),
        ("<sip:p1.example;lr>, <tel:+49>", []),
        ("<sip:p1.example;lr>;, <sip:p2.example;lr>", []),
        ("*", []),
    ],
)
def test_a_route_that_cannot_be_read_is_none_that_calls_take(said: str, taken: list[str]) -> None:
    """Whoever is sent a malformed Route refuses the request (RFC 3261 16.3): every call of the trunk."""
    made = stage()
    look(made)
    accept(made, registers(made.carrier), Service_Route=said)
    assert of(made).state == "registered"
    made.office.invite()
    assert made.carrier.hears_request("INVITE").headers.get_all("Route") == taken


# What is asked


def test_the_register_is_as_rfc_3261_has_it() -> None:
    made = stage()
    look(made)
    request = registers(made.carrier)
    assert request.uri == "sip:carrier.example;transport=tls"
    assert request.headers.get("To") == "<sip:4930123@carrier.example>"
    assert request.from_.uri == request.to.uri and request.from_tag
    assert request.headers.get("Expires") == "3600"
    contact = request.contact
    assert contact is not None and str(contact.uri) == "sip:4930123@192.0.2.1:5061;transport=tls"
    assert contact.param("reg-id") == "1" and "urn:uuid:" in (contact.param("+sip.instance") or "")
    assert "outbound" in (request.headers.get("Supported") or "")
    assert "Authorization" not in request.headers and "Require" not in request.headers


def test_a_sips_trunk_with_a_domain_registers_so() -> None:
    made = stage(domain="ims.example", trunk={"scheme": "sips"})
    look(made)
    request = registers(made.carrier)
    assert request.uri == "sips:ims.example;transport=tls"
    assert str(request.to.uri) == "sips:4930123@ims.example"
    (note,) = made.noted("register")
    assert (note.fields["transport"], note.fields["scheme"]) == ("TLS", "sips")


def test_over_udp_no_connection_is_spoken_of() -> None:
    made = stage("udp")
    look(made)
    request = registers(made.carrier)
    assert request.headers.get("Contact") == "<sip:4930123@192.0.2.1:5061>"
    assert request.headers.get("Supported") == "path"


def test_one_binding_is_for_all_numbers_in_bulk() -> None:
    """RFC 6140 5.2."""
    made = stage(bulk=True)
    look(made)
    request = registers(made.carrier)
    assert (request.headers.get("Require"), request.headers.get("Proxy-Require")) == ("gin", "gin")
    contact = request.contact
    assert contact is not None
    assert str(contact.uri) == "sip:192.0.2.1:5061;transport=tls;bnc"
    accept(made, request)
    assert of(made).state == "registered"


def test_a_challenge_is_answered() -> None:
    made = stage()
    look(made)
    first = registers(made.carrier)
    ask(made, first)
    second = registers(made.carrier)
    assert second.cseq.number == first.cseq.number + 1 and second.call_id == first.call_id
    assert second.via.branch != first.via.branch
    given = parse_credentials(second.headers.get("Authorization") or "")
    user = user_hash("SHA-256", "account-7", REALM, PASSWORD)
    assert given.response == response_hash(user, given, "REGISTER")
    assert (given.username, given.uri, given.nc, given.algorithm) == ("account-7", second.uri, 1, "SHA-256")
    accept(made, second)
    (note,) = made.noted("registered")
    assert note.fields["expires"] == 3600


def test_another_realm_gets_no_answer() -> None:
    made = stage()
    look(made)
    ask(made, registers(made.carrier), realm="evil.example")
    made.carrier.hears_nothing()
    assert made.noted("challenge-refused")[0].fields["method"] == "REGISTER"
    assert of(made).state == "failed" and "'evil.example'" in of(made).reason


def test_a_wrong_password_is_tried_once_and_then_after_a_while() -> None:
    made = stage()
    look(made)
    ask(made, registers(made.carrier))
    ask(made, registers(made.carrier), nonce="n2")
    made.carrier.hears_nothing()
    assert "does not accept" in of(made).reason
    look(made, 29)
    made.carrier.hears_nothing()
    look(made, 31)
    assert "Authorization" not in registers(made.carrier).headers


def test_too_brief_a_time_is_lengthened() -> None:
    """RFC 3261 10.2.8."""
    made = stage(expires=60)
    look(made)
    ask(made, registers(made.carrier))
    refuse(made, registers(made.carrier), 423, Min_Expires="1800")
    request = registers(made.carrier)
    assert request.headers.get("Expires") == "1800"
    assert parse_credentials(request.headers.get("Authorization") or "").nc == 2
    accept(made, request)
    look(made, 1800 - AHEAD)
    assert registers(made.carrier).headers.get("Expires") == "1800"


@pytest.mark.parametrize("least", ["60", "30", "", "soon", "99999999999", "4000000000"])
def test_a_time_that_cannot_be_meant_is_not_asked_for(least: str) -> None:
    made = stage(expires=60)
    look(made)
    refuse(made, registers(made.carrier), 423, Min_Expires=least)
    made.carrier.hears_nothing()
    assert of(made).state == "failed"


# Renewal


@pytest.mark.parametrize(("granted", "after"), [(3600, 3000), (1201, 601), (600, 300), (60, 30)])
def test_a_binding_is_renewed_before_it_ends(granted: int, after: int) -> None:
    made = stage()
    look(made)
    accept(made, registers(made.carrier), granted)
    look(made, after - 1)
    made.carrier.hears_nothing()
    look(made, 1)
    registers(made.carrier)


def test_a_renewal_uses_the_nonce_again_and_counts_it() -> None:
    made = registered()
    look(made, 3600 - AHEAD)
    request = registers(made.carrier)
    assert parse_credentials(request.headers.get("Authorization") or "").nc == 2
    ask(made, request, nonce="n2", stale=True)
    fresh = parse_credentials(registers(made.carrier).headers.get("Authorization") or "")
    assert (fresh.nonce, fresh.nc) == ("n2", 1)


def test_the_time_granted_is_that_of_our_contact_among_others() -> None:
    made = stage()
    look(made)
    request = registers(made.carrier)
    own = request.headers.get("Contact")
    response = response_to(request, 200, "", "registrar")
    response.headers.add("Contact", f"<sip:4930123@198.51.100.77>;expires=7200, {own};expires=120")
    made.carrier.say(response)
    assert of(made).until == made.now + 120


@pytest.mark.parametrize("ours", ["first", "last"])
def test_what_another_device_of_the_account_has_written_is_none_of_our_business(ours: str) -> None:
    """A registrar tells of all bindings (RFC 3261 10.3 step 8), and not all write URIs by the book."""
    made = stage()
    look(made)
    request = registers(made.carrier)
    response = response_to(request, 200, "", "registrar")
    values = ["<sip:gate house@198.51.100.77>;expires=7200", f"{request.headers.get('Contact')};expires=120"]
    for each in values if ours == "last" else values[::-1]:
        response.headers.add("Contact", each)
    made.carrier.say(response)
    assert (of(made).state, of(made).until) == ("registered", made.now + 120)


@pytest.mark.parametrize("said", [3601, 3600000, 4294967295])
def test_more_than_was_asked_for_is_not_relied_on(said: int) -> None:
    """A registrar may shorten (RFC 3261 10.3 step 7): what is longer may be milliseconds, or another's."""
    made = stage()
    look(made)
    accept(made, registers(made.carrier), said)
    look(made, 3600 - AHEAD)
    registers(made.carrier)


def test_without_a_contact_the_expires_of_the_answer_counts() -> None:
    made = stage()
    look(made)
    refuse(made, registers(made.carrier), 200, Expires="90")
    assert of(made).until == made.now + 90


def test_a_binding_of_no_time_is_a_failure() -> None:
    made = stage()
    look(made)
    accept(made, registers(made.carrier), 0)
    assert of(made).state == "failed"


def test_a_renewal_that_fails_leaves_the_binding_until_it_ends() -> None:
    made = registered()
    look(made, 3600 - AHEAD)
    refuse(made, registers(made.carrier), 500)
    assert of(made).state == "registered" and of(made).reason.startswith("500")
    while made.now < of(made).until and of(made).state == "registered":
        look(made, 10)
        if made.carrier.heard:
            refuse(made, registers(made.carrier), 500)
    assert of(made).state == "failed" and made.noted("registration-lost")


# What the operator does


def saved(made: Stage, **changes: Any) -> None:
    """A reload with another carrier."""
    made.engine.store.swap(with_terms(made.engine.store.current, **changes))
    made.carry_out(made.engine.follow(made.now))


def test_a_saved_file_registers_again_and_nothing_else_does() -> None:
    made = registered()
    made.engine.store.swap(replace(made.engine.store.current))
    look(made, 1)
    made.carrier.hears_nothing()
    saved(made)
    look(made, 1)
    accept(made, registers(made.carrier))
    assert of(made).state == "registered"


def test_another_password_registers_again() -> None:
    made = registered()
    made.engine.store.swap(
        replace(made.engine.store.current, accounts={"carrier": replace(ACCOUNT, password="another")})
    )
    look(made, 1)
    assert "Authorization" not in registers(made.carrier).headers


def test_a_ca_that_is_replaced_registers_again_before_the_old_connection_closes() -> None:
    tls = {"mode": "required", "trust": ["carrier-ca"], "server_identity": "sbc", "client_identity": "sbc"}
    made = registered(trunk={"tls": tls})
    anchors: Any = {"carrier-ca": SimpleNamespace(certificates=(b"another",))}
    made.engine.store.swap(replace(made.engine.store.current, anchors=anchors))
    look(made, 1)
    accept(made, registers(made.carrier))
    look(made, 1)
    made.carrier.hears_nothing()


def test_what_failed_is_tried_at_once_after_a_reload() -> None:
    made = stage()
    look(made)
    refuse(made, registers(made.carrier), 403)
    assert "password" in of(made).reason
    made.engine.store.swap(replace(made.engine.store.current))
    look(made, 1)
    registers(made.carrier)


def test_a_trunk_that_is_gone_is_taken_back_with_its_old_password() -> None:
    made = registered()
    rest = {name: trunk for name, trunk in made.engine.store.current.trunks.items() if name != "carrier"}
    made.engine.store.swap(replace(made.engine.store.current, trunks=rest, accounts={}))
    made.carry_out(made.engine.follow(made.now))
    request = registers(made.carrier)
    assert request.headers.get("Expires") == "0"
    assert parse_credentials(request.headers.get("Authorization") or "").nc == 2
    ask(made, request, nonce="n2")
    accept(made, registers(made.carrier))
    made.carry_out(made.engine.probe(made.now))
    assert made.engine.registrations.of("carrier") is None and not made.engine.registrations.leaving


def test_another_user_takes_the_first_one_s_binding_back() -> None:
    made = registered()
    saved(made, user="4930999")
    first = registers(made.carrier)
    assert (first.to.uri.user, first.headers.get("Expires")) == ("4930123", "0")
    look(made)
    second = registers(made.carrier)
    assert (second.to.uri.user, second.headers.get("Expires")) == ("4930999", "3600")
    assert second.call_id != first.call_id


def test_a_listener_that_is_to_be_found_elsewhere_is_registered_with_its_new_address() -> None:
    """Else the carrier's calls go to the former one until it is renewed (RFC 3261 10.2.1)."""
    made = registered()
    former = of(made).contact
    now = made.engine.store.current
    moved = now.settings.listeners["main"].model_copy(update={"advertise": Address("203.0.113.5", 5061)})
    settings = now.settings.model_copy(update={"listeners": {**now.settings.listeners, "main": moved}})
    made.engine.store.swap(replace(now, settings=settings))
    made.carry_out(made.engine.follow(made.now))
    back = registers(made.carrier)
    assert (back.headers.get("Contact"), back.headers.get("Expires")) == (former, "0")
    accept(made, back)
    look(made, 1)
    fresh = registers(made.carrier).contact
    assert fresh is not None and fresh.uri.host == "203.0.113.5"
    made.carrier.hears_nothing()


def test_a_binding_is_not_made_anew_while_it_is_being_taken_back() -> None:
    """Over UDP the one may overtake the other, and what comes late takes the new binding back (10.2.2)."""
    made = registered()
    now = made.engine.store.current
    made.engine.store.swap(replace(now, switched_off={"carrier": "an operator has said so"}))
    made.carry_out(made.engine.follow(made.now))
    back = registers(made.carrier)
    made.engine.store.swap(now)
    look(made, 1)
    made.carrier.hears_nothing()
    accept(made, back)
    look(made, 1)
    assert registers(made.carrier).headers.get("Expires") == "3600"


def test_all_are_taken_back_when_we_stop_and_nothing_begins() -> None:
    made = registered()
    made.engine.draining = made.engine.leaving = True
    made.carry_out(made.engine.unregister(made.now))
    request = registers(made.carrier)
    assert request.headers.get("Expires") == "0"
    accept(made, request)
    look(made, 60)
    made.carrier.hears_nothing()
    assert not made.engine.registrations.leaving


def test_while_we_drain_a_registration_is_kept_for_the_calls_that_come_over_it() -> None:
    made = registered()
    made.engine.draining = True
    look(made, 3600)
    assert int(registers(made.carrier).headers.get("Expires") or 0) > 0


def test_a_trunk_without_register_is_not_registered() -> None:
    made = Stage(snapshot())
    look(made)
    made.carrier.hears_nothing()


# Calls


def test_calls_go_to_where_the_trunk_is_registered_by_the_route_that_it_names() -> None:
    """RFC 3608 6."""
    made = stage(trunk={"peers": ["carrier.example:5061", "second.example:5061"]})
    made.refusing.add(Address("carrier.example", 5061))
    look(made)
    second = made.peers["second"]
    request = registers(second)
    made.refusing.clear()
    response = response_to(request, 200, "", "registrar")
    response.headers.add("Contact", f"{request.headers.get('Contact')};expires=600")
    response.headers.add("Service-Route", "<sip:edge.carrier.example;lr>, <sip:core.carrier.example;lr>")
    response.headers.add("P-Associated-URI", "<sip:+4930123@carrier.example>, <tel:+4930124>")
    second.say(response)
    assert of(made).associated == ("<sip:+4930123@carrier.example>", "<tel:+4930124>")
    made.office.invite()
    made.carrier.hears_nothing()
    invite = second.hears_request("INVITE")
    assert invite.headers.values("Route") == [
        "<sip:edge.carrier.example;lr>", "<sip:core.carrier.example;lr>"
    ]  # fmt: skip
    made.closes(second)
    look(made)
    assert "Route" not in made.carrier.hears_request("INVITE").headers
    registers(made.carrier)


def test_the_carrier_s_calls_come_on_the_connection_that_registered() -> None:
    made = registered(trunk={"sources": []})
    made.carrier.invite(body=SDP)
    assert made.office.hears_request("INVITE").body
