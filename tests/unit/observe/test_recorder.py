"""The recorder: every event reaches the journal, the counters and the call records, and no key does."""

from __future__ import annotations

import json
from typing import Any

from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.flow import Allowance, Flow, TlsFacts
from sbc.media.stats import MediaStats
from sbc.observe.journal import Journal
from sbc.observe.recorder import FAILURES_KEPT, Recorder
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.failure import Direction, Failure, Kind
from tests.unit.tls.certs import GOOD, der

FLOW = Flow(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.1", 5060), trunk="office")
ENDED: dict[str, Any] = {
    "caller": "alice", "called": "+1212", "rule": "all", "from": "office", "to": "", "status": 486,
    "reason": "busy", "by": "callee", "created": 1.0, "answered": 0.0, "ended": 2.0, "duration": 0.0,
    "downgraded": False, "a": FLOW, "b": None,
}  # fmt: skip


class Papers:
    """A recorder and what it wrote."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.records: list[str] = []
        self.recorder = Recorder(Journal(self.log.append), self.records.append)


def _failed(**changes: Any) -> HandshakeFailed:
    fields: dict[str, Any] = {
        "direction": "inbound", "listener": "main", "candidates": ("office", "carrier"),
        "remote": Address("198.51.100.1", 40000), "sni": "sbc.example", "verify_code": 10, "reasons": (),
        "alert_sent": 45, "alert_received": None, "peer": None, "at": 100.0,
        "failure": Failure("expired", "the certificate ended yesterday", "renew it"),
    }  # fmt: skip
    fields |= changes
    known = HandshakeFailed.__dataclass_fields__
    return HandshakeFailed(**{name: value for name, value in fields.items() if name in known})


def test_an_ended_call_is_a_record_a_line_and_a_count() -> None:
    papers = Papers()
    papers.recorder.note(Note("call-ended", "c1", ENDED), MediaStats(), 2.0)
    (record,) = map(json.loads, papers.records)
    assert record["status"] == 486
    (line,) = papers.log
    assert "c1" in line and "status=486" in line and "reason=busy" in line
    assert "Flow" not in line and "created" not in line, "the line tells what an operator reads"
    assert papers.recorder.counters.view().calls == 1


def test_other_notes_are_lines_and_no_records() -> None:
    papers = Papers()
    papers.recorder.note(Note("failover", "c1", {"to": "backup", "on": 503}), None, 2.0)
    assert not papers.records
    assert "failover" in papers.log[0] and "backup" in papers.log[0]
    assert dict(papers.recorder.counters.view().events)["failover"] == 1


def test_a_failed_handshake_is_counted_for_each_trunk_that_it_may_have_been() -> None:
    papers = Papers()
    papers.recorder.handshake_failed(_failed())
    papers.recorder.handshake_failed(_failed(candidates=()))
    assert papers.recorder.counters.view().inbound.failures == 2
    assert papers.recorder.failures_by_trunk == {
        ("office", "expired"): 1, ("carrier", "expired"): 1, ("", "expired"): 1,
    }  # fmt: skip
    newest, oldest = papers.recorder.failures
    assert (oldest.trunk, newest.trunk) == ("office,carrier", "")
    assert (oldest.kind, oldest.remedy, oldest.peer) == ("expired", "renew it", "198.51.100.1:40000")
    assert oldest.alert.startswith("sent 45 ")
    assert "[tls-refused]" in papers.log[0] and "remedy=" in papers.log[0]


def test_a_received_alert_says_more_than_ours() -> None:
    papers = Papers()
    papers.recorder.handshake_failed(_failed(alert_received=48))
    assert papers.recorder.failures[0].alert.startswith("received 48 ")


def test_only_the_latest_failures_are_kept() -> None:
    papers = Papers()
    for number in range(FAILURES_KEPT + 5):
        papers.recorder.handshake_failed(_failed(at=float(number)))
    assert len(papers.recorder.failures) == FAILURES_KEPT
    assert papers.recorder.failures[0].at == FAILURES_KEPT + 4


def test_refusals_and_faults_are_noted() -> None:
    papers = Papers()
    papers.recorder.refused("main", Address("203.0.113.1", 1), "no trunk admits this address", 1.0)
    papers.recorder.fault("driver.py:1 < engine.py:2", 1.0)
    events = dict(papers.recorder.counters.view().events)
    assert events == {"connection-refused": 1, "internal-error": 1}
    assert "203.0.113.1" in papers.log[0] and "engine.py:2" in papers.log[1]


def test_a_failed_handshake_is_in_the_ledger_of_each_trunk_with_the_line_to_change() -> None:
    papers = Papers()
    papers.recorder.place = lambda trunk, failure, way: f"trunks.d/{trunk}.yaml:3 ({failure.kind} {way})"
    papers.recorder.handshake_failed(_failed())
    office = papers.recorder.ledger.side("office", "inbound").bad
    assert office is not None
    assert (office.kind, office.alert, office.sole) == ("expired", "sent 45 certificate_expired", False)
    assert office.where == "trunks.d/office.yaml:3 (expired inbound)"
    assert "where=" in papers.log[0] and "trunks.d/carrier.yaml:3" in papers.log[0]
    assert papers.recorder.failures[0].where.count("trunks.d/") == 2
    assert papers.recorder.alerts_by_trunk == {
        ("office", "sent 45 certificate_expired"): 1, ("carrier", "sent 45 certificate_expired"): 1,
    }  # fmt: skip


def test_a_certificate_without_its_key_was_not_presented() -> None:
    shown = (der(GOOD.issue(dns=["peer.example"]).cert_pem),)
    cases: list[tuple[Kind, int]] = [("expired", 1), ("key-not-held", 0)]
    for kind, kept in cases:
        papers = Papers()
        papers.recorder.handshake_failed(_failed(failure=Failure(kind, "a", "b"), chain=shown))
        assert len(papers.recorder.ledger.shown("office")) == kept


def test_a_good_handshake_is_in_the_ledger_under_the_name_that_was_dialled() -> None:
    papers = Papers()
    facts = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "sip.example", "sbc", None)
    shown = (der(GOOD.issue(dns=["sip.example"]).cert_pem),)
    event = Handshake(
        "outbound", "main", "office", Address("198.51.100.1", 5061), facts, shown, "good", ("CN=x",), 5.0
    )
    papers.recorder.handshake(event)
    side = papers.recorder.ledger.side("office", "outbound")
    assert side.good is not None and side.asked == ("CN=x",)
    (kept,) = papers.recorder.ledger.shown("office")
    assert (kept.host, kept.anchor) == ("sip.example", "good")


def test_an_optional_trunk_counts_what_inbound_peers_show() -> None:
    papers = Papers()
    papers.recorder.optional.follow(["office"], 0.0)
    facts = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519", "", "sbc", None)
    shown = (der(GOOD.issue(dns=["sip.example"]).cert_pem),)
    came: list[tuple[Direction, tuple[bytes, ...]]] = [
        ("inbound", shown),
        ("inbound", ()),
        ("outbound", shown),
    ]
    for direction, chain in came:
        event = Handshake(
            direction, "main", "office", Address("198.51.100.1", 4000), facts, chain, "good", None, 5.0
        )
        papers.recorder.handshake(event)
    papers.recorder.handshake_failed(_failed(chain=shown))
    papers.recorder.handshake_failed(_failed(failure=Failure("timeout", "a", "b")))
    papers.recorder.handshake_failed(_failed(direction="outbound", chain=shown))
    summary = papers.recorder.optional.summary("office", 100.0)
    assert summary is not None
    assert summary.counts == (("presented", 1), ("absent", 1), ("bad", 1))
    assert "198.51.100.1 (1 handshakes without a certificate, 1 with a bad one" in summary.advice
    assert papers.recorder.optional.summary("carrier", 100.0) is None


def test_malformed_messages_of_one_address_are_five_lines_a_minute_and_all_are_counted() -> None:
    papers = Papers()
    for number in range(100_000):
        fields = {"remote": f"198.51.100.1:{number % 60000 + 1024}", "reason": "no Via"}
        papers.recorder.note(Note("malformed", "", fields), None, 100.0 + number / 25_000)
    other = {"remote": "[2001:db8::7]:5060", "reason": "no To"}
    papers.recorder.note(Note("malformed", "", other), None, 104.0)
    assert len(papers.log) == 6 and "[malformed]" in papers.log[0]
    assert "2001:db8::7" in papers.log[5]
    assert dict(papers.recorder.counters.view().events)["malformed"] == 100_001
    papers.recorder.note(
        Note("malformed", "", {"remote": "198.51.100.1:5060", "reason": "no Via"}), None, 161.0
    )
    assert "no Via (99995 more since the last line)" in papers.log[6]


def test_a_flood_is_one_line_a_minute_with_the_key_that_allows_more() -> None:
    papers = Papers()
    flow = Flow(
        1, "tls", Address("192.0.2.1", 5061), Address("198.51.100.1", 40000), listener="main", trunk="office",
        allowance=Allowance(2000),
    )  # fmt: skip
    for second in range(50):
        papers.recorder.flood(flow, 100.0 + second)
    (line,) = papers.log
    assert " WRN [flood] " in line and "trunk=office" in line and "peer=198.51.100.1:40000" in line
    assert "over 2000 messages a second (caps.messages_per_flow): what is more waits" in line
    papers.recorder.flood(flow, 161.0)
    assert "waits (49 more since the last line)" in papers.log[1]


def test_over_udp_a_flood_loses_what_is_over_its_allowance() -> None:
    papers = Papers()
    papers.recorder.flood(FLOW, 100.0)
    assert "what is more is dropped" in papers.log[0]


def test_refusals_without_an_ack_are_five_lines_a_minute_and_those_of_a_limit_are_all_said() -> None:
    papers = Papers()
    for number in range(1000):
        fields = {"remote": "198.51.100.1:5061", "reason": "too many refusals were not acknowledged"}
        papers.recorder.note(Note("call-refused", "", fields), None, 100.0 + number / 1000)
    assert len(papers.log) == 5
    for _ in range(20):
        papers.recorder.note(
            Note("call-refused", "", {"trunk": "a", "reason": "over its limit"}), None, 102.0
        )
    assert len(papers.log) == 25


def test_handshakes_of_one_address_that_fail_alike_are_thirty_lines_a_minute() -> None:
    papers = Papers()
    for number in range(500):
        papers.recorder.handshake_failed(_failed(at=100.0 + number / 100))
    assert len(papers.log) == 30
    papers.recorder.handshake_failed(_failed(at=105.0, failure=Failure("not-tls", "a", "b")))
    papers.recorder.handshake_failed(_failed(at=105.0, remote=Address("198.51.100.2", 40000)))
    papers.recorder.handshake_failed(_failed(at=105.0, direction="outbound"))
    assert len(papers.log) == 33, "another way, another address, one that we dialled"
    papers.recorder.handshake_failed(_failed(at=165.0))
    assert "the certificate ended yesterday (470 more since the last line)" in papers.log[33]
    assert papers.recorder.counters.tally.total("inbound").failures == 503
    assert papers.recorder.failures_by_trunk["office", "expired"] == 503


def test_phones_behind_one_address_that_come_and_go_are_so_many_lines_and_no_more() -> None:
    papers = Papers()
    for number in range(1000):
        fields = {"user": f"user{number}", "trunk": "phones", "remote": "198.51.100.7:5060"}
        papers.recorder.note(Note("phone-registered", "", fields), None, 100.0)
    other = {"user": "alice", "trunk": "phones", "remote": "203.0.113.1:5060"}
    papers.recorder.note(Note("phone-registered", "", other), None, 100.0)
    assert 50 < len(papers.log) < 100 and "user=alice" in papers.log[-1]
    again = {"user": "bob", "trunk": "phones", "remote": "198.51.100.7:5060"}
    papers.recorder.note(Note("phone-registered", "", again), None, 161.0)
    assert "940 more since the last line" in papers.log[-1]


def _over(source: str, cap: str = "limits.rates.invite", trunk: str = "office") -> Note:
    reason = f"trunk {trunk} is over {cap}, 20 a second"
    fields = {
        "trunk": trunk,
        "remote": f"{source}:5061",
        "method": "INVITE",
        "cap": cap,
        "reason": reason,
    }
    return Note("over-cap", "", fields)


def test_what_is_over_a_limit_is_one_line_a_minute_for_each_address_and_limit() -> None:
    papers = Papers()
    for number in range(5000):
        papers.recorder.note(_over("198.51.100.1"), None, 100.0 + number / 100)
    papers.recorder.note(_over("198.51.100.2"), None, 150.0)
    papers.recorder.note(_over("198.51.100.1", "limits.rates.options"), None, 150.0)
    assert len(papers.log) == 3 and all(" WRN [cap] event=over-cap " in line for line in papers.log)
    assert "cap=limits.rates.invite" in papers.log[0] and "trunk=office" in papers.log[0]
    papers.recorder.tick(159.0)
    assert len(papers.log) == 3
    papers.recorder.tick(160.0)
    papers.recorder.tick(161.0)
    (rest,) = papers.log[3:]
    assert "event=kept-back" in rest and "4999 more: 198.51.100.1 over limits.rates.invite" in rest


def test_a_flood_of_forged_addresses_is_twenty_lines_and_the_worst_is_named() -> None:
    papers = Papers()
    for number in range(10_000):
        papers.recorder.note(_over(f"10.1.{number >> 8}.{number & 255}"), None, 100.0)
        papers.recorder.note(_over("10.9.9.9" if number > 100 else "10.1.0.0"), None, 100.0)
    papers.recorder.tick(160.0)
    assert len(papers.log) == 21 and "9899 of them from 10.9.9.9" in papers.log[20]


def test_what_limits_have_refused_is_counted_by_trunk_and_limit() -> None:
    papers = Papers()
    for at in (100.0, 101.0):
        papers.recorder.note(_over("198.51.100.1"), None, at)
    fields = {"trunk": "carrier", "remote": "198.51.100.9:5061", "cap": "limits.calls", "reason": "full"}
    papers.recorder.note(Note("call-refused", "", fields), None, 150.0)
    found = [
        (each.trunk, each.cap, each.refused, each.reached) for each in papers.recorder.reached.views(161.0)
    ]
    assert found == [("carrier", "limits.calls", 1, True), ("office", "limits.rates.invite", 2, False)]
