"""Twenty thousand packets that are none of the call's, while it lasts (CVE-2021-41105, CVE-2017-14099).

Forged packets have a random key; replayed ones were taken from the wire. Both come from a stranger
and from the peer's own address and port. They are refused and counted, and nobody notices.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.voice import read_sdp
from sbc.media.sdes import KEY_LENGTHS, CryptoLine
from sbc.media.srtp import Protector
from sbc.sip.message import Response
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, TO, Attacked, attacked
from tests.edge.wire import Capture, queue
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

FLOOD = 10_000
BATCH = 50
FULL = 60_000  # octets in the receiver's queue at which the flood waits, so that the kernel drops nothing
SUITE = "AES_CM_128_HMAC_SHA1_80"
Sender = Callable[[bytes], object]


@pytest.fixture
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("media")) as made:
        yield made


def talk(sbc: Attacked) -> tuple[AgentCall, AgentCall, Address]:
    """A call that has been talking for half a second both ways, and the SBC's port for the caller."""
    call = sbc.office.call(sbc.office.dial(sbc.address, SBC_NAME), TO)
    assert call.wait_up(30)
    answered = sbc.carrier.incoming.get(timeout=30)
    until(lambda: min(*call.voice.packets(), *answered.voice.packets()) >= 25)
    return call, answered, port_for_caller(sbc)


def port_for_caller(sbc: Attacked) -> Address:
    """Where the SBC told the caller to send."""
    answer = next(
        each.message
        for each in sbc.office.record
        if not each.outgoing and isinstance(each.message, Response) and each.message.status == 200
    )
    return read_sdp(answer.body).address


def hang_up(call: AgentCall, answered: AgentCall) -> None:
    gevent.sleep(0.6)
    call.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    for report, hertz in ((call.report(), CARRIER_HERTZ), (answered.report(), OFFICE_HERTZ)):
        assert report.state == "ended" and report.voice.heard.hertz == hertz
        assert report.voice.heard.purity > 0.95 and not report.voice.refused
        assert report.voice.lost <= 2


def flood(target: Address, packets: list[bytes], send: Sender) -> None:
    """Send ``packets``, no faster than the receiver reads them."""
    for at in range(0, len(packets), BATCH):
        for packet in packets[at : at + BATCH]:
            send(packet)
        until(lambda: queue(target.port)[0] < FULL)
        gevent.sleep(0.001)
    until_equal(lambda: queue(target.port), (0, 0), "all was read, and nothing dropped by the kernel")


def forged(count: int) -> list[bytes]:
    """SRTP as it should look, but of a key that nobody agreed on."""
    protect = Protector(CryptoLine(1, SUITE, os.urandom(KEY_LENGTHS[SUITE])))
    ssrc = int.from_bytes(os.urandom(4))
    header = struct.Struct("!BBHII")
    return [
        protect.rtp(header.pack(0x80, 8, at & 0xFFFF, at * 160, ssrc) + os.urandom(160))
        for at in range(count)
    ]


@pytest.fixture
def stranger() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.setblocking(False)
        yield sock


def received(sock: socket.socket) -> list[bytes]:
    """What has come to ``sock``."""
    found = []
    try:
        while True:
            found.append(sock.recv(2048))
    except BlockingIOError:
        return found


def test_forged_packets_are_counted_and_nothing_more(sbc: Attacked, stranger: socket.socket) -> None:
    call, answered, port = talk(sbc)
    flood(port, forged(FLOOD), lambda packet: stranger.sendto(packet, tuple(port)))
    flood(port, forged(FLOOD), call.voice.inject)
    hang_up(call, answered)
    assert received(stranger) == []
    record = sbc.records(1)[0]
    assert record["a"]["media"]["refused"] == {"source": FLOOD, "authentication": FLOOD}
    honest = call.voice.packets()[0]
    assert honest - 2 <= record["a"]["media"]["packets_in"] <= honest
    assert record["b"]["media"]["packets_out"] == record["a"]["media"]["packets_in"]
    assert answered.voice.packets()[1] <= honest and record["b"]["media"]["refused"] == {}


def test_replayed_packets_are_counted_and_nothing_more(sbc: Attacked, stranger: socket.socket) -> None:
    capture = Capture(sbc.media)
    call, answered, port = talk(sbc)
    capture.stop()
    own = tuple(call.voice.address)
    genuine = [each.payload for each in capture.seen if (each.source, each.destination) == (own, port)]
    assert len(genuine) >= 20
    replayed = [genuine[at % len(genuine)] for at in range(FLOOD)]
    flood(port, replayed, lambda packet: stranger.sendto(packet, tuple(port)))
    flood(port, replayed, call.voice.inject)
    hang_up(call, answered)
    assert received(stranger) == []
    record = sbc.records(1)[0]
    assert record["a"]["media"]["refused"] == {"source": FLOOD, "replay": FLOOD}
    honest = call.voice.packets()[0]
    assert honest - 2 <= record["a"]["media"]["packets_in"] <= honest
    assert answered.voice.packets()[1] <= honest


def test_a_stranger_who_comes_first_gets_nothing(sbc: Attacked, stranger: socket.socket) -> None:
    """Before the peer's first packet the source is open to whoever authenticates: a stranger does not."""
    begun: list[str] = []
    call = sbc.office.call(sbc.office.dial(sbc.address, SBC_NAME), TO)
    call.voice.start = lambda: begun.append("up")  # type: ignore[method-assign]
    assert call.wait_up(30) and begun == ["up"], "the call is up, but the caller does not speak yet"
    answered = sbc.carrier.incoming.get(timeout=30)
    port = port_for_caller(sbc)
    flood(port, forged(1000), lambda packet: stranger.sendto(packet, tuple(port)))
    del call.voice.start
    call.voice.start()
    hang_up(call, answered)
    assert received(stranger) == []
    assert sbc.records(1)[0]["a"]["media"]["refused"] == {"authentication": 1000}


def test_garbage_on_every_port_of_the_pool(sbc: Attacked, stranger: socket.socket) -> None:
    """Packets that are no RTP at all, of every small length and to every port, RTCP's too."""
    call, answered, _ = talk(sbc)
    for length in (0, 1, 2, 7, 8, 11, 12, 13, 27, 28, 60, 1400, 1472, 2047, 2048, 9000, 65507):
        for port in sbc.media:
            stranger.sendto(os.urandom(length), (HOST, port))
            stranger.sendto((b"\x80\xc8" + os.urandom(length))[:65507], (HOST, port))
        gevent.sleep(0.05)
    hang_up(call, answered)
    assert received(stranger) == []
    assert set(sbc.records(1)[0]["a"]["media"]["refused"]) <= {"source", "malformed", "authentication"}
