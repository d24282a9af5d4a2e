"""The header of a WAV file (RIFF) of two channels of 16-bit samples, as it is written and as it is mended."""

from __future__ import annotations

import struct
from typing import Final

from sbc.media.pcm import RATE

#: Octets of the header, and of one sample of both channels.
HEADER: Final = 44
FRAME: Final = 4
#: What its 32-bit sizes can tell.
MOST_FRAMES: Final = (0xFFFFFFFF - HEADER) // FRAME
_HEAD: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")


def header(frames: int) -> bytes:
    """The header of a file with so many frames."""
    size = frames * FRAME
    return _HEAD.pack(
        b"RIFF", size + HEADER - 8, b"WAVE", b"fmt ", 16, 1, 2, RATE, RATE * FRAME, FRAME, 16, b"data", size
    )


def frames_of(size: int) -> int:
    """How many whole frames a file of ``size`` octets has."""
    return min(MOST_FRAMES, max(0, size - HEADER) // FRAME)
