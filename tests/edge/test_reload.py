"""Reloading a running SBC: what changes at once, what stays, and what changes nothing at all."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.pki import LabAuthority
from sbc.demo.tls import Refused, connect
from sbc.sip.message import Message, Request, Response
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import sbc as command
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

DENY = 'rules:\n  - name: nobody calls\n    when: true\n    then: reject 403 "Closed"\n'


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("rl")) as made:
        yield made


def reload(running: Attacked) -> dict[str, Any]:
    """Reload by the control socket; what it answered."""
    answer: dict[str, Any] = ask(running.directory / "run" / "sbc.sock", "reload")
    return answer


def status(running: Attacked) -> dict[str, Any]:
    found: dict[str, Any] = ask(running.directory / "run" / "sbc.sock", "status")
    return found


def edit(running: Attacked, name: str, old: str, new: str) -> None:
    """Replace a text in a file of the configuration, as an editor does: all at once."""
    path = running.directory / name
    text = path.read_text()
    assert old in text, text
    fresh = path.with_suffix(".new")
    fresh.write_text(text.replace(old, new))
    fresh.rename(path)


def turned_away(running: Attacked) -> bool:
    """Whether the SBC refuses the office; a TLS 1.3 client believes at first that it was let in."""
    try:
        return running.office.dial(running.address, SBC_NAME).wait_closed(30)
    except Refused:
        return True


def call(running: Attacked) -> AgentCall:
    placed = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    placed.wait_up(30)
    return placed


def test_running_calls_keep_the_old_rules_and_new_calls_get_the_new(running: Attacked) -> None:
    old = call(running)
    assert old.state == "up", old.reason
    (running.directory / "routes.d" / "01-deny.yaml").write_text(DENY)
    assert reload(running)["changed"]
    new = call(running)
    assert (new.state, new.status, new.reason) == ("failed", 403, "Closed")
    again = old.request("INVITE")
    again.headers.set("Contact", old.party.contact)
    again.headers.set("Content-Type", "application/sdp")
    again.body = old.invite.body
    old.link.send(again)
    carrier = running.carrier.calls[next(iter(running.carrier.calls))]
    until(lambda: [e for e in running.carrier.record if _is(e, "INVITE", 2)], "the re-INVITE crosses")
    assert carrier.state == "up"
    old.hang_up()
    assert old.wait_over(30) and carrier.wait_over(30)


def _is(exchange: Any, method: str, number: int) -> bool:
    message = exchange.message
    return bool(
        message.is_request
        and not exchange.outgoing
        and message.method == method
        and message.cseq.number == number
    )


def test_requests_and_responses_bear_the_name_that_the_configuration_gives_us(running: Attacked) -> None:
    settings = running.directory / "sbc.yaml"
    settings.write_text(settings.read_text() + "user_agent: Our gateway\n")
    assert reload(running)["changed"]
    placed = call(running)
    assert placed.state == "up", placed.reason
    placed.hang_up()
    assert placed.wait_over(30)
    requests = [
        e.message for e in running.carrier.record if isinstance(e.message, Request) and not e.outgoing
    ]
    assert {each.method for each in requests} >= {"INVITE", "ACK", "BYE"}
    assert [each.method for each in requests if names(each) != ["Our gateway"]] == []
    answers = [e.message for e in running.office.record if isinstance(e.message, Response) and not e.outgoing]
    assert {each.status for each in answers} >= {100, 200}
    assert [each.status for each in answers if names(each) != ["Our gateway"]] == []


def names(message: Message) -> list[str]:
    """Under which names a message was sent."""
    return list(message.headers.get_all("User-Agent" if isinstance(message, Request) else "Server"))


def test_a_removed_trunk_loses_its_connections_at_once(running: Attacked) -> None:
    link = running.office.dial(running.address, SBC_NAME)
    (running.directory / "trunks.d" / "office.yaml").unlink()
    edit(running, "routes.d/10-lab.yaml", 'route "office"', "reject 404")
    assert reload(running)["changed"]
    assert link.wait_closed(30), "the live connection is dropped"
    assert turned_away(running)
    assert {each["name"] for each in status(running)["trunks"]} == {"carrier", "plain"}


def test_an_authority_that_is_no_longer_trusted_takes_its_connections_along(running: Attacked) -> None:
    link = running.office.dial(running.address, SBC_NAME)
    other = LabAuthority("another CA")
    (running.directory / "tls" / "other-ca.pem").write_bytes(other.cert_pem)
    edit(running, "sbc.yaml", "tls/lab-ca.pem", "tls/other-ca.pem")
    assert reload(running)["changed"]
    assert link.wait_closed(30)
    assert turned_away(running)


def test_a_new_server_certificate_serves_the_next_handshake_and_disturbs_nobody(running: Attacked) -> None:
    old = call(running)
    tls = running.directory / "tls"
    fresh_ca = LabAuthority("fresh CA")
    fresh = fresh_ca.issue(dns=[SBC_NAME])
    (tls / "fresh-ca.pem").write_bytes(fresh_ca.cert_pem)
    (tls / "sbc.pem").write_bytes(fresh.chain_pem)
    (tls / "sbc.key").write_bytes(fresh.key_pem)
    assert reload(running)["changed"]
    stream = connect(running.address, SBC_NAME, tls / "fresh-ca.pem", running.office.credentials)
    stream.close()
    assert old.state == "up"
    old.hang_up()
    assert old.wait_over(30), "the old connection went on"


def test_a_port_that_is_added_is_bound_and_one_that_is_removed_is_closed(running: Attacked) -> None:
    port = free_port()  # one that no other test is given meanwhile
    edit(running, "sbc.yaml", "identities:", f"  more: {{bind: {HOST}:{port}, transport: tcp}}\nidentities:")
    assert reload(running)["changed"]
    # No trunk admits us there, and the reset may be quicker than we are; but somebody listens.
    with contextlib.suppress(ConnectionResetError):
        socket.create_connection((HOST, port), 2).close()
    edit(running, "sbc.yaml", f"  more: {{bind: {HOST}:{port}, transport: tcp}}\n", "")
    assert reload(running)["changed"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port), 2)


def test_a_port_in_use_makes_the_reload_fail_and_changes_nothing(running: Attacked) -> None:
    before = status(running)
    live = call(running)
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        edit(
            running,
            "sbc.yaml",
            "identities:",
            f"  more: {{bind: {HOST}:{port}, transport: tcp}}\nidentities:",
        )
        (running.directory / "routes.d" / "01-deny.yaml").write_text(DENY)
        for name in ("sbc.pem", "sbc.key"):
            (running.directory / "tls" / f"{name}.next").write_bytes(
                (running.directory / "tls" / name).read_bytes()
            )
        answer = command(running.directory, "reload")
        ready = command(running.directory, "certs", "ready", "sbc")
    assert answer.status == 1
    assert ready.status == 1 and "nothing is staged for 'sbc'" in ready.err
    assert f"listener more: cannot bind tcp {HOST}:{port}: Address already in use" in answer.err
    after = status(running)
    assert after["version"] == before["version"]
    assert [each["name"] for each in after["listeners"]] == ["tls", "udp"]
    second = call(running)
    assert second.state == "up", "the old rules hold"
    for each in (live, second):
        each.hang_up()
        assert each.wait_over(30)


def test_settings_that_wait_for_a_restart_are_named(running: Attacked) -> None:
    first = running.ports.media
    edit(running, "sbc.yaml", f"ports: {first}-{first + 99}", f"ports: {first}-{first + 199}")
    with (running.directory / "sbc.yaml").open("a") as settings:
        settings.write("state: elsewhere\n")
    answer = command(running.directory, "reload")
    assert answer.status == 0
    for key in ("media.ports", "state"):
        assert f"sbc.yaml: {key} takes effect at the next start" in answer.err
    assert "media.address" not in answer.err and "admin" not in answer.err
    until(lambda: "media.ports takes effect at the next start" in running.log())
    edit(running, "sbc.yaml", "state: elsewhere\n", "")
    assert not [line for line in reload(running)["lines"] if "state" in line]


def test_a_changed_file_reloads_by_itself_and_a_broken_one_changes_nothing(running: Attacked) -> None:
    before = status(running)["version"]
    deny = running.directory / "routes.d" / "01-deny.yaml"
    deny.write_text("rules: [")
    until(lambda: "01-deny.yaml" in running.log(), "the mistake is in the log")
    assert status(running)["version"] == before
    deny.write_text(DENY)
    until(lambda: status(running)["version"] != before)
    assert call(running).status == 403


def test_sighup_reloads(running: Attacked) -> None:
    before = status(running)["version"]
    (running.directory / "routes.d" / "01-deny.yaml").write_text(DENY)
    running.sbc._process.send_signal(signal.SIGHUP)
    until(lambda: status(running)["version"] != before)


def test_many_reloads_at_once_are_one_after_the_other(running: Attacked) -> None:
    deny = running.directory / "routes.d" / "01-deny.yaml"
    jobs = []
    for number in range(6):
        deny.write_text(DENY + f"# {number}\n")
        jobs.append(gevent.spawn(reload, running))
    gevent.joinall(jobs, timeout=20)
    final = reload(running)
    assert all(job.value["changed"] for job in jobs)
    assert status(running)["version"] == final["version"]


def test_an_emptied_file_of_rules_is_refused_and_calls_go_on(running: Attacked) -> None:
    before = status(running)["version"]
    routes = running.directory / "routes.d" / "10-lab.yaml"
    text = routes.read_text()
    routes.write_text("")
    until(lambda: "10-lab.yaml: error: the file is empty" in running.log(), "the watch has tried it")
    placed = call(running)
    assert placed.state == "up" and status(running)["version"] == before
    routes.write_text(text)
    assert reload(running)["version"] == before
    placed.hang_up()
    assert placed.wait_over(30)


def test_a_configuration_without_rules_comes_into_force_only_when_somebody_insists(
    running: Attacked, tmp_path: Path
) -> None:
    before = status(running)["version"]
    (running.directory / "routes.d").rename(tmp_path / "away")
    refused = command(running.directory, "reload")
    assert refused.status == 1 and status(running)["version"] == before
    assert refused.err.splitlines()[:2] == [
        "routes.d: error: no rule is left: every call would get 404",
        "    hint: put it back, or insist: sbc reload --force",
    ]
    assert call(running).state == "up"
    assert command(running.directory, "reload", "--force").status == 0
    assert call(running).status == 404
    (tmp_path / "away").rename(running.directory / "routes.d")
    assert reload(running)["version"] == before


def test_a_directory_that_vanishes_changes_nothing(running: Attacked, tmp_path: Path) -> None:
    before = status(running)["version"]
    (running.directory / "trunks.d").rename(tmp_path / "away")
    answer = reload(running)
    assert not answer["changed"] and answer["version"] == before
    (tmp_path / "away").rename(running.directory / "trunks.d")
    assert reload(running)["version"] == before
