"""Health: what the endpoint without a login says, and what it does not."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sbc.observe.health import days_left, health, overall
from sbc.observe.views import RecordsView, TrunkView
from tests.unit.observe.pictures import BROKEN, LEGACY, NOW, OWN, TLS_PORT, UDP_PORT, picture


def test_health_has_every_field_of_its_contract() -> None:
    answer = json.loads(json.dumps(health(picture())))
    assert answer["status"] == "degraded", "one trunk is quarantined"
    assert answer["trunks"] == {"configured": 3, "broken": 1}
    assert answer["handshakes"] == {"lifetime": 17, "failures": 5, "in_flight": 3}
    assert answer["uptime_seconds"] == 3600
    assert [(port["name"], port["state"]) for port in answer["ports"]] == [
        ("trunk-tls", "listening"),
        ("trunk-udp", "listening"),
    ]
    assert answer["ports"][0]["handshakes"] == 12 and "handshakes" not in answer["ports"][1]
    assert answer["ports"][0]["outbound"] == {"connections": 1, "handshakes": 5, "failures": 4}
    assert answer["ports"][1]["address"] == "[::]:5060"
    marks = {"notice": 0, "reminder": 1, "warning": 0, "overdue": 0, "incident": 1, "expired": 1}
    assert answer["expiry"] == marks
    assert answer["records"] == {"written": True, "waiting": 0, "lost": 0}
    assert answer["blocklist"] == {"now": 2, "lifetime": 9, "policy": "more than 15"}
    [certificate] = answer["certificates"]
    assert certificate["thumbprint"] == "ab" * 32 and certificate["days_left"] == 40


def test_health_names_no_trunk_peer_or_call() -> None:
    text = json.dumps(health(picture()))
    for private in ("office", "legacy", "198.51.100.4", "+12125550100", "alice"):
        assert private not in text


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        (("listening", "listening"), "listening"),
        (("listening", "failed"), "degraded"),
        (("failed", "stopped"), "down"),
        ((), "down"),
    ],
)
def test_overall(states: tuple[str, ...], expected: str) -> None:
    ports = tuple(replace(UDP_PORT, state=state) for state in states)  # type: ignore[arg-type]
    assert overall(picture(listeners=ports, trunks=())) == expected


@pytest.mark.parametrize(
    ("trunk", "expected"),
    [
        (LEGACY, "listening"),
        (replace(LEGACY, state="down"), "listening"),
        (replace(LEGACY, held=True), "degraded"),
        (BROKEN, "degraded"),
    ],
)
def test_a_trunk_whose_files_are_broken_degrades_it(trunk: TrunkView, expected: str) -> None:
    assert overall(picture(trunks=(trunk,))) == expected


def test_records_that_cannot_be_written_degrade_it_and_those_lost_once_do_not() -> None:
    full = picture(trunks=(), records=RecordsView(5, 2, "No space left on device"))
    assert health(full)["status"] == "degraded"
    assert health(full)["records"] == {"written": False, "waiting": 5, "lost": 2}
    assert overall(picture(trunks=(), records=RecordsView(5, 2))) == "listening"


def test_a_failed_port_says_why() -> None:
    failed = replace(TLS_PORT, state="failed", reason="address already in use")
    answer = health(picture(listeners=(failed, UDP_PORT)))
    assert answer["status"] == "degraded"
    assert answer["ports"][0]["reason"] == "address already in use"


def test_a_certificate_on_two_ports_is_told_once() -> None:
    answer = health(picture(listeners=(TLS_PORT, replace(TLS_PORT, name="public-tls"))))
    assert len(answer["certificates"]) == 1


def test_days_left_counts_whole_days_and_goes_below_zero() -> None:
    assert days_left(OWN, NOW) == 40
    assert days_left(OWN, OWN.not_after) == 0
    assert days_left(OWN, OWN.not_after + 1) == -1
