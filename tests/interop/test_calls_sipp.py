"""PJSIP with TLS and SRTP on one side, SIPp with UDP and RTP on the other, and a network that loses.

SIPp returns every RTP packet to its sender (``-rtp_echo``). PJSIP then hears its own tone, which
has gone through the SBC in both directions: as SRTP to RTP and as RTP to SRTP.
"""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.interop.lossy import LosesFirstCopies
from tests.interop.rig import (
    SBC,
    Far,
    Rig,
    assert_hidden,
    assert_media,
    assert_secure,
    hears_lately,
    identity_of,
    messages,
    talk,
)
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.tone import heard

pytestmark = pytest.mark.interop

HIGH = 1000.0
ALICE, THERE = "127.0.0.2", "127.0.0.5"


def plain(port: int, address: str = THERE) -> Far:
    """SIPp's trunk: UDP, no SRTP."""
    return Far("sipp", port, address, "udp", "off")


def traced(sipp: Sipp, received: bool) -> str:
    """The messages that SIPp received, or sent."""
    word = "received" if received else "sent"
    text = sipp.messages.read_text(errors="replace")
    parts = re.split(r"^-{20,} .*$", text, flags=re.MULTILINE)
    return "\n".join(part for part in parts if re.search(rf"^\S+ message {word} ", part, re.MULTILINE))


def identity_of_sipp(sipp: Sipp) -> dict[str, str]:
    """What PJSIP may not learn of SIPp."""
    sent = traced(sipp, received=False)
    tags = re.findall(r";tag=(\d+SIPpTag\w+)", sent)
    call_ids = re.findall(r"^Call-ID: (\S+)", sent, re.MULTILINE)
    secrets = {"address": sipp.settings.address, "port": f":{sipp.port}", "media": f"audio {sipp.media_port}"}
    return secrets | {"tag": tags[0]} | ({"Call-ID": call_ids[0]} if sipp.is_caller else {})


def assert_plain(leg: dict[str, Any], packets: int) -> None:
    """SIPp's leg: no TLS, no SRTP, media both ways."""
    assert (leg["trunk"], leg["transport"], leg["tls"]) == ("sipp", "udp", None)
    assert leg["media"]["srtp"] == ""
    assert_media(leg["media"], packets)


def assert_nothing_leaks(alice: Pjsip, sipp: Sipp) -> None:
    """Neither received anything of the other."""
    assert_hidden(traced(sipp, received=True), identity_of(messages(alice, "TX"), alice))
    assert_hidden(messages(alice, "RX"), identity_of_sipp(sipp))


def test_pjsip_over_tls_and_srtp_calls_sipp_over_udp_and_rtp(tmp_path: Path) -> None:
    needs("pjsua2", "sipp")
    rig = Rig(tmp_path)
    alice = rig.pjsip("alice", ALICE, HIGH)
    sipp = Sipp("sipp", tmp_path / "sipp", SippSettings("callee", address=THERE, echo=True, trace=True))
    with rig.running(Far("alice", alice.port, ALICE), plain(sipp.port), alice, sipp):
        call = alice.call(rig.number())
        alice.expect_state(call, "CONFIRMED")
        talk((alice, call))
        alice.hangup(call)
        alice.expect_state(call, "DISCONNECTED")
        record = rig.record()
        assert heard(alice.recording(call), HIGH)
        assert_nothing_leaks(alice, sipp)
        assert any("[sips-downgrade]" in line for line in rig.log())
    assert record["downgraded"]
    assert_secure(record["a"], "alice")
    assert_plain(record["b"], 60)


def test_sipp_over_udp_and_rtp_calls_pjsip_over_tls_and_srtp(tmp_path: Path) -> None:
    """SIPp sends a re-INVITE after 1.5 s and hangs up after as much again; the tone goes on all the time."""
    needs("pjsua2", "sipp")
    rig = Rig(tmp_path)
    alice = rig.pjsip("alice", ALICE, HIGH)
    settings = SippSettings(
        "caller_reinvite", address=THERE, remote_port=rig.udp, hold=1500, echo=True, trace=True
    )
    sipp = Sipp("sipp", tmp_path / "sipp", settings)
    with rig.running(plain(sipp.port), Far("alice", alice.port, ALICE), alice, sipp):
        call = alice.expect("incoming")["call"]
        assert alice.expect("media", call=call)["srtp"]
        assert alice.expect("media", seconds=8, call=call)["srtp"]
        alice.expect_state(call, "DISCONNECTED", seconds=8)
        counts = sipp.finish()
        assert (counts.successful, counts.failed, counts.unexpected) == (1, 0, 0)
        record = rig.record()
        assert heard(alice.recording(call), HIGH)
        assert hears_lately(alice.recording(call), HIGH)
        assert_nothing_leaks(alice, sipp)
    assert not record["downgraded"]
    assert_plain(record["a"], 100)
    assert_secure(record["b"], "alice")


@pytest.mark.parametrize(
    ("caller", "callee", "status"),
    [("caller_cancel", "callee_rings", 487), ("caller_refused", "callee_busy", 486)],
)
def test_sipp_cancels_and_is_refused(tmp_path: Path, caller: str, callee: str, status: int) -> None:
    needs("sipp")
    there, here, record = through_the_sbc(tmp_path, caller, callee, lossy=False)
    assert (here.counts().successful, here.counts().failed) == (1, 0)
    assert (record["status"], record["answered"]) == (status, None)
    assert there.counts().unexpected == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("caller", "callee", "status"),
    [
        ("caller", "callee", 200),
        ("caller_waits", "callee_hangs_up", 200),
        ("caller_refused", "callee_busy", 486),
    ],
)
def test_a_call_survives_the_loss_of_every_message(
    tmp_path: Path, caller: str, callee: str, status: int
) -> None:
    """Each datagram arrives on its second try only; the log stays clean and the call is one call."""
    needs("sipp")
    _, here, record = through_the_sbc(tmp_path, caller, callee, lossy=True)
    assert (here.counts().successful, here.counts().failed) == (1, 0)
    assert here.counts().retransmissions
    assert record["status"] == status


def through_the_sbc(
    tmp_path: Path, caller: str, callee: str, lossy: bool
) -> tuple[Sipp, Sipp, dict[str, Any]]:
    """One call from SIPp to SIPp over UDP: the callee, the caller, the record of the call."""
    rig = Rig(tmp_path)
    there = Sipp("there", tmp_path / "there", SippSettings(callee, address=THERE))
    with ExitStack() as stack:
        into_sbc, to_there = rig.udp, there.port
        if lossy:
            into_sbc = stack.enter_context(LosesFirstCopies(SBC, rig.udp)).port
            to_there = stack.enter_context(LosesFirstCopies(THERE, there.port)).port
        settings = SippSettings(caller, port=free_port(), remote_port=into_sbc, hold=200)
        here = Sipp("here", tmp_path / "here", settings)
        far = Far("there", to_there, THERE, "udp", "off")
        stack.enter_context(rig.running(plain(here.port, SBC), far, there))
        with here:
            here.finish()
            record = rig.record()
    return there, here, record
