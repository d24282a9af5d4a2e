"""What a peer sends, cut into TLS records, so that each is counted and none hides behind another.

OpenSSL reads on by itself while records decrypt to nothing: 64 KiB of key updates are two thousand of
them in one call. Fed one record at a time, it comes back after each.
"""

from __future__ import annotations

from gevent import socket

from sbc.net.system.turn import Turn

_SIZE = 65536
_HEADER = 5


class Records:
    """Reads one socket, after ``data`` that was read already; ``whole``: what was taken last ends a record.

    (RFC 8446 5.1.) ``turn`` is the reader's, and it is shared wherever nothing has to be waited for.
    """

    __slots__ = ("_at", "_data", "_header", "_left", "_recv", "_sock", "turn", "whole")

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self.turn = Turn()
        self.whole = False
        self._sock = sock
        self._recv = sock.recv
        self._data, self._at = data, 0
        self._header, self._left = b"", 0

    @property
    def held(self) -> bool:
        """Whether more can be taken without waiting."""
        return bool(self._data)

    def take(self) -> bytes:
        """The next octets, of one record, as many as are there; b"" at the end of the stream; OSError."""
        if self._data:
            self.turn.share()
        else:
            self.turn.wait(self._sock)
            self._data = self._recv(_SIZE)
            if not self._data:
                return b""
        data, at = self._data, self._at
        end = self._end(data, at)
        if end == len(data):
            self._data, self._at = b"", 0
        else:
            self._at = end
        return data[at:end] if at or end != len(data) else data

    def _end(self, data: bytes, at: int) -> int:
        """Where the record that goes on at ``at`` ends, or else what there is of it."""
        if not self._left:
            missing = _HEADER - len(self._header)
            header = self._header + data[at : at + missing]
            if len(header) < _HEADER:
                self._header, self.whole = header, False
                return len(data)
            self._header = b""
            self._left = missing + (header[3] << 8 | header[4])
        end = min(at + self._left, len(data))
        self._left -= end - at
        self.whole = not self._left
        return end
