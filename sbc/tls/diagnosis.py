"""Why a handshake failed: one kind, one sentence of detail, one remedy.

OpenSSL says "certificate verify failed" for a wrong CA, an expired certificate and a wrong
purpose alike, and the alert alone cannot tell "no certificate" from "no shared cipher" in
TLS 1.2. So a failure is classified from what is numbered: the X.509 verify code, the alert
with its direction (RFC 8446 6, RFC 5246 7.2) and OpenSSL's reason; a reason is compared as
a whole symbol, never searched for words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    ``key`` is the key of sbc.yaml that decided, such as ``trust.carrier-ca.permitted``; "" where it
    is one of the trunk's or none.
    """

    kind: Kind
    detail: str
    remedy: str
    alert: int | None = None
    key: str = ""

    @property
    def security_event(self) -> bool:
        """True for what no misconfiguration explains: somebody shows a certificate without its key."""
        return self.kind == "key-not-held"

    def __str__(self) -> str:
        return f"{self.kind}: {self.detail}; {self.remedy}"


@dataclass(frozen=True, slots=True)
class NoIssuer:
    """A chain that ends before anything trusted: the issuer it lacks.

    ``sendable`` says that it is an intermediate, which the peer should have sent; ``namesake`` is
    the truststore entry whose CA has its name and another key.
    """

    issuer: str
    sendable: bool = False
    namesake: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a handshake that failed.

    ``decided`` is what ``trust.match`` refused, ``reasons`` are OpenSSL's reason symbols,
    ``ended`` says how the transport ended where no alert did, ``who`` is the subject shown.
    """

    direction: Direction
    decided: Failure | None = None
    verify_code: int = 0
    verify_depth: int = 0
    verify_text: str = ""
    alert_sent: int | None = None
    alert_received: int | None = None
    reasons: tuple[str, ...] = ()
    ended: Literal["", "timeout", "reset", "eof", "plain"] = ""
    trunks: tuple[str, ...] = ()
    who: str = ""
    no_issuer: NoIssuer | None = None


# X509_V_ERR numbers (x509_vfy.h): kind, what it means, what to do.
_VERIFY: dict[int, tuple[Kind, str, str]] = {
    9: ("not-yet-valid", "is not valid yet", "compare both machines' clocks; else the certificate is early"),
    10: ("expired", "has expired", "let its owner renew it"),
    3: ("stale-revocation", "has an issuer without a CRL here", "give that CA's CRL, or let it be fetched"),
    12: ("stale-revocation", "has an issuer whose CRL is out of date", "refresh the CRL"),
    22: (
        "chain-too-long",
        "has a chain that is too long",
        "let the peer send its leaf and intermediates only",
    ),
    23: ("revoked", "is revoked", "let its owner replace it; treat its key as lost"),
    26: (
        "wrong-purpose",
        "has the wrong extended key usage",
        "let the peer present one for this purpose; `client_eku: allow-server-auth` accepts "
        "a client with a server's",
    ),
    47: (
        "name-mismatch",
        "has a name outside the name constraints of its CA",
        "let its owner get one whose names that CA may certify, or one of another CA",
    ),
    48: (
        "name-mismatch",
        "has a name that the name constraints of its CA exclude",
        "let its owner get one whose names that CA may certify, or one of another CA",
    ),
    62: ("name-mismatch", "does not carry the expected name", "correct `names`, or this is another peer"),
    64: ("name-mismatch", "does not carry the expected address", "correct `names`, or this is another peer"),
}
_UNKNOWN_CA = (2, 18, 19, 20, 21, 27)
_WEAK = (66, 67, 68)
_NO_CERTIFICATE = ("peer did not return a certificate",)
_NO_CIPHER = ("no shared cipher", "no ciphers available", "no suitable signature algorithm")
_NO_GROUP = (
    "no suitable key share",
    "no suitable groups",
    "no shared groups",
    "no shared group",
    "unsupported elliptic curve",
    "wrong curve",
    "bad key share",
)
_KEY_NOT_HELD = ("bad signature", "invalid signature", "wrong signature type", "wrong signature size")
# What a client's OpenSSL says of an answer that is no TLS record.
_NOT_TLS = ("wrong version number",)
_NO_VERSION = ("unsupported protocol", "wrong ssl version", "no protocols available", "version too low")
_REJECTED = {
    40: "it found no common parameters, or wants a certificate that we did not show (TLS 1.2)",
    42: "it holds our certificate for broken",
    43: "our certificate is not of a kind it accepts; the extended key usage may be wrong",
    44: "it holds our certificate for revoked",
    45: "it holds our certificate for expired",
    46: "it does not accept our certificate",
    48: "it does not know the CA of our certificate",
    49: "our certificate is good and it does not let us in",
    51: "it could not verify our signature",
    112: "it does not know the name in our SNI",
    116: "it wants a client certificate and we showed none",
}


def classify(evidence: Evidence) -> Failure:
    """The one failure that the evidence amounts to; the most certain source decides."""
    alert = evidence.alert_sent if evidence.alert_sent is not None else evidence.alert_received
    if evidence.decided is not None:
        if evidence.decided.kind == "unknown-ca" and evidence.no_issuer and evidence.no_issuer.sendable:
            return _no_issuer(evidence, alert)
        return replace(evidence.decided, alert=alert)
    if evidence.verify_code:
        return _by_verify_code(evidence, alert)
    if evidence.alert_received is not None:
        return _by_alert_received(evidence.alert_received)
    if evidence.alert_sent is not None or evidence.reasons:
        return _by_alert_sent(evidence)
    return _by_ending(evidence)


def _by_verify_code(evidence: Evidence, alert: int | None) -> Failure:
    code, who = evidence.verify_code, evidence.who or "the certificate"
    if evidence.verify_depth:
        who = f"an issuer (depth {evidence.verify_depth}) of {who}"
    if code in _UNKNOWN_CA:
        return _no_issuer(evidence, alert)
    if code in _WEAK:
        detail = f"{who} has a key or digest that is too weak"
        return Failure("bad-certificate", detail, "let its owner get one with RSA 2048 or P-256", alert)
    kind, detail, remedy = _VERIFY.get(
        code,
        ("bad-certificate", f"does not verify: {evidence.verify_text or code}", "let its owner replace it"),
    )
    return Failure(kind, f"{who} {detail}", remedy, alert)


def _no_issuer(evidence: Evidence, alert: int | None) -> Failure:
    lacking = evidence.no_issuer or NoIssuer("a CA")
    who, issuer = evidence.who or "the certificate", lacking.issuer
    trusting = ", ".join(evidence.trunks) or "any trunk"
    if lacking.sendable:
        return Failure(
            "missing-intermediate",
            f"the peer shows {who} without the intermediate {issuer} that its chain needs",
            "let the peer append its intermediates to its chain file; until then the intermediate itself "
            "can be filed as a `ca:` in the trunk's `trust`",
            alert,
        )
    if lacking.namesake:
        return Failure(
            "unknown-ca",
            f"{who} was issued by {issuer}; the CA of that name in trust {lacking.namesake} has another key",
            "the CA may have been renewed: get its new certificate from its owner by another way, and add it "
            "to the truststore; else this is somebody who uses its name",
            alert,
        )
    return Failure(
        "unknown-ca",
        f"{who} was issued by {issuer}, which is outside the trust of {trusting}",
        "if it is the peer's, add that CA to the truststore and to the trunk's `trust`; if it is an "
        "intermediate of one that is there, let the peer send it",
        alert,
    )


def _by_alert_received(alert: int) -> Failure:
    if alert == 70:
        detail = "the peer accepts none of TLS 1.2 and 1.3 as we offer them"
        return Failure("no-shared-version", detail, "enable TLS 1.2 or 1.3 at the peer", alert)
    meaning = _REJECTED.get(alert, "its log says why")
    return Failure(
        "rejected-by-peer",
        f"the peer sent alert {alert} ({alert_name(alert)}): {meaning}",
        "compare our identity for this trunk with what the peer's operator has been given",
        alert,
    )


def _by_alert_sent(evidence: Evidence) -> Failure:
    alert, reasons = evidence.alert_sent, evidence.reasons
    trunks = ", ".join(evidence.trunks) or "the trunk"
    if alert == 116 or _any(reasons, _NO_CERTIFICATE):
        return no_certificate(trunks, alert)
    if _any(reasons, _KEY_NOT_HELD):
        return Failure(
            "key-not-held",
            f"the peer shows a certificate ({evidence.who or 'subject unknown'}) whose key it does not hold",
            "treat it as an attack or a broken deployment: find out who connects from that address",
            alert,
        )
    if alert == 70 or _any(reasons, _NO_VERSION):
        detail = "the peer speaks neither TLS 1.2 nor TLS 1.3 as the trunk demands"
        return Failure("no-shared-version", detail, "enable TLS 1.2 or 1.3 at the peer", alert)
    if _any(reasons, _NO_GROUP):
        detail = f"no key-exchange group in common with {trunks}"
        return Failure("no-shared-group", detail, "add one of the peer's to the trunk's `groups`", alert)
    if _any(reasons, _NO_CIPHER):
        detail = "no cipher in common: we speak ECDHE with AES-GCM or ChaCha20 only"
        return Failure("no-shared-cipher", detail, "enable such a cipher at the peer", alert)
    if evidence.ended == "plain" or (evidence.direction == "outbound" and _any(reasons, _NOT_TLS)):
        return not_tls(evidence.direction)
    detail = f"{'; '.join(reasons) or 'unexplained'} (alert {alert_name(alert) or 'none'})"
    return Failure("bad-handshake", detail, "the peer's TLS stack is broken or is a scanner", alert)


def _by_ending(evidence: Evidence) -> Failure:
    if evidence.ended == "plain":
        return not_tls()
    if evidence.ended == "timeout":
        detail = "the handshake did not finish in time"
        return Failure("timeout", detail, "a slow or stalled peer, a filter that drops packets, or a scanner")
    if evidence.ended in ("reset", "eof"):
        verb = "reset" if evidence.ended == "reset" else "closed"
        detail = f"the peer {verb} the connection during the handshake without an alert"
        return Failure(
            "reset-by-peer", detail, "look at the peer's log; port scanners and health checks do this"
        )
    return Failure("bad-handshake", "the handshake failed without a reason", "look at the peer's log")


def no_certificate(trunks: str, alert: int | None = None) -> Failure:
    """The failure of a peer that shows no certificate where ``trunks`` demand one."""
    return Failure(
        "no-certificate",
        f"the peer showed no certificate and {trunks} demands one",
        "configure the peer with a client certificate of a CA in the trunk's `trust`",
        alert,
    )


def unknown_sni(sni: str, trunks: tuple[str, ...]) -> Failure:
    """The failure of a peer whose address is admitted to ``trunks`` and whose SNI is none of theirs."""
    shown = f"the name {sni!r}" if sni else "no name (no SNI)"
    return Failure(
        "unknown-sni",
        f"the peer asked for {shown}, under which none of {', '.join(trunks)} can be reached",
        "let the peer use a domain of the trunk's tenant, or add the name to the tenant's `domains`",
    )


def quarantined(trunks: tuple[str, ...], why: str) -> Failure:
    """The failure of a peer of ``trunks``, whose own certificates or keys here are broken."""
    return Failure(
        "quarantined",
        f"{', '.join(trunks)} cannot serve: {why}",
        "mend the file that `sbc check` names; the trunk then serves the next handshake",
    )


def not_tls(direction: Direction = "inbound") -> Failure:
    """The failure of a peer that speaks something else on a TLS port."""
    if direction == "outbound":
        return Failure(
            "not-tls",
            "what the peer answered to our ClientHello is not TLS",
            "correct the port in `peers`, or put the trunk on a listener of the transport that the peer has",
        )
    return Failure(
        "not-tls",
        "what arrived on the TLS port is not TLS",
        "let the peer use TLS for this port, or the UDP or TCP port",
    )


def _any(reasons: tuple[str, ...], symbols: tuple[str, ...]) -> bool:
    return any(each in symbols for each in reasons)
