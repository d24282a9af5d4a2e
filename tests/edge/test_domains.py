"""An SBC whose carrier is a domain, on mutual TLS: a real DNS server names its servers (RFC 3263, 5922)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.agent import Agent
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.process import words
from sbc.demo.voice import VoiceSettings
from tests.edge.attacked import TO, Attacked
from tests.peers.asking import ask
from tests.peers.dnsmasq import Dnsmasq
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

DOMAIN = "carrier.lab.example"  # what the carrier's certificate names; its servers' own names are in none
SRV = f"srv-host=_sips._tcp.{DOMAIN}"
HOSTS = "host-record=a.edge.example,127.0.0.1,1", "host-record=b.edge.example,127.0.0.1,1"


def srv(port: int, host: str = "a.edge.example", priority: int = 1, weight: int = 1) -> str:
    return f"{SRV},{host},{port},{priority},{weight}"


class Domain:
    """The SBC, the DNS server, and the carrier's two servers."""

    def __init__(self, directory: Path) -> None:
        self.dns = Dnsmasq("dns", directory / "dns", [])
        self.running = Attacked(directory / "sbc")
        self.first, self.second = (
            self.running.carrier,
            self.running.agent(Agent, "carrier", VoiceSettings(660)),
        )
        self.ports = self.running.ports.carrier, free_port()
        self.second.listen(self.ports[1])
        settings = self.running.directory / "sbc.yaml"
        settings.write_text(settings.read_text() + f'dns: {{servers: ["{self.dns.address}"]}}\n')

        self.trunk = self.running.directory / "trunks.d" / "carrier.yaml"
        text = "\n".join(each for each in self.trunk.read_text().splitlines() if "names" not in each)
        self.written = text.replace("trust: [carrier-ca]", "trust: [carrier-ca, lab-ca]")
        self.since = 0

    def begin(self) -> None:
        """Nothing is known of the domain, nobody answers, and what was said until now counts no more."""
        for link in [*self.first.links, *self.second.links]:
            link.close()  # a connection to the domain would serve a call without DNS
        self.dns.stop()
        self.trunk.write_text(self.written)
        ask(self.running.directory / "run" / "sbc.sock", "reload")
        self.since = len(self.running.log())

    def said(self, tag: str, **wanted: str) -> dict[str, str]:
        """The words of the first line with these, once there is one."""

        def found() -> list[dict[str, str]]:
            lines = [words(line) for line in self.running.log()[self.since :].splitlines() if tag in line]
            return [each for each in lines if wanted.items() <= each.items()]

        return until(found, f"{tag} {wanted}")[0]

    def refused(self) -> None:
        """A call that nobody takes."""
        link = self.running.office.dial(self.running.address, SBC_NAME)
        placed = self.running.office.call(link, TO)
        assert placed.wait_over(8) and placed.status == 503, (placed.status, placed.reason)

    def configure(self, more: str = "", peers: str = f"srv: {DOMAIN}") -> None:
        """The carrier's trunk calls the domain from now on."""
        kept = [each for each in self.written.splitlines() if not each.startswith("peers")]
        self.trunk.write_text("\n".join([*kept, peers, more, ""]))
        answer = ask(self.running.directory / "run" / "sbc.sock", "reload")
        assert answer["changed"] and not answer["broken"], answer

    def call(self) -> str:
        """A call that is answered and ended: the server that took it, as its record has it."""
        link = self.running.office.dial(self.running.address, SBC_NAME)
        placed = self.running.office.call(link, TO)
        assert placed.wait_up(8), (placed.status, placed.reason, self.running.log()[-3000:])
        placed.hang_up()
        assert placed.wait_over(5)
        return str(self.running.record_of(placed.call_id)["b"]["peer"])

    def found(self, servers: int) -> None:
        """Wait until the SBC has told that the domain has so many servers."""
        self.said("[dns]", event="found", servers=str(servers))

    def at(self, number: int) -> str:
        """Where one of the two servers is."""
        return f"{HOST}:{self.ports[number]}"

    def close(self) -> None:
        self.dns.stop()
        self.second.close()
        self.running.unharmed()
        assert self.running.close() == 0


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    needs("dnsmasq")
    made = Domain(tmp_path_factory.mktemp("do"))
    yield made
    made.close()


@pytest.fixture
def domain(running: Domain) -> Domain:
    running.begin()
    return running


def test_weights_share_the_calls_and_records_that_change_move_them(domain: Domain) -> None:
    one, two = domain.ports
    domain.dns.knows(*HOSTS, srv(one, weight=3), srv(two, "b.edge.example", weight=1))
    domain.configure()
    domain.found(2)
    assert Counter(domain.call() for _ in range(8)) == {domain.at(0): 6, domain.at(1): 2}
    domain.dns.knows(*HOSTS, srv(two, "b.edge.example"))
    assert not ask(domain.running.directory / "run" / "sbc.sock", "reload")["broken"]
    domain.found(1)
    assert {domain.call() for _ in range(3)} == {domain.at(1)}
    domain.dns.stop()
    domain.said("[dns]", event="failed", kept="1")
    assert domain.call() == domain.at(1), "what was known holds while DNS is away"


def test_the_first_server_is_dead_and_comes_back(domain: Domain) -> None:
    dead = free_port()
    domain.dns.knows(*HOSTS, srv(dead, priority=1), srv(domain.ports[1], "b.edge.example", priority=2))
    domain.configure("options: {every: 1s, down_after: 1}")
    domain.found(2)
    assert domain.call() == domain.at(1)
    domain.said("[trunk]", event="peer-down", peer=f"{HOST}:{dead}")
    late = domain.running.agent(Agent, "carrier", VoiceSettings(660))
    late.listen(dead)
    try:
        domain.said("[trunk]", event="peer-up", peer=f"{HOST}:{dead}")
        link = domain.running.office.dial(domain.running.address, SBC_NAME)
        placed = domain.running.office.call(link, TO)
        assert placed.wait_up(8), (placed.status, placed.reason)
        assert late.incoming.get(timeout=5)
        placed.hang_up()
        assert placed.wait_over(5)
    finally:
        late.close()


def test_dns_comes_up_after_us(domain: Domain) -> None:
    domain.configure()
    domain.said("[dns]", event="failed")
    domain.refused()
    domain.dns.knows(*HOSTS, srv(domain.ports[0]))
    domain.found(1)
    assert domain.call() == domain.at(0)


def test_the_certificate_is_held_to_the_domain_and_never_to_what_srv_says(domain: Domain) -> None:
    """Who can forge the records leads us astray, and gets no call (RFC 5922 4)."""
    evil = domain.running.agent(Agent, "office", VoiceSettings(440))  # of a CA that the trunk trusts too
    port = free_port()
    evil.listen(port)
    try:
        domain.dns.knows("host-record=office.lab.example,127.0.0.1,1", srv(port, "office.lab.example"))
        domain.configure()
        domain.found(1)
        domain.refused()
        failed = domain.said("[tls-refused]", kind="name-mismatch", direction="outbound")
        assert DOMAIN in failed["detail"] and "office.lab.example" in failed["detail"]
        assert not [each for each in evil.record if not each.outgoing], "not a byte of SIP"
    finally:
        evil.close()


def test_naptr_leads_to_the_servers_of_the_transport(domain: Domain) -> None:
    away = "_sips._tcp.away.example"
    domain.dns.knows(
        *HOSTS,
        f"naptr-record={DOMAIN},10,10,S,SIP+D2U,,_sip._udp.{DOMAIN}",
        f"naptr-record={DOMAIN},20,10,S,SIPS+D2T,,{away}",
        f"srv-host={away},b.edge.example,{domain.ports[1]}",
        srv(free_port()),
    )
    domain.configure()
    domain.found(1)
    assert domain.call() == domain.at(1)


def test_a_peer_without_a_port_beside_one_with(domain: Domain) -> None:
    domain.dns.knows(*HOSTS, srv(domain.ports[0]))
    elsewhere = free_port()
    peers = f"peers: [{{host: {HOST}, port: {elsewhere}, priority: 1}}, {{host: {DOMAIN}, priority: 2}}]"
    domain.configure("", peers)
    domain.found(1)
    assert domain.call() == domain.at(0)


def test_two_hundred_servers_and_a_domain_that_is_not_there(domain: Domain) -> None:
    many = [srv(20000 + index, priority=index) for index in range(200)]
    domain.dns.knows(*HOSTS, *many, srv(domain.ports[0], "b.edge.example", priority=300))
    domain.configure()
    domain.found(32)
    remark = domain.said("[dns]", event="remark")
    assert remark["reason"] == "201 SRV records: the first 32 are used"
    domain.dns.knows()
    domain.found(0)
    domain.refused()
    status = ask(domain.running.directory / "run" / "sbc.sock", "status")
    (trunk,) = (each for each in status["trunks"] if each["name"] == "carrier")
    assert (trunk["state"], trunk["reason"]) == ("down", f"DNS names no server of {DOMAIN}")
    (name,) = status["names"]
    assert (name["domain"], name["transport"], name["servers"], name["failing"]) == (DOMAIN, "tls", [], False)
