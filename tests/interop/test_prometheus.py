"""Prometheus takes what we ship: the metrics, and the rules, each of which fires when it should."""

from __future__ import annotations

import json
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.observe.metrics import exposition
from sbc.observe.views import CertificateView, LifeView, RevocationView
from tests.edge.attacked import ROOT, attacked
from tests.peers.needs import needs
from tests.peers.ports import free_ports
from tests.peers.prometheus import RULES, Prometheus, families, metrics_asked, promtool, rules
from tests.peers.waiting import until
from tests.unit.observe.pictures import OFFICE, picture

pytestmark = [pytest.mark.interop, pytest.mark.slow]

PAGE = (ROOT / "docs" / "monitoring.md").read_text("utf-8")
OF = 'instance="sbc",trunk="office"'

# For each rule series that let it fire, and such as just do not; values of a minute each, and what it names.
CASES: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "PortcullisGone": ({'up{job="portcullis"}': "0x30"}, {'up{job="portcullis"}': "1x30"}),
    "PortcullisListenerDown": (
        {'sbc_listener_up{listener="tls"}': "0x30"},
        {'sbc_listener_up{listener="tls"}': "1x30"},
    ),
    "PortcullisTrunkDown": ({f"sbc_trunk_down{{{OF}}}": "1x30"}, {f"sbc_trunk_down{{{OF}}}": "0x30"}),
    "PortcullisPeerDown": (
        {f'sbc_peer_down{{{OF},peer="a"}}': "1x30", f"sbc_trunk_down{{{OF}}}": "0x30"},
        {f'sbc_peer_down{{{OF},peer="a"}}': "1x30", f"sbc_trunk_down{{{OF}}}": "1x30"},
    ),
    "PortcullisNotRegistered": (
        {f"sbc_registration_up{{{OF}}}": "0x30"},
        {f"sbc_registration_up{{{OF}}}": "1x30"},
    ),
    "PortcullisTrunkBroken": ({f"sbc_trunk_broken{{{OF}}}": "1x30"}, {f"sbc_trunk_broken{{{OF}}}": "0x30"}),
    "PortcullisHandshakesFail": (
        {f'sbc_trunk_handshake_alerts_total{{{OF},alert="unknown_ca"}}': "0x14 0+4x15"},
        {f'sbc_trunk_handshake_alerts_total{{{OF},alert="unknown_ca"}}': "0+1x30"},
    ),
    "PortcullisSoftPasses": (
        {f'sbc_revocation_soft_passes_total{{{OF},reason="unknown"}}': "_x16 3x14"},
        {f'sbc_revocation_soft_passes_total{{{OF},reason="no-source"}}': "0+9x30"},
    ),
    "PortcullisRevocationSourceDown": (
        {'sbc_revocation_source_up{source="http://ca/crl"}': "0x30"},
        {'sbc_revocation_source_up{source="http://ca/crl"}': "0x5 1x25"},
    ),
    "PortcullisRevocationDataExpired": (
        {'sbc_revocation_expiry_seconds{source="http://ca/crl"}': "30x30"},
        {'sbc_revocation_expiry_seconds{source="http://ca/crl"}': "90000x30"},
    ),
    "PortcullisCertificateExpires": (
        {'sbc_certificate_mark{whose="ours",name="sbc"}': "3x30"},
        {'sbc_certificate_mark{whose="ours",name="sbc"}': "2x30"},
    ),
    "PortcullisCertificateExpiresNow": (
        {'sbc_certificate_mark{whose="theirs",name="office"}': "4x30"},
        {'sbc_certificate_mark{whose="theirs",name="office"}': "3x30"},
    ),
    "PortcullisRecordsWait": (
        {"sbc_call_records_waiting": "7x30"},
        {"sbc_call_records_waiting": "7 0 9 0x27"},
    ),
    "PortcullisRecordsLost": (
        {"sbc_call_records_lost_total": "0x14 2x16"},
        {"sbc_call_records_lost_total": "2x30"},
    ),
    "PortcullisJournalLoses": (
        {"sbc_journal_lines_lost_total": "0x14 9x16"},
        {"sbc_journal_lines_lost_total": "9x30"},
    ),
    "PortcullisCollectorDown": (
        {'sbc_collector_up{collector="hep"}': "0x30"},
        {'sbc_collector_up{collector="hep"}': "1x16 0 1x13"},
    ),
    "PortcullisCollectorMisses": (
        {'sbc_collector_dropped_total{collector="hep"}': "0x14 9x16"},
        {'sbc_collector_dropped_total{collector="hep"}': "9x30"},
    ),
    "PortcullisRecordingsFail": (
        {"sbc_recordings_failed_total": "0x14 1x16"},
        {"sbc_recordings_failed_total": "1x30"},
    ),
    "PortcullisDiskFills": (
        {'sbc_disk_free_bytes{disk="records"}': "9x30", 'sbc_disk_size_bytes{disk="records"}': "100x30"},
        {'sbc_disk_free_bytes{disk="records"}': "11x30", 'sbc_disk_size_bytes{disk="records"}': "100x30"},
    ),
    "PortcullisConfigurationRefused": (
        {"sbc_configuration_refused": "1x30"},
        {"sbc_configuration_refused": "1x3 0x27"},
    ),
    "PortcullisOverloaded": ({"sbc_overloaded": "1x30"}, {"sbc_overloaded": "0x30"}),
    "PortcullisCapReached": (
        {f'sbc_cap_reached{{{OF},cap="calls"}}': "1x30"},
        {f'sbc_cap_reached{{{OF},cap="calls"}}': "1x2 0x28"},
    ),
    "PortcullisBlocklistGrows": (
        {'sbc_blocklist_blocked_total{instance="sbc",kind="handshake"}': "_x16 25x14"},
        {'sbc_blocklist_blocked_total{instance="sbc",kind="handshake"}': "0+1x30"},
    ),
    "PortcullisLimitSpent": (
        {'sbc_limit_refusals_total{limit="guard"}': "_x16 1x14"},
        {'sbc_limit_refusals_total{limit="guard"}': "5x30"},
    ),
    "PortcullisEmergencyFailed": (
        {'sbc_events_total{event="emergency-failed"}': "_x16 1x14"},
        {'sbc_events_total{event="emergency"}': "0+1x30"},
    ),
    "PortcullisFault": (
        {'sbc_events_total{event="internal-error"}': "_x16 1x14"},
        {'sbc_events_total{event="call-up"}': "0+1x30"},
    ),
    "PortcullisLookupDown": (
        {'sbc_lookup_up{lookup="crm"}': "0x30"},
        {'sbc_lookup_up{lookup="crm"}': "1x30"},
    ),
    "PortcullisNameFails": (
        {'sbc_name_up{name="a.example"}': "0x30"},
        {'sbc_name_up{name="a.example"}': "0x3 1x27"},
    ),
    "PortcullisPoorCalls": (
        {
            f'sbc_call_mos_bucket{{{OF},way="sent",le="3.6"}}': "0+2x30",
            f'sbc_call_mos_count{{{OF},way="sent"}}': "0+9x30",
        },
        {
            f'sbc_call_mos_bucket{{{OF},way="sent",le="3.6"}}': "0+1x30",
            f'sbc_call_mos_count{{{OF},way="sent"}}': "0+1x30",
        },
    ),
    "PortcullisAlertsDoNotArrive": (
        {'sbc_alert_sink_up{sink="noc"}': "0x30"},
        {'sbc_alert_sink_up{sink="noc"}': "0x5 1x25"},
    ),
}
AT = "18m"


def case(rule: dict[str, Any], series: dict[str, str], fires: bool) -> dict[str, Any]:
    """One test of promtool's: after eighteen minutes of these series the rule fires, or does not."""
    expected = []
    if fires:
        (labels,) = {tuple(sorted(re.findall(r'(\w+)="([^"]*)"', each))) for each in list(series)[:1]}
        told = {name: value for name, value in labels if name not in _lost(rule["expr"])}
        texts = {name: _filled(text, dict(labels)) for name, text in rule["annotations"].items()}
        expected = [{"exp_labels": told | rule["labels"], "exp_annotations": texts}]
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": AT, "alertname": rule["alert"], "exp_alerts": expected}],
    }


def _lost(expr: str) -> set[str]:
    """The labels that a sum leaves out."""
    return {"kind", "le"} if "sum by" in expr else set()


def _filled(text: str, labels: dict[str, str]) -> str:
    return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels.get(found[1], ""), text)


def test_the_rules_are_right_and_each_fires_when_it_should_and_not_otherwise(tmp_path: Path) -> None:
    needs("promtool")
    promtool("check", "rules", str(RULES))
    assert CASES.keys() == {rule["alert"] for rule in rules()}
    tests = [
        case(rule, series, fires)
        for rule in rules()
        for series, fires in zip(CASES[rule["alert"]], (True, False), strict=True)
    ]
    whole = {"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}
    (tmp_path / "rules.test.yml").write_text(json.dumps(whole))
    promtool("test", "rules", str(tmp_path / "rules.test.yml"))


def test_the_metrics_are_as_prometheus_would_have_them_whatever_peers_are_called() -> None:
    needs("promtool")
    odd = 'x"} 9\nsbc_forged{a="\\'
    named = replace(OFFICE, peer=CertificateView(odd, odd, "ab" * 32, 1.0), soft_passes=((odd, 1),))
    lives = (LifeView("theirs", odd, odd, odd, 1.0, 1, "ok"),)
    sources = (RevocationView("crl", odd, odd, 1.0),)
    text = exposition(picture(trunks=(named,), certificates=lives, revocation=sources))
    promtool("check", "metrics", given=text)
    assert "\nsbc_forged" not in text and families(text).keys() == families(exposition(picture())).keys()
    assert text.encode("utf-8", "backslashreplace").isascii()


def test_a_prometheus_scrapes_a_running_sbc_and_has_every_metric_that_is_asked_for(tmp_path: Path) -> None:
    needs("prometheus", "promtool")
    metrics, port = free_ports(2)
    with attacked(tmp_path / "sbc", more=f"metrics: {{bind: 127.0.0.1:{metrics}}}\n") as running:
        page = f"http://127.0.0.1:{metrics}/metrics"
        text = fetch(page).decode()
        promtool("check", "metrics", given=text)
        assert metrics_asked() <= families(text).keys()
        config = re.findall(r"^```yaml\n# prometheus.yml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)[0]
        config = config.replace("portcullis.rules.yml", str(RULES)).replace(
            "10.0.0.9:9464", f"127.0.0.1:{metrics}"
        )
        quick = f"global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n{config}"
        (tmp_path / "prometheus").mkdir()
        with Prometheus("prometheus", tmp_path / "prometheus", quick, port):
            asked = asking(port)
            (up,) = until(lambda: asked('up{job="portcullis"} == 1'))
            (calls,) = until(lambda: asked("sbc_calls"))
            assert calls["value"][1] == "0" and up["metric"]["instance"] == f"127.0.0.1:{metrics}"
            groups = json.loads(fetch(f"http://127.0.0.1:{port}/api/v1/rules"))["data"]["groups"]
            assert {each["name"] for each in groups[0]["rules"]} == CASES.keys()
            until(lambda: asked('sbc_trunk_down{trunk="carrier"}'))
        running.unharmed()


def asking(port: int) -> Callable[[str], list[dict[str, Any]]]:
    """What a Prometheus answers to a query."""

    def ask(query: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        found: list[dict[str, Any]] = json.loads(fetch(url))["data"]["result"]
        return found

    return ask


def fetch(url: str) -> bytes:
    """The body of a page; other greenlets go on meanwhile."""

    def get() -> bytes:
        with urllib.request.urlopen(url, timeout=30) as answer:
            body: bytes = answer.read()
            return body

    body: bytes = gevent.get_hub().threadpool.apply(get)
    return body
