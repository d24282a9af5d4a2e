"""What is refused to phones: passwords, nonces, realms, domains, transports, certificates, too many."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.sip.digest import parse_challenge
from sbc.sip.digest_client import Account, answer
from tests.playbook.phones import PASSWORDS, REALM, Phone, configured, lines, registered, stage
from tests.playbook.stage import SDP, Stage


@pytest.mark.parametrize("user", ["alice", "nobody"])
def test_a_wrong_password_and_an_unknown_user_hear_the_same(user: str) -> None:
    made = stage()
    phone = Phone(made, user)
    phone.password = "guessed"
    phone.asks()
    first = phone.hears(401)
    phone.proves()
    again = phone.hears(401)
    assert [name for name, _ in again.headers.fields] == [name for name, _ in first.headers.fields]
    assert not parse_challenge(again.headers.get("WWW-Authenticate") or "").stale
    (note,) = made.noted("phone-refused")
    assert (note.fields["user"], note.fields["status"]) == (user, 401)
    assert registered(made, user) == [] and len(made.engine.transactions) == 0


def test_a_nonce_count_is_good_once() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers()
    assert phone.challenge is not None
    phone.count = 0  # as whoever has overheard it would
    phone.proves(Contact="<sip:thief@192.0.2.66>")
    assert "stale=true" in (phone.hears(401).headers.get("WWW-Authenticate") or "")
    assert registered(made) == ["sip:alice@10.0.0.7:5060;transport=tls"]


def test_a_nonce_ends_and_is_told_to_be_stale() -> None:
    made = stage()
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    made.wait(301)
    phone.proves()
    assert "stale=true" in (phone.hears(401).headers.get("WWW-Authenticate") or "")
    phone.proves()
    phone.hears(200)


def test_credentials_of_another_realm_prove_nothing() -> None:
    made = stage()
    phone = Phone(made)
    phone.realm = "elsewhere.example"
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(401)


def test_who_only_says_who_it_is_before_it_is_asked_tries_no_password() -> None:
    """As phones of mobile and cable networks do, with empty nonce and response (3GPP TS 24.229 5.1.1.2)."""
    made = stage()
    phone = Phone(made)
    said = f'Digest username="alice", realm="{REALM}", nonce="", uri="sip:{REALM}", response=""'
    phone.asks(Authorization=said)
    phone.hears(401)
    assert not made.suspects and not made.noted("phone-refused")
    phone.proves()
    phone.hears(200)
    phone.asks(Authorization=said.replace('response=""', f'response="{"0" * 64}"'), Call_ID="guesses")
    phone.hears(401)
    assert [each.kind for each in made.suspects] == ["password"]


def test_a_proof_for_another_request_uri_is_no_guess_and_the_operator_is_told() -> None:
    """A router that rewrites the Request-URI must not have an office blocked for its passwords."""
    made = stage()
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    given = str(phone.credentials("REGISTER", "sip:203.0.113.9"))
    phone.asks(Authorization=given)
    phone.hears(401)
    assert registered(made) == [] and not made.suspects
    assert "made for sip:203.0.113.9" in str(made.noted("phone-refused")[-1].fields["reason"])
    phone.password = "guessed"
    phone.asks(Authorization=str(phone.credentials("REGISTER", "sip:203.0.113.9")))
    phone.hears(401)
    assert [each.kind for each in made.suspects] == ["password"]


def test_a_phone_that_knows_no_qop_is_no_guesser_and_the_operator_is_told() -> None:
    made = stage()
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    assert phone.challenge is not None
    account = Account("alice", REALM, PASSWORDS["alice"])
    given = answer(replace(phone.challenge, qop=()), account, "REGISTER", f"sip:{REALM}", "")
    phone.asks(Authorization=str(given))
    phone.hears(401)
    assert registered(made) == [] and not made.suspects
    assert "without qop" in str(made.noted("phone-refused")[-1].fields["reason"])


def test_nobody_registers_somebody_else() -> None:
    made = stage()
    phone = Phone(made, "bob")
    phone.asks()
    phone.hears(401)
    phone.proves(To=f"<sip:alice@{REALM}>")
    phone.hears(403)
    assert registered(made) == []


@pytest.mark.parametrize(
    ("uri", "to", "status"),
    [
        ("sip:192.0.2.1", "sip:alice@192.0.2.1", 200),
        ("sip:EXAMPLE.com", "sip:alice@example.com", 200),
        ("sip:example.com", "sip:%61lice@Example.COM", 200),
        ("sip:example.com", "sip:alice@elsewhere.example", 403),
        ("sip:elsewhere.example", "sip:alice@elsewhere.example", 404),
    ],
)
def test_which_domains_are_ours(uri: str, to: str, status: int) -> None:
    made = stage()
    phone = Phone(made)
    phone.asks(uri=f"sip:{REALM}")
    phone.hears(401)
    phone.proves(uri=uri, To=f"<{to}>")
    phone.hears(status)


@pytest.mark.parametrize(
    ("name", "escaped"),
    [("m\u00fcller", "m%C3%BCller"), ("front desk", "front%20desk"), ("gate@lodge", "gate%40lodge")],
)
def test_a_name_that_a_uri_must_escape_is_its_user_all_the_same(
    name: str, escaped: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A digest has a user's name as it is (RFC 7616 3.4), and a URI with escapes (RFC 3261 19.1.2)."""
    monkeypatch.setitem(PASSWORDS, name, "secret")
    made = stage(users=lines(name))
    phone = Phone(made, name, name="phone")
    own = f"<sip:{escaped}@{REALM}>"
    phone.registers(To=own, From=f"{own};tag=x", Contact="<sip:phone@10.0.0.7>")
    assert registered(made, escaped) == ["sip:phone@10.0.0.7"]
    phone.peer.request("INVITE", "sip:+12125550100@sbc.example", SDP, From=f"{own};tag=x")
    phone.peer.hears(100)
    made.carrier.hears("INVITE")


def test_a_number_is_one_user_however_it_is_spelled() -> None:
    made = stage()
    phone = Phone(made, "+4930100", name="desk")
    phone.registers(To=f"<sip:+49-30-100@{REALM}>")
    assert made.engine.registrar.registered("+4930100")


@pytest.mark.parametrize(("trunk", "status"), [("phones", 200), ("soft", 403)])
def test_tls_only(trunk: str, status: int) -> None:
    made = stage(users=lines("alice", "tls_only"))
    phone = Phone(made, trunk=trunk)
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(status)


@pytest.mark.parametrize(
    ("name", "stranger", "status"),
    [
        ("phone-7.example.com", False, 200),
        ("phone-8.example.com", False, 403),
        ("phone-7.example.com", True, 403),
    ],
)
def test_a_user_bound_to_a_certificate(name: str, stranger: bool, status: int) -> None:
    made = Stage(configured(lines("alice", f"certificate={name}")), ("phones",) if stranger else ())
    made.sans["phones"] = ("dns:phone-7.example.com",)
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(status)
    phone.peer.request("INVITE", body=SDP, From=f"<sip:alice@{REALM}>;tag=x")
    phone.peer.hears(100)
    if status == 200:
        made.carrier.hears("INVITE")
    else:
        phone.hears(407)
        made.carrier.hears_nothing()


def test_how_many_contacts_a_user_has() -> None:
    made = stage(users=lines("alice", "contacts=1") + lines("bob"))
    phone = Phone(made, trunk="soft")
    phone.registers()
    phone.call_id = "another"
    phone.proves(Contact="<sip:alice@10.0.0.8>")
    phone.hears(403)
    assert registered(made) == ["sip:alice@10.0.0.7:5060;transport=udp"]


def test_what_is_required_and_unknown() -> None:
    made = stage()
    phone = Phone(made, trunk="soft")
    phone.asks(Require="path")
    phone.hears(401)
    phone.asks(Require="outbound")
    assert phone.hears(420).headers.get("Unsupported") == "outbound"
    phone.asks(Require="gruu")
    assert phone.hears(420).headers.get("Unsupported") == "gruu"
    secure = Phone(made, "bob")
    secure.asks(Require="outbound, path")
    secure.hears(401)


def test_a_trunk_without_phones_takes_no_register() -> None:
    made = stage()
    made.office.request("REGISTER", "sip:example.com")
    made.office.hears(405)
    phone = Phone(made)
    phone.peer.request("SUBSCRIBE", f"sip:alice@{REALM}")
    assert "REGISTER" in (phone.peer.hears(405).headers.get("Allow") or "")
