"""Connections that close in the middle of a call, over mutual TLS: the rest of the call goes over new ones.

Either end is a script on real connections; it closes one, and opens the next or waits to be dialled.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sbc.demo.agent import Agent
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.link import Link
from sbc.demo.voice import VoiceSettings
from sbc.sip.cancel import build_cancel
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, response_to
from tests.edge.attacked import TO, Attacked
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow


class Scripted(Agent):
    """It says what the test lets it say; ``said`` is what each of its connections brought."""

    def _receive(self, link: Link, message: Message) -> None:
        self.__dict__.setdefault("said", []).append((link, message))

    @property
    def is_deaf(self) -> bool:
        """Whether it listens no longer."""
        return self._server is None

    def deaf(self) -> None:
        """Listen no longer; its connections stay."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def hears(self, what: str | int, count: int = 1) -> tuple[Link, Message]:
        """The ``count``-th message of this method or status, and the connection that it came on."""

        def found() -> list[tuple[Link, Message]]:
            said = self.__dict__.get("said", [])
            return [each for each in said if what == (getattr(each[1], "method", 0) or each[1].status)]

        return until(found, f"{self.name} hears {what}", holds=lambda each: len(each) >= count)[count - 1]

    def request(self, what: str, count: int = 1) -> tuple[Link, Request]:
        link, message = self.hears(what, count)
        assert isinstance(message, Request)
        return link, message

    def response(self, what: int, count: int = 1) -> tuple[Link, Response]:
        link, message = self.hears(what, count)
        assert isinstance(message, Response)
        return link, message


class Scene:
    """A caller and a callee of an SBC; ``port`` is what the caller's Via says."""

    def __init__(self, sbc: Attacked) -> None:
        self.sbc = sbc
        self.port = sbc.ports.office
        assert isinstance(sbc.carrier, Scripted)
        self.carrier = sbc.carrier
        self.office = self.agent("office")
        self.beside = [self.office]

    def agent(self, shows: str) -> Scripted:
        agent = self.sbc.agent(Scripted, shows, VoiceSettings(440))
        assert isinstance(agent, Scripted)
        return agent

    def via(self) -> str:
        return f"SIP/2.0/TLS {HOST}:{self.port};branch=z9hG4bK{os.urandom(8).hex()}"

    def contact(self, port: int) -> str:
        return f"<sip:somebody@{HOST}:{port};transport=tls>"

    def ringing(self) -> tuple[Request, Request]:
        """The caller's INVITE, as it left and as it rings at the callee."""
        self.calling = self.office.dial(self.sbc.address, SBC_NAME)
        fields = {
            "Via": self.via(), "Max-Forwards": "70",
            "From": f"<sip:caller@office.lab.example>;tag={os.urandom(4).hex()}",
            "To": f"<{TO}>", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
            "Contact": self.contact(self.port),
        }  # fmt: skip
        sent = Request("INVITE", TO, Headers(list(fields.items())))
        self.calling.send(sent)
        link, invite = self.carrier.request("INVITE")
        self.called = link
        link.send(self.answer(invite, 180))
        self.office.hears(180)
        return sent, invite

    def answer(self, invite: Request, status: int) -> Response:
        response = response_to(invite, status, "", "callee")
        response.headers.add("Contact", self.contact(self.sbc.ports.carrier))
        return response

    def closes(self, link: Link, direction: str) -> None:
        """One end closes, and the SBC has seen it: there is one less, or it has dialled already."""
        before, dialled = self._open(direction), self._links()
        link.close()
        seen = "the SBC has seen the end of the connection"
        until(lambda: self._open(direction) < before or self._links() > dialled, seen)

    def _links(self) -> int:
        return len(self.office.links) + len(self.carrier.links)

    def _open(self, direction: str) -> int:
        status = ask(self.sbc.directory / "run" / "sbc.sock", "status")
        (listener,) = (each for each in status["listeners"] if each["name"] == "tls")
        opened: int = listener[direction]["open"]
        return opened

    def hung_up(self, dialog: Dialog) -> None:
        """The caller hangs up over a connection of its own, and nothing is left."""
        link = self.office.dial(self.sbc.address, SBC_NAME)
        link.send(dialog.request("BYE", via=self.via(), contact=""))
        where, bye = self.carrier.request("BYE")
        where.send(response_to(bye, 200))
        until_equal(self.sbc.held, {"calls": 0, "ports": 0})

    def close(self) -> None:
        for each in self.beside:
            each.close()


@pytest.fixture
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    sbc = Attacked(tmp_path_factory.mktemp("lc"), srtp="accept", carrier=Scripted)
    made = Scene(sbc)
    yield made
    made.close()
    sbc.unharmed()
    assert sbc.close() == 0


# The callee's (RFC 3261 18.1.1)


def test_a_callee_that_lost_its_connection_answers_on_another(scene: Scene) -> None:
    """Its ACK goes over that one, or over the one by which it was looked for, whichever is there first."""
    sent, invite = scene.ringing()
    scene.closes(scene.called, "outbound")
    back = scene.carrier.dial(scene.sbc.address, SBC_NAME)
    back.send(scene.answer(invite, 200))
    _, answer = scene.office.response(200)
    dialog = Dialog.as_uac(sent, answer)
    scene.calling.send(dialog.request("ACK", via=scene.via(), contact=""))
    assert scene.carrier.request("ACK")[0] is not scene.called
    scene.hung_up(dialog)


def test_a_callee_that_lost_its_connection_is_cancelled_over_another(scene: Scene) -> None:
    sent, invite = scene.ringing()
    scene.closes(scene.called, "outbound")
    scene.calling.send(build_cancel(sent))
    link, cancel = scene.carrier.request("CANCEL")
    assert cancel.via.branch == invite.via.branch and link is not scene.called
    link.send(response_to(cancel, 200))
    link.send(scene.answer(invite, 487))
    assert scene.carrier.request("ACK")[0] is link
    scene.office.hears(487)
    until_equal(scene.sbc.held, {"calls": 0, "ports": 0})


# The caller's (18.2.2)


@pytest.mark.parametrize("configured", [True, False])
def test_a_caller_that_lost_its_connection_is_answered_over_another(scene: Scene, configured: bool) -> None:
    """Where its Via says, be that one of the trunk's peers or another port of its own."""
    if not configured:
        scene.port = free_port()
    scene.office.listen(scene.port)
    sent, invite = scene.ringing()
    scene.closes(scene.calling, "inbound")
    scene.called.send(scene.answer(invite, 200))
    back, answer = scene.office.response(200)
    assert back is not scene.calling
    dialog = Dialog.as_uac(sent, answer)
    back.send(dialog.request("ACK", via=scene.via(), contact=""))
    scene.carrier.hears("ACK")
    scene.hung_up(dialog)


@pytest.mark.parametrize("there", ["nobody", "somebody else"])
def test_a_caller_that_cannot_be_reached_is_not_rung_for(scene: Scene, there: str) -> None:
    if there == "somebody else":
        impostor = scene.agent("carrier")
        scene.beside.append(impostor)
        impostor.listen(scene.port)
    _, invite = scene.ringing()
    scene.closes(scene.calling, "inbound")
    link, cancel = scene.carrier.request("CANCEL")
    link.send(response_to(cancel, 200))
    link.send(scene.answer(invite, 487))
    scene.carrier.hears("ACK")
    (record,) = scene.sbc.records(1)
    assert (record["status"], record["reason"]) == (503, "the caller's connection closed")
    if there == "somebody else":
        assert not impostor.record, "nothing is said to it"


# After the answer


def test_the_ack_of_a_callee_that_lost_its_connection_goes_over_another(scene: Scene) -> None:
    sent, invite = scene.ringing()
    scene.called.send(scene.answer(invite, 200))
    _, answer = scene.office.response(200)
    scene.closes(scene.called, "outbound")
    dialog = Dialog.as_uac(sent, answer)
    scene.calling.send(dialog.request("ACK", via=scene.via(), contact=""))
    link, first = scene.carrier.request("ACK")
    assert link is not scene.called
    scene.closes(link, "outbound")
    back = scene.carrier.dial(scene.sbc.address, SBC_NAME)
    back.send(scene.answer(invite, 200))
    again, second = scene.carrier.request("ACK", 2)
    assert again is back and second.via.branch == first.via.branch
    scene.hung_up(dialog)
