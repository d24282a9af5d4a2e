"""Q.850 causes and SIP statuses, for trunks that read or write them (RFC 3398, RFC 6432)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.config.model import Trunk
from sbc.sip.headers import Headers
from sbc.sip.q850 import cause_for, cause_of, status_of
from tests.playbook.stage import SDP, Stage, snapshot

BUSY = 'Q.850;cause=17;text="User busy"'


def spoken(office: str = "pass", carrier: str = "pass") -> Stage:
    """A stage whose trunks have these words for `q850`; the carrier's has two peers."""
    found = snapshot()
    two = ["carrier.example:5061", "carrier2.example:5061"]
    words = {"office": office, "carrier": carrier}
    trunks = {
        name: each.model_copy(update={"q850": words.get(name, "pass")}) for name, each in found.trunks.items()
    }
    trunks["carrier"] = Trunk.model_validate(
        {
            "trunk": "carrier",
            "listener": "main",
            "peers": two,
            "sources": ["198.51.100.0/24"],
            "q850": carrier,
        }
    )
    return Stage(replace(found, trunks=trunks))


def refused(stage: Stage, status: int, reason: str = "") -> None:
    """The carrier refuses a call of the office."""
    stage.office.invite(SDP)
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    if reason:
        stage.carrier.respond(invite, status, Reason=reason)
    else:
        stage.carrier.respond(invite, status)
    stage.carrier.hears("ACK")


@pytest.mark.parametrize(
    ("status", "reason", "becomes"),
    [
        (503, BUSY, 486),
        (500, "Q.850;cause=1", 404),
        (480, 'SIP;cause=480, Q.850;text="x";cause=28', 484),
        (480, "q.850 ;cause=021", 403),
        (486, BUSY, 486),
        (404, "Q.850;cause=31", 404),
        (404, "Q.850;cause=none", 404),
        (404, "SIP;cause=486", 404),
        (603, BUSY, 603),
    ],
)
def test_a_failure_takes_the_status_of_its_cause(status: int, reason: str, becomes: int) -> None:
    stage = spoken(carrier="read")
    refused(stage, status, reason)
    heard = stage.office.hears_response(becomes)
    assert heard.headers.get("Reason") == reason, "it crosses all the same"
    stage.peers["carrier2"].hears_nothing()
    assert len(stage.noted("cause-read")) == (becomes != status)


@pytest.mark.parametrize(
    ("word", "tried"), [("pass", True), ("write", True), ("read", False), ("both", False)]
)
def test_a_busy_telephone_behind_a_503_is_not_tried_at_the_next_peer(word: str, tried: bool) -> None:
    stage = spoken(carrier=word)
    refused(stage, 503, BUSY)
    assert bool(stage.peers["carrier2"].heard) is tried


def test_a_failure_of_the_network_leads_to_the_next_peer_whatever_its_status() -> None:
    stage = spoken(carrier="read")
    refused(stage, 480, "Q.850;cause=34")
    stage.peers["carrier2"].hears_request("INVITE")


@pytest.mark.parametrize(
    ("status", "reason", "heard"),
    [
        (486, "", BUSY), (404, "", 'Q.850;cause=1;text="Unallocated number"'),
        (603, "", 'Q.850;cause=21;text="Call rejected"'), (486, "Q.850;cause=16", "Q.850;cause=16"),
        (499, "", 'Q.850;cause=31;text="Normal, unspecified"'),
    ],
)  # fmt: skip
def test_a_refusal_bears_a_cause(status: int, reason: str, heard: str) -> None:
    for word in ("write", "both"):
        stage = spoken(office=word)
        refused(stage, status, reason)
        assert stage.office.hears_response(status).headers.get_all("Reason") == [heard]
    stage = spoken()
    refused(stage, status, reason)
    assert stage.office.hears_response(status).headers.get("Reason") == (reason or None)


def test_a_cause_stands_beside_what_sip_says() -> None:
    stage = spoken(office="write")
    refused(stage, 486, "SIP;cause=486")
    assert stage.office.hears_response(486).headers.get_all("Reason") == ["SIP;cause=486", BUSY]


def test_our_own_refusal_has_one() -> None:
    stage = spoken(office="write")
    stage.dead = {"carrier", "backup"}
    stage.office.invite(SDP)
    stage.office.hears(100)
    assert cause_of(stage.office.hears_response(503).headers) == 41


def test_a_cancel_and_its_487_have_one() -> None:
    stage = spoken(office="write", carrier="write")
    stage.office.invite(SDP)
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.hears(180)
    stage.office.request("CANCEL", CSeq=f"{stage.cseq} CANCEL", Via=via(stage))
    assert cause_of(stage.carrier.hears_request("CANCEL").headers) == 16
    stage.office.hears(200)
    assert cause_of(stage.office.hears_response(487).headers) == 16


def via(stage: Stage) -> str:
    """The Via of the office's last request."""
    return f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"


@pytest.mark.parametrize(("reason", "cause"), [("", 16), ("Q.850;cause=102", 102), ("SIP;cause=200", 16)])
def test_a_hangup_has_one(reason: str, cause: int) -> None:
    stage = spoken(carrier="write")
    _, answer = stage.established()
    stage.within("office", answer, "BYE", Reason=reason)
    assert cause_of(stage.carrier.hears_request("BYE").headers) == cause


def test_every_status_has_a_cause_that_means_it_and_no_cause_is_lost() -> None:
    """RFC 3398: back and forth what is said stays a refusal of the same kind."""
    for cause in (1, 17, 18, 21, 22, 28, 38, 41, 65, 79, 102):
        found = status_of(cause)
        assert found is not None and cause_for(found[0]) in range(1, 128)
    assert [cause_for(status) for status in (486, 404, 408, 480, 503)] == [17, 1, 102, 18, 41]
    assert status_of(16) is status_of(31) is status_of(127) is None


@pytest.mark.parametrize(
    "value", ["Q.850", "Q.850;cause", 'Q.850;cause="17', "Q.850;cause=99999999999", ";;"]
)
def test_what_is_no_cause(value: str) -> None:
    assert cause_of(Headers([("Reason", value)])) is None
