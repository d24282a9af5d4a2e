"""A real SBC whose trunks are full: emergency calls go through with their place, a flood does not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sbc.demo.lab import HOST
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, serialize
from tests.edge.attacked import attacked
from tests.edge.raw_sip import Datagrams
from tests.edge.sbc_command import sbc
from tests.edge.test_udp_calls import GATEWAY, Gateway, request_of
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

EMERGENCY = "emergency: {numbers: [112], reserve: {calls: 2, cps: 10}}\n"
FULL = "limits: {calls: 0}\n"


PLACE = b"Content-Type: application/pidf+xml\r\nContent-ID: <place@office.example>\r\n\r\n<presence/>\r\n"
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 40000 RTP/AVP 8\r\n"
BODY = b"--x\r\nContent-Type: application/sdp\r\n\r\n" + SDP + b"\r\n--x\r\n" + PLACE + b"\r\n--x--\r\n"


class Full(Gateway):
    """No call may begin from or to its trunks, but emergency calls."""

    def fill(self, more: str = "") -> None:
        """Write it down, with ``more`` for either trunk."""
        directory = self.sbc.directory
        settings = directory / "sbc.yaml"
        settings.write_text(settings.read_text() + EMERGENCY)
        trunks = directory / "trunks.d"
        plain = (trunks / "plain.yaml").read_text()
        (trunks / "plain.yaml").write_text(plain + FULL + more)
        (trunks / "gateway.yaml").write_text(GATEWAY % (HOST, self.callee.port) + FULL + more)
        self.reload()

    def dials(self, to: str, body: bytes = b"", **headers: str) -> Request:
        """The caller calls ``to``."""
        request = request_of(self.caller)
        fields = [(name, value) for name, value in request.headers.fields if name != "To"]
        fields += [("To", f"<{to}>"), *((name.replace("_", "-"), value) for name, value in headers.items())]
        made = Request("INVITE", to, Headers(fields), body)
        self.speaks.send(serialize(made))
        return made

    def answer_to(self, request: Request) -> Response:
        """The final answer that the caller gets."""
        return until(lambda: _final(self.caller, request), request.call_id)  # type: ignore[return-value]


def _final(peer: Datagrams, request: Request) -> Response | None:
    for each in peer.heard:
        if isinstance(each, Response) and each.call_id == request.call_id and each.status >= 200:
            return each
    return None


@pytest.fixture
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    with attacked(tmp_path_factory.mktemp("em"), srtp="accept") as running:
        made = Full(running)
        yield made
        made.close()


def test_an_emergency_call_passes_where_all_is_full_and_beyond_its_reserve_none_does(full: Full) -> None:
    full.fill("bodies: [pidf-lo]\n")
    assert full.answer_to(full.dials(f"sip:+12125550100@{HOST}")).status == 503
    for number in (1, 2):
        to = f"sip:112@{HOST}" if number == 1 else "urn:service:sos"
        full.dials(
            to, BODY, Content_Type="multipart/mixed;boundary=x", Geolocation="<cid:place@office.example>"
        )
        full.sbc.lines("[emergency]", reserve="within", count=number)
    assert full.answer_to(full.dials(f"sip:112@{HOST}")).status == 503
    arrived = until(lambda: _invited(full.callee), holds=lambda uris: len(uris) == 2)
    assert arrived == {f"sip:112@{HOST}:{full.callee.port}", "urn:service:sos"}
    assert {each["emergency"] for each in full.sbc.calls()} == {True}
    for invite in (
        each for each in full.callee.heard if isinstance(each, Request) and each.method == "INVITE"
    ):
        assert invite.headers.get("Geolocation") == "<cid:place@office.example>"
        _, sdp, place, _ = invite.body.split(b"--" + (invite.headers.get("Content-Type") or "").encode()[25:])
        assert b"m=audio" in sdp and PLACE in place


def test_check_and_a_dry_run_say_what_passes_and_what_does_not(full: Full) -> None:
    full.fill()
    told = sbc(full.sbc.directory, "check")
    assert told.status == 0
    assert "emergency: 112, urn:service:sos: 2 calls at once and 10 a second of each trunk pass" in told.out
    assert "whose address or certificate is not admitted is refused" in told.out
    told = sbc(full.sbc.directory, "route", "test", "--trunk", "plain", "--to", "urn:service:sos")
    assert "an emergency call: within its trunk's reserve no limit and no password stops it" in told.out


def _invited(peer: Datagrams) -> set[str]:
    return {each.uri for each in peer.heard if isinstance(each, Request) and each.method == "INVITE"}
