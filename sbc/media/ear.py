"""One side of a recorded call as it comes: its sound in stretches, and what is not known to be sound.

``Ear.hear`` is on the way of every packet. Nearly all go on where the last one ended, which the header tells:
of these the payload is kept and nothing else. Whatever else comes is placed with care
(``sbc.media.timeline``). Decoding waits, for a second of sound costs hardly more than a packet.

Between two packets of a stream come those of all others, and whatever is touched for a packet has to be
fetched anew: with a hundred calls that costs more than all computing. So ``hear`` reads one object, its own,
and writes behind the packet before, whosesoever that was (``Intake``).
"""

from __future__ import annotations

from typing import Final

from sbc.media.formats import Formats
from sbc.media.listening import Hearing
from sbc.media.pcm import RATE, width
from sbc.media.rtp import payload_of
from sbc.media.timeline import EARLIEST, LATEST, Timeline

#: Packets of one sender that wait to be taken; a thousand is ten seconds of G.711 in pieces of 10 ms.
MOST_WAITING: Final = 1000
#: Seconds of silence after which another stream of the same side may be heard in place of the one before.
_SILENT: Final = 1.0
#: A header with nothing but its 12 octets, how long that is, and where the second octet has the marker.
_PLAIN: Final = 0x80
_HEAD: Final = 12
_MARKED: Final = 0x80


class Intake:
    """The sound that goes on, of all the streams that put theirs here, in the order in which it came."""

    __slots__ = ("_ears", "_sounds")

    def __init__(self) -> None:
        self._ears: list[Ear] = []
        self._sounds: list[bytes] = []

    def put(self, ear: Ear, sound: bytes) -> None:
        """A payload of this stream."""
        self._ears.append(ear)
        self._sounds.append(sound)

    def hand_out(self) -> None:
        """Give every stream what is its."""
        ears, sounds = self._ears, self._sounds
        if sounds:
            self._ears, self._sounds = [], []
            for ear, sound in zip(ears, sounds, strict=True):
                ear.parts.append(sound)


class Stretch:
    """Payloads of one codec that follow on each other, from the sample ``start`` of the recording on."""

    __slots__ = ("codec", "parts", "start")

    def __init__(self, codec: str, start: int, parts: list[bytes]) -> None:
        self.codec = codec
        self.start = start
        self.parts = parts


class Channel:
    """One side of a recording that began at ``began``.

    ``source`` is the stream that is heard, and ``dropped`` are packets that are in no file. What belongs
    before the sample ``written`` comes too late.
    """

    __slots__ = ("_stretches", "began", "dropped", "formats", "line", "source", "written")

    def __init__(self, began: float) -> None:
        self.began = began
        self.formats: Formats = {}
        self.line = Timeline()
        self.source: Ear | None = None
        self._stretches: list[Stretch] = []
        self.written = 0
        self.dropped = 0

    def position(self, at: float) -> int:
        """The sample of the recording that is at ``at``."""
        return max(0, int((at - self.began) * RATE))

    def is_of(self, ear: Ear, at: float) -> bool:
        """Whether this stream is the one that is heard: the first, until it is silent."""
        former = self.source
        if former is not ear:
            if former is not None:
                if at - former.heard_at < _SILENT:
                    return False
                former.pause()
            self.source = ear
        return True

    def begin(self, codec: str, start: int) -> list[bytes]:
        """A new stretch of sound, whose payloads are put into what is returned."""
        parts: list[bytes] = []
        self._stretches.append(Stretch(codec, start, parts))
        return parts

    def taken(self) -> list[Stretch]:
        """The sound that has come since; it is forgotten here."""
        found = [each for each in self._stretches if each.parts]
        self._stretches = []
        if self.source is not None:
            self.source.go_on()
        return found


class Ear(Hearing):
    """What one stream of one side has sent and nobody has taken yet.

    ``heard_at`` is when sound came last, ``parts`` are the payloads of the stretch that is heard.
    """

    __slots__ = (
        "_began", "_channel", "_codec", "_end", "_intake", "_kind", "_length", "_most", "_room", "_sequence",
        "_size", "_source", "_strange", "_timestamp", "heard_at", "parts",
    )  # fmt: skip

    def __init__(self, channel: Channel, intake: Intake) -> None:
        # What a packet is like that goes on: its octets, 0 where none can, then what its header says.
        self._size = self._kind = self._sequence = self._timestamp = self._source = 0
        self._length = 0  # samples
        self._end = 0  # where the stretch ends that is heard
        self._room = MOST_WAITING
        self._began = channel.began
        self.heard_at = 0.0
        self._intake = intake
        self._most = MOST_WAITING
        self._channel = channel
        self._strange: list[tuple[bytes, float]] = []
        self._codec = ""
        self.parts: list[bytes] = []

    def hear(self, data: bytes, at: float) -> None:
        """Keep an RTP packet that came at ``at``."""
        if self._room <= 0:
            self._channel.dropped += 1
            return
        self._room -= 1
        if (
            len(data) == self._size
            and (data[2] << 8 | data[3]) == self._sequence
            and data[1] == self._kind
            and data[0] == _PLAIN
            and (data[4] << 24 | data[5] << 16 | data[6] << 8 | data[7]) == self._timestamp
            and (data[8] << 24 | data[9] << 16 | data[10] << 8 | data[11]) == self._source
        ):
            off = self._end - (at - self._began) * RATE
            if off >= -LATEST and off <= EARLIEST:
                self._expect(self._sequence, self._timestamp)
                self._end += self._length
                self.heard_at = at
                self._intake.put(self, data[_HEAD:])
                return
        if not self.place(data, at):
            self._strange.append((data, at))

    def _expect(self, sequence: int, timestamp: int) -> None:
        """After this packet comes the next."""
        self._sequence = (sequence + 1) & 0xFFFF
        self._timestamp = (timestamp + self._length) & 0xFFFFFFFF

    def place(self, data: bytes, at: float) -> bool:
        """Lay the sound of an RTP packet where it belongs; False where it is not known to have any."""
        channel = self._channel
        form = channel.formats.get(data[1] & 0x7F)
        octets = width(form) if form is not None else 0
        if form is None or not octets:
            return False
        self._intake.hand_out()
        if not channel.is_of(self, at):
            channel.dropped += 1
            return True
        self.heard_at = at
        self._settle()
        payload = payload_of(data)
        length = len(payload) // octets
        place = channel.line.place(data, length, channel.position(at))
        if place < channel.written:  # NOWHERE, too
            channel.dropped += 1
            return True
        if place != self._end or form.codec != self._codec:
            self._codec, self.parts = form.codec, channel.begin(form.codec, place)
        self.parts.append(payload[: length * octets])
        self._end = place + length
        plain = data[0] == _PLAIN and data[1] < _MARKED and len(data) == _HEAD + length * octets
        if plain and length and channel.line.at == place:  # else it was overtaken
            self._size, self._kind, self._length = len(data), data[1], length
            self._source = int.from_bytes(data[8:12], "big")
            self._expect(data[2] << 8 | data[3], int.from_bytes(data[4:8], "big"))
        return True

    def _settle(self) -> None:
        """The timeline learns how far it has come with what went on."""
        if self._size:
            sequence, timestamp = (self._sequence - 1) & 0xFFFF, (self._timestamp - self._length) & 0xFFFFFFFF
            self._channel.line.passed(sequence, timestamp, self._end - self._length, self._end)
            self._size = 0

    def go_on(self) -> None:
        """What was heard is taken: what follows on it is of another stretch."""
        if self._codec:
            self.parts = self._channel.begin(self._codec, self._end)

    def pause(self) -> None:
        """Another stream of its side is heard."""
        self._settle()
        self._codec, self.parts = "", []

    def taken(self) -> list[tuple[bytes, float]]:
        """The packets that are not known to have sound, with when they came; there is room for more now."""
        found, self._strange, self._room = self._strange, [], self._most
        return found

    def stop(self) -> None:
        """From now on all is dropped."""
        self._room = self._most = 0
        self._strange = []
        self.pause()
