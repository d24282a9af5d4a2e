"""A connection that closes at every moment of a call, the caller's or the callee's: TLS, TCP, and TCP reset.

Either end goes on over connections of its own, or is dialled. A connection is not the call that it carries
(RFC 3261 18.1.1, 18.2.2): the call comes about and ends as if nothing had happened, but where the callee has
said nothing yet, for nobody knows then that it has got the call. Who is gone for good is not waited for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sbc.demo.lab import SBC_NAME
from sbc.demo.link import Link
from sbc.demo.voice import VoiceSettings
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, response_to
from tests.edge.attacked import TO
from tests.edge.lost_wire import WAYS, ClearStream, Wire
from tests.edge.test_lost_connections import Scripted
from tests.peers.asking import ask
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

SDP = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio {port} RTP/AVP 0\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
)
#: How far a call has come when a connection closes: what the callee has said or either has asked for last.
MOMENTS = ("INVITE", "100", "180", "183", "200", "ACK", "re-INVITE", "answered re-INVITE", "BYE", "idle")


class End:
    """One end of a call: an agent, and the connection that it uses now."""

    def __init__(self, agent: Scripted, sbc: Wire, port: int) -> None:
        self.agent = agent
        self.sbc = sbc
        self.port = port
        self.link: Link | None = None
        self.begin = 0

    def send(self, message: Message) -> None:
        """Say it on the connection that there is, or on a new one."""
        if self.link is None or not self.link.open:
            self.link = self.agent.dial(self.sbc.address, SBC_NAME)
        self.link.send(message)

    def hears(self, what: str | int, of: str = "", count: int = 1) -> Message:
        """The ``count``-th such message of this call; the connection that it came on is used from then on."""

        def found() -> list[tuple[Link, Message]]:
            said = self.agent.__dict__.get("said", [])[self.begin :]
            return [
                (link, each)
                for link, each in said
                if what == (each.method if isinstance(each, Request) else getattr(each, "status", 0))
                and of in ("", each.cseq.method)
            ]

        got = until(found, f"{self.agent.name} hears {what} {of}", holds=lambda each: len(each) >= count)
        self.link = got[count - 1][0]
        return got[count - 1][1]

    def request(self, what: str, count: int = 1) -> Request:
        """A request that it hears."""
        message = self.hears(what, count=count)
        assert isinstance(message, Request)
        return message

    def response(self, status: int, of: str) -> Response:
        """A response that it hears, to a request of the method ``of``."""
        message = self.hears(status, of)
        assert isinstance(message, Response)
        return message

    def via(self) -> str:
        """A Via of its own, with the port where it can be dialled."""
        by = f"{self.sbc.transport.upper()} {self.agent.host}:{self.port}"
        return f"SIP/2.0/{by};branch=z9hG4bK{os.urandom(8).hex()}"

    def contact(self) -> str:
        """Where it can be dialled."""
        return f"<sip:somebody@{self.agent.host}:{self.port};transport={self.sbc.transport}>"

    def closes(self, direction: str) -> None:
        """Its connection closes, and the SBC has seen it: there is one less, or it has dialled already."""
        before, dialled = self._open(direction), len(self.agent.links)
        assert self.link is not None
        if isinstance(self.link.stream, ClearStream):
            self.link.stream.resets = self.sbc.way == "reset"
        self.link.close()
        seen = "the SBC has seen the end of the connection"
        until(lambda: self._open(direction) < before or len(self.agent.links) > dialled, seen)

    def is_gone(self, direction: str) -> None:
        """The same, and nobody is where it was."""
        self.agent.deaf()
        self.closes(direction)

    def _open(self, direction: str) -> int:
        status = ask(self.sbc.directory / "run" / "sbc.sock", "status")
        (listener,) = (each for each in status["listeners"] if each["name"] == self.sbc.transport)
        opened: int = listener[direction]["open"]
        return opened


class Play:
    """One call, step by step."""

    def __init__(self, sbc: Wire, caller: End, callee: End) -> None:
        self.sbc = sbc
        self.caller = caller
        self.callee = callee
        for each in (caller, callee):
            each.begin = len(each.agent.__dict__.get("said", []))
            each.link = None

    def goes_to(self, moment: str) -> None:
        """The call comes as far as ``moment``."""
        if moment == "idle":
            self._whole_call()
            return
        self._invite()
        if moment in ("100", "180", "183"):
            self._said(int(moment))
        if moment in MOMENTS[MOMENTS.index("200") :]:
            self._answered()
        if moment in MOMENTS[MOMENTS.index("ACK") :]:
            self._acknowledged()
        if moment in ("re-INVITE", "answered re-INVITE"):
            self.reinvited()
            self.callee.send(response_to(self.again, 100))
            self._settled()
        if moment == "answered re-INVITE":
            self._reinvite_answered()
        if moment == "BYE":
            self._hung_up("caller")

    def goes_on(self, moment: str, hangs_up: str = "caller") -> None:
        """From there to its end."""
        if moment == "idle":
            self._whole_call()
            return
        if moment in ("INVITE", "100", "180", "183"):
            self._answered()
        if moment in ("INVITE", "100", "180", "183", "200"):
            self._acknowledged()
        if moment == "re-INVITE":
            self._reinvite_answered()
        if moment in ("re-INVITE", "answered re-INVITE"):
            self._reinvite_acknowledged()
        if moment != "BYE":
            self._hung_up(hangs_up)
        self._bye_answered(hangs_up)

    def says(self, status: int) -> Response:
        """The callee's answer to the INVITE."""
        return self._response(self.invite, status, sdp=False)

    def cancelled(self) -> None:
        """The callee is told that nobody waits, and ends its INVITE."""
        cancel = self.callee.request("CANCEL")
        self.callee.send(response_to(cancel, 200))
        self.callee.send(self.says(487))
        self.callee.hears("ACK")

    def ended(self) -> dict[str, object]:
        """The record, when nothing of the call is left."""
        until_equal(self.sbc.held, {"calls": 0, "ports": 0})
        record: dict[str, object] = self.sbc.record_of(self.sent.call_id)
        return record

    def _whole_call(self) -> None:
        self._invite()
        self._answered()
        self._acknowledged()
        self._hung_up("caller")
        self._bye_answered("caller")
        until_equal(self.sbc.held, {"calls": 0, "ports": 0})
        for each in (self.caller, self.callee):
            each.begin = len(each.agent.__dict__["said"])

    def _invite(self) -> None:
        fields = {
            "Via": self.caller.via(), "Max-Forwards": "70",
            "From": f"<sip:caller@office.lab.example>;tag={os.urandom(4).hex()}",
            "To": f"<{TO}>", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
            "Contact": self.caller.contact(), "Content-Type": "application/sdp",
        }  # fmt: skip
        self.sent = Request("INVITE", TO, Headers(list(fields.items())), SDP.format(port=40000).encode())
        self.caller.send(self.sent)
        self.caller.hears(100)
        self.invite = self.callee.request("INVITE")

    def _said(self, status: int) -> None:
        self.callee.send(self._response(self.invite, status, status == 183))
        if status > 100:
            self.caller.hears(status)
        else:
            self._settled()

    def _settled(self) -> None:
        """The SBC has taken in what the callee has sent: it answers what comes behind that."""
        probe = Request("OPTIONS", f"sip:{SBC_NAME}", Headers([
            ("Via", self.callee.via()), ("Max-Forwards", "70"), ("From", "<sip:p@carrier.lab.example>;tag=1"),
            ("To", f"<sip:{SBC_NAME}>"), ("Call-ID", os.urandom(8).hex()), ("CSeq", "1 OPTIONS"),
        ]))  # fmt: skip
        self.callee.send(probe)
        self.callee.response(200, "OPTIONS")

    def _response(self, request: Request, status: int, sdp: bool) -> Response:
        response = response_to(request, status, "", "callee" if not request.to_tag else "")
        if request.method == "INVITE" and status > 100:
            response.headers.add("Contact", self.callee.contact())
        if sdp:
            response.headers.add("Content-Type", "application/sdp")
            response.body = SDP.format(port=40002).encode()
        return response

    def _answered(self) -> None:
        self.callee.send(self._response(self.invite, 200, sdp=True))
        self.near = Dialog.as_uac(self.sent, self.caller.response(200, "INVITE"))
        self.far = Dialog.as_uas(self.invite, "callee")
        self.far.confirm()

    def _acknowledged(self) -> None:
        self.caller.send(self.near.request("ACK", via=self.caller.via(), contact=""))
        self.callee.hears("ACK")

    def reinvited(self) -> Request:
        """The caller's re-INVITE, which has reached the callee."""
        again = self.near.request("INVITE", via=self.caller.via(), contact=self.caller.contact())
        again.headers.add("Content-Type", "application/sdp")
        again.body = SDP.format(port=40000).replace("1 1", "1 2").encode()
        self.caller.send(again)
        self.again = self.callee.request("INVITE", 2)
        return again

    def _reinvite_answered(self) -> None:
        self.callee.send(self._response(self.again, 200, sdp=True))

        def answers() -> list[Response]:
            said = [each for _, each in self.caller.agent.__dict__["said"][self.caller.begin :]]
            found = [each for each in said if isinstance(each, Response) and each.cseq.number == 2]
            return [each for each in found if each.status == 200]

        until(answers, "an answer to the re-INVITE")

    def _reinvite_acknowledged(self) -> None:
        self.caller.send(self.near.request("ACK", via=self.caller.via(), contact="", cseq=2))
        self.callee.hears("ACK", count=2)

    def _hung_up(self, who: str) -> None:
        near, far, dialog = self.ends(who)
        near.send(dialog.request("BYE", via=near.via(), contact=""))
        self.bye = far.request("BYE")

    def _bye_answered(self, who: str) -> None:
        self.ends(who)[1].send(response_to(self.bye, 200))

    def ends(self, who: str) -> tuple[End, End, Dialog]:
        """Who hangs up, on whom, and by which dialog."""
        if who == "caller":
            return self.caller, self.callee, self.near
        return self.callee, self.caller, self.far


@pytest.fixture(scope="module", params=WAYS)
def sbc(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    made = Wire(tmp_path_factory.mktemp("moments"), request.param)
    yield made
    made.unharmed()
    assert made.close() == 0


@pytest.fixture
def play(sbc: Wire) -> Iterator[Play]:
    """A caller and a callee that can both be dialled."""
    office = sbc.agent(sbc.kind, "office", VoiceSettings(440))
    assert isinstance(office, Scripted) and isinstance(sbc.carrier, Scripted)
    office.listen(sbc.ports.office)
    yield Play(sbc, End(office, sbc, sbc.ports.office), End(sbc.carrier, sbc, sbc.ports.carrier))
    office.close()
    if sbc.carrier.is_deaf:
        sbc.carrier.listen(sbc.ports.carrier)


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_caller_whose_connection_closes_has_its_call_all_the_same(play: Play, moment: str) -> None:
    play.goes_to(moment)
    play.caller.closes("inbound")
    play.goes_on(moment)
    record = play.ended()
    assert (record["status"], record["ended_by"], record["reason"]) == (200, "caller", "normal")


@pytest.mark.parametrize("moment", [each for each in MOMENTS if each != "INVITE"])
def test_a_callee_whose_connection_closes_has_its_call_all_the_same(play: Play, moment: str) -> None:
    play.goes_to(moment)
    play.callee.closes("outbound")
    play.goes_on(moment)
    record = play.ended()
    assert (record["status"], record["ended_by"], record["reason"]) == (200, "caller", "normal")


@pytest.mark.parametrize("loses", ["caller", "callee"])
def test_who_is_hung_up_is_dialled(play: Play, loses: str) -> None:
    play.goes_to("ACK")
    end, direction = (play.caller, "inbound") if loses == "caller" else (play.callee, "outbound")
    end.closes(direction)
    play.goes_on("ACK", "callee" if loses == "caller" else "caller")
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (200, "callee" if loses == "caller" else "caller")


@pytest.mark.parametrize("moment", ["INVITE", "100", "180", "183"])
def test_nobody_is_rung_for_who_is_gone_for_good(play: Play, moment: str) -> None:
    play.goes_to(moment)
    play.caller.is_gone("inbound")
    if moment != "INVITE":  # before it is heard of it must not be cancelled (RFC 3261 9.1)
        play.cancelled()
    else:
        play.callee.send(play.says(487))
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (503, "us")
    assert record["reason"] == "the caller's connection closed"


@pytest.mark.parametrize("gone", ["caller", "callee"])
def test_who_is_left_may_hang_up_on_who_is_gone(play: Play, gone: str) -> None:
    play.goes_to("ACK")
    end, direction, left = (
        (play.caller, "inbound", "callee") if gone == "caller" else (play.callee, "outbound", "caller")
    )
    end.is_gone(direction)
    near, _, dialog = play.ends(left)
    near.send(dialog.request("BYE", via=near.via(), contact=""))
    near.response(200, "BYE")
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (200, left)


@pytest.mark.parametrize("moment", ["100", "180", "183"])
def test_a_callee_that_is_gone_for_good_is_not_waited_for(play: Play, moment: str) -> None:
    play.goes_to(moment)
    play.callee.is_gone("outbound")
    refused = play.caller.response(503, "INVITE")
    play.caller.send(_ack(play.sent, refused))
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (503, "us")


def test_a_callee_that_had_said_nothing_is_not_waited_for(play: Play) -> None:
    play.goes_to("INVITE")
    play.callee.closes("outbound")
    refused = play.caller.response(503, "INVITE")
    play.caller.send(_ack(play.sent, refused))
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (503, "us")


def test_a_reinvite_that_the_callee_had_said_nothing_to_is_refused_and_the_call_goes_on(play: Play) -> None:
    play.goes_to("ACK")
    again = play.reinvited()
    play.callee.closes("outbound")
    play.caller.send(_ack(again, play.caller.response(503, "INVITE")))
    play.goes_on("ACK")
    record = play.ended()
    assert (record["status"], record["ended_by"]) == (200, "caller")


def _ack(invite: Request, refused: Response) -> Request:
    """The ACK of a refusal, in the transaction of the INVITE (RFC 3261 17.1.1.3)."""
    fields = [(name, invite.headers.get(name) or "") for name in ("Via", "From", "Call-ID")]
    fields += [("To", refused.headers.get("To") or ""), ("CSeq", f"{invite.cseq.number} ACK")]
    return Request("ACK", str(invite.uri), Headers([*fields, ("Max-Forwards", "70")]))
