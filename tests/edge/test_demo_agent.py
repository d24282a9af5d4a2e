"""Two agents talk to each other without an SBC: mutual TLS, SRTP both ways, and every fault shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall, CallReport
from sbc.demo.pki import write_lab
from sbc.demo.tls import Credentials, Refused
from sbc.demo.voice import VoiceSettings

CARRIER = "carrier.lab.example"
TO = "sip:+12125550100@carrier.lab.example"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("lab")
    write_lab(directory, time.time())
    trust = directory / "tls"
    both = (trust / "lab-ca.pem").read_bytes() + (trust / "carrier-ca.pem").read_bytes()
    (trust / "both.pem").write_bytes(both)
    return trust


Make = Callable[..., Agent]


@pytest.fixture
def make(tls: Path) -> Iterator[Make]:
    agents: list[Agent] = []

    def agent(name: str, *, shows: str | None = "", **voice: object) -> Agent:
        stem = name if shows == "" else shows
        credentials = Credentials(tls / f"{stem}.pem", tls / f"{stem}.key") if stem else None
        settings = VoiceSettings(**voice)  # type: ignore[arg-type]
        agents.append(Agent(name, f"{name}.lab.example", tls / "both.pem", credentials, settings))
        return agents[-1]

    yield agent
    for each in agents:
        each.close()


def place(caller: Agent, callee: Agent) -> tuple[AgentCall, AgentCall]:
    link = caller.dial(callee.listen(), CARRIER)
    call = caller.call(link, TO)
    call.wait_up(30)
    return call, callee.incoming.get(timeout=30)


def talk(caller: Agent, callee: Agent, seconds: float = 0.4) -> tuple[CallReport, CallReport]:
    call, answered = place(caller, callee)
    gevent.sleep(seconds)
    call.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    return call.report(), answered.report()


def test_a_call_with_mutual_tls_srtp_and_a_tone_each_way(make: Make) -> None:
    office, carrier = talk(make("office", hertz=440), make("carrier", hertz=660), 0.6)
    assert (office.state, office.status, office.ended_by) == ("ended", 200, "us")
    assert (carrier.state, carrier.ended_by) == ("ended", "peer")
    assert office.tls.version == "TLSv1.3" and office.tls.cipher and office.tls.group
    assert office.tls.peer is not None and "dns:carrier.lab.example" in office.tls.peer.sans
    assert carrier.tls.peer is not None and "dns:office.lab.example" in carrier.tls.peer.sans
    for report, hertz in ((office, 660), (carrier, 440)):
        voice = report.voice
        assert voice.suite == "AES_CM_128_HMAC_SHA1_80" and voice.codec == "PCMA"
        assert voice.heard.hertz == hertz and voice.heard.purity > 0.95
        assert voice.received >= 20 and voice.lost == 0 and not voice.refused


@pytest.mark.parametrize("suite", ["AEAD_AES_256_GCM", "AES_256_CM_HMAC_SHA1_80"])
def test_the_other_codec_and_the_other_suite(make: Make, suite: str) -> None:
    suites = (suite,)
    office, carrier = talk(
        make("office", payload_type=0, suites=suites, hertz=500), make("carrier", suites=suites)
    )
    assert office.voice.suite == carrier.voice.suite == suite
    assert office.voice.codec == carrier.voice.codec == "PCMU"
    assert carrier.voice.heard.hertz == 500


def test_plain_rtp_where_both_want_it(make: Make) -> None:
    office, carrier = talk(make("office", suites=(), hertz=500), make("carrier", suites=()))
    assert office.voice.suite == "" and carrier.voice.heard.hertz == 500


def test_every_message_is_recorded_on_both_sides(make: Make) -> None:
    caller, callee = make("office"), make("carrier")
    talk(caller, callee)
    assert len(caller.record) == len(callee.record)
    for sent, received in zip(caller.record, callee.record, strict=True):
        assert sent.outgoing != received.outgoing
        assert sent.message.cseq == received.message.cseq


def test_the_callee_can_hang_up(make: Make) -> None:
    call, answered = place(make("office"), make("carrier"))
    assert answered.wait_up(30)
    answered.hang_up()
    assert call.wait_over(30) and answered.wait_over(30)
    assert call.report().ended_by == "peer" and answered.report().ended_by == "us"


@pytest.mark.parametrize(
    "fault", ["plain", "no-crypto", "broken-key", "short-key", "unoffered-suite", "other-tag"]
)
def test_an_answer_without_a_usable_key_ends_the_call(make: Make, fault: str) -> None:
    call, _ = place(make("office"), make("carrier", answer_fault=fault))
    assert call.state == "failed"
    assert call.reason == "the answer has no SRTP key for what we offered"


def test_an_offer_without_keys_is_refused_by_who_wants_srtp(make: Make) -> None:
    call, answered = place(make("office", suites=()), make("carrier"))
    assert (call.state, call.status) == ("failed", 488)
    assert answered.state == "failed"


def test_forged_packets_are_refused_and_not_heard(make: Make) -> None:
    _, carrier = talk(make("office", packet_fault="forged"), make("carrier"))
    assert carrier.voice.received == 0 and carrier.voice.heard.hertz == 0
    assert carrier.voice.refused["authentication"] >= 10


def test_replayed_packets_are_heard_once(make: Make) -> None:
    office, carrier = talk(make("office", packet_fault="replayed"), make("carrier"))
    assert carrier.voice.refused["replay"] >= 10
    assert carrier.voice.received <= office.voice.sent // 2 + 1


def test_a_server_with_another_name_is_not_spoken_to(make: Make) -> None:
    carrier, office = make("carrier"), make("office")
    with pytest.raises(Refused, match=r"does not name sbc\.lab\.example"):
        office.dial(carrier.listen(), "sbc.lab.example")


def test_a_server_of_an_unknown_authority_is_refused(make: Make) -> None:
    rogue, office = make("carrier", shows="rogue"), make("office")
    with pytest.raises(Refused):
        office.dial(rogue.listen(), CARRIER)


@pytest.mark.parametrize("shows", [None, "rogue"])
def test_a_client_without_a_trusted_certificate_is_told_so(make: Make, shows: str | None) -> None:
    carrier, office = make("carrier"), make("office", shows=shows)
    link = office.dial(carrier.listen(), CARRIER)  # in TLS 1.3 the verdict comes after the handshake
    assert link.wait_closed(30)
    assert ("certificate_required" if shows is None else "unknown_ca") in link.failure
    assert len(carrier.refused) == 1


def test_nobody_there_is_said_plainly(make: Make) -> None:
    with pytest.raises(Refused, match="no connection to"):
        make("office").dial(Address("127.0.0.1", 1), CARRIER)
