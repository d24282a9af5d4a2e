"""A trunk with two servers on the stage, the carrier's: ``stage.carrier`` and ``second``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sbc.base import Address
from sbc.config.snapshot import Snapshot
from tests.peers.trunks import with_peers
from tests.playbook.stage import Peer, Stage, snapshot

ONLY_CARRIER = 'rules: [{name: out, when: true, then: route "carrier"}]'
Written = dict[str, Any]
FIRST, SECOND = Address("carrier.example", 5061), Address("second.example", 5061)


def two_servers(
    trunk: str = "carrier", first: Written | None = None, second: Written | None = None, **options: Any
) -> Snapshot:
    """The usual trunks, of which ``trunk`` has a second peer; ``first`` and ``second`` say more of them."""
    configuration = snapshot(**options)
    one = configuration.trunks[trunk]
    peers = zip((*one.peers, SECOND), (first, second), strict=True)
    two = with_peers(one, *[{"host": at.host, "port": at.port, **(more or {})} for at, more in peers])
    return replace(configuration, trunks={**configuration.trunks, trunk: two})


def staged(first: Written | None = None, second: Written | None = None, **options: Any) -> tuple[Stage, Peer]:
    """The stage, and the carrier's second server."""
    stage = Stage(two_servers("carrier", first, second, **options))
    return stage, stage.peers["second"]


def probe(stage: Stage, **statuses: int) -> None:
    """One round of probes, answered by the carrier's two servers."""
    stage.carry_out(stage.engine.probe(stage.now))
    for name, status in statuses.items():
        stage.peers[name].respond(stage.peers[name].hears("OPTIONS"), status)
    stage.now += 10
