"""Who may connect: which trunks an address and SNI admit, and which of them a certificate proves.

``admit`` runs before the handshake, ``match`` inside it, after OpenSSL has verified the
chain; both fail closed. Several trunks with different modes and CAs share a port, so an
Admission is a set of candidates, and the handshake runs with a context made for exactly
that set:

- The source address must lie in a trunk's ``sources``. A trunk without sources admits nobody.
- The SNI selects the tenant. Under a tenant's SNI its own trunks are candidates, and trunks
  without a tenant, but of these only such as are at least as strict as the strictest of the
  tenant's trunks on the listener: a lax trunk is no back door into a strict tenant's name.
  Under an unknown SNI only trunks without a tenant are candidates. A peer that sends no SNI
  reaches the trunks without a tenant; where the address admits none of those and one
  tenant's alone, it reaches these, for many SIP peers never send SNI and an address that
  can only mean one tenant is not ambiguous. Nor is one whose trunks are all told apart by their requests.
- A certificate that is shown must satisfy some candidate in mode optional or required; a bad
  one is never treated as none. Where no certificate is shown only candidates in mode server
  or optional remain.
- Of several candidates that accept the same certificate the most specific one is taken: a
  pinned leaf or key before matching names before any certificate of a CA; then the narrower
  source network, then the trunk's name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sbc.tls.admission import Admission, TrunkTrust, TrustTable, build_table
from sbc.tls.diagnosis import no_certificate
from sbc.tls.failure import Direction, Failure
from sbc.tls.material.anchors import AnchorMaterial, load_anchor
from sbc.tls.material.certificate import Certificate
from sbc.tls.material.problems import day
from sbc.tls.names import NameMatch, all_permitted, listed, matching_name

__all__ = [
    "Admission", "AnchorMaterial", "Presented", "TrunkTrust", "TrustTable", "Match",
    "build_table", "load_anchor", "match", "match_anonymous", "still_trusted",
]  # fmt: skip

_RANKS = {"leaf": 0, "pin": 0, "ca": 2}
# How far a candidate got before it refused: of several refusals the furthest explains best.
_PROGRESS = (
    "unknown-ca", "wrong-purpose", "expired", "not-yet-valid", "name-mismatch",
    "no-shared-version", "no-shared-group",
)  # fmt: skip
_VERSIONS = {"TLSv1.2": "1.2", "TLSv1.3": "1.3"}


@dataclass(frozen=True, slots=True)
class Presented:
    """What a peer presented and OpenSSL found: the leaf, and the thumbprints of the verified chain.

    ``ders`` is that chain itself, leaf first, () where nobody needs it.
    ``anchored`` is False where OpenSSL found no trusted issuer, so that only a pin can accept;
    ``group`` is None where it is not agreed yet;
    ``purpose_ok`` is False where it found the wrong extended key usage (X509_V_ERR 26);
    ``excluded`` are the subtrees of names that the chain's issuers exclude, for a leaf with a wildcard.
    """

    leaf: Certificate
    chain: tuple[str, ...]
    version: str
    group: str | None
    anchored: bool = True
    purpose_ok: bool = True
    ders: tuple[bytes, ...] = ()
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """The trunk that a peer proved to be and the truststore entry that vouched, or the failure to report."""

    trunk: str | None
    failure: Failure | None = None
    name: str | None = None
    anchor: str | None = None


def match(
    presented: Presented, admission: Admission, now: float,
    longer: Mapping[str, Presented] = MappingProxyType({}),
) -> Match:  # fmt: skip
    """The candidate that ``presented`` proves, at ``now``; fails closed with the best explanation.

    Trunks in ``longer`` are judged by the chain that stands there, which leads on to what they trust.
    """
    failures: list[Failure] = []
    strangers: list[TrunkTrust] = []  # who trust no issuer of it: to be explained only where nobody does
    best: tuple[int, TrunkTrust, str | None, str] | None = None
    for candidate in admission.candidates:
        if not candidate.asks:
            continue
        chain = longer.get(candidate.trunk, presented)
        anchor = _anchor(candidate, chain)
        if anchor is None:
            strangers.append(candidate)
            continue
        outcome = _judge(candidate, admission, anchor, chain, now)
        if isinstance(outcome, Failure):
            failures.append(outcome)
        elif best is None or outcome[0] < best[0]:
            best = (outcome[0], candidate, outcome[1], outcome[2])
    if best is not None:
        return Match(best[1].trunk, None, best[2], best[3])
    return Match(None, _furthest(failures or [_unknown_ca(each, presented) for each in strangers]))


def still_trusted(trunk: str, presented: Presented | None, admission: Admission, now: float) -> Match:
    """Whether a peer taken for ``trunk`` before a reload is still good for it, and who vouches now."""
    candidate = next((each for each in admission.candidates if each.trunk == trunk), None)
    if candidate is None:
        return Match(None)
    if presented is None:
        return Match(None if candidate.demands else trunk)
    if not candidate.asks:
        return Match(None)
    anchor = _anchor(candidate, presented)
    if anchor is None:
        return Match(None, _unknown_ca(candidate, presented))
    outcome = _judge(candidate, admission, anchor, presented, now)
    if isinstance(outcome, Failure):
        return Match(None, outcome)
    return Match(trunk, None, outcome[1], outcome[2])


def match_anonymous(admission: Admission, version: str, group: str) -> Match:
    """The candidate for a peer that showed no certificate (modes server and optional)."""
    failures: list[Failure] = []
    for candidate in admission.candidates:
        if candidate.demands:
            continue
        failure = _agreed(candidate, version, group)
        if failure is None:
            return Match(candidate.trunk)
        failures.append(failure)
    if failures:
        return Match(None, _furthest(failures))
    return Match(None, no_certificate(", ".join(admission.names)))


def _judge(
    candidate: TrunkTrust, admission: Admission, anchor: AnchorMaterial, presented: Presented, now: float
) -> tuple[int, str | None, str] | Failure:
    """The rank of the match, the name and the anchor of a candidate that trusts an issuer, or its refusal."""
    failure = (
        _purpose(candidate, admission.direction, anchor, presented)
        or _validity(presented.leaf, now)
        or _agreed(candidate, presented.version, presented.group)
    )
    if failure is not None:
        return failure
    named = _named(candidate, admission, anchor, presented)
    if isinstance(named, Failure):
        return named
    rank = _RANKS[anchor.kind]
    return (1 if rank == 2 and named is not None else rank), named, anchor.name


def _anchor(candidate: TrunkTrust, presented: Presented) -> AnchorMaterial | None:
    leaf = presented.leaf.identity
    found = None
    for anchor in candidate.anchors:
        if anchor.kind == "pin":
            hit = leaf.pin in anchor.pins
        elif anchor.kind == "leaf":
            hit = presented.anchored and leaf.thumbprint in anchor.thumbprints
        else:
            hit = presented.anchored and not anchor.thumbprints.isdisjoint(presented.chain[1:])
        if hit and (found is None or _RANKS[anchor.kind] < _RANKS[found.kind]):
            found = anchor
    return found


def _unknown_ca(candidate: TrunkTrust, presented: Presented) -> Failure:
    issuer = presented.leaf.identity.issuer
    return Failure(
        "unknown-ca",
        f"the certificate of {presented.leaf.identity.label} was issued by {issuer}, "
        f"which trunk {candidate.trunk} does not trust",
        "add that CA to the truststore and to the trunk's `trust` if it is the peer's, "
        "or let the peer present the certificate agreed on",
    )


def _purpose(
    candidate: TrunkTrust, direction: Direction, anchor: AnchorMaterial, presented: Presented
) -> Failure | None:
    if anchor.kind == "ca" and presented.leaf.issues:
        return Failure(
            "wrong-purpose",
            f"the certificate of {presented.leaf.identity.label} is an issuer's, not a peer's",
            "let the peer present one that its CA issued for it, or pin this one with `leaf:` or `pin:`",
        )
    if presented.purpose_ok:
        return None
    lenient = direction == "inbound" and candidate.client_eku == "allow-server-auth"
    if lenient and presented.leaf.server_auth:
        return None
    return Failure(
        "wrong-purpose",
        f"the certificate of {presented.leaf.identity.label} is not for "
        + ("clients (no clientAuth)" if direction == "inbound" else "servers (no serverAuth)"),
        "public CAs no longer issue client certificates: set `client_eku: allow-server-auth` "
        "if that is agreed, or let the peer present one with the right extended key usage",
    )


def _validity(leaf: Certificate, now: float) -> Failure | None:
    who = leaf.identity
    if now > who.not_after:
        return Failure("expired", f"{who.label} expired on {day(who.not_after)}", "let the peer renew it")
    if now < who.not_before:
        detail = f"{who.label} is not valid before {day(who.not_before)}"
        return Failure("not-yet-valid", detail, "compare both machines' clocks")
    return None


def _agreed(candidate: TrunkTrust, version: str, group: str | None) -> Failure | None:
    if candidate.min_version == "1.3" and _VERSIONS.get(version) != "1.3":
        return Failure(
            "no-shared-version",
            f"the peer speaks {version}, trunk {candidate.trunk} demands TLS 1.3",
            "enable TLS 1.3 at the peer or lower the trunk's `min_version`",
        )
    # A TLS 1.2 client verifies before the group is known; its context offers no others anyway.
    if group is not None and candidate.groups and group not in candidate.groups:
        return Failure(
            "no-shared-group",
            f"the key exchange used {group or 'no named group'}, trunk {candidate.trunk} demands "
            + " or ".join(candidate.groups),
            "enable such a group at the peer or add the peer's to the trunk's `groups`",
        )
    return None


def _named(
    candidate: TrunkTrust, admission: Admission, anchor: AnchorMaterial, presented: Presented
) -> str | Failure | None:
    sans, mode = presented.leaf.identity.sans, candidate.name_match
    if anchor.permitted and not all_permitted(sans, anchor.permitted):
        return _not_permitted(anchor, presented.leaf)
    # A pinned certificate or key is a name in itself; a private CA vouches for its own.
    expected = candidate.names or (admission.host_names if anchor.kind == "ca" else ())
    if anchor.public:
        expected = expected or candidate.peer_hosts
    if not expected:
        if anchor.public:
            return Failure(
                "name-mismatch",
                f"{anchor.name} is a public CA, which certifies anybody, and the trunk gives no `names`",
                "give the trunk's `names` what the peer's certificate must carry, or dial it by its name",
            )
        return None
    found = matching_name(sans, expected, mode, presented.excluded)
    if found is not None:
        return found
    barred = bool(presented.excluded) and matching_name(sans, expected, mode) is not None
    return _mismatch(expected, presented.leaf, mode, barred)


def _not_permitted(anchor: AnchorMaterial, leaf: Certificate) -> Failure:
    sans = leaf.identity.sans
    if not sans:
        return _nameless(
            f"trust {anchor.name} may vouch for {', '.join(anchor.permitted)} only", leaf, "a name there"
        )
    shown = listed(sans)
    return Failure(
        "name-mismatch",
        f"trust {anchor.name} may vouch for {', '.join(anchor.permitted)} only; it names {shown}",
        f"add the name to `permitted` of trust {anchor.name} if that CA may vouch for it; otherwise let "
        "the peer get a certificate without the other names",
        key=f"trust.{anchor.name}.permitted",
    )


def _mismatch(expected: Sequence[str], leaf: Certificate, mode: NameMatch, barred: bool = False) -> Failure:
    sans, wanted = leaf.identity.sans, f"expected {', '.join(expected)}"
    if not sans:
        return _nameless(wanted, leaf, expected[0])
    shown = listed(sans)
    starred = mode == "rfc5922" and any("*" in each for each in sans)
    wild = "; its wildcard does not count under rfc5922" if starred else ""
    if barred:
        wild = "; its wildcard does not reach a name that its issuer excludes (RFC 5280 4.2.1.10)"
    return Failure(
        "name-mismatch",
        f"{wanted}; the certificate names {shown}{wild}",
        "correct the trunk's `names` if the peer is the right one; "
        "otherwise this is another peer's certificate",
    )


def _nameless(wanted: str, leaf: Certificate, name: str) -> Failure:
    """A certificate that has its name in the subject alone, as they were made long ago."""
    return Failure(
        "name-mismatch",
        f"{wanted}; {leaf.identity.label} has no subjectAltName, and a common name does not count (RFC "
        "9525 2)",
        f"let its owner get one with {name} in its subjectAltName",
        key="",
    )


def _furthest(failures: list[Failure]) -> Failure:
    if not failures:
        return Failure("bad-certificate", "no trunk here looks at certificates", "this is an error of ours")
    return max(failures, key=lambda each: _PROGRESS.index(each.kind))
