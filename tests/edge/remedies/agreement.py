"""Versions, groups, ciphers, kinds of keys and names in which a peer and we differ."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.edge.remedies.rows import BOTH, Row
from tests.edge.remedies.site import HOST, NAME, Site, Strict
from tests.edge.tls_pair import by_name


def a_server_with_group(site: Site, version: str) -> Any:
    peer = site.shows("outbound", site.good(), version)
    peer.set_ecdh_curve("secp521r1")
    return peer


def add_groups(site: Site, version: str, said: re.Match[str]) -> Any:
    site.tls["groups"] = ["X25519", "P-256", *re.split(", | or ", said[1])]
    return a_server_with_group(site, version)


def a_server_with_cipher(site: Site, version: str, cipher: str = "ECDHE-ECDSA-AES128-SHA") -> Any:
    peer = site.shows("outbound", site.good(), version)
    peer.set_ciphers(cipher)
    return peer


def a_server_of_names(alert: int) -> Callable[[Site, str], Any]:
    def inject(site: Site, version: str) -> Any:
        peer = site.shows("outbound", site.good(), version)
        by_name(peer, lambda _tls, name, _context: None if name == NAME else alert)
        return peer

    return inject


def dial_by_name(alert: int) -> Callable[[Site, str, re.Match[str]], Any]:
    def mend(site: Site, version: str, said: re.Match[str]) -> Any:
        site.entry["peers"] = [f"{NAME}:5061"]
        return a_server_of_names(alert)(site, version)

    return mend


def a_client_with_group(site: Site, version: str) -> Any:
    site.identify("sbc", site.ours.issue(dns=["sbc.example"], key="rsa"))
    peer = site.shows("inbound", site.good(key="rsa"), version)
    peer.set_ecdh_curve("secp521r1")
    return peer


def add_group(site: Site, version: str, said: re.Match[str]) -> Any:
    site.tls["groups"] = ["X25519", "P-256", said[1]]
    return a_client_with_group(site, version)


def a_client_with_cipher(
    site: Site, version: str, cipher: str = "AES128-SHA256:ECDHE-ECDSA-AES128-SHA"
) -> Any:
    peer = site.shows("inbound", site.good(), version)
    peer.set_ciphers(cipher)
    return peer


def another_key(site: Site, key: str) -> None:
    assert key == "RSA"
    site.identify("second", site.ours.issue(dns=["sbc.example"], key="rsa"))
    site.tls["server_identity"] = "second"


def show_another(inject: Callable[[Site, str], Any]) -> Callable[[Site, str, re.Match[str]], Any]:
    def mend(site: Site, version: str, said: re.Match[str]) -> Any:
        another_key(site, said[1])
        return inject(site, version)

    return mend


def a_client_of_rsa(site: Site, version: str) -> Any:
    return a_client_with_cipher(site, version, "ECDHE-RSA-AES128-GCM-SHA256")


def a_client_of_pss(site: Site, version: str) -> Any:
    return Strict(site.good(key="rsa"), version, b"rsa_pss_rsae_sha256:rsa_pss_pss_sha256")


def a_client_of_yesterday(site: Site, version: str) -> Any:
    site.tls["min_version"] = "1.3"
    return site.shows("inbound", site.good(), version)


def lower_version(site: Site, version: str, said: re.Match[str]) -> Any:
    site.tls["min_version"] = said[1]
    return site.shows("inbound", site.good(), version)


AGREEMENT = (
    Row(
        "a server of another group", "outbound", BOTH, "rejected-by-peer",
        r"alert 40 \(handshake_failure\) to what we offered.*the groups X25519MLKEM768, X25519, P-256",
        r"add ([^;]*) to the trunk's `groups`", "tls.groups", a_server_with_group, add_groups,
    ),
    Row(
        "a server of another cipher", "outbound", ("1.2",), "rejected-by-peer",
        r"alert 40 .*ECDHE with AES-GCM or ChaCha20",
        r"enable (ECDHE-ECDSA-AES128-GCM-SHA256) or", "tls.groups", a_server_with_cipher,
        lambda site, version, said: a_server_with_cipher(site, version, said[1]),
    ),
    Row(
        "a server that hides by name", "outbound", BOTH, "rejected-by-peer",
        rf"alert 40 .*for the name {HOST}", rf"correct the name in `peers` if it does not serve {HOST}",
        "tls.groups", a_server_of_names(40), dial_by_name(40),
    ),
    Row(
        "a server that does not know a name", "outbound", BOTH, "rejected-by-peer",
        rf"alert 112 .*'{HOST}'", r"correct the name in the trunk's `peers`", "peers",
        a_server_of_names(112), dial_by_name(112),
    ),
    Row(
        "a client of another group", "inbound", BOTH, "no-shared-group",
        r"the peer offers the groups P-521, carrier takes X25519MLKEM768, X25519, P-256",
        r"add (P-521) to the trunk's `groups`", "tls.groups", a_client_with_group, add_group,
    ),
    Row(
        "a client of another cipher", "inbound", ("1.2",), "no-shared-cipher",
        r"of the \d+ ciphers that the peer offers none is ECDHE with AES-GCM",
        r"enable (ECDHE-ECDSA-AES128-GCM-SHA256) at the peer", "", a_client_with_cipher,
        lambda site, version, said: a_client_with_cipher(site, version, said[1]),
    ),
    Row(
        "a client of RSA alone", "inbound", ("1.2",), "no-shared-cipher",
        r"takes no server with a key of P-256, which identity sbc has, but one of RSA",
        r"give the trunk a `server_identity` with a key of (RSA)", "tls.server_identity",
        a_client_of_rsa, show_another(a_client_of_rsa),
    ),
    Row(
        "a client of RSA-PSS alone", "inbound", BOTH, "no-shared-cipher",
        r"takes no server with a key of P-256, which identity sbc has, but one of RSA",
        r"give the trunk a `server_identity` with a key of (RSA)", "tls.server_identity",
        a_client_of_pss, show_another(a_client_of_pss),
    ),
    Row(
        "a server of TLS 1.2", "outbound", ("1.2",), "no-shared-version",
        r"alert 70 \(protocol_version\): it accepts none of TLS 1.3 alone as we offer them",
        r"enable TLS 1.2 or 1.3 at the peer, or lower the trunk's `min_version`", "tls.min_version",
        lambda site, version: (
            site.tls.update(min_version="1.3"), site.shows("outbound", site.good(), version),
        )[1],
        lambda site, version, said: (
            site.tls.update(min_version="1.2"), site.shows("outbound", site.good(), version),
        )[1],
    ),
    Row(
        "a client of TLS 1.2", "inbound", ("1.2",), "no-shared-version",
        r"the peer offers TLS 1.2 at most, carrier demands TLS 1.3",
        r"set the trunk's `min_version` to (1\.2)", "tls.min_version", a_client_of_yesterday, lower_version,
    ),
)  # fmt: skip
