"""Who is registered, and which of a user's contacts comes first."""

from __future__ import annotations

from sbc.base import Address
from sbc.registrar.binding import Binding
from sbc.registrar.registrar import Registrar
from sbc.sip.uri import parse_uri

NOW = 1_795_000_000.0


def binding(host: str, q: float = 1.0, since: float = 0.0, until: float = 60.0) -> Binding:
    uri = parse_uri(f"sip:alice@{host}")
    remote = Address("192.0.2.1", 5060)
    return Binding(
        "alice", uri, None, remote, "udp", "phones", expires_at=NOW + until, registered_at=NOW + since, q=q
    )


def test_contacts_come_by_q_and_then_the_newest_first() -> None:
    registrar = Registrar()
    registrar.put("alice", [binding("old", 0.5), binding("new", 0.5, since=5), binding("best", 0.9)])
    assert [each.contact.host for each in registrar.contacts("alice", NOW)] == ["best", "new", "old"]


def test_what_has_expired_is_no_contact() -> None:
    registrar = Registrar()
    registrar.put("alice", [binding("gone", until=10)])
    assert registrar.is_registered("alice", NOW + 9)
    assert not registrar.is_registered("alice", NOW + 10)
    assert registrar.contacts("alice", NOW + 10) == []
    assert registrar.contacts("bob", NOW) == []
