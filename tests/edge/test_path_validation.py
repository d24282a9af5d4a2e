"""Ninety-two chains, good and bad, through the check of a real handshake: none that is bad gets in.

Each case is filed as an operator would file it (the trusted certificates are a file of the truststore,
the expected name is in `names`) and goes through ``load_anchor``, ``verify`` and, where the case has
revocation lists, the lists' reader under hard fail. The corpus judges by the whole profile of RFC 5280
and by the public web's rules besides; where we accept what it refuses, the reason stands below.
"""

from __future__ import annotations

import gzip
import json
import time
import warnings
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sbc.config.model import TrustAnchor
from sbc.net.tls.verify import verify
from sbc.tls.match import Admission, TrunkTrust
from sbc.tls.material.anchors import load_anchor
from sbc.tls.revocation.cache import Links, RevocationCache
from sbc.tls.revocation.finding import Method, Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.lists import read_list, split_pem
from tests.edge.attacked import CORPORA
from tests.peers.runaway import no_runaway
from tests.unit.tls.certs import der

CORPUS = CORPORA / "path-validation.json.gz"

_HINT = "a key identifier only helps to find the issuer; the signature decides, and private CAs often lack it"
_FILED = "what an operator files is trusted for its name and key (RFC 5280 6.1.1 d), not for its own form"
# Refused by the corpus, accepted here.
ACCEPTED = {
    "crl::crlnumber-critical": "the list is authentic; a critical mark on its number changes nothing",
    "rfc5280::aki::leaf-missing-aki": _HINT,
    "rfc5280::ski::intermediate-missing-ski": _HINT,
    "rfc5280::root-non-critical-basic-constraints": _FILED,
    "webpki::aki::root-with-aki-all-fields": _FILED,
    "webpki::aki::root-with-aki-ski-mismatch": _FILED,
    "webpki::forbidden-rsa-not-divisible-by-8-in-root": _FILED,
    "rfc5280::nc::permitted-dns-match-noncritical": (
        "the constraint is honoured all the same, and the name lies within it; the same chain is good "
        "by webpki::nc::permitted-dns-match-noncritical"
    ),
    "rfc5280::nc::nc-permits-invalid-email-san": "a mail address is no name that we ever look at",
    "rfc5280::pc::ica-noncritical-pc": "we demand no policy, so a constraint of policies decides nothing",
    "rfc5280::san::underscore-dns": "the name is what the operator wrote, to the letter; hosts are called so",
}  # fmt: skip
# Good by the corpus, which asks about the path alone; refused here by the rule for a TLS peer's certificate.
_NO_LEAF = "keyUsage without digitalSignature cannot prove a TLS handshake (RFC 8446 4.4.2.2)"
REFUSED = {
    "rfc5280::ca-as-leaf": ("wrong-purpose", _NO_LEAF),
    "pathlen::validation-ignores-pathlen-in-leaf": ("wrong-purpose", _NO_LEAF),
}

pytestmark = [
    pytest.mark.skipif(not CORPUS.exists(), reason=f"NOT TESTED: {CORPUS} is not there"),
    pytest.mark.filterwarnings("ignore"),
]


@cache
def cases() -> dict[str, dict[str, Any]]:
    if not CORPUS.exists():
        return {}
    return {each["id"]: each for each in json.loads(gzip.decompress(CORPUS.read_bytes()))}


def outcome(case: dict[str, Any], directory: Path) -> str:
    """ "accepted" or the kind of refusal."""
    moment = case["validation_time"]
    now = datetime.fromisoformat(moment).timestamp() if moment else time.time()
    (directory / "trusted.pem").write_text("".join(case["trusted_certs"]))
    anchor, _ = load_anchor("trusted", TrustAnchor(ca="trusted.pem"), directory, now)
    if anchor is None:
        return "not loaded"
    expected = case["expected_peer_name"]
    trunk = TrunkTrust(
        "peer", None, "required", (anchor,), (expected["value"],) if expected else (), "rfc2818"
    )
    direction: Any = "outbound" if case["validation_kind"] == "SERVER" else "inbound"
    chain = [der(each.encode()) for each in (case["peer_certificate"], *case["untrusted_intermediates"])]
    with no_runaway():
        said = verify(Admission((trunk,), None, direction=direction), chain, now)
    if said.trunk is not None and case["crls"]:
        assert said.presented is not None
        return _revocation(case, said.presented.ders, said.presented.chain, now)
    return "accepted" if said.failure is None else said.failure.kind


def _revocation(case: dict[str, Any], ders: tuple[bytes, ...], prints: tuple[str, ...], now: float) -> str:
    known = RevocationCache()
    links = Links().chain(ders, prints)
    for crl in case["crls"]:
        try:
            (list_der,) = split_pem(crl.encode())
            fresh = read_list(list_der, [read_issuer(each) for each in ders[1:]], now)
        except Unusable:
            continue
        known.put_list("file", fresh)
    methods: tuple[Method, ...] = ("crl",)
    found = [known.look(link, methods, now).state for link in links]
    return "accepted" if found == ["good"] * len(found) else "stale-revocation"


@pytest.mark.parametrize("name", cases())
def test_a_chain(name: str, tmp_path: Path) -> None:
    case = cases()[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        got = outcome(case, tmp_path)
    if name in REFUSED:
        assert case["expected_result"] == "SUCCESS" and got == REFUSED[name][0]
    elif name in ACCEPTED:
        assert case["expected_result"] == "FAILURE" and got == "accepted"
    else:
        assert (got == "accepted") is (case["expected_result"] == "SUCCESS"), got


def test_every_exception_is_a_case() -> None:
    assert set(ACCEPTED) | set(REFUSED) <= set(cases()) and len(cases()) == 92
