"""Hooks between the handshake and the first byte of SIP, in a running SBC: they refuse, and fail closed."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import dedent

import pytest

from sbc.demo.call import AgentCall
from sbc.demo.lab import SBC_NAME
from sbc.demo.tls import Refused
from tests.edge.attacked import TO, Attacked, attacked
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("hh")) as made:
        yield made


def hook(running: Attacked, text: str) -> None:
    """Put one hook file in force."""
    (running.directory / "hooks" / "10-peers.py").write_text(dedent(text))
    answer = ask(running.directory / "run" / "sbc.sock", "reload")
    assert answer["changed"], answer


def call(running: Attacked) -> AgentCall | None:
    """A call from the office over a new connection; None where that closes before a call can be placed."""
    try:
        link = running.office.dial(running.address, SBC_NAME)
        placed = running.office.call(link, TO)
    except (Refused, OSError):
        return None
    until(lambda: placed.state in ("up", "failed") or not link.open, "an end of it")
    return placed


def refused(running: Attacked) -> list[dict[str, str]]:
    """The refusals by hooks so far, from the journal."""
    return running.lines("[tls-refused]", kind="refused-by-hook")


PEERS = """
    from sbc.hookapi import refuse
    def on_handshake(handshake):
        assert handshake.peer_verified and handshake.peer_pin.startswith("sha256/")
        assert handshake.now < handshake.peer_not_after
        if "dns:NAME.lab.example" in handshake.peer_sans and handshake.direction == "DIRECTION":
            return refuse("not today")
"""


def peers(name: str, direction: str) -> str:
    return PEERS.replace("NAME", name).replace("DIRECTION", direction)


def test_a_verified_peer_is_refused_before_any_sip(running: Attacked) -> None:
    hook(running, peers("office", "inbound"))
    placed = call(running)
    assert placed is None or placed.state != "up"
    (event,) = refused(running)
    assert (event["trunk"], event["direction"]) == ("office", "inbound")
    assert "hook (hooks/10-peers.py:3): not today" in event["detail"]
    assert "[sips-arrival]" not in running.log(), "its INVITE was never looked at"
    hook(running, "def on_handshake(handshake): pass")
    allowed = call(running)
    assert allowed is not None and allowed.state == "up"
    allowed.hang_up()


def test_a_peer_that_we_dial_is_refused_alike(running: Attacked) -> None:
    hook(running, peers("carrier", "outbound"))
    placed = call(running)
    assert placed is not None and (placed.state, placed.status) == ("failed", 503)
    (event,) = refused(running)
    assert (event["trunk"], event["direction"]) == ("carrier", "outbound")
    assert running.carrier.record == [], "not a byte of SIP went out"


@pytest.mark.parametrize(
    "body",
    [
        "raise ValueError('secret')",
        "return True",
        "import gevent; gevent.sleep(60)",
        "\n    while True: pass",
    ],
)
def test_it_fails_closed(running: Attacked, body: str) -> None:
    hook(running, f"def on_handshake(handshake): {body}")
    placed = call(running)
    assert placed is None or placed.state != "up"
    (event,) = refused(running)
    assert "a hook failed: hooks/10-peers.py:" in event["detail"] and "secret" not in running.log()
    (failed,) = running.lines("[hook]")
    assert failed["file"] == "hooks/10-peers.py" and int(failed["line"]) in (1, 2)


def test_what_is_up_stays_up(running: Attacked) -> None:
    before = call(running)
    assert before is not None and before.state == "up"
    hook(running, "from sbc.hookapi import refuse\ndef on_handshake(handshake): return refuse('')")
    assert before.state == "up"
    before.hang_up()
    assert before.wait_over(30)
