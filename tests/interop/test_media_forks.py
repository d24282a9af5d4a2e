"""A callee that forks, each fork with media of its own: a PJSIP says whom the caller hears."""

from __future__ import annotations

import re
import socket
import struct
import threading
from functools import partial
from pathlib import Path

import pytest

from sbc.base import PeerError
from sbc.sip.message import Request, Response, response_to, serialize
from sbc.sip.parse import parse_message
from tests.interop.rig import SBC, Far, Rig, hears_lately, talk
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
SDP = "v=0\r\no=- {port} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
#: Square waves in PCMU, 20 ms of each.
TONES = {500.0: (b"\x80" * 8 + b"\x00" * 8) * 10, 250.0: (b"\x80" * 16 + b"\x00" * 16) * 5}


class Fork:
    """One telephone of the callee's: it sounds from a port of its own all the time."""

    def __init__(self, hz: float) -> None:
        self.tag = f"fork-{hz:g}"
        self.port = free_port()
        self._tone = TONES[hz]

    def sdp(self) -> bytes:
        """Where it takes media."""
        return SDP.format(port=self.port, host=BOB).encode()

    def sound(self, target: int, end: threading.Event) -> None:
        """Send to our port ``target`` until the ``end``, a packet each 20 ms."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            out.bind((BOB, self.port))
            sequence = 0
            while not end.wait(0.02):
                sequence += 1
                head = struct.pack("!BBHII", 0x80, 0, sequence, sequence * 160, self.port)
                out.sendto(head + self._tone, (SBC, target))


class Callee:
    """A proxy with two telephones behind it, over UDP; it answers PRACK and BYE by itself."""

    def __init__(self) -> None:
        self.port = free_port()
        self.invite: Request | None = None
        self.acknowledged: list[str] = []
        self._end = threading.Event()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((BOB, self.port))
        self._socket.settimeout(0.1)
        self._threads = [threading.Thread(target=self._run, daemon=True)]
        self._threads[0].start()

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                data, self._source = self._socket.recvfrom(65535)
                message = parse_message(data)
            except (OSError, PeerError):
                continue
            if not isinstance(message, Request):
                continue
            if message.method == "INVITE":
                self.invite = self.invite or message
            elif message.method == "PRACK":
                self.acknowledged.append(message.to_tag)
            if message.method in ("PRACK", "BYE", "OPTIONS"):
                self._send(response_to(message, 200))

    def acknowledges(self, fork: Fork) -> bool:
        """Whether a PRACK has come for one of the telephones."""
        return fork.tag in self.acknowledged

    def says(self, fork: Fork, status: int, sdp: bool) -> None:
        """One of the telephones answers the INVITE; a provisional response is reliable (RFC 3262)."""
        assert self.invite is not None
        response = response_to(self.invite, status, "", fork.tag)
        response.headers.add("Contact", f"<sip:{fork.tag}@{BOB}:{self.port}>")
        if status < 200:
            response.headers.add("Require", "100rel")
            response.headers.add("RSeq", "1")
        if sdp:
            response.headers.add("Content-Type", "application/sdp")
            response.body = fork.sdp()
        self._send(response)

    def sounds(self, *forks: Fork) -> None:
        """The telephones sound, to where our offer says."""
        assert self.invite is not None
        found = re.search(rb"m=audio (\d+) ", self.invite.body)
        assert found is not None
        for each in forks:
            self._threads.append(threading.Thread(target=each.sound, args=(int(found[1]), self._end)))
            self._threads[-1].start()

    def close(self) -> None:
        self._end.set()
        for each in self._threads:
            each.join()
        self._socket.close()

    def _send(self, response: Response) -> None:
        self._socket.sendto(serialize(response), self._source)


@pytest.mark.parametrize(("taken", "other"), [(500.0, 250.0), (250.0, 500.0)])
def test_a_pjsip_hears_the_fork_that_answers_though_its_200_has_no_sdp(
    tmp_path: Path, taken: float, other: float
) -> None:
    """Both have given SDP in reliable provisional responses, the other one later (RFC 3262 5)."""
    needs("pjsua2")
    rig = Rig(tmp_path)
    plain = {"transport": "udp", "srtp": "off", "secure_signalling": 0}
    alice = rig.pjsip("alice", ALICE, 1000.0, prack="mandatory", **plain)
    callee = Callee()
    answering, silent = Fork(taken), Fork(other)
    far = Far("alice", alice.port, ALICE, "udp", "off"), Far("bob", callee.port, BOB, "udp", "off")
    try:
        with rig.running(*far, alice):
            call = alice.call(rig.number(transport="udp"))
            until(lambda: callee.invite, "the INVITE")
            for each in (answering, silent):
                callee.says(each, 183, sdp=True)
                until(partial(callee.acknowledges, each))
            callee.sounds(silent, answering)
            callee.says(answering, 200, sdp=False)
            alice.expect_state(call, "CONFIRMED")
            talk((alice, call), packets=100)
            alice.hangup(call)
            alice.expect_state(call, "DISCONNECTED")
            assert rig.record()["b"]["media"]["remote"] == f"{BOB}:{answering.port}"
            assert hears_lately(alice.recording(call), taken)
            assert not hears_lately(alice.recording(call), other)
    finally:
        callee.close()
