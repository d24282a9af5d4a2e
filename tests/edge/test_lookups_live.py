"""Calls whose rules ask a real service, through a running SBC: the else counts, and all others go on."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from sbc.demo.lab import HOST, SBC_NAME
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.answering import Service, always, breaks_off, hangs, huge, said
from tests.edge.attacked import Attacked
from tests.edge.test_udp_calls import Gateway, via_of
from tests.peers.asking import ask
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow

ROUTES = """\
rules:
  - name: ask
    when: to.user starts with "+49"
    then: |
      ask "crm" else reject 480 "Nobody answers"
      set to.user = lookup.crm.number
      continue
  - name: blocked
    when: lookup.crm.blocked == true
    then: reject 603
  - name: over
    when: true
    then: route "gateway"
"""
LOOKUPS = """\
lookups:
  crm:
    url: http://127.0.0.1:%d/route?key=hidden
    timeout: %s
    facts: [from.user, to.user, trunk]
    answers: {number: text, blocked: boolean}
    decides: true
    failures: %d
    pause: 300ms
"""


class Asking(Gateway):
    """A gateway whose rules ask ``crm`` about numbers of +49; a callee that takes every call."""

    def __init__(self, sbc: Attacked) -> None:
        self.crm = Service(always({"number": "+4930", "blocked": False}))
        super().__init__(sbc)
        self.words = (sbc.directory / "sbc.yaml").read_text()
        self.configure()
        self.numbers = itertools.count()
        self._taker = gevent.spawn(self._take)

    def configure(self, timeout: str = "20s", failures: int = 1000) -> None:
        directory = self.sbc.directory
        text = self.words + LOOKUPS % (self.crm.port, timeout, failures)
        (directory / "sbc.yaml").write_text(text)
        (directory / "routes.d" / "10-lab.yaml").write_text(ROUTES)
        self.reload()

    def _take(self) -> None:
        seen: set[int] = set()
        while True:
            for each in list(self.callee.heard):
                if isinstance(each, Request) and each.method == "INVITE" and id(each) not in seen:
                    seen.add(id(each))
                    answer = response_to(each, 486, "Busy", "callee")
                    self.callee.send(serialize(answer))
            gevent.sleep(0.01)

    def call(self, user: str) -> str:
        """Begin a call; its Call-ID."""
        call_id = os.urandom(8).hex()
        to = f"sip:{user}@{SBC_NAME}"
        fields = {
            "Via": via_of(self.caller), "Max-Forwards": "70",
            "From": f"<sip:caller@plain.example>;tag={os.urandom(4).hex()}",
            "To": f"<{to}>", "Call-ID": call_id, "CSeq": "1 INVITE",
            "Contact": f"<sip:caller@{HOST}:{self.caller.port}>",
        }  # fmt: skip
        self.caller.send(serialize(Request("INVITE", to, Headers(list(fields.items())))))
        return call_id

    def final(self, call_id: str) -> Response | None:
        """The final response to a call, where there is one."""
        for each in self.caller.heard:
            if isinstance(each, Response) and each.status >= 200 and each.call_id == call_id:
                return each
        return None

    def ends(self, call_id: str) -> int:
        """The status with which a call ended, as soon as it did."""
        found = until(lambda: self.final(call_id), call_id)
        assert found is not None
        return found.status

    def called(self, start: str = "") -> list[str]:
        """Whom the callee was called as."""
        heard = [each for each in self.callee.heard if isinstance(each, Request) and each.method == "INVITE"]
        users = dict.fromkeys(
            [(each.call_id, each.uri.removeprefix("sip:").partition("@")[0]) for each in heard]
        )
        return [user for _, user in users if user.startswith(start)]

    def status(self) -> dict[str, Any]:
        (found,) = ask(self.sbc.directory / "run" / "sbc.sock", "status")["lookups"]
        return dict(found)

    def close(self) -> None:
        self._taker.kill()
        self.crm.close()
        super().close()


@pytest.fixture
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asking]:
    attacked = Attacked(tmp_path_factory.mktemp("lk"), srtp="accept")
    made = Asking(attacked)
    yield made
    made.close()
    attacked.unharmed()
    assert attacked.close() == 0


def test_what_a_service_answers_becomes_of_the_call(asking: Asking) -> None:
    assert asking.ends(asking.call("+491")) == 486 and asking.called() == ["+4930"]
    assert asking.crm.questions[0] == {"from.user": "caller", "to.user": "+491", "trunk": "plain"}
    asking.crm.reply = always({"number": "", "blocked": True})
    assert asking.ends(asking.call("+492")) == 603
    asking.crm.reply = always({"reject": 404, "reason": "Unknown"})
    assert asking.ends(asking.call("+493")) == 404
    asking.crm.reply = always({"route": "gateway", "set": {"to.user": "+44 (20) 7"}})
    assert asking.ends(asking.call("+494")) == 486 and asking.called("+44") == ["+44207"]
    assert asking.ends(asking.call("+1")) == 486 and len(asking.crm.questions) == 4
    records = asking.sbc.records(5)
    assert [each["lookups"] for each in records] == [
        {"crm": {"number": "+4930", "blocked": False}}, {"crm": {"number": "", "blocked": True}},
        {"crm": {"reject": 404, "reason": "Unknown"}},
        {"crm": {"route": "gateway", "set": {"to.user": "+44 (20) 7"}}}, {},
    ]  # fmt: skip
    assert records[3]["rule"].endswith(", then lookup crm")
    counts = dict(asking.status()["counts"])
    assert counts["answered"] == 4 and asking.crm.connections == 1


def test_whatever_it_does_its_calls_take_the_else_and_all_others_go_on(asking: Asking) -> None:
    asking.configure("150ms")
    for number, (reply, kind) in enumerate(
        (
            (hangs, "timeout"),
            (huge, "no-answer"),
            (breaks_off, "broken-off"),
            (always({"number": 5, "blocked": False}), "no-answer"),
            (always({"route": "nowhere"}), "no-answer"),
            (lambda sock, body: said(b"<html>"), "no-answer"),
            (lambda sock, body: said({}, "500 Oh"), "server-error"),
        )
    ):
        asking.crm.reply = reply
        asked, beside = asking.call(f"+49{number}"), asking.call(f"+1{number}")
        assert asking.ends(beside) == 486
        assert asking.ends(asked) == 480
        assert asking.sbc.lines("[lookup]", event="lookup-failed", kind=kind)
    asking.crm.reply = always({"number": "+4930", "blocked": False})
    until_equal(lambda: asking.ends(asking.call("+499")), 486)
    log = asking.sbc.log()
    assert "hidden" not in log and "<html>" not in log
    assert "lookup-down" not in log


def test_calls_that_do_not_ask_wait_for_nobody(asking: Asking) -> None:
    asking.crm.reply = hangs
    waiting = [asking.call(f"+49{each}") for each in range(30)]
    until(lambda: len(asking.crm.questions) >= 30)
    others = [asking.call(f"+1{each}") for each in range(30)]
    for each in others:
        assert asking.ends(each) == 486
    assert not [each for each in waiting if asking.final(each)]
    assert asking.status()["under_way"] == 30
    asking.crm.close()
    for each in waiting:
        assert asking.ends(each) == 480
    until_equal(lambda: asking.status()["under_way"], 0)


def test_a_service_that_dies_is_left_alone_and_taken_up_when_it_is_back(asking: Asking) -> None:
    asking.configure("1s", failures=3)
    assert asking.ends(asking.call("+490")) == 486
    asking.crm.close()
    for each in range(1, 8):
        assert asking.ends(asking.call(f"+49{each}")) == 480
        assert asking.ends(asking.call(f"+1{each}")) == 486
    (down,) = asking.sbc.lines("[lookup]", event="lookup-down")
    assert down["lookup"] == "crm" and down["reason"].startswith("connection refused")
    asking.crm = Service(always({"number": "+4930", "blocked": False}), port=asking.crm.port)
    until_equal(lambda: asking.ends(asking.call("+499")), 486)
    asking.sbc.lines("[lookup]", event="lookup-up")
    assert asking.status()["state"] == "closed"
    page = json.dumps(asking.status())
    assert "hidden" not in page


def test_who_hangs_up_meanwhile_is_gone(asking: Asking) -> None:
    asking.crm.reply = hangs
    call_id = asking.call("+491")
    until(lambda: asking.crm.questions)
    (invite,) = [each for each in asking.sbc.calls() if each["called"] == "+491"]
    assert invite["state"] == "routing"
    ask(asking.sbc.directory / "run" / "sbc.sock", "reload")
    asking.crm.close()
    assert asking.ends(call_id) == 480


def test_a_reload_changes_whom_new_calls_ask_and_not_those_that_wait(asking: Asking) -> None:
    asking.crm.reply = hangs
    first = asking.call("+491")
    until(lambda: asking.crm.questions)
    old, asking.crm = asking.crm, Service(always({"reject": 404}))
    asking.configure()
    assert asking.ends(asking.call("+492")) == 404
    assert asking.final(first) is None
    old.close()
    assert asking.ends(first) == 480
