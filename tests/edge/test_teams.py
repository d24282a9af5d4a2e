"""Calls with a strict stand-in for Microsoft Teams, with media, whichever of its names is out of order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.link import Link
from sbc.demo.voice import VoiceSettings
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, Attacked
from tests.peers.asking import ask
from tests.peers.ports import free_ports
from tests.peers.teams import SUITES, Mood, Teams, TeamsCall
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

USER, NUMBER = "+14255550100", "+12125550100"
# The lab's certificate for the office is the one that Teams shows here.
_TRUNK = """\
trunk: teams
profile: teams
listener: tls
peers: [{peers}]
sources: [127.0.0.0/8]
domain: {domain}
tls: {{server_identity: sbc, client_identity: sbc, trust: [lab-ca], names: [office.lab.example]}}
transfers: perform
options: {{every: 1s, down_after: 1}}
response_timeout: 2s
"""
_ROUTES = """\
rules:
  - name: Teams transfers to a user of its own
    when: trunk == "teams" and referred_by != "" and to.user == ""
    then: route "teams"
  - name: Teams calls out
    when: trunk == "teams" and to.user matches /^\\+1[2-9]\\d{9}$/
    then: route "carrier"
  - name: the carrier calls in
    when: trunk == "carrier"
    then: route "teams"
"""


class Site(Attacked):
    """An SBC between Teams, with its three names, and a carrier."""

    def __init__(self, directory: Path) -> None:
        self.names = free_ports(3)
        super().__init__(directory)
        self.teams = [self._teams(port) for port in self.names]

    def _teams(self, port: int) -> Teams:
        made = self.agent(Teams, "office", VoiceSettings(OFFICE_HERTZ, suites=SUITES))
        assert isinstance(made, Teams)
        made.listen(port)
        return made

    def _configure(self, srtp: str, office_srtp: str) -> None:
        super()._configure(srtp, office_srtp)
        (self.directory / "trunks.d" / "office.yaml").unlink()
        peers = ", ".join(f"{HOST}:{port}" for port in self.names)
        (self.directory / "trunks.d" / "teams.yaml").write_text(_TRUNK.format(peers=peers, domain=SBC_NAME))
        (self.directory / "routes.d" / "10-lab.yaml").write_text(_ROUTES)

    def close(self) -> int:
        """Stop everything."""
        for each in getattr(self, "teams", []):
            each.close()
        return super().close()

    def states(self) -> list[str]:
        """What the SBC thinks of each name, in order."""
        status: dict[str, Any] = ask(self.directory / "run" / "sbc.sock", "status")
        (trunk,) = (each for each in status["trunks"] if each["name"] == "teams")
        return [each["state"] for each in trunk["peer_states"]]

    def to_teams(self) -> tuple[AgentCall, TeamsCall, int]:
        """A call of the carrier's that one of the names takes: both ends, and which name."""
        link = self.carrier.dial(self.address, SBC_NAME)
        placed = self.carrier.call(link, f"sip:{USER}@{SBC_NAME}", user=NUMBER)
        assert placed.wait_up(15), (
            placed.status,
            [each.objections for each in self.teams],
            self.log()[-3000:],
        )
        (name,) = (at for at, each in enumerate(self.teams) if not each.incoming.empty())
        taken = self.teams[name].incoming.get()
        assert isinstance(taken, TeamsCall)
        assert taken.wait_up(5)
        return placed, taken, name

    def from_teams(self) -> tuple[TeamsCall, AgentCall]:
        """A call of a Teams user's to the carrier."""
        placed = self.teams[0].call(self.link(), f"sip:{NUMBER}@{SBC_NAME}:5061;user=phone;transport=tls")
        assert placed.wait_up(15), (placed.status, placed.reason, self.log()[-3000:])
        taken = self.carrier.incoming.get(timeout=5)
        assert taken.wait_up(5)
        return placed, taken

    def link(self) -> Link:
        """A connection of Teams to the SBC."""
        return self.teams[0].dial(self.address, SBC_NAME)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("tm"))
    until_equal(site.states, ["up", "up", "up"])
    yield site
    site.unharmed()
    assert site.close() == 0


@contextmanager
def taken_by_teams(site: Site) -> Iterator[None]:
    """Nothing is sent in the block that Teams has anything against."""
    for each in site.teams:
        each.objections.clear()
    yield
    assert [each.objections for each in site.teams] == [[], [], []]


def hear_each_other(placed: AgentCall, taken: AgentCall, packets: int = 40) -> None:
    """Each end hears more of the other from now on."""
    goals = [each.voice.packets()[1] + packets for each in (placed, taken)]

    def heard() -> list[int]:
        return [each.voice.packets()[1] for each in (placed, taken)]

    until(heard, f"{goals} packets", holds=lambda found: found[0] >= goals[0] and found[1] >= goals[1])


def ended(placed: AgentCall, taken: AgentCall, hertz: tuple[int, int]) -> None:
    """Hang up; each has heard the other's tone in good order, under the one suite that Teams speaks."""
    placed.hang_up()
    assert placed.wait_over(5) and taken.wait_over(5)
    assert (placed.ended_by, taken.ended_by) == ("us", "peer")
    for call, wanted in zip((placed, taken), hertz, strict=True):
        voice = call.report().voice
        assert voice.heard.hertz == wanted and not voice.refused, voice


def test_a_call_to_teams(running: Site) -> None:
    with taken_by_teams(running):
        placed, taken, name = running.to_teams()
        assert name == 0
        hear_each_other(placed, taken)
        ended(placed, taken, (OFFICE_HERTZ, CARRIER_HERTZ))


def test_a_call_from_teams_with_its_spellings_of_keys(running: Site) -> None:
    with taken_by_teams(running):
        placed, taken = running.from_teams()
        hear_each_other(placed, taken)
        taken.hang_up()  # a request of the SBC's in Teams' dialog
        assert placed.wait_over(5) and placed.ended_by == "peer"
        assert placed.report().voice.heard.hertz == CARRIER_HERTZ
        assert taken.report().voice.heard.hertz == OFFICE_HERTZ


def test_teams_holds_and_resumes(running: Site) -> None:
    with taken_by_teams(running):
        placed, taken = running.from_teams()
        hear_each_other(placed, taken)
        held = placed.change("inactive")
        assert held.status == 200 and b"a=inactive" in held.body
        resumed = placed.change("sendrecv")
        assert resumed.status == 200 and b"a=inactive" not in resumed.body
        hear_each_other(placed, taken)
        ended(placed, taken, (CARRIER_HERTZ, OFFICE_HERTZ))


def test_teams_transfers_its_caller_to_another_of_its_users(running: Site) -> None:
    with taken_by_teams(running):
        placed, taken, name = running.to_teams()
        hear_each_other(placed, taken)
        taken.transfer()
        second = running.teams[name].incoming.get(timeout=10)
        assert second.wait_up(10)
        hear_each_other(placed, second)
        assert taken.wait_over(5) and taken.ended_by == "peer"
        assert (taken.told[0], taken.told[-1]) == (b"SIP/2.0 100 Trying", b"SIP/2.0 200 OK")
        placed.hang_up()
        assert placed.wait_over(5) and second.wait_over(5)
        heard = second.report().voice
        assert heard.heard.hertz == CARRIER_HERTZ and not heard.refused
        # Packets under the former key may be on their way when the caller has the new one (RFC 3264 8.3.1).
        assert placed.report().voice.heard.hertz == OFFICE_HERTZ


def test_each_name_is_asked_and_its_questions_are_answered(running: Site) -> None:
    def asked() -> list[int]:
        return [each.heard.options for each in running.teams]

    before = asked()
    with taken_by_teams(running):
        until(asked, f"OPTIONS more than {before}", holds=lambda now: all(map(int.__gt__, now, before)))
    answer = running.teams[0].ask(running.link(), f"sip:{SBC_NAME}:5061;transport=tls")
    assert answer is not None and answer.status == 200


@pytest.mark.parametrize("mood", ["503", "mute", "options-503"])
def test_a_name_that_is_out_of_order_is_passed_over_and_heals(running: Site, mood: Mood) -> None:
    until_equal(running.states, ["up", "up", "up"])
    first = running.teams[0]
    first.mood = mood
    try:
        if mood == "options-503":
            until(lambda: running.states()[0], "the first is down", holds=lambda state: state != "up")
        with taken_by_teams(running):
            placed, taken, name = running.to_teams()
            assert name == 1
            hear_each_other(placed, taken)
            ended(placed, taken, (OFFICE_HERTZ, CARRIER_HERTZ))
    finally:
        first.mood = ""
    until_equal(running.states, ["up", "up", "up"])
    until(lambda: used(running) == 0, "it is used again")  # it may have been mute to a question meanwhile


def used(running: Site) -> int:
    """Which name takes a call now."""
    placed, taken, name = running.to_teams()
    ended_quickly(placed, taken)
    return name


def test_a_name_that_refuses_connections_is_passed_over_and_heals(running: Site) -> None:
    until_equal(running.states, ["up", "up", "up"])
    running.teams[0].close()
    until(lambda: running.states()[0], "the first is down", holds=lambda state: state != "up")
    running.teams[1].mood = "options-503"
    until(lambda: running.states()[1], "the second is down", holds=lambda state: state != "up")
    try:
        placed, taken, name = running.to_teams()
        assert name == 2
        ended_quickly(placed, taken)
    finally:
        running.teams[1].mood = ""
        running.teams[0] = running._teams(running.names[0])
    until_equal(running.states, ["up", "up", "up"])
    until(lambda: used(running) == 0, "it is used again")


def ended_quickly(placed: AgentCall, taken: AgentCall) -> None:
    placed.hang_up()
    assert placed.wait_over(5) and taken.wait_over(5)


def test_the_stand_in_is_strict(running: Site) -> None:
    """An SBC that shows its address, dials without +, or offers nothing is told so."""
    path = running.directory / "trunks.d" / "teams.yaml"
    good = path.read_text()
    # Without the profile, which would not be had without our name.
    plain = "srtp: required\ntls: {mode: required, client_eku: allow-server-auth, "
    plain = good.replace("profile: teams\n", "").replace("tls: {", plain)
    path.write_text(plain.replace(f"domain: {SBC_NAME}\n", ""))
    socket = running.directory / "run" / "sbc.sock"
    try:
        assert ask(socket, "reload")["changed"]
        until(lambda: running.teams[0].objections, "objections", holds=lambda found: bool(found))
        assert "an address in Contact" in running.teams[0].objections
        refused = running.carrier.call(
            running.carrier.dial(running.address, SBC_NAME), f"sip:{USER}@{SBC_NAME}"
        )
        assert refused.wait_over(10) and refused.status == 403
    finally:
        path.write_text(good)
        assert ask(socket, "reload")["changed"]
    link = running.carrier.dial(running.address, SBC_NAME)
    refused = running.carrier.call(link, f"sip:100@{SBC_NAME}", user="100")
    assert refused.wait_over(10) and refused.status == 403
    assert {each.split(":")[0] for each in running.teams[0].objections} >= {"request URI without +E.164"}
