"""Contacts of one user that do not take the call: what the caller hears, and who is tried next."""

from __future__ import annotations

from itertools import permutations

import pytest

from sbc.b2bua.commands import DropMedia
from sbc.b2bua.contacts import rank
from tests.playbook.phones import REALM, Phone, stage
from tests.playbook.ringing import ELSEWHERE, stage_of

# What the caller hears where nobody takes the call (RFC 3261 16.7 6)

MIXES = [
    ((486, 480), 480),
    ((480, 486), 480),
    ((486, 404, 500), 404),
    ((404, 415), 415),
    ((486, 420), 420),
    ((484, 403), 484),
    ((403, 407), 403),  # a challenge is for us, and no caller can answer it
    ((500, 486), 486),
    ((503, 486), 486),
    ((503, 500), 500),
    ((503, 503), 500),
    ((504, 503), 504),
    ((503,), 503),
    ((302, 486), 480),
    ((486,), 486),
    ((488, 606), 606),
    ((603, 486), 603),
]


@pytest.mark.parametrize("statuses, expected", MIXES)
def test_the_best_refusal_is_what_the_caller_hears(statuses: tuple[int, ...], expected: int) -> None:
    names = [f"phone{at}" for at in range(len(statuses))]
    for order in permutations(range(len(statuses))):
        stage = stage_of(*names)
        invites = stage.rung(*names)
        for at in order:
            if stage.office.heard:
                break
            stage.peers[names[at]].respond(invites[at], statuses[at], tag=names[at])
            stage.peers[names[at]].hears("ACK")
        stage.office.hears(expected)
        stage.office.hears_nothing()
        stage.ends()


def test_the_order_of_refusals_is_that_of_the_rfc() -> None:
    ordered = [
        603,
        604,
        300,
        302,
        401,
        407,
        415,
        420,
        484,
        400,
        403,
        404,
        408,
        480,
        486,
        488,
        500,
        504,
        580,
        503,
    ]
    assert sorted(reversed(ordered), key=rank) == ordered


def test_600_ends_it_at_once_and_a_late_answer_is_hung_up() -> None:
    stage = stage_of("desk", "soft")
    stage.phone("spare", q=0.5)
    desk, soft = stage.rung("desk", "soft")
    stage.peers["desk"].respond(desk, 603, tag="desk")
    stage.peers["desk"].hears("ACK")
    stage.office.hears(603)
    stage.peers["soft"].hears("CANCEL")
    stage.peers["soft"].respond(soft, 200, tag="soft", body=b"v=0 late")
    stage.peers["soft"].hears("ACK")
    stage.peers["soft"].hears("BYE")
    stage.peers["spare"].hears_nothing()
    stage.ends()


def test_an_answer_after_a_refusal_wins_all_the_same() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["desk"].respond(desk, 486, tag="desk")
    stage.peers["desk"].hears("ACK")
    stage.office.hears_nothing()
    assert DropMedia in [type(each) for each in stage.media]
    stage.talks("soft", soft)
    stage.ends()


# In sequence


def test_a_lower_q_is_tried_when_all_of_the_higher_have_refused() -> None:
    stage = stage_of("desk", "soft")
    stage.phone("spare", q=0.5)
    desk, soft = stage.rung("desk", "soft")
    stage.peers["spare"].hears_nothing()
    for name, invite in (("desk", desk), ("soft", soft)):
        stage.peers[name].respond(invite, 486, tag=name)
        stage.peers[name].hears("ACK")
    spare = stage.peers["spare"].hears_request("INVITE")
    stage.peers["spare"].respond(spare, 180, tag="spare")
    stage.office.hears(180)
    stage.talks("spare", spare)
    stage.ends()


def test_one_by_one_nobody_rings_beside_another() -> None:
    stage = stage_of("desk", "soft", then="route registered one by one")
    stage.calls()
    first = stage.peers["soft"].hears_request("INVITE")  # the newest of one q
    stage.peers["desk"].hears_nothing()
    stage.peers["soft"].respond(first, 486, tag="soft")
    stage.peers["soft"].hears("ACK")
    second = stage.peers["desk"].hears_request("INVITE")
    stage.talks("desk", second)
    stage.ends()


def test_one_that_rings_too_long_is_cancelled_and_the_next_is_tried() -> None:
    stage = stage_of("desk", "soft", then="ring for 10 seconds\nroute registered one by one")
    (soft,) = stage.rung("soft")
    stage.wait(11)
    stage.cancelled("soft", soft)
    desk = stage.peers["desk"].hears_request("INVITE")
    stage.talks("desk", desk)
    stage.ends()


def test_all_ring_too_long_and_the_hop_has_failed_with_timeout() -> None:
    stage = stage_of("desk", "soft", then='ring for 10 seconds\nroute registered then "carrier" on timeout')
    desk, soft = stage.rung("desk", "soft")
    stage.wait(11)
    stage.cancelled("desk", desk)
    stage.cancelled("soft", soft)
    voicemail = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(voicemail, 200, body=b"v=0 leave a message")
    assert stage.office.hears_response(200).body == b"via-sbc v=0 leave a message"
    stage.ends()


@pytest.mark.parametrize(
    "then", ['route registered then "carrier" on 404, 480, timeout', 'route registered then "carrier"']
)
def test_nobody_registered_goes_to_voicemail(then: str) -> None:
    stage = stage_of(then=then)
    stage.calls()
    stage.carrier.hears("INVITE")
    stage.ends()


@pytest.mark.parametrize("user, status", [("bob", 480), ("dave", 404)])
def test_a_user_who_is_not_registered_is_480_and_one_whom_nobody_knows_404(user: str, status: int) -> None:
    stage = stage_of()
    stage.office.request("INVITE", f"sip:{user}@sbc.example", b"v=0 offer")
    stage.office.hears(100)
    stage.office.hears(status)
    stage.ends()


def test_who_calls_its_own_number_rings_its_other_phones() -> None:
    stage = stage_of("desk", "soft")
    desk = stage.peers["desk"]
    desk.request("INVITE", "sip:bob@sbc.example", b"v=0 offer", From="<sip:bob@example.com>;tag=mine")
    desk.hears(100)
    stage.peers["soft"].hears("INVITE")
    desk.hears_nothing()
    stage.ends()


def test_who_calls_its_own_number_does_not_ring_itself_by_another_flow() -> None:
    """RFC 5626 5.3: flows of one instance are one phone, which is busy."""
    stage = stage_of("desk")
    stage.phone("two", instance="<urn:uuid:1>", reg_id=2)
    one = stage.phone("one", instance="<urn:uuid:1>", reg_id=1)
    one.request("INVITE", "sip:bob@sbc.example", b"v=0 offer", From="<sip:bob@example.com>;tag=mine")
    one.hears(100)
    stage.peers["desk"].hears("INVITE")
    one.hears_nothing()
    stage.peers["two"].hears_nothing()
    stage.ends()


def test_who_calls_its_own_number_rings_its_other_phones_behind_the_same_proxy() -> None:
    made = stage(rules='rules: [{name: x, when: auth.user == "alice", then: route registered}]')
    edge = Phone(made, name="edge")
    for number in (1, 2):
        edge.call_id = f"phone-{number}"
        edge.registers(Contact=f"<sip:alice@10.0.0.{number}>", Path="<sip:edge;lr>")
    edge.peer.request("INVITE", f"sip:alice@{REALM}", b"v=0 offer", From=f"<sip:alice@{REALM}>;tag=mine",
                      Contact="<sip:alice@10.0.0.1>", Call_ID="own")  # fmt: skip
    edge.peer.hears(100)
    assert edge.peer.hears_request("INVITE").uri == "sip:alice@10.0.0.2"
    edge.peer.hears_nothing()


def test_whose_connection_is_gone_is_not_tried() -> None:
    stage = stage_of("desk", "soft")
    stage.closes(stage.peers["soft"])
    stage.calls(Supported="100rel")
    desk = stage.peers["desk"].hears_request("INVITE")
    assert "100rel" in desk.headers.values("Supported"), "it is alone"
    stage.talks("desk", desk)
    assert not stage.connects
    stage.ends()


def test_another_flow_of_the_same_phone_is_tried_where_one_is_gone_or_fails() -> None:
    stage = stage_of()
    stage.phone("two", instance="<urn:uuid:1>", reg_id=2)
    stage.phone("one", instance="<urn:uuid:1>", reg_id=1)
    stage.phone("soft", instance="<urn:uuid:2>", reg_id=1)
    stage.calls()
    one = stage.peers["one"].hears_request("INVITE")
    soft = stage.peers["soft"].hears_request("INVITE")
    stage.peers["two"].hears_nothing()  # RFC 5626 5.3: one flow of a phone at a time
    stage.peers["one"].respond(one, 430, tag="edge")
    stage.peers["one"].hears("ACK")
    two = stage.peers["two"].hears_request("INVITE")
    stage.talks("two", two)
    stage.peers["soft"].respond(soft, 180)
    stage.cancelled("soft", soft, ELSEWHERE)
    stage.ends()


def test_a_phone_that_vanishes_before_it_is_heard_fails_alone() -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    desk, _ = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    stage.closes(stage.peers["soft"])
    stage.talks("desk", desk)
    stage.ends()


def test_a_phone_that_rang_and_vanished_may_come_back_and_answer() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.closes(stage.peers["soft"])
    stage.wait(10)
    stage.talks("soft", soft)
    stage.cancelled("desk", desk, ELSEWHERE)
    stage.ends()


def test_a_phone_that_rang_and_is_gone_for_good_is_given_up() -> None:
    stage = stage_of("desk", "soft")
    desk, _ = stage.rung("desk", "soft")
    stage.closes(stage.peers["soft"])
    stage.wait(40)
    stage.peers["desk"].respond(desk, 486, tag="desk")
    stage.office.hears(480)
    stage.ends()


@pytest.mark.parametrize("names", [("desk",), ("desk", "soft")])
def test_a_caller_that_insists_on_what_no_phone_can_have_hears_what_it_is(names: tuple[str, ...]) -> None:
    stage = stage_of(*names)
    stage.calls(Privacy="user;private-ext;critical")
    refused = stage.office.hears_response(500)  # RFC 3323 5, and not 503: nobody is busy
    assert refused.status == 500
    for name in names:
        stage.peers[name].hears_nothing()
    stage.ends()
