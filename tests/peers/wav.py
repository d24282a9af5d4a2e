"""Reading a WAV file of any of the encodings that telephony has, by what RIFF and ITU-T G.711 say.

Python's ``wave`` reads PCM alone. This one takes nothing on trust: every size has to be right.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

#: What WAVE calls its formats.
ENCODINGS = {1: "linear", 6: "PCMA", 7: "PCMU"}


@dataclass(frozen=True, slots=True)
class Wav:
    """What is in a file: samples of 16 bit, those of each channel, and how they stood there."""

    encoding: str
    rate: int
    channels: tuple[list[int], ...]


def read_wav(source: Path | bytes) -> Wav:
    """The sound of a file, or of what is in one."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    chunks = _chunks(data)
    form = chunks["fmt "]
    number, count, rate, second, frame, bits = struct.unpack_from("<HHIIHH", form)
    encoding = ENCODINGS[number]
    assert frame == count * bits // 8 and second == rate * frame and len(chunks["data"]) % frame == 0
    if number == 1:
        assert bits == 16
        mixed = list(struct.unpack(f"<{len(chunks['data']) // 2}h", chunks["data"]))
    else:
        assert bits == 8 and form[16:] == b"\0\0", "no more of its description"
        assert struct.unpack("<I", chunks["fact"]) == (len(chunks["data"]) // frame,)
        levels = [(_alaw if encoding == "PCMA" else _ulaw)(code) for code in range(256)]
        mixed = [levels[each] for each in chunks["data"]]
    return Wav(encoding, rate, tuple(mixed[each::count] for each in range(count)))


def is_g711(path: Path) -> bool:
    """Whether a WAV file has octets of G.711."""
    with path.open("rb") as file:
        return file.read(22)[20:] in (b"\x06\0", b"\x07\0")


def _chunks(data: bytes) -> dict[str, bytes]:
    riff, size, wave = struct.unpack_from("<4sI4s", data)
    assert (riff, size, wave) == (b"RIFF", len(data) - 8, b"WAVE")
    found, at = {}, 12
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        found[name.decode()] = data[at + 8 : at + 8 + size]
        assert len(found[name.decode()]) == size
        at += 8 + size + size % 2
    return found


def _ulaw(code: int) -> int:
    """ITU-T G.711 table 2a: all bits are turned round; steps double from segment to segment."""
    sign, segment, step = code & 0x80, (~code >> 4) & 7, ~code & 0x0F
    size = (2 * step + 33 << segment) - 33
    return 4 * (size if sign else -size)


def _alaw(code: int) -> int:
    """ITU-T G.711 table 1a: every second bit is turned round; the first two segments have the same steps."""
    code ^= 0x55
    sign, segment, step = code & 0x80, code >> 4 & 7, code & 0x0F
    size = 2 * step + 1 if not segment else 2 * step + 33 << segment - 1
    return 8 * (size if sign else -size)
