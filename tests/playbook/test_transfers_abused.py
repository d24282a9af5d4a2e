"""Transfers by those who want more of them than they may have, and by those who say things too early."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.commands import OfferMedia
from sbc.config.emergency import Emergency
from sbc.config.model import Tenant, Trunk
from sbc.config.snapshot import Snapshot
from sbc.sip.message import Request, response_to
from tests.playbook.stage import SDP, Stage
from tests.playbook.test_replaces import Attended, Taken
from tests.playbook.transfers import Transfer, called, from_target, nothing_left, says, staged, transferring

OUT = 'require srtp\nforbid downgrade\nroute "carrier"'


@pytest.mark.parametrize("escaped", ["a%0d%0aX-Forged:%201", "a%00", "a%20b", "a%ff", "%0a"])
def test_no_header_is_smuggled_in_by_an_escaped_replaces(escaped: str) -> None:
    stage = staged('route "office"')
    _, answer = called(stage)
    says(
        stage, answer, "REFER", Refer_To=f"<sip:bob@x.example?Replaces={escaped}%3Bto-tag%3Da%3Bfrom-tag%3Db>"
    )
    stage.office.hears(400)
    stage.office.hears_nothing()
    assert len(stage.engine.calls) == 1


def test_a_dialog_beyond_that_is_to_be_replaced_only_while_it_rings_is_named_so() -> None:
    stage = staged('route "office"')
    _, answer = called(stage)
    named = "inside%3Bto-tag%3Dbob%3Bfrom-tag%3Dalice%3Bearly-only"
    says(stage, answer, "REFER", Refer_To=f"<sip:bob@sbc.example?Replaces={named}>")
    stage.office.hears(202)
    stage.office.hears("NOTIFY")
    invite = stage.office.hears_request("INVITE")
    assert invite.headers.get("Replaces") == "inside;to-tag=bob;from-tag=alice;early-only"


@pytest.mark.parametrize(("hops", "left"), [(1, "0"), (2, "1"), (70, "69")])
def test_the_new_call_has_a_hop_less_than_the_refer(hops: int, left: str) -> None:
    stage = staged()
    Transfer(stage, Max_Forwards=str(hops)).accepted()
    assert stage.backup.hears_request("INVITE").headers.get("Max-Forwards") == left


def test_whoever_rings_in_turns_makes_no_flood_of_notifies() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    for _ in range(20):
        stage.backup.respond(ringing, 183)
        stage.backup.respond(ringing, 180)
    transfer.told(183)
    stage.office.hears_nothing()
    stage.backup.respond(ringing, 486)
    transfer.over(486)


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "INVITE", "NOTIFY"])
@pytest.mark.parametrize("answered", [False, True])
def test_what_the_new_party_says_too_early_reaches_nobody(method: str, answered: bool) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing, again = transfer.answers() if answered else (transfer.rings(), None)
    if answered:
        stage.backup.hears("ACK")
    body = SDP if method in ("UPDATE", "INVITE") else b""
    from_target(stage, ringing, method, body=body, CSeq=f"7 {method}")
    if method == "INVITE":
        stage.backup.hears(100)
    stage.backup.hears(491)
    stage.carrier.hears_nothing()
    if again is not None:
        stage.carrier.respond(again, 200, body=b"v=0 moved")
        stage.carrier.hears("ACK")
        from_target(stage, ringing, "INFO", CSeq="8 INFO")
        stage.carrier.hears("INFO")


def test_a_hop_that_failed_takes_nothing_off_the_count_of_who_transfers() -> None:
    stage = staged('route "backup" then "plain"', limits={"calls": 2})
    transfer = Transfer(stage).accepted()
    stage.backup.respond(stage.backup.hears("INVITE"), 503)
    stage.plain.hears("INVITE")
    assert [stage.engine.count(name) for name in ("office", "backup", "plain")] == [2, 0, 1]
    stage.from_callee(transfer.invite, "BYE")
    assert [stage.engine.count(name) for name in ("office", "carrier", "plain")] == [0, 0, 0]


# Limits of tenants


def with_tenants(made: Snapshot, calls: int = 100, **tenants: str) -> Snapshot:
    """``made`` with trunks of tenants that may have so many ``calls``."""
    bounds = Tenant.model_validate(
        {"domains": ["x.example"], "server_identity": "sbc", "limits": {"calls": calls}}
    )
    trunks = {
        name: made.trunks[name].model_copy(update={"tenant": tenant}) for name, tenant in tenants.items()
    }
    settings = made.settings.model_copy(update={"tenants": dict.fromkeys(tenants.values(), bounds)})
    return replace(made, settings=settings, trunks={**made.trunks, **trunks})


def counted(stage: Stage, *tenants: str) -> list[int]:
    return [stage.engine.limits.calls(f"tenant {each}") for each in tenants]


def test_a_transfer_counts_for_the_tenants_of_all_three() -> None:
    made = with_tenants(staged().engine.store.current, office="one", carrier="two", backup="three")
    stage = Stage(made)
    transfer = Transfer(stage).accepted()
    assert counted(stage, "one", "two", "three") == [2, 1, 1]
    transfer.done()
    assert counted(stage, "one", "two", "three") == [1, 1, 1]
    stage.from_callee(transfer.invite, "BYE")
    assert counted(stage, "one", "two", "three") == [0, 0, 0]


def test_a_transfer_beyond_the_limit_of_its_tenant_is_told_so() -> None:
    stage = Stage(with_tenants(staged().engine.store.current, 1, office="one"))
    transfer = Transfer(stage)
    stage.office.hears(202)
    transfer.over(503)
    stage.backup.hears_nothing()
    assert counted(stage, "one") == [1]


def test_whoever_stays_in_a_call_that_is_taken_over_counts_for_its_tenant_on() -> None:
    made = Taken().stage.engine.store.current
    stage = Stage(with_tenants(made, office="one", carrier="two", backup="three"))
    taken = Taken(stage=stage)
    taken.asks()
    stage.office.respond(stage.office.hears("INVITE"), 200, body=b"v=0 stays")
    taken.acknowledges(stage.backup.hears_response(200))
    assert counted(stage, "one", "two", "three") == [1, 0, 1]
    says(stage, taken.answer, "BYE")
    assert counted(stage, "one", "two", "three") == [0, 0, 0]


# What was promised to whoever stays


RULES = """
rules:
  - name: out
    when: trunk == "office"
    then: |
      {out}
  - name: in
    when: true
    then: |
      no srtp
      route "office"
"""


FOLLOWING = """
rules:
  - name: redirected
    when: redirected_from != ""
    then: route "office"
  - name: out
    when: trunk == "office"
    then: route "carrier"
  - name: in
    when: true
    then: |
      follow redirects
      route "office"
"""


def test_a_redirect_that_is_followed_still_takes_the_side_over() -> None:
    taken = Taken("pass", stage=Stage(transferring(FOLLOWING, backup="pass", carrier="pass")))
    taken.asks()
    stage = taken.stage
    asked = stage.office.hears_request("INVITE")
    assert asked.headers.get("Replaces") == taken.by_who_stays()
    moved = response_to(asked, 302, "", "mover")
    moved.headers.add("Contact", "<sip:+12125550188@office.example>")
    stage.office.say(moved)
    stage.office.hears("ACK")
    again = stage.office.hears_request("INVITE")
    assert again.headers.get("Replaces") == taken.by_who_stays()
    assert again.headers.values("Require") == ["replaces"]


CONSULTING = """
rules:
  - name: transferred
    when: referred_by != ""
    then: |
      no srtp
      route "backup"
  - name: consulted
    when: to.user == "+12125550177"
    then: |
      require srtp
      route "backup"
  - name: out
    when: true
    then: route "carrier"
"""


def taken_from(caller: str, out: str = OUT, word: str = "perform") -> Taken:
    rules = RULES.format(out=out.replace("\n", "\n      "))
    words: dict[str, Any] = {caller: word, "carrier": "pass"}
    return Taken(stage=Stage(transferring(rules, **words)))


@pytest.mark.parametrize("word", ["perform", "pass"])
def test_whoever_takes_a_side_over_keeps_the_srtp_that_the_call_required(word: str) -> None:
    taken = taken_from("backup", word=word)
    taken.asks()
    stage = taken.stage
    stage.office.hears("INVITE")
    offer = [each for each in stage.media if isinstance(each, OfferMedia)][-1]
    assert (offer.ours.srtp, offer.theirs.srtp) == ("required", "required")


@pytest.mark.parametrize("word", ["perform", "pass"])
def test_nobody_takes_a_side_over_without_the_tls_that_the_call_required(word: str) -> None:
    taken = taken_from("plain", word=word)
    stage = taken.stage
    stage.plain.invite(SDP, Replaces=taken.by_the_replaced(), Require="replaces")
    stage.plain.hears(100)
    stage.plain.hears(480)
    stage.office.hears_nothing()
    assert len(stage.engine.calls) == 1


def test_one_who_is_connected_with_whom_somebody_consulted_keeps_what_either_call_required() -> None:
    stage = Stage(transferring(CONSULTING, office="perform"))
    attended = Attended(stage)
    attended.refers()
    attended.accepted()
    stage.backup.hears("INVITE")
    offer = [each for each in stage.media if isinstance(each, OfferMedia)][-1]
    assert (offer.ours.srtp, offer.theirs.srtp) == ("required", "required")


def test_nothing_is_left_of_a_transfer_in_which_somebody_spoke_too_early() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    from_target(stage, ringing, "INFO", CSeq="7 INFO")
    says(stage, transfer.answer, "BYE")
    stage.backup.respond(ringing, 603)
    stage.carrier.hears("BYE")
    byes = [each for each in stage.carrier.heard if isinstance(each, Request)]
    assert not byes
    nothing_left(stage)


# Connections that close


@pytest.mark.parametrize("left", [False, True])
def test_the_re_invite_goes_out_again_where_its_connection_closes(left: bool) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    transfer.answers()
    if left:
        says(stage, transfer.answer, "BYE")
    stage.closes(stage.carrier)
    stage.wait(1)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    stage.carrier.hears("ACK")
    assert len(stage.noted("transferred")) == 1
    stage.from_callee(transfer.invite, "BYE")
    nothing_left(stage)


def test_it_goes_out_again_once() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    transfer.answers()
    stage.closes(stage.carrier)
    stage.wait(1)
    stage.carrier.hears("INVITE")
    stage.closes(stage.carrier)
    stage.wait(10)
    stage.carrier.hears_nothing()
    transfer.over(503)
    says(stage, transfer.answer, "INFO")
    stage.carrier.hears("INFO")


@pytest.mark.parametrize(
    ("who", "when"),
    [
        ("office", "accepted"), ("office", "rings"), ("office", "answered"), ("backup", "rings"),
        ("backup", "answered"),
    ],
)  # fmt: skip
def test_a_transfer_survives_the_connections_of_all_who_are_not_asked_just_then(who: str, when: str) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    peer = stage.peers[who]
    ringing = again = None
    if when != "accepted":
        ringing = transfer.rings()
    if when == "answered" and ringing is not None:
        stage.backup.respond(ringing, 200, body=b"v=0 target")
        again = stage.carrier.hears_request("INVITE")
    stage.closes(peer)
    stage.wait(1)
    ringing = ringing or stage.backup.hears_request("INVITE")
    if again is None:
        stage.backup.respond(ringing, 200, body=b"v=0 target")
        again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    assert len(stage.noted("transferred")) == 1
    stage.from_callee(transfer.invite, "BYE")
    nothing_left(stage)


# Who would rather not be named


def telling(word: str, transfers: str, out: str) -> Stage:
    """The office transfers, by ``transfers``; ``word`` is whom the peers of the other trunks are told of."""
    made = staged(out=out, office=transfers).engine.store.current
    trunks = dict(made.trunks)
    for name in ("carrier", "backup"):
        written = trunks[name].model_dump(by_alias=True)
        trunks[name] = Trunk.model_validate({**written, "transfers": "pass", "identity": {"out": word}})
    return Stage(replace(made, trunks=trunks))


@pytest.mark.parametrize(
    ("word", "privacy", "named"),
    [
        ("screened", "user;id", False), ("none", "user", False), ("trusted", "user", True),
        ("screened", "none", True), ("screened", "", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("transfers", ["perform", "pass"])
def test_whoever_transfers_may_ask_not_to_be_named(
    transfers: str, word: str, privacy: str, named: bool
) -> None:
    stage = telling(word, transfers, 'route "carrier"')
    _, answer = called(stage)
    wish: dict[str, Any] = {"Privacy": privacy} if privacy else {}
    says(stage, answer, "REFER", Refer_To="<sip:+12125550199@x.example>", Referred_By="<sip:boss@x>", **wish)
    if transfers == "perform":
        told = stage.backup.hears_request("INVITE")
    else:
        told = stage.carrier.hears_request("REFER")
    assert ("boss" in (told.headers.get("Referred-By") or "")) is named


def test_the_trunk_that_transfers_is_told_by_whom_all_the_same() -> None:
    stage = staged('route "office"')
    made = stage.engine.store.current
    written = made.trunks["office"].model_dump(by_alias=True)
    office = Trunk.model_validate({**written, "identity": {"out": "screened"}})
    stage = Stage(replace(made, trunks={**made.trunks, "office": office}))
    _, answer = called(stage)
    says(stage, answer, "REFER", Refer_To="<sip:x@y>", Referred_By="<sip:boss@x>", Privacy="user")
    stage.office.hears(202)
    stage.office.hears("NOTIFY")
    assert stage.office.hears_request("INVITE").headers.get("Referred-By") == "<sip:boss@x>"


@pytest.mark.parametrize(("to", "status"), [("112", 202), ("+12125550199", 503)])
def test_while_we_shut_down_somebody_is_still_transferred_to_an_emergency_service(
    to: str, status: int
) -> None:
    made = staged().engine.store.current
    given = Emergency.model_validate({"numbers": [112]})
    stage = Stage(replace(made, settings=made.settings.model_copy(update={"emergency": given})))
    _, answer = called(stage)
    stage.engine.draining = True
    says(stage, answer, "REFER", Refer_To=f"<sip:{to}@sbc.example>")
    stage.office.hears(status)
    assert len(stage.engine.calls) == (2 if status == 202 else 1)
