"""Rotation under load: ours and the peers' certificates go through the whole window, and no call fails.

SIPp calls through stunnel, Portcullis and stunnel to SIPp, 10 calls a second, mutual TLS on both sides.
Each call of the caller has a connection of its own, because this SIPp survives no connection that is
closed under it; to the callee there is one, which is renewed under way. The caller goes over to its new
certificate by going over to another stunnel, because one that reads its files again resets who waits.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.servers import NAME, write_configuration
from sbc.base import LocalError
from tests.peers.asking import ask
from tests.peers.lab import Credentials, Lab
from tests.peers.needs import needs
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.stunnel import Stunnel, into, out
from tests.peers.waiting import until, until_equal

pytestmark = [pytest.mark.interop, pytest.mark.slow]

RATE, HOLD = 10.0, 700
BEFORE, AFTER = 250, 350


@dataclass(frozen=True)
class Rig:
    """A running SBC, the load through it, and everybody's certificates."""

    lab: Lab
    tls: Path
    control: Path
    callee: Stunnel
    caller: Sipp
    renewed: Callable[[], Sipp]

    def certs(self, verb: str, **arguments: object) -> Any:
        """One step, as ``sbc certs`` asks for it."""
        return ask(self.control, f"certs-{verb}", **arguments)

    def until_done(self, verb: str, **arguments: object) -> Any:
        """The same, again and again while it is refused."""
        return until(
            lambda: self._tried(verb, **arguments), verb, seconds=60, holds=lambda told: "refused" not in told
        )

    def _tried(self, verb: str, **arguments: object) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self.certs(verb, **arguments)
            return answer
        except LocalError as refused:
            assert "not ready" in str(refused) or "still stand" in str(refused), refused
            return {"refused": str(refused)}

    def dialled(self) -> int:
        """How many connections the callee's stunnel has taken over to SIPp."""
        return self.callee.log.read_text(errors="replace").count("s_connect: connected")

    def standing(self, name: str) -> dict[str, str]:
        """The state of each trunk; {} while nothing is staged."""
        try:
            return {each["trunk"]: each["state"] for each in self.certs("ready", name=name)["trunks"]}
        except LocalError:
            return {}

    def ready(self, name: str, *trunks: str) -> None:
        """Wait until ``trunks`` are ready."""

        def all_ready() -> bool:
            rows = self.standing(name)
            return all(rows.get(trunk) == "ready" for trunk in trunks)

        until(all_ready, f"{name} ready at {', '.join(trunks)}")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    needs("sipp", "stunnel4", "taskset")
    lab, behind, port = Lab(tmp_path / "tls"), free_port(), free_port()
    bundle = tmp_path / "tls" / "bundle.pem"
    bundle.write_bytes(lab.ca().read_bytes() + lab.ca("next").read_bytes())
    before = into("callee", behind, lab.issue("callee"), bundle)
    answers = SippSettings("callee", "tcp", port=behind, says="tls", contact_port=before.accept)
    _configure(tmp_path / "sbc", lab.issue(NAME), port, before.accept)
    with ExitStack() as stack:

        def caller(name: str, authority: str, calls: int) -> Sipp:
            front = out(name, port, lab.issue("caller", authority), bundle, f"{NAME}.lab.example")
            stack.enter_context(Stunnel(name, tmp_path / name, [front]))
            load = SippSettings(
                "caller", "tcp", remote_port=front.accept, says="tls", calls=calls, rate=RATE, hold=HOLD,
                limit=calls, seconds=120, each=True,
            )  # fmt: skip
            return stack.enter_context(Sipp(f"sipp-{name}", tmp_path / name, load))

        stack.enter_context(Sipp("callee", tmp_path / "callee", answers))
        callee = stack.enter_context(Stunnel("stunnel", tmp_path / "stunnel", [before]))
        stack.enter_context(Portcullis("portcullis", tmp_path / "sbc", tcp=[port]))
        control, tls = tmp_path / "sbc" / "run" / "sbc.sock", tmp_path / "sbc" / "tls"
        first = caller("old", "lab", BEFORE)
        yield Rig(lab, tls, control, callee, first, lambda: caller("new", "next", AFTER))


def _configure(directory: Path, own: Credentials, port: int, onward: int) -> None:
    write_configuration(directory, own, port, onward)
    # Who shares a caller's address is shown what it is shown.
    callee = directory / "trunks.d" / "callee.yaml"
    callee.write_text(callee.read_text().replace("127.0.0.1/32", "127.0.0.2/32"))


def test_no_call_fails_while_everything_is_rotated(rig: Rig) -> None:
    time.sleep(2)
    _rotate_ours(rig)
    renewed = _rotate_theirs(rig)
    rig.certs("rollback", name="bench")
    rig.ready("bench", "caller", "callee")
    rig.certs("rollback", name="bench", trunk="caller")
    rig.certs("bind", name="bench", trunk="caller")
    rig.ready("bench", "caller", "callee")
    rig.until_done("retire", name="bench")
    counts = renewed.finish(120)
    assert (counts.successful, counts.failed) == (AFTER, 0), renewed.failed("lost a call")
    status = ask(rig.control, "status")
    assert status["counters"]["calls"] == BEFORE + AFTER
    assert not status["failures"] and not [e for e in dict(status["counters"]["events"]) if "error" in e]


def _rotate_ours(rig: Rig) -> None:
    """A certificate of another authority: staged, bound to one trunk and then the other, retired."""
    fresh = rig.lab.issue("server", "next")
    _drop(fresh, rig.tls / "server")
    until(lambda: rig.standing("bench"), "what was dropped in is staged")
    for trunk in ("caller", "callee"):
        rig.certs("bind", name="bench", trunk=trunk)
        rig.ready("bench", trunk)
    rig.until_done("retire", name="bench")


def _rotate_theirs(rig: Rig) -> Sipp:
    """Both peers go over to another authority, which is trusted beside the old one and then alone."""
    dialled = rig.dialled()
    (rig.tls / "lab-ca.pem.next").write_bytes(rig.lab.ca("next").read_bytes())
    waiting = {"caller": "waiting", "callee": "waiting"}
    until_equal(lambda: rig.standing("lab"), waiting, "both still show the old one")
    until(lambda: rig.dialled() > dialled, "a connection under the wider trust")
    rig.lab.issue("callee", "next")
    # It resets who waits to be accepted at this moment; nobody does, for the new connection is up.
    os.kill(rig.callee.pid, signal.SIGHUP)
    time.sleep(1)
    with pytest.raises(LocalError, match="not ready"):
        rig.certs("retire", name="lab")
    renewed = rig.renewed()
    counts = rig.caller.finish(120)
    assert (counts.successful, counts.failed) == (BEFORE, 0), rig.caller.failed("lost a call")
    rig.until_done("retire", name="lab")
    return renewed


def _drop(issued: Credentials, stem: Path) -> None:
    for path in (issued.key, issued.cert):
        stem.with_name(f"{stem.name}{path.suffix}.next").write_bytes(path.read_bytes())
