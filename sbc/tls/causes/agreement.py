"""Why a client and we found nothing in common: its ClientHello, held against what we take."""

from __future__ import annotations

from sbc.tls.causes.rejection import CIPHERS
from sbc.tls.client_hello import TLS12, TLS13, ClientHello, read_client_hello
from sbc.tls.evidence import Evidence, Ours
from sbc.tls.failure import Failure
from sbc.tls.groups import GROUPS

# The IANA registries of cipher suites and signature schemes: what of ours a client can agree to.
_SUITES_13 = (0x1301, 0x1302, 0x1303)
_SUITES = {"RSA": (0xC02F, 0xC030, 0xCCA8), "ECDSA": (0xC02B, 0xC02C, 0xCCA9)}
_RSA = (0x0804, 0x0805, 0x0806)
_PKCS1 = (0x0401, 0x0501, 0x0601)
_PSS = (0x0809, 0x080A, 0x080B)
_ECDSA = {"P-256": 0x0403, "P-384": 0x0503, "P-521": 0x0603}
_CERTAIN = {"Ed25519": (0x0807,), "Ed448": (0x0808,), "RSASSA-PSS": _PSS}
_MOST = 12


def disagreement(evidence: Evidence) -> Failure | None:
    """The failure of a client that offers something, but nothing that we take; None where that is not it."""
    hello = read_client_hello(evidence.first) if evidence.direction == "inbound" else None
    if hello is None:
        return None
    if hello.offers(TLS13):
        return _suites_13(evidence, hello) or _groups(evidence, hello) or _key(evidence, hello, TLS13)
    if not hello.offers(TLS12) or evidence.offer.least == "1.3":
        return _version(evidence, hello)
    return _suites(evidence, hello) or _groups(evidence, hello) or _key(evidence, hello, TLS12)


def _version(evidence: Evidence, hello: ClientHello) -> Failure:
    demanded = "TLS 1.3" if evidence.offer.least == "1.3" else "TLS 1.2 or 1.3"
    lower = hello.offers(TLS12)
    remedy = f"enable {demanded} at the peer" + (", or set the trunk's `min_version` to 1.2" if lower else "")
    return Failure(
        "no-shared-version",
        f"the peer offers {hello.best} at most, {evidence.candidates} demands {demanded}",
        remedy,
        evidence.alert,
        "tls.min_version" if lower else "",
    )


def _suites_13(evidence: Evidence, hello: ClientHello) -> Failure | None:
    if set(_SUITES_13) & set(hello.ciphers):
        return None
    return _no_cipher(evidence, hello, "AES-GCM or ChaCha20", "TLS_AES_128_GCM_SHA256")


def _suites(evidence: Evidence, hello: ClientHello) -> Failure | None:
    if any(set(each) & set(hello.ciphers) for each in _SUITES.values()):
        return None
    return _no_cipher(evidence, hello, CIPHERS, _suite_for(evidence.offer.ours))


def _no_cipher(evidence: Evidence, hello: ClientHello, ours: str, example: str) -> Failure:
    return Failure(
        "no-shared-cipher",
        f"of the {len(hello.ciphers)} ciphers that the peer offers none is {ours}, which is all that we "
        "speak",
        f"enable {example} at the peer",
        evidence.alert,
    )


def _suite_for(ours: Ours | None) -> str:
    kind = _auth(ours) if ours is not None else "ECDSA"
    return f"ECDHE-{kind}-AES128-GCM-SHA256"


def _groups(evidence: Evidence, hello: ClientHello) -> Failure | None:
    groups = evidence.offer.groups
    if not groups or hello.groups is None or set(groups) & set(hello.groups):
        return None
    theirs = hello.groups[:_MOST]
    usable = [each for each in theirs if each in GROUPS]
    add = f"add {' or '.join(usable)} to the trunk's `groups`, or " if usable else ""
    return Failure(
        "no-shared-group",
        f"the peer offers the groups {', '.join(theirs) or '(none)'}, {evidence.candidates} takes "
        + ", ".join(groups),
        f"{add}enable {' or '.join(groups)} at the peer",
        evidence.alert,
        None if usable else "",
    )


def _key(evidence: Evidence, hello: ClientHello, version: int) -> Failure | None:
    """A client that takes no server with a key of our kind."""
    ours = evidence.offer.ours
    if ours is None:
        return None
    schemes = set(_schemes(ours.key, version))
    fits = not schemes or hello.signatures is None or bool(schemes & set(hello.signatures))
    if version == TLS12:
        fits = fits and bool(set(_SUITES[_auth(ours)]) & set(hello.ciphers))
        # In TLS 1.2 the curve of a key is among what the groups allow (RFC 8422 5.1.1).
        if ours.key in _ECDSA and hello.groups is not None:
            fits = fits and ours.key in hello.groups
    if fits:
        return None
    kinds = [each for each in ("RSA", "P-256", "P-384") if each != ours.key and _takes(hello, each, version)]
    wanted = " or ".join(kinds)
    second = f"give the trunk a `server_identity` with a key of {wanted}, or " if wanted else ""
    return Failure(
        "no-shared-cipher",
        f"the peer takes no server with a key of {ours.key}, which identity {ours.identity} has"
        + (f", but one of {wanted}" if wanted else ""),
        f"{second}let the peer take {_accepting(ours, version)}",
        evidence.alert,
        "tls.server_identity" if wanted else "",
    )


def _takes(hello: ClientHello, key: str, version: int) -> bool:
    if hello.signatures is not None and not set(_schemes(key, version)) & set(hello.signatures):
        return False
    if version == TLS13:
        return True
    suites = _SUITES["RSA" if key == "RSA" else "ECDSA"]
    known = key == "RSA" or hello.groups is None or key in hello.groups
    return known and bool(set(suites) & set(hello.ciphers))


def _accepting(ours: Ours, version: int) -> str:
    if version == TLS12:
        curve = f" and the curve {ours.key}" if ours.key in _ECDSA else ""
        return f"{_suite_for(ours)}{curve}"
    return "signatures by such a key"


def _auth(ours: Ours) -> str:
    return "RSA" if ours.key.startswith("RSA") else "ECDSA"


def _schemes(key: str, version: int) -> tuple[int, ...]:
    """The signature schemes that a key of ours can sign a handshake with (RFC 8446 4.2.3); () for any."""
    if key == "RSA":
        return _RSA if version == TLS13 else _RSA + _PKCS1
    if key in _ECDSA:
        # TLS 1.2 binds no hash to a curve.
        return (_ECDSA[key],) if version == TLS13 else tuple(_ECDSA.values())
    return _CERTAIN.get(key, ())
