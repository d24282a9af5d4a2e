"""What is told to a collector: in order, never waited for, bounded; one that is gone is said once."""

from __future__ import annotations

import ssl as ssl_constants
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import ssl

from sbc.base import Address
from sbc.config.collect import Collector, Destination, Way
from sbc.config.model import Identity
from sbc.demo.lab import HOST
from sbc.demo.pki import Issued, LabAuthority
from sbc.net.export import sender as sender_module
from sbc.net.export.sender import MOST, Sender
from sbc.observe.syslog import counted
from sbc.tls.material.identity import IdentityMaterial, load_identity
from tests.edge.collecting import Datagrams, Streams, messages
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_equal

Said = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second between tries is long for a test."""
    monkeypatch.setattr(sender_module, "RETRY", 0.02)
    monkeypatch.setattr(sender_module, "RETRY_MOST", 0.1)


class Office:
    """Makes senders, and keeps what they say; all are closed."""

    def __init__(self) -> None:
        self.said: Said = []
        self.senders: list[Sender] = []

    def sender(self, way: Way, port: int, host: str = HOST, **more: Any) -> Sender:
        collector = Collector(Destination(way, Address(host, port)), 1, **more)
        made = Sender("hep", collector, lambda *said: self.said.append(said))
        self.senders.append(made)
        return made

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(level, event) for level, event, _ in self.said]


@pytest.fixture
def office() -> Iterator[Office]:
    made = Office()
    yield made
    for each in made.senders:
        each._problem = "the test is over"
        each.close()


def item(number: int) -> bytes:
    return b"message %d" % number


def test_over_udp_each_is_a_datagram_in_its_order(office: Office) -> None:
    collector = Datagrams()
    sender = office.sender("udp", collector.port)
    for number in range(300):
        sender(item(number))
    until_equal(lambda: collector.heard, [item(number) for number in range(300)])
    assert (sender.view().sent, sender.view().waiting, sender.view().dropped, office.said) == (300, 0, 0, [])
    collector.close()


def test_over_tcp_they_follow_one_another_in_their_order(office: Office) -> None:
    collector = Streams()
    sender = office.sender("tcp", collector.port)
    for number in range(5000):
        sender(counted(item(number)))
    until_equal(lambda: messages(collector.all), [item(number) for number in range(5000)])
    assert len(collector.heard) == 1 and office.said == []
    collector.close()


@pytest.mark.parametrize("way", ["udp", "tcp"])
def test_nobody_there_is_said_once_and_what_waits_comes_when_somebody_is(office: Office, way: Way) -> None:
    port = free_port()
    sender = office.sender(way, port)
    for number in range(20):
        sender(counted(item(number)))
    until(lambda: office.said)
    for number in range(20, 40):
        sender(counted(item(number)))
        gevent.sleep(0.005)
    assert office.events == [("ERR", "collector-lost")]
    assert f"{way}:{HOST}:{port}: connection refused" in office.said[0][2] and sender.view().problem
    collector: Any = Datagrams(port) if way == "udp" else Streams(port)
    until_equal(lambda: sender.view().waiting, 0)
    assert office.events[1][1] == "collector-back" and len(office.said) == 2 and not sender.view().problem
    heard = b"".join(collector.heard) if way == "udp" else collector.all
    # Over UDP the first one is told to nobody before anybody says that there is nobody.
    assert messages(heard) == [item(number) for number in range(sender.view().dropped, 40)]
    assert sender.view().dropped <= (1 if way == "udp" else 0)
    assert sender.view().sent + sender.view().dropped == 40
    collector.close()


def test_whoever_tells_never_waits_and_the_queue_is_bounded(office: Office) -> None:
    collector = Streams(deaf=True)
    sender = office.sender("tcp", collector.port)
    large = b"x" * 4096
    for _ in range(3 * MOST):
        sender(large)
    view = sender.view()
    assert view.waiting <= MOST and view.waiting * len(large) <= sender_module.MOST_OCTETS
    assert view.dropped == 3 * MOST - view.waiting
    collector.close()


@pytest.mark.slow
def test_a_collector_that_reads_nothing_is_given_up(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender_module, "WRITE_WITHIN", 0.2)
    collector = Streams(deaf=True)
    sender = office.sender("tcp", collector.port)
    for _ in range(3000):
        sender(b"x" * 8192)
    until(lambda: office.said)
    assert office.said[0][1] == "collector-lost" and "nothing is read there" in office.said[0][2]
    until(lambda: len(collector.heard) > 1, "another connection is tried")  # whose buffers may take something
    collector.close()


def test_what_was_being_written_when_a_connection_broke_is_written_again(office: Office) -> None:
    cuts = iter([True])
    collector = Streams(cut=lambda heard: len(heard) > 0 and next(cuts, False))
    sender = office.sender("tcp", collector.port)
    for number in range(50):
        sender(counted(item(number)))
    until(lambda: len(collector.heard) > 1 and messages(collector.heard[1])[-1:] == [item(49)])
    assert messages(collector.heard[1]) == [item(number) for number in range(50)]
    until_equal(lambda: office.events, [("ERR", "collector-lost"), ("INF", "collector-back")])
    collector.close()


@pytest.mark.slow
def test_a_connection_that_is_closed_while_nothing_is_told_is_no_matter(office: Office) -> None:
    collector = Streams()
    sender = office.sender("tcp", collector.port)
    sender(counted(b"one"))
    until_equal(lambda: messages(collector.all), [b"one"])
    until_equal(lambda: sender.view().waiting, 0)
    for each in collector._open:
        each.close()
    gevent.sleep(1.2)  # as long as it takes to look
    sender(counted(b"two"))
    until_equal(lambda: messages(collector.all), [b"one", b"two"])
    assert office.said == []
    collector.close()


def test_what_waits_is_sent_before_it_is_closed(office: Office) -> None:
    collector = Streams()
    sender = office.sender("tcp", collector.port)
    for number in range(100):
        sender(counted(item(number)))
    sender.close()
    until_equal(lambda: len(messages(collector.all)), 100)
    collector.close()


class Authority:
    """Who vouches for a collector on this machine, and for us."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._authority = LabAuthority("Collectors")
        self.ca = self._authority.cert_pem.decode()
        self._write("collector", self._authority.issue(ips=[HOST]))
        self._write("sbc", self._authority.issue(["sbc.example"], eku=("client",)))
        (directory / "ca.pem").write_text(self.ca)

    def _write(self, name: str, issued: Issued) -> None:
        (self.directory / f"{name}.pem").write_bytes(issued.chain_pem)
        (self.directory / f"{name}.key").write_bytes(issued.key_pem)
        (self.directory / f"{name}.key").chmod(0o600)

    def context(self, demands: bool = False) -> Any:
        """The collector's; whether it demands a certificate."""
        context = ssl.SSLContext(ssl_constants.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.directory / "collector.pem", self.directory / "collector.key")
        if demands:
            context.load_verify_locations(self.directory / "ca.pem")
            context.verify_mode = ssl_constants.CERT_REQUIRED
        return context

    def identity(self) -> IdentityMaterial | None:
        """Ours."""
        found, _ = load_identity("sbc", Identity(chain="sbc.pem", key="sbc.key"), self.directory, time.time())
        return found


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_over_tls_its_certificate_is_verified_and_ours_is_shown(office: Office, authority: Authority) -> None:
    collector = Streams(context=authority.context(demands=True))
    sender = office.sender("tls", collector.port, ca_pem=authority.ca, identity=authority.identity())
    for number in range(100):
        sender(counted(item(number)))
    until_equal(lambda: messages(collector.all), [item(number) for number in range(100)])
    assert collector.peers[0], "we have shown a certificate"
    assert office.said == []
    collector.close()


@pytest.mark.parametrize(
    ("ours", "host", "why"),
    [
        (False, HOST, "its certificate is not accepted"),
        (True, "localhost", "its certificate is not accepted"),
    ],
    ids=["of another authority", "of another name"],
)
def test_a_stranger_is_told_nothing(
    office: Office, authority: Authority, ours: bool, host: str, why: str
) -> None:
    collector = Streams(context=authority.context())
    ca = authority.ca if ours else LabAuthority("Others").cert_pem.decode()
    sender = office.sender("tls", collector.port, host, ca_pem=ca)
    sender(counted(b"who calls whom"))
    until(lambda: office.said)
    assert why in office.said[0][2]
    assert collector.all == b"" and sender.view().waiting == 1
    collector.close()


def test_without_the_certificate_that_it_demands_nothing_is_lost_and_it_is_said(
    office: Office, authority: Authority
) -> None:
    collector = Streams(context=authority.context(demands=True))
    sender = office.sender("tls", collector.port, ca_pem=authority.ca)
    sender(counted(b"one"))
    until(lambda: office.said)
    assert office.events == [("ERR", "collector-lost")] and sender.view().waiting == 1
    collector.close()
