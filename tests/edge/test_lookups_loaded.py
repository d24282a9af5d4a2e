"""Fifty calls a second, half of which ask a service that does everything wrong: each goes as its rule says.

The calls are SIPp's. That nobody is held up is asked of the order in which they were answered, never of how
long that took.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.edge.answering import Reply, Service, always, breaks_off, drips, hangs, huge, said
from tests.edge.attacked import Attacked
from tests.peers.asking import ask
from tests.peers.needs import needs
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ASKED, BESIDE = "+4930100", "+12125550100"
GOOD = {"number": "+4989200", "blocked": False}
ROUTES = f"""\
rules:
  - name: ask
    when: to.user == "{ASKED}"
    then: |
      ask "crm" else route "backup"
      set to.user = lookup.crm.number
      route "gateway"
  - name: beside
    when: true
    then: route "gateway"
"""
LOOKUPS = """\
lookups:
  crm:
    url: http://127.0.0.1:%d/route
    timeout: 1s
    facts: [from.user, to.user, call.id]
    answers: {number: text, blocked: boolean}
    failures: %d
    pause: 500ms
"""
TRUNK = "trunk: {name}\npeers: ['127.0.0.1:{port}']\nlistener: udp\n"
RATE, CALLS = 25, 550  # of those who ask, and as many of those who do not


class Loaded:
    """A running SBC, a service, two callees and two callers: one whose calls ask, one whose calls do not."""

    def __init__(self, sbc: Attacked, root: Path) -> None:
        self.sbc = sbc
        self.crm = Service(always(GOOD))
        taking = SippSettings("callee_lossy", patient=True, linger=4000)
        self.callees = [Sipp(name, root / name, taking) for name in ("gateway", "backup")]
        # A machine that is slower than they are is given fewer calls a second, and not ever more at once.
        terms = SippSettings(
            "caller", remote_port=sbc.udp, calls=CALLS, rate=RATE, limit=60, seconds=120, patient=True
        )
        self.callers = [
            Sipp(name, root / name, replace(terms, service=number))
            for name, number in (("asks", ASKED), ("beside", BESIDE))
        ]
        self.words = (sbc.directory / "sbc.yaml").read_text()
        for each in self.callees:
            path = sbc.directory / "trunks.d" / f"{each.name}.yaml"
            path.write_text(TRUNK.format(name=each.name, port=each.port))
        (sbc.directory / "routes.d" / "10-lab.yaml").write_text(ROUTES)
        self.configure()

    def configure(self, failures: int = 1000) -> None:
        (self.sbc.directory / "sbc.yaml").write_text(self.words + LOOKUPS % (self.crm.port, failures))
        answer = ask(self.sbc.directory / "run" / "sbc.sock", "reload")
        assert answer["changed"], answer

    def records(self, called: str) -> list[dict[str, Any]]:
        """Those of the calls that asked, or of those that did not, in the order in which they ended."""
        return [each for each in self.sbc.records() if each["called"] == called]

    def go_on(self, count: int, holds: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Wait for ``count`` calls more that asked and of which ``holds`` is true; their records."""
        before = len(self.records(ASKED))

        def seen() -> list[dict[str, Any]]:
            return [each for each in self.records(ASKED)[before:] if holds(each)]

        def is_over(found: list[dict[str, Any]]) -> bool:
            return len(found) >= count

        return until(seen, f"{count} calls of this kind", 60, holds=is_over)

    def service(self) -> dict[str, Any]:
        (found,) = ask(self.sbc.directory / "run" / "sbc.sock", "status")["lookups"]
        return dict(found)

    def close(self) -> None:
        for each in (*self.callers, *self.callees):
            each.stop()
        self.crm.close()


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Loaded]:
    needs("sipp")
    attacked = Attacked(tmp_path / "sbc-lk", srtp="accept", media=800)
    made = Loaded(attacked, tmp_path)
    try:
        for each in (*made.callees, *made.callers):
            each.start()
        yield made
    finally:
        made.close()
        status = attacked.close()
    attacked.unharmed()
    assert status == 0


def answered(record: dict[str, Any]) -> bool:
    """Whether the service's answer is what the call went by."""
    return bool(record["lookups"])


def left(record: dict[str, Any]) -> bool:
    """Whether the call went the way of no answer."""
    return not record["lookups"]


def overtaken(record: dict[str, Any], beside: list[dict[str, Any]]) -> int:
    """How many of the calls beside it began after it and were answered before it was."""
    began, until_then = record["started"], record["answered"]
    return len([each for each in beside if each["started"] > began and each["answered"] < until_then])


def lies() -> Reply:
    """One wrong answer after another."""
    wrong: list[Reply] = [
        always({"number": 5, "blocked": False}), always({"number": "+1"}), always({"route": "nowhere"}),
        always({"number": "+1\r\nX: y", "blocked": False}), always([]), always(b"<html>"),
        lambda sock, body: said(GOOD, "302 Found", "Location: http://127.0.0.1:1/"), breaks_off, drips,
    ]  # fmt: skip
    turn = itertools.cycle(wrong)
    return lambda sock, body: next(turn)(sock, body)


def test_each_call_goes_its_way_whatever_the_service_does(loaded: Loaded) -> None:
    loaded.go_on(20, answered)
    loaded.crm.reply = lies()
    loaded.go_on(30, left)
    loaded.crm.reply = hangs
    hung = loaded.go_on(30, left)[-10:]
    loaded.crm.reply = huge
    loaded.go_on(30, left)
    loaded.crm.reply = always(GOOD)
    loaded.go_on(20, answered)
    loaded.configure(failures=3)  # from here on it is left alone where it fails
    loaded.crm.close()
    loaded.go_on(50, left)
    loaded.sbc.lines("[lookup]", event="lookup-down")
    loaded.crm = Service(always(GOOD), port=loaded.crm.port)
    loaded.go_on(20, answered)
    loaded.sbc.lines("[lookup]", event="lookup-up")

    for caller in loaded.callers:  # none was refused, forgotten or answered twice
        counts = caller.finish(120)
        assert (counts.successful, counts.failed, counts.unexpected) == (CALLS, 0, 0), counts
    loaded.sbc.records(2 * CALLS)
    asked, beside = loaded.records(ASKED), loaded.records(BESIDE)
    assert (len(asked), len(beside)) == (CALLS, CALLS)
    for each in asked:
        way = "gateway" if answered(each) else "backup"
        assert (each["status"], each["b"]["trunk"]) == (200, way), each
    assert {(each["status"], each["b"]["trunk"]) for each in beside} == {(200, "gateway")}
    for each in hung:  # a second's worth of calls that ask nobody have gone by meanwhile
        assert overtaken(each, beside), each
    kinds = dict(loaded.service()["counts"])
    assert loaded.service()["under_way"] == 0 and loaded.sbc.held() == {"calls": 0, "ports": 0}
    assert {"answered", "timeout", "no-answer", "broken-off", "open"} <= set(kinds), kinds
