"""Trunks whose peers transfer calls, and a call between two of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.sip.message import Request, Response
from tests.playbook.stage import RULES, SDP, Stage, snapshot

#: What a peer says that takes a REFER.
ALLOWS = "INVITE, ACK, CANCEL, BYE, OPTIONS, REFER, NOTIFY"


def transferring(rules: str = RULES, options: dict[str, Any] | None = None, **words: str) -> Snapshot:
    """The usual trunks, and what becomes of a REFER from each that is named: ``office="pass"``."""
    made = snapshot(rules, **(options or {}))
    trunks = dict(made.trunks)
    for name, word in words.items():
        written = trunks[name].model_dump(by_alias=True)
        trunks[name] = Trunk.model_validate({**written, "transfers": word})
    return replace(made, trunks=trunks)


def called(stage: Stage, call_id: str = "call-of-office", **headers: str) -> tuple[Request, Response]:
    """The office calls the carrier and is answered; the INVITE and the 200 as they were heard."""
    fields = {"Call_ID": call_id, "From": f'"Alice" <sip:alice@office.example>;tag={call_id}', **headers}
    stage.office.invite(Allow=ALLOWS, **fields)
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer", Allow=ALLOWS)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", **fields)
    stage.carrier.hears("ACK")
    return invite, answer


def says(stage: Stage, answer: Response, method: str, body: bytes = b"", **headers: str) -> None:
    """The caller of the call that ``answer`` took says more in it."""
    fields = {"Call_ID": answer.call_id, "From": answer.headers.get("From") or "", **headers}
    stage.within("office", answer, method, body, **fields)


def offers(body: bytes = SDP) -> bytes:
    """What the stage's media makes of a description."""
    return b"via-sbc " + body
