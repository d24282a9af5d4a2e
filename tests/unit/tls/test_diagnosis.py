from __future__ import annotations

from typing import Any

import pytest

from sbc.tls.diagnosis import classify
from sbc.tls.evidence import Evidence
from sbc.tls.failure import Failure, alert_name


@pytest.mark.parametrize(
    ("facts", "kind"),
    [
        ({"verify_code": 10}, "expired"),
        ({"verify_code": 9}, "not-yet-valid"),
        ({"verify_code": 18}, "unknown-ca"),
        ({"verify_code": 19}, "unknown-ca"),
        ({"verify_code": 20}, "unknown-ca"),
        ({"verify_code": 21}, "unknown-ca"),
        ({"verify_code": 22}, "chain-too-long"),
        ({"verify_code": 23}, "revoked"),
        ({"verify_code": 12}, "stale-revocation"),
        ({"verify_code": 26}, "wrong-purpose"),
        ({"verify_code": 47}, "name-mismatch"),
        ({"verify_code": 62}, "name-mismatch"),
        ({"verify_code": 66}, "bad-certificate"),
        ({"verify_code": 7, "verify_text": "certificate signature failure"}, "bad-certificate"),
        ({"verify_code": 20, "alert_sent": 48, "reasons": ("certificate verify failed",)}, "unknown-ca"),
        ({"alert_sent": 116}, "no-certificate"),
        ({"alert_sent": 40, "reasons": ("peer did not return a certificate",)}, "no-certificate"),
        ({"alert_sent": 40, "reasons": ("no shared cipher",)}, "no-shared-cipher"),
        ({"alert_sent": 40, "reasons": ("no suitable key share",)}, "no-shared-group"),
        ({"alert_sent": 70, "reasons": ("unsupported protocol",)}, "no-shared-version"),
        ({"alert_sent": 51, "reasons": ("bad signature",)}, "key-not-held"),
        ({"alert_sent": 51, "reasons": ("digest check failed",)}, "bad-handshake"),
        ({"alert_sent": 10, "reasons": ("unexpected message",)}, "bad-handshake"),
        ({"alert_received": 48}, "rejected-by-peer"),
        ({"alert_received": 116}, "rejected-by-peer"),
        ({"alert_received": 250}, "rejected-by-peer"),
        ({"alert_received": 70}, "no-shared-version"),
        ({"ended": "timeout"}, "timeout"),
        ({"ended": "reset"}, "reset-by-peer"),
        ({"ended": "eof"}, "reset-by-peer"),
        ({"ended": "plain"}, "not-tls"),
        ({}, "bad-handshake"),
    ],
)
def test_kinds(facts: dict[str, Any], kind: str) -> None:
    failure = classify(Evidence("inbound", trunks=("acme",), **facts))
    assert failure.kind == kind
    assert failure.detail and failure.remedy
    assert failure.security_event is (kind == "key-not-held")


def test_words_in_a_reason_do_not_classify() -> None:
    reasons = ("a bad signature was seen by no shared cipher",)
    assert classify(Evidence("inbound", alert_sent=80, reasons=reasons)).kind == "bad-handshake"


def test_our_own_decision_comes_first_and_gets_its_alert() -> None:
    decided = Failure("name-mismatch", "expected a; the certificate names b", "correct it")
    failure = classify(Evidence("inbound", decided, verify_code=62, alert_sent=42))
    assert (failure.kind, failure.alert) == ("name-mismatch", 42)


def test_the_text_says_who_and_at_which_depth() -> None:
    failure = classify(Evidence("inbound", verify_code=10, verify_depth=1, who="CN=peer"))
    assert failure.detail == "an issuer (depth 1) of CN=peer has expired"
    assert str(failure).startswith("expired: an issuer")


def test_alert_names() -> None:
    assert [alert_name(each) for each in (48, 116, 250, None)] == [
        "unknown_ca", "certificate_required", "alert 250", "",
    ]  # fmt: skip
