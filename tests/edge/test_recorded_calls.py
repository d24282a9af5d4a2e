"""A running SBC that records calls between SRTP telephones: tones in their channels, records, a crash."""

from __future__ import annotations

import hashlib
import json
import subprocess
from array import array
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sbc.base import Address
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.process import whole_lines
from tests.edge.attacked import CARRIER_HERTZ, OFFICE_HERTZ, TO, Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.edge.test_recordings import channels, share, soxi
from tests.peers.asking import ask
from tests.peers.faults import Sbc
from tests.peers.needs import needs
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

RECORDED = """\
rules:
  - name: recorded
    when: trunk == "office"
    then: |
      record
      route "carrier"
"""


#: What sox says of the files of a call in A-law.
SEEN = {"companded": ["8", "A-law"], "linear": ["16", "Signed Integer PCM"]}


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    with attacked(tmp_path_factory.mktemp("rec")) as made:
        settings = made.directory / "sbc.yaml"
        (made.directory / "routes.d" / "00-recorded.yaml").write_text(RECORDED)
        refused = sbc(made.directory, "check")
        assert refused.status and "write recordings: {directory: recordings} in sbc.yaml" in refused.err
        settings.write_text(settings.read_text() + "recordings: {directory: kept, max_size: 1G}\n")
        assert "refused" not in ask(made.directory / "run" / "sbc.sock", "reload")
        yield made


def talk(running: Attacked) -> AgentCall:
    """A call in which both sides have been heard for a second."""
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    until(lambda: min(call.voice.packets()) >= 50)
    return call


def hears_both(path: Path) -> None:
    left, right = channels(path)
    middle = slice(len(left) // 3, 2 * len(left) // 3)
    assert share(left[middle], OFFICE_HERTZ) > 0.9 and share(right[middle], CARRIER_HERTZ) > 0.9


def test_both_tones_are_in_their_channels_and_the_record_names_the_file(running: Attacked) -> None:
    call = talk(running)
    metrics = f"http://{HOST}:{running.ports.admin}/metrics"
    assert b"\nsbc_recordings 1\n" in urlopen(metrics, timeout=30).read()
    call.hang_up()
    assert call.wait_over(30)
    (record,) = running.records(1)
    kept = record["recording"]
    (file,) = kept["files"]
    path = Path(file["path"])
    assert path.parent == running.directory / "kept" and path.stem.endswith(record["call"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file["sha256"]
    assert (kept["problem"], kept["dropped"]) == ("", 0) and kept["seconds"] >= 1
    hears_both(path)
    (line,) = running.lines("[recording]", event="recorded")
    assert line["files"] == str(path) and line["call"] == record["call"]
    told = sbc(running.directory, "check", "--strict")
    assert "RECORDING: from office to kept unencrypted, by rule recorded (" in told.err
    shown = sbc(
        running.directory, "route", "test", "--trunk", "office", "--from", "1", "--to", "+12125550100"
    )
    assert "record" in [each.strip() for each in shown.out.splitlines()]


HEARD = """\
import json
WHEN = "named"
def on_media(facts, frames):
    with open("{path}", "a") as file:
        for each in frames:
            file.write(json.dumps([facts.call_id, each.leg, each.codec, each.samples.hex()]) + chr(10))
"""


def test_a_hook_that_a_rule_calls_hears_both_sides_and_another_call_it_does_not(running: Attacked) -> None:
    heard = running.directory / "heard"
    (running.directory / "hooks" / "50-hear.py").write_text(HEARD.format(path=heard))
    rules = running.directory / "routes.d" / "00-recorded.yaml"
    rules.write_text(RECORDED.replace("record\n", 'call hook "50-hear"\n'))
    ask(running.directory / "run" / "sbc.sock", "reload")
    call = talk(running)
    call.hang_up()
    assert call.wait_over(30)
    assert running.records(1)[0]["recording"] is None
    said = until(
        lambda: [json.loads(line) for line in whole_lines(heard).splitlines()],
        holds=lambda found: len(found) > 90,
    )
    for leg, hertz in (("a", OFFICE_HERTZ), ("b", CARRIER_HERTZ)):
        samples = b"".join(bytes.fromhex(each[3]) for each in said if each[1] == leg)
        assert share(list(array("h", samples)), hertz) > 0.9
    assert {each[2] for each in said} == {"PCMA"}
    rules.write_text(RECORDED.replace("record\n", ""))
    ask(running.directory / "run" / "sbc.sock", "reload")
    other = talk(running)
    other.hang_up()
    assert other.wait_over(30) and running.records(2)
    assert {json.loads(line)[0] for line in whole_lines(heard).splitlines()} == {call.call_id}


def test_sox_reads_it(running: Attacked) -> None:
    needs("sox")
    settings = running.directory / "sbc.yaml"
    written = settings.read_text()
    for number, samples in enumerate(("companded", "linear"), 1):
        settings.write_text(written.replace("max_size: 1G", f"samples: {samples}"))
        ask(running.directory / "run" / "sbc.sock", "reload")
        call = talk(running)
        call.hang_up()
        assert call.wait_over(30)
        kept = running.records(number)[-1]["recording"]
        path = Path(kept["files"][0]["path"])
        said = [soxi(option, path) for option in ("-t", "-r", "-c", "-b", "-e")]
        assert said == ["wav", "8000", "2", *SEEN[samples]]
        assert round(int(soxi("-s", path)) / 8000, 3) == kept["seconds"]
        told = subprocess.run(["sox", path, "-n", "stat"], capture_output=True, text=True, check=True)
        assert "WARN" not in told.stderr
        hears_both(path)


@pytest.mark.parametrize("samples", ["companded", "linear"])
def test_what_a_killed_process_has_recorded_is_put_right_when_it_starts_again(
    running: Attacked, samples: str
) -> None:
    settings = running.directory / "sbc.yaml"
    settings.write_text(settings.read_text().replace("max_size: 1G", f"samples: {samples}"))
    ask(running.directory / "run" / "sbc.sock", "reload")
    talk(running)
    kept = running.directory / "kept"
    until(lambda: [each for each in kept.glob("*.wav.part") if each.stat().st_size > 20_000])
    running.sbc._process.kill()
    running.sbc._process.wait()
    assert not list(kept.glob("*.wav"))
    running.sbc = Sbc(running.directory, Address(HOST, running.ports.admin))
    running.sbc.wait_ready()
    (line,) = running.lines("[recording]", event="recording-mended")
    (path,) = kept.iterdir()
    assert line["file"] == str(path) and path.suffix == ".wav"
    assert line["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    hears_both(path)
    left, right = channels(path, "PCMA" if samples == "companded" else "linear")
    assert float(line["seconds"]) == round(len(left) / 8000, 3)
    assert share(left[-800:], OFFICE_HERTZ) > 0.9 and share(right[-800:], CARRIER_HERTZ) > 0.9, "to its end"


def test_a_disk_that_is_full_is_told_to_whoever_looks_and_the_call_goes_on(running: Attacked) -> None:
    settings = running.directory / "sbc.yaml"
    settings.write_text(settings.read_text().replace("max_size: 1G", "max_size: 20K"))
    ask(running.directory / "run" / "sbc.sock", "reload")
    call = talk(running)
    (line,) = running.lines("[recording]", event="recording-ended")
    assert "raise recordings.max_size in sbc.yaml" in line["remedy"]
    before = min(call.voice.packets())
    until(lambda: min(call.voice.packets()) > before + 10, "both sides are heard still")
    shown = sbc(running.directory, "status").out
    assert "recordings end before their calls: the recordings have reached their max_size" in shown
    call.hang_up()
    assert call.wait_over(30)
    kept = running.records(1)[0]["recording"]
    assert "max_size" in kept["problem"] and kept["dropped"] > 10
