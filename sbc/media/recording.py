"""One call on its way to a file: packets are taken as they come, and what they are is made of many at once.

``Recording.ear`` is a tap of the relay: it keeps the packet and does nothing else, so that no packet waits.
Now and then whoever has the recording calls ``take``, and gets what is to be written and where. Both sides
of the call stand in one WAV, the caller left and the callee right (``sbc.media.stereo``), on one timeline
that begins with the recording (``sbc.media.timeline``): what was lost, or not said, is silence. What no WAV
here can hold goes into a file of packets for each side, in the format of rtptools' ``rtpdump``, which
Wireshark reads as well.
"""

from __future__ import annotations

import struct
from typing import Final, Literal

from sbc.media.ear import Channel, Ear, Intake
from sbc.media.formats import Format, Formats, written
from sbc.media.pcm import RATE, width
from sbc.media.stereo import Octets, Stereo
from sbc.media.tone import Tone

#: What belongs to a recording: the sound, and of each side the packets that are not decoded, described.
Part = Literal["wav", "a.rtpdump", "b.rtpdump", "a.sdp", "b.sdp"]
DUMPS: Final[dict[str, Part]] = {"a": "a.rtpdump", "b": "b.rtpdump"}
DESCRIBED: Final[dict[str, Part]] = {"a": "a.sdp", "b": "b.sdp"}
#: Behind what is written of the timeline, so that packets may overtake each other.
_HOLD: Final = RATE // 2
#: Silence that is let go of by itself, not laid with what came behind it, however long ago the last look was.
_LONG_AGO: Final = 2 * RATE
#: Ears of one recording, of both sides: a description has sixteen streams at most.
_MOST_EARS: Final = 64
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


class Recording:
    """The recording of one call, which began at ``at``; times are those of the packets.

    With ``linear`` its WAV has samples of 16 bit, else those of G.711 where both sides speak that.

    ``dropped`` are packets that are in no file, because nobody took them in time or because they came too
    late, or after the recording was ``over``. With a ``tone`` both sides hear that they are recorded, and so
    does who hears the recording. ``intake`` is shared by many that are recorded at once.
    """

    __slots__ = (
        "_began", "_channels", "_dumped", "_ears", "_intake", "_sound", "over", "tone",
    )  # fmt: skip

    def __init__(
        self, at: float, tone: Tone | None = None, intake: Intake | None = None, linear: bool = False
    ) -> None:
        self._intake = intake if intake is not None else Intake()
        self._began = at
        self._ears: list[tuple[str, Ear]] = []
        self._channels = {"a": Channel(at), "b": Channel(at)}
        self._dumped: dict[str, Formats] = {"a": {}, "b": {}}
        self._sound = Stereo(linear)
        self.over = False
        self.tone = tone

    @property
    def dropped(self) -> int:
        """Packets that are in no file."""
        return self._channels["a"].dropped + self._channels["b"].dropped

    @property
    def frames(self) -> int:
        """How long the WAV is by now; 0 without one."""
        return self._sound.frames

    def ear(self, side: str) -> Ear:
        """Listen to one more stream of a side; of very many, as re-INVITEs make, the last have one ear."""
        if len(self._ears) >= _MOST_EARS:
            return [ear for each, ear in self._ears if each == side][-1]
        ear = Ear(self._channels[side], self._intake)
        self._ears.append((side, ear))
        return ear

    def describe(self, a: Formats, b: Formats) -> None:
        """From now on these payload types, too: a number keeps its meaning (RFC 3264 8.3.2)."""
        for side, formats in (("a", a), ("b", b)):
            channel = self._channels[side]
            channel.formats = {**channel.formats, **formats}
        if self.tone is not None:
            self.tone.describe(a, b)

    def take(self, at: float, last: bool = False) -> list[Piece]:
        """What is to be written now; with ``last`` all that is left."""
        pieces: list[Piece] = []
        if self.over:
            return pieces
        self._intake.hand_out()
        for side, ear in self._ears:
            strange = ear.taken()
            if strange:
                self._sort_out(side, ear, strange, pieces)
        self._lay(at, last, pieces)
        return pieces

    def stop(self) -> None:
        """Nothing can be written any more: what is heard from now on is dropped."""
        self.over = True
        if self.tone is not None:
            self.tone.over = True
        for _, ear in self._ears:
            ear.stop()
        for channel in self._channels.values():
            channel.taken()

    def _position(self, at: float) -> int:
        return self._channels["a"].position(at)

    def _lay(self, at: float, last: bool, pieces: list[Piece]) -> None:
        """Lay what has come into the WAV, and let go of what nothing can change any more."""
        channels, sound, position = self._channels, self._sound, self._position(at)
        left, right = channels["a"].taken(), channels["b"].taken()
        octets: list[Octets] = []
        starts = [each.start for stretches in (left, right) for each in stretches]
        before = min([position, *starts]) - _HOLD
        if before > sound.written + _LONG_AGO:
            sound.release(before, octets)
        for stretches, is_right in ((left, False), (right, True)):
            for each in stretches:
                payload = b"".join(each.parts)
                if payload:
                    if sound.encoding is None:
                        sound.settle(each.codec, self._may_be_linear(), octets)
                    sound.put(each.codec, each.start, is_right, payload)
        if last:
            sound.end(position, octets)
        else:
            sound.release(position - _HOLD, octets)
        for offset, data in octets:
            pieces.append(Piece("wav", data, offset))
        for channel in channels.values():
            channel.written = sound.written

    def _may_be_linear(self) -> bool:
        """Whether a side may send what no octet of G.711 can hold."""
        return any(
            [width(form) > 1 for channel in self._channels.values() for form in channel.formats.values()]
        )

    def _sort_out(self, side: str, ear: Ear, strange: list[tuple[bytes, float]], pieces: list[Piece]) -> None:
        """What is no sound goes into the dump; of some it is known only now that it is sound."""
        formats = self._channels[side].formats
        dump: list[bytes] = []
        for data, at in strange:
            form = formats.get(data[1] & 0x7F)
            if form is None or form.codec not in _COMFORT or self._dumped[side]:
                if not ear.place(data, at):
                    self._dump(side, form, data, at, dump, pieces)
        if dump:
            pieces.append(Piece(DUMPS[side], b"".join(dump)))

    def _dump(
        self, side: str, form: Format | None, data: bytes, at: float, dump: list[bytes], pieces: list[Piece]
    ) -> None:
        known, number = self._dumped[side], data[1] & 0x7F
        if number not in known:
            known[number] = form if form is not None else Format("UNKNOWN", RATE)
            # What accompanies a codec (events, comfort noise) is found in its dump, so it is described, too.
            formats = self._channels[side].formats
            said = {**{each: its for each, its in formats.items() if not width(its)}, **known}
            pieces.append(Piece(DESCRIBED[side], written(said), 0))
        offset = max(0, int((at - self._began) * 1000)) & 0xFFFFFFFF
        data = data[:_MOST_DUMPED]
        dump.append(_DUMPED.pack(len(data) + _DUMPED.size, len(data), offset))
        dump.append(data)
