"""What is wrong with the certificate that we show."""

from __future__ import annotations

import re
from typing import Any

from gevent import ssl

from sbc.demo.pki import LabAuthority
from sbc.tls.failure import Direction
from tests.edge.remedies.rows import BOTH, DAY, Row, both_ways
from tests.edge.remedies.site import Site, Strict


def expired_ours(site: Site, way: Direction, version: str) -> Any:
    """Our certificate ends while we run; the peer goes by the clock and finds it over."""
    then = site.now - 9 * DAY
    site.identify("sbc", site.ours.issue(dns=["sbc.example"], not_before=then - DAY, not_after=then + DAY))
    moment, site.now = site.now, then
    site.reload()
    site.now = moment
    site.door.clock.at = moment
    return judging(site, way, version)


def judging(site: Site, way: Direction, version: str) -> Any:
    """A peer that verifies us."""
    peer = site.shows(way, site.good(), version)
    peer.load_verify_locations(cadata=site.ours.cert_pem.decode())
    peer.verify_mode = ssl.CERT_REQUIRED
    return peer


def renew_ours(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.identify(said[1], site.ours.issue(dns=["sbc.example"]))
    return judging(site, way, version)


def show_none(site: Site, version: str) -> Any:
    site.tls["client_identity"] = "none"
    return judging(site, "outbound", version)


def show_one(site: Site, version: str, said: re.Match[str]) -> Any:
    site.tls[said[1]] = "sbc"
    return judging(site, "outbound", version)


def stranger_to_them(site: Site, way: Direction, version: str) -> Any:
    site.identify("sbc", LabAuthority("Unheard CA").issue(dns=["sbc.example"]))
    return judging(site, way, version)


def known_to_them(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    assert said[1] == "CN=Unheard CA"
    site.identify("sbc", site.ours.issue(dns=["sbc.example"]))
    return judging(site, way, version)


_LACKING = {"inbound": ("client",), "outbound": ("server",)}


def for_another_use(site: Site, way: Direction, version: str) -> Any:
    site.identify("sbc", site.ours.issue(dns=["sbc.example"], eku=_LACKING[way]))
    return judging(site, way, version)


def for_this_use(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.identify("sbc", site.ours.issue(dns=["sbc.example"], eku=(said[1],)))
    return judging(site, way, version)


def of_an_old_name(site: Site, version: str) -> Any:
    site.identify("sbc", site.ours.issue(dns=["old.example"]))
    return expecting_a_name(site, version)


def expecting_a_name(site: Site, version: str) -> Any:
    """A client that holds us to the name that it dials."""
    peer = judging(site, "inbound", version)
    peer.check_hostname = True
    return peer


def of_the_name(site: Site, version: str, said: re.Match[str]) -> Any:
    site.identify("sbc", site.ours.issue(dns=["old.example", "sbc.example"]))
    return expecting_a_name(site, version)


OURS = (
    *both_ways(
        "our own certificate has expired", "rejected-by-peer",
        r"our own certificate, identity sbc \(CN=sbc.example\), expired on [0-9-]+; the peer sent alert 45",
        r"renew identity (\w+): put the new certificate and its key into its files", "*",
        expired_ours, renew_ours,
    ),
    Row(
        "we show no certificate", "outbound", BOTH, "rejected-by-peer",
        r"it wants a client certificate and we showed none",
        r"give the trunk a `(client_identity)`", "tls.client_identity", show_none, show_one,
    ),
    *both_ways(
        "we show one of a CA that they do not know", "rejected-by-peer",
        r"alert 48 \(unknown_ca\): it does not know the CA of our certificate: CN=Unheard CA issued",
        r"give the peer's operator the CA (CN=Unheard CA), or show an identity of a CA that it trusts", "*",
        stranger_to_them, known_to_them,
    ),
    *both_ways(
        "we show one that is not for this use", "rejected-by-peer",
        r"alert 43 .*identity sbc \(CN=sbc.example\) has no (clientAuth|serverAuth) in its extended",
        r"give the trunk an identity whose certificate has (client|server)Auth", "*",
        for_another_use, for_this_use,
    ),
    Row(
        "we show one of another name", "inbound", BOTH, "rejected-by-peer",
        r"it asked for sbc.example, and identity sbc \(CN=old.example\) names dns:old.example",
        r"or request a certificate with the name that it dials", "tls.server_identity",
        of_an_old_name, of_the_name,
    ),
    Row(
        "a server of TLS 1.3 without a certificate", "outbound", ("1.3",), "no-shared-version",
        r"alert 70 \(protocol_version\)", r"where it has loaded no certificate of its own", "",
        lambda site, version: Strict(None, version, server=True),
        lambda site, version, said: Strict(site.good(), version, server=True),
    ),
)  # fmt: skip
