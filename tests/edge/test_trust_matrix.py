"""Every trust model against everything that can be wrong with a certificate, in both directions, for real.

What must come of it is in ``trust_matrix.SPECIFICATION``. One edge a direction serves the whole matrix; each
row is a trunk, known by its source address. The peers are another OpenSSL than ours: what alert they saw is
what they say, not what we believe to have sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.base import Address
from sbc.commands.trust_text import render
from sbc.demo.pki import Issued
from sbc.net.transport.dial import DialFailed
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder as ProductRecorder
from sbc.observe.trust import DirectionView, trust_views
from sbc.tls.diagnosis import Direction, alert_name
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.material.certificate import thumbprint_of
from tests.edge.tls_lab import (
    OPTIONS,
    Lab,
    Recorder,
    alert_seen,
    client_context,
    forged_key,
    server_context,
    serving,
    try_options,
)
from tests.edge.trust_matrix import HOST, REMEDIES, Expected, Material, Row, policy, rows
from tests.peers.waiting import until, until_equal
from tests.unit.tls.certs import der

pytestmark = pytest.mark.slow

ROWS = list(rows())


class Both(Recorder):
    """What the edge tells, written down for the test and given to the product's own recorder."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.product = ProductRecorder(Journal(self.lines.append), self.lines.append)

    def on_handshake(self, event: Handshake) -> None:
        super().on_handshake(event)
        self.product.handshake(event)

    def on_handshake_failed(self, event: HandshakeFailed) -> None:
        super().on_handshake_failed(event)
        self.product.handshake_failed(event)


class Matrix(Lab):
    """An edge with a trunk for each row, and the certificate that this trunk's peer shows."""

    def __init__(self, directory: Path, direction: Direction) -> None:
        super().__init__(directory)
        self.direction = direction
        self.both = self.recorder = Both()
        self.listener("tls")
        self.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
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
        self.start()
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
        ledger = self.both.product.ledger
        views = trust_views(self.whole, ledger, time.time())
        (view,) = (each for each in views if each.trunk == trunk)
        (side,) = (each for each in view.directions if each.direction == self.direction)
        return side, " ".join(render([asdict(view)], time.time()).split())

    def key_of(self, row: Row) -> bytes | None:
        """The key that the row's peer signs with: None for its own, else one that it should not have."""
        shown = self.shown[row.trunk]
        return forged_key(shown.cert_pem) if shown is not None and row.case == "key not held" else None


@pytest.fixture(scope="module")
def inbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    made = Matrix(tmp_path_factory.mktemp("inbound"), "inbound")
    yield made
    made.close()


@pytest.fixture(scope="module")
def outbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Matrix]:
    made = Matrix(tmp_path_factory.mktemp("outbound"), "outbound")
    yield made
    made.close()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trunk)
def test_a_peer_connects(inbound: Matrix, row: Row, version: str) -> None:
    before = len(inbound.recorder.failures), len(inbound.recorder.messages)
    context = client_context(inbound, inbound.shown[row.trunk], version, inbound.key_of(row))
    error = try_options(inbound.address(), context, source=inbound.sources[row.trunk])
    if row.inbound.kind == "accepted":
        assert error is None
        check_accepted(inbound, row)
        assert [flow.trunk for flow, _ in inbound.recorder.messages[before[1] :]] == [row.trunk]
        assert len(inbound.recorder.failures) == before[0]
        return
    until(lambda: len(inbound.recorder.failures) > before[0])
    (event,) = inbound.recorder.failures[before[0] :]
    check(inbound, event, row, row.inbound, version)
    assert alert_seen(error) == row.inbound.alert.get(version), error
    assert event.sni == "sbc.example"
    assert len(inbound.recorder.messages) == before[1], "not a byte of SIP was looked at"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trunk)
def test_a_peer_is_dialled(outbound: Matrix, row: Row, version: str) -> None:
    before = len(outbound.recorder.failures)
    context = server_context(outbound, outbound.shown[row.trunk], version, outbound.key_of(row))
    with serving(context) as server:
        server.says = b"\r\n"  # a pong (RFC 5626 4.4.1), which asks for no answer
        trunk = outbound.trunks[row.trunk].model_copy(update={"peers": (Address(HOST, server.port),)})
        if row.outbound.kind == "accepted":
            outbound.dialer.connect(trunk, outbound.whole).channel.send(OPTIONS)
            until_equal(lambda: server.heard, OPTIONS)
            # Over TLS 1.3 a handshake is good once the peer has said something.
            until(lambda: outbound.told(row.trunk)[0].good is not None)
            check_accepted(outbound, row)
            assert len(outbound.recorder.failures) == before
            return
        with pytest.raises(DialFailed) as failed:
            outbound.dialer.connect(trunk, outbound.whole)
        (event,) = outbound.recorder.failures[before:]
        assert failed.value.failure == event.failure
        check(outbound, event, row, row.outbound, version)
        if row.outbound.sent and row.outbound.alert:
            until(lambda: server.errors)
            assert alert_seen(server.errors[0]) == row.outbound.alert[version]
        gevent.sleep(0)
        assert server.heard == b""


def check_accepted(matrix: Matrix, row: Row) -> None:
    """Hold what ``sbc trust`` says of a good handshake against the row."""
    shown = matrix.shown[row.trunk]
    assert shown is not None
    side, text = matrix.told(row.trunk)
    assert side.good is not None and side.bad is None
    assert (side.good.anchor, side.good.thumbprint) == (row.trunk, thumbprint_of(der(shown.cert_pem)))
    assert "last failure never" in text


def check(matrix: Matrix, event: HandshakeFailed, row: Row, expected: Expected, version: str) -> None:
    """Hold one event of a failed handshake, and what ``sbc trust`` says of it, against the specification."""
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
