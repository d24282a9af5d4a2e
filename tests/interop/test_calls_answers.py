"""What a callee says and what becomes of it at the caller, judged by a SIPp at either end, over UDP.

Every class of responses, the races of an answer with CANCEL, ACK and another offer, sessions that are too
short.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.rig import SBC, Far, Rig
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp, SippSettings

pytestmark = [pytest.mark.interop, pytest.mark.slow]

THERE = "127.0.0.5"


@dataclass(slots=True)
class Site:
    """An SBC between two ports, at each of which is a SIPp for the length of a call."""

    rig: Rig
    here: int
    there: int
    made: int = 0

    def call(self, first: int, final: int, *hears: int) -> dict[str, Any]:
        """The record of a call whose callee says ``first`` and ``final``, and whose caller ``hears``."""
        self.made += 1
        callee = SippSettings("callee_says", port=self.there, address=THERE, speaks=(first, final))
        caller = SippSettings(
            "caller_hears", port=self.here, remote_port=self.rig.udp, hears=hears, seconds=20
        )
        root = self.rig.root / str(self.made)
        with Sipp("there", root, callee) as there, Sipp("here", root, caller) as here:
            counts = here.finish(25)
            assert (counts.successful, counts.failed, counts.unexpected) == (1, 0, 0), here.failed("failed")
            there.wait_until(lambda: there.counts().successful == 1, 15, "the callee is content")
        return self.rig.record()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    needs("sipp")
    rig = Rig(tmp_path_factory.mktemp("answers"))
    here, there = free_port(), free_port()
    near, far = Far("here", here, SBC, "udp", "off"), Far("there", there, THERE, "udp", "off")
    with rig.running(near, far):
        yield Site(rig, here, there)


@pytest.mark.parametrize("first", [180, 181, 182, 183, 199])
def test_a_provisional_response_is_heard_as_it_is(site: Site, first: int) -> None:
    record = site.call(first, 486, first, 486)
    assert (record["status"], record["ended_by"]) == (486, "callee")


# Which status the caller hears in place of the callee's, and who has said it then.
FINALS = {
    **dict.fromkeys((301, 302, 305, 380, 401, 407), 0),
    **{status: status for status in (400, 403, 404, 405, 410, 415, 480, 481, 484, 486, 487, 488, 493)},
    **{status: status for status in (408, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606)},
}
OURS = {301: 480, 302: 480, 305: 480, 380: 480, 401: 403, 407: 403}


@pytest.mark.parametrize("final", FINALS)
def test_a_final_response_ends_the_call_at_the_caller(site: Site, final: int) -> None:
    """What names places, or asks for a password, is between the callee and us (RFC 3261 8.1.3.4, 22.3)."""
    heard = OURS.get(final, final)
    record = site.call(180, final, 180, heard)
    assert (record["status"], record["ended_by"]) == (heard, "us" if final in OURS else "callee")


def between(tmp_path: Path, caller: str, callee: str, more: str = "") -> dict[str, Any]:
    """The record of one call between two scenarios, with which both are content."""
    needs("sipp")
    rig = Rig(tmp_path)
    there = Sipp("there", tmp_path / "there", SippSettings(callee, address=THERE))
    here = Sipp(
        "here", tmp_path / "here", SippSettings(caller, port=free_port(), remote_port=rig.udp, hold=300)
    )
    near = Far("here", here.port, SBC, "udp", "off", more=more)
    with rig.running(near, Far("there", there.port, THERE, "udp", "off", more=more), there), here:
        counts = here.finish(25)
        assert (counts.successful, counts.failed, counts.unexpected) == (1, 0, 0), here.failed("failed")
        record = rig.record()
        there.wait_until(lambda: there.counts().successful == 1, 15, "the callee is content")
        assert (there.counts().failed, there.counts().unexpected) == (0, 0)
    return record


def test_an_ack_that_comes_late_finds_the_call(tmp_path: Path) -> None:
    record = between(tmp_path, "caller_late_ack", "callee")
    assert (record["status"], record["ended_by"], record["reason"]) == (200, "caller", "normal")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(tmp_path: Path) -> None:
    record = between(tmp_path, "caller_cancel", "callee_answers_cancel")
    assert (record["status"], record["ended_by"], record["answered"]) == (487, "caller", None)


@pytest.mark.parametrize(
    ("caller", "callee"), [("caller_reinvite", "callee_glare"), ("caller_glare", "callee_reinvites")]
)
def test_an_offer_that_crosses_another_is_told_to_wait(tmp_path: Path, caller: str, callee: str) -> None:
    record = between(tmp_path, caller, callee)
    assert (record["status"], record["ended_by"]) == (200, "caller")


def test_a_callee_that_wants_a_longer_session_gets_it(tmp_path: Path) -> None:
    record = between(tmp_path, "caller", "callee_422", "session_timer: {expires: 90s}\n")
    assert (record["status"], record["ended_by"]) == (200, "caller")


def test_a_caller_that_wants_too_short_a_session_is_told_how_long_is_enough(tmp_path: Path) -> None:
    record = between(tmp_path, "caller_422", "callee")
    assert (record["status"], record["ended_by"]) == (200, "caller")
