"""A configuration that stands in no file: one peer, and what the options of ``sbc doctor`` say of it.

It goes through the same examination as a trunk's peer. What there is a line of the configuration for
elsewhere, an option decides here.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sbc.base import Address, LocalError

if TYPE_CHECKING:
    from sbc.config.model import Trunk
    from sbc.config.snapshot import Snapshot
    from sbc.tls.material.anchors import AnchorMaterial
    from sbc.tls.material.identity import IdentityMaterial

PORT: Final = 5061
_TRUNK, _LISTENER, _SHOWN, _TRUST = "peer", "ours", "shown", "authorities"
# The option that decides what a key of a trunk decides.
OPTIONS: Final = {
    "peers": "HOST:PORT", "tls.trust": "--ca", "tls.names": "--name", "tls.client_identity": "--cert",
}  # fmt: skip
# Where systems keep the CAs that everybody trusts, but for what Python itself was told.
_BUNDLES: Final = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


@dataclass(frozen=True, slots=True)
class LonePeer:
    """Who is dialled, whom we trust (``ca`` None: the public CAs), what we show, and whom we expect."""

    address: Address
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    names: tuple[str, ...] = ()


def peer_address(text: str) -> Address:
    """Read ``host``, ``host:port``, ``address`` or ``[address]:port``; LocalError where it is none."""
    from sbc.config.values import is_domain, parse_address
    from sbc.tls.names import is_ip

    bare = text.removeprefix("[").removesuffix("]")
    if is_ip(bare):
        return Address(bare, PORT)
    try:
        found = Address(text, PORT) if is_domain(text) else parse_address(text)
    except ValueError as error:
        raise LocalError(str(error)) from None
    if not found.port:
        raise LocalError(f"{text}: nobody listens on port 0")
    return found


def lone_snapshot(peer: LonePeer, now: float) -> tuple[Snapshot, Trunk]:
    """The snapshot with the one trunk; LocalError where a file will not do; ``now`` in POSIX seconds."""
    from pydantic import ValidationError

    from dsl.ruleset import RuleSet
    from sbc.config.model import Settings, Trunk
    from sbc.config.snapshot import Snapshot

    anchor, identity = _trusted(peer.ca, now), _shown(peer, now)
    tls = {
        "trust": [_TRUST],
        "names": list(peer.names),
        "client_identity": _SHOWN if identity is not None else "none",
    }
    try:
        settings = Settings.model_validate(
            {"listeners": {_LISTENER: {"bind": f"0.0.0.0:{PORT}", "transport": "tls"}}}
        )
        trunk = Trunk.model_validate(
            {"trunk": _TRUNK, "peers": [str(peer.address)], "listener": _LISTENER, "tls": tls}
        )
    except ValidationError as error:
        raise LocalError(f"{OPTIONS['tls.names']}: {error.errors()[0]['msg']}") from None
    snapshot = Snapshot(
        "", Path(), settings, {_TRUNK: trunk}, RuleSet(()), places={_TRUNK: OPTIONS},
        anchors={_TRUST: anchor}, identities={_SHOWN: identity} if identity is not None else {},
    )  # fmt: skip
    return snapshot, trunk


def _trusted(ca: Path | None, now: float) -> AnchorMaterial:
    """What ``--ca`` names: CAs, or the one certificate that the peer is to show."""
    from sbc.config.model import TrustAnchor
    from sbc.tls.material.anchors import load_anchor

    path = str(ca.absolute() if ca is not None else _public_bundle())
    found, problems = load_anchor(_TRUST, TrustAnchor(ca=path, public=ca is None), Path(), now)
    if found is None:
        pinned, _ = load_anchor(_TRUST, TrustAnchor(leaf=(path,)), Path(), now)
        if pinned is not None:
            return pinned
        raise LocalError(f"--ca {next(each for each in problems if each.fatal)}")
    return found


def _public_bundle() -> Path:
    given = ssl.get_default_verify_paths().cafile
    for each in (given, *_BUNDLES):
        if each is not None and os.path.isfile(each):
            return Path(each)
    raise LocalError("this system has no file of public CAs: say whom you trust with --ca FILE")


def _shown(peer: LonePeer, now: float) -> IdentityMaterial | None:
    from sbc.config.model import Identity
    from sbc.tls.material.identity import load_identity

    if peer.cert is None and peer.key is None:
        return None
    if peer.cert is None:
        raise LocalError("--key is of no use without --cert")
    files = Identity(chain=str(peer.cert.absolute()), key=str((peer.key or peer.cert).absolute()))
    found, problems = load_identity(_SHOWN, files, Path(), now)
    if found is None:
        raise LocalError(f"--cert, --key: {next(each for each in problems if each.fatal)}")
    return found
