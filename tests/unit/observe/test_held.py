"""What was over its peer's allowance is in the metrics and, where there was any, in `sbc status`."""

from __future__ import annotations

from dataclasses import replace

from sbc.admin.status import to_json
from sbc.commands.status_text import render
from sbc.observe.metrics import exposition
from sbc.observe.traffic import Stats
from tests.unit.observe.pictures import TLS_PORT, picture

FLOODED = replace(TLS_PORT, inbound=Stats(held=70, crowded=190), outbound=Stats(held=7))


def test_the_metrics_count_what_had_to_wait_whoever_dialled() -> None:
    text = exposition(picture(listeners=(FLOODED,)))
    assert f'sbc_messages_held_total{{listener="{TLS_PORT.name}",transport="tls"}} 77' in text
    assert f'sbc_connections_over_cap_total{{listener="{TLS_PORT.name}",transport="tls"}} 190' in text


def test_the_status_says_so_where_there_was_any() -> None:
    said = render("status", to_json(picture(listeners=(FLOODED,))))
    assert f"crowded: {TLS_PORT.name}: 190 connections refused, over its limits or caps" in said
    assert f"flood: {TLS_PORT.name}: 77 messages over caps.messages_per_flow had to wait" in said
    dropped = render("status", to_json(picture(listeners=(replace(FLOODED, transport="udp"),))))
    assert "77 messages over caps.messages_per_flow were dropped" in dropped
    calm = render("status", to_json(picture()))
    assert "flood:" not in calm and "crowded:" not in calm
