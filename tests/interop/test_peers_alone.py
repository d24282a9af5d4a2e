"""The peers against each other, without the SBC: what the other interop tests build on is sound."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.lab import Credentials, Lab
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip, PjsipSettings
from tests.peers.ports import free_port
from tests.peers.process import MissingProgram, PeerFailed, PeerProcess, find
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.stunnel import Stunnel, into, out
from tests.peers.tone import heard, listen, write_tone
from tests.peers.waiting import until

LOW, HIGH = 440.0, 1000.0
TALK = 1.3

interop = pytest.mark.interop


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path / "tls")


def pjsip(name: str, lab: Lab, hz: float, *, own: Credentials | None = None, trusts: str = "lab") -> Pjsip:
    """A PJSIP agent with a certificate, mutual TLS, mandatory SRTP and a tone."""
    own = own or lab.issue(name)
    directory = lab.directory.parent / name
    directory.mkdir()
    settings = PjsipSettings(
        uri=f"sip:{name}@127.0.0.1",
        cert=str(own.cert),
        key=str(own.key),
        ca=str(lab.ca(trusts)),
        tone=str(write_tone(directory / "tone.wav", hz)),
    )
    return Pjsip(name, directory, settings)


@interop
def test_pjsip_to_pjsip_hears_the_tone_both_ways(lab: Lab) -> None:
    needs("pjsua2")
    with pjsip("bob", lab, LOW) as bob, pjsip("alice", lab, HIGH) as alice:
        call = alice.call(bob.uri, {"X-Test": "yes"})
        incoming = bob.expect("incoming")
        assert "X-Test: yes" in incoming["message"]
        assert alice.expect("media", call=call)["srtp"]
        assert bob.expect("media")["srtp"]
        alice.expect_state(call, "CONFIRMED")
        time.sleep(TALK)
        alice.hangup(call)
        alice.expect_state(call, "DISCONNECTED")
        bob.expect_state(incoming["call"], "DISCONNECTED")
        at_alice, at_bob = alice.recording(call), bob.recording(incoming["call"])
    assert heard(at_alice, LOW)
    assert heard(at_bob, HIGH)
    assert not heard(at_bob, LOW)


@interop
def test_pjsip_holds_resumes_and_sends_digits(lab: Lab) -> None:
    needs("pjsua2")
    with pjsip("bob", lab, LOW) as bob, pjsip("alice", lab, HIGH) as alice:
        call = alice.call(bob.uri)
        bob.expect("media")
        alice.expect_state(call, "CONFIRMED")
        alice.dtmf(call, "42")
        digits = [bob.expect("dtmf")["digit"], bob.expect("dtmf")["digit"]]
        alice.expect("media")
        alice.hold(call)
        held = bob.expect("media")
        alice.expect("media")
        alice.reinvite(call)
        resumed = bob.expect("media")
    assert digits == ["4", "2"]
    assert (held["direction"], resumed["direction"]) == (2, 3)


@interop
def test_pjsip_refuses_strangers_both_ways(lab: Lab) -> None:
    needs("pjsua2")
    rogue = lab.issue("rogue", "rogue")
    with (
        pjsip("bob", lab, LOW) as bob,
        pjsip("eve", lab, HIGH, own=rogue) as eve,
        pjsip("mallory", lab, HIGH, own=rogue, trusts="rogue") as mallory,
    ):
        assert eve.expect_state(eve.call(bob.uri), "DISCONNECTED")["status"] == 503
        refused = bob.expect_state(bob.call(mallory.uri), "DISCONNECTED")
        assert refused["status"] == 503
        assert "PJSIP_TLS_ECERTVERIF" in refused["reason"]
        assert not [event for event in bob.events + mallory.events if event["event"] == "incoming"]


@interop
@pytest.mark.parametrize("srtp", ["off", "mandatory"])
@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_pjsip_without_tls(lab: Lab, transport: str, srtp: str) -> None:
    needs("pjsua2")
    settings = PjsipSettings(transport=transport, srtp=srtp, secure_signalling=0)  # type: ignore[arg-type]
    root = lab.directory.parent
    with Pjsip("bob", root / "bob", settings) as bob, Pjsip("alice", root / "alice", settings) as alice:
        call = alice.call(bob.uri)
        alice.expect_state(call, "CONFIRMED")
        assert bool(alice.expect("media")["srtp"]) == (srtp == "mandatory")
        alice.hangup(call)
        alice.expect_state(call, "DISCONNECTED")


@interop
def test_baresip_and_pjsip_call_each_other(lab: Lab) -> None:
    needs("pjsua2", "baresip")
    directory = lab.directory.parent
    tone = write_tone(directory / "low.wav", LOW, 10)
    settings = BaresipSettings(tone, credentials=lab.issue("carol"), ca=lab.ca())
    with pjsip("bob", lab, HIGH) as bob, Baresip("carol", directory / "carol", settings) as carol:
        carol.dial(bob.uri)
        carol.expect("CALL_ESTABLISHED")
        assert bob.expect("media")["srtp"] == "AES_CM_128_HMAC_SHA1_80"
        time.sleep(TALK)
        carol.hangup()
        bob.expect_state(1, "DISCONNECTED")
        assert heard(bob.recording(1), LOW)
        assert heard(carol.recording(), HIGH)
        call = bob.call(carol.uri)
        bob.expect_state(call, "CONFIRMED")
        bob.hangup(call)
        assert carol.expect("CALL_CLOSED")["param"]


SCENARIOS = [
    ("caller", "callee"),
    ("caller_waits", "callee_hangs_up"),
    ("caller_cancel", "callee_rings"),
    ("caller_refused", "callee_busy"),
    ("caller_refused", "callee_unavailable"),
    ("caller_reinvite", "callee_reinvite"),
    ("caller_options", "callee_options"),
]


def outcome(caller: Sipp) -> tuple[int, int]:
    """Calls that succeeded and calls that failed; a busy machine may retransmit, and that is no failure."""
    counts = caller.finish()
    return counts.successful, counts.failed


@interop
@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize(("calls", "answers"), SCENARIOS)
def test_sipp_scenarios_fit_each_other(tmp_path: Path, transport: str, calls: str, answers: str) -> None:
    needs("sipp")
    there = SippSettings(answers, transport)  # type: ignore[arg-type]
    with Sipp("there", tmp_path, there) as callee:
        here = SippSettings(calls, transport, remote_port=callee.port, calls=5, rate=50)  # type: ignore[arg-type]
        with Sipp("here", tmp_path, here) as caller:
            assert outcome(caller) == (5, 0)


@interop
def test_sipp_counts_what_fails(tmp_path: Path) -> None:
    needs("sipp")
    with Sipp("there", tmp_path, SippSettings("callee_busy")) as callee:
        with Sipp("here", tmp_path, SippSettings("caller", remote_port=callee.port, calls=3)) as caller:
            counts = caller.finish()
    assert (counts.successful, counts.failed, counts.unexpected) == (0, 3, 3)


@interop
@pytest.mark.slow
@pytest.mark.parametrize("record_route", [False, True])
def test_a_hundred_calls_through_kamailio_with_mutual_tls_on_both_sides(lab: Lab, record_route: bool) -> None:
    with through_kamailio(lab, lab.issue("caller"), ("caller", "callee"), 100, record_route) as (caller, _):
        assert outcome(caller) == (100, 0)


@interop
@pytest.mark.slow
@pytest.mark.parametrize(
    "pair",
    [
        ("caller_waits", "callee_hangs_up"),
        ("caller_cancel", "callee_rings"),
        ("caller_refused", "callee_busy"),
    ],
)
def test_other_scenarios_through_kamailio(lab: Lab, pair: tuple[str, str]) -> None:
    with through_kamailio(lab, lab.issue("caller"), pair, 20, True) as (caller, _):
        assert outcome(caller) == (20, 0)


@interop
def test_kamailio_refuses_a_rogue_caller(lab: Lab) -> None:
    rogue = lab.issue("rogue", "rogue")
    with through_kamailio(lab, rogue, ("caller", "callee"), 2, False) as (caller, kamailio):
        with pytest.raises(PeerFailed, match="remote peer probably closed the socket"):
            caller.finish()
        assert "certificate verify failed" in kamailio.tail(200)


@contextmanager
def through_kamailio(
    lab: Lab, own: Credentials, pair: tuple[str, str], count: int, record_route: bool
) -> Iterator[tuple[Sipp, Kamailio]]:
    """SIPp, stunnel, Kamailio, stunnel, SIPp; the caller presents ``own``."""
    needs("sipp", "stunnel4", "kamailio")
    root, carrier, behind, proxy = lab.directory.parent, lab.issue("carrier"), free_port(), free_port()
    before = into("callee", behind, lab.issue("callee"), lab.ca())
    front = out("caller", proxy, own, lab.ca(), carrier.name)
    there = SippSettings(pair[1], "tcp", port=behind, says="tls", contact_port=before.accept)
    here = SippSettings(pair[0], "tcp", remote_port=front.accept, says="tls", calls=count, rate=100)
    settings = KamailioSettings(
        before.accept, port=proxy, credentials=carrier, ca=lab.ca(), record_route=record_route
    )
    with (
        Sipp("there", root / "there", there),
        Stunnel("stunnel", root / "stunnel", [before, front]),
        Kamailio("carrier", root / "carrier", settings) as kamailio,
        Sipp("here", root / "here", here) as caller,
    ):
        yield caller, kamailio


def test_a_missing_program_names_its_package() -> None:
    with pytest.raises(MissingProgram, match="no-such-program is missing: apt-get install"):
        find("no-such-program")


def test_a_peer_that_dies_shows_its_log(tmp_path: Path) -> None:
    dying = PeerProcess("dying", tmp_path, ["/bin/sh", "-c", "echo the reason >&2; exit 3"])
    dying.start()
    with pytest.raises(PeerFailed, match=r"(?s)ended with 3 before a port.*the reason"):
        dying.wait_until(lambda: False, 30, "a port")
    dying.stop()


def test_a_stopped_peer_takes_its_children_along(tmp_path: Path) -> None:
    with PeerProcess("parent", tmp_path, ["/bin/sh", "-c", "sleep 60 & echo $!; wait"]) as parent:
        parent.wait_until(lambda: parent.log.read_text().strip() != "", 30, "child")
        child = int(parent.log.read_text())
        assert Path(f"/proc/{child}").exists()
    until(lambda: _is_gone(child), f"{child} no longer runs")


def _is_gone(pid: int) -> bool:
    """Whether a process has ended, though perhaps nobody has taken notice of it yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_tones_are_told_apart(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "tone.wav", LOW, 1.0, level=0.05)
    assert heard(path, LOW)
    assert not heard(path, HIGH)
    assert listen(path, LOW).tone == pytest.approx(1.0)


def test_silence_is_not_heard(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "silence.wav", LOW, 1.0, level=0.0)
    assert listen(path, LOW).sound == 0
    assert not heard(path, LOW)


def test_a_short_tone_is_not_enough(tmp_path: Path) -> None:
    assert not heard(write_tone(tmp_path / "short.wav", LOW, 0.5), LOW)
