"""The PROXY protocol before a running SBC: whom a balancer names is the source of all that follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent import socket

from sbc.policy.proxy_header import SIGNATURE
from tests.edge.balanced import BALANCER, LIAR, PEER, Lab, answer, ended, header, turned_away
from tests.edge.sbc_command import sbc
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with Lab(tmp_path_factory.mktemp("balanced")) as made:
        yield made


def test_who_is_named_is_the_source_of_all_that_follows(lab: Lab) -> None:
    plain = lab.connect("tcp")
    plain.sendall(header())
    said = answer(plain)
    assert (said.status, said.via.received) == (200, PEER)
    assert "rport=4444" in (said.headers.get("Via") or "")
    sock = lab.connect("tls")
    sock.sendall(header(port=4445))
    secure = lab.secure(sock)
    assert answer(secure, "TLS").via.received == PEER
    log = until_said(lab.log, "[sips-arrival]")
    (line,) = [each for each in log.splitlines() if "[sips-arrival]" in each]
    assert f"remote={PEER}:4445" in line
    six = lab.connect("six")
    six.sendall(header("2001:db8::9"))
    assert answer(six).via.received == "2001:db8::9"
    for each in (plain, secure, six):
        each.close()


def test_sources_access_list_and_shares_know_the_peer_and_not_the_balancer(lab: Lab) -> None:
    for host, reason in (
        ("198.51.100.9", '198.51.100.9:4444 reason="no trunk admits this address'),
        ("203.0.113.66", "acl.d/10.yaml:1 denies it"),
        (BALANCER, "no trunk admits this address"),
    ):
        assert turned_away(lab, "tcp", header(host))
        until_said(lab.log, reason)
    kept = []
    for number in range(6):
        kept.append(lab.connect("tcp"))
        kept[-1].sendall(header(f"203.0.113.{10 + number // 2}"))
        assert answer(kept[-1]).status == 200
    assert turned_away(lab, "tcp", header("203.0.113.10")), "two of its connections are open"
    until_said(lab.log, "2 connections are open from 203.0.113.10")
    for sock in kept:
        sock.close()


def test_octet_by_octet_is_as_good_and_what_follows_at_once_is_not_lost(lab: Lab) -> None:
    sock = lab.connect("tcp")
    for octet in header():
        sock.sendall(bytes((octet,)))
        gevent.sleep(0.005)
    assert answer(sock).via.received == PEER
    sock.close()
    sock = lab.connect("tcp")
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 0)
    text = b"\r\n\r\n"
    sock.sendall(header() + text)
    assert sock.recv(2) == b"\r\n", "a ping in the same segment is answered"
    sock.close()


@pytest.mark.parametrize("listener", ["tcp", "tls"])
@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"OPTIONS sip:x SIP/2.0\r\n", "it sent no PROXY header"),
        (b"\x16\x03\x01\x02\x00\x01", "it sent no PROXY header"),
        (b"PROXY TCP4 203.0.113.9 127.0.0.1 4444 5061\r\n", "of version 1: let the balancer send version 2"),
        (b"PROXY UNKNOWN\r\n", "of version 1: let the balancer send version 2"),
        (header(command=0x22), "a command 2 that nobody knows"),
        (header()[:13] + b"\x12" + header()[14:], "names no address of TCP"),
        (header()[:14] + b"\xff\xff", "65535 octets"),
        (header("0.0.0.0"), "nobody's address"),
    ],
)  # fmt: skip
def test_a_balancer_without_a_good_header_is_refused_and_told_of(
    lab: Lab, listener: str, sent: bytes, said: str
) -> None:
    before = lab.stats(listener)["refused"]
    assert turned_away(lab, listener, sent)
    until_said(lab.log, said)
    assert lab.stats(listener)["refused"] == before + 1


@pytest.mark.parametrize("at", range(len(header())))
def test_a_header_cut_anywhere_is_none(lab: Lab, at: int) -> None:
    before = lab.stats("tls")["refused"]
    sock = lab.connect("tls")
    sock.sendall(header()[:at])
    sock.shutdown(socket.SHUT_WR)
    assert ended(sock)
    assert until(lambda: lab.stats("tls")["refused"] - before, "a refusal") == 1


def test_a_header_from_anybody_else_is_believed_nowhere(lab: Lab) -> None:
    failures = lab.stats("tls")["failures"]
    for sent in (header(), b"PROXY TCP4 203.0.113.9 127.0.0.1 4444 5061\r\n"):
        for listener in ("tls", "tcp"):
            sock = lab.connect(listener, LIAR)
            sock.sendall(sent)
            with gevent.Timeout(10):
                try:
                    while data := sock.recv(4096):
                        assert b"203.0.113.9" not in data
                except ConnectionError:
                    pass
            sock.close()
    assert until(lambda: lab.stats("tls")["failures"] - failures, "failures") == 2
    log = until_said(lab.log, "what came is the PROXY protocol, not SIP")
    assert "what arrived on the TLS port is the PROXY protocol, not TLS" in log
    assert "list its address under `proxy_protocol` of the listener" in log
    direct = lab.connect("tcp", LIAR)
    assert answer(direct).via.received == LIAR, "whoever comes without one comes as himself"
    direct.close()


def test_a_second_header_is_no_header(lab: Lab) -> None:
    sock = lab.connect("tls")
    sock.sendall(header(port=4499) + header("203.0.113.77"))
    with gevent.Timeout(10):
        while sock.recv(4096):
            pass
    sock.close()
    log = until_said(lab.log, f"peer={PEER}:4499")
    (line,) = [each for each in log.splitlines() if f"peer={PEER}:4499" in each]
    assert "the PROXY protocol, not TLS" in line and "203.0.113.77" not in log


def test_the_balancer_itself_comes_as_itself(lab: Lab) -> None:
    local = SIGNATURE + b"\x20\x00\x00\x00"
    assert turned_away(lab, "tcp", local), "no trunk admits it"
    with lab.changed("trunks.d/tcp.yaml", LIAR, BALANCER):
        sock = lab.connect("tcp")
        sock.sendall(local)
        assert answer(sock).via.received == BALANCER
        sock.close()


def test_slow_octets_end_in_time_and_hold_no_place_of_others(lab: Lab) -> None:
    slow = [lab.connect("tcp") for _ in range(5)]
    for sock in slow:
        sock.sendall(header()[:3])
    until(lambda: lab.connect("tcp", LIAR), "a connection")
    assert turned_away(lab, "tcp"), "five headers are awaited, the most there are"
    until_said(lab.log, "too many connections wait for their PROXY header")
    direct = lab.connect("tcp", LIAR)
    assert answer(direct).status == 200
    direct.close()
    for sock in slow:
        assert ended(sock)
    until_said(lab.log, "its PROXY header was not whole after 2 s")
    again = lab.connect("tcp")
    again.sendall(header())
    assert answer(again).status == 200, "what was held is given back"
    again.close()


def test_a_reload_believes_others(lab: Lab) -> None:
    kept = lab.connect("tcp")
    kept.sendall(header("203.0.113.50"))
    assert answer(kept).status == 200
    with lab.changed("sbc.yaml", "proxy_protocol: [127.0.0.5]", "proxy_protocol: [127.0.0.7]"):
        assert answer(kept).via.received == "203.0.113.50", "what has begun goes on"
        other = lab.connect("tcp", "127.0.0.7")
        other.sendall(header("203.0.113.51"))
        assert answer(other).via.received == "203.0.113.51"
        assert turned_away(lab, "tcp", header())
    for sock in (kept, other):
        sock.close()


def test_what_cannot_be_meant_is_named_by_check(lab: Lab, tmp_path: Path) -> None:
    for listener, said in (
        (
            "{bind: 127.0.0.1:5060, transport: udp, proxy_protocol: [10.0.0.5]}",
            "proxy_protocol is for connections",
        ),
        ("{bind: 127.0.0.1:5060, transport: tcp, proxy_protocol: [0.0.0.0/0]}", "lets anybody say where"),
        ('{bind: "[::]:5060", transport: tcp, proxy_protocol: ["::ffff:0:0/96"]}', "lets anybody say where"),
        ("{bind: 127.0.0.1:5060, transport: tcp, proxy_protocol: [balancer]}", "is not a network"),
    ):
        (tmp_path / "sbc.yaml").write_text(f"listeners:\n  a: {listener}\n")
        checked = sbc(tmp_path, "check")
        assert checked.status == 1 and "sbc.yaml:2:" in checked.err + checked.out
        assert said in checked.err + checked.out
