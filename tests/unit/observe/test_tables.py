"""What `sbc status` and `sbc calls` print."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from sbc.admin.status import to_json
from sbc.commands.status_text import certificates, readiness, render, table
from sbc.observe.edge_views import CapView, LoadView, TenantView
from sbc.observe.views import NetworkView, StatusView
from tests.unit.observe.pictures import BROKEN, LEGACY, NAME, NOW, OFFICE, picture


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
    assert "0123456789ab (2 earlier in memory), up" in render("status", to_json(picture(replaced=2)))


def test_the_calls_table_shows_both_legs() -> None:
    answer: dict[str, Any] = to_json(picture())
    text = render("calls", answer["calls"])
    assert "office > legacy" in text
    assert "TLSv1.3 | -" in text
    assert "AEAD_AES_128_GCM | -" in text
    assert render("calls", []) == "no calls"


def test_several_networks_of_media_are_a_table_and_one_is_not() -> None:
    networks = (
        NetworkView("lan", "10.0.0.9", ports="20000-20099", free=50, pairs=50),
        NetworkView("wan", "10.0.0.9", "203.0.113.9", "20100-20199", 49, 50),
    )
    text = render("status", to_json(picture(networks=networks)))
    assert "wan      10.0.0.9  203.0.113.9  20100-20199  50     49" in text
    assert "NETWORK" not in render("status", to_json(picture(networks=(NetworkView("", "10.0.0.9"),))))


def test_tenants_are_a_table_with_what_they_may() -> None:
    tenants = TenantView("acme", 3, 40, 2.5), TenantView("bolt", 1)
    text = render("status", to_json(picture(tenants=tenants)))
    assert "acme    3      40     2.5" in text and "bolt    1      -      -" in text
    assert "TENANT" not in render("status", to_json(picture()))


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


LIFE = {
    "whose": "ours", "name": "sbc", "subject": "CN=sbc", "thumbprint": "aa", "trunks": ["acme", "carrier"],
}  # fmt: skip


def test_certificates_come_with_their_days_soonest_end_first() -> None:
    lives = [
        {**LIFE, "ends": 86400.0 * 400, "days_left": 400, "state": "ok"},
        {**LIFE, "name": "old", "ends": 86400.0 * 5, "days_left": 5, "state": "incident", "trunks": []},
        {**LIFE, "whose": "window", "name": "trust/ca", "ends": 0.0, "days_left": -1, "state": "expired"},
    ]
    rotation = {"staged": 0.0, "until": 86400.0 * 30, "days_left": 30, "bound": []}
    rotations = [
        {**rotation, "section": "identities", "name": "sbc", "bound": ["acme"]},
        {**rotation, "section": "trust", "name": "ca", "days_left": -2},
    ]
    text = certificates({"certificates": lives, "rotations": rotations})
    assert [line.split()[1] for line in text.splitlines()[1:3]] == ["old", "sbc"]
    assert text.splitlines()[2].endswith("1971-02-05  400   ok        acme, carrier")
    assert "identities/sbc: staged since 1970-01-01, bound to acme; 30 days left, to 1970-01-31" in text
    assert "trust/ca: staged since 1970-01-01, trusted beside the old one; overdue since 1970-01-31" in text


def test_readiness_says_who_is_not_and_what_may_be_done_next() -> None:
    row = {"trunk": "acme", "state": "ready", "detail": "seen", "since": 0.0, "accepts": True}
    behind = {"trunk": "b", "state": "not bound", "detail": "bind it", "since": None, "accepts": False}
    answer = {
        "section": "identities", "name": "sbc", "until": 86400.0, "days_left": 1, "ready": False,
        "trunks": [row, behind],
    }  # fmt: skip
    text = readiness(answer)
    assert "has the new issuer" in text and "LACKS the new issuer" in text
    assert text.splitlines()[-1] == "not ready; the window ends on 1970-01-02, in 1 day"
    ready = readiness({**answer, "section": "trust", "ready": True, "trunks": [row]})
    assert "CA LIST" not in ready and ready.splitlines()[-1] == "all are ready: sbc certs retire sbc"


def test_what_dns_gave_for_a_domain() -> None:
    text = render("status", to_json(picture()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "DOMAIN OVER SERVER ADDRESS PRIORITY WEIGHT GOOD" in lines
    assert "carrier.example tls <i>a</i>.example 192.0.2.1:5061 10 60 until 10:08:10 UTC" in lines
    assert "lost.example udp - - - - -" in lines
    assert "DNS: lost.example: 10.0.0.53:53 does not answer" in lines
    kept = replace(NAME, failing=True, problem="nothing within 3 s", until=NOW - 10)
    text = render("status", to_json(picture(names=(kept,))))
    assert "DNS: carrier.example: nothing within 3 s; what was known is used" in text
    assert "ended 10:06:30 UTC" in text
    assert "DOMAIN" not in render("status", to_json(picture(names=())))


def lines_of(status: StatusView, head: str) -> list[list[str]]:
    """The words of the table that begins with ``head``."""
    text = render("status", to_json(status))
    table = text[text.index(head) :].partition("\n\n")[0]
    return [re.split(r"  +", line) for line in table.splitlines()]


def test_the_status_says_what_became_of_each_trunk_s_calls() -> None:
    assert lines_of(picture(), "TRUNK   WAY") == [
        ["TRUNK", "WAY", "CALLS", "ANSWERED", "LASTED", "RANG", "REFUSED"],
        ["office", "from it", "4", "75%", "1 min 35 s", "0.4 s", "486: 1"],
    ]
    assert "ANSWERED" not in render("status", to_json(picture(trunks=(LEGACY,))))


def test_the_status_says_how_good_the_media_of_each_trunk_was() -> None:
    assert lines_of(picture(), "TRUNK   MEDIA") == [
        ["TRUNK", "MEDIA", "LEGS", "MOS", "LOST", "JITTER", "TRIP"],
        ["office", "received", "4", "4.2", "0.4%", "3 ms", "48 ms"],
        ["office", "sent", "1", "-", "25.0%", "-", "-"],
    ]


def test_the_calls_table_shows_the_quality_of_both_legs() -> None:
    text = render("calls", to_json(picture())["calls"])
    assert "4.2 | -" in text and "1.2% | -" in text


def test_limits_that_have_refused_something_are_a_table_and_an_overload_is_a_line() -> None:
    caps = (
        CapView("office", "limits.rates.invite", 4812, NOW - 5, True),
        CapView("legacy", "limits.calls", 3, NOW - 3600, False),
    )
    text = render("status", to_json(picture(caps=caps, load=LoadView(0.731, NOW - 90), transactions=812)))
    assert "limits.rates.invite  office  4812     now" in text
    assert "limits.calls         legacy  3        09:06:40 UTC" in text
    assert "OVERLOADED since 10:05:10 UTC (731 ms late, 812 transactions): nothing new is taken but" in text
    quiet = render("status", to_json(picture()))
    assert "REFUSED  LAST" not in quiet and "OVERLOADED" not in quiet
