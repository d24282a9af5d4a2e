"""The sound of a recorded call as the frames of one WAV: the caller's samples left, the callee's right.

A call in which both sides speak G.711 is kept as it was said: an octet of each side beside the other, and
nothing is decoded (``sbc.media.wav.LAWS``). Which law that is, or that samples are of 16 bit because a side
may speak L16 or the operator wants them so, is settled by the first sound. What comes in another codec later
is converted, for a file has one encoding.

Where nobody has said anything there is silence. A hole in a file reads as zeros, and they are silence only
among 16-bit samples, where such stretches are left out, and the file system keeps no room for them. In G.711
zeros are the loudest that there is, so there silence is written, and a file has no hole at any time.
"""

from __future__ import annotations

from typing import Final

from sbc.media.pcm import RATE, companded, halves
from sbc.media.wav import LAWS, LINEAR, Encoding

#: Silence that is written at a time, in frames; what is longer is the same octets again.
_SILENCE: Final = 4 * RATE

#: What is to be written, and where.
Octets = tuple[int, bytes]


class Stereo:
    """One file; with ``linear`` its samples are of 16 bit. Its ``encoding`` is None before its first sound.

    ``frames`` is how long it is, 0 without any sound. What is before ``written`` cannot be changed.
    """

    __slots__ = ("_linear", "_pending", "encoding", "frames", "written")

    def __init__(self, linear: bool) -> None:
        self._linear = linear
        self.encoding: Encoding | None = None
        self._pending = bytearray()  # frames from ``written`` on
        self.written = 0
        self.frames = 0

    def settle(self, codec: str, linear: bool, out: list[Octets]) -> None:
        """The first sound is of this codec; with ``linear`` samples of 16 bit may come, too."""
        encoding = LINEAR if linear or self._linear else LAWS.get(codec, LINEAR)
        self.encoding = encoding
        out.append((0, encoding.header(0)))
        if encoding.law:
            self._hush(encoding, 0, self.written, out)

    def put(self, codec: str, place: int, right: bool, payload: bytes) -> None:
        """Lay the sound of a side where it belongs, once it is settled of what kind that is."""
        encoding = self.encoding
        if encoding is None:
            return
        frame, law, pending = encoding.frame, encoding.law, self._pending
        columns = (companded(law, codec, payload),) if law else halves(codec, payload)
        count = len(columns[0])
        if place + count > encoding.most:
            return
        first = (place - self.written) * frame
        last = first + count * frame
        if last > len(pending):
            pending.extend(encoding.quiet * ((last - len(pending)) // frame))
        if right:
            first += frame // 2
        for column in columns:
            pending[first:last:frame] = column
            first += 1
        self.frames = max(self.frames, place + count)

    def release(self, until: int, out: list[Octets]) -> None:
        """Let go of what is before the frame ``until``."""
        encoding, start = self.encoding, self.written
        if until <= start:
            return
        self.written = until
        if encoding is None:
            return
        pending, frame = self._pending, encoding.frame
        ripe = min(len(pending), (until - start) * frame)
        with memoryview(pending) as whole:
            data = bytes(whole[:ripe])
        del pending[:ripe]
        if encoding.law:
            if data:
                out.append((encoding.head + start * frame, data))
            self._hush(encoding, start + ripe // frame, until, out)
        elif data.lstrip(b"\0"):
            out.append((encoding.head + start * frame, data))

    def end(self, position: int, out: list[Octets]) -> None:
        """Let go of all there is: it is as long as the call was."""
        encoding = self.encoding
        if encoding is not None and self.frames:
            self.frames = min(encoding.most, max(self.frames, position))
            self.release(self.frames, out)

    def _hush(self, encoding: Encoding, start: int, until: int, out: list[Octets]) -> None:
        """Write silence from ``start`` to ``until``."""
        until = min(until, encoding.most)
        silence = encoding.quiet * min(_SILENCE, max(0, until - start))
        while start < until:
            count = min(_SILENCE, until - start)
            whole = silence if count == _SILENCE else silence[: count * encoding.frame]
            out.append((encoding.head + start * encoding.frame, whole))
            start += count
