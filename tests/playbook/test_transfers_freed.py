"""What a transfer was made of is freed with its calls, by reference counts alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sbc.sip.message import Request
from tests.playbook.living import left_behind
from tests.playbook.stage import Stage
from tests.playbook.test_replaces import Attended, Taken
from tests.playbook.transfers import Transfer, says, staged


def goes_well(stage: Stage) -> None:
    transfer = Transfer(stage).accepted()
    transfer.done()
    stage.from_callee(transfer.invite, "BYE")


def is_refused(stage: Stage) -> None:
    transfer = Transfer(stage).accepted()
    stage.backup.respond(transfer.rings(), 486)
    says(stage, transfer.answer, "BYE")


def is_left(stage: Stage) -> None:
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    says(stage, transfer.answer, "BYE")
    stage.backup.respond(ringing, 486)


def is_not_taken(stage: Stage) -> None:
    transfer = Transfer(stage).accepted()
    _, again = transfer.answers()
    stage.carrier.respond(again, 488)
    says(stage, transfer.answer, "BYE")


def is_given_up(stage: Stage) -> None:
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    stage.from_callee(transfer.invite, "BYE")
    stage.backup.respond(ringing, 487)


def is_beyond_the_limit(stage: Stage) -> None:
    transfer = Transfer(stage)
    says(stage, transfer.answer, "BYE")


def settled(stage: Stage) -> None:
    """Whoever waits for an answer gets one, everything has run out, and the tests keep nothing."""
    for peer in stage.peers.values():
        for each in list(peer.heard):
            if isinstance(each, Request) and each.method in ("BYE", "CANCEL", "NOTIFY"):
                peer.respond(each, 200)
    stage.wait(65)
    assert not stage.engine.calls and not len(stage.engine.transactions)
    stage.notes.clear()
    stage.decisions.clear()
    stage.media.clear()
    for peer in stage.peers.values():
        peer.heard.clear()
        peer.last = None


ENDS = [goes_well, is_refused, is_left, is_not_taken, is_given_up, is_beyond_the_limit]


@pytest.mark.slow
@pytest.mark.parametrize("play", ENDS)
def test_a_transfer_is_freed_without_the_garbage_collector(play: Callable[[Stage], None]) -> None:
    stage = staged(limits={"calls": 1}) if play is is_beyond_the_limit else staged()

    def once() -> None:
        play(stage)
        settled(stage)

    once()
    assert not left_behind(once)


def replaces(stage: Stage | None) -> Stage:
    taken = Taken(stage=stage)
    taken.asks()
    taken.stage.office.respond(taken.stage.office.hears("INVITE"), 200, body=b"v=0 stays")
    taken.acknowledges(taken.stage.backup.hears_response(200))
    says(taken.stage, taken.answer, "BYE")
    settled(taken.stage)
    return taken.stage


def replaces_nobody(stage: Stage | None) -> Stage:
    taken = Taken(stage=stage)
    taken.asks()
    taken.stage.office.respond(taken.stage.office.hears("INVITE"), 488)
    says(taken.stage, taken.answer, "BYE")
    settled(taken.stage)
    return taken.stage


def connects_both(stage: Stage | None) -> Stage:
    attended = Attended(stage)
    stage = attended.stage
    attended.refers()
    stage.backup.respond(stage.backup.hears("INVITE"), 200, body=b"v=0 joined")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 joined too")
    stage.from_callee(attended.invite, "BYE")
    settled(stage)
    return stage


@pytest.mark.slow
@pytest.mark.parametrize("play", [replaces, replaces_nobody, connects_both])
def test_so_is_a_takeover(play: Callable[[Stage | None], Stage]) -> None:
    stage = play(None)
    assert not left_behind(lambda: play(stage))
