"""Alerts arrive: by mail at a real SMTP server, in Teams' form over HTTPS; a dead sink loses nothing.

What is an alert and when it is told is held in tests/unit/observe/test_alerts.py; here is what becomes of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.base import LocalError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import SnapshotStore
from sbc.demo.pki import write_lab
from sbc.net.alerts import alerting
from sbc.net.alerts.alerting import EVERY, SETTLED, STATE, WAITING, Alerting
from sbc.net.alerts.apprise_sink import without_secrets
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.observe.views import CountersView, StatusView
from sbc.policy.allowances import SpentView
from tests.peers.kept import keep, kept
from tests.peers.lab import Lab
from tests.peers.ports import free_port
from tests.peers.sinks import MailServer, WebSink
from tests.peers.waiting import until
from tests.unit.config.configuration import FILES, SBC

SECRET = "Zq7vTokenThatNobodyMaySee"
GOOD = StatusView("v1", 0.0, (), (), (), CountersView())
REFUSED = replace(GOOD, refused="sbc.yaml:3: unknown key")


class Watching:
    """Alerting of a configuration with these sinks, and a clock that the test moves."""

    def __init__(self, directory: Path, sinks: str, more: str = "") -> None:
        self.directory = directory
        text = f"{SBC}alerts:\n  to: {sinks}\n{more}"
        (directory / "sbc.yaml").write_text(text)
        self.clock, self.at = Clock(), 1000.0
        self.clock.monotonic = lambda: self.at
        self.now = GOOD
        self.lines: list[dict[str, Any]] = []
        self.store = SnapshotStore(build_snapshot(directory, time.time()))
        self.begin()

    def begin(self) -> None:
        """A process begins."""
        self.saved = Store(self.directory, lambda text: self.lines.append({"text": text}))
        self.alerting = Alerting(self.store, self.saved, self.clock, self._say, lambda: self.now)
        self.alerting.start()

    def _say(self, level: str, tag: str, fields: dict[str, Any]) -> None:
        self.lines.append({"level": level, "tag": tag, **fields})

    def see(self, now: StatusView, after: float = EVERY) -> None:
        """So much later it is like that."""
        self.at += after
        self.now = now
        self.alerting.tick(time.time(), self.at)

    def said(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [each for each in self.lines if each.get("event") == event]


@pytest.fixture
def watching(tmp_path: Path) -> Callable[..., Watching]:
    """Makes one on a right configuration."""

    def make(sinks: str, files: dict[str, str] | None = None, more: str = "") -> Watching:
        write_lab(tmp_path, time.time())
        for name, text in (FILES | (files or {})).items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return Watching(tmp_path, sinks, more)

    return make


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """A mail server."""
    server = MailServer(free_port())
    yield server
    server.close()


def to_mail(port: int, more: str = "") -> str:
    return f'{{noc: "mailto://127.0.0.1:{port}?from=sbc@lab.example&to=noc@lab.example"{more}}}'


def test_what_is_wrong_and_that_it_is_over_arrive_by_mail(watching: Any, mail: MailServer) -> None:
    here = watching(to_mail(mail._controller.port))
    here.see(GOOD)
    here.see(REFUSED, SETTLED)
    (first,) = until(lambda: mail.mails)
    assert first.to == ["noc@lab.example"]
    assert "WARNING: a changed configuration was refused" in first.subject
    assert "sbc.yaml:3: unknown key" in first.text and "sbc check" in first.text
    until(lambda: not len(here.alerting._sinks["noc"].outbox))
    here.see(GOOD)
    until(lambda: len(mail.mails) == 2)
    assert "the configuration is right again" in mail.mails[1].subject
    assert [each["of"] for each in here.said("alert-raised")] == ["reload"]
    assert [each["of"] for each in here.said("alert-over")] == ["reload"]


def test_teams_gets_a_card_over_https_whose_certificate_is_checked(
    watching: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab, port = Lab(tmp_path / "web"), free_port()
    own = lab.issue("teams")
    web = WebSink(port, own)
    try:
        files = {"secrets/teams": f"workflows://127.0.0.1:{port}/{SECRET}/{SECRET}Sig/\n"}
        here = watching("{teams: {url_file: secrets/teams}}", files)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
        (outcome,) = here.alerting.test()["sinks"]
        assert not web.posts and outcome["problem"] and SECRET not in str(outcome)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(own.ca))
        assert here.alerting.test("teams")["sinks"] == [{"name": "teams", "problem": ""}]
        ((path, card),) = web.posts
        assert SECRET in path and "alerts of Portcullis arrive here" in str(card)
        with pytest.raises(LocalError, match="alerts go to no 'x'; there are teams"):
            here.alerting.test("x")
    finally:
        web.close()


def unreached(watching: Any, port: int) -> Any:
    """An alerting whose one sink, by mail to ``port``, was not reached with what it had to tell."""
    here = watching(to_mail(port))
    here.see(GOOD)
    here.see(REFUSED)
    until(lambda: here.said("alert-failed"))
    return here


def test_a_dead_sink_is_said_once_and_what_waited_comes_when_it_is_back(watching: Any) -> None:
    port = free_port()
    here = unreached(watching, port)
    for _ in range(3):
        here.see(GOOD, 400.0)
        gevent.sleep(0.05)
        until(lambda: not here.alerting._sinks["noc"].outbox._taken)
    (failed,) = here.said("alert-failed")
    assert failed["sink"] == "noc" and failed["level"] == "WRN" and failed["reason"]
    mail = MailServer(port)
    try:
        here.see(GOOD, 400.0)
        (both,) = until(lambda: mail.mails)
        assert "refused" in both.text and "right again" in both.text
        until(lambda: here.said("alert-delivered"))
    finally:
        mail.close()


def test_what_waits_for_a_dead_sink_survives_restarts_and_arrives_once(watching: Any) -> None:
    port = free_port()
    here = unreached(watching, port)
    for _ in range(2):
        here.alerting.close()
        here.saved.close()
        here.begin()
    (waiting,) = kept(here.directory, WAITING).values()
    assert waiting["condition"]["key"] == "reload"
    here.see(GOOD, SETTLED + EVERY)
    until(lambda: len(here.said("alert-failed")) == 2)
    mail = MailServer(port)
    try:
        here.see(GOOD, 400.0)
        (both,) = until(lambda: mail.mails)
        assert "refused" in both.text and "right again" in both.text
        until(lambda: not len(here.alerting._sinks["noc"].outbox))
        here.saved.close()
        assert kept(here.directory, WAITING) == {}
        here.begin()
        here.see(GOOD)
        here.see(replace(GOOD, refused="sbc.yaml:4: another"), 1000.0)
        until(lambda: len(mail.mails) == 2)
        assert "another" in mail.mails[1].text and "right again" not in mail.mails[1].text
    finally:
        mail.close()


def test_what_waited_for_a_sink_that_is_no_more_goes(watching: Any) -> None:
    here = watching(to_mail(free_port()))
    here.see(REFUSED)
    until(lambda: here.said("alert-failed"))
    here.saved.wait()
    assert len(kept(here.directory, WAITING)) == 1
    settings = here.directory / "sbc.yaml"
    settings.write_text(settings.read_text().replace("{noc:", "{desk:"))
    here.store.swap(build_snapshot(here.directory, time.time()))
    here.alerting.apply(here.store.current)
    here.saved.wait()
    assert kept(here.directory, WAITING) == {}


@pytest.mark.parametrize("saved", [3, {}, {"kind": "x"}, {"kind": "alert", "condition": {"key": 1}}])
def test_a_notice_that_nobody_can_read_is_put_aside(watching: Any, mail: MailServer, saved: Any) -> None:
    here = watching(to_mail(mail._controller.port))
    here.saved.close()
    keep(here.directory, WAITING, {"noc 1": saved, "noc x": saved})
    here.begin()
    assert any("2 entries of notices" in str(each.get("text")) for each in here.lines)
    here.see(REFUSED)
    until(lambda: mail.mails)


@pytest.mark.slow
def test_a_sink_that_hangs_holds_up_neither_the_others_nor_the_end(
    watching: Any, mail: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerting, "PATIENCE", 0.3)
    monkeypatch.setattr(alerting, "LAST_WITHIN", 0.3)
    silent = socket.create_server(("127.0.0.1", 0))
    files = {"secrets/silent": f"jsons://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"}
    sinks = to_mail(mail._controller.port, ", silent: {url_file: secrets/silent}")
    here = watching(sinks, files)
    here.see(REFUSED)
    (first,) = until(lambda: mail.mails)
    assert "refused" in first.text and len(here.alerting._sinks["silent"].outbox) == 1
    outcome = here.alerting.test("silent")["sinks"]
    assert outcome == [{"name": "silent", "problem": "it has not answered within 0.3 s"}]
    here.see(GOOD, SETTLED)
    until(lambda: len(mail.mails) == 2)
    here.alerting.close()
    assert not here.said("alert-failed"), "it is waited for still"
    silent.close()
    (failed,) = until(lambda: here.said("alert-failed"))
    assert failed["sink"] == "silent" and SECRET not in str(failed)


@pytest.mark.slow
def test_what_waits_goes_to_another_address_when_the_file_has_one(watching: Any, mail: MailServer) -> None:
    dead = free_port()
    url = "mailtos://u:{}@127.0.0.1:{}?from=sbc@lab.example&to=noc@lab.example"
    here = watching("{noc: {url_file: secrets/noc}}", {"secrets/noc": url.format(SECRET, dead)})
    here.see(REFUSED)
    (failed,) = until(lambda: here.said("alert-failed"))
    assert SECRET not in str(failed)
    right = f"mailto://127.0.0.1:{mail._controller.port}?from=sbc@lab.example&to=noc@lab.example"
    (here.directory / "secrets" / "noc").write_text(right)
    here.store.swap(build_snapshot(here.directory, time.time()))
    here.alerting.apply(here.store.current)
    here.see(REFUSED, 1.0)
    (first,) = until(lambda: mail.mails)
    assert "refused" in first.subject


def test_numbers_are_left_out_where_the_journal_leaves_them_out(watching: Any, mail: MailServer) -> None:
    here = watching(to_mail(mail._controller.port), more="log: {mask_numbers: 4}\n")
    spent = SpentView("60 minutes from.user +4930123456", "60 minutes a day", 60, 60, 1, 0.0, False)
    here.see(replace(GOOD, limits=(spent,)))
    (first,) = until(lambda: mail.mails)
    assert "+493012xxxx" in first.text and "123456" not in first.text


def test_a_restart_tells_nothing_again_and_knows_what_is_over(watching: Any, mail: MailServer) -> None:
    here = watching(to_mail(mail._controller.port))
    here.see(GOOD)
    here.see(REFUSED)
    until(lambda: len(mail.mails) == 1)
    until(lambda: not len(here.alerting._sinks["noc"].outbox), "it is known to have arrived")
    here.saved.close()
    assert kept(here.directory, STATE)
    here.begin()
    here.see(REFUSED)
    here.see(GOOD, SETTLED)
    until(lambda: len(mail.mails) == 2)
    assert "right again" in mail.mails[1].subject
    assert len(here.said("alert-raised")) == 1


def test_state_that_nobody_can_read_is_said_and_begun_anew(watching: Any, mail: MailServer) -> None:
    here = watching(to_mail(mail._controller.port))
    here.saved.close()
    keep(here.directory, STATE, {"reload": 3})
    here.begin()
    assert any("1 entries of alerts" in str(each.get("text")) for each in here.lines)
    here.see(REFUSED)
    until(lambda: mail.mails)


@pytest.mark.parametrize(
    "text",
    [
        f"HTTPSConnectionPool(host='hooks.slack.com'): /services/T1/B1/{SECRET} refused",
        f"failed for {SECRET}%2Fx and {SECRET}/x\r\nforged",
    ],
)
def test_no_piece_of_an_address_is_in_what_is_said_of_a_failure(text: str) -> None:
    said = without_secrets(f"slack://T1JJ3T3L2/A1BRTD4JD/{SECRET}%2Fx/", text)
    assert SECRET not in said and "\n" not in said and "[redacted]" in said
