"""An offer of a secured and a plain stream: a PJSIP hears the secured one (RFC 3264 6)."""

from __future__ import annotations

import base64
import os
import re
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pylibsrtp
import pytest

from sbc.base import PeerError
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, serialize
from sbc.sip.parse import parse_message
from tests.interop.rig import SBC, Far, Rig, hears_lately, talk
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ALICE, BOB = "127.0.0.2", "127.0.0.3"
KEY = bytes(range(30))
#: A square wave of 500 Hz in PCMU, 20 ms of it.
HZ, TONE = 500.0, (b"\x80" * 8 + b"\x00" * 8) * 10
SECURED = "m=audio {port} RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
PLAIN = "m=audio {port} RTP/AVP 0\r\n"


class Caller:
    """A telephone over UDP whose offer has two streams of audio."""

    def __init__(self, sbc: int, streams: tuple[str, ...]) -> None:
        self.port, self.media = free_port(), free_port(4)
        self._sbc = sbc
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((ALICE, self.port))
        self._socket.settimeout(0.1)
        lines = [f"v=0\r\no=- 1 1 IN IP4 {ALICE}\r\ns=-\r\nc=IN IP4 {ALICE}\r\nt=0 0\r\n"]
        key = base64.b64encode(KEY).decode()
        lines += [each.format(port=self.media + 2 * at, key=key) for at, each in enumerate(streams)]
        self._body = "".join(lines).encode()

    def invite(self) -> Request:
        """The INVITE, sent."""
        headers = {
            "Via": self._via(), "Max-Forwards": "70", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
            "From": f"<sip:alice@{ALICE}>;tag={os.urandom(4).hex()}", "To": f"<sip:+12125550100@{SBC}>",
            "Contact": f"<sip:alice@{ALICE}:{self.port}>", "Content-Type": "application/sdp",
        }  # fmt: skip
        request = Request("INVITE", f"sip:+12125550100@{SBC}", Headers(list(headers.items())), self._body)
        self.send(request)
        return request

    def answer(self) -> Response | None:
        """The next final answer, None where none has come."""
        try:
            message = parse_message(self._socket.recv(65535))
        except (OSError, PeerError):
            return None
        return message if isinstance(message, Response) and message.status >= 200 else None

    def within(self, dialog: Dialog, method: str) -> None:
        """Send a request within the call."""
        self.send(dialog.request(method, via=self._via(), contact=""))

    def send(self, request: Request) -> None:
        self._socket.sendto(serialize(request), (SBC, self._sbc))

    @contextmanager
    def speaking(self, at: int, target: int) -> Iterator[None]:
        """The tone, encrypted, from the stream ``at`` to our port ``target``."""
        policy = pylibsrtp.Policy(key=KEY, ssrc_type=pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
        session, end = pylibsrtp.Session(policy=policy), threading.Event()

        def run() -> None:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                out.bind((ALICE, self.media + 2 * at))
                sequence = 0
                while not end.wait(0.02):
                    sequence += 1
                    head = struct.pack("!BBHII", 0x80, 0, sequence, sequence * 160, 7)
                    out.sendto(session.protect(head + TONE), (SBC, target))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()

    def close(self) -> None:
        self._socket.close()

    def _via(self) -> str:
        return f"SIP/2.0/UDP {ALICE}:{self.port};branch=z9hG4bK{os.urandom(8).hex()}"


@pytest.mark.parametrize("policy", ["required", "accept"])
@pytest.mark.parametrize("streams", [(SECURED, PLAIN), (PLAIN, SECURED)], ids=["secured", "plain"])
def test_a_pjsip_hears_the_secured_stream_and_the_plain_one_is_refused(
    tmp_path: Path, policy: str, streams: tuple[str, ...]
) -> None:
    needs("pjsua2")
    rig = Rig(tmp_path)
    caller = Caller(rig.udp, streams)
    bob = rig.pjsip("bob", BOB, 440.0, transport="udp", srtp="off", secure_signalling=0)
    near = Far("alice", caller.port, ALICE, "udp", policy, more="sdes_in_clear: true")
    try:
        with rig.running(near, Far("bob", bob.port, BOB, "udp", "off"), bob):
            invite = caller.invite()
            there = bob.expect("incoming")["call"]
            answer = until(caller.answer)
            assert answer is not None and answer.status == 200
            ports = [int(port) for port in re.findall(rb"^m=audio (\d+) ", answer.body, re.MULTILINE)]
            at = streams.index(SECURED)
            assert len(ports) == 2 and ports[at] and not ports[1 - at]
            dialog = Dialog.as_uac(invite, answer)
            caller.within(dialog, "ACK")
            with caller.speaking(at, ports[at]):
                talk((bob, there), packets=100)
                caller.within(dialog, "BYE")
                bob.expect_state(there, "DISCONNECTED")
            assert hears_lately(bob.recording(there), HZ)
    finally:
        caller.close()
