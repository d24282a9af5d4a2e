"""One-way audio in a running SBC: it is named while the call runs, with the reason where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.call import AgentCall
from sbc.demo.lab import SBC_NAME
from sbc.demo.voice import VoiceSettings
from tests.edge.attacked import CARRIER_HERTZ, TO, Attacked, attacked
from tests.peers.asking import ask

pytestmark = pytest.mark.slow


@pytest.fixture
def sbc(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path) as made:
        made.carrier.voice = VoiceSettings(CARRIER_HERTZ, packet_fault="forged")
        yield made


def reload(sbc: Attacked, one_way: str, trunk: str = "") -> None:
    settings, carrier = sbc.directory / "sbc.yaml", sbc.directory / "trunks.d" / "carrier.yaml"
    settings.write_text(settings.read_text().replace("media: {", f"media: {{one_way: {one_way}, "))
    carrier.write_text(carrier.read_text() + trunk)
    answer = ask(sbc.directory / "run" / "sbc.sock", "reload")
    assert answer["changed"] and "next start" not in "".join(answer["lines"])


def call(sbc: Attacked) -> tuple[AgentCall, AgentCall]:
    placed = sbc.office.call(sbc.office.dial(sbc.address, SBC_NAME), TO)
    assert placed.wait_up(30)
    return placed, sbc.carrier.incoming.get(timeout=30)


def test_a_callee_whose_packets_do_not_authenticate_is_named_with_that_reason(sbc: Attacked) -> None:
    reload(sbc, "3s")
    placed, answered = call(sbc)
    (line,) = sbc.lines("[one-way-audio]")
    assert (line["silent"], line["trunk"], line["packets"]) == ("callee", "carrier", "0")
    assert line["refused"].startswith("authentication:") and int(line["seconds"]) >= 3
    (shown,) = sbc.calls()
    assert shown["one_way"] == "callee"
    assert len(sbc.lines("[one-way-audio]")) == 1, "once a call"
    placed.hang_up()
    assert answered.wait_over(30)
    record = sbc.records(1)[0]
    assert (record["one_way"], record["status"], record["b"]["media"]["packets_in"]) == ("callee", 200, 0)


def test_a_trunk_whose_media_may_not_stop_ends_the_call_and_the_other_side_does_not(sbc: Attacked) -> None:
    reload(sbc, "off", "media_timeout: 3s\n")
    placed, answered = call(sbc)
    assert placed.wait_over(30) and answered.wait_over(30)
    record = sbc.records(1)[0]
    assert record["reason"].startswith("no media from the callee for ") and record["one_way"] == ""
    assert record["ended_by"] == "us" and "[one-way-audio]" not in sbc.log()
