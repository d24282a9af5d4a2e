"""The command line against a running SBC with a real call, and against none."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.base import LocalError
from sbc.demo.call import AgentCall
from sbc.demo.lab import SBC_NAME, write_configuration
from sbc.sip.message import Request
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import ROOT, sbc
from tests.peers import product
from tests.peers.asking import ask
from tests.peers.ports import lab_ports
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

BROKEN = "rules:\n  - name: broken\n    when: trunk ==\n    then: reject 403\n"
MISSPELT = 'rules:\n  - name: spoilt\n    when: false\n    then: route "carier"\n'
HARMLESS = "rules:\n  - name: harmless\n    when: false\n    then: reject 403\n"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("cli")) as made:
        yield made


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A good configuration that nobody runs."""
    write_configuration(tmp_path, lab_ports(), time.time())
    return tmp_path


def _call(running: Attacked) -> AgentCall:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    return call


def test_check_says_what_a_good_configuration_holds(lab: Path) -> None:
    outcome = sbc(lab, "check")
    assert outcome.status == 0
    assert "good: 1 listeners, 2 trunks, 2 rules, 0 hooks; version " in outcome.out
    assert not outcome.err


def test_check_prints_nothing_that_a_library_remarks_of_a_certificate(lab: Path) -> None:
    """Of a serial number of 0, say, which an old root of every public bundle has."""
    subprocess.run(
        ["openssl", "req", "-x509", "-noenc", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-keyout", "/dev/null", "-out", str(lab / "tls/zero.pem"), "-days", "400", "-set_serial", "0",
         "-subj", "/CN=zero", "-addext", "keyUsage=critical,keyCertSign"],
        check=True, capture_output=True,
    )  # fmt: skip
    settings = lab / "sbc.yaml"
    settings.write_text(settings.read_text().replace("trust:\n", "trust:\n  zero: {ca: tls/zero.pem}\n"))
    outcome = sbc(lab, "check")
    assert (outcome.status, outcome.err) == (0, "") and "good: " in outcome.out


def test_check_lists_every_mistake_with_its_place(lab: Path) -> None:
    (lab / "routes.d" / "20-broken.yaml").write_text(BROKEN)
    (lab / "trunks.d" / "third.yaml").write_text("trunk: third\nlistener: nowhere\nsrpt: off\n")
    with (lab / "sbc.yaml").open("a") as settings:
        settings.write("hooks: {timeout: soon}\n")
    outcome = sbc(lab, "check")
    assert outcome.status == 1
    for place in (
        "routes.d/20-broken.yaml:3:",
        "trunks.d/third.yaml:2:",
        "trunks.d/third.yaml:3:",
        "sbc.yaml:",
    ):
        assert place in outcome.err
    assert "mistakes; nothing was started or changed" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("word", ["status", "calls", "reload"])
def test_without_a_running_sbc_the_command_says_so(lab: Path, word: str) -> None:
    line = sbc(lab, word).refused_in_one_line()
    assert "no Portcullis answers on" in line and "is it running?" in line


def test_a_misused_command_explains_itself(tmp_path: Path) -> None:
    outcome = sbc(tmp_path, "stauts")
    assert outcome.status == 2
    assert "invalid choice" in outcome.err and "Traceback" not in outcome.err


def test_who_stops_reading_is_no_fault(lab: Path) -> None:
    (lab / "sbc.yaml").write_text(
        "listeners: {}\nnonsense: 1\n" + "".join(f"x{at}: 1\n" for at in range(999))
    )
    for words, status in ((["check", "-c", str(lab)], 1), (["--version"], 141), (["--help"], 141)):
        reading, writing = os.pipe()
        os.close(reading)
        argv = product.command(*words)
        run = subprocess.run(argv, cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, text=True)
        os.close(writing)
        assert "Traceback" not in run.stderr and "Broken pipe" not in run.stderr, run.stderr[-2000:]
        assert run.returncode == status, words
    both = subprocess.run(
        f"{shlex.join(product.command())} check -c {lab} 2>&1 | true; echo ${{PIPESTATUS[0]}}",
        cwd=ROOT, shell=True, executable="/bin/bash", capture_output=True, text=True,
    )  # fmt: skip
    assert both.stdout == "141\n" and both.stderr == ""
    silent = subprocess.run(
        f"{shlex.join(product.command())} --help 2>&- | true; echo ${{PIPESTATUS[0]}}",
        cwd=ROOT, shell=True, executable="/bin/bash", capture_output=True, text=True,
    )  # fmt: skip
    assert silent.stdout == "141\n", "where nothing may be said, either"


@pytest.mark.parametrize(
    ("words", "where", "status", "said"),
    [
        ("--version", "> /dev/full", 1, "sbc: what came of it cannot be written: No space left on device\n"),
        ("check", "> /dev/full", 1, "sbc: what came of it cannot be written: No space left on device\n"),
        ("check", ">&-", 0, ""),
        (
            "run",
            ">&-",
            1,
            "sbc: standard output is closed: name the file of the journal with --log FILE\n",
        ),
    ],
)
def test_output_that_cannot_be_written_is_told_in_one_line(
    lab: Path, words: str, where: str, status: int, said: str
) -> None:
    more = f" -c {lab}" if not words.startswith("-") else ""
    line = f"{shlex.join(product.command())} {words}{more} {where}"
    run = subprocess.run(line, cwd=ROOT, shell=True, capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (status, said)


@pytest.mark.parametrize(
    "words", [("check",), ("status",), ("run",), ("route", "test", "--trunk", "x", "--to", "1")]
)
def test_a_file_in_place_of_the_directory_is_told_from_one_that_is_missing(
    lab: Path, words: tuple[str, ...]
) -> None:
    line = sbc(lab / "sbc.yaml", *words).refused_in_one_line()
    assert f"sbc.yaml is a file: give the directory that it is in, -c {lab}" in line


def test_what_lies_open_is_told_and_refused_by_strict(lab: Path) -> None:
    assert sbc(lab, "check").err == ""
    (lab / "tls" / "sbc.key").chmod(0o644)
    (lab / "hooks").mkdir(exist_ok=True)
    (lab / "hooks").chmod(0o777)
    text = (lab / "sbc.yaml").read_text()
    (lab / "sbc.yaml").write_text(re.sub(r"(admin: \{bind: )[0-9.]+", r"\g<1>0.0.0.0", text))
    checked = sbc(lab, "check")
    assert checked.status == 0
    assert "tls/sbc.key: warning: every user of this machine can read this secret (mode 644)" in checked.err
    assert "hooks: warning: every user of this machine can write it (mode 777)" in checked.err
    assert "the admin pages need no login and are on every address of this machine" in checked.err
    strict = sbc(lab, "check", "--strict", "--json")
    assert strict.status == 1
    found = json.loads(strict.out)["diagnostics"]
    assert {each["path"] for each in found} == {"sbc.yaml", "tls/sbc.key", "hooks"}
    for each in found:
        if each["hint"].startswith("chmod"):
            subprocess.run(each["hint"], shell=True, check=True)
    (lab / "sbc.yaml").write_text(text)
    assert sbc(lab, "check").err == "", "the remedies were the right ones"


def test_status_and_calls_of_a_secured_call(running: Attacked) -> None:
    call = _call(running)
    (shown,) = json.loads(sbc(running.directory, "calls", "--json").out)
    assert (shown["a_tls"], shown["b_tls"]) == ("TLSv1.3", "TLSv1.3")
    assert shown["a_srtp"] and shown["b_srtp"]
    assert (shown["a_trunk"], shown["b_trunk"], shown["state"]) == ("office", "carrier", "up")
    table = sbc(running.directory, "calls").out
    assert "office > carrier" in table and "TLSv1.3 | TLSv1.3" in table
    assert f"{shown['a_srtp']} | {shown['b_srtp']}" in table

    status = json.loads(sbc(running.directory, "status", "--json").out)
    assert len(status["calls"]) == 1
    ways = [each[way]["handshakes"] for each in status["listeners"] for way in ("inbound", "outbound")]
    assert status["counters"]["handshakes"] == sum(ways) > 1, "the caller's and our own"
    trunks = {each["name"]: each for each in status["trunks"]}
    assert trunks["office"]["calls"] == trunks["carrier"]["calls"] == 1
    assert {each["name"]: each["state"] for each in status["listeners"]} == {
        "tls": "listening",
        "udp": "listening",
    }
    text = sbc(running.directory, "status").out
    assert status["version"] in text and "1 calls now" in text and "LISTENER" in text and "TRUNK" in text
    call.hang_up()
    assert call.wait_over(30)
    until(lambda: not running.calls())
    assert sbc(running.directory, "calls").out == "no calls\n"


@pytest.mark.parametrize(
    ("verb", "argument"),
    [
        ("trust", "trunk"), ("certs-renew", "name"), ("certs-staged", "until"), ("certs-bind", "every"),
        ("certs-ready", "name"), ("certs-retire", "force"), ("certs-rollback", "trunk"),
    ],
)  # fmt: skip
def test_every_verb_names_an_argument_of_a_wrong_type(running: Attacked, verb: str, argument: str) -> None:
    needed = {} if verb == "trust" else {"name": "nobody"}
    with pytest.raises(LocalError, match=f"{verb}: '{argument}' is of a wrong type"):
        ask(running.directory / "run/sbc.sock", verb, **{**needed, argument: ["x"]})


@pytest.mark.parametrize("verb", ["status", "calls", "reload", "certs"])
def test_a_verb_without_arguments_takes_none(running: Attacked, verb: str) -> None:
    with pytest.raises(LocalError, match=f"{verb}: got an unexpected keyword argument 'x'"):
        ask(running.directory / "run/sbc.sock", verb, x=["x"])
    assert ask(running.directory / "run/sbc.sock", verb) is not None


def test_reload_tells_what_it_did(running: Attacked) -> None:
    rules = running.directory / "routes.d" / "90-more.yaml"
    before = json.loads(sbc(running.directory, "status", "--json").out)["version"]
    rules.write_text(BROKEN)
    broken = sbc(running.directory, "reload")
    assert (broken.status, broken.out) == (1, "")
    assert "routes.d/90-more.yaml:3:" in broken.err
    assert f"refused; version {before} stays" in broken.err
    answer = sbc(running.directory, "reload", "--json")
    assert (answer.status, answer.err) == (1, "")
    refused = json.loads(answer.out)
    assert not refused["changed"] and refused["diagnostics"][0]["path"] == "routes.d/90-more.yaml"
    rules.write_text(HARMLESS)
    good = sbc(running.directory, "reload")
    assert good.status == 0
    after = json.loads(sbc(running.directory, "status", "--json").out)["version"]
    assert after != before and f"version {after}" in good.out
    again = sbc(running.directory, "reload")
    assert again.status == 0 and f"version {after} is unchanged" in again.out
    as_json = sbc(running.directory, "reload", "--json")
    assert as_json.status == 0 and json.loads(as_json.out)["version"] == after


def test_the_journal_says_what_would_mend_a_refused_file_and_when_it_is_mended(running: Attacked) -> None:
    rules = running.directory / "routes.d" / "91-spoilt.yaml"
    rules.write_text(MISSPELT)
    (refused,) = running.lines("[reload]", hint='did you mean "carrier"?')
    assert refused["refused"].startswith('routes.d/91-spoilt.yaml:4:17: error: there is no trunk "carier"')
    rules.unlink()
    running.lines("[reload]", text="the files that were refused are right again")


def test_sigterm_hangs_up_on_both_legs_and_ends_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    with attacked(tmp_path_factory.mktemp("term")) as stopped:
        call = _call(stopped)
        assert stopped.sbc.stop() == 0, "it was killed, for it did not end by itself"
        assert call.wait_over(30) and call.ended_by == "peer"
        for agent in (stopped.office, stopped.carrier):
            heard = [each.message for each in agent.record if not each.outgoing]
            assert [each.method for each in heard if isinstance(each, Request)].count("BYE") == 1
        (record,) = stopped.records(1)
        assert record["reason"] == "the SBC is shutting down"
        assert "[stop]" in stopped.log()
        assert not (stopped.directory / "run" / "sbc.sock").exists()
