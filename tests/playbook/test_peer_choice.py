"""How long a trunk's peers are waited for, how they rest, and how they share its calls (RFC 3263 4.3)."""

from __future__ import annotations

from tests.playbook.servers import FIRST, ONLY_CARRIER, probe, staged
from tests.playbook.stage import Peer, Stage, snapshot


def another_call(stage: Stage, number: int) -> None:
    stage.office.heard.clear()
    stage.office.invite(Call_ID=f"call-{number}")


# How long a peer has


def test_a_peer_has_its_own_time_for_the_first_response() -> None:
    stage, second = staged(first={"try_for": "4s"})
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    stage.wait(3.9)
    second.hears_nothing()
    stage.wait(0.2)
    invite = second.hears_request("INVITE")
    stage.carrier.respond(first, 183)
    cancel = stage.carrier.hears_request("CANCEL")
    assert cancel.via.branch == first.via.branch, "a late provisional response"
    stage.carrier.respond(first, 200, body=b"v=0 late")
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.wait(20)
    second.hears_nothing()
    second.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.office.hears_response(200)


def test_a_100_is_a_first_response() -> None:
    stage, second = staged(first={"try_for": "4s"})
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 100)
    stage.wait(30)
    second.hears_nothing()


def test_the_time_of_a_peer_begins_before_its_connection_and_a_late_connection_is_none_of_the_calls() -> None:
    stage, second = staged(first={"try_for": "2s"})
    stage.dialling = []
    stage.office.invite()
    (late,) = stage.dialling
    stage.dialling = None
    stage.wait(1.9)
    second.hears_nothing()
    stage.wait(0.2)
    invite = second.hears_request("INVITE")
    stage.carry_out(stage.dialled(late))
    stage.carrier.hears_nothing()
    second.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    second.hears("ACK")


def test_a_connection_that_fails_late_fails_nobody_elses_try() -> None:
    stage, second = staged(first={"try_for": "2s"})
    stage.dialling = []
    stage.office.invite()
    (late,) = stage.dialling
    stage.dialling = None
    stage.wait(2.1)
    second.hears("INVITE")
    stage.refusing.add(FIRST)
    stage.carry_out(stage.dialled(late))
    second.hears_nothing()
    stage.backup.hears_nothing()


def test_a_peer_that_asks_for_a_longer_session_has_its_own_time_again() -> None:
    stage, second = staged(first={"try_for": "4s"}, session_timer={"expires": 1800})
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 422, Min_SE="3600")
    stage.carrier.hears("ACK")
    stage.carrier.hears("INVITE")
    stage.wait(3.9)
    second.hears_nothing()
    stage.wait(0.2)
    second.hears("INVITE")


def test_the_last_peers_time_ends_with_the_rules_next_hop() -> None:
    stage, second = staged(second={"try_for": "1s"})
    stage.office.invite()
    rested(stage, stage.carrier, "60")
    second.hears("INVITE")
    stage.wait(1.1)
    stage.backup.hears("INVITE")
    assert [note.fields["on"] for note in stage.noted("failover")] == [503, "timeout"]


def test_a_call_that_the_caller_gives_up_while_a_peer_is_dialled_tries_no_other() -> None:
    stage, second = staged(first={"try_for": "2s"})
    stage.dialling = []
    stage.office.invite()
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
                         CSeq=f"{stage.cseq} CANCEL")  # fmt: skip
    stage.wait(5)
    assert len(stage.dialling) == 1 and not stage.engine.calls
    second.hears_nothing()


# Rest


def rested(stage: Stage, peer: Peer, seconds: str) -> None:
    """``peer`` asks for a rest instead of taking the call."""
    peer.respond(peer.hears("INVITE"), 503, Retry_After=seconds)
    peer.hears("ACK")


def test_a_peer_that_asks_for_a_rest_gets_no_call_until_it_is_over() -> None:
    stage, second = staged(rules=ONLY_CARRIER)
    stage.office.invite()
    rested(stage, stage.carrier, "60")
    second.respond(second.hears("INVITE"), 486)
    second.hears("ACK")
    stage.office.hears(100)
    stage.office.hears(486)
    another_call(stage, 1)
    stage.carrier.hears_nothing()
    second.respond(second.hears("INVITE"), 503)
    second.hears("ACK")
    stage.carrier.hears_nothing()
    stage.office.hears(100)
    stage.office.hears(503)
    stage.wait(61)
    another_call(stage, 2)
    stage.carrier.hears("INVITE")
    (told,) = stage.noted("peer-rests")
    assert (told.fields["peer"], told.fields["seconds"]) == (str(FIRST), "60")


def test_nobody_rests_longer_than_five_minutes() -> None:
    stage, second = staged()
    stage.office.invite()
    rested(stage, stage.carrier, "86400")
    second.hears("INVITE")
    stage.wait(301)
    another_call(stage, 1)
    stage.carrier.hears("INVITE")


def test_where_all_peers_rest_the_next_hop_is_tried_at_once() -> None:
    stage, second = staged(limits={"cps": 1})
    stage.office.invite()
    rested(stage, stage.carrier, "60")
    rested(stage, second, "60")
    stage.backup.hears("INVITE")
    connects = len(stage.connects)
    stage.wait(2)
    another_call(stage, 1)
    stage.backup.hears("INVITE")
    assert len(stage.connects) == connects + 1, "nobody else was dialled"
    stage.carrier.hears_nothing()
    second.hears_nothing()
    (refused,) = stage.noted("hop-refused")
    assert f"{FIRST}: rests for 58 s more: 503 Service Unavailable" in str(refused.fields["reason"])
    assert stage.noted("failover")[-1].fields == {"to": "backup", "on": 503}
    assert stage.engine.limits.calls("carrier") == 0


def test_where_all_peers_rest_and_there_is_no_other_hop_the_caller_gets_503_at_once() -> None:
    stage, second = staged(rules=ONLY_CARRIER)
    stage.office.invite()
    rested(stage, stage.carrier, "60")
    rested(stage, second, "60")
    stage.office.hears(100)
    assert stage.office.hears_response(503).headers.get("Retry-After") is None
    another_call(stage, 1)
    stage.office.hears(100)
    assert stage.office.hears_response(503).headers.get("Retry-After") is None, "we are not the busy one"
    assert not stage.engine.calls


def test_one_that_is_down_and_one_that_rests_are_no_peer_to_try() -> None:
    stage, second = staged(options={"every": 10, "down_after": 1})
    probe(stage, carrier=503, second=200)
    stage.backup.heard.clear()
    stage.office.invite()
    rested(stage, second, "60")
    stage.backup.hears("INVITE")
    another_call(stage, 1)
    stage.backup.hears("INVITE")
    stage.carrier.hears_nothing()
    second.hears_nothing()


def test_a_503_without_a_time_is_about_one_call_and_the_only_peer_is_asked_again() -> None:
    stage = Stage(snapshot(rules=ONLY_CARRIER))
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 503)
    stage.carrier.hears("ACK")
    another_call(stage, 1)
    stage.carrier.hears("INVITE")


def test_a_call_that_is_up_goes_on_with_a_peer_that_rests() -> None:
    stage, second = staged(rules=ONLY_CARRIER)
    _, heard = stage.established()
    stage.office.invite(Call_ID="another")
    rested(stage, stage.carrier, "60")
    second.hears("INVITE")
    stage.within("office", heard, "BYE")
    stage.carrier.hears("BYE")


# Priority and weight


def test_the_peer_of_the_lowest_priority_is_tried_first() -> None:
    stage, second = staged(first={"priority": 20}, second={"priority": 10})
    stage.office.invite()
    second.respond(second.hears("INVITE"), 503)
    second.hears("ACK")
    stage.carrier.hears("INVITE")


def test_peers_of_one_priority_share_the_calls() -> None:
    share = {"priority": 1}
    stage, second = staged(first={**share, "weight": 2}, second={**share, "weight": 1})
    for number in range(6):
        another_call(stage, number)
    assert (len(stage.carrier.heard), len(second.heard)) == (4, 2)
