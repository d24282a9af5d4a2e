"""The benchmarks' rigs at a small size: they drive real servers, lose nothing, and give a figure."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.chain import Load, chain
from bench.handshake import measure as handshake_cost
from bench.memory import measure as memory_cost
from bench.relay import PROXIES
from bench.relay import measure as relay_cost
from bench.revocation import policies, reading
from bench.rules import check_cost
from bench.servers import SERVERS
from bench.signalling import measure as call_cost
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.mark.parametrize("who", list(SERVERS))
def test_calls_with_mutual_tls_on_both_sides(who: str) -> None:
    needs("sipp", "stunnel4", "kamailio", "taskset")
    run = call_cost(SERVERS[who], rate=50, seconds=1)
    assert run.failed == 0
    assert 0.0001 < run.per_call < 0.05


@pytest.mark.parametrize("who", list(SERVERS))
def test_other_calls_do_not_disturb_held_ones(who: str, tmp_path: Path) -> None:
    needs("sipp", "stunnel4", "kamailio", "taskset")
    with chain(tmp_path, SERVERS[who]) as (_, caller):
        with caller.calls(Load(20, 20, hold=2000)) as held, caller.calls(Load(20, 20, hold=50)) as short:
            assert short.finish().successful == 20
            assert held.finish().successful == 20


def test_memory_of_held_calls() -> None:
    needs("sipp", "stunnel4", "taskset")
    grown, failed = memory_cost(SERVERS["portcullis"], calls=50, hold=2)
    assert failed == 0
    assert 0 < grown < 50 * 500_000


@pytest.mark.parametrize("who", ["openssl s_server", "portcullis"])
@pytest.mark.parametrize("clients", [8, 1])
def test_full_handshakes(who: str, clients: int) -> None:
    needs("openssl", "taskset")
    assert handshake_cost(who, "ec", 50, clients) > 0


def test_the_configuration_that_is_checked_is_good() -> None:
    assert check_cost(100) > 0


@pytest.mark.parametrize("who", list(PROXIES))
def test_every_stream_is_relayed_and_can_be_decrypted(who: str) -> None:
    needs("taskset", *(["rtpengine"] if who == "rtpengine" else []))
    run = relay_cost(PROXIES[who], 20, 1.0)
    assert run.received == run.sent == 1000
    assert run.played == 20


def test_handshakes_under_the_whole_revocation_policy_and_a_list_that_is_read() -> None:
    needs("openssl", "taskset")
    without, whole = policies(20, 1, 1000)
    assert without.costs[0] > 0 and whole.costs[0] > 0
    took, *others = reading(1, 1000)
    assert took.costs[0] > 0 and [len(each.costs) for each in others] == [1, 1, 1]
