"""Calls recorded from real sockets into real files: who is in which channel, full disks, crashes, and age."""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
import shutil
import stat
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.config.media import MediaConfig
from sbc.config.recordings import Recordings as Settings
from sbc.demo.tone import encode_alaw
from sbc.ids import Ids
from sbc.media import rtpdump
from sbc.media.formats import Format, formats_of
from sbc.media.kept import Kept
from sbc.media.recording import Recording
from sbc.media.sdp import parse_sdp
from sbc.media.wav import LAWS, LINEAR, Encoding
from sbc.net.media.archive import Archive, Tape
from sbc.net.media.embedded import MediaIO
from sbc.net.media.recordings import Recordings
from sbc.net.system.clock import Clock
from tests.edge.test_media_io import RANGE, Phone, plain_call, secured_call
from tests.peers.needs import needs
from tests.peers.small_disk import small_disk
from tests.peers.tone import goertzel
from tests.peers.waiting import until, until_equal
from tests.peers.wav import read_wav
from tests.unit.media.kit import ACCEPT, OFF, Counter, first, rtp, sdp

LOW, HIGH = 440, 1000
BOTH = pytest.mark.parametrize("samples", ["companded", "linear"])


@dataclass
class Lab:
    """A media plane whose calls may be recorded, and what was said of them."""

    directory: Path
    settings: Settings = field(default_factory=lambda: Settings(directory="recordings"))
    said: list[tuple[str, str, str, dict[str, object]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.recordings = Recordings(Clock(), self._say)
        self.recordings.follow(self.settings, self.directory)
        self.media = MediaIO(
            MediaConfig(ports=RANGE), Ids(Counter()), Clock().monotonic, recordings=self.recordings
        )

    def _say(self, *said: Any) -> None:
        self.said.append(said)

    @property
    def events(self) -> list[str]:
        return [event for _, event, _, _ in self.said]

    def files(self) -> list[str]:
        return sorted(each.name.split("-", 1)[1] for each in (self.directory / "recordings").iterdir())

    def end(self, call: str = "one") -> Kept:
        kept = self.media.delete(call).recording
        assert kept is not None
        until(lambda: kept.known)
        return kept

    def close(self) -> None:
        self.media.close()
        self.recordings.close()


def settings(samples: str, **more: str) -> Settings:
    return Settings.model_validate({"directory": "recordings", "samples": samples, **more})


@pytest.fixture
def samples() -> str:
    """What a test that is about neither has."""
    return "companded"


@pytest.fixture
def lab(tmp_path: Path, samples: str) -> Iterator[Lab]:
    made = Lab(tmp_path, settings(samples))
    yield made
    made.close()


@pytest.fixture
def phones() -> Iterator[tuple[Phone, Phone]]:
    made = Phone(), Phone()
    yield made
    for each in made:
        each.socket.close()


def mu_law(sample: int) -> int:
    """G.711 by its definition, as a phone would do it (ITU-T G.711 table 2a)."""
    size = min(abs(sample), 32635) + 132
    segment = max(0, size.bit_length() - 8)
    code = segment << 4 | (size >> (segment + 3)) & 0x0F
    return ~(code | (0x80 if sample < 0 else 0)) & 0xFF


def spoken(hz: float, sequence: int, kind: int = 0) -> bytes:
    """One packet of a phone that plays a tone: A-law by the payload type 8, else mu-law."""
    step, law = 2 * math.pi * hz / 8000, encode_alaw if kind == 8 else mu_law
    tone = [law(int(9000 * math.sin(step * (sequence * 160 + each)))) for each in range(160)]
    return struct.pack("!BBHII", 0x80, kind, sequence, sequence * 160, 7) + bytes(tone)


def talk(speak: Callable[[int], object], count: int) -> None:
    for sequence in range(count):
        speak(sequence)
        gevent.sleep(0.02)


def channels(path: Path, encoding: str = "") -> tuple[list[int], list[int]]:
    found = read_wav(path)
    assert (found.rate, len(found.channels)) == (8000, 2) and encoding in ("", found.encoding)
    return found.channels[0], found.channels[1]


def soxi(option: str, path: Path) -> str:
    """What ``soxi`` says of a file."""
    return subprocess.run(["soxi", option, path], capture_output=True, text=True, check=True).stdout.strip()


def share(samples: list[int], hz: float) -> float:
    energy = math.fsum(each * each for each in samples)
    return 2 * goertzel(samples, hz, 8000) / (len(samples) * energy) if energy else 0.0


@pytest.mark.slow
@BOTH
def test_what_each_side_says_is_in_its_channel_though_one_of_them_is_encrypted(
    lab: Lab, phones: tuple[Phone, Phone], samples: str
) -> None:
    a, b = phones
    protector, _ = secured_call(lab.media, a, b)
    lab.media.record("one")

    def speak(sequence: int) -> None:
        a.send(spoken(LOW, sequence))
        b.send(protector.rtp(spoken(HIGH, sequence)))

    talk(speak, 40)
    until_equal(
        lambda: [each.packets_in for each in (lab.media.query("one").a, lab.media.query("one").b)], [40] * 2
    )
    kept = lab.end()
    (file,) = kept.files
    path = Path(file.path)
    left, right = channels(path, "linear" if samples == "linear" else "PCMU")
    middle = slice(len(left) // 4, len(left) // 2)
    assert share(left[middle], LOW) > 0.95 and share(right[middle], HIGH) > 0.95
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256
    assert path.stat().st_size == file.size and stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert (kept.problem, kept.dropped) == ("", 0) and kept.seconds == len(left) / 8000
    assert lab.files() == ["one.wav"] and lab.events == ["recorded"]


def test_a_call_without_the_rule_is_in_no_file(lab: Lab, phones: tuple[Phone, Phone]) -> None:
    a, b = phones
    plain_call(lab.media, a, b)
    a.send(spoken(LOW, 1))
    b.receive(1)
    assert lab.media.delete("one").recording is None
    assert not (lab.directory / "recordings").exists()


@pytest.mark.slow
def test_the_directory_is_made_when_it_is_needed_whoever_has_looked_for_it_before(
    lab: Lab, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    lab.recordings.tick(0.0)
    gevent.sleep(0)
    for call in ("one", "two"):
        plain_call(lab.media, a, b, call)
        lab.media.record(call)
        a.send(spoken(LOW, 1))
        b.receive(1)
        assert lab.end(call).problem == "" and lab.files() == [f"{call}.wav"]
        shutil.rmtree(lab.directory / "recordings")


def test_what_is_not_decoded_is_kept_as_packets(lab: Lab, phones: tuple[Phone, Phone]) -> None:
    a, b = phones
    section = "m=audio {} RTP/AVP 9 101\r\na=rtpmap:101 telephone-event/8000\r\n"
    offer = lab.media.offer("one", "a", sdp(section.format(a.port), host="127.0.0.1"), ACCEPT, OFF)
    answer = lab.media.answer("one", "b", sdp(section.format(b.port), host="127.0.0.1"))
    a.to, b.to = first(answer).port, first(offer).port
    lab.media.record("one")
    sent = [spoken(LOW, each, 9) for each in range(3)]
    for each in sent:
        a.send(each)
    b.receive(3)
    b.send(spoken(HIGH, 1, 9))
    a.receive(1)
    kept = lab.end()
    assert lab.files() == ["one.a.rtpdump", "one.a.sdp", "one.b.rtpdump", "one.b.sdp"]
    dump = next(Path(each.path) for each in kept.files if each.path.endswith("a.rtpdump")).read_bytes()
    assert dump.startswith(b"#!rtpplay1.0 ")
    entries = dump[rtpdump.HEADER :]
    assert rtpdump.whole(entries) == len(entries) and [each in entries for each in sent] == [True] * 3
    described = next(Path(each.path) for each in kept.files if each.path.endswith("a.sdp")).read_text()
    assert "a=rtpmap:9 G722/8000" in described and "127.0.0.1" not in described


@BOTH
def test_a_call_goes_on_in_its_recording_after_a_hold_with_another_codec(
    lab: Lab, phones: tuple[Phone, Phone], samples: str
) -> None:
    a, b = phones
    plain_call(lab.media, a, b)
    lab.media.record("one")
    a.send(spoken(LOW, 1))
    b.receive(1)
    held = "m=audio {} RTP/AVP 8\r\na=sendonly\r\n"
    lab.media.offer("one", "b", sdp(held.format(b.port), host="127.0.0.1"), OFF, ACCEPT)
    lab.media.answer("one", "a", sdp(held.format(a.port).replace("send", "recv"), host="127.0.0.1"))
    b.send(struct.pack("!BBHII", 0x80, 8, 5, 0, 99) + b"\xaa" * 160)
    a.receive(1)
    kept = lab.end()
    assert lab.files() == ["one.wav"]
    left, right = channels(Path(kept.files[0].path), "linear" if samples == "linear" else "PCMU")
    assert any(left) and max(right) == (32256 if samples == "linear" else 32124)


@pytest.mark.slow
@BOTH
def test_a_full_disk_ends_the_recording_and_not_the_call(
    tmp_path: Path, phones: tuple[Phone, Phone], samples: str
) -> None:
    a, b = phones
    with small_disk(tmp_path / "disk"):
        lab = Lab(tmp_path / "disk", settings(samples))
        plain_call(lab.media, a, b)
        lab.media.record("one")
        sequence = 0
        while "recording-ended" not in lab.events:
            a.send(spoken(LOW, sequence))
            b.receive(1)
            sequence += 1
        level, _, call, fields = lab.said[0]
        assert (level, call) == ("ERR", "one") and "make room" in str(fields["remedy"])
        a.send(spoken(LOW, sequence))
        assert b.receive(1), "the call goes on"
        kept = lab.end()
        assert kept.problem == fields["reason"] and kept.dropped
        for file in kept.files:
            left, _ = channels(Path(file.path))
            assert share(left, LOW) > 0.5 and kept.seconds == len(left) / 8000
        assert kept.files or not kept.seconds
        assert not [each for each in lab.files() if each.endswith(".part")]
        lab.close()


def test_all_recordings_together_have_a_size_and_what_is_over_it_ends(
    tmp_path: Path, phones: tuple[Phone, Phone]
) -> None:
    a, b = phones
    lab = Lab(tmp_path, settings("companded", max_size="10K"))
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "20260101T000000Z-old.wav").write_bytes(b"x" * 12_000)
    (tmp_path / "recordings" / "notes.txt").write_bytes(b"x" * 12_000)
    plain_call(lab.media, a, b)
    lab.media.record("one")
    a.send(spoken(LOW, 1))
    b.receive(1)
    kept = lab.end()
    assert "max_size" in kept.problem and kept.files == ()
    assert lab.events == ["recording-ended", "recorded"]
    assert "raise recordings.max_size" in str(lab.said[0][3]["remedy"])
    lab.close()


def test_what_is_older_than_it_is_kept_is_removed_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "recordings"
    place.mkdir()
    names = ["20260101T000000Z-a.wav", "20260101T000000Z-b.wav", "20260101T000000Z-a.b.sdp", "letter.wav"]
    for name in names:
        (place / name).write_bytes(b"x")
        os.utime(place / name, (1_000_000_000, 1_000_000_000))
    os.utime(place / names[1])
    lab = Lab(tmp_path, settings("companded", keep="1d"))
    lab.recordings.tick(0.0)
    until_equal(lambda: lab.events, ["recordings-removed"])
    assert sorted(each.name for each in place.iterdir()) == [names[1], names[3]]
    lab.close()


@pytest.mark.parametrize("encoding", [LINEAR, *LAWS.values()], ids=["linear", *LAWS])
def test_what_a_crash_has_left_is_put_right_and_what_is_being_written_is_left_alone(
    tmp_path: Path, encoding: Encoding
) -> None:
    place = tmp_path / "recordings"
    place.mkdir()
    torn = place / "20260101T000000Z-torn.wav.part"
    frame = b"\x01\x02\x03\x04"[: encoding.frame]
    torn.write_bytes(encoding.header(0) + frame * 800 + b"\x05")
    dump = place / "20260101T000000Z-torn.a.rtpdump.part"
    entry = struct.pack("!HHI", 20, 12, 0) + bytes(12)
    dump.write_bytes(rtpdump.header(time.time()) + entry + entry[:7])
    empty = place / "20260101T000000Z-empty.wav.part"
    empty.write_bytes(encoding.header(0))
    begun = place / "20260101T000000Z-begun.wav.part"
    begun.write_bytes(encoding.header(0)[:30])
    written = place / "20260101T000000Z-mine.wav.part"
    with written.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        lab = Lab(tmp_path)
        lab.recordings.start()
        until_equal(lambda: lab.events, ["recording-mended"] * 2)
        assert lab.files() == ["mine.wav.part", "torn.a.rtpdump", "torn.wav"]
    left, right = channels(torn.with_suffix(""), encoding.law or "linear")
    values = {"": (0x0201, 0x0403), "PCMU": (-31100, -30076), "PCMA": (-5248, -6016)}[encoding.law]
    assert (left, right) == tuple([each] * 800 for each in values)
    assert dump.with_suffix("").read_bytes()[rtpdump.HEADER :] == entry
    told = {str(fields["file"]): fields for _, _, _, fields in lab.said}
    fields = told[str(torn.with_suffix(""))]
    assert fields["seconds"] == 0.1
    assert fields["sha256"] == hashlib.sha256(torn.with_suffix("").read_bytes()).hexdigest()
    lab.close()


def test_what_is_no_recording_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "recordings"
    place.mkdir()
    other = place / "20260101T000000Z-other.wav.part"
    other.write_bytes(bytes(500))
    lab = Lab(tmp_path)
    lab.recordings.start()
    until_equal(lambda: lab.events, ["recording-torn"])
    assert other.read_bytes() == bytes(500) and "move away" in str(lab.said[0][3]["remedy"])
    lab.close()


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_sox_reads_g711_as_it_was_said(tmp_path: Path, phones: tuple[Phone, Phone], law: str) -> None:
    needs("sox")
    a, b = phones
    lab, number = Lab(tmp_path), 8 if law == "PCMA" else 0
    section = f"m=audio {{}} RTP/AVP {number}\r\n"
    offer = lab.media.offer("one", "a", sdp(section.format(a.port), host="127.0.0.1"), ACCEPT, OFF)
    answer = lab.media.answer("one", "b", sdp(section.format(b.port), host="127.0.0.1"))
    a.to, b.to = first(answer).port, first(offer).port
    lab.media.record("one")
    for sequence in range(10):
        a.send(spoken(LOW, sequence, number))
        b.receive(1)
    (file,) = lab.end().files
    path = Path(file.path)
    left, right = channels(path, law)
    seen = [soxi(each, path) for each in ("-t", "-r", "-c", "-b", "-s", "-e")]
    assert seen == ["wav", "8000", "2", "8", str(len(left)), "A-law" if law == "PCMA" else "u-law"]
    command = ["sox", str(path), "-t", "raw", "-e", "signed", "-b", "16", "-L", "-"]
    read = subprocess.run(command, capture_output=True, check=True)
    samples = list(struct.unpack(f"<{2 * len(left)}h", read.stdout))
    assert read.stderr == b"" and (samples[0::2], samples[1::2]) == (left, right)
    assert share(left[:1600], LOW) > 0.95 and max(map(abs, right)) <= 8
    lab.close()


def test_a_description_that_becomes_shorter_leaves_nothing_of_the_longer_one(tmp_path: Path) -> None:
    """RFC 3264 8.3.2: a re-INVITE may describe digits in fewer words, beside a codec that is new."""
    kept = Recording(0.0)
    digits, opus = Format("TELEPHONE-EVENT", 8000, 1, "0-15," * 50), Format("OPUS", 48000, 2)
    tape = Tape(Archive(tmp_path, 1 << 20, None), "20260501T100000Z-c1", 0.0)
    ear, spoken = kept.ear("a"), {96: opus, 97: opus, 101: digits}
    for number in (96, 97):
        kept.describe(spoken, {})
        ear.hear(rtp(1, kind=number), 0.0)
        tape.write(kept.take(1.0), 0.0)
        spoken = {**spoken, 101: Format("TELEPHONE-EVENT", 8000, 1, "0-15")}
    (text,) = [Path(each.path).read_bytes() for each in tape.finish(0) if each.path.endswith(".sdp")]
    assert text.endswith(b"a=fmtp:101 0-15\r\n") and text.count(b"v=0") == 1
    assert formats_of(parse_sdp(text).media[0], None).keys() == {96, 97, 101}


def test_a_link_in_the_directory_is_not_followed(tmp_path: Path) -> None:
    place = tmp_path / "recordings"
    place.mkdir()
    other = tmp_path / "secret"
    other.write_bytes(b"x" * 100)
    (place / "20260101T000000Z-link.wav.part").symlink_to(other)
    lab = Lab(tmp_path)
    lab.recordings.start()
    until_equal(lambda: lab.events, ["recording-torn"])
    assert other.read_bytes() == b"x" * 100
    lab.close()


@BOTH
def test_what_is_under_way_when_the_process_ends_is_whole(
    tmp_path: Path, phones: tuple[Phone, Phone], samples: str
) -> None:
    a, b = phones
    lab = Lab(tmp_path, settings(samples))
    plain_call(lab.media, a, b)
    lab.media.record("one")
    a.send(spoken(LOW, 1))
    b.receive(1)
    lab.close()
    assert lab.files() == ["one.wav"] and any(channels(next((tmp_path / "recordings").iterdir()))[0])


@pytest.mark.slow
def test_many_that_end_at_once_are_all_whole_before_we_have_stopped(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    kept = []
    for number in range(120):
        recording = lab.recordings.begin(f"call-{number}")
        assert recording is not None
        recording.describe({0: Format("PCMU", 8000)}, {})
        recording.ear("a").hear(spoken(LOW, 1), time.monotonic())
        kept.append(lab.recordings.end(f"call-{number}"))
    lab.close()
    assert len(lab.files()) == 120 and not [each for each in lab.files() if each.endswith(".part")]
    assert all(each is not None and each.known and len(each.files) == 1 for each in kept)
