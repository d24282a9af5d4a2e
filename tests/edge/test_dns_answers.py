"""Packets between the asker and DNS servers, honest and other: only the answer is believed (RFC 5452)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import gevent
import pytest
from gevent import socket
from gevent.server import StreamServer

from sbc.base import Address
from sbc.dns.message import Question
from sbc.net.dns.ask import MOST_FORGED, Asker
from tests.peers.ports import free_port

A = Question("carrier.example", "A")
GOOD, EVIL = "192.0.2.1", "203.0.113.66"


def answer(asked: bytes, address: str = GOOD, number: int | None = None, name: str = "") -> bytes:
    """What is answered to a packet."""
    query = dns.message.from_wire(asked)
    made = dns.message.make_response(query)
    if name:
        made.question = [
            dns.rrset.RRset(dns.name.from_text(name), query.question[0].rdclass, query.question[0].rdtype)
        ]
    made.answer = [dns.rrset.from_text(name or str(query.question[0].name), 60, "IN", "A", address)]
    made.id = query.id if number is None else number
    return bytes(made.to_wire())


class Server:
    """A DNS server on the loopback that answers by UDP with ``packets`` and by TCP with ``stream``."""

    def __init__(self, packets: Callable[[bytes], list[bytes]]) -> None:
        self.packets = packets
        self.stream: Callable[[bytes], bytes] = answer
        self.asked: list[tuple[str, bytes]] = []
        self.ports: set[int] = set()
        self.tcp = StreamServer(("127.0.0.1", free_port()), self._by_tcp)
        self.tcp.start()
        self.address = Address("127.0.0.1", self.tcp.server_port)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(tuple(self.address))
        self.from_elsewhere: Callable[[bytes], list[bytes]] = lambda data: []
        self.reader = gevent.spawn(self._by_udp)

    def _by_udp(self) -> None:
        while True:
            data, peer = self.sock.recvfrom(65535)
            self.asked.append(("udp", data))
            self.ports.add(peer[1])
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
                for each in self.from_elsewhere(data):
                    other.sendto(each, peer)
            for each in self.packets(data):
                self.sock.sendto(each, peer)

    def _by_tcp(self, sock: socket.socket, peer: object) -> None:
        size = int.from_bytes(sock.recv(2))
        data = sock.recv(size)
        self.asked.append(("tcp", data))
        reply = self.stream(data)
        sock.sendall(len(reply).to_bytes(2) + reply)

    def close(self) -> None:
        self.reader.kill()
        self.sock.close()
        self.tcp.stop()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server(lambda asked: [answer(asked)])
    yield made
    made.close()


def asker(*servers: Server, hosts: Path = Path("/nonexistent")) -> Asker:
    return Asker(lambda: [each.address for each in servers], hosts=hosts)


def test_an_answer(server: Server) -> None:
    found = asker(server).ask(A)
    assert (found.records, found.ttl, found.failure) == ((GOOD,), 60.0, "")


def test_every_question_has_a_number_and_a_port_of_its_own(server: Server) -> None:
    one = asker(server)
    for _ in range(20):
        one.ask(A)
    assert len({data[:2] for _, data in server.asked}) > 15
    assert len(server.ports) > 15


def test_forged_answers_are_waited_out(server: Server) -> None:
    """A wrong number, another question, another port: each comes before the answer, and none is believed."""
    server.packets = lambda asked: [
        answer(asked, EVIL, number=int.from_bytes(asked[:2]) ^ 1),
        answer(asked, EVIL, name="other.example."),
        asked,
        b"\xff" * 30,
        answer(asked),
    ]
    server.from_elsewhere = lambda asked: [answer(asked, EVIL)]
    assert asker(server).ask(A).records == (GOOD,)
    assert [how for how, _ in server.asked] == ["udp"]


def test_who_guesses_much_drives_the_question_to_tcp(server: Server) -> None:
    server.packets = lambda asked: [answer(asked, EVIL, number=0) for _ in range(MOST_FORGED + 5)]
    found = asker(server).ask(A)
    assert found.records == (GOOD,)
    assert [how for how, _ in server.asked] == ["udp", "tcp"]


def test_an_answer_that_was_cut_is_asked_for_by_tcp(server: Server) -> None:
    def cut(asked: bytes) -> list[bytes]:
        made = dns.message.make_response(dns.message.from_wire(asked))
        made.flags |= dns.flags.TC
        return [bytes(made.to_wire())]

    server.packets = cut
    assert asker(server).ask(A).records == (GOOD,)
    assert [how for how, _ in server.asked] == ["udp", "tcp"]
    server.stream = lambda asked: b"no DNS"
    found = asker(server).ask(A)
    assert found.records == () and str(server.address) in found.failure


def test_a_server_older_than_edns(server: Server) -> None:
    def old(asked: bytes) -> list[bytes]:
        query = dns.message.from_wire(asked)
        if query.edns < 0:
            return [answer(asked)]
        made = dns.message.make_response(query)
        made.use_edns(False)
        made.set_rcode(dns.rcode.FORMERR)
        return [bytes(made.to_wire())]

    server.packets = old
    assert asker(server).ask(A).records == (GOOD,)


def test_a_server_that_refuses_leads_to_the_next_which_is_asked_first_then(server: Server) -> None:
    def refuses(asked: bytes) -> list[bytes]:
        made = dns.message.make_response(dns.message.from_wire(asked))
        made.set_rcode(dns.rcode.REFUSED)
        return [bytes(made.to_wire())]

    first = Server(refuses)
    try:
        one = asker(first, server)
        assert one.ask(A).records == (GOOD,)
        assert one.servers()[0] == server.address
        assert asker(first).ask(A).failure == f"{first.address} answers REFUSED"
    finally:
        first.close()


def test_nobody_listens() -> None:
    gone = Server(lambda asked: [])
    gone.close()
    found = asker(gone).ask(A)
    assert found.failure == f"{gone.address} does not answer: Connection refused"


def test_the_machines_own_names_are_not_asked_for(server: Server, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("198.51.100.7 carrier.example\n2001:db8::7 carrier.example\n")
    one = asker(server, hosts=hosts)
    assert one.ask(A).records == ("198.51.100.7",)
    assert one.ask(Question("carrier.example", "AAAA")).records == ("2001:db8::7",)
    assert not server.asked
    hosts.unlink()
    assert one.ask(A).records == (GOOD,)


def test_whom_resolv_conf_names_is_asked_where_nothing_is_configured(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    one = Asker(lambda: (), resolv_conf=path, hosts=path)
    assert "write `dns: {servers: [ADDRESS]}`" in one.ask(A).failure
    path.write_text("nameserver 192.0.2.53\n")
    assert one.servers() == (Address("192.0.2.53", 53),)
    assert Asker(lambda: (Address("192.0.2.54", 5353),), path, path).servers() == (
        Address("192.0.2.54", 5353),
    )
