"""What `sbc status` and `sbc calls` print."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sbc.status import to_json
from sbc.tables import render, table
from tests.unit.observe.pictures import BROKEN, LEGACY, OFFICE, picture


def test_columns_are_as_wide_as_they_need_be() -> None:
    assert table(("A", "LONG"), [("xyz", 1), ("", "22222")]) == "A    LONG\nxyz  1\n     22222"
    assert table(("A",), []) == "A"


def test_the_status_table_shows_listeners_trunks_and_failures_with_their_remedy() -> None:
    text = render("status", to_json(picture(transactions=4, free_media_ports=5000)))
    for part in (
        "Portcullis 0.1.0, configuration 0123456789ab, up 3600 s", "1 calls now", "4 transactions",
        "5000 media ports free", "trunk-tls", "0.0.0.0:5061", "[::]:5060", "quarantined", "office",
        "refused: 198.51.100.4:40000 (office): no-certificate", "remedy: give the peer",
    ):  # fmt: skip
        assert part in text, part


def test_the_calls_table_shows_both_legs() -> None:
    answer: dict[str, Any] = to_json(picture())
    text = render("calls", answer["calls"])
    assert "office > legacy" in text
    assert "TLSv1.3 | -" in text
    assert "AEAD_AES_128_GCM | -" in text
    assert render("calls", []) == "no calls"


def test_the_status_is_json_with_addresses_as_text() -> None:
    answer = to_json(picture())
    assert [each["address"] for each in answer["listeners"]] == ["0.0.0.0:5061", "[::]:5060"]


def test_the_status_says_whom_required_would_refuse() -> None:
    office = replace(OFFICE, mode="optional", optional="`required` would refuse nobody")
    text = render("status", to_json(picture(trunks=(office, LEGACY))))
    assert "optional: office: `required` would refuse nobody" in text and "optional: legacy" not in text


def test_the_status_says_what_is_broken() -> None:
    held = replace(OFFICE, held=True, reason="runs on what was in force before: x.pem")
    text = render("status", to_json(picture(trunks=(held, BROKEN))))
    assert "quarantined: broken: its private key does not match" in text
    assert "held: office: runs on what was in force before: x.pem" in text
