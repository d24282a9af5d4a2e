"""Metrics: counters count, and the text is what Prometheus reads."""

from __future__ import annotations

import re
from dataclasses import replace

from sbc.b2bua.commands import Note
from sbc.observe.edge_views import CapView, LoadView, TenantView
from sbc.observe.metrics import Counters, exposition
from sbc.observe.views import NetworkView, RecordsView, RevocationView
from tests.unit.observe.pictures import LEGACY, NOW, OFFICE, picture

SAMPLE = re.compile(r'^[a-z_]+(\{[a-z_]+="(?:[^"\\\n]|\\.)*"(,[a-z_]+="(?:[^"\\\n]|\\.)*")*\})? -?[0-9.e+]+$')


def test_notes_are_counted_by_name_and_where_they_have_a_counter() -> None:
    counters = Counters()
    for event in ("sips-arrival", "sips-arrival", "sips-downgrade", "call-ended", "hook-failed"):
        counters.note(Note(event, "c1", {}))
    view = counters.view()
    assert (view.sips_arrivals, view.downgrades, view.calls) == (2, 1, 1)
    assert view.events == (
        ("call-ended", 1),
        ("hook-failed", 1),
        ("sips-arrival", 2),
        ("sips-downgrade", 1),
    )


def test_a_view_does_not_follow_its_counters() -> None:
    counters = Counters()
    view = counters.view()
    counters.note(Note("call-ended", "c1", {}))
    assert view.calls == 0 and view.events == ()


def test_exposition_is_well_formed_and_each_family_is_announced_once() -> None:
    text = exposition(picture())
    assert text.endswith("\n")
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert samples and all(SAMPLE.match(line) for line in samples)
    types = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))
    of_several = re.compile(r"_(bucket|sum|count)$")
    names = {re.split(r"[{ ]", line)[0] for line in samples}
    assert {name if name in types else of_several.sub("", name) for name in names} <= set(types)


def test_the_four_signals_of_a_trunk_are_there() -> None:
    text = exposition(picture())
    assert 'sbc_trunk_handshake_failures_total{trunk="office",kind="expired"} 2' in text
    own, peer = int(NOW + 40.5 * 86400), int(NOW + 9.5 * 86400)
    left = (
        f'sbc_certificate_expiry_seconds{{whose="theirs",name="office",thumbprint="cdcdcdcdcdcdcdcd"}} {peer}'
    )
    assert 'sbc_certificate_mark{whose="theirs",name="office",thumbprint="cdcdcdcdcdcdcdcd"} 4' in text
    assert left in text
    assert f'sbc_own_certificate_expiry_seconds{{trunk="office",name="sbc-2026"}} {own}' in text
    assert (
        f'sbc_peer_certificate_expiry_seconds{{trunk="office",name="dns:office.lab.example"}} {peer}' in text
    )
    assert 'sbc_trunk_up{trunk="office"} 1' in text
    assert "sbc_blocklist_size 2" in text and "sbc_blocklist_refused_total 40" in text
    assert 'sbc_blocklist_blocked_total{kind="handshake"} 8' in text
    assert 'sbc_trunk_up{trunk="broken"} 0' in text
    assert 'sbc_trunk_media_port_pairs{trunk="office"} 2' in text
    assert 'sbc_trunk_enabled{trunk="broken"} 1' in text
    assert 'sbc_trunk_broken{trunk="broken"} 1' in text and 'sbc_trunk_broken{trunk="office"} 0' in text


def test_figures_are_the_pictures() -> None:
    text = exposition(picture())
    assert "\nsbc_calls 1\n" in text
    assert '\nsbc_tls_handshakes_total{direction="inbound"} 12\n' in text
    assert '\nsbc_tls_handshake_failures_total{direction="outbound"} 4\n' in text
    assert "\nsbc_sips_downgrades_total 1\n" in text
    assert 'sbc_events_total{event="sips-arrival"} 9' in text
    assert 'sbc_listener_connections{listener="trunk-tls",transport="tls",direction="inbound"} 3' in text


def test_records_that_wait_and_that_are_lost() -> None:
    text = exposition(picture(records=RecordsView(5, 2, "No space left on device")))
    assert "\nsbc_journal_lines_lost_total 7\n" in exposition(picture(lines_lost=7))
    assert "\nsbc_call_records_waiting 5\n" in text and "\nsbc_call_records_lost_total 2\n" in text


def test_labels_are_escaped() -> None:
    odd = replace(LEGACY, name='a"b\\c\nd')
    assert 'sbc_trunk_up{trunk="a\\"b\\\\c\\nd"} 0' in exposition(picture(trunks=(OFFICE, odd)))


def test_who_shows_what_to_an_optional_trunk() -> None:
    office = replace(OFFICE, mode="optional", shown=(("presented", 3), ("absent", 2), ("bad", 0)))
    text = exposition(picture(trunks=(office,)))
    assert 'sbc_trunk_optional_handshakes_total{trunk="office",certificate="absent"} 2' in text


def test_the_pairs_of_media_ports_are_told_by_network_and_family() -> None:
    networks = NetworkView("lan", "10.0.0.9", free=40, pairs=50), NetworkView("lan", "2001:db8::9", pairs=50)
    text = exposition(picture(networks=networks))
    assert 'sbc_media_port_pairs{network="lan",family="IPv4",state="free"} 40' in text
    assert 'sbc_media_port_pairs{network="lan",family="IPv4",state="taken"} 10' in text
    assert 'sbc_media_port_pairs{network="lan",family="IPv6",state="taken"} 50' in text


def test_what_limits_refuse_is_counted_by_limit() -> None:
    text = exposition(picture(limit_refusals=(("", 1), ("guard #0", 7)), limit_keys=3))
    assert 'sbc_limit_refusals_total{limit="guard #0"} 7' in text
    assert 'sbc_limit_refusals_total{limit="-"} 1' in text and "sbc_limit_keys 3" in text


def test_what_a_tenant_s_trunks_hold_together_and_may() -> None:
    text = exposition(picture(tenants=(TenantView("acme", 3, 40), TenantView("bolt", 1))))
    assert 'sbc_tenant_calls{tenant="acme"} 3' in text and 'sbc_tenant_calls{tenant="bolt"} 1' in text
    assert 'sbc_tenant_calls_limit{tenant="acme"} 40' in text
    assert 'sbc_tenant_calls_limit{tenant="bolt"}' not in text


def test_what_became_of_a_trunk_s_calls() -> None:
    text = exposition(picture())
    of = 'trunk="office",direction="inbound"'
    assert f'sbc_trunk_outcomes_total{{{of},code="200"}} 3' in text
    assert f'sbc_trunk_outcomes_total{{{of},code="486"}} 1' in text
    assert f"sbc_trunk_call_duration_seconds_sum{{{of}}} 190" in text
    assert f"sbc_trunk_call_duration_seconds_count{{{of}}} 2" in text
    lines = [line for line in text.splitlines() if line.startswith("sbc_trunk_post_dial_delay_seconds")]
    assert lines == [
        f'sbc_trunk_post_dial_delay_seconds_bucket{{{of},le="0.25"}} 1',
        f'sbc_trunk_post_dial_delay_seconds_bucket{{{of},le="0.5"}} 2',
        f'sbc_trunk_post_dial_delay_seconds_bucket{{{of},le="+Inf"}} 3',
        f"sbc_trunk_post_dial_delay_seconds_sum{{{of}}} 1.2",
        f"sbc_trunk_post_dial_delay_seconds_count{{{of}}} 3",
    ]


def test_the_quality_of_a_trunk_s_legs() -> None:
    text = exposition(picture())
    of = 'trunk="office",way="received"'
    assert f'sbc_call_mos_bucket{{{of},le="4.3"}} 3' in text and f"sbc_call_mos_count{{{of}}} 4" in text
    assert f'sbc_call_loss_ratio_bucket{{{of},le="0"}} 2' in text
    assert 'sbc_call_loss_ratio_sum{trunk="office",way="sent"} 0.25' in text
    assert f"sbc_call_jitter_seconds_sum{{{of}}} 0.0124" in text
    assert 'sbc_call_round_trip_seconds_count{trunk="office"} 1' in text
    assert 'sbc_call_mos_count{trunk="office",way="sent"}' not in text, "nobody knew it"


def test_what_limits_have_refused_and_whether_it_keeps_up() -> None:
    caps = (CapView("office", "limits.rates.invite", 4812, 5.0, True),)
    text = exposition(picture(caps=caps, load=LoadView(0.75, 100.0), transactions=812))
    of = '{trunk="office",cap="limits.rates.invite"}'
    assert f"sbc_cap_refusals_total{of} 4812" in text and f"sbc_cap_reached{of} 1" in text
    assert (
        "sbc_overloaded 1" in text and "sbc_loop_lag_seconds 0.75" in text and "sbc_transactions 812" in text
    )
    assert "sbc_overloaded 0" in exposition(picture())


def test_no_series_is_told_twice_where_a_file_has_several_lists_of_a_ca() -> None:
    """Prometheus takes one of them, and which one nobody knows: it is to be the one that runs out first."""
    lists = tuple(RevocationView("file", "tls/ca.crl", "CN=CA", NOW + days * 86400.0) for days in (2, 1, 1))
    asked = RevocationView("crl", "http://crl.example/ca.crl", "CN=CA", NOW, problem="no answer")
    text = exposition(picture(revocation=(*lists, asked)))
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    file, crl = (
        '{kind="file",source="tls/ca.crl",of="CN=CA"}',
        '{kind="crl",source="http://crl.example/ca.crl"',
    )
    assert f"sbc_revocation_expiry_seconds{file} {NOW + 86400.0:.0f}\n" in text
    assert f"sbc_revocation_source_up{file} 1\n" in text and f'{crl},of="CN=CA"}} 0\n' in text
