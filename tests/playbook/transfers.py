"""Trunks whose peers transfer calls, a call between two of them, and a transfer of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.observe.cdr import call_record
from sbc.sip.message import Request, Response
from tests.playbook.stage import RULES, Stage, snapshot

#: What a peer says that takes a REFER.
ALLOWS = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY"


def transferring(rules: str = RULES, options: dict[str, Any] | None = None, **words: Any) -> Snapshot:
    """The usual trunks, and what becomes of a REFER from each that is named: ``office="pass"``."""
    made = snapshot(rules, **(options or {}))
    trunks = dict(made.trunks)
    for name, word in words.items():
        written = trunks[name].model_dump(by_alias=True)
        trunks[name] = Trunk.model_validate({**written, "transfers": word})
    return replace(made, trunks=trunks)


def called(stage: Stage, call_id: str = "call-of-office", **headers: str) -> tuple[Request, Response]:
    """The office calls the carrier and is answered; the INVITE and the 200 as they were heard."""
    caller = f'"Alice" <sip:alice@office.example>;tag={call_id}'
    fields: dict[str, Any] = {"Call_ID": call_id, "From": caller, **headers}
    stage.office.invite(Allow=ALLOWS, **fields)
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer", Allow=ALLOWS)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", **fields)
    stage.carrier.hears("ACK")
    return invite, answer


def says(stage: Stage, answer: Response, method: str, body: bytes = b"", **headers: Any) -> None:
    """The caller of the call that ``answer`` took says more in it."""
    fields: dict[str, Any] = {"Call_ID": answer.call_id, "From": answer.headers.get("From") or "", **headers}
    stage.within("office", answer, method, body, **fields)


TRANSFERS = """
rules:
  - name: never premium
    when: to.user starts with "+1900"
    then: reject 403 "No premium numbers"
  - name: transferred
    when: referred_by != ""
    then: |
      {transferred}
  - name: out
    when: trunk == "office"
    then: |
      {out}
"""
HIDDEN = "10.9.8.7"
TARGET = f"<sip:+1-212-555-0199@{HIDDEN}:5070;user=phone>"


def staged(
    transferred: str = 'route "backup"', out: str = 'route "carrier"', office: str = "perform", **options: Any
) -> Stage:
    rules = TRANSFERS.format(
        transferred=transferred.replace("\n", "\n      "), out=out.replace("\n", "\n      ")
    )
    return Stage(transferring(rules, options, office=office))


class Transfer:
    """The office has called the carrier, and transfers it to the backup."""

    def __init__(self, stage: Stage, to: str = TARGET, **headers: Any) -> None:
        self.stage = stage
        self.invite, self.answer = called(stage)
        says(stage, self.answer, "REFER", Refer_To=to, **headers)

    def accepted(self) -> Transfer:
        """The office hears that it is tried."""
        self.stage.office.hears(202)
        self.told(100)
        return self

    def told(self, status: int, state: str = "active;expires=600") -> Request:
        """What the office is told next of the transfer."""
        notify = self.stage.office.hears_request("NOTIFY")
        assert notify.body.startswith(b"SIP/2.0 %d " % status), notify.body
        assert notify.headers.get("Subscription-State") == state
        assert notify.headers.get("Content-Type") == "message/sipfrag;version=2.0"
        self.stage.office.respond(notify, 200)
        return notify

    def over(self, status: int) -> Request:
        """The last that it is told."""
        return self.told(status, "terminated;reason=noresource")

    def rings(self) -> Request:
        """The one to whom the carrier is transferred rings."""
        ringing = self.stage.backup.hears_request("INVITE")
        self.stage.backup.respond(ringing, 180)
        self.told(180)
        return ringing

    def answers(self, body: bytes = b"v=0 target") -> tuple[Request, Request]:
        """It takes the call; its INVITE, and the re-INVITE of the one who is transferred."""
        ringing = self.rings()
        self.stage.backup.respond(ringing, 200, body=body)
        return ringing, self.stage.carrier.hears_request("INVITE")

    def done(self) -> tuple[Request, Request]:
        """All of it went well."""
        ringing, again = self.answers()
        self.stage.carrier.respond(again, 200, body=b"v=0 moved")
        self.stage.carrier.hears("ACK")
        return ringing, again


def records(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(call_record(note.call, note.fields)) for note in stage.noted("call-ended")]


def nothing_left(stage: Stage) -> None:
    """No call is left, none counts anywhere, and no dialog is known."""
    assert not stage.engine.calls and not len(stage.engine.dialogs)
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup", "plain")] == [0] * 4


def from_target(stage: Stage, ringing: Request, method: str, **headers: Any) -> None:
    """The one who was called says more."""
    contact = ringing.contact
    assert contact is not None
    stage.backup.request(
        method, str(contact.uri), From=f"{ringing.headers.get('To')};tag=callee",
        To=ringing.headers.get("From") or "", Call_ID=ringing.call_id, **headers,
    )  # fmt: skip
