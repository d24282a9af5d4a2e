"""Soft passes: each counted, said once an hour, shown on the page and in the metrics, apart from failures."""

from __future__ import annotations

from dataclasses import replace

from sbc.base import Address
from sbc.observe.journal import Journal
from sbc.observe.metrics import exposition
from sbc.observe.recorder import Recorder, SoftPasses
from sbc.observe.views import RevocationView
from sbc.tls.revocation.finding import Finding, State
from sbc.tls.revocation.policy import SoftPass
from tests.unit.observe.pictures import NOW, OFFICE, picture
from tests.unit.webui.test_pages import page, text_of

URL = "http://ocsp.carrier.example/"


def passed(at: float, state: State = "unanswered", source: str = URL) -> SoftPass:
    found = Finding(state, source, "connection refused")
    return SoftPass("office", "inbound", Address("198.51.100.1", 40000), "CN=office", found, at)


def test_each_is_counted_and_one_an_hour_is_said() -> None:
    passes = SoftPasses()
    said = [passes.note("office", "stale", URL, NOW + seconds) for seconds in (0, 1, 3599, 3600)]
    assert said == [True, False, False, True]
    assert passes.note("other", "stale", URL, NOW) and passes.note("office", "stale", "http://else/", NOW)
    assert passes.of("office") == (("stale", 5),) and passes.of("nobody") == ()


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    """A machine that began a year ahead would otherwise admit peers unchecked for a year without a line."""
    passes = SoftPasses()
    assert passes.note("office", "stale", URL, NOW + 366 * 86400.0)
    said = [passes.note("office", "stale", URL, NOW + seconds) for seconds in (0, 1, 3599, 3600)]
    assert said == [True, False, False, True]


def test_what_was_said_long_ago_does_not_pile_up() -> None:
    passes = SoftPasses()
    for number in range(5000):
        passes.note("office", "stale", f"http://{number}/", NOW)
    assert len(passes._said) <= 4096


def test_the_journal_says_who_and_why() -> None:
    lines: list[str] = []
    recorder = Recorder(Journal(lines.append), print)
    recorder.soft_pass(passed(NOW))
    recorder.soft_pass(passed(NOW + 60))
    recorder.soft_pass(passed(NOW + 60, "no-source", ""))
    assert len(lines) == 2
    assert (
        " WRN [revocation] event=soft-pass trunk=office direction=inbound peer=198.51.100.1:40000" in lines[0]
    )
    assert f'reason=unanswered detail="connection refused" source={URL}' in lines[0]
    assert " INF [revocation] event=soft-pass" in lines[1] and "reason=no-source" in lines[1]
    assert recorder.soft_passes.of("office") == (("no-source", 1), ("unanswered", 2))
    assert recorder.counters.view().handshake_failures == 0


SOURCES = (
    RevocationView("file", "tls/ca.crl", "CN=carrier CA", NOW - 5),
    RevocationView("crl", "http://ca.example/x.crl", "CN=carrier CA", NOW + 3600, NOW + 60),
    RevocationView("ocsp", URL, "CN=peer", problem=f"{URL}: connection refused; let this machine reach it"),
    RevocationView("ocsp", "http://new.example/", "CN=new"),
)
SHOWN = picture(trunks=(replace(OFFICE, soft_passes=(("stale", 3),)),), revocation=SOURCES)


def test_the_metrics_have_them_apart_from_failures() -> None:
    text = exposition(SHOWN)
    assert 'sbc_revocation_soft_passes_total{trunk="office",reason="stale"} 3' in text
    assert f'sbc_revocation_source_up{{kind="ocsp",source="{URL}",of="CN=peer"}} 0' in text
    assert (
        'sbc_revocation_source_up{kind="crl",source="http://ca.example/x.crl",of="CN=carrier CA"} 1' in text
    )
    ends = 'sbc_revocation_expiry_seconds{kind="crl",source="http://ca.example/x.crl",of="CN=carrier CA"}'
    assert f"{ends} {int(NOW + 3600)}" in text


def test_the_page_shows_each_source_and_what_passed() -> None:
    text = text_of(page(SHOWN))
    for phrase in (
        "3 let pass unchecked: stale", "http://ca.example/x.crl crl fresh CN=carrier CA", "out of date",
        "failing", "connection refused; let this machine reach it", "not asked yet",
    ):  # fmt: skip
        assert phrase in text, phrase
    assert "Holds until" not in text_of(page())
