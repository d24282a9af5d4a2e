"""Why a peer refused us: its alert, held against what we offered and showed.

An alert is one number, and implementations choose it differently. What we know better than it does is what we
showed: a certificate out of its dates, or none, decides before what the number is said to mean.
"""

from __future__ import annotations

from sbc.tls.evidence import Evidence, Offer, Ours
from sbc.tls.failure import Failure, alert_name
from sbc.tls.groups import GROUPS
from sbc.tls.material.problems import day

_HANDSHAKE_FAILURE, _PROTOCOL_VERSION, _INSUFFICIENT = 40, 70, 71
_EXPIRED, _UNKNOWN_CA, _UNSUPPORTED, _NAME = 45, 48, 43, 112
_OF_CERTIFICATES = (40, 42, 43, 44, 45, 46, 48, 49)
_WANTS_ONE = (40, 41, 42, 116)
_MEANING = {
    40: "it found nothing in common, or does not take our certificate",
    42: "it holds our certificate for broken, or for another name",
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
CIPHERS = "ECDHE with AES-GCM or ChaCha20"
_COMPARE = "compare our identity for this trunk with what the peer's operator has been given"


def rejected(evidence: Evidence) -> Failure:
    """The failure of a handshake that the peer ended with an alert."""
    alert = evidence.alert_received
    assert alert is not None, "the peer sent an alert"
    offer, outbound = evidence.offer, evidence.direction == "outbound"
    ours = offer.ours
    if ours is not None and alert in _OF_CERTIFICATES and _out_of_date(ours, evidence.now):
        return _ours_is_over(evidence, alert, ours)
    if outbound and ours is None and (alert == 116 or (offer.asked and alert in _WANTS_ONE)):
        return _wants_certificate(alert)
    if alert == _PROTOCOL_VERSION:
        return _no_version(evidence, alert)
    if outbound and not evidence.late and not offer.asked:
        if alert in (_HANDSHAKE_FAILURE, _INSUFFICIENT):
            return _nothing_in_common(evidence, alert)
        if alert == _NAME:
            return _no_such_name(evidence, alert)
    detail, remedy = _of_certificate(alert, ours, evidence)
    return Failure("rejected-by-peer", f"{_said(alert)}: {detail}", remedy, alert)


def _said(alert: int) -> str:
    return f"the peer sent alert {alert} ({alert_name(alert)})"


def _of_certificate(alert: int, ours: Ours | None, evidence: Evidence) -> tuple[str, str]:
    """What an alert says of the certificate that we showed, and what to do."""
    meaning = _MEANING.get(alert, "its log says why")
    if ours is None:
        return meaning, _COMPARE
    shown = f"identity {ours.identity} ({ours.subject})"
    if alert == _EXPIRED:
        until = f"{shown} is valid until {day(ours.not_after)}"
        return f"{meaning}; {until}", "compare both machines' clocks; the peer's may be wrong"
    if alert == _UNKNOWN_CA:
        remedy = f"give the peer's operator the CA {ours.issuer}, or show an identity of a CA that it trusts"
        return f"{meaning}: {ours.issuer} issued {shown}", remedy
    lacks = evidence.direction == "outbound" and not ours.clients
    if alert == _UNSUPPORTED and (lacks or (evidence.direction == "inbound" and not ours.servers)):
        use = "clientAuth" if lacks else "serverAuth"
        return (
            f"{shown} has no {use} in its extended key usage",
            f"give the trunk an identity whose certificate has {use}",
        )
    if alert in (42, 46) and evidence.direction == "inbound":
        names = ", ".join(ours.names[:8]) or "no name at all"
        asked = f"it asked for {evidence.offer.sni}, and " if evidence.offer.sni else ""
        remedy = "let the peer dial one of these names, or request a certificate with the name that it dials"
        return f"{meaning}; {asked}{shown} names {names}", remedy
    return f"{meaning}; we showed {shown}", _COMPARE


def _out_of_date(ours: Ours, now: float) -> bool:
    return bool(now) and not ours.not_before <= now <= ours.not_after


def _ours_is_over(evidence: Evidence, alert: int, ours: Ours) -> Failure:
    over = evidence.now > ours.not_after
    what = f"expired on {day(ours.not_after)}" if over else f"is not valid before {day(ours.not_before)}"
    remedy = (
        f"renew identity {ours.identity}: put the new certificate and its key into its files; a running "
        "SBC takes them by itself"
        if over
        else "look at this machine's clock, and wait where it is right"
    )
    return Failure(
        "rejected-by-peer",
        f"our own certificate, identity {ours.identity} ({ours.subject}), {what}; {_said(alert)}",
        remedy,
        alert,
    )


def _wants_certificate(alert: int) -> Failure:
    return Failure(
        "rejected-by-peer",
        f"{_said(alert)}: it wants a client certificate and we showed none",
        "give the trunk a `client_identity` that the peer has been told of",
        alert,
    )


def _nothing_in_common(evidence: Evidence, alert: int) -> Failure:
    """A server that refuses a ClientHello: it lacks what we offer, or does not serve the name."""
    offer = evidence.offer
    rest = [each for each in GROUPS if each not in offer.groups]
    more = f"add {_or(rest)} to the trunk's `groups`, whichever the peer has; or " if rest else ""
    name = f", and correct the name in `peers` if it does not serve {offer.sni}" if offer.sni else ""
    trunk = evidence.trunks[0] if evidence.trunks else "TRUNK"
    return Failure(
        "rejected-by-peer",
        f"{_said(alert)} to what we offered, before it asked for a certificate: {offered(offer)}",
        f"{more}enable ECDHE-ECDSA-AES128-GCM-SHA256 or ECDHE-RSA-AES128-GCM-SHA256 at the peer, whichever "
        f"its key is for, let it have a certificate with a key of P-256 or RSA 2048{name}; `sbc doctor "
        f"{trunk}` offers everything and shows what it would take",
        alert,
        "tls.groups",
    )


def offered(offer: Offer) -> str:
    """What we offered, as a sentence says it."""
    versions = "TLS 1.3" if offer.least == "1.3" else "TLS 1.2 and 1.3"
    groups = f", the groups {', '.join(offer.groups)}" if offer.groups else ""
    name = f", for the name {offer.sni}" if offer.sni else ", without a name (it is dialled by its address)"
    return f"{versions}, {CIPHERS}{groups}{name}"


def _no_version(evidence: Evidence, alert: int) -> Failure:
    """OpenSSL says it too where a server of TLS 1.3 alone has loaded no certificate of its own."""
    offer = evidence.offer
    versions = "TLS 1.3 alone" if offer.least == "1.3" else "TLS 1.2 and 1.3"
    lower = ", or lower the trunk's `min_version`" if offer.least == "1.3" else ""
    return Failure(
        "no-shared-version",
        f"{_said(alert)}: it accepts none of {versions} as we offer them",
        f"enable TLS 1.2 or 1.3 at the peer{lower}; a server that has TLS 1.3 alone says the same where it "
        "has loaded no certificate of its own, or one whose key is of another kind than RSA 2048 and P-256",
        alert,
        "tls.min_version" if lower else "",
    )


def _no_such_name(evidence: Evidence, alert: int) -> Failure:
    sni = evidence.offer.sni
    return Failure(
        "rejected-by-peer",
        f"{_said(alert)}: it serves nobody by the name {sni!r}, which is what we asked for",
        "correct the name in the trunk's `peers`, or let the peer serve that name",
        alert,
        "peers",
    )


def _or(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
