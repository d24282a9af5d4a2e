"""``sbc doctor TRUNK``: dial a trunk's peers and say what is wrong, with or without a running SBC."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError
from sbc.commands.parser import Commands, json_option

if TYPE_CHECKING:
    from sbc.base import Address
    from sbc.config.model import Trunk
    from sbc.config.snapshot import Snapshot


def add(commands: Commands) -> None:
    """Add this command."""
    text = "dial a trunk's peers with its identity and explain what is wrong"
    each = json_option(commands.add("doctor", _doctor, text))
    each.add_argument("trunk", metavar="TRUNK")
    each.add_argument("--peer", metavar="HOST[:PORT]", help="this peer, or domain, in place of the trunk's")


def _doctor(options: argparse.Namespace) -> int:
    from sbc.commands.doctor_text import render
    from sbc.config.load import build_snapshot
    from sbc.net.system.clock import Clock

    clock = Clock()
    snapshot = _as_bound(build_snapshot(options.config, clock.now()))
    trunk = _trunk(snapshot, options.trunk)
    diagnosis = examined(snapshot, trunk, _peers(trunk, options.peer), clock)
    print(json.dumps(diagnosis, indent=2) if options.json else render(diagnosis))
    return 0 if diagnosis["healthy"] else 1


def _as_bound(snapshot: Snapshot) -> Snapshot:
    """With the bindings of rotations under way, as the running SBC wrote them down last."""
    from sbc.commands.state import saved
    from sbc.tls.lifetime.rotation import STATE, Rotation

    return snapshot.binding(Rotation.from_json(saved(snapshot, STATE)).bindings())


def examined(snapshot: Snapshot, trunk: Trunk, peers: tuple[Address, ...], clock: Any) -> dict[str, Any]:
    """The examination of every peer with its findings, as JSON types."""
    from sbc.net.doctor.examine import Examiner
    from sbc.observe.examination import Physician

    examiner = Examiner(snapshot, trunk, clock)
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
    healthy = not any(each["level"] == "bad" for each in _findings(reports))
    shown = asdict(ours) if ours is not None else None
    return {"trunk": trunk.trunk, "now": now, "healthy": healthy, "ours": shown, "peers": reports}


def _findings(reports: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [found for each in reports for part in (each, *each["visits"]) for found in part["findings"]]


def _trunk(snapshot: Snapshot, name: str) -> Trunk:
    trunk = snapshot.trunks.get(name)
    if trunk is None:
        known = ", ".join(sorted(snapshot.trunks)) or "none"
        raise LocalError(f"there is no trunk {name}; there are: {known}")
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
