"""One side of a recorded call as it comes: its sound in stretches, and what is not known to be sound.

``Ear.hear`` is on the way of every packet. Nearly all go on where the last one ended, which the header tells
(``sbc.media.timeline``): of these the payload is kept and nothing else, so that of the packet's own memory
the next one makes use while it is warm. Whatever else comes is placed with care. Decoding waits: a stretch of
a second costs hardly more than a packet.
"""

from __future__ import annotations

from typing import Final

from sbc.media.formats import Formats
from sbc.media.listening import Hearing
from sbc.media.pcm import RATE, width
from sbc.media.rtp import payload_of
from sbc.media.timeline import Timeline

#: Packets of one sender that wait to be taken; a thousand is ten seconds of G.711 in pieces of 10 ms.
MOST_WAITING: Final = 1000
#: Seconds of silence after which another stream of the same side may be heard in place of the one before.
_SILENT: Final = 1.0
#: A header with nothing but its 12 octets, how long that is, and where the second octet has the marker.
_PLAIN: Final = 0x80
_HEAD: Final = 12
_MARKED: Final = 0x80


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
    """What one stream of one side has sent and nobody has taken yet; ``heard_at`` is when sound came last."""

    __slots__ = (
        "_channel", "_codec", "_end", "_kind", "_length", "_most", "_parts", "_room", "_size", "_strange",
        "heard_at",
    )  # fmt: skip

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._room = self._most = MOST_WAITING
        self._strange: list[tuple[bytes, float]] = []
        self.heard_at = 0.0
        # The stretch that is heard: its codec, its payloads, and the sample where its last careful one ended.
        self._codec = ""
        self._parts: list[bytes] = []
        self._end = 0
        # What a packet is like that goes on: its octets, 0 where none can, its samples and its second octet.
        self._size = self._length = self._kind = 0

    def hear(self, data: bytes, at: float) -> None:
        """Keep an RTP packet that came at ``at``."""
        if self._room <= 0:
            self._channel.dropped += 1
            return
        self._room -= 1
        if len(data) == self._size and data[1] == self._kind and data[0] == _PLAIN:
            channel = self._channel
            if channel.line.goes_on(data, self._length, (at - channel.began) * RATE):
                self._parts.append(data[_HEAD:])
                self.heard_at = at
                return
        if not self.place(data, at):
            self._strange.append((data, at))

    def place(self, data: bytes, at: float) -> bool:
        """Lay the sound of an RTP packet where it belongs; False where it is not known to have any."""
        channel = self._channel
        form = channel.formats.get(data[1] & 0x7F)
        octets = width(form) if form is not None else 0
        if form is None or not octets:
            return False
        if not channel.is_of(self, at):
            channel.dropped += 1
            return True
        self.heard_at = at
        end, self._size = self._reached(), 0
        payload = payload_of(data)
        length = len(payload) // octets
        place = channel.line.place(data, length, channel.position(at))
        if place < channel.written:  # NOWHERE, too
            channel.dropped += 1
            self._end = end
            return True
        if place != end or form.codec != self._codec:
            self._codec, self._parts = form.codec, channel.begin(form.codec, place)
        self._parts.append(payload[: length * octets])
        self._end = place + length
        if length and data[0] == _PLAIN and data[1] < _MARKED and len(data) == _HEAD + length * octets:
            if channel.line.at == place:  # else it was overtaken
                self._size, self._length, self._kind = len(data), length, data[1]
        return True

    def go_on(self) -> None:
        """What was heard is taken: what follows on it is of another stretch."""
        if self._codec:
            self._end = self._reached()
            self._parts = self._channel.begin(self._codec, self._end)

    def pause(self) -> None:
        """Another stream of its side is heard."""
        self._codec, self._parts, self._size = "", [], 0

    def taken(self) -> list[tuple[bytes, float]]:
        """The packets that are not known to have sound, with when they came; there is room for more now."""
        found, self._strange, self._room = self._strange, [], self._most
        return found

    def stop(self) -> None:
        """From now on all is dropped."""
        self._room = self._most = 0
        self._strange = []
        self.pause()

    def _reached(self) -> int:
        """The sample where the stretch ends that is heard."""
        return self._channel.line.at + self._length if self._size else self._end
