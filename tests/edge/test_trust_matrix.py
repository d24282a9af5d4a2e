"""Every trust model against everything that can be wrong with a certificate, in both directions, for real.

What must come of it is in ``trust_matrix.SPECIFICATION``. One edge a direction serves the whole matrix; each
row is a trunk, known by its source address. The peers are another OpenSSL than ours: what alert they saw is
what they say, not what we believe to have sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.base import Address
from sbc.demo.pki import Issued
from sbc.net.dialer import DialFailed
from sbc.net.handler import HandshakeFailed
from sbc.tls.diagnosis import Direction
from tests.edge.tls_lab import (
    OPTIONS,
    Lab,
    alert_seen,
    client_context,
    eventually,
    forged_key,
    server_context,
    serving,
    try_options,
)
from tests.edge.trust_matrix import HOST, REMEDIES, Expected, Material, Row, policy, rows

pytestmark = pytest.mark.slow
ROWS = list(rows())


class Matrix(Lab):
    """An edge with a trunk for each row, and the certificate that this trunk's peer shows."""

    def __init__(self, directory: Path, direction: Direction) -> None:
        super().__init__(directory)
        self.listener("tls")
        self.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
        self.shown: dict[str, Issued | None] = {}
        self.sources: dict[str, str] = {}
        material = Material(direction)
        for number, row in enumerate(ROWS, 1):
            shown = self.shown[row.trunk] = material.shown(row)
            self._trust(row.trunk, material.anchor(row, shown))
            source = self.sources[row.trunk] = f"127.1.{number // 250}.{number % 250 + 1}"
            self.trunk(row.trunk, policy(row), sources=(source,))
        self.start()
        self.whole = self.snapshot()

    def _trust(self, name: str, options: dict[str, Any]) -> None:
        for kind in ("ca", "leaf"):
            if kind in options:
                options = {**options, kind: self.write(f"{name}-anchor.pem", options[kind])}
        self.anchor_file(name, **options)

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
        assert [flow.trunk for flow, _ in inbound.recorder.messages[before[1] :]] == [row.trunk]
        assert len(inbound.recorder.failures) == before[0]
        return
    eventually(lambda: len(inbound.recorder.failures) > before[0])
    (event,) = inbound.recorder.failures[before[0] :]
    check(event, "inbound", row, row.inbound, version)
    assert alert_seen(error) == row.inbound.alert[version], error
    assert event.sni == "sbc.example"
    assert len(inbound.recorder.messages) == before[1], "not a byte of SIP was looked at"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.trunk)
def test_a_peer_is_dialled(outbound: Matrix, row: Row, version: str) -> None:
    before = len(outbound.recorder.failures)
    context = server_context(outbound, outbound.shown[row.trunk], version, outbound.key_of(row))
    with serving(context) as server:
        trunk = outbound.trunks[row.trunk].model_copy(update={"peers": (Address(HOST, server.port),)})
        if row.outbound.kind == "accepted":
            outbound.dialer.connect(trunk, outbound.whole).channel.send(OPTIONS)
            eventually(lambda: server.heard == OPTIONS)
            assert len(outbound.recorder.failures) == before
            return
        with pytest.raises(DialFailed) as failed:
            outbound.dialer.connect(trunk, outbound.whole)
        (event,) = outbound.recorder.failures[before:]
        assert failed.value.failure == event.failure
        check(event, "outbound", row, row.outbound, version)
        eventually(lambda: server.errors)
        if row.outbound.sent:
            assert alert_seen(server.errors[0]) == row.outbound.alert[version]
        gevent.sleep(0)
        assert server.heard == b""


def check(event: HandshakeFailed, direction: Direction, row: Row, expected: Expected, version: str) -> None:
    """Hold one event of a failed handshake against the specification."""
    assert event.failure.kind == expected.kind, event.failure
    alerts = (event.alert_sent, event.alert_received)
    assert alerts == ((expected.alert[version], None) if expected.sent else (None, expected.alert[version]))
    assert event.failure.alert == expected.alert[version]
    assert REMEDIES[expected.kind] in event.failure.remedy
    assert event.failure.security_event is (expected.kind == "key-not-held")
    assert (event.direction, event.candidates) == (direction, (row.trunk,))
