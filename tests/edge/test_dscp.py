"""What leaves a marked SBC carries its DSCP (RFC 2474), as the kernel of the receiver sees it."""

from __future__ import annotations

import socket as plain_socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent import socket

from sbc.base import Address
from sbc.config.media import Marks, MediaConfig
from sbc.ids import Ids
from sbc.media.sdp import parse_sdp
from sbc.net.media.embedded import MediaIO
from tests.edge.tls_lab import OK, OPTIONS, Lab
from tests.peers.ports import free_port
from tests.peers.waiting import until
from tests.unit.media.kit import ACCEPT, Counter, audio, rtp, sdp

CS3, EF = 24, 46
FIRST = (free_port(21) + 1) // 2 * 2
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "::1"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.recorder.answer = OK
    made.settings["dscp"] = Marks(sip=CS3, rtp=EF)
    yield made
    made.close()


def start(lab: Lab, transport: str, host: str, **options: Any) -> tuple[str, int]:
    lab.listener("edge", transport, bind=f"[{host}]:0" if ":" in host else f"{host}:0")
    lab.trunk("acme", listener="edge", sources=("127.0.0.1", "::1"), **options)
    lab.start()
    return lab.address("edge")


def datagram_peer(host: str) -> Any:
    """A UDP socket that is told of each datagram's mark."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    peer = plain_socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        peer.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVTCLASS, 1)
    else:
        peer.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
    try:
        peer.bind((host, 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback: marks over IPv6 are not tested here")
    peer.setblocking(False)
    return peer


def mark_of(peer: Any) -> int:
    """The DSCP of the next datagram."""
    got: list[int] = []

    def arrived() -> bool:
        try:
            _, extra, _, _ = peer.recvmsg(4096, 256)
        except BlockingIOError:
            return False
        got.append(int.from_bytes(extra[0][2], "little") >> 2)
        return True

    until(arrived)
    return got[0]


def marked(sock: Any) -> int:
    """The DSCP that the kernel sends on ``sock`` with."""
    if sock.family == socket.AF_INET6:
        return int(sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS)) >> 2
    return int(sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)) >> 2


@HOSTS
def test_an_answer_over_udp_is_marked_and_a_reload_marks_anew(lab: Lab, host: str) -> None:
    peer = datagram_peer(host)
    address = start(lab, "udp", host)
    peer.sendto(OPTIONS, address)
    assert mark_of(peer) == CS3
    lab.settings["dscp"] = Marks(sip=40)
    lab.reload()
    peer.sendto(OPTIONS, address)
    assert mark_of(peer) == 40
    del lab.settings["dscp"]
    lab.reload()
    peer.sendto(OPTIONS, address)
    assert mark_of(peer) == 0, "no word, no mark"
    peer.close()


def test_a_listener_on_every_address_marks_both_families(lab: Lab) -> None:
    _, port = start(lab, "udp", "::")
    for host in ("127.0.0.1", "::1"):
        peer = datagram_peer(host)
        peer.sendto(OPTIONS, (host, port))
        assert mark_of(peer) == CS3
        peer.close()


@HOSTS
@pytest.mark.parametrize("transport", ["tcp", "tls"])
def test_a_connection_is_marked_accepted_or_dialled(lab: Lab, transport: str, host: str) -> None:
    datagram_peer(host).close()  # skips where there is no IPv6
    tls = {"mode": "server"} if transport == "tls" else None
    address = start(lab, transport, host, tls=tls)
    listening = lab.listeners.endpoint("edge")
    assert listening is not None and marked(listening.sock) == CS3, "its SYN-ACK too"
    accepted = listening.sock
    with plain_socket.create_connection(address) as peer, plain_socket.socket(fileno=taken(accepted)) as end:
        assert marked(end) == CS3
        assert peer.getpeername()[:2] == address


def taken(listening: Any) -> int:
    """A connection as the kernel gives it to who accepts, before we have touched it."""
    found: list[int] = []

    def accepted() -> bool:
        try:
            found.append(listening._sock._accept()[0])
        except BlockingIOError:
            return False
        return True

    until(accepted)
    return found[0]


@HOSTS
def test_a_dialled_connection_is_marked(lab: Lab, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    datagram_peer(host).close()
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.bind((host, 0))
        listening.listen()
        target = Address(*listening.getsockname()[:2])
        start(lab, "tcp", host)
        trunk = lab.trunk("out", listener="edge", peers=(str(target),))
        snapshot = lab.reload()
        flow = lab.dialer.connect(trunk, snapshot)
        assert marked(flow.channel._raw) == CS3


@HOSTS
def test_media_is_marked_also_that_of_a_running_call(host: str) -> None:
    peers = [datagram_peer(host) for _ in range(2)]
    plane = MediaIO(MediaConfig(address=host, ports=f"{FIRST}-{FIRST + 19}"), Ids(Counter()), lambda: 1000.0)
    plane.mark(EF)
    family = b"IP6" if ":" in host else b"IP4"
    described = [sdp(audio(each.getsockname()[1]), host=host).replace(b"IP4", family) for each in peers]
    plane.offer("one", "a", described[0], ACCEPT, ACCEPT)
    port = parse_sdp(plane.answer("one", "b", described[1])).media[0].port
    for number, dscp in enumerate((EF, EF, 34, 0)):
        if number > 1:
            plane.mark(dscp)
        peers[0].sendto(rtp(number + 1), (host, port))
        assert mark_of(peers[1]) == dscp
    plane.close()
    for each in peers:
        each.close()
