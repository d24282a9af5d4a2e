"""Each peer of a trunk is told by itself in `sbc status` and the metrics, never by a wildcard."""

from __future__ import annotations

from dataclasses import replace

from sbc.admin.status import to_json
from sbc.commands.status_text import render
from sbc.observe.metrics import exposition
from sbc.observe.views import PeerView, StatusView
from tests.unit.observe.pictures import LEGACY, OFFICE, TLS_PORT, picture

UP, DOWN = (
    PeerView("sip1.example:5061", "up"),
    PeerView("sip2.example:5061", "down", "503 Service Unavailable"),
)


def two() -> StatusView:
    office = replace(OFFICE, peers=(UP.address, DOWN.address), peer_states=(UP, DOWN))
    return picture(trunks=(office, LEGACY))


def test_the_metrics_have_one_gauge_a_peer() -> None:
    text = exposition(two())
    assert 'sbc_peer_up{trunk="office",peer="sip1.example:5061"} 1' in text
    assert 'sbc_peer_up{trunk="office",peer="sip2.example:5061"} 0' in text


def test_the_status_says_which_peer_is_down_and_why() -> None:
    lines = render("status", to_json(two())).splitlines()
    (row,) = (line.split(maxsplit=3) for line in lines if line.startswith("sip2.example"))
    assert row == ["sip2.example:5061", "office", "down", "503 Service Unavailable"]
    assert any(line.split() == ["sip1.example:5061", "office", "up"] for line in lines)


def test_until_when_a_peer_rests_is_told() -> None:
    until = 1_777_630_125.0
    asked = PeerView("sip1.example:5061", "resting", "503 Service Unavailable", until)
    silent = PeerView("sip2.example:5061", "up", "no response in time", until)
    office = replace(OFFICE, peers=(asked.address, silent.address), peer_states=(asked, silent))
    status = picture(trunks=(office, LEGACY))
    text = render("status", to_json(status))
    assert "sip1.example:5061  office  resting  until 10:08:45 UTC" in text
    assert "sip2.example:5061  office  up       last until 10:08:45 UTC  no response in time" in text
    metrics = exposition(status)
    assert 'sbc_peer_up{trunk="office",peer="sip1.example:5061"} 0' in metrics
    assert 'sbc_peer_rests_until_seconds{trunk="office",peer="sip1.example:5061"} 1777630125' in metrics
    assert 'sbc_peer_rests_until_seconds{trunk="office",peer="sip2.example:5061"} 1777630125' in metrics
    assert 'sbc_peer_rests_until_seconds{trunk="office",peer="sip1.example:5061"} 0' in exposition(two())


def test_a_trunk_with_one_good_peer_needs_no_table_of_peers() -> None:
    assert "PEER" not in render("status", to_json(picture()))


def test_a_wildcard_is_not_shown_as_an_address_to_reach() -> None:
    text = render("status", to_json(picture(listeners=(TLS_PORT,))))
    assert "0.0.0.0:5061 (every address)" in text
    named = replace(TLS_PORT, advertise="203.0.113.9:5061")
    assert "0.0.0.0:5061 as 203.0.113.9:5061" in render("status", to_json(picture(listeners=(named,))))
