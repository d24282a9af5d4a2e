"""`sbc trace` as an operator runs it: calls over mutual TLS with SRTP, and what is kept of them."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from sbc.demo.lab import SBC_NAME
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import Outcome, sbc
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("trace")) as made:
        yield made


def call_and_hang_up(running: Attacked) -> str:
    """One call, from INVITE to BYE; its name in `sbc calls`."""
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    (live,) = running.calls()
    call.hang_up()
    assert call.wait_over(30)
    until(lambda: not running.calls())
    return str(live["id"])


def begun(running: Attacked) -> int:
    """How many traces of all that happens have begun; the line of a short one may come after its end."""
    lines = running.lines("[operator]", count=0, event="begun")
    return sum("last" not in each and "call" not in each for each in lines)


def traced(running: Attacked, *options: str) -> tuple[Outcome, str]:
    """What a trace shows that begins before a call and ends well after it; the name of the call."""
    before = begun(running)
    shown = gevent.spawn(sbc, running.directory, "trace", *options, seconds=60)
    until(lambda: begun(running) > before)
    name = call_and_hang_up(running)
    outcome: Outcome = shown.get()
    assert outcome.status == 0, outcome
    return outcome, name


def test_a_call_is_a_ladder_with_its_rule_and_what_tls_proved_and_no_key(running: Attacked) -> None:
    outcome, name = traced(running, "--for", "8s", "--whole")
    lines = outcome.out.splitlines()
    said = [line[13:] for line in lines if re.match(r"\d\d:\d\d:\d\d\.\d{3} ", line)]
    ends = [line for line in said if line.startswith("|") and line.endswith(name)]
    kinds = [re.sub(r"[-<>|]", " ", line[:55]).split()[0] for line in ends]
    assert kinds[:3] == ["INVITE", "100", "INVITE"]
    assert [kinds.count(each) for each in ("INVITE", "ACK", "BYE")] == [2, 2, 2]
    assert all("office" in line for line in ends if line[27:].lstrip("| ").startswith("office"))
    assert any("route carrier, by all else goes out (routes.d/" in line and name in line for line in said)
    for trunk in ("office", "carrier"):
        (proof,) = [line for line in said if line.startswith(f"{trunk}: ")]
        assert re.search(
            rf"TLSv1\.3 TLS_\w+ \w+, peer .*{trunk}\.lab\.example.* verified, pin sha256/\w+", proof
        )
    keys = re.findall(r"inline:(\S+)", outcome.out)
    assert len(keys) >= 4 and all(re.fullmatch(r"x{30,}=*(\|.*)?", each) for each in keys)
    assert lines[-1].strip() == "8 s are over" and not re.search(r"[^\x20-\x7e\n]", outcome.out)


def test_what_has_happened_is_shown_afterwards_by_its_name_or_a_call_id(running: Attacked) -> None:
    name, other = call_and_hang_up(running), call_and_hang_up(running)
    shown = sbc(running.directory, "trace", "--last", "--call", name, "--whole")
    assert shown.status == 0 and shown.out.count("INVITE sip:") == 2 and "BYE sip:" in shown.out
    assert other not in shown.out and "inline:" in shown.out
    (call_id, _) = sorted(set(re.findall(r"Call-ID: (\S+)", shown.out)))
    same = sbc(running.directory, "trace", "--last", "--call", call_id, "--whole")
    assert same.out == shown.out
    both = sbc(running.directory, "trace", "--last", "--trunk", "carrier")
    assert both.out.count(name) > 10 and both.out.count(other) > 10


def test_a_live_call_is_followed_to_its_end(running: Attacked) -> None:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    (live,) = running.calls()
    shown = gevent.spawn(sbc, running.directory, "trace", "--call", str(live["id"]), seconds=60)
    running.lines("[operator]", call=str(live["id"]), event="begun")
    call_and_end = gevent.spawn(call.hang_up)
    outcome: Outcome = shown.get()
    call_and_end.join()
    assert outcome.status == 0 and outcome.out.count(" BYE ") == 2 and outcome.out.count("200 OK") == 2
    assert "the call is over" in outcome.out and "INVITE" not in outcome.out


def test_a_file_is_the_readers_alone_and_none_is_overwritten(running: Attacked, tmp_path: Path) -> None:
    file = tmp_path / "call.pcapng"
    outcome, _ = traced(running, "--for", "8s", "-w", str(file))
    found = re.match(r"(\d+) messages are in \S+call.pcapng; 8 s are over\n", outcome.out)
    assert found and int(found[1]) >= 12
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    data = file.read_bytes()
    assert data[:4] == b"\x0a\x0d\x0d\x0a" and b"inline:xxx" in data and b"by all else goes out" in data
    again = sbc(running.directory, "trace", "--last", "-w", str(file))
    assert "it is there already; name another" in again.refused_in_one_line() and file.read_bytes() == data
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    assert sbc(running.directory, "trace", "--last", "-w", str(tmp_path / "link")).status == 1
    few = sbc(running.directory, "trace", "--last", "--most", "3", "-w", str(tmp_path / "few"))
    assert few.out.startswith("3 messages are in ") and "these were the last messages" in few.out


def test_secrets_are_shown_for_a_word_that_the_journal_has(running: Attacked) -> None:
    call_and_hang_up(running)
    shown = sbc(running.directory, "trace", "--last", "--whole", "--secrets", "TICKET-17")
    assert re.search(r"inline:[\w+/=]{30,}", shown.out)
    begun, over = running.lines("[operator]", secrets_shown_for="TICKET-17", count=2)
    assert begun["act"] == over["act"] == "trace" and begun["by"] and int(over["messages"]) > 0
    warned = [line for line in running.log().splitlines() if "TICKET-17" in line]
    assert all(" WRN " in line for line in warned)
    assert sbc(running.directory, "trace", "--last", "--secrets", "x" * 65).status == 1


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--call", "nobody"), "there is no call 'nobody' now"),
        (("--last", "--call", "nobody"), "nothing is among the last messages"),
        (("--trunk", "nowhere"), "there is no trunk 'nowhere'"),
        (("--for", "90000s"), "a trace lasts at most"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(
    running: Attacked, options: tuple[str, ...], why: str
) -> None:
    assert why in sbc(running.directory, "trace", *options).refused_in_one_line()


def test_a_file_that_cannot_be_written_is_refused_in_one_line(running: Attacked) -> None:
    before = begun(running)
    refused = sbc(running.directory, "trace", "-w", "/nowhere/at/all").refused_in_one_line()
    assert "cannot write /nowhere/at/all" in refused
    until(lambda: begun(running) > before, "it had begun, and no other test takes its line for its own")


def test_nothing_is_kept_where_nothing_is_to_be_and_numbers_are_short_where_they_are_to_be(
    running: Attacked,
) -> None:
    path = running.directory / "sbc.yaml"
    text = path.read_text()
    path.write_text(f"{text}trace: {{ring: 0}}\n")
    assert ask(running.directory / "run" / "sbc.sock", "reload")["changed"]
    refused = sbc(running.directory, "trace", "--last").refused_in_one_line()
    assert "trace.ring of sbc.yaml is 0" in refused
    path.write_text(f"{text}log: {{mask_numbers: 4}}\n")
    assert ask(running.directory / "run" / "sbc.sock", "reload")["changed"]
    name = call_and_hang_up(running)
    shown = sbc(running.directory, "trace", "--last", "--whole")
    assert name in shown.out and "INVITE +1212555xxxx" in shown.out
    assert "+12125550100" not in shown.out, "numbers are as short as the log has them"
