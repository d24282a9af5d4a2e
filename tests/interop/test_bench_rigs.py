"""The benchmarks' rigs at a small size: they drive real servers, lose nothing, and give a figure."""

from __future__ import annotations

import re
import shutil
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import instructions
from bench.chain import Load, chain
from bench.compare import PIECES, costlier, interleaved, trees
from bench.handshake import measure as handshake_cost
from bench.measure import sessions
from bench.memory import measure as memory_cost
from bench.ng import NgClient
from bench.relay import PROXIES
from bench.relay import measure as relay_cost
from bench.revocation import policies, reading
from bench.rules import check_cost
from bench.same_job import KamailioSbc
from bench.servers import SERVERS
from bench.signalling import measure as call_cost
from tests.peers.needs import needs
from tests.peers.ports import wide_range
from tests.peers.product import PACKAGES, ROOT, SITE, environment
from tests.peers.sipp import Sipp
from tests.peers.waiting import until_equal

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.mark.parametrize("who", list(SERVERS))
def test_calls_with_mutual_tls_on_both_sides(who: str) -> None:
    needs("sipp", "stunnel4", "kamailio", "rtpengine", "taskset")
    run = call_cost(SERVERS[who], rate=50, seconds=1)
    assert run.failed == 0
    assert 0.0001 < run.per_call < 0.05


@pytest.mark.parametrize("who", list(SERVERS))
def test_other_calls_do_not_disturb_held_ones(who: str, tmp_path: Path) -> None:
    needs("sipp", "stunnel4", "kamailio", "rtpengine", "taskset")
    with chain(tmp_path, SERVERS[who]) as (_, caller):
        with caller.calls(Load(20, 20, hold=2000)) as held, caller.calls(Load(20, 20, hold=50)) as short:
            assert short.finish().successful == 20
            assert held.finish().successful == 20


@pytest.mark.parametrize("who", ["kamailio+rtpengine", "kamailio+rtpengine, tlsf"])
def test_the_peer_does_an_sbcs_whole_job_for_every_call(who: str, tmp_path: Path) -> None:
    needs("sipp", "stunnel4", "kamailio", "rtpengine", "taskset")
    with chain(tmp_path, SERVERS[who], trace=True) as (server, caller):
        assert isinstance(server, KamailioSbc)
        ng = NgClient(server.media.port)
        with caller.calls(Load(5, 20, hold=2000)) as held:
            until_equal(lambda: _counts(ng), (5, 5, 0, 5), "offers, answers, deletes and calls that stand")
            assert held.finish().successful == 5
        with caller.calls(Load(5, 20)) as short:
            assert short.finish().successful == 5
        until_equal(lambda: _counts(ng), (10, 10, 10, 0), "offers, answers, deletes and calls that stand")
        until_equal(lambda: server.log.read_text().count("log_write_cdr"), 10, "a record a call")
        ng.close()
        names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid, _ in sessions(server.leaders)}
        assert names == {"kamailio", "rtpengine"}
    heard = (tmp_path / "callee" / "callee_messages.log").read_text()
    _callee_sees_nothing_of_the_callers(heard, held, short)


def _counts(ng: NgClient) -> tuple[int, ...]:
    """Offers, answers and deletes that rtpengine was asked for, and the calls that it holds."""
    told = ng.ask("statistics")["statistics"]
    asked = (told["controlstatistics"][f"total{verb}count"] for verb in ("offer", "answer", "delete"))
    return (*asked, told["currentstatistics"]["sessionstotal"])


def _callee_sees_nothing_of_the_callers(heard: str, *callers: Sipp) -> None:
    """Its INVITEs have our addresses, our Call-IDs and rtpengine's ports."""
    invites = re.findall(r"^INVITE .*?a=sendrecv", heard, re.MULTILINE | re.DOTALL)
    assert len(invites) == 10
    theirs = [str(caller.media_port) for caller in callers]
    for invite in invites:
        media = re.search(r"^m=audio (\d+) ", invite, re.MULTILINE)
        call_id = re.search(r"^Call-ID: (.*)", invite, re.MULTILINE)
        assert media and int(media[1]) in wide_range() and media[1] not in theirs
        assert call_id and not re.match(r"\d+-\d+@127.0.0.1", call_id[1])
        for line in re.findall(r"^(?:Via|Contact|Record-Route): .*", invite, re.MULTILINE):
            assert not any(f":{caller.port}" in line for caller in callers), line


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


@pytest.fixture
def copies(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two copies of this checkout, installed as pure Python; the second parses slowly."""
    both = tmp_path / "before", tmp_path / "after"
    for root in both:
        for package in (*PACKAGES, "bench", "tests"):
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        if root.name == "after":
            with (root / "sbc/sip/parse.py").open("a") as parse:
                parse.write(SLOWLY)
        venv.create(root / ".venv", symlinks=True)
        site = next((root / ".venv").glob("lib/python*/site-packages"))
        (site / "others.pth").write_text(f"{SITE}\n")
        for package in PACKAGES:
            shutil.copytree(root / package, site / package)
    yield both


SLOWLY = """

_read_once = read_fields


def read_fields(*arguments, **named):
    for _ in range(50):
        _read_once(*arguments, **named)
    return _read_once(*arguments, **named)
"""


@pytest.mark.long
def test_what_costs_more_in_another_tree_is_found(copies: tuple[Path, Path]) -> None:
    needs("openssl", "taskset")
    both = trees(*copies)
    rows = interleaved(both, PIECES["core"], 1)
    assert any(each.startswith("parse: ") for each in costlier(rows, 300))
    assert not any(each.startswith("route decision") for each in costlier(rows, 300))


_LONG = pytest.mark.long


@pytest.mark.parametrize(
    "piece", ["relay", pytest.param("call", marks=_LONG), pytest.param("handshake", marks=_LONG)]
)
def test_every_piece_of_a_comparison_runs_a_trees_own_product(piece: str, copies: tuple[Path, Path]) -> None:
    needs("sipp", "stunnel4", "openssl", "taskset")
    rows = interleaved(trees(*copies), PIECES[piece], 1, seconds=1)
    assert [row.who for row in rows] == ["before", "after"]
    assert all(row.costs[0] > 0 for row in rows)
    if piece == "call":
        assert costlier(rows, 10), "a server that reads everything fifty times costs more"


@pytest.mark.long
def test_instructions_are_counted_and_are_the_same_twice() -> None:
    if shutil.which("valgrind") is None:
        pytest.skip("VALGRIND IS MISSING: apt-get install valgrind")
    first, second = (instructions.count(Path(sys.executable), environment()) for _ in range(2))
    whole = "whole call through the engine, with its peers"
    assert 0 < first["parse"] < first["parse, validate"] < first[whole]
    assert second[whole] == pytest.approx(first[whole], rel=0.01)
    assert second == pytest.approx(first, rel=0.1)
