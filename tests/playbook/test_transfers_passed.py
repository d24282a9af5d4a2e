"""A REFER that is refused, or passed on to the other side, and its NOTIFYs back (RFC 3515, 3891, 3892)."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.sip.message import Request, Response
from tests.playbook.stage import Stage
from tests.playbook.transfers import ALLOWS, called, says, transferring

HIDDEN = "10.9.8.7"
TARGET = f"<sip:+12125550199@{HIDDEN}:5070>"
US = "192.0.2.1:5061;transport=tls"
FRAG = b"SIP/2.0 180 Ringing\r\nContact: <sip:bob@10.9.8.7>\r\n"


def passing(**words: Any) -> tuple[Stage, Request, Response]:
    stage = Stage(transferring(**(words or {"office": "pass", "carrier": "pass"})))
    return stage, *called(stage)


def referred(stage: Stage, answer: Response, to: str = TARGET, **headers: Any) -> Request:
    """The caller refers the callee."""
    says(stage, answer, "REFER", Refer_To=to, **headers)
    return stage.carrier.hears_request("REFER")


def notifies(stage: Stage, invite: Request, event: str, body: bytes = FRAG) -> None:
    """The callee tells what came of it."""
    stage.from_callee(
        invite, "NOTIFY", body, Event=event, Content_Type="message/sipfrag",
        Subscription_State="active;expires=60", Allow=ALLOWS,
    )  # fmt: skip


# Refused


def test_nobody_transfers_where_nothing_is_said_and_nobody_is_promised_it() -> None:
    stage = Stage(transferring())
    invite, answer = called(stage)
    assert "REFER" not in (invite.headers.get("Allow") or "") + (answer.headers.get("Allow") or "")
    says(stage, answer, "REFER", Refer_To=TARGET)
    refusal = stage.office.hears_response(405)
    assert "REFER" not in (refusal.headers.get("Allow") or "")
    stage.carrier.hears_nothing()
    stage.office.request("OPTIONS", Call_ID="asks", To="<sip:sbc.example>")
    assert "REFER" not in (stage.office.hears_response(200).headers.get("Allow") or "")


def test_a_refer_outside_of_a_dialog_is_refused() -> None:
    stage = Stage(transferring(office="pass"))
    stage.office.request("REFER", Refer_To=TARGET, Call_ID="new")
    stage.office.hears(403)
    stage.carrier.hears_nothing()


@pytest.mark.parametrize(
    ("to", "status"),
    [
        ("", 400),
        ("<mailto:bob@example.com>", 416),
        ("<sip:bob@example.com;method=BYE>", 501),
        ("<sip:bob@example.com?Replaces=a%3Bto-tag%3Db>", 400),
        ("<sip:bob@example.com?Replaces=nobody%3Bto-tag%3Db%3Bfrom-tag%3Dc>", 404),
    ],
)
def test_what_names_nobody_is_answered_here(to: str, status: int) -> None:
    stage, _, answer = passing()
    says(stage, answer, "REFER", Refer_To=to)
    stage.office.hears(status)
    stage.carrier.hears_nothing()


def test_a_notify_that_nobody_asked_for_is_refused() -> None:
    stage, invite, _ = passing()
    notifies(stage, invite, "refer")
    stage.carrier.hears(481)
    stage.carrier.request("NOTIFY", Event="refer", Call_ID="new")
    stage.carrier.hears(405)
    stage.office.hears_nothing()


# Passed on


def test_it_is_promised_where_the_other_side_takes_it() -> None:
    stage, invite, answer = passing()
    for message in (invite, answer):
        assert (message.headers.get("Allow") or "").endswith(", REFER, NOTIFY")
        assert "replaces" in message.headers.values("Supported")
    stage = Stage(transferring(office="pass", carrier="pass"))
    _, answer = stage.established()  # the callee says nothing of what it allows
    assert "REFER" not in (answer.headers.get("Allow") or "")
    stage.office.request("OPTIONS", Call_ID="asks", To="<sip:sbc.example>")
    assert "REFER" in stage.office.hears_response(200).headers.values("Allow")


def test_whom_it_names_is_to_be_called_through_us() -> None:
    stage, _, answer = passing()
    refer = referred(
        stage, answer, Referred_By=f"<sip:alice@{HIDDEN}>;cid=x", User_Agent="Phone", X_Secret="1"
    )
    assert refer.headers.get("Refer-To") == f"<sip:+12125550199@{US}>"
    assert refer.headers.get("Referred-By") == f"<sip:alice@{US}>"
    assert HIDDEN not in str(refer.headers.fields) and "X-Secret" not in refer.headers
    stage.carrier.respond(refer, 202)
    stage.office.hears(202)


@pytest.mark.parametrize(("status", "heard"), [(603, 603), (405, 405), (401, 403)])
def test_a_refusal_comes_back(status: int, heard: int) -> None:
    stage, _, answer = passing()
    stage.carrier.respond(referred(stage, answer), status)
    stage.office.hears(heard)
    assert stage.engine.calls


def test_a_notify_bears_the_number_of_the_refer_on_its_own_leg() -> None:
    stage, invite, answer = passing()
    refers = []
    stage.cseq += 10
    for _ in range(2):
        refer = referred(stage, answer)
        stage.carrier.respond(refer, 202)
        refers.append((stage.office.hears_response(202).cseq.number, refer.cseq.number))
    for near, far in reversed(refers):
        assert near != far
        notifies(stage, invite, f"refer;id={far}")
        notify = stage.office.hears_request("NOTIFY")
        assert notify.headers.get("Event") == f"refer;id={near}"
        assert notify.headers.get("Subscription-State") == "active;expires=60"
        assert notify.headers.get("Content-Type") == "message/sipfrag;version=2.0"
        assert notify.body == b"SIP/2.0 180 Ringing\r\n"
        stage.office.respond(notify, 200)
        stage.carrier.hears(200)
    notifies(stage, invite, "refer", b"nonsense")
    notify = stage.office.hears_request("NOTIFY")
    assert (notify.headers.get("Event"), notify.body) == ("refer", b"")
    stage.office.respond(notify, 481)
    stage.carrier.hears(481)
    assert stage.engine.calls, "only the subscription is over"


def test_the_callee_may_refer_as_well() -> None:
    stage, invite, answer = passing()
    stage.from_callee(invite, "REFER", Refer_To=TARGET)
    refer = stage.office.hears_request("REFER")
    assert refer.headers.get("Refer-To") == f"<sip:+12125550199@{US}>"
    stage.office.respond(refer, 202)
    stage.carrier.hears(202)
    says(
        stage, answer, "NOTIFY", FRAG, Event=f"refer;id={refer.cseq.number}",
        Content_Type="message/sipfrag", Subscription_State="terminated;reason=noresource",
    )  # fmt: skip
    notify = stage.carrier.hears_request("NOTIFY")
    assert notify.headers.get("Subscription-State") == "terminated;reason=noresource"


def test_whoever_wants_no_notify_is_heard() -> None:
    stage, _, answer = passing()
    refer = referred(stage, answer, Refer_Sub="false", Require="norefersub", Supported="norefersub")
    assert refer.headers.get("Refer-Sub") == "false"
    assert "Require" not in refer.headers
    stage.carrier.respond(refer, 202, Refer_Sub="false")
    assert stage.office.hears_response(202).headers.get("Refer-Sub") == "false"


def test_a_dialog_that_is_to_be_replaced_is_named_as_the_far_side_knows_it() -> None:
    stage, _, answer = passing()
    consulted, second = called(stage, "second")
    replaces = f"second%3Bto-tag%3D{second.to_tag}%3Bfrom-tag%3Dsecond"
    refer = referred(stage, answer, f"<sip:+12125550100@{HIDDEN}?Replaces={replaces}&Require=replaces>")
    known = f"{consulted.call_id}%3Bto-tag%3Dcallee%3Bfrom-tag%3D{consulted.from_tag}"
    assert refer.headers.get("Refer-To") == f"<sip:+12125550100@{US}?Replaces={known}>"


def test_a_trunk_that_does_not_transfer_may_be_referred() -> None:
    stage, invite, answer = passing(office="pass")
    stage.from_callee(invite, "REFER", Refer_To=TARGET)
    stage.carrier.hears(405)
    refer = referred(stage, answer)
    stage.carrier.respond(refer, 202)
    stage.office.hears(202)
    notifies(stage, invite, "refer")
    stage.office.hears("NOTIFY")
