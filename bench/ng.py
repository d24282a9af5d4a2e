"""rtpengine's ng protocol over UDP, as much of it as a benchmark needs: bencoded dictionaries."""

from __future__ import annotations

import socket
from itertools import count
from typing import Any

Value = int | bytes | list[Any] | dict[str, Any]


class NgError(Exception):
    """The media proxy refused a command."""


class NgClient:
    """A client of the ng port on the loopback."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.connect(("127.0.0.1", port))
        self._socket.settimeout(3)
        self._cookies = count(1)

    def ask(self, command: str, **arguments: Value | str) -> dict[str, Any]:
        """Send one command and return its reply; NgError unless the result is ok or pong."""
        cookie = b"%d " % next(self._cookies)
        order = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._socket.send(cookie + encode({"command": command, **order}))
        while not (data := self._socket.recv(65535)).startswith(cookie):
            continue
        reply = decode(data[len(cookie) :])
        if not isinstance(reply, dict) or reply.get("result") not in (b"ok", b"pong"):
            raise NgError(f"{command}: {reply!r}")
        return reply

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def encode(value: Value | str) -> bytes:
    """Bencode a value; text becomes a byte string."""
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, list):
        return b"l" + b"".join(map(encode, value)) + b"e"
    return b"d" + b"".join(encode(name) + encode(each) for name, each in sorted(value.items())) + b"e"


def decode(data: bytes) -> Value:
    """Read one bencoded value; ValueError or IndexError for anything else."""
    return _decode(data, 0)[0]


def _decode(data: bytes, at: int) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l":
        return _decode_list(data, at + 1)
    if kind == b"d":
        items, end = _decode_list(data, at + 1)
        return {key.decode(): value for key, value in zip(items[::2], items[1::2], strict=True)}, end
    colon = data.index(b":", at)
    start = colon + 1
    end = start + int(data[at:colon])
    return data[start:end], end


def _decode_list(data: bytes, at: int) -> tuple[list[Any], int]:
    items = []
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at)
        items.append(item)
    return items, at + 1
