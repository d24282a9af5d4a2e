"""Tones: written to WAV files and found again in what a peer recorded.

A recording is cut into windows of a frame, 20 ms, so that a packet that came too late to be played spoils
a window and no more. In each, Goertzel's algorithm tells how much of the energy is at the wanted frequency;
a pure tone has a share of 1. Loudness does not matter, so that codecs, gains and late starts do not; silence
counts as nothing heard.
"""

from __future__ import annotations

import math
import struct
import wave
from dataclasses import dataclass
from pathlib import Path

from tests.peers.wav import is_g711, read_wav

RATE = 8000
_WINDOW = 0.02
_QUIET = 300.0
_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a recording holds: seconds in all, seconds with any sound, seconds of the wanted tone."""

    total: float
    sound: float
    tone: float

    @property
    def share(self) -> float:
        """The part of the sound that is the wanted tone, 0 to 1."""
        return self.tone / self.sound if self.sound else 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What a recording holds, beside what was wanted: true when that is there."""

    hearing: Hearing
    seconds: float

    def __bool__(self) -> bool:
        return self.hearing.tone >= self.seconds - _WINDOW / 2 and self.hearing.share >= 0.8


def write_tone(path: Path, hz: float, seconds: float = 2.0, level: float = 0.4) -> Path:
    """Write a mono 16-bit 8 kHz WAV of one tone; ``level`` is the amplitude, 0 to 1."""
    step = 2 * math.pi * hz / RATE
    samples = [int(level * 32767 * math.sin(step * n)) for n in range(int(seconds * RATE))]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return path


def listen(path: Path, hz: float) -> Hearing:
    """Measure how long ``hz`` is heard in the WAV file ``path`` (16 bit or G.711; its first channel)."""
    samples, rate = _read(path)
    length = int(rate * _WINDOW)
    sound = tone = windows = 0
    for start in range(0, len(samples) - length + 1, length):
        window = samples[start : start + length]
        windows += 1
        energy = math.fsum(each * each for each in window)
        if energy / length < _QUIET**2:
            continue
        sound += 1
        tone += 2 * goertzel(window, hz, rate) / (length * energy) > _SHARE
    return Hearing(windows * _WINDOW, sound * _WINDOW, tone * _WINDOW)


def heard(path: Path, hz: float, seconds: float = 0.6) -> Heard:
    """Whether the tone is heard for ``seconds`` and is four fifths of all sound; says what was heard."""
    return Heard(listen(path, hz), seconds)


def goertzel(samples: list[int], hz: float, rate: int) -> float:
    """The squared magnitude of the samples' Fourier component at ``hz``."""
    coefficient = 2 * math.cos(2 * math.pi * hz / rate)
    before = last = 0.0
    for each in samples:
        before, last = last, each + coefficient * last - before
    return last * last + before * before - coefficient * last * before


def _read(path: Path) -> tuple[list[int], int]:
    if is_g711(path):
        kept = read_wav(path)
        return kept.channels[0], kept.rate
    with wave.open(str(path), "rb") as source:
        if source.getsampwidth() != 2:
            raise ValueError(f"{path} is not 16 bit")
        frames = source.readframes(source.getnframes())
        channels, rate = source.getnchannels(), source.getframerate()
    usable = len(frames) - len(frames) % (2 * channels)
    return list(struct.unpack(f"<{usable // 2}h", frames[:usable]))[::channels], rate
