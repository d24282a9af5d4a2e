"""The quality of a call, from real packets to whatever shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sbc.config.media import MediaConfig
from sbc.demo.lab import HOST, SBC_NAME
from sbc.ids import Ids
from sbc.net.media.embedded import MediaIO
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.edge.test_media_io import RANGE, Clock, Phone, plain_call, secured_call
from tests.peers.waiting import until, until_equal
from tests.unit.media.kit import Counter, rtp
from tests.unit.media.reports import LSR, block, receiver_report, sender_report


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def media(clock: Clock) -> Iterator[MediaIO]:
    plane = MediaIO(MediaConfig(ports=RANGE, timeout=30.0), Ids(Counter()), clock)
    yield plane
    plane.close()


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    made = Phone(), Phone()
    yield made
    for each in made:
        each.socket.close()


@pytest.mark.parametrize("secure", [False, True])
def test_a_round_trip_and_a_loss_as_the_peer_reports_them(
    media: MediaIO, clock: Clock, phones: tuple[Phone, Phone], secure: bool
) -> None:
    a, b = phones
    protector = None
    if secure:
        protector, _ = secured_call(media, a, b)
    else:
        plain_call(media, a, b, "one", "rtcp-mux")
    for sequence in range(100):
        a.send(rtp(sequence))
    b.receive(100)
    a.send(sender_report())
    until_equal(lambda: media.query("one").a.packets_in, 101)
    clock.now += 0.6
    said = receiver_report(block(lost=20, lsr=LSR, dlsr=65536 // 2))
    b.send(protector.rtcp(said) if protector is not None else said)
    until_equal(lambda: media.query("one").b.packets_in, 1)
    stats = media.delete("one")
    assert stats.a.quality is not None and stats.b.quality is not None
    assert (stats.a.quality.loss, stats.b.quality.sent_loss) == (0.0, 0.2)
    assert stats.a.quality.round_trip is None and stats.b.quality.round_trip == pytest.approx(0.1)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path) as made:
        yield made


def page(made: Attacked, path: str) -> str:
    with urlopen(f"http://{HOST}:{made.ports.admin}{path}", timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def sample(made: Attacked, name: str) -> float | None:
    """One sample of the metrics, None where it is not there."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", page(made, "/metrics"), re.MULTILINE)
    return float(found[1]) if found else None


@pytest.mark.slow
def test_a_call_is_told_alike_by_record_metrics_commands_and_page(running: Attacked) -> None:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    until(lambda: min(call.voice.packets()) >= 75)
    live = running.calls()[0]
    assert live["a_quality"]["mos"] > 4 and live["b_quality"]["loss"] <= 0.02
    assert re.search(r"4\.\d \| 4\.\d", sbc(running.directory, "calls").out)
    assert re.search(r"MOS 4\.\d, [012]\.\d % lost", page(running, "/"))
    call.hang_up()
    assert call.wait_over(30)
    (record,) = running.records(1)
    for side, trunk in (("a", "office"), ("b", "carrier")):
        quality = record[side]["media"]["quality"]
        assert quality["mos"] > 4 and quality["loss"] <= 0.02 and 0 <= quality["jitter"] < 1
        assert quality["round_trip"] is None and quality["sent"]["mos"] is None, "the agents send no RTCP"
        of = f'trunk="{trunk}",way="received"'
        assert sample(running, f"sbc_call_mos_count{{{of}}}") == 1
        assert sample(running, f"sbc_call_mos_sum{{{of}}}") == pytest.approx(quality["mos"], abs=0.005)
        assert sample(running, f"sbc_call_loss_ratio_sum{{{of}}}") == pytest.approx(quality["loss"], abs=1e-5)
        assert sample(running, f"sbc_call_jitter_seconds_count{{{of}}}") == 1
        assert sample(running, f'sbc_call_round_trip_seconds_count{{trunk="{trunk}"}}') is None
    shown = sbc(running.directory, "status").out
    assert re.search(r"office +received +1 +4\.\d", shown) and re.search(
        r"carrier +received +1 +4\.\d", shown
    )


@pytest.mark.slow
def test_what_becomes_of_calls_is_counted_for_each_trunk(running: Attacked) -> None:
    link = running.office.dial(running.address, SBC_NAME)
    call = running.office.call(link, TO)
    assert call.wait_up(30), call.reason
    call.hang_up()
    assert call.wait_over(30)
    record = running.records(1)[0]
    running.carrier.close()  # and nobody answers any more
    lost = running.office.call(link, TO)
    assert lost.wait_over(30)
    running.records(2)
    inbound, outbound = 'trunk="office",direction="inbound"', 'trunk="carrier",direction="outbound"'
    codes: dict[str, dict[str, int]] = {inbound: {}, outbound: {}}
    for labels, code, count in re.findall(
        r'^sbc_trunk_outcomes_total\{(.*),code="(\w+)"\} (\d+)$', page(running, "/metrics"), re.MULTILINE
    ):
        codes[labels][code] = int(count)
    assert codes == {inbound: {"200": 1, "503": 1}, outbound: {"200": 1, "unreachable": 1}}
    for labels in (inbound, outbound):
        assert sample(running, f"sbc_trunk_call_duration_seconds_count{{{labels}}}") == 1
        length = sample(running, f"sbc_trunk_call_duration_seconds_sum{{{labels}}}")
        assert length == pytest.approx(record["seconds"], abs=0.002)
        assert sample(running, f"sbc_trunk_post_dial_delay_seconds_count{{{labels}}}") == 1
    delay = sample(running, f"sbc_trunk_post_dial_delay_seconds_sum{{{inbound}}}")
    assert delay == pytest.approx(record["pdd"], abs=0.002)
    assert re.search(r"carrier +to it +2 +50% ", sbc(running.directory, "status").out)
    assert "unreachable: 1" in page(running, "/")
