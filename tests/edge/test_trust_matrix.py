"""Every trust model against everything that can be wrong with a certificate, in both directions.

What must come of it is in ``trust_matrix.SPECIFICATION``. One door a direction serves the whole matrix; each
row is a trunk, known by its source address. The peers are another OpenSSL than ours: what alert they saw is
what they say, not what we believe to have sent. ``test_tls_inbound`` and ``test_tls_outbound`` show the
same on the wire: the alert arrives, and nothing else does, nor is read.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from sbc.commands.trust_text import render
from sbc.demo.pki import Issued
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder as ProductRecorder
from sbc.observe.trust import DirectionView, trust_views
from sbc.tls.failure import Direction, alert_name
from sbc.tls.material.certificate import thumbprint_of
from tests.edge.tls_lab import Lab, alert_seen, client_context, forged_key, server_context
from tests.edge.tls_pair import Door
from tests.edge.trust_matrix import HOST, REMEDIES, Expected, Material, Row, policy, rows
from tests.unit.tls.certs import der

ROWS = list(rows())


class Matrix(Lab):
    """A trunk for each row, the certificate that its peer shows, and the recorder that is told of it."""

    def __init__(self, directory: Path, direction: Direction) -> None:
        super().__init__(directory)
        self.direction = direction
        self.product = ProductRecorder(Journal(lambda line: None), lambda line: None)
        self.listener("tls")
        self.shown: dict[str, Issued | None] = {}
        self.sources: dict[str, str] = {}
        material = Material(direction)
        for name, issuer in material.intermediates.items():
            # What our own chains hold, we know: a peer that leaves it out is told what is missing.
            self.identity(name, issuer.issue(dns=["sbc.example"]))
        for number, row in enumerate(ROWS, 1):
            shown = self.shown[row.trunk] = material.shown(row)
            self._trust(row.trunk, material.anchor(row, shown), material.list(row, shown))
            source = self.sources[row.trunk] = f"127.1.{number // 250}.{number % 250 + 1}"
            peers = (f"{HOST}:1",) if direction == "outbound" else ()
            self.trunk(row.trunk, policy(row), sources=(source,), peers=peers)
        self.door = Door(self)
        self.whole = self.snapshot()

    def _trust(self, name: str, options: dict[str, Any], revoked: bytes | None) -> None:
        if revoked is not None and "ca" in options:
            options["crl"] = self.write(f"{name}.crl", revoked)
        for kind in ("ca", "leaf"):
            if kind in options:
                options = {**options, kind: self.write(f"{name}-anchor.pem", options[kind])}
        self.anchor_file(name, **options)

    def told(self, trunk: str) -> tuple[DirectionView, str]:
        """What ``sbc trust`` has of a trunk in this direction: the view, and the text printed of it."""
        ledger = self.product.ledger
        views = trust_views(self.whole, ledger, time.time())
        (view,) = (each for each in views if each.trunk == trunk)
        (side,) = (each for each in view.directions if each.direction == self.direction)
        return side, " ".join(render([asdict(view)], time.time()).split())

    def key_of(self, row: Row) -> bytes | None:
        """The key that the row's peer signs with: None for its own, else one that it should not have."""
        shown = self.shown[row.trunk]
        return forged_key(shown.cert_pem) if shown is not None and row.case == "key not held" else None


pytestmark = pytest.mark.slow  # nearly three hundred handshakes


@pytest.fixture(scope="module")
def inbound(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("inbound"), "inbound")


@pytest.fixture(scope="module")
def outbound(tmp_path_factory: pytest.TempPathFactory) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("outbound"), "outbound")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trunk)
def test_a_peer_connects(inbound: Matrix, row: Row, version: str) -> None:
    door = inbound.door
    context = client_context(inbound, inbound.shown[row.trunk], version, inbound.key_of(row))
    entered = door.admits(context, host=inbound.sources[row.trunk])
    if row.inbound.kind == "accepted":
        assert entered == row.trunk
        check_accepted(inbound, row)
        return
    assert entered is None
    check(inbound, row, row.inbound, version)
    assert alert_seen(door.theirs.error) == row.inbound.alert.get(version), door.theirs.error
    assert door.ours.failure().sni == "sbc.example"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trunk)
def test_a_peer_is_dialled(outbound: Matrix, row: Row, version: str) -> None:
    door = outbound.door
    context = server_context(outbound, outbound.shown[row.trunk], version, outbound.key_of(row))
    reached = door.accepts(row.trunk, context, HOST)
    if row.outbound.kind == "accepted":
        assert reached == row.trunk
        check_accepted(outbound, row)
        return
    assert reached is None
    check(outbound, row, row.outbound, version)
    if row.outbound.sent:
        assert alert_seen(door.theirs.error) == row.outbound.alert.get(version), door.theirs.error


def check_accepted(matrix: Matrix, row: Row) -> None:
    """Hold what ``sbc trust`` says of a good handshake against the row."""
    shown = matrix.shown[row.trunk]
    assert shown is not None
    matrix.product.handshake(matrix.door.event)
    side, text = matrix.told(row.trunk)
    assert side.good is not None and side.bad is None
    assert (side.good.anchor, side.good.thumbprint) == (row.trunk, thumbprint_of(der(shown.cert_pem)))
    assert "last failure never" in text


def check(matrix: Matrix, row: Row, expected: Expected, version: str) -> None:
    """Hold the event of a failed handshake, and what ``sbc trust`` says of it, against the specification."""
    event = matrix.door.ours.failure()
    matrix.product.handshake_failed(event)
    failure, alert = event.failure, expected.alert.get(version)
    assert failure.kind == expected.kind, failure
    assert (event.alert_sent, event.alert_received) == expected.alerts(version)
    assert failure.alert == alert
    assert REMEDIES[expected.kind] in failure.remedy
    assert failure.security_event is (expected.kind == "key-not-held")
    assert (event.direction, event.candidates) == (matrix.direction, (row.trunk,))
    side, text = matrix.told(row.trunk)
    words = f"{'sent' if expected.sent else 'received'} {alert} {alert_name(alert)}" if alert else ""
    assert side.good is None and side.bad is not None
    assert (side.bad.kind, side.bad.remedy, side.bad.alert) == (failure.kind, failure.remedy, words)
    assert f"{failure.kind}{', alert ' * bool(words)}{words};" in text and f"remedy: {failure.remedy}" in text
