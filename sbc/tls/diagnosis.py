"""Why a handshake failed: one kind, one sentence of detail, one remedy.

OpenSSL says "certificate verify failed" for a wrong CA, an expired certificate and a wrong
purpose alike, and the alert alone cannot tell "no certificate" from "no shared cipher" in
TLS 1.2. So a failure is classified from what is numbered: the X.509 verify code, the alert
with its direction (RFC 8446 6, RFC 5246 7.2) and OpenSSL's reason; a reason is compared as
a whole symbol, never searched for words. The most certain source decides: what we decided
ourselves, what was verified, what the peer says, what we have in common, how it ended. The words
for each are in ``causes``, made of the ``Evidence``: what was offered, shown and seen.
"""

from __future__ import annotations

from dataclasses import replace

from sbc.protocols import is_tls
from sbc.tls.causes.agreement import disagreement
from sbc.tls.causes.chain import curve_refused, refused_chain, unknown_issuer
from sbc.tls.causes.ending import broken_off, not_tls, silent
from sbc.tls.causes.rejection import CIPHERS, rejected
from sbc.tls.evidence import Evidence
from sbc.tls.failure import Failure, alert_name

_NO_CERTIFICATE = ("peer did not return a certificate",)
_NO_CIPHER = ("no shared cipher", "no ciphers available", "no suitable signature algorithm")
_WRONG_CURVE = ("wrong curve",)
_NO_GROUP = (
    "no suitable key share",
    "no suitable groups",
    "no shared groups",
    "no shared group",
    "unsupported elliptic curve",
    "bad key share",
    *_WRONG_CURVE,
)
_KEY_NOT_HELD = ("bad signature", "invalid signature", "wrong signature type", "wrong signature size")
# What a client's OpenSSL says of an answer that is no TLS record.
_NOT_TLS = ("wrong version number",)
_NO_VERSION = ("unsupported protocol", "wrong ssl version", "no protocols available", "version too low")
_MOST = 8
_TOO_LONG = ("excessive message size",)


def classify(evidence: Evidence) -> Failure:
    """The one failure that the evidence amounts to; the most certain source decides."""
    decided = evidence.decided
    if decided is not None:
        lacking = evidence.no_issuer if decided.kind == "unknown-ca" else None
        return unknown_issuer(evidence) if lacking is not None else replace(decided, alert=evidence.alert)
    if evidence.verify_code:
        return refused_chain(evidence)
    if evidence.alert_received is not None:
        return rejected(evidence)
    if _answered_in_the_clear(evidence):
        return not_tls(evidence)
    if evidence.alert_sent is not None or evidence.reasons:
        return _by_alert_sent(evidence)
    if evidence.ended == "timeout":
        return silent(evidence)
    if evidence.ended in ("reset", "eof"):
        return broken_off(evidence)
    return Failure("bad-handshake", "the handshake failed without a reason", "look at the peer's log")


def _answered_in_the_clear(evidence: Evidence) -> bool:
    if evidence.ended == "plain" or (evidence.direction == "outbound" and _any(evidence, _NOT_TLS)):
        return True
    return evidence.direction == "outbound" and len(evidence.first) > 2 and not is_tls(evidence.first)


def _by_alert_sent(evidence: Evidence) -> Failure:
    alert = evidence.alert_sent
    if alert == 116 or _any(evidence, _NO_CERTIFICATE):
        return no_certificate(evidence.candidates, alert)
    if _any(evidence, _KEY_NOT_HELD):
        return Failure(
            "key-not-held",
            f"the peer shows a certificate ({evidence.who or 'subject unknown'}) whose key it does not hold",
            "treat it as an attack or a broken deployment: find out who connects from that address",
            alert,
        )
    if _any(evidence, _TOO_LONG):
        return _too_long(evidence)
    if _any(evidence, _WRONG_CURVE) and (refused := curve_refused(evidence)) is not None:
        return refused
    return disagreement(evidence) or _by_reason(evidence)


def _by_reason(evidence: Evidence) -> Failure:
    """What OpenSSL's reason alone tells, where what the peer offers is not known."""
    alert, reasons = evidence.alert_sent, evidence.reasons
    if alert == 70 or _any(evidence, _NO_VERSION):
        detail = "the peer speaks neither TLS 1.2 nor TLS 1.3 as the trunk demands"
        return Failure("no-shared-version", detail, "enable TLS 1.2 or 1.3 at the peer", alert)
    if _any(evidence, _NO_GROUP):
        detail = f"no key-exchange group in common with {evidence.candidates}"
        return Failure("no-shared-group", detail, "add one of the peer's to the trunk's `groups`", alert)
    if _any(evidence, _NO_CIPHER):
        detail = f"no cipher in common: we speak {CIPHERS} only"
        return Failure("no-shared-cipher", detail, "enable such a cipher at the peer", alert)
    detail = f"{'; '.join(reasons) or 'unexplained'} (alert {alert_name(alert) or 'none'})"
    return Failure("bad-handshake", detail, "the peer's TLS stack is broken or is a scanner", alert)


def _too_long(evidence: Evidence) -> Failure:
    return Failure(
        "chain-too-long",
        "the peer's certificates are over 102400 bytes (100 KiB) together, the most that TLS takes here: "
        "nobody may make us read more before it has proved who it is",
        "let the peer send its leaf and intermediates only, and get a leaf with fewer names",
        evidence.alert,
    )


def no_certificate(trunks: str, alert: int | None = None) -> Failure:
    """The failure of a peer that shows no certificate where ``trunks`` demand one."""
    return Failure(
        "no-certificate",
        f"the peer showed no certificate and {trunks} demands one",
        "configure the peer with a client certificate of a CA in the trunk's `trust`; one that has such a "
        "certificate shows none where its key is of a kind that is not asked for: it then needs P-256 or "
        "RSA 2048",
        alert,
    )


def unknown_sni(sni: str, trunks: tuple[str, ...], domains: tuple[str, ...]) -> Failure:
    """The failure of a peer whose address ``trunks`` admit and whose SNI is none of their ``domains``."""
    shown = f"the name {sni!r}" if sni else "no name (no SNI)"
    return Failure(
        "unknown-sni",
        f"the peer asked for {shown}, under which none of {', '.join(trunks)} can be reached",
        f"let the peer use {' or '.join(domains[:_MOST]) or 'a domain of the tenant'}, or add the name "
        "that it is to use to the tenant's "
        "`domains`",
    )


def unresolved(why: str) -> Failure:
    """The failure of a peer of ours whose name leads to no address, for the reason ``why``."""
    return Failure("unresolved", why, "correct the name in the trunk's `peers`, or the DNS", key="peers")


def unreachable(why: str) -> Failure:
    """The failure of a peer of ours that takes no TCP connection, for the reason ``why``."""
    remedy = "look at the address and port in `peers`, at the peer, and at firewalls on the way"
    return Failure("unreachable", f"no TCP connection: {why}", remedy, key="peers")


def quarantined(trunks: tuple[str, ...], why: str) -> Failure:
    """The failure of a peer of ``trunks``, whose own certificates or keys here are broken."""
    return Failure(
        "quarantined",
        f"{', '.join(trunks)} cannot serve: {why}",
        "mend the file that `sbc check` names; the trunk then serves the next handshake",
    )


def _any(evidence: Evidence, symbols: tuple[str, ...]) -> bool:
    return any(each in symbols for each in evidence.reasons)
