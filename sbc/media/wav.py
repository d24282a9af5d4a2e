"""The head of a WAV file (RIFF) of two channels at 8000 Hz, as it is written, and as it is mended.

Samples are either 16 bit, or octets of G.711, which WAVE knows as the formats 6 (A-law) and 7 (mu-law). A
format that is not PCM says how many octets its description has more, none here, and how many samples there
are (``fact``).
"""

from __future__ import annotations

import struct
from typing import Final

from sbc.media.pcm import QUIET, RATE

_PCM: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_OTHER: Final = struct.Struct("<4sI4s4sIHHIIHHH4sII4sI")
#: Where a head says of which format it is, and from how many octets on it has.
_FORMAT: Final = 20
_HAS_FORMAT: Final = 22
#: As long as the longest head.
LONGEST: Final = _OTHER.size


class Encoding:
    """How samples stand in a file: ``number`` by WAVE, ``law`` the codec of G.711, or "" for 16 bit.

    ``head`` are the octets before the sound, ``frame`` those of one sample of both channels, ``most`` the
    frames that 32-bit sizes can tell, ``quiet`` is a frame of silence.
    """

    __slots__ = ("frame", "head", "law", "most", "number", "quiet")

    def __init__(self, number: int, law: str) -> None:
        self.number = number
        self.law = law
        self.frame = 2 if law else 4
        self.head = _OTHER.size if law else _PCM.size
        self.most = (0xFFFFFFFF - self.head) // self.frame
        self.quiet = QUIET[law] * 2 if law else bytes(self.frame)

    def header(self, frames: int) -> bytes:
        """The head of a file with so many frames."""
        size, second = frames * self.frame, RATE * self.frame
        riff, bits = size + self.head - 8, 4 * self.frame
        if not self.law:
            return _PCM.pack(
                b"RIFF", riff, b"WAVE", b"fmt ", 16, 1, 2, RATE, second, self.frame, bits, b"data", size
            )
        return _OTHER.pack(
            b"RIFF", riff, b"WAVE", b"fmt ", 18, self.number, 2, RATE, second, self.frame, bits, 0,
            b"fact", 4, frames, b"data", size,
        )  # fmt: skip

    def frames_of(self, size: int) -> int:
        """How many whole frames a file of ``size`` octets has."""
        return min(self.most, max(0, size - self.head) // self.frame)

    def size_of(self, frames: int) -> int:
        """How many octets a file with so many frames has; none without sound."""
        return self.head + frames * self.frame if frames else 0


LINEAR: Final = Encoding(1, "")
LAWS: Final = {"PCMA": Encoding(6, "PCMA"), "PCMU": Encoding(7, "PCMU")}
_BY_NUMBER: Final = {each.number: each for each in [LINEAR, *LAWS.values()]}


def encoding_of(head: bytes) -> Encoding | None:
    """The encoding of a file by its first octets; None where it is none of ours."""
    if len(head) >= _HAS_FORMAT and head[:4] == b"RIFF":
        return _BY_NUMBER.get(head[_FORMAT] | head[_FORMAT + 1] << 8)
    return None
