"""A new certificate of ours, trunk by trunk: who is shown which, and what becomes of older connections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.net.transport import recycle
from sbc.tls.material.certificate import thumbprint_of
from tests.edge.tls_lab import Lab, client_context, server_context, serving
from tests.peers import waiting
from tests.peers.waiting import until, until_equal

QUIET, PATIENCE = 0.15, 0.6


class Staged(Lab):
    """A lab whose identity ``sbc`` has something staged beside it, bound to the trunks of ``bound``."""

    bound: frozenset[str] = frozenset()

    def stage(self) -> None:
        self.identity("sbc+next", self.ca.issue(dns=["sbc.example", "next.example"]))

    def snapshot(self) -> Snapshot:
        return super().snapshot().binding({"sbc": self.bound})

    def bind(self, *trunks: str) -> None:
        self.bound |= frozenset(trunks)
        self.reload()


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Staged]:
    for name, seconds in (("POLL", 0.02), ("QUIET", QUIET), ("PATIENCE", PATIENCE)):
        monkeypatch.setattr(recycle, name, seconds)
    made = Staged(tmp_path)
    made.listener("tls")
    made.stage()
    yield made
    made.close()


def two_peers(lab: Staged) -> None:
    """Two trunks on one port, told apart by address."""
    lab.trunk("first", {}, sources=("127.0.0.2",))
    lab.trunk("second", {}, sources=("127.0.0.3",))
    lab.start()


def connect(lab: Staged, source: str) -> Any:
    plain = socket.create_connection(lab.address(), 3, source_address=(source, 0))
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    return context.wrap_socket(plain, server_hostname="sbc.example")


def shows_next(lab: Staged, secured: Any) -> bool:
    shown = thumbprint_of(secured.getpeercert(binary_form=True))
    known = [lab.identities[name].thumbprint for name in ("sbc", "sbc+next")]
    return bool(known.index(shown))


def closed(secured: Any, within: float = waiting.PATIENCE) -> bool:
    """Whether the SBC ends the connection in time."""
    secured.settimeout(within)
    try:
        return bool(secured.recv(1) == b"")
    except (TimeoutError, ssl.SSLWantReadError):
        return False


def test_two_trunks_on_one_port_are_bound_one_after_the_other(lab: Staged) -> None:
    two_peers(lab)
    shown = []
    for bound in ((), ("first",), ("second",)):
        lab.bind(*bound)
        shown.append([shows_next(lab, connect(lab, source)) for source in ("127.0.0.2", "127.0.0.3")])
    assert shown == [[False, False], [True, False], [True, True]]


def test_only_the_connections_of_a_bound_trunk_are_recycled(lab: Staged) -> None:
    two_peers(lab)
    first, second = connect(lab, "127.0.0.2"), connect(lab, "127.0.0.3")
    until_equal(lambda: len(lab.recorder.opened), 2)
    lab.bind("first")
    assert closed(first)
    assert not closed(second, 0.3)
    first.close()
    until(lambda: lab.recorder.closed)
    ((flow, reason),) = lab.recorder.closed
    assert flow.trunk == "first" and reason == "another certificate of ours is in use now"


def test_what_is_under_way_is_waited_for(lab: Staged) -> None:
    two_peers(lab)
    secured = connect(lab, "127.0.0.2")
    until(lambda: lab.recorder.opened)
    lab.recorder.busy_flows = {lab.recorder.opened[0].id}
    lab.bind("first")
    assert not closed(secured, QUIET + 0.2), "a transaction is under way"
    lab.recorder.busy_flows = set()
    assert closed(secured)


@pytest.mark.slow
def test_who_goes_on_talking_is_waited_for_a_while(lab: Staged) -> None:
    two_peers(lab)
    secured = connect(lab, "127.0.0.2")
    until(lambda: lab.recorder.opened)
    lab.bind("first")
    flow = lab.recorder.opened[0]
    # It would have been quiet for long enough by then, had it been quiet.
    meanwhile = gevent.spawn_later(2 * QUIET, lambda: flow.alive)

    def talk() -> None:
        while flow.alive:
            secured.sendall(b"\r\n")
            gevent.sleep(0.05)

    talker = gevent.spawn(talk)
    until(lambda: not flow.alive)
    talker.kill()
    assert meanwhile.ready() and meanwhile.value


def test_a_step_back_in_time_spares_the_connection(lab: Staged) -> None:
    two_peers(lab)
    secured = connect(lab, "127.0.0.2")
    until(lambda: lab.recorder.opened)
    lab.recorder.busy_flows = {lab.recorder.opened[0].id}
    lab.bind("first")
    lab.bound = frozenset()
    lab.reload()
    lab.recorder.busy_flows = set()
    assert not closed(secured, QUIET + 0.3)


class TestOutbound:
    @pytest.fixture
    def flow(self, lab: Staged) -> Iterator[Flow]:
        lab.start()
        context = server_context(lab, lab.ca.issue(dns=["localhost"]))
        with serving(context) as server:
            trunk = lab.trunk("acme", {}, peers=(f"localhost:{server.port}",))
            yield lab.dialer.connect(trunk, lab.reload())

    def test_an_old_connection_serves_nothing_new_and_goes(self, lab: Staged, flow: Flow) -> None:
        trunk, before = lab.trunks["acme"], lab.snapshot()
        assert flow.tls is not None and flow.tls.own == lab.identities["sbc"].thumbprint
        lab.recorder.busy_flows = {flow.id}
        lab.bind("acme")
        assert lab.dialer.lookup(trunk, lab.snapshot()) is None
        fresh = lab.dialer.connect(trunk, lab.snapshot())
        assert fresh.tls is not None and fresh.tls.own == lab.identities["sbc+next"].thumbprint
        assert fresh.tls.identity == "sbc+next"
        gevent.sleep(QUIET + 0.2)
        assert flow.alive, "a transaction is under way on it"
        lab.recorder.busy_flows = set()
        until(lambda: not flow.alive)
        assert fresh.alive
        # A call that began before the change finds the new connection, and opens none of its own.
        assert lab.dialer.lookup(trunk, before) is fresh
