"""docs/trace.md: its ladder is what is drawn of such a call, its settings load, its options are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dsl.decision import Hop, Route
from sbc.base import Address
from sbc.cli import command_line
from sbc.config.model import Settings
from sbc.flow import Path as Way
from sbc.flow import PeerIdentity, TlsFacts
from sbc.net.trace.viewing import MOST_READERS, STALL
from sbc.observe.journal import Journal
from sbc.observe.tap import OF_ALL, OF_ONE, Ruling, Seen
from sbc.observe.trace.frames import Remark
from sbc.observe.trace.ladder import Ladder
from sbc.observe.trace.telling import ruled

PAGE = (Path(__file__).parents[3] / "docs" / "trace.md").read_text("utf-8")
NOW = 1801474200.0  # 2027-02-01, 09:30
CALL = "6f1e07a2b34c"
OFFICE = Way(
    1, "tls", Address("192.0.2.1", 5061), Address("198.51.100.7", 40112), "office", "main", False,
    TlsFacts(
        "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "", "",
        PeerIdentity("CN=office.example", "CN=CA", ("dns:office.example",), "sha256/5c0de1", "", 0, 0, True),
    ),
)  # fmt: skip
CARRIER = Way(
    2, "udp", Address("192.0.2.1", 5060), Address("203.0.113.5", 5060), "carrier", "udp", True, None
)


def said(now: float, sent: bool, way: Way, start: str, body: str = "") -> Seen:
    octets = f"{start}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    return Seen(NOW + now, NOW + now, sent, way, octets, "x", CALL, "a" if way is OFFICE else "b")


def example() -> list[str]:
    invite = "INVITE sip:+12125550100@192.0.2.1 SIP/2.0"
    route = Route((Hop("carrier"), Hop("backup", (503,))), rule="out (routes.d/10.yaml:2)")
    ruling = Ruling(0.0, NOW + 0.0015, CALL, "office", route)
    told: list[Seen | Remark] = [
        said(0.0, False, OFFICE, invite, "m=audio 1 RTP/SAVP 0\r\na=crypto:1 AES inline:***\r\n"),
        said(0.0015, True, OFFICE, "SIP/2.0 100 Trying"),
        Remark("decided", ruling.now, CALL, ruled(route)),
        said(0.0025, True, CARRIER, invite, "m=audio 1 RTP/AVP 0\r\n"),
        said(0.0405, False, CARRIER, "SIP/2.0 503 Service Unavailable"),
    ]
    ladder = Ladder(lambda style, text: text, False)
    return [ladder.head(), *(line for event in told for line in ladder.lines(event))]


def test_the_ladder_is_what_is_drawn() -> None:
    block = re.search(r"^\$ sbc trace\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert block is not None
    # The page has no room for the longest line, which it wraps.
    assert block[1].replace("\n  ", " ").splitlines() == example()


def test_the_settings_load() -> None:
    (text,) = re.findall(r"^```yaml\n# sbc.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    listeners = {"main": {"bind": "192.0.2.1:5060", "transport": "udp"}}
    settings = Settings.model_validate({"listeners": listeners, **YAML(typ="safe").load(text)})
    assert settings.trace.ring == 1000
    assert f"The last {Settings.model_validate({'listeners': listeners}).trace.ring} messages" in PAGE


@pytest.mark.parametrize("command", re.findall(r"`sbc (trace[^`]*)`", PAGE))
def test_the_commands_are_understood(command: str) -> None:
    words = [word for word in command.split() if word != "--secrets" or "WORD" in command]
    assert command_line().parse_args(words).command is not None


def test_the_bounds_are_those_that_there_are() -> None:
    assert OF_ONE == 1 << 20 and "a MiB of each at most" in PAGE
    assert f"{OF_ALL >> 20} MiB of all together" in PAGE
    assert MOST_READERS == 8 and "Eight may trace at once" in PAGE
    assert STALL == 60 and "takes nothing for a minute" in PAGE


def test_the_lines_of_the_journal_are_those_that_are_written() -> None:
    lines: list[str] = []
    fields = {"act": "trace", "by": "anna", "trunk": "carrier", "call": None}
    journal = Journal(lines.append)
    journal.event("INF", "[operator]", {**fields, "event": "begun"}, NOW)
    over = {**fields, "messages": 412, "missed": None, "reason": "60 s are over"}
    journal.event("INF", "[operator]", over, NOW + 60)
    assert "\n".join(lines) in PAGE
