"""One call on its way to a file: packets are taken as they come, and what they are is made of many at once.

``Recording.ear`` is a tap of the relay: it keeps the packet and does nothing else, so that no packet waits.
Now and then whoever has the recording calls ``take``, and gets what is to be written and where. Both sides
of the call stand in one WAV, the caller left and the callee right, on one timeline that begins with the
recording (``sbc.media.timeline``): what was lost, or not said, is silence. What cannot be decoded here goes
into a file of packets for each side, in the format of rtptools' ``rtpdump``, which Wireshark reads as well.

A stretch of silence on both sides is not written but left out, and the file system keeps no room for it.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

from sbc.media.formats import Format, Formats, written
from sbc.media.pcm import RATE, halves, width
from sbc.media.rtp import payload_of
from sbc.media.timeline import EARLIEST, LATEST, NOWHERE, Timeline
from sbc.media.tone import Tone
from sbc.media.wav import FRAME, HEADER, MOST_FRAMES

#: What belongs to a recording: the sound, and of each side the packets that are not decoded, described.
Part = Literal["wav", "a.rtpdump", "b.rtpdump", "a.sdp", "b.sdp"]
DUMPS: Final[dict[str, Part]] = {"a": "a.rtpdump", "b": "b.rtpdump"}
DESCRIBED: Final[dict[str, Part]] = {"a": "a.sdp", "b": "b.sdp"}
#: Behind what is written of the timeline, so that packets may overtake each other.
_HOLD: Final = RATE // 2
#: Packets of one sender that wait to be taken; a thousand is ten seconds of G.711 in pieces of 10 ms.
MOST_WAITING: Final = 1000
#: Seconds of silence after which another stream of the same side may be heard in place of the one before.
_SILENT: Final = 1.0
_COMFORT: Final = ("CN", "TELEPHONE-EVENT")
_DUMPED: Final = struct.Struct("!HHI")
_MOST_DUMPED: Final = 0xFFFF - _DUMPED.size


class Piece:
    """Octets to be written into a part of a recording, at ``offset``; -1 is behind what is there."""

    __slots__ = ("data", "offset", "part")

    def __init__(self, part: Part, data: bytes, offset: int = -1) -> None:
        self.part = part
        self.data = data
        self.offset = offset


class Ear:
    """What one stream of one side has sent and nobody has taken yet."""

    __slots__ = ("_packets", "_recording", "_times", "side")

    def __init__(self, recording: Recording, side: str) -> None:
        self._recording = recording
        self.side = side
        self._packets: list[bytes] = []
        self._times: list[float] = []

    def hear(self, data: bytes, at: float) -> None:
        """Keep an RTP packet that came at ``at``: the tap of a leg."""
        if len(self._packets) >= MOST_WAITING or self._recording.over:
            self._recording.dropped += 1
            return
        self._packets.append(data)
        self._times.append(at)

    def since(self, now: float) -> float:
        """When the first came that waits; ``now`` where none does."""
        return self._times[0] if self._times else now

    def taken(self) -> tuple[list[bytes], list[float]]:
        """What has come since, with when; it is forgotten here."""
        packets, times = self._packets, self._times
        self._packets, self._times = [], []
        return packets, times


class _Channel:
    """One side in the WAV: where its sound belongs, and which of its streams it is of."""

    __slots__ = ("heard_at", "line", "offset", "source")

    def __init__(self, offset: int) -> None:
        self.line = Timeline()
        self.offset = offset
        self.source: Ear | None = None
        self.heard_at = 0.0

    def is_of(self, ear: Ear, at: float) -> bool:
        """Whether this stream is the one that is heard: the first, until it is silent."""
        if self.source is not ear:
            if self.source is not None and at - self.heard_at < _SILENT:
                return False
            self.source = ear
        self.heard_at = at
        return True


class Recording:
    """The recording of one call, which began at ``at``; times are those of the packets.

    ``dropped`` are packets that are in no file, because nobody took them in time or because they came too
    late, or after the recording was ``over``. ``frames`` is how long the WAV is by now, 0 without one. With a
    ``tone`` both sides hear that they are recorded, and so does who hears the recording.
    """

    __slots__ = ("_began", "_channels", "_dumped", "_ears", "_formats", "_pending", "_written",
                 "dropped", "frames", "over", "tone")  # fmt: skip

    def __init__(self, at: float, tone: Tone | None = None) -> None:
        self._began = at
        self._ears: list[Ear] = []
        self._channels = {"a": _Channel(0), "b": _Channel(2)}
        self._formats: dict[str, Formats] = {"a": {}, "b": {}}
        self._dumped: dict[str, Formats] = {"a": {}, "b": {}}
        self._pending = bytearray()  # frames from ``_written`` on
        self._written = 0
        self.dropped = 0
        self.frames = 0
        self.over = False
        self.tone = tone

    def ear(self, side: str) -> Ear:
        """Listen to one more stream of a side."""
        ear = Ear(self, side)
        self._ears.append(ear)
        return ear

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on these payload types, too: a number keeps its meaning (RFC 3264 8.3.2)."""
        self._formats = {"a": {**self._formats["a"], **a}, "b": {**self._formats["b"], **b}}
        if self.tone is not None:
            self.tone.describe(a, b)

    def take(self, at: float, last: bool = False) -> list[Piece]:
        """What is to be written now; with ``last`` all that is left."""
        pieces: list[Piece] = []
        earliest = min([ear.since(at) for ear in self._ears], default=at)
        self._release(self._position(earliest), False, pieces)  # however long ago the last look was
        for ear in self._ears:
            packets, times = ear.taken()
            if packets:
                self._read(ear, packets, times, pieces)
        self._release(self._position(at), last, pieces)
        return pieces

    def stop(self) -> None:
        """Nothing can be written any more: what is heard from now on is dropped."""
        self.over = True
        if self.tone is not None:
            self.tone.over = True
        for ear in self._ears:
            ear.taken()

    def _position(self, at: float) -> int:
        return max(0, int((at - self._began) * RATE))

    # What has come of one stream

    def _read(self, ear: Ear, packets: list[bytes], times: list[float], pieces: list[Piece]) -> None:
        """Sound goes onto the timeline, in stretches that follow on each other, all else into the dump."""
        channel, formats = self._channels[ear.side], self._formats[ear.side]
        began, line = self._began, channel.line
        dump: list[bytes] = []
        parts: list[bytes] = []
        codec, start, end = "", 0, 0
        # What a packet begins with that goes on where the last one ended, as nearly all do.
        head, source, passed, follows, step, size = b"", b"", b"", -1, 0, 0
        for data, at in zip(packets, times, strict=True):
            if data[:2] == head and int.from_bytes(data[2:8], "big") == follows and data[8:12] == source:
                if len(data) == size and -LATEST <= end - (at - began) * RATE <= EARLIEST:
                    parts.append(data[12:])
                    end += step & 0xFFFF
                    follows += step
                    passed = data
                    continue
            if passed:
                line.passed(passed, end - (step & 0xFFFF), end)
                passed = b""
            form = formats.get(data[1] & 0x7F)
            octets = width(form) if form is not None else 0
            if form is None or not octets:
                if form is None or form.codec not in _COMFORT or self._dumped[ear.side]:
                    self._dump(ear.side, form, data, at, dump, pieces)
                continue
            payload = payload_of(data)
            length = len(payload) // octets
            place = self._place(ear, data, length, at)
            if place == NOWHERE:
                continue
            if place != end or codec != form.codec or not parts:
                if parts:
                    self._put(channel, codec, start, b"".join(parts))
                parts, codec, start = [], form.codec, place
            parts.append(payload[: length * octets])
            end = place + length
            if data[0] == 0x80 and data[1] < 0x80 and len(data) == 12 + length * octets:
                head, source, step, size = data[:2], data[8:12], 1 << 32 | length, len(data)
                follows = int.from_bytes(data[2:8], "big") + step
        if passed:
            line.passed(passed, end - (step & 0xFFFF), end)
        if parts:
            channel.heard_at = times[-1]
            self._put(channel, codec, start, b"".join(parts))
        if dump:
            pieces.append(Piece(DUMPS[ear.side], b"".join(dump)))

    def _place(self, ear: Ear, data: bytes, length: int, at: float) -> int:
        """Where the sound of a packet belongs; NOWHERE is counted."""
        channel = self._channels[ear.side]
        if channel.is_of(ear, at):
            place = channel.line.place(data, length, self._position(at))
            if place >= self._written:
                return place
        self.dropped += 1
        return NOWHERE

    def _put(self, channel: _Channel, codec: str, place: int, payload: bytes) -> None:
        low, high = halves(codec, payload)
        count, pending = len(low), self._pending
        if place + count > MOST_FRAMES:
            return
        first = (place - self._written) * FRAME
        last = first + count * FRAME
        if last > len(pending):
            pending.extend(bytes(last - len(pending)))
        left = first + channel.offset
        pending[left : left + count * FRAME : FRAME] = low
        pending[left + 1 : left + 1 + count * FRAME : FRAME] = high
        self.frames = max(self.frames, place + count)

    def _dump(
        self, side: str, form: Format | None, data: bytes, at: float, dump: list[bytes], pieces: list[Piece]
    ) -> None:
        known, number = self._dumped[side], data[1] & 0x7F
        if number not in known:
            known[number] = form if form is not None else Format("UNKNOWN", RATE)
            # What accompanies a codec (events, comfort noise) is found in its dump, so it is described, too.
            said = {**{each: its for each, its in self._formats[side].items() if not width(its)}, **known}
            pieces.append(Piece(DESCRIBED[side], written(said), 0))
        offset = max(0, int((at - self._began) * 1000)) & 0xFFFFFFFF
        data = data[:_MOST_DUMPED]
        dump.append(_DUMPED.pack(len(data) + _DUMPED.size, len(data), offset))
        dump.append(data)

    # What nothing can change any more

    def _release(self, position: int, last: bool, pieces: list[Piece]) -> None:
        """Let go of the timeline up to a little before now, or with ``last`` of all there is."""
        pending, start = self._pending, self._written
        if last:
            until = start + len(pending) // FRAME
            if self.frames:
                self.frames = min(MOST_FRAMES, max(self.frames, position))
        else:
            until = max(start, position - _HOLD)
        ripe = min(len(pending), (until - start) * FRAME)
        with memoryview(pending) as whole:
            data = bytes(whole[:ripe])
        if data.lstrip(b"\0"):
            pieces.append(Piece("wav", data, HEADER + start * FRAME))
        del pending[:ripe]
        self._written = until
