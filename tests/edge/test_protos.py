"""PROTOS c07-sip, its 2,264 cases or each fourth, against a running SBC with a call, over TLS and UDP.

Every case is an INVITE that is wrong somewhere, then CANCEL, ACK and BYE of the same making. They come
from an admitted peer and pass on to a callee that rings. What is asked is little: the SBC lives,
answers OPTIONS, says nothing that is not SIP, makes no mistake of its own, keeps no call, and the call
beside it does not suffer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import islice

import gevent
import pytest

from sbc.base import Address
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.sip.message import Request, Response
from tests.edge import protos
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, TO, Attacked, attacked
from tests.edge.raw_sip import Datagrams, Reluctant, Stream, options
from tests.peers.waiting import until_equal

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not protos.ARCHIVE.is_file(), reason=protos.MISSING),
]

DATAGRAM = 65507  # octets; a longer case is cut off there


class Patient(Reluctant):
    """Rings long enough to be cancelled."""

    patience = 0.3


@pytest.fixture
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("protos"), srtp="offer", carrier=Patient) as made:
        yield made


class Attacker:
    """Speaks to the SBC, and comes back where it was thrown out."""

    def __init__(self, sbc: Attacked, udp: bool) -> None:
        self._sbc = sbc
        self.udp = udp
        self.statuses: Counter[int] = Counter()
        self.garbled: list[str] = []
        self.connections = 0
        self.speaker = self._speaker()

    def send(self, data: bytes) -> None:
        """Send ``data``, over a new connection where the last was closed."""
        if self.speaker.closed:
            self.collect()
            self.speaker = self._speaker()
        self.speaker.send(data[:DATAGRAM] if self.udp else data)

    def collect(self) -> None:
        """Count what was heard, and let the connection go."""
        heard = [each for each in self.speaker.heard if isinstance(each, Response)]
        self.statuses.update(each.status for each in heard)
        self.garbled += [str(each) for each in self.speaker.garbled]
        self.speaker.close()

    def _speaker(self) -> Stream | Datagrams:
        self.connections += 1
        return Datagrams(Address(HOST, self._sbc.udp)) if self.udp else Stream(self._sbc.stream())


def talk(sbc: Attacked) -> tuple[AgentCall, AgentCall]:
    call = sbc.office.call(sbc.office.dial(sbc.address, SBC_NAME), TO)
    assert call.wait_up(30)
    return call, sbc.carrier.incoming.get(timeout=30)


def hang_up(call: AgentCall, answered: AgentCall) -> None:
    call.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    for report, hertz in ((call.report(), CARRIER_HERTZ), (answered.report(), OFFICE_HERTZ)):
        assert report.state == "ended" and report.voice.heard.hertz == hertz
        assert report.voice.heard.purity > 0.95 and not report.voice.refused
        assert report.voice.lost <= report.voice.received // 100


def attack(attacker: Attacker, probe: Stream | Datagrams, each_nth: int) -> int:
    """The cases in turn; returns how many there were."""
    port = probe.port if isinstance(probe, Datagrams) else 5061
    sent = 0
    for sent, case in enumerate(islice(protos.cases(port), 0, None, each_nth), 1):
        attacker.send(case.invite)
        gevent.sleep(0.004 if sent % 2 else 0)  # some are cancelled while they ring, some before
        if sent % 4 == 1:  # ... and some not before the SBC, however busy the machine is, has sent them on
            assert options(probe), f"no answer to OPTIONS after {case.name}"
        for each in case.teardown:
            attacker.send(each)
        gevent.sleep(0.001)
    return sent


@pytest.mark.parametrize("each_nth", [4, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("transport", ["tls", "udp"])
def test_spoilt_calls(sbc: Attacked, transport: str, each_nth: int) -> None:
    udp = transport == "udp"
    attacker = Attacker(sbc, udp)
    probe = Datagrams(Address(HOST, sbc.udp)) if udp else Stream(sbc.stream())
    call, answered = talk(sbc)
    assert attack(attacker, probe, each_nth) == -(-protos.COUNT // each_nth)
    attacker.collect()
    assert options(probe)
    hang_up(call, answered)
    until_equal(sbc.held, {"calls": 0, "ports": 0}, "nothing is left over")
    probe.close()
    assert attacker.garbled == [] and probe.garbled == []
    assert {link.failure for link in sbc.carrier.links} == {""}, "the callee was sent what is no SIP"
    assert len(sbc.carrier.links) == 1, "the callee's connection was lost"
    routed = sum(
        not each.outgoing and isinstance(each.message, Request) and each.message.method == "INVITE"
        for each in sbc.carrier.record
    )
    # Over UDP the answers go where the Via says, which is the probe (RFC 3261 18.2.2).
    answers = attacker.statuses + Counter(each.status for each in probe.heard if isinstance(each, Response))
    assert routed > 200 / each_nth and answers[400] > 500 / each_nth, (routed, answers)
