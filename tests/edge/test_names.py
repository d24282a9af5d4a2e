"""The domains of a configuration: who is taught what, when a call waits, and what is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dns.message
import dns.rcode
import dns.rrset
import pytest

from sbc.base import Address
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.dns.search import Target
from sbc.net.dns.ask import Asker
from sbc.net.dns.names import Names
from sbc.net.system.clock import Clock
from sbc.net.system.resolver import ResolveFailed
from tests.edge.test_dns_answers import Server
from tests.peers.waiting import until, until_equal
from tests.playbook.stage import snapshot

DOMAIN = Address("carrier.example", 0)
RECORDS = (
    "_sip._udp.carrier.example. 300 SRV 1 1 5060 a.example.",
    "_sip._udp.carrier.example. 300 SRV 2 1 5070 b.example.",
    "a.example. 300 AAAA ::1",
    "a.example. 300 A 127.0.0.2",
    "b.example. 300 A 127.0.0.3",
)


class Zone:
    """A DNS server with records that a test changes, and the names that are asked of it."""

    def __init__(self) -> None:
        self.records: tuple[str, ...] = RECORDS
        self.clock = Clock()
        self.server = Server(self.answer)
        self.taught: list[tuple[str, Address, list[str] | None]] = []
        self.said: list[str] = []
        asker = Asker(lambda: (self.server.address,))
        self.names = Names(
            asker, self.clock, self, lambda level, tag, fields: self.said.append(fields["event"])
        )

    def answer(self, asked: bytes) -> list[bytes]:
        query = dns.message.from_wire(asked)
        made = dns.message.make_response(query)
        name, kind = str(query.question[0].name), query.question[0].rdtype.name
        for line in self.records:
            owner, ttl, this, data = line.split(None, 3)
            if (owner, this) == (name, kind):
                made.answer.append(dns.rrset.from_text(owner, int(ttl), "IN", this, data))
            elif this == "SERVFAIL":
                made.set_rcode(dns.rcode.SERVFAIL)
        return [bytes(made.to_wire())]

    def learn(self, trunk: str, peer: Address, targets: tuple[Target, ...] | None) -> None:
        self.taught.append(
            (trunk, peer, None if targets is None else [str(each.address) for each in targets])
        )

    def asks_again(self) -> None:
        """As if its time were over."""
        self.names.refresh()


@pytest.fixture
def zone() -> Iterator[Zone]:
    made = Zone()
    yield made
    made.names.close()
    made.server.close()


def configured(*peers: str, bind: str = "127.0.0.1:5060") -> Snapshot:
    base = snapshot()
    settings = Settings.model_validate({"listeners": {"udp": {"bind": bind, "transport": "udp"}}})
    trunk = Trunk.model_validate({"trunk": "t", "listener": "udp", "peers": list(peers)})
    made: dict[str, Any] = {"trunks": {"t": trunk}, "settings": settings, "rules": base.rules}
    return Snapshot("v", base.directory, **made)


def test_who_has_a_domain_is_taught_its_servers_of_the_family_of_its_socket(zone: Zone) -> None:
    zone.names.apply(configured("carrier.example"))
    until_equal(lambda: zone.taught, [("t", DOMAIN, ["127.0.0.2:5060", "127.0.0.3:5070"])])
    zone.names.apply(configured("carrier.example", bind="[::1]:5060"))
    until_equal(lambda: zone.taught[1:], [("t", DOMAIN, ["[::1]:5060"])])


def test_nobody_is_taught_what_he_knows(zone: Zone) -> None:
    zone.names.apply(configured("carrier.example"))
    until(lambda: zone.taught)
    asked = len(zone.server.asked)
    zone.asks_again()
    until(lambda: len(zone.server.asked) >= 2 * asked)
    until(lambda: next(zone.names.known())[1].due > 0)
    assert len(zone.taught) == 1 and zone.said == ["found"]


def test_records_that_change_and_where_calls_may_still_be(zone: Zone) -> None:
    one = configured("carrier.example")
    zone.names.apply(one)
    until(lambda: zone.taught)
    zone.records = (RECORDS[1], RECORDS[4])
    zone.asks_again()
    until_equal(lambda: zone.taught[1:], [("t", DOMAIN, ["127.0.0.3:5070"])])
    for address in (Address("127.0.0.2", 5060), Address("127.0.0.3", 5070)):
        assert zone.names.had(DOMAIN, "udp", address)
    assert not zone.names.had(DOMAIN, "udp", Address("127.0.0.2", 5099))
    assert zone.names.find(one.trunks["t"], DOMAIN, "udp") == [Address("127.0.0.3", 5070)]


@pytest.mark.slow
def test_the_first_call_waits_and_others_are_told_at_once_what_is_wrong(zone: Zone) -> None:
    one = configured("carrier.example")
    zone.records = ("x. 1 SERVFAIL x",)
    zone.names.apply(one)
    with pytest.raises(ResolveFailed, match=r"carrier\.example has no server over UDP in DNS: .* SERVFAIL"):
        zone.names.find(one.trunks["t"], DOMAIN, "udp")
    asked = len(zone.server.asked)
    for _ in range(5):
        with pytest.raises(ResolveFailed):
            zone.names.find(one.trunks["t"], DOMAIN, "udp")
    assert len(zone.server.asked) == asked and not zone.taught
    zone.records = RECORDS
    until(lambda: zone.taught, "it is asked again by itself")
    assert zone.said == ["failed", "found"]


def test_a_domain_that_leaves_the_configuration_is_forgotten(zone: Zone) -> None:
    zone.names.apply(configured("carrier.example"))
    until(lambda: zone.taught)
    zone.names.apply(configured("192.0.2.1:5060"))
    assert zone.taught[-1] == ("t", DOMAIN, None)
    assert not list(zone.names.known())


def test_a_domain_without_servers(zone: Zone) -> None:
    one = configured("carrier.example")
    zone.records = ()
    zone.names.apply(one)
    until_equal(lambda: zone.taught, [("t", DOMAIN, [])])
    with pytest.raises(ResolveFailed, match=r"carrier\.example has no address"):
        zone.names.find(one.trunks["t"], DOMAIN, "udp")
