"""A fax through a running SBC: two gateways over UDP, a re-INVITE to T.38, UDPTL on the wire, and back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeVar

import gevent
import pytest
from gevent import socket

from sbc.demo.lab import HOST
from sbc.media.srtp import Protector, Unprotector
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import Attacked
from tests.edge.raw_sip import Datagrams
from tests.edge.test_udp_calls import GATEWAY, Gateway, request_of, via_of
from tests.peers.waiting import until
from tests.unit.media.kit import crypto, key, lines, rtp
from tests.unit.media.test_fax import T38, udptl

pytestmark = pytest.mark.slow

Told = TypeVar("Told", Request, Response)
SPEECH = "m=audio {} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
SECURED = "m=audio {} RTP/SAVP 0\r\na=" + crypto(1) + "\r\n"
KEYED = "srtp: required\nsdes_in_clear: true\nsuites: [AES_CM_128_HMAC_SHA1_80]\n"
FAX = "m=image {} udptl t38\r\n" + T38


class Machine:
    """A fax gateway's media: one UDP socket, whatever it is for."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.port: int = self.socket.getsockname()[1]
        self.to = 0
        self.heard: list[bytes] = []
        self.reader = gevent.spawn(self._read)

    def describe(self, media: str, version: int) -> bytes:
        head = f"v=0\r\no=- 1 {version} IN IP4 {HOST}\r\ns=-\r\nc=IN IP4 {HOST}\r\nt=0 0\r\n"
        return (head + media.format(self.port)).encode()

    def take(self, message: Request | Response) -> str:
        """Send where a description says from now on; what its m= line is."""
        found = re.search(rb"m=(\w+) (\d+) ", message.body)
        assert found is not None, message.body
        self.to = int(found[2])
        return found[1].decode()

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, (HOST, self.to))

    def close(self) -> None:
        self.reader.kill()
        self.socket.close()

    def _read(self) -> None:
        while True:
            self.heard.append(self.socket.recv(4096))


class Faxing(Gateway):
    """A caller with speech who is called back, in its call, with a fax; what both machines heard."""

    def __init__(self, sbc: Attacked, trunk: str = "") -> None:
        self.near, self.far = Machine(), Machine()
        self.trunk = trunk
        self.version = 1
        super().__init__(sbc)

    def reload(self) -> None:
        path = self.sbc.directory / "trunks.d" / "gateway.yaml"
        path.write_text(GATEWAY % (HOST, self.callee.port) + self.trunk)
        super().reload()

    def talk(self, there: str = SPEECH) -> Dialog:
        """A call with speech, for the callee as ``there`` says; the callee's dialog."""
        request = _with_body(request_of(self.caller), self.near.describe(SPEECH, 1))
        self.caller.send(serialize(request))
        arrived = self.hears(self.callee, "INVITE")
        assert self.far.take(arrived) == "audio"
        answer = response_to(arrived, 200, "", "callee")
        answer.headers.add("Contact", f"<sip:callee@{HOST}:{self.callee.port}>")
        self.callee.send(serialize(_with_body(answer, self.far.describe(there, 1))))
        answered = until(lambda: self.responses(self.caller, "INVITE"), "a 200")[0]
        self.near.take(answered)
        near, far = Dialog.as_uac(request, answered), Dialog.as_uas(arrived, "callee")
        self.caller.send(serialize(near.request("ACK", via=via_of(self.caller), contact="")))
        self.hears(self.callee, "ACK")
        return far

    def again(self, far: Dialog, media: str, accept: bool = True) -> Response:
        """The callee's re-INVITE to ``media``, which the caller accepts; what the callee is answered."""
        self.version += 1
        contact = f"<sip:callee@{HOST}:{self.callee.port}>"
        request = far.request("INVITE", via=via_of(self.callee), contact=contact)
        heard = len(self.requests(self.caller, "INVITE"))
        self.callee.send(serialize(_with_body(request, self.far.describe(media, self.version))))
        if accept:
            arrived = until(lambda: self.requests(self.caller, "INVITE")[heard:], "the re-INVITE arrives")[0]
            self.near.take(arrived)
            answer = response_to(arrived, 200)
            answer.headers.add("Contact", f"<sip:caller@{HOST}:{self.caller.port}>")
            self.caller.send(serialize(_with_body(answer, self.near.describe(media, self.version))))
        number = str(request.cseq.number)
        final = until(lambda: self.responses(self.callee, "INVITE", number), "a final response")[0]
        ack = far.request("ACK", via=via_of(self.callee), contact="", cseq=request.cseq.number)
        if final.status < 300:
            self.callee.send(serialize(ack))
            self.far.take(final)
        return final

    def both_hear(self, data: bytes) -> None:
        """Each machine sends ``data`` until the other has heard it: the first ones may be too early."""

        def crossed() -> bool:
            self.near.send(data)
            self.far.send(data)
            return data in self.far.heard and data in self.near.heard

        until(crossed, f"both hear {data!r}", holds=bool)

    def requests(self, peer: Datagrams, method: str) -> list[Request]:
        return [each for each in peer.heard if isinstance(each, Request) and each.method == method]

    def responses(self, peer: Datagrams, method: str, number: str = "1") -> list[Response]:
        finals = [each for each in peer.heard if isinstance(each, Response) and each.status >= 200]
        return [each for each in finals if each.headers.get("CSeq") == f"{number} {method}"]

    def close(self) -> None:
        super().close()
        self.near.close()
        self.far.close()


def _with_body(message: Told, body: bytes) -> Told:
    message.headers.add("Content-Type", "application/sdp")
    message.body = body
    return message


@pytest.fixture(scope="module")
def sbc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    made = Attacked(tmp_path_factory.mktemp("fax"), srtp="accept")
    yield made
    made.unharmed()
    assert made.close() == 0


def test_speech_becomes_a_fax_and_speech_again(sbc: Attacked) -> None:
    faxing = Faxing(sbc)
    try:
        far = faxing.talk()
        speech = b"\x80\x00\x00\x01" + bytes(4) + b"\0\0\0\x07" + bytes(160)
        faxing.both_hear(speech)
        final = faxing.again(far, FAX)
        assert final.status == 200 and final.body.endswith(T38.encode()), "octet for octet"
        for sequence in (0, 1, 0x80C8):
            faxing.both_hear(udptl(sequence, b"\xd0" * 5, b"\x02"))
        (line,) = sbc.lines("[fax]", event="fax-begun")
        assert (line["from"], line["to"]) == ("plain", "gateway")
        assert faxing.again(far, SPEECH).status == 200
        faxing.both_hear(speech.replace(b"\x00\x01", b"\x00\x02", 1))
        sbc.lines("[fax]", event="fax-over")
        faxing.callee.send(serialize(far.request("BYE", via=via_of(faxing.callee), contact="")))
        faxing.hears(faxing.caller, "BYE")
        (record,) = until(lambda: [each for each in sbc.records() if each["fax"]], "the record of the fax")
        assert record["fax"] is True and record["one_way"] == "" and record["a"]["media"]["codec"] == "PCMU"
        assert set(record["a"]["media"]["refused"]) <= {"malformed", "speech"}, "what came too early or late"
    finally:
        faxing.close()


def test_a_fax_is_refused_where_a_leg_must_have_srtp_and_the_speech_goes_on(sbc: Attacked) -> None:
    faxing = Faxing(sbc, KEYED)
    try:
        far = faxing.talk(SECURED)
        (ours,) = lines(faxing.hears(faxing.callee, "INVITE").body)
        refused = len(sbc.lines("[srtp-refused]", count=0))
        assert faxing.again(far, FAX, accept=False).status == 488
        line = sbc.lines("[srtp-refused]", count=refused + 1)[-1]
        assert "a fax over UDPTL is clear text" in line["reason"]
        assert len(faxing.requests(faxing.caller, "INVITE")) == 0, "the other side hears nothing of it"
        receiver, sender = Unprotector(ours), Protector(key(1))
        faxing.near.send(rtp(1))
        heard = until(lambda: faxing.far.heard, "speech of the caller")[0]
        assert receiver.rtp(heard) == rtp(1)
        faxing.far.send(sender.rtp(rtp(2, ssrc=9)))
        until(lambda: rtp(2, ssrc=9) in faxing.near.heard, "speech of the callee", holds=bool)
        faxing.callee.send(serialize(far.request("BYE", via=via_of(faxing.callee), contact="")))
        faxing.hears(faxing.caller, "BYE")
    finally:
        faxing.close()


def test_an_invitation_to_a_fax_alone_gets_488_where_srtp_is_required(sbc: Attacked) -> None:
    faxing = Faxing(sbc, KEYED)
    refused = len(sbc.lines("[srtp-refused]", count=0))
    try:
        request = _with_body(request_of(faxing.caller), faxing.near.describe(FAX, 1))
        faxing.caller.send(serialize(request))
        final = until(lambda: faxing.responses(faxing.caller, "INVITE"), "a final response")[0]
        assert final.status == 488
        line = sbc.lines("[srtp-refused]", count=refused + 1)[-1]
        assert "a fax over UDPTL is clear text" in line["reason"]
        assert not faxing.requests(faxing.callee, "INVITE")
    finally:
        faxing.close()
