"""``sbc blocklist``: who is blocked, and by hand; what is refused is said with what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST
from tests.edge.attacked import Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.peers.faults import Sbc

pytestmark = pytest.mark.slow
RUDE, RUDE6, RUDE64 = "203.0.113.66", "2001:db8:1:2::66", "2001:db8:1:2::/64"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("blocklist")) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Attacked]:
    """One that nobody else has changed."""
    with attacked(tmp_path) as made:
        yield made


def blocked(lab: Attacked) -> dict[str, Any]:
    answer = json.loads(sbc(lab.directory, "blocklist", "list", "--json").out)
    return {each["address"]: each for each in answer["blocked"]}


def test_an_address_is_blocked_shown_kept_over_a_restart_and_let_in_again(own: Attacked) -> None:
    assert sbc(own.directory, "blocklist").out.startswith(
        "0 blocked now, 0 ever; 0 times turned away\npolicy: more"
    )
    told = sbc(own.directory, "blocklist", "add", RUDE, "--for", "2h", "--note", "guesses numbers")
    assert told.out.startswith(f"{RUDE} is blocked until 2") and told.status == 0
    assert sbc(own.directory, "blocklist", "add", RUDE6).out.startswith(
        "2001:db8:1:2::/64 is blocked until 2"
    )
    rows = blocked(own)
    assert (rows[RUDE]["lasts"], rows[RUDE64]["lasts"]) == (7200, 3600)
    text = sbc(own.directory, "blocklist").out
    assert (
        text.startswith("2 blocked now, 2 ever") and ": guesses numbers" in text and "in 1 h 59 min" in text
    )
    assert (
        "blocked: 2 addresses, 2 ever; `sbc blocklist` says which and why" in sbc(own.directory, "status").out
    )
    assert own.lines("[blocklist]", event="blocked", address=RUDE)[0]["note"] == "guesses numbers"
    assert own.sbc.stop() == 0
    own.sbc = Sbc(own.directory, Address(HOST, own.ports.admin))
    own.sbc.wait_ready()
    assert set(blocked(own)) == set(rows) and blocked(own)[RUDE]["by"] == rows[RUDE]["by"]
    assert sbc(own.directory, "blocklist", "remove", RUDE64).out.startswith("2001:db8:1:2::/64 is not")
    told = sbc(own.directory, "blocklist", "remove", RUDE)
    assert told.out == f"{RUDE} is not blocked any more; it was turned away 0 times\n"
    assert blocked(own) == {} and own.lines("[blocklist]", event="unblocked", address=RUDE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["add", "127.0.0.1"], "such an address is never blocked"),
        (["add", "::ffff:10.1.2.3"], "10.1.2.3 is private, loopback or link-local"),
        (["add", "fd00::1"], "such an address is never blocked"),
        (["add", "198.51.100.0/24"], "198.51.100.0/24 is a network"),
        (["add", "scanner.example"], "'scanner.example' is no address: write one such as 198.51.100.7"),
        (
            ["add", RUDE, "--for", "soon"],
            "--for 'soon' is not a duration: write a number and ms, s, m",
        ),
        (["remove", "198.51.100.7"], "198.51.100.7 is not blocked; `sbc blocklist` shows who is"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(lab: Attacked, words: list[str], said: str) -> None:
    assert said in sbc(lab.directory, "blocklist", *words).refused_in_one_line()


def test_a_host_that_a_trunk_names_is_not_blocked_and_comes_back_when_one_does(own: Attacked) -> None:
    sbc(own.directory, "blocklist", "add", RUDE)
    path = own.directory / "trunks.d" / "plain.yaml"
    path.write_text(path.read_text().replace("127.0.0.0/8", f"127.0.0.0/8, {RUDE}"))
    assert sbc(own.directory, "reload").status == 0
    assert RUDE not in blocked(own)
    (line,) = own.lines("[blocklist]", event="unblocked", address=RUDE, why="trunk plain names it")
    assert line
    said = sbc(own.directory, "blocklist", "add", RUDE).refused_in_one_line()
    assert f"trunk plain names {RUDE}: take it out there, or `sbc trunks disable plain`" in said


def test_without_a_blocklist_nobody_is_blocked_and_none_can_be(own: Attacked) -> None:
    sbc(own.directory, "blocklist", "add", "198.51.100.9")
    path = own.directory / "sbc.yaml"
    path.write_text(path.read_text() + "blocklist: false\n")
    assert sbc(own.directory, "reload").status == 0
    assert "policy: off" in sbc(own.directory, "blocklist").out and blocked(own) == {}
    said = sbc(own.directory, "blocklist", "add", "198.51.100.9").refused_in_one_line()
    assert "`blocklist: false`" in said
