"""What is wrong with the chain that a peer shows, by OpenSSL's verify code and by the certificates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from cryptography import x509

from sbc.tls.evidence import Evidence, NoIssuer, Pinned
from sbc.tls.failure import Failure, Kind
from sbc.tls.groups import GROUPS
from sbc.tls.material.certificate import MAX_CHAIN, UNREADABLE, Certificate, facts_of
from sbc.tls.material.constraints import violation
from sbc.tls.material.problems import day
from sbc.tls.material.reading import load
from sbc.tls.material.strength import key_of, weakness

T = TypeVar("T")

_UNKNOWN_CA = (2, 18, 19, 20, 21, 27)
_WEAK = (66, 67, 68)
_PURPOSE, _EXCLUDED = 26, 48
_CONSTRAINTS = (47, _EXCLUDED)
_EARLY, _EXPIRED = 9, 10
_PINS_SHOWN = 2

# X509_V_ERR numbers (x509_vfy.h): kind, what it means, what to do.
_VERIFY: dict[int, tuple[Kind, str, str]] = {
    3: ("stale-revocation", "has an issuer without a CRL here", "give that CA's CRL, or let it be fetched"),
    12: ("stale-revocation", "has an issuer whose CRL is out of date", "refresh the CRL"),
    22: (
        "chain-too-long",
        f"has a chain that is too long: {MAX_CHAIN} certificates are the most",
        "let the peer send its leaf and intermediates only",
    ),
    23: ("revoked", "is revoked", "let its owner replace it; treat its key as lost"),
    62: ("name-mismatch", "does not carry the expected name", "correct `names`, or this is another peer"),
    64: ("name-mismatch", "does not carry the expected address", "correct `names`, or this is another peer"),
}


def refused_chain(evidence: Evidence) -> Failure:
    """The failure of a chain that OpenSSL refused."""
    code, who = evidence.verify_code, _objected(evidence)
    if code in _UNKNOWN_CA:
        return unknown_issuer(evidence)
    if code == _EARLY:
        return _not_yet_valid(evidence, who)
    if code == _EXPIRED:
        return _expired(evidence, who)
    if code in _WEAK:
        return _weak(evidence, who)
    if code == _PURPOSE:
        return _purpose(evidence, who)
    if code in _CONSTRAINTS:
        return _constrained(evidence, who)
    kind, detail, remedy = _VERIFY.get(
        code,
        ("bad-certificate", f"does not verify: {evidence.verify_text or code}", "let its owner replace it"),
    )
    return Failure(kind, f"{who} {detail}", remedy, evidence.alert)


def _objected(evidence: Evidence) -> str:
    """The certificate that OpenSSL objected to, and whose issuer it is where it is not the peer's own."""
    who = evidence.who or "the certificate"
    if not evidence.verify_depth:
        return who
    facts = _facts(evidence)
    if facts is None:
        return f"an issuer (depth {evidence.verify_depth}) of {who}"
    return f"{facts.identity.label} (which vouches for {who})"


def _not_yet_valid(evidence: Evidence, who: str) -> Failure:
    facts = _facts(evidence)
    begins = f" before {day(facts.identity.not_before)}" if facts is not None else " yet"
    remedy = "compare both machines' clocks; else the certificate is early"
    return Failure("not-yet-valid", f"{who} is not valid{begins}", remedy, evidence.alert)


def _expired(evidence: Evidence, who: str) -> Failure:
    """Who has to renew depends on whose it is: the peer's own, one that the peer sends, one that we filed."""
    facts = _facts(evidence)
    on = f"expired on {day(facts.identity.not_after)}" if facts is not None else "has expired"
    remedy, key = "let its owner renew it", None
    if evidence.filed:
        remedy = (
            "get the CA's new certificate from its owner by another way, and put it into the file of trust "
            f"{evidence.filed}"
        )
        key = f"trust.{evidence.filed}.ca"
    elif evidence.verify_depth:
        remedy = "let the peer put its CA's new certificate into its chain file in place of this one"
    return Failure("expired", f"{who} {on}", remedy, evidence.alert, key)


def _asked(evidence: Evidence, question: Callable[[x509.Certificate], T]) -> T | None:
    """What the certificate that OpenSSL objected to says; None where it is not there or cannot be read."""
    try:
        return question(load(evidence.chain[evidence.verify_depth]))
    except (IndexError, *UNREADABLE):
        return None


def _facts(evidence: Evidence) -> Certificate | None:
    return _asked(evidence, lambda each: facts_of(each, b""))


def _weak(evidence: Evidence, who: str) -> Failure:
    weak = _asked(evidence, weakness)
    what = weak.text if weak is not None else "has a key or digest that is too weak"
    stronger = "a key of RSA 2048 or P-256" if weak is None or weak.of_key else "a signature by SHA-256"
    remedy = f"let its owner get one with {stronger}"
    return Failure("bad-certificate", f"{who} {what}", remedy, evidence.alert)


def _purpose(evidence: Evidence, who: str) -> Failure:
    """Of a client ``match`` says it, where a trunk may be lenient; this is a server, or somebody's issuer."""
    inbound = evidence.direction == "inbound"
    what, use = ("clients", "clientAuth") if inbound else ("servers", "serverAuth")
    remedy, key = f"let the peer show one whose extended key usage has {use}", ""
    facts = _facts(evidence)
    if facts is not None and not facts.signs and not evidence.verify_depth:
        detail = f"{who} may not sign a handshake: its key usage has no digitalSignature (RFC 8446 4.4.2.2)"
        remedy = "let its owner get one whose key usage has digitalSignature"
        return Failure("wrong-purpose", detail, remedy, evidence.alert, key)
    if inbound and facts is not None and facts.server_auth:
        # Public CAs issue no others any more.
        remedy += "; a server's, as this one is, will do where you agree on `client_eku: allow-server-auth`"
        key = "tls.client_eku"
    detail = f"{who} is not for {what}: there is no {use} in its extended key usage"
    return Failure("wrong-purpose", detail, remedy, evidence.alert, key)


def _constrained(evidence: Evidence, who: str) -> Failure:
    found = violation(evidence.chain)
    if found is None:
        what = "excludes" if evidence.verify_code == _EXCLUDED else "does not permit"
        detail = f"{who} has a name that a CA of its chain {what}"
    else:
        detail = f"{who} names {found.name}, and its CA {found.authority} {found.why}"
    remedy = "let its owner get one whose names that CA may certify, or one of another CA"
    return Failure("name-mismatch", detail, remedy, evidence.alert, "")


def curve_refused(evidence: Evidence) -> Failure | None:
    """The failure of a TLS 1.2 client whose key is on a curve that is not agreed on (RFC 8422 5.1.1); None
    where its certificate is not known.
    """
    curve, who = _asked(evidence, key_of), evidence.who
    if curve is None:
        return None
    detail = f"the key of {who} is on {curve}, and TLS 1.2 takes it on a curve of the trunk's `groups` only"
    if curve in GROUPS:
        remedy = f"add {curve} to the trunk's `groups`, or use TLS 1.3 at the peer"
        return Failure("no-shared-group", detail, remedy, evidence.alert, "tls.groups")
    remedy = "let its owner get one with a key of P-256 or RSA 2048"
    return Failure("bad-certificate", detail, remedy, evidence.alert)


def unknown_issuer(evidence: Evidence) -> Failure:
    """The failure of a chain that ends before anything trusted."""
    lacking = evidence.no_issuer or NoIssuer("a CA")
    if lacking.sendable:
        return _left_out(evidence, lacking)
    if lacking.pinned:
        return _other_than_pinned(evidence, lacking)
    if lacking.itself:
        return _by_itself(evidence)
    who, issuer = evidence.who or "the certificate", lacking.issuer
    if lacking.namesake:
        return Failure(
            "unknown-ca",
            f"{who} was issued by {issuer}; the CA of that name in trust {lacking.namesake} has another key",
            "the CA may have been renewed: get its new certificate from its owner by another way, and add it "
            "to the truststore; else this is somebody who uses its name",
            evidence.alert,
        )
    trusting = ", ".join(evidence.trunks) or "any trunk"
    place = f" (the certificate says that its issuer's is at {lacking.place})" if lacking.place else ""
    return Failure(
        "unknown-ca",
        f"{who} was issued by {issuer}, which is outside the trust of {trusting}{place}",
        f"if {issuer} is an intermediate of a CA that is there, let the peer append it to its chain file, "
        "or file it as a `ca:` in the trunk's `trust`; if it is a CA of the peer's own, ask for its "
        "certificate by another way and add that to the truststore and to the trunk's `trust`",
        evidence.alert,
    )


def _left_out(evidence: Evidence, lacking: NoIssuer) -> Failure:
    place = f"; it is at {lacking.place}" if lacking.place else ""
    return Failure(
        "missing-intermediate",
        f"the peer shows {evidence.who or 'the certificate'} without the intermediate {lacking.issuer} "
        f"that its chain needs{place}",
        "let the peer append its intermediates to its chain file; until then the intermediate itself "
        "can be filed as a `ca:` in the trunk's `trust`",
        evidence.alert,
    )


def _other_than_pinned(evidence: Evidence, lacking: NoIssuer) -> Failure:
    """A renewed key, or somebody else's: the trunk trusts no CA that could tell."""
    pinned, who = lacking.pinned[0], evidence.who or "a certificate"
    held = _several(pinned)
    others = f" (and {len(lacking.pinned) - 1} more entries do)" if len(lacking.pinned) > 1 else ""
    what = "the key" if pinned.kind == "pin" else "the certificate"
    where = f"`{pinned.kind}:` of trust {pinned.name}"
    return Failure(
        "unknown-ca",
        f"trust {pinned.name} pins {what} {held}{others}; the peer shows {who}, issued by "
        f"{lacking.issuer}, with "
        f"the key {evidence.pin or 'unknown'}",
        "if its owner says by another way that this is its new key, write `pin: "
        f"{evidence.pin or 'sha256/DIGITS'}` "
        f"in place of {where}; else this is somebody else",
        evidence.alert,
        f"trust.{pinned.name}.{pinned.kind}",
    )


def _several(pinned: Pinned) -> str:
    more = len(pinned.values) - _PINS_SHOWN
    return " or ".join(pinned.values[:_PINS_SHOWN]) + (f" or {more} more" if more > 0 else "")


def _by_itself(evidence: Evidence) -> Failure:
    who, pin = evidence.who or "the certificate", evidence.pin or "sha256/DIGITS"
    return Failure(
        "unknown-ca",
        f"{who} is signed by itself, so no CA can vouch for it",
        f"if its owner says by another way that its key is this one, add an entry with `pin: {pin}` "
        "(or its file as `leaf:`) to the truststore and to the trunk's `trust`; or let the peer get one "
        "of a CA",
        evidence.alert,
    )
