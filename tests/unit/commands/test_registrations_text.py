"""``sbc registrations`` in a terminal: what is registered, what is not and why."""

from __future__ import annotations

from dataclasses import asdict

from sbc.commands.registrations import render
from sbc.observe.views import PhoneView, RegistrationView
from tests.unit.observe.pictures import NOT_REGISTERED, NOW, REGISTERED


def shown(*views: RegistrationView, phones: tuple[PhoneView, ...] = ()) -> str:
    told = {"registrations": [asdict(each) for each in views], "phones": [asdict(each) for each in phones]}
    return render({"now": NOW, **told})


def test_it_reads_as_a_table_with_reasons() -> None:
    assert [" ".join(line.split()) for line in shown(REGISTERED, NOT_REGISTERED).splitlines()] == [
        "TRUNK ADDRESS REGISTRAR STATE ENDS NEXT",
        "office sip:4930123@office.lab.example office.lab.example:5061 registered"
        " in 50 min 0 s in 40 min 0 s",
        "legacy sip:<b>7</b>@192.0.2.7 192.0.2.7:5060 failed - in 45 s",
        "office: our numbers: <sip:+4930123@office.lab.example>",
        "office: service route: <sip:edge.lab.example;lr>",
        "legacy: failed: 403 Forbidden \\x1b[2J",
    ]


def test_without_any_it_says_so() -> None:
    assert shown() == "no trunk has `register:`, and no phone is registered"


def test_phones_are_listed_with_where_they_are() -> None:
    phone = PhoneView(
        "alice", "desk", "sip:alice@10.0.0.7", "192.0.2.7:40000", "tls", False, NOW, NOW + 60,
        user_agent="Desk \x1b[2J",
    )  # fmt: skip
    wanted = [
        "USER TRUNK FROM CONTACT REACHABLE ENDS PHONE",
        "alice desk tls:192.0.2.7:40000 sip:alice@10.0.0.7 no in 1 min 0 s Desk \\x1b[2J",
    ]
    assert [" ".join(line.split()) for line in shown(phones=(phone,)).splitlines()] == wanted
    assert [" ".join(line.split()) for line in shown(REGISTERED, phones=(phone,)).splitlines()][-2:] == wanted
