"""Early media that its callee has to ask for (RFC 5009); reliable responses from one hop to the next."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia
from sbc.sip.message import Request, Response
from tests.playbook.stage import RULES, SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

EARLY = b"v=0 early"


def ringing(policy: str = "authorized", **headers: str) -> tuple[Stage, Request]:
    """A call to a trunk with this policy; the INVITE as its callee got it."""
    there = Stage(snapshot(RULES, "tls", early_media=policy))
    there.office.invite(SDP, **headers)
    there.office.hears(100)
    return there, there.carrier.hears_request("INVITE")


@pytest.mark.parametrize(
    ("asked", "heard"),
    [
        ("sendrecv", True), ("sendonly", True), ("SendRecv, gated", True), ("inactive", False),
        ("recvonly", False), ("supported", False), ("gated", False), ("", False),
    ],
)  # fmt: skip
def test_it_is_heard_where_the_callee_asks_for_it(asked: str, heard: bool) -> None:
    there, invite = ringing()
    assert invite.headers.get("P-Early-Media") == "supported"
    there.carrier.respond(invite, 183, body=EARLY, **({"P_Early_Media": asked} if asked else {}))
    response = there.office.hears_response(183 if heard else 180)
    assert response.body == (b"via-sbc " + EARLY if heard else b"")
    there.carrier.respond(invite, 200, body=b"" if not heard else EARLY)
    assert there.office.hears_response(200).body == b"via-sbc " + EARLY


def test_what_was_withheld_is_heard_as_soon_as_it_is_asked_for() -> None:
    there, invite = ringing()
    there.carrier.respond(invite, 183, body=EARLY)
    assert not there.office.hears_response(180).body
    there.carrier.respond(invite, 183, P_Early_Media="sendrecv")
    assert there.office.hears_response(183).body == b"via-sbc " + EARLY
    there.carrier.respond(invite, 180)  # says nothing of it: it stays as it is
    there.office.hears(180)
    there.carrier.respond(invite, 183, body=b"v=0 another")
    assert there.office.hears_response(183).body == b"via-sbc v=0 another"


def test_the_caller_s_own_word_is_passed_on_and_other_trunks_get_none() -> None:
    _, invite = ringing(P_Early_Media="supported, gated")
    assert invite.headers.get_all("P-Early-Media") == ["supported, gated"]
    _, invite = ringing("pass")
    assert "P-Early-Media" not in invite.headers


def prack(there: Stage, early: Response, rseq: int, invite: Request, peer: str) -> None:
    """The office acknowledges ``early``; the peer answers what it gets."""
    there.within("office", early, "PRACK", RAck=f"{rseq} 1 INVITE")
    sent = there.peers[peer].hears_request("PRACK")
    assert sent.headers.get("RAck") == f"{rseq} {invite.cseq.number} INVITE"
    there.peers[peer].respond(sent, 200)
    there.office.hears(200)


@pytest.mark.parametrize("status", [503, 404])
def test_each_hop_is_acknowledged_by_its_own_numbers(status: int) -> None:
    """RFC 3262 3, 4: a hop that failed takes its dialog with it; the next one's is another to the caller."""
    rules = RULES.replace("on 503, timeout", "on 404, 503, timeout")
    there = Stage(snapshot(rules))
    there.office.invite(SDP, Supported="100rel")
    first = there.carrier.hears_request("INVITE")
    there.office.hears(100)
    there.carrier.respond(first, 183, body=EARLY, Require="100rel", RSeq="71")
    before = there.office.hears_response(183)
    prack(there, before, 71, first, "carrier")
    there.carrier.respond(first, status)
    there.carrier.hears("ACK")
    second = there.backup.hears_request("INVITE")
    assert "100rel" in (second.headers.get("Supported") or "")
    there.backup.respond(second, 183, tag="next", body=b"v=0 next", Require="100rel", RSeq="5")
    after = there.office.hears_response(183)
    assert after.to_tag != before.to_tag and after.headers.get("RSeq") == "5"
    assert after.body == b"via-sbc v=0 next"
    there.within("office", before, "PRACK", RAck="71 1 INVITE")  # late, of a dialog that is gone
    there.office.hears(481)
    prack(there, after, 5, second, "backup")
    there.backup.respond(second, 200, tag="next")
    answer = there.office.hears_response(200)
    assert not answer.body  # all was agreed before (RFC 3262 5)
    there.within("office", answer, "ACK", CSeq="1 ACK")
    there.backup.hears("ACK")
    offers = [each for each in there.media if isinstance(each, OfferMedia)]
    answers = [each for each in there.media if isinstance(each, AnswerMedia)]
    assert [each.restart for each in offers] == [False, True]
    assert [each.sdp for each in answers] == [EARLY, b"v=0 next"]
    there.within("office", answer, "BYE")
    there.backup.respond(there.backup.hears("BYE"), 200)
    there.office.hears(200)


def test_a_prack_under_way_when_its_hop_fails_is_answered() -> None:
    there = Stage()
    there.office.invite(SDP, Supported="100rel")
    first = there.carrier.hears_request("INVITE")
    there.office.hears(100)
    there.carrier.respond(first, 183, body=EARLY, Require="100rel", RSeq="1")
    early = there.office.hears_response(183)
    there.within("office", early, "PRACK", RAck="1 1 INVITE")
    late = there.carrier.hears_request("PRACK")
    there.carrier.respond(first, 503)
    there.carrier.hears("ACK")
    assert there.office.hears_response(487).cseq.method == "PRACK"
    second = there.backup.hears_request("INVITE")
    there.carrier.respond(late, 200)
    there.office.hears_nothing()
    there.backup.respond(second, 603)
    there.office.hears(603)
    nothing_is_left(there)


def test_we_acknowledge_each_hop_for_a_caller_that_cannot() -> None:
    there = Stage()
    there.office.invite(SDP)
    first = there.carrier.hears_request("INVITE")
    there.office.hears(100)
    there.carrier.respond(first, 183, body=EARLY, Require="100rel", RSeq="71")
    there.carrier.respond(there.carrier.hears("PRACK"), 200)
    there.office.hears(183)
    there.carrier.respond(first, 503)
    there.carrier.hears("ACK")
    second = there.backup.hears_request("INVITE")
    there.backup.respond(second, 183, tag="next", body=b"v=0 next", Require="100rel", RSeq="5")
    acknowledged = there.backup.hears_request("PRACK")
    assert acknowledged.headers.get("RAck") == f"5 {second.cseq.number} INVITE"
    there.backup.respond(acknowledged, 200)
    assert there.office.hears_response(183).body == b"via-sbc v=0 next"
    there.backup.respond(second, 200, tag="next")
    assert there.office.hears_response(200).body == b"via-sbc v=0 next"
