"""An SBC on UDP whose callee also listens on TCP, at the same port: a long INVITE arrives there, whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gevent import socket
from gevent.server import StreamServer

from sbc.demo.lab import HOST
from sbc.sip.message import Message, Request, Response, response_to, serialize
from sbc.sip.stream import MessageStream
from tests.edge.attacked import Attacked
from tests.edge.test_udp_calls import Gateway, final_of, request_of
from tests.peers.waiting import until, until_equal, until_said

pytestmark = pytest.mark.slow


class BesideUdp:
    """Takes TCP where the callee has its datagrams, and answers each INVITE with 486."""

    def __init__(self, port: int) -> None:
        self.heard: list[Message] = []
        self.server = StreamServer((HOST, port), self._serve)
        self.server.start()

    def _serve(self, sock: socket.socket, peer: object) -> None:
        messages = MessageStream()
        while data := sock.recv(65536):
            for each in messages.feed(data):
                if isinstance(each, Message):
                    self.heard.append(each)
                if isinstance(each, Request) and each.method == "INVITE":
                    sock.sendall(serialize(response_to(each, 486, "", "callee")))

    def methods(self) -> list[str]:
        return [each.method for each in self.heard if isinstance(each, Request)]

    def close(self) -> None:
        self.server.stop()


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    attacked = Attacked(tmp_path_factory.mktemp("lr"), srtp="accept")
    yield attacked
    attacked.unharmed()
    assert attacked.close() == 0


@pytest.fixture
def gateway(sbc: Attacked) -> Iterator[Gateway]:
    made = Gateway(sbc)
    yield made
    made.close()


def long_invite(gateway: Gateway) -> Request:
    request = request_of(gateway.caller)
    lines = "".join(f"a=rtpmap:{96 + each % 30} x-codec-number-{each}/8000\r\n" for each in range(60))
    address = f"v=0\r\no=- 1 1 IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
    formats = " ".join(str(96 + each) for each in range(30))
    request.body = f"{address}m=audio 40000 RTP/AVP 0 {formats}\r\na=rtpmap:0 PCMU/8000\r\n{lines}".encode()
    request.headers.add("Content-Type", "application/sdp")
    gateway.speaks.send(serialize(request))
    return request


def refused(gateway: Gateway) -> Response:
    answer = until(lambda: final_of(gateway.caller), "a final answer")
    assert answer is not None
    return answer


def test_a_long_invite_goes_by_tcp_and_so_does_its_ack(gateway: Gateway) -> None:
    beside = BesideUdp(gateway.callee.port)
    try:
        long_invite(gateway)
        assert refused(gateway).status == 486
        until_equal(beside.methods, ["INVITE", "ACK"])
        invite = beside.heard[0]
        assert isinstance(invite, Request) and len(serialize(invite)) > 1300
        assert (invite.headers.get("Via") or "").startswith("SIP/2.0/TCP ")
        assert not [each for each in gateway.callee.heard if isinstance(each, Request)]
    finally:
        beside.close()


def test_who_takes_no_tcp_gets_it_as_a_datagram(gateway: Gateway) -> None:
    long_invite(gateway)
    invite = gateway.hears(gateway.callee, "INVITE")
    assert (invite.headers.get("Via") or "").startswith("SIP/2.0/UDP ")
    gateway.callee.send(serialize(response_to(invite, 486, "", "callee")))
    assert refused(gateway).status == 486
    until_said(gateway.sbc.log, f"event=no-tcp trunk=gateway peer={HOST}:{gateway.callee.port}")
