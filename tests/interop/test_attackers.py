"""SIPVicious: svmap, svwar and svcrack, over UDP, TCP and TLS, learn nothing, are blocked, fill no journal.

Without a blocklist svcrack has the password after thirty guesses: so it is the blocklist that keeps it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.interop.attackers import METHODS
from tests.interop.blocked import PHONES, TCP, TLS, UDP
from tests.interop.test_blocked import in_a_namespace
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

TOOLS = ("svmap", "svwar REGISTER", "svwar INVITE", "svcrack")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    needs("svmap", "svwar", "svcrack")
    return in_a_namespace("tests.interop.attackers", tmp_path_factory.mktemp("attackers"))


def why(found: Any) -> dict[str, str]:
    return {each["address"].rpartition(".")[2]: each["why"] for each in found["blocked"]}


@pytest.mark.parametrize("port", [UDP, TCP, PHONES, TLS])
@pytest.mark.parametrize("tool", TOOLS)
def test_with_the_defaults_they_do_not_even_find_an_sbc(told: Any, tool: str, port: int) -> None:
    found = told["default"]["told"][str(port)][tool]
    assert found["out"] == "" and "found nothing" in found["err"]


def test_with_the_defaults_each_is_blocked_at_its_first_message_but_over_udp(told: Any) -> None:
    """Over UDP none of them has proved where it is: they are dropped."""
    blocked = why(told["default"])
    assert [blocked.get(str(64 + number)) for number in range(4)] == [None] * 4
    for first in (68, 76):  # over TLS, over TCP
        found = [blocked.get(str(first + number)) for number in range(4)]
        assert found == ["it calls itself friendly-scanner"] * 4
    assert blocked["72"].startswith("16 failed TLS handshakes within"), (
        "a sweep of a trunk's port without a key"
    )


@pytest.mark.parametrize("port", [UDP, TCP, PHONES])
def test_one_that_hides_its_name_finds_no_user_and_no_password_and_is_blocked(told: Any, port: int) -> None:
    found = told["open"]["told"][str(port)]
    assert "SIP Device" in found["svmap"]["out"], "an SBC answers OPTIONS"
    for tool in TOOLS[1:]:
        assert found[tool]["out"] == "" and "found nothing" in found[tool]["err"]
    last = {UDP: "83", PHONES: "87", TCP: "91"}[port]
    assert why(told["open"])[last].startswith("16 wrong passwords within")


@pytest.mark.parametrize("port", [UDP, TCP, PHONES])
def test_without_a_blocklist_the_password_is_guessed(told: Any, port: int) -> None:
    assert "sesame" in told["off"]["told"][str(port)]["svcrack"]["out"]


def test_a_user_and_one_who_does_not_exist_hear_the_same(told: Any) -> None:
    alice, trudy = told["answers"]
    assert len(alice) == 3 * 2 * len(METHODS)
    assert alice == trudy


def test_the_journal_tells_it_in_few_lines(told: Any) -> None:
    """Sixteen runs with over a thousand messages, and twelve more that get answers."""
    assert told["default"]["lines"] <= 80 and told["open"]["lines"] <= 180
