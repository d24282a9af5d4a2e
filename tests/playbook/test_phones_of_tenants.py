"""Phones of several tenants on one listener, told apart by the domain that they call and register at."""

from __future__ import annotations

from pathlib import Path

from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from tests.playbook.phones import REALM, Phone, configured, loaded
from tests.playbook.stage import SDP, Stage

RULES = """
rules:
  - name: to phones
    when: trunk == "office"
    then: route registered
"""


def stage() -> Stage:
    """Trunks ``one`` and ``two``, of tenants of these names, with phones over UDP; ``one`` wants an offer."""
    base = configured()
    settings = Settings.model_validate(
        {
            "listeners": {
                "main": {"bind": "192.0.2.1:5061", "transport": "tls"},
                "udp": {"bind": "192.0.2.1:5060", "transport": "udp"},
            },
            "registrar": {"realm": REALM, "users": "users"},
            "tenants": {
                name: {"domains": [f"{name}.example"], "server_identity": "sbc"} for name in ("one", "two")
            },
        }
    )
    trunks = {name: each for name, each in base.trunks.items() if name not in ("phones", "soft")}
    for name in ("one", "two"):
        given = {
            "trunk": name, "listener": "udp", "phones": True, "sources": ["0.0.0.0/0"], "tenant": name,
            "match": {"to.host": f"{name}.example"}, "delayed_offer": "refuse" if name == "one" else "pass",
        }  # fmt: skip
        trunks[name] = Trunk.model_validate(given)
    rules = loaded(RULES, frozenset(trunks))
    made = Stage(Snapshot("tenants", Path("."), settings, trunks, rules, phones=base.phones))
    made.engine.epoch = 1_795_000_000.0
    return made


def registered(made: Stage, tenant: str) -> Phone:
    """Alice's phone, at the domain of ``tenant``; its address is that of trunk ``one`` in any case."""
    phone = Phone(made, trunk="one")
    uri, to = f"sip:{tenant}.example", f"<sip:alice@{tenant}.example>"
    phone.asks(uri=uri, To=to)
    phone.hears(401)
    phone.proves("REGISTER", uri, To=to)
    phone.hears(200)
    return phone


def test_a_phone_is_of_the_trunk_whose_domain_it_registers_at() -> None:
    made = stage()
    phone = registered(made, "two")
    assert [each.trunk for each in made.engine.registrar] == ["two"]
    made.office.invite()
    made.office.hears(100)
    made.office.hears(404)
    made.office.request("INVITE", "sip:alice@two.example", Call_ID="alice")
    phone.peer.hears("INVITE")  # what trunk one demands is none of its business


def test_what_its_own_trunk_demands_holds_for_a_phone() -> None:
    made = stage()
    phone = registered(made, "one")
    assert [each.trunk for each in made.engine.registrar] == ["one"]
    made.office.request("INVITE", "sip:alice@one.example", Call_ID="alice")
    phone.peer.hears_nothing()


def test_a_phone_that_comes_from_elsewhere_proves_itself_in_its_call() -> None:
    """RFC 3261 22.3: its dialog is of trunk two, and its address may be that of any of the tenants."""
    made = stage()
    phone = registered(made, "two")
    made.office.request("INVITE", "sip:alice@two.example", SDP)
    invite = phone.peer.hears_request("INVITE")
    phone.peer.respond(invite, 200, body=b"v=0 answer")
    made.office.hears(100)
    answer = made.office.hears_response(200)
    made.within("office", answer, "ACK")
    phone.peer.hears("ACK")
    moved = Phone(made, trunk="one", name="moved")
    assert invite.contact is not None
    uri = str(invite.contact.uri)
    bye = {"From": "<sip:alice@two.example>;tag=callee", "To": str(invite.from_), "Call_ID": invite.call_id}
    bye["CSeq"] = "7 BYE"
    moved.peer.request("BYE", uri, b"", **bye)
    moved.hears(407)
    given = str(moved.credentials("BYE", uri))
    moved.peer.request("BYE", uri, b"", **{**bye, "CSeq": "8 BYE", "Proxy_Authorization": given})
    moved.peer.hears(200)
    made.office.hears("BYE")
