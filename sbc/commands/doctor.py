"""``sbc doctor``: dial a trunk's peers, or any SIP peer, and say what is wrong; no SBC has to run."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sbc.base import LocalError
from sbc.commands.parser import GOOD, REFUSED, Commands, json_option

if TYPE_CHECKING:
    from sbc.base import Address
    from sbc.commands.lone_peer import LonePeer
    from sbc.config.model import Trunk
    from sbc.config.snapshot import Snapshot


# What a script is told: each class of fault has one of these (docs/diagnosis.md); the others are 1.
STATUSES: Final[dict[int, tuple[str, ...]]] = {
    10: ("unresolved", "unreachable"),
    11: ("not-tls", "timeout", "reset-by-peer", "bad-handshake"),
    12: ("no-shared-version", "no-shared-cipher", "no-shared-group"),
    13: ("unknown-ca", "missing-intermediate", "chain-too-long", "bad-certificate", "key-not-held"),
    14: ("name-mismatch",),
    15: ("expired", "not-yet-valid"),
    16: ("wrong-purpose",),
    17: ("revoked", "stale-revocation"),
    18: ("rejected-by-peer", "no-certificate"),
    19: ("no-answer",),
}
_LAST: Final = ("rejected-by-peer", "unresolved", "unreachable")
_STATUS_OF: Final = {fault: status for status, faults in STATUSES.items() for fault in faults}


def add(commands: Commands) -> None:
    """Add this command."""
    text = "dial a trunk's peers, or any SIP peer, and explain what is wrong with its TLS"
    each = json_option(commands.add("doctor", _doctor, text))
    each.description = f"{text}; the exit status says what the first fault is: {_statuses()}"
    each.add_argument(
        "target", metavar="TRUNK|HOST[:PORT]", help="of the configuration, or without one; port 5061"
    )
    each.add_argument("--peer", metavar="HOST[:PORT]", help="this peer, or domain, in place of the trunk's")
    text = "without a configuration: the chain that we show, as PEM; nothing without it"
    each.add_argument("--cert", type=Path, metavar="FILE", help=text)
    each.add_argument("--key", type=Path, metavar="FILE", help="its key, where it is not in the same file")
    text = "without a configuration: CAs that we trust, or the peer's own certificate; the public CAs"
    each.add_argument("--ca", type=Path, metavar="FILE", help=text)
    text = "without a configuration: a name that its certificate may carry; HOST"
    each.add_argument("--name", action="append", default=[], metavar="NAME", help=text)


def _statuses() -> str:
    return ", ".join(f"{status} {' or '.join(faults)}" for status, faults in STATUSES.items())


def _doctor(options: argparse.Namespace) -> int:
    from sbc.commands.doctor_text import render
    from sbc.net.system.clock import Clock

    clock = Clock()
    lone = _lone(options)
    diagnosis = _of_lone(lone, clock) if lone is not None else _of_trunk(options, clock)
    print(json.dumps(diagnosis, indent=2) if options.json else render(diagnosis))
    return GOOD if diagnosis["healthy"] else _STATUS_OF.get(diagnosis["fault"], REFUSED)


def _lone(options: argparse.Namespace) -> LonePeer | None:
    """The peer that is asked about by its address, None where a trunk is."""
    from sbc.commands.lone_peer import LonePeer, peer_address
    from sbc.config.files import SETTINGS_FILE
    from sbc.tls.names import is_ip

    given = [each for each in ("cert", "key", "ca", "name") if getattr(options, each)]
    target, configured = options.target, os.path.isfile(options.config / SETTINGS_FILE)
    if not (given or ":" in target or is_ip(target)) and (configured or "." not in target):
        return None
    if options.peer is not None:
        raise LocalError("--peer is for a trunk: name the peer alone")
    names = tuple(options.name)
    return LonePeer(peer_address(target), options.ca, options.cert, options.key, names)


def _of_lone(lone: LonePeer, clock: Any) -> dict[str, Any]:
    from sbc.commands.lone_peer import lone_snapshot

    snapshot, trunk = lone_snapshot(lone, clock.now())
    return {**examined(snapshot, trunk, (lone.address,), clock, probing=True), "trunk": None}


def _of_trunk(options: argparse.Namespace, clock: Any) -> dict[str, Any]:
    from sbc.config.load import build_snapshot

    snapshot = _as_bound(build_snapshot(options.config, clock.now()))
    trunk = _trunk(snapshot, options.target)
    return examined(snapshot, trunk, _peers(trunk, options.peer), clock)


def _as_bound(snapshot: Snapshot) -> Snapshot:
    """With the bindings of rotations under way, as the running SBC wrote them down last."""
    from sbc.commands.state import saved
    from sbc.tls.lifetime.rotation import STATE, Rotation

    return snapshot.binding(Rotation.from_json(saved(snapshot, STATE)).bindings())


def examined(
    snapshot: Snapshot, trunk: Trunk, peers: tuple[Address, ...], clock: Any, *, probing: bool = False
) -> dict[str, Any]:
    """The examination of every peer with its findings, as JSON types."""
    from sbc.net.doctor.examine import Examiner
    from sbc.observe.examination import Physician

    examiner = Examiner(snapshot, trunk, clock, probing=probing)
    ours, now = examiner.ours(), clock.now()
    physician = Physician(snapshot, trunk, ours, now)
    reports = []
    for peer in peers:
        report = examiner.examine(peer)
        visits = [
            {**asdict(each), "findings": [asdict(found) for found in physician.of_visit(each)]}
            for each in report.visits
        ]
        found = [asdict(each) for each in physician.of_peer(report)]
        reports.append({"peer": report.peer, "findings": found, "visits": visits})
    fault = _fault(reports)
    return {
        "trunk": trunk.trunk, "now": now, "healthy": fault is None, "fault": fault or "",
        "ours": asdict(ours) if ours is not None else None, "peers": reports,
    }  # fmt: skip


def _fault(reports: list[dict[str, Any]]) -> str | None:
    """The class of the first fault, None for none.

    What explains why a peer refuses us comes before that, an address that takes no connection after all.
    """
    parts = [part for each in reports for part in (each, *each["visits"])]
    found = [each["fault"] for part in parts for each in part["findings"] if each["level"] == "bad"]
    return min(found, key=lambda fault: _LAST.index(fault) if fault in _LAST else -1, default=None)


def _trunk(snapshot: Snapshot, name: str) -> Trunk:
    trunk = snapshot.trunks.get(name)
    if trunk is None:
        known = ", ".join(sorted(snapshot.trunks)) or "none"
        text = f"there is no trunk {name}; there are: {known}; a peer without one is HOST:PORT"
        raise LocalError(text)
    if trunk.tls is None or trunk.tls.mode == "off":
        raise LocalError(f"trunk {name} has no TLS: there is no trust to examine")
    why = snapshot.why_quarantined(name)
    if why:
        raise LocalError(f"trunk {name} is quarantined and dials nobody: {why}")
    return trunk


def _peers(trunk: Trunk, wanted: str | None) -> tuple[Address, ...]:
    from sbc.base import Address
    from sbc.config.values import is_domain, parse_address

    if wanted is not None:
        if is_domain(wanted):
            return (Address(wanted, 0),)
        try:
            return (parse_address(wanted),)
        except ValueError as error:
            raise LocalError(f"--peer: {error}") from None
    if not trunk.peers:
        raise LocalError(f"trunk {trunk.trunk} has no `peers` to dial; name one with --peer HOST:PORT")
    return trunk.peers
