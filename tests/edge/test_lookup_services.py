"""Services that are asked over real connections: whatever they do, whoever asks hears of it in time."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import ssl
from gevent.event import Event

from sbc.b2bua.commands import Note
from sbc.config.lookup import Lookup, LookupConfig
from sbc.config.model import Identity
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority
from sbc.net.lookups.asked import Asked, Lookups
from sbc.net.system.clock import Clock
from sbc.policy.inquiries import BUSY, UNASKED
from sbc.tls.material.identity import load_identity
from tests.edge.answering import (
    Service,
    always,
    always_continues,
    breaks_off,
    drips,
    hangs,
    huge,
    said,
    service,
)
from tests.peers.waiting import until, until_equal
from tests.playbook.stage import snapshot

GOOD = {"number": "+1", "blocked": False}
CALL = (("from.user", "alice"), ("to.user", "+49"))
PATIENT = "20s"


class Desk:
    """One who asks, and what was told of it."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.lookups = Lookups(Clock(), self.notes.append)

    def ask(self, lookup: Lookup, number: str = "+49") -> Asked:
        return self.lookups.ask(lookup, (("from.user", "alice"), ("to.user", number)), "a", "call-1")

    def failed(self) -> list[tuple[str, str]]:
        return [
            (each.fields["kind"], each.fields["reason"])
            for each in self.notes
            if each.event == "lookup-failed"
        ]


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.lookups.apply(snapshot())  # every connection is closed


def lookup(url: str, token: str = "", ca_pem: str = "", identity: Any = None, **words: Any) -> Lookup:
    given = {
        "url": url, "facts": ["from.user", "to.user"], "timeout": PATIENT,
        "answers": {"number": "text", "blocked": "boolean"}, **words,
    }  # fmt: skip
    config = LookupConfig.model_validate(given)
    name = f"{url} {token} {len(ca_pem)} {identity is not None} {words}"
    return Lookup("crm", config, config.service("crm"), frozenset(("a",)), ca_pem, identity, token, "", name)


def test_a_question_is_json_and_so_is_its_answer(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        answer = desk.ask(lookup(there.url())).wait()
        assert answer is not None and dict(answer.variables) == GOOD
        assert there.questions == [{"from.user": "alice", "to.user": "+49"}]
        head = there.heads[0].split("\r\n")
        assert head[0] == "POST /route?key=hidden HTTP/1.1" and f"Host: 127.0.0.1:{there.port}" in head
        assert "Content-Type: application/json" in head and "Authorization" not in there.heads[0]
    assert desk.notes == []


def test_a_connection_is_used_again(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        asked = lookup(there.url())
        for number in ("1", "2", "3"):
            assert desk.ask(asked, number).wait() is not None
        assert (there.connections, len(there.questions)) == (1, 3)


def test_chunks_are_put_together_and_the_connection_is_kept(desk: Desk) -> None:
    data = b'{"number": "+1", "blocked": false}'
    chunks = b"".join([b"%x\r\n%s\r\n" % (len(each), each) for each in (data[:5], data[5:])])
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    with service(lambda _sock, _body: chunked) as there:
        asked = lookup(there.url())
        assert desk.ask(asked, "1").wait() is not None and desk.ask(asked, "2").wait() is not None
        assert there.connections == 1


def test_a_connection_that_was_closed_meanwhile_costs_no_call(desk: Desk) -> None:
    with service(always(GOOD)) as there:

        def once(sock: Any, _body: bytes) -> None:
            sock.sendall(said(GOOD))  # and closes, although nothing said so

        there.reply = once
        asked = lookup(there.url())
        assert desk.ask(asked, "1").wait() is not None
        until_equal(lambda: there.closed, 1)
        assert desk.ask(asked, "2").wait() is not None
        assert there.connections == 2 and desk.notes == []


def test_connection_close_is_obeyed(desk: Desk) -> None:
    with service(always(GOOD, "Connection: close")) as there:
        asked = lookup(there.url())
        for number in ("1", "2"):
            assert desk.ask(asked, number).wait() is not None
        assert there.connections == 2 and desk.notes == []


def test_what_nobody_needs_is_closed(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        asked = lookup(there.url())
        assert desk.ask(asked).wait() is not None
        desk.lookups.tick(Clock().monotonic() + 14)
        assert there.closed == 0
        desk.lookups.tick(Clock().monotonic() + 16)
        until_equal(lambda: there.closed, 1)


@pytest.mark.parametrize(
    ("reply", "kind", "reason"),
    [
        (breaks_off, "broken-off", "its answer broke off"),
        (lambda sock, body: None, "broken-off", "its answer broke off: RemoteDisconnected"),
        (huge, "no-answer", "its answer is over 65536 bytes long"),
        (always_continues, "no-answer", "its answer is over 65536 bytes long"),
        (always({"number": 5, "blocked": False}), "no-answer", "what it says is no answer: number is not a"),
        (always({"route": "a"}), "no-answer", "what it says is no answer: it decides, and only variables"),
        (always(b"<html>"), "no-answer", "what it says is no answer: it is not JSON"),
        (always(b"[" * 60000), "no-answer", "what it says is no answer: it is not JSON"),
        (lambda sock, body: said(GOOD, "500 Oh"), "server-error", "HTTP 500"),
        (lambda sock, body: said(GOOD, "404 No"), "no-answer", "HTTP 404"),
        (lambda sock, body: said(GOOD, "204 Nothing"), "no-answer", "HTTP 204"),
        (lambda sock, body: b"SSH-2.0-OpenSSH_9.2\r\n", "broken-off", "its answer broke off: BadStatusLine"),
    ],
)  # fmt: skip
def test_what_is_no_answer_says_why(desk: Desk, reply: Any, kind: str, reason: str) -> None:
    with service(reply) as there:
        asked = desk.ask(lookup(there.url()))
        assert asked.wait() is None
        ((found, why),) = desk.failed()
        assert found == kind and why.startswith(reason)
        if reply in (huge, always_continues, breaks_off):
            until_equal(lambda: there.closed, there.connections)


def test_the_longest_answer_is_one_and_one_octet_more_is_none(desk: Desk) -> None:
    body = b'{"number": "+1", "blocked": false' + b" " * 65536
    longest = body[:65535] + b"}"
    with service(always(longest)) as there:
        assert desk.ask(lookup(there.url())).wait() is not None
        there.reply = always(body[:65536] + b"}")
        assert desk.ask(lookup(there.url()), "2").wait() is None


def test_a_redirect_is_not_followed(desk: Desk) -> None:
    with service(always(GOOD)) as there, service(always(GOOD)) as elsewhere:
        there.reply = lambda sock, body: said(b"", "302 Found", f"Location: {elsewhere.url()}")
        assert desk.ask(lookup(there.url())).wait() is None
        assert desk.failed() == [("no-answer", "HTTP 302")] and elsewhere.connections == 0


@pytest.mark.parametrize("reply", [hangs, drips])
def test_who_is_slow_is_not_waited_for_and_holds_nobody_up(desk: Desk, reply: Any) -> None:
    with service(reply) as slow, service(always(GOOD)) as quick:
        late = desk.ask(lookup(slow.url(), timeout="100ms"))
        until(lambda: slow.questions)
        assert not late.over and desk.ask(lookup(quick.url())).wait() is not None
        assert late.wait() is None
        assert desk.failed() == [("timeout", "no answer within 0.1 s")]
        until_equal(lambda: slow.closed, slow.connections) if reply is drips else None


@pytest.mark.slow
def test_what_held_everything_up_is_not_laid_at_the_services_door(desk: Desk) -> None:
    go = Event()

    def in_two(sock: Any, _body: bytes) -> bytes:
        go.wait()
        answer = said(GOOD)
        sock.sendall(answer[:30])
        gevent.sleep(0.02)  # what else there is comes in another round of the loop
        return answer[30:]

    with service(in_two) as there:
        asked = desk.ask(lookup(there.url(), timeout="1s"))
        until(lambda: there.questions)
        time.sleep(3)  # nothing runs meanwhile: no timer, no socket
        go.set()
        assert asked.wait() is not None, desk.notes


def test_nobody_there_and_no_such_name(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        gone = there.url()
    assert desk.ask(lookup(gone)).wait() is None
    assert desk.ask(lookup("http://nobody.invalid/")).wait() is None
    (refused, unknown) = desk.failed()
    assert refused == ("unreachable", "connection refused")
    assert unknown[0] == "unreachable" and unknown[1].startswith("nobody.invalid does not resolve")


def test_equal_questions_share_one_and_answers_are_kept(desk: Desk) -> None:
    go = Event()

    def waits(_sock: Any, _body: bytes) -> bytes:
        go.wait()
        return said(GOOD)

    with service(waits) as there:
        asked = lookup(there.url(), cache="1h", in_flight=2)
        first, second, other = desk.ask(asked), desk.ask(asked), desk.ask(asked, "2")
        refused = desk.ask(asked, "3")
        assert refused.over and refused.answer is None
        assert desk.failed() == [("busy", UNASKED[BUSY])]
        until(lambda: len(there.questions) == 2)
        go.set()
        assert first.wait() is second.wait() is not None and other.wait() is not None
        assert desk.ask(asked).over and desk.ask(asked).answer is not None
        assert len(there.questions) == 2


def test_a_service_that_fails_is_left_alone_and_taken_up_again(desk: Desk) -> None:
    there = Service(always(GOOD))
    asked = lookup(there.url(), failures=2, pause="200ms")
    assert desk.ask(asked, "0").wait() is not None
    there.close()
    for number in ("1", "2"):
        assert desk.ask(asked, number).wait() is None
    assert [each.event for each in desk.notes] == ["lookup-failed", "lookup-failed", "lookup-down"]
    assert desk.notes[-1].fields["reason"].startswith("connection refused; nothing is asked for 0.2 s")
    alone = desk.ask(asked, "3")
    assert alone.over and desk.failed()[-1] == ("open", "it has failed too often and is left alone")
    (view,) = [each for each in _views(desk, asked)]
    assert (view.state, view.host, view.answered, view.unanswered) == ("open", "127.0.0.1", 1, 3)
    again = Service(always(GOOD), port=there.port)
    try:
        until(lambda: desk.ask(asked, "4").wait() is not None)
        assert desk.notes[-1].event == "lookup-up"
        assert desk.ask(asked, "5").wait() is not None
    finally:
        again.close()


def _views(desk: Desk, asked: Lookup) -> list[Any]:
    desk.lookups.apply(_with(asked))
    return list(desk.lookups.views())


def _with(asked: Lookup) -> Snapshot:
    return replace(snapshot(), lookups={"crm": asked})


def test_a_reload_keeps_what_has_not_changed_and_lets_go_of_what_has(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        kept, changed = lookup(there.url(), cache="1h"), lookup(there.url(), cache="2h")
        desk.lookups.apply(_with(kept))
        assert desk.ask(kept).wait() is not None
        desk.lookups.apply(_with(lookup(there.url(), cache="1h")))
        assert desk.ask(kept).over
        desk.lookups.apply(_with(changed))
        until_equal(lambda: there.closed, 1)
        assert not desk.ask(changed).over


def test_no_secret_is_told(desk: Desk) -> None:
    with service(lambda sock, body: said(b"s3cr3t", "500 s3cr3t")) as there:
        assert desk.ask(lookup(there.url(), token="t0k3n")).wait() is None
        assert "Authorization: Bearer t0k3n" in there.heads[0]
    told = repr(desk.notes) + repr(lookup(there.url(), token="t0k3n").token == "")
    assert not [each for each in ("s3cr3t", "t0k3n", "hidden", "alice", "+49") if each in told]


# TLS


@pytest.fixture(scope="module")
def authority() -> LabAuthority:
    return LabAuthority("Services CA")


def serving(authority: LabAuthority, tmp_path: Path, name: str = "127.0.0.1", asks: bool = False) -> Any:
    issued = authority.issue(["localhost"], ips=[name])
    path = tmp_path / "service.pem"
    path.write_bytes(issued.chain_pem + issued.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    if asks:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=authority.cert_pem.decode())
    return context


def test_a_service_is_believed_by_its_certificate(
    desk: Desk, authority: LabAuthority, tmp_path: Path
) -> None:
    with service(always(GOOD), serving(authority, tmp_path)) as there:
        asked = lookup(there.url(True), ca_pem=authority.cert_pem.decode(), token="t0k3n")
        for number in ("1", "2"):
            assert desk.ask(asked, number).wait() is not None, desk.notes
        assert there.connections == 1 and "Authorization: Bearer t0k3n" in there.heads[0]


@pytest.mark.slow
def test_another_ca_another_name_and_no_public_ca_are_refused(
    desk: Desk, authority: LabAuthority, tmp_path: Path
) -> None:
    ours = authority.cert_pem.decode()
    with service(always(GOOD), serving(authority, tmp_path, "127.0.0.9")) as there:
        for url, ca in (
            (there.url(True), ours),
            (there.url(True, "localhost"), LabAuthority("Other CA").cert_pem.decode()),
            (there.url(True, "localhost"), ""),
        ):
            assert desk.ask(lookup(url, ca_pem=ca, token="t0k3n")).wait() is None
        assert desk.ask(lookup(there.url(True, "localhost"), ca_pem=ours)).wait() is not None
        assert len(there.questions) == 1
    whys = [why for _, why in desk.failed()]
    assert all(why.startswith("its certificate is not accepted: ") for why in whys), whys
    assert [kind for kind, _ in desk.failed()] == ["unreachable"] * 3


def test_we_show_who_we_are(desk: Desk, authority: LabAuthority, tmp_path: Path) -> None:
    issued = authority.issue(["sbc.example"], eku=("client",))
    (tmp_path / "sbc.pem").write_bytes(issued.chain_pem)
    (tmp_path / "sbc.key").write_bytes(issued.key_pem)
    files = Identity(chain="sbc.pem", key="sbc.key")
    identity, _ = load_identity("sbc", files, tmp_path, Clock().now())
    ours = authority.cert_pem.decode()
    with service(always(GOOD), serving(authority, tmp_path, asks=True)) as there:
        descriptors = len(os.listdir("/proc/self/fd"))
        assert desk.ask(lookup(there.url(True), ca_pem=ours)).wait() is None
        asked = lookup(there.url(True), ca_pem=ours, identity=identity)
        assert desk.ask(asked).wait() is not None, desk.notes
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 4  # the connection's two ends, no file
        assert len(there.questions) == 1


def test_an_identity_that_cannot_be_used_leaves_the_service_unasked(desk: Desk) -> None:
    with service(always(GOOD)) as there:
        broken = replace(lookup(there.url()), broken="identity sbc cannot be used")
        assert desk.ask(broken).wait() is None
        assert desk.failed() == [("unreachable", "identity sbc cannot be used")] and there.connections == 0
