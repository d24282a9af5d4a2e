"""An INVITE with Replaces: its caller takes the place of one side of another call (RFC 3891)."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.sip.message import Request, Response
from tests.playbook.stage import SDP, Stage
from tests.playbook.transfers import called, nothing_left, records, says, transferring

RULES = """
rules:
  - name: never premium
    when: to.user starts with "+1900"
    then: reject 403
  - name: out
    when: trunk == "office"
    then: route "carrier"
  - name: in
    when: trunk == "backup"
    then: |
      {taken}
"""
OFFICE = 'route "office"'


class Taken:
    """The office talks to the carrier, in whose place the backup asks to be put."""

    def __init__(
        self, word: str = "perform", taken: str = OFFICE, stage: Stage | None = None, **options: Any
    ) -> None:
        rules = RULES.format(taken=taken.replace("\n", "\n      "))
        words = {"backup": word, "carrier": "pass", "office": options.pop("office", "refuse")}
        self.stage = stage or Stage(transferring(rules, options, **words))
        self.invite, self.answer = called(self.stage)

    def by_the_replaced(self) -> str:
        """The dialog as the one who is to be replaced names it to somebody: with its peer, which are we."""
        return f"{self.invite.call_id};to-tag={self.invite.from_tag};from-tag=callee"

    def by_who_stays(self) -> str:
        """As the one who stays would be asked to replace it."""
        return f"call-of-office;to-tag=call-of-office;from-tag={self.answer.to_tag}"

    def asks(self, replaces: str = "", body: bytes = SDP, **headers: Any) -> None:
        """The backup calls."""
        self.stage.backup.invite(
            body, Replaces=replaces or self.by_the_replaced(), Require="replaces", Call_ID="taking", **headers
        )
        self.stage.backup.hears(100)

    def acknowledges(self, answer: Response, body: bytes = b"") -> None:
        """The backup has the answer."""
        self.stage.within("backup", answer, "ACK", body, Call_ID="taking")


@pytest.mark.parametrize("named", ["by the replaced", "by who stays"])
def test_the_caller_takes_the_place_of_one_side(named: str) -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks(taken.by_the_replaced() if named == "by the replaced" else taken.by_who_stays())
    again = stage.office.hears_request("INVITE")
    assert (again.call_id, again.body) == ("call-of-office", b"via-sbc v=0 offer")
    stage.carrier.hears_nothing()
    stage.office.respond(again, 200, body=b"v=0 stays")
    bye = stage.carrier.hears_request("BYE")
    stage.carrier.respond(bye, 200)
    answer = stage.backup.hears_response(200)
    assert answer.body == b"via-sbc v=0 stays"
    stage.office.hears_nothing()
    taken.acknowledges(answer)
    stage.office.hears("ACK")
    says(stage, taken.answer, "INFO")
    stage.backup.respond(stage.backup.hears("INFO"), 200)
    stage.office.hears(200)
    says(stage, taken.answer, "BYE")
    stage.office.hears(200)
    stage.backup.hears("BYE")
    first, second = records(stage)
    assert (first["status"], first["reason"], first["ended_by"]) == (200, "replaced", "callee")
    assert (second["status"], second["a"]["trunk"], second["b"]["trunk"]) == (200, "backup", "office")
    assert second["rule"].startswith("in (")
    nothing_left(stage)


def test_whoever_stays_may_make_the_offer() -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks(body=b"")
    again = stage.office.hears_request("INVITE")
    assert not again.body
    stage.office.respond(again, 200, body=b"v=0 its own")
    answer = stage.backup.hears_response(200)
    assert answer.body == b"via-sbc v=0 its own"
    taken.acknowledges(answer, b"v=0 answers it")
    assert stage.office.hears_request("ACK").body == b"via-sbc v=0 answers it"
    stage.carrier.hears("BYE")


@pytest.mark.parametrize(
    ("replaces", "status"),
    [
        ("nobody;to-tag=a;from-tag=b", 481),
        ("nobody;to-tag=a", 400),
        ("{};early-only", 486),
    ],
)
def test_what_cannot_be_replaced_is_refused(replaces: str, status: int) -> None:
    taken = Taken()
    taken.asks(replaces.format(taken.by_the_replaced()))
    taken.stage.backup.hears(status)
    taken.stage.office.hears_nothing()
    assert len(taken.stage.engine.calls) == 1


def test_where_transfers_are_refused_it_is_an_unknown_extension() -> None:
    taken = Taken("refuse")
    taken.asks()
    assert taken.stage.backup.hears_response(420).headers.get("Unsupported") == "replaces"


def test_nobody_is_replaced_on_a_trunk_that_refuses_transfers() -> None:
    taken = Taken()
    ours = f"call-of-office;to-tag={taken.answer.to_tag};from-tag=call-of-office"
    taken.asks(ours)  # the office is the one who would be replaced
    taken.stage.backup.hears(403)
    taken.stage.carrier.hears_nothing()


@pytest.mark.parametrize(("rule", "status"), [('reject 603 "No"', 603), ('route "carrier"', 403)])
def test_the_rules_judge_it_and_have_to_lead_to_who_stays(rule: str, status: int) -> None:
    taken = Taken(taken=rule)
    taken.asks()
    taken.stage.backup.hears(status)
    taken.stage.office.hears_nothing()
    says(taken.stage, taken.answer, "INFO")
    taken.stage.carrier.hears("INFO")


def test_what_the_rules_demand_of_it_holds() -> None:
    taken = Taken(taken='forbid downgrade\nrequire srtp\nroute "office"')
    taken.asks()
    taken.stage.office.hears("INVITE")
    assert [each.theirs.srtp for each in taken.stage.media if hasattr(each, "theirs")][-1] == "required"


@pytest.mark.parametrize("status", [488, 491])
def test_a_refusal_leaves_the_call_as_it_was(status: int) -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks()
    stage.office.respond(stage.office.hears("INVITE"), status)
    stage.office.hears("ACK")
    if status == 491:
        stage.wait(5)
        stage.office.respond(stage.office.hears("INVITE"), 200, body=b"v=0 stays")
        stage.backup.hears(200)
        stage.carrier.hears("BYE")
        return
    stage.backup.hears(status)
    says(stage, taken.answer, "INFO")
    stage.carrier.hears("INFO")
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup")] == [1, 1, 0]


def test_the_caller_may_give_up() -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks()
    again = stage.office.hears_request("INVITE")
    stage.office.respond(again, 180)
    number = stage.cseq
    via = f"SIP/2.0/TLS backup.example;branch=z9hG4bK-backup-{number}"
    stage.backup.request("CANCEL", Via=via, CSeq=f"{number} CANCEL", Call_ID="taking")
    stage.backup.hears(200)
    stage.backup.hears(487)
    stage.office.respond(stage.office.hears("CANCEL"), 200)
    stage.office.respond(again, 487)
    stage.office.hears("ACK")
    says(stage, taken.answer, "INFO")
    stage.carrier.hears("INFO")


@pytest.mark.parametrize("who", ["stays", "is replaced"])
def test_the_call_may_end_before(who: str) -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks()
    stage.office.hears("INVITE")
    if who == "stays":
        says(stage, taken.answer, "BYE")
        stage.office.hears(200)
        stage.carrier.hears("BYE")
    else:
        stage.from_callee(taken.invite, "BYE")
        stage.carrier.hears(200)
        stage.office.hears("BYE")
    stage.backup.hears(480)
    nothing_left(stage)


def test_a_party_that_is_gone_ends_both() -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks()
    stage.office.hears("INVITE")
    stage.wait(40)
    stage.backup.hears(408)
    stage.carrier.hears("BYE")
    nothing_left(stage)


def test_media_that_must_not_be_used_ends_both() -> None:
    taken = Taken()
    stage = taken.stage
    taken.asks()
    stage.office.respond(stage.office.hears("INVITE"), 200, body=b"unusable")
    stage.office.hears("ACK")
    stage.backup.hears(488)
    stage.carrier.hears("BYE")
    nothing_left(stage)


def test_one_at_a_time() -> None:
    taken = Taken()
    taken.asks()
    taken.stage.backup.invite(Replaces=taken.by_the_replaced(), Call_ID="second")
    taken.stage.backup.hears(100)
    taken.stage.backup.hears(491)


# Passed on


def test_it_is_passed_on_with_the_dialog_as_who_stays_knows_it() -> None:
    taken = Taken("pass")
    stage = taken.stage
    taken.asks()
    passed = stage.office.hears_request("INVITE")
    assert passed.call_id not in ("call-of-office", "taking") and not passed.to_tag
    assert passed.headers.get("Replaces") == taken.by_who_stays()
    assert passed.headers.values("Require") == ["replaces"]
    stage.office.respond(passed, 200, "new", b"v=0 answer")
    answer = stage.backup.hears_response(200)
    taken.acknowledges(answer)
    stage.office.hears("ACK")
    says(stage, taken.answer, "BYE")  # as RFC 3891 3 has it
    stage.office.hears(200)
    stage.carrier.hears("BYE")
    assert len(stage.engine.calls) == 1


def test_it_is_passed_on_to_nobody_else() -> None:
    taken = Taken("pass", taken='route "carrier"')
    taken.asks()
    taken.stage.backup.hears(403)
    taken.stage.carrier.hears_nothing()


# An attended transfer


class Attended:
    """The office talks to the carrier and to the backup, and connects the two."""

    def __init__(self, stage: Stage | None = None, **words: Any) -> None:
        rules = """
rules:
  - name: never premium
    when: to.user starts with "+1900"
    then: reject 403
  - name: backup
    when: trunk == "office" and to.user == "+12125550177"
    then: route "backup"
  - name: out
    when: trunk == "office"
    then: route "carrier"
"""
        self.stage = stage = stage or Stage(transferring(rules, **{"office": "perform", **words}))
        self.invite, self.answer = called(stage)
        fields: dict[str, Any] = {"Call_ID": "consults", "From": "<sip:alice@office.example>;tag=consults"}
        stage.office.request("INVITE", "sip:+12125550177@sbc.example", SDP, **fields)
        stage.office.hears(100)
        self.consulted = stage.backup.hears_request("INVITE")
        stage.backup.respond(self.consulted, 200, "target", b"v=0 target")
        self.second = stage.office.hears_response(200)
        stage.within("office", self.second, "ACK", **fields)
        stage.backup.hears("ACK")

    def refers(self, user: str = "+12125550177", replaces: str = "") -> None:
        """The office lets the one take its own place with the other."""
        named = replaces or f"consults%3Bto-tag%3D{self.second.to_tag}%3Bfrom-tag%3Dconsults"
        says(self.stage, self.answer, "REFER", Refer_To=f"<sip:{user}@sbc.example?Replaces={named}>")

    def accepted(self) -> None:
        """It is tried."""
        self.stage.office.hears(202)
        self.told(100)

    def told(self, status: int) -> None:
        """The office is told so."""
        notify = self.stage.office.hears_request("NOTIFY")
        assert notify.body.startswith(b"SIP/2.0 %d " % status), notify.body
        self.stage.office.respond(notify, 200)


def test_the_two_are_connected_who_were_called_one_after_the_other() -> None:
    attended = Attended()
    stage = attended.stage
    attended.refers()
    attended.accepted()
    first = stage.backup.hears_request("INVITE")
    assert (first.call_id, first.body) == (attended.consulted.call_id, b"via-sbc v=0 answer")
    stage.backup.respond(first, 200, body=b"v=0 joined")
    stage.backup.hears("ACK")
    second = stage.carrier.hears_request("INVITE")
    assert (second.call_id, second.body) == (attended.invite.call_id, b"via-sbc v=0 joined")
    replaced = stage.office.hears_request("BYE")
    assert replaced.call_id == "consults"
    stage.office.respond(replaced, 200)
    stage.carrier.respond(second, 200, body=b"v=0 joined too")
    stage.carrier.hears("ACK")
    attended.told(200)
    assert stage.office.hears_request("BYE").call_id == "call-of-office"
    stage.from_callee(attended.invite, "INFO")
    stage.backup.respond(stage.backup.hears("INFO"), 200)
    stage.carrier.hears(200)
    stage.from_callee(attended.invite, "BYE")
    stage.carrier.hears(200)
    stage.backup.hears("BYE")
    assert [each["reason"] for each in records(stage)] == ["replaced", "transferred", "normal"]
    last = records(stage)[2]
    assert (last["referred_by"], last["a"]["trunk"], last["b"]["trunk"]) == ("alice", "carrier", "backup")
    nothing_left(stage)


@pytest.mark.parametrize(("user", "status"), [("+19005550100", 403), ("+12125550100", 403)])
def test_the_rules_judge_an_attended_transfer_too(user: str, status: int) -> None:
    attended = Attended()
    attended.refers(user)
    attended.accepted()
    attended.told(status)
    attended.stage.backup.hears_nothing()
    assert len(attended.stage.engine.calls) == 2


def test_nobody_gives_away_the_place_of_another() -> None:
    attended = Attended(backup="perform")
    known = attended.consulted
    attended.refers(replaces=f"{known.call_id}%3Bto-tag%3D{known.from_tag}%3Bfrom-tag%3Dtarget")
    attended.stage.office.hears(403)


def test_a_dialog_that_is_none_of_ours_is_one_of_the_trunk_that_names_it() -> None:
    rules = """
rules:
  - name: back
    when: referred_by != ""
    then: route "office"
  - name: out
    when: trunk == "office"
    then: route "carrier"
"""
    stage = Stage(transferring(rules, office="perform"))
    _, answer = called(stage)
    named = "inside%3Bto-tag%3Dbob%3Bfrom-tag%3Dalice"
    says(stage, answer, "REFER", Refer_To=f"<sip:bob@sbc.example?Replaces={named}>")
    stage.office.hears(202)
    stage.office.hears("NOTIFY")
    invite = stage.office.hears_request("INVITE")
    assert invite.headers.get("Replaces") == "inside;to-tag=bob;from-tag=alice"
    assert invite.headers.values("Require") == ["replaces"]


def test_a_fault_leaves_no_call_that_waits_for_another() -> None:
    attended = Attended()
    attended.refers()
    stage = attended.stage
    stage.backup.hears("INVITE")
    wreck = stage.engine.wreck(next(reversed(stage.engine.calls)))
    stage.carry_out(stage.engine.clear_up(wreck, stage.now))
    for peer in (stage.office, stage.carrier, stage.backup):
        byes = [each for each in peer.heard if isinstance(each, Request) and each.method == "BYE"]
        assert len(byes) == (2 if peer is stage.office else 1)
    nothing_left(stage)
