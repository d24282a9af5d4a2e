"""A failed handshake in one class, one sentence of detail and one remedy; and the alerts of TLS by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Direction = Literal["inbound", "outbound"]
Kind = Literal[
    "no-certificate",
    "unknown-ca",
    "missing-intermediate",
    "key-not-held",
    "name-mismatch",
    "expired",
    "not-yet-valid",
    "wrong-purpose",
    "revoked",
    "stale-revocation",
    "chain-too-long",
    "bad-certificate",
    "no-shared-version",
    "no-shared-cipher",
    "no-shared-group",
    "unknown-sni",
    "no-identity",
    "quarantined",
    "not-tls",
    "timeout",
    "reset-by-peer",
    "unresolved",
    "unreachable",
    "rejected-by-peer",
    "bad-handshake",
    "refused-by-hook",
]

# RFC 8446 6.2 and its IANA registry: the number of an alert and its name there.
ALERTS = {
    0: "close_notify",
    10: "unexpected_message",
    20: "bad_record_mac",
    22: "record_overflow",
    40: "handshake_failure",
    41: "no_certificate",
    42: "bad_certificate",
    43: "unsupported_certificate",
    44: "certificate_revoked",
    45: "certificate_expired",
    46: "certificate_unknown",
    47: "illegal_parameter",
    48: "unknown_ca",
    49: "access_denied",
    50: "decode_error",
    51: "decrypt_error",
    70: "protocol_version",
    71: "insufficient_security",
    80: "internal_error",
    86: "inappropriate_fallback",
    90: "user_canceled",
    109: "missing_extension",
    110: "unsupported_extension",
    112: "unrecognized_name",
    113: "bad_certificate_status_response",
    115: "unknown_psk_identity",
    116: "certificate_required",
    120: "no_application_protocol",
}


def alert_name(number: int | None) -> str:
    """The registry's name of an alert, ``alert N`` where it has none, "" for None."""
    return "" if number is None else ALERTS.get(number, f"alert {number}")


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed handshake explained: its kind, what was seen, and what to do about it.

    ``alert`` is the number of the alert that decided, sent or received; None where none did.
    ``key`` is the key that decided: one of the trunk's, such as ``tls.names``, or one of sbc.yaml, such as
    ``trust.carrier-ca.permitted``; None where it is the one that its kind has, "" where none of ours is.
    """

    kind: Kind
    detail: str
    remedy: str
    alert: int | None = None
    key: str | None = None

    @property
    def security_event(self) -> bool:
        """True for what no misconfiguration explains: somebody shows a certificate without its key."""
        return self.kind == "key-not-held"

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}; {self.remedy}"
