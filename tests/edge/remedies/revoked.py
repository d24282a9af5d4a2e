"""Certificates that are taken back, and trunks that demand to know."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sbc.demo.pki import Issued
from sbc.tls.failure import Direction
from tests.edge.remedies.rows import DAY, both_ways
from tests.edge.remedies.site import NAME, Site
from tests.unit.tls.revoking import pem_of_list, revocation_list

SHOWN: dict[Site, Issued] = {}


def publish(site: Site, *revoked: Issued, ends: float = DAY) -> None:
    """The list of the carrier's CA lies beside its certificate."""
    made = revocation_list(site.theirs, site.now, revoked, begins=-2 * DAY, ends=ends)
    site.put("tls/carrier.crl", pem_of_list(made))


def demanding(site: Site, way: Direction, version: str) -> Any:
    """The trunk is hard, and nothing says where to ask."""
    site.tls["revocation"] = {"mode": "hard"}
    shown = SHOWN.setdefault(site, site.good())
    return site.shows(way, shown, version)


def listing(prepare: Callable[[Site], None]) -> Callable[[Site, Direction, str], Any]:
    """The same, where the entry has a list that was prepared."""

    def inject(site: Site, way: Direction, version: str) -> Any:
        peer = demanding(site, way, version)
        prepare(site)
        site.config["trust"]["carrier-ca"]["crl"] = "tls/carrier.crl"
        return peer

    return inject


def give_list(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    publish(site)
    site.config["trust"]["carrier-ca"][said[1]] = "tls/carrier.crl"
    return demanding(site, way, version)


def be_soft(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    site.tls["revocation"] = {"mode": said[1]}
    return site.shows(way, SHOWN[site], version)


def publish_anew(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    publish(site)
    return demanding(site, way, version)


def replaced(site: Site, way: Direction, version: str, said: re.Match[str]) -> Any:
    return site.shows(way, site.good(), version)


REVOKED = (
    *both_ways(
        "nothing says whether it is revoked: a list is given", "stale-revocation",
        rf"nothing fresh says that CN={NAME} is not revoked", r"give the CA's list with `(crl)` in its entry",
        "tls.revocation", demanding, give_list,
    ),
    *both_ways(
        "nothing says whether it is revoked: the trunk is soft", "stale-revocation",
        rf"nothing fresh says that CN={NAME} is not revoked", r"`revocation: {mode: (soft)}` lets it pass",
        "tls.revocation", demanding, be_soft,
    ),
    *both_ways(
        "a list that is out of date", "stale-revocation",
        rf"nothing fresh says that CN={NAME} is not revoked", r"let the CA publish in time", "tls.revocation",
        listing(lambda site: publish(site, ends=-DAY)), publish_anew,
    ),
    *both_ways(
        "a certificate that is revoked", "revoked", rf"CN={NAME} is revoked", r"let its owner replace it", "",
        listing(lambda site: publish(site, SHOWN[site])), replaced,
    ),
)  # fmt: skip
