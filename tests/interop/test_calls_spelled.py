"""A barred number is barred however it is spelled, and PJSIP is called as the number that was judged."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sbc.sip.message import Response
from sbc.sip.parse import parse_message
from tests.interop.rig import Far, Rig
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.waiting import PATIENCE

pytestmark = pytest.mark.interop

ALICE, BOB = "127.0.0.2", "127.0.0.3"
BARRED = """\
  - name: no premium numbers
    when: to.user starts with "+1900" or from.user == "+19005550199"
    then: reject 403 "Not allowed"
"""
SDP = (
    "v=0\r\no=a 1 1 IN IP4 {here}\r\ns=-\r\nc=IN IP4 {here}\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


@dataclass(slots=True)
class Wire:
    """A caller that writes its own octets, an SBC with a barred number, and a PJSIP that rings."""

    rig: Rig
    bob: Pjsip
    line: socket.socket
    calls: int = 0

    def invite(self, uri: str, caller: str = "sip:alice@lab.example") -> None:
        """Send an INVITE for ``uri``, as it is written."""
        self.calls += 1
        here, port = self.line.getsockname()
        body = SDP.format(here=here)
        self._say(
            "INVITE",
            uri,
            caller,
            f"Contact: <sip:a@{here}:{port}>\r\nContent-Type: application/sdp\r\n",
            body,
        )

    def final(self) -> int:
        """The status of the final answer."""
        while True:
            answer = parse_message(self.line.recv(65535))
            assert isinstance(answer, Response)
            if answer.status >= 200:
                return answer.status

    def acknowledge(self, uri: str, caller: str = "sip:alice@lab.example") -> None:
        """The ACK of a refusal."""
        self._say("ACK", uri, caller)

    def _say(self, method: str, uri: str, caller: str, more: str = "", body: str = "") -> None:
        here, port = self.line.getsockname()
        self.line.sendto(
            (
                f"{method} {uri} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP {here}:{port};rport;branch=z9hG4bK{self.calls}\r\n"
                f"Max-Forwards: 70\r\nFrom: <{caller}>;tag=1\r\nTo: <sip:bob@lab.example>\r\n"
                f"Call-ID: spelled-{self.calls}\r\nCSeq: 1 {method}\r\n{more}"
                f"Content-Length: {len(body)}\r\n\r\n{body}"
            ).encode(),
            ("127.0.0.1", self.rig.udp),
        )


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    needs("pjsua2")
    directory: Path = tmp_path_factory.mktemp("spelled")
    rig = Rig(directory, rules=BARRED)
    bob = rig.pjsip("bob", BOB, 440.0, answer=0, transport="udp", srtp="off")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.bind((ALICE, 0))
        line.settimeout(PATIENCE)
        alice = Far("alice", line.getsockname()[1], ALICE, "udp", "off")
        with rig.running(alice, Far("bob", bob.port, BOB, "udp", "off"), bob):
            yield Wire(rig, bob, line)


@pytest.mark.parametrize(
    "user",
    [
        "+19005551234", "+1%39005551234", "+1%3900555%31234", "%2b19005551234", "+1-900-555-1234",
        "+1%2D900%2d5551234", "(+1)9005551234", "+19005551234;phone-context=x.example", "+19005551234:pw",
    ],
)  # fmt: skip
def test_a_barred_number_is_barred_however_it_is_spelled(wire: Wire, user: str) -> None:
    uri = f"sip:{user}@127.0.0.1"
    wire.invite(uri)
    assert wire.final() == 403
    wire.acknowledge(uri)
    record = wire.rig.record()
    assert (record["called"], record["status"], record["b"]) == ("+19005551234", 403, None)


def test_a_barred_tel_uri_and_a_barred_caller_are_too(wire: Wire) -> None:
    wire.invite("tel:+1-900-555-1234")
    assert wire.final() == 403
    wire.acknowledge("tel:+1-900-555-1234")
    assert wire.rig.record()["called"] == "+19005551234"
    wire.invite("sip:bob@127.0.0.1", "sip:+1-%39005550199@lab.example")
    assert wire.final() == 403
    wire.acknowledge("sip:bob@127.0.0.1", "sip:+1-%39005550199@lab.example")
    assert wire.rig.record()["caller"] == "+19005550199"


@pytest.mark.parametrize(
    ("user", "called"),
    [
        ("+1%3212-555-0100", "+12125550100"),
        ("b%6Fb-sm%69th", "bob-smith"),
        ("+1%2539005551234", "+1%2539005551234"),
        ("b%40b", "b%40b"),
        ("*21#", "*21%23"),
        ("j%c3%b6rg", "j%C3%B6rg"),
    ],
)
def test_pjsip_is_called_as_what_was_judged(wire: Wire, user: str, called: str) -> None:
    uri = f"sip:{user}@127.0.0.1;user=phone"
    wire.bob.events.clear()
    wire.invite(uri)
    incoming = wire.bob.expect("incoming")
    line, _, head = incoming["message"].partition("\r\n")
    phone = ";user=phone" if called[0] in "+*" else ""
    assert line == f"INVITE sip:{called}@{BOB}:{wire.bob.port}{phone} SIP/2.0"
    assert f"\r\nTo: <sip:{called}@{BOB}:{wire.bob.port}{phone}>\r\n" in head
    wire.bob.hangup(incoming["call"], 486)
    assert wire.final() == 486
    wire.acknowledge(uri)
    assert wire.rig.record()["status"] == 486
