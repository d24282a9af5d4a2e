"""Phones register with us: who may, what is kept, and what they may begin (RFC 3261 10.3, 22; RFC 5626)."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import pytest

from sbc.config.hook_set import Hook, HookSet, hook_set
from sbc.hookapi import Refuse, Registration, refuse
from sbc.sip.digest import parse_challenge
from tests.playbook.phones import PASSWORDS, REALM, USERS, Phone, configured, lines, registered, stage
from tests.playbook.stage import SDP, Stage


@pytest.mark.parametrize("trunk", ["phones", "soft"])
def test_a_phone_proves_its_password_and_is_registered(trunk: str) -> None:
    made = stage()
    phone = Phone(made, trunk=trunk)
    answer = phone.registers(Expires="600")
    assert (answer.headers.get("Contact") or "").endswith(";expires=600")
    (binding,) = made.engine.registrar.contacts("alice", made.engine.date(made.now))
    assert binding.flow is phone.flow and binding.remote == phone.flow.remote
    assert (binding.trunk, binding.transport) == (trunk, phone.flow.transport)
    assert made.engine.registrar.registered("alice")
    (note,) = made.noted("phone-registered")
    assert (note.fields["user"], note.fields["expires"]) == ("alice", 600)


def test_both_algorithms_are_offered_the_stronger_first() -> None:
    made = stage()
    phone = Phone(made)
    phone.asks()
    response = phone.hears(401)
    offered = [parse_challenge(each) for each in response.headers.get_all("WWW-Authenticate")]
    assert [each.algorithm for each in offered] == ["SHA-256", "MD5"]
    assert {each.realm for each in offered} == {REALM} and all("auth" in each.qop for each in offered)


def test_each_is_offered_what_its_lines_are_by_and_strangers_learn_nothing() -> None:
    users = lines("alice", algorithms=("MD5",)) + lines("bob", algorithms=("SHA-256",)) + lines("carol")
    made = stage(users=users)
    offered: dict[str, set[tuple[str, ...]]] = {}
    for user in ("alice", "bob", "carol", *[f"guess{number}" for number in range(40)]):
        for _ in range(3):
            phone = Phone(made, user)
            phone.asks()
            values = phone.hears(401).headers.get_all("WWW-Authenticate")
            found = tuple([parse_challenge(each).algorithm for each in values])
            offered.setdefault(user, set()).add(found)
    assert all(len(each) == 1 for each in offered.values())
    known = {user: offered.pop(user) for user in ("alice", "bob", "carol")}
    assert known == {"alice": {("MD5",)}, "bob": {("SHA-256",)}, "carol": {("SHA-256", "MD5")}}
    assert {each for some in offered.values() for each in some} == {
        ("MD5",),
        ("SHA-256",),
        ("SHA-256", "MD5"),
    }
    for user in known:
        Phone(made, user).registers()


def test_what_strangers_are_offered_is_as_rare_as_it_is_with_users(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else whoever is offered what hardly any user has is nobody: half of all guesses are told."""
    for number in range(20):
        monkeypatch.setitem(PASSWORDS, f"user{number}", "secret")
    users = [lines(f"user{number}", "", ("SHA-256", "MD5") if number else ("MD5",)) for number in range(20)]
    made = stage(users="".join(users))
    rare = 0
    for number in range(200):
        phone = Phone(made, f"guess{number}", name="guess")
        phone.asks()
        rare += len(phone.hears(401).headers.get_all("WWW-Authenticate")) == 1
    assert 0 < rare < 200 // 8


def test_a_challenge_leaves_nothing_behind() -> None:
    made = stage()
    phone = Phone(made, trunk="soft")
    for _ in range(3):
        phone.asks()
        phone.hears(401)
        phone.peer.request("INVITE", body=SDP, From="<sip:alice@example.com>;tag=x")
        phone.peer.hears(407)
    assert len(made.engine.transactions) == 0 and not made.engine.calls


def test_the_200_waits_for_the_disk() -> None:
    made = stage()
    made.keeping = []
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.peer.hears_nothing()
    (kept,) = made.keeping
    assert kept.user == "alice" and len(kept.bindings) == 1
    made.carry_out(made.engine.bindings_kept(kept.key, made.now))
    phone.hears(200)


def test_a_binding_is_taken_back() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers()
    phone.proves(Contact="*", Expires="0")
    assert phone.hears(200).headers.get("Contact") is None
    assert registered(made) == [] and made.kept["alice"] == ()
    assert [each.fields["user"] for each in made.noted("phone-unregistered")] == ["alice"]


def test_a_binding_expires() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers(Expires="60")
    for _ in range(61):
        made.now += 1
        made.carry_out(made.engine.probe(made.now))
    assert len(made.engine.registrar) == 0 and made.kept["alice"] == ()
    assert [each.fields["user"] for each in made.noted("phone-expired")] == ["alice"]


def test_a_wall_clock_that_is_set_ends_no_binding() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers(Expires="600")
    made.carry_out(made.engine.probe(made.now))
    made.engine.epoch += 86400
    made.carry_out(made.engine.probe(made.now))
    (binding,) = made.engine.registrar.contacts("alice", made.engine.date(made.now))
    assert round(binding.expires_at - made.engine.date(made.now)) == 600
    assert made.kept["alice"][0].expires_at == binding.expires_at
    made.engine.epoch -= 2 * 86400
    phone.proves(Expires="600", Contact="")
    assert (phone.hears(200).headers.get("Contact") or "").endswith("expires=600")


def test_a_connection_that_closes_leaves_its_binding_without_one() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers()
    made.closes(phone.peer)
    (binding,) = made.engine.registrar.contacts("alice", made.engine.date(made.now))
    assert binding.flow is None
    phone.registers(Supported="outbound")
    (binding,) = made.engine.registrar.contacts("alice", made.engine.date(made.now))
    assert binding.flow is phone.flow


def test_one_that_closes_while_the_disk_is_waited_for() -> None:
    made = stage()
    made.keeping = []
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    phone.proves()
    made.closes(phone.peer)
    made.carry_out(made.engine.bindings_kept(made.keeping[0].key, made.now))
    (binding,) = made.engine.registrar.contacts("alice", made.engine.date(made.now))
    assert binding.flow is None


# What they begin


def invite(phone: Phone, caller: str = f"sip:alice@{REALM}", **more: str) -> None:
    """Call somebody, without credentials."""
    phone.peer.request("INVITE", body=SDP, From=f"<{caller}>;tag=x", **more)
    if phone.flow.reliable:  # else it is told 100 once it has proved who it is
        phone.peer.hears(100)


def test_a_call_over_udp_proves_itself_each_time() -> None:
    made = stage()
    phone = Phone(made, trunk="soft")
    phone.registers()
    invite(phone)
    phone.hears(407)
    made.carrier.hears_nothing()
    uri = "sip:+12125550100@sbc.example"
    given = phone.credentials("INVITE", uri, SDP)
    phone.peer.request("INVITE", uri, SDP, From=f"<sip:alice@{REALM}>;tag=x", Proxy_Authorization=str(given))
    phone.peer.hears(100)
    made.carrier.hears("INVITE")


def test_a_connection_speaks_for_who_registered_on_it() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers(Expires="60")
    invite(phone)
    made.carrier.hears("INVITE")
    invite(phone, "sip:bob@example.com", Call_ID="as-bob")
    phone.hears(407)
    made.now += 61
    invite(phone, Call_ID="late")
    phone.hears(407)


def test_nobody_calls_in_another_name() -> None:
    made = stage()
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    uri = "sip:+12125550100@sbc.example"
    given = phone.credentials("INVITE", uri, SDP)
    phone.peer.request("INVITE", uri, SDP, From=f"<sip:bob@{REALM}>;tag=x", Proxy_Authorization=str(given))
    phone.peer.hears(100)
    phone.peer.hears(403)
    made.carrier.hears_nothing()


def test_who_withholds_its_name_is_known_to_us() -> None:
    made = stage()
    phone = Phone(made)
    phone.registers()
    invite(phone, "sip:anonymous@anonymous.invalid", Privacy="id")
    made.carrier.hears("INVITE")


@pytest.mark.parametrize("user", ["bob", "+4930100", "%62ob"])
def test_nobody_calls_in_another_name_at_the_host_of_those_who_withhold_theirs(user: str) -> None:
    """RFC 3323 4.1.1.3 has `anonymous` there; a carrier shows whom it finds in its place."""
    made = stage()
    phone = Phone(made)
    phone.registers()
    uri = "sip:+12125550100@sbc.example"
    said = f"<sip:{user}@anonymous.invalid>;tag=x"
    phone.peer.request("INVITE", uri, SDP, From=said)
    phone.peer.hears(100)
    phone.hears(407)
    given = str(phone.credentials("INVITE", uri, SDP))
    phone.peer.request("INVITE", uri, SDP, From=said, Proxy_Authorization=given)
    phone.peer.hears(100)
    phone.peer.hears(403)
    made.carrier.hears_nothing()


@pytest.mark.parametrize("user", ["Anonymous@", "", "alice@"])
def test_who_withholds_its_name_may_write_it_so(user: str) -> None:
    made = stage()
    phone = Phone(made)
    phone.registers()
    invite(phone, f"sip:{user}anonymous.invalid", Privacy="id")
    made.carrier.hears("INVITE")


def test_who_withholds_its_name_is_asked_by_what_everybody_has_a_hash_by() -> None:
    """A phone answers by the strongest that it is offered (RFC 8760 2.4), and it has none by SHA-256."""
    made = stage(users=lines("alice", algorithms=("MD5",)) + lines("bob") + lines("carol"))
    phone = Phone(made, trunk="soft")
    anonymous = {"From": "<sip:anonymous@anonymous.invalid>;tag=x", "Privacy": "id"}
    phone.peer.request("INVITE", "sip:+12125550100@sbc.example", SDP, **anonymous)
    phone.hears(407)
    given = phone.credentials("INVITE", "sip:+12125550100@sbc.example", SDP)
    phone.peer.request(
        "INVITE", "sip:+12125550100@sbc.example", SDP, Proxy_Authorization=str(given), **anonymous
    )
    phone.peer.hears(100)
    made.carrier.hears("INVITE")
    assert not made.suspects


def test_nobody_is_registered_any_more_whom_a_reload_removes() -> None:
    made = stage()
    alice, bob = Phone(made), Phone(made, "bob", "soft")
    alice.registers()
    bob.registers()
    made.engine.store.swap(configured(lines("bob", "tls_only") + lines("alice")))
    made.carry_out(made.engine.follow(made.now))
    assert registered(made) and not registered(made, "bob")
    made.engine.store.swap(configured(lines("bob")))
    made.carry_out(made.engine.follow(made.now))
    assert registered(made) == [] and made.kept["alice"] == ()


RINGS = """
rules:
  - name: at home
    when: registered(to.user)
    then: reject 486 "at home"
  - name: away
    when: true
    then: reject 480 "away"
"""


def test_rules_ask_who_is_registered() -> None:
    made = stage(rules=RINGS)
    Phone(made, "+4930100", name="desk").registers(Expires="60")
    for number, status in (("+4930100", 486), ("+49-30-100", 486), ("+4930101", 480)):
        made.office.request("INVITE", f"sip:{number}@{REALM}", SDP, Call_ID=f"to{number}")
        made.office.hears(100)
        made.office.hears(status)
    for _ in range(61):
        made.now += 1
        made.carry_out(made.engine.probe(made.now))
    made.office.request("INVITE", f"sip:+4930100@{REALM}", SDP, Call_ID="later")
    made.office.hears(100)
    made.office.hears(480)


def test_a_new_password_ends_what_the_old_one_opened() -> None:
    made = stage()
    Phone(made).registers()
    bob = Phone(made, "bob")
    bob.registers()
    made.engine.store.swap(configured(USERS.replace(lines("alice"), lines("alice", "contacts=2"))))
    made.carry_out(made.engine.follow(made.now))
    assert registered(made) and registered(made, "bob")
    stolen, PASSWORDS["alice"] = PASSWORDS["alice"], "another"
    try:
        made.engine.store.swap(configured("".join([lines(name) for name in PASSWORDS])))
    finally:
        PASSWORDS["alice"] = stolen
    made.carry_out(made.engine.follow(made.now))
    assert registered(made) == [] and registered(made, "bob")


# Hooks


def hooks(function: object) -> HookSet:
    return hook_set([Hook("hooks/phones.py", "phones", "on_register", 3, function)])  # type: ignore[arg-type]


def test_a_hook_sees_who_registers_and_may_refuse() -> None:
    seen: list[Registration] = []

    def on_register(facts: object, registration: Registration) -> Refuse | None:
        seen.append(registration)
        return refuse("no softphones here") if "soft" in registration.user_agent else None

    made = stage(hooks=hooks(on_register))
    phone = Phone(made)
    phone.registers(Expires="300", User_Agent="Desk 1.0")
    assert seen[-1].user == "alice" and seen[-1].expires == 300 and not seen[-1].registered
    assert seen[-1].contacts == ("sip:alice@10.0.0.7:5060;transport=tls",)
    phone.proves(User_Agent="softphone")
    phone.hears(403)
    assert seen[-1].registered
    (note,) = made.noted("phone-refused")
    assert "no softphones here" in str(note.fields["reason"])


def test_a_hook_that_fails_lets_nobody_register() -> None:
    def on_register(facts: object, registration: Registration) -> Refuse | None:
        raise ValueError

    made = stage(hooks=hooks(on_register))
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(500)
    assert registered(made) == []


def test_whom_a_reload_removes_while_hooks_run_is_not_registered() -> None:
    made: list[Stage] = []

    def on_register(facts: object, registration: Registration) -> None:
        made[0].engine.store.swap(configured(lines("bob")))

    made.append(stage(hooks=hooks(on_register)))
    phone = Phone(made[0])
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(403)
    assert registered(made[0]) == []


@pytest.mark.parametrize("what", ["password", "tls_only", "trunk"])
def test_who_may_not_come_so_any_more_when_hooks_have_run_is_not_registered(what: str) -> None:
    """A reload takes back what it no longer allows, and what is on its way to it as well."""
    made: list[Stage] = []

    def on_register(facts: object, registration: Registration) -> None:
        users = USERS if what == "trunk" else lines("alice", what if what == "tls_only" else "")
        if what == "password":
            users = users.translate(str.maketrans("0123456789", "1234567890"))
        fresh = configured(users)
        if what == "trunk":
            fresh = replace(
                fresh, trunks={name: each for name, each in fresh.trunks.items() if name != "soft"}
            )
        made[0].engine.store.swap(fresh)

    made.append(stage(hooks=hooks(on_register)))
    phone = Phone(made[0], trunk="soft")
    phone.asks()
    phone.hears(401)
    phone.proves()
    phone.hears(403)
    assert registered(made[0]) == []


@pytest.mark.parametrize("contact", ["<sip:alice@10.0.0.7>;q=2", "<sip:alice@10.0.0.7>, <sip:a b@10.0.0.8>"])
def test_a_contact_that_cannot_be_read_is_told_so_though_there_are_hooks(contact: str) -> None:
    made = stage(hooks=hooks(lambda facts, registration: None))
    phone = Phone(made)
    phone.asks()
    phone.hears(401)
    phone.proves(Contact=contact)
    phone.hears(400)
    assert registered(made) == []


# Who a phone says that it is


@pytest.mark.parametrize("name", ["P-Asserted-Identity", "P-Preferred-Identity", "Remote-Party-ID"])
def test_a_phone_vouches_for_nobody_whatever_certificate_it_has(name: str) -> None:
    """It is a user's, and no network of those that believe one another (RFC 3325 3, 5)."""
    made = stage()
    phone = Phone(made)
    assert phone.flow.trusted
    phone.registers()
    asserts = {name.replace("-", "_"): "<sip:+4930999@example.com>"}
    invite(phone, **asserts)
    heard = made.carrier.hears_request("INVITE")
    assert not any("4930999" in value for _, value in heard.headers.fields)


def test_a_phone_is_not_told_who_withholds_its_number() -> None:
    """RFC 3325 7: beyond the networks that believe one another nobody is."""
    made = stage(rules='rules: [{name: x, when: trunk == "carrier", then: route registered}]')
    phone = Phone(made)
    phone.registers()
    made.carrier.request(
        "INVITE", f"sip:alice@{REALM}", SDP, From="<sip:anonymous@anonymous.invalid>;tag=c", Privacy="id",
        P_Asserted_Identity="<sip:+4930999@carrier.example>",
    )  # fmt: skip
    heard = phone.peer.hears_request("INVITE")
    assert not any("4930999" in value for _, value in heard.headers.fields)


# Floods


@pytest.mark.parametrize("count", [1000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.long])])
def test_a_flood_of_names_leaves_nothing(count: int) -> None:
    made = stage()
    phone = Phone(made, trunk="soft")
    phone.asks()
    phone.hears(401)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for number in range(count):
        phone.user = f"guess{number}"
        made.now += 0.05  # as fast as one address is answered
        phone.proves()
        phone.hears(401)
        del made.notes[:-1]
        made.suspects.clear()
        if number % 500 == 499:
            made.wait(33)  # by then nothing is left of a datagram (RFC 3261 17.2.2, timer J)
            made.ways.clear()
    assert len(made.engine.transactions) == 0 and len(made.engine.registrar) == 0
    assert {each.event for each in made.notes} == {"phone-refused"}
    assert made.engine.reception.phones.counts["challenged"] == count + 1
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert grown < 300_000, "however many there are"


def test_the_passwords_are_those_of_the_file() -> None:
    assert set(PASSWORDS) == {each.partition(":")[0] for each in USERS.splitlines()}
