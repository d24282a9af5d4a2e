"""A trace on its way to who reads it: frames, each a line with a letter, some with octets behind it.

    P 3 {"transport": "tls", ...}              what the number 3 stands for: a path and a trunk
    M 1785585600.250000 3 < a 0f3a 712 CALLID  a message that came (<) or went (>), and its 712 octets
    X 1785585600.250000 3 90 TEXT              what was no SIP message, why, and its 90 octets
    D 1785585600.250000 0f3a TEXT              what the rules decided about a call
    N 1785585600.250000 0f3a TEXT              what else happened in it
    L 12                                       so many messages were not sent: the reader was too slow
    H                                          nothing: we are still there
    E TEXT                                     the end, and why

A path is told once, for it is long. Messages are masked before they come here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple, Protocol

from sbc.base import Address
from sbc.flow import Path, PeerIdentity, TlsFacts
from sbc.observe.tap import Seen
from sbc.observe.text import redact

HEARTBEAT = b"H\n"
# More than a line ever has: a peer's Call-ID is at most as long as the head of a message.
LINE_LIMIT = 1 << 17


# What is told of a peer's certificate: so many names, and so many characters of each.
MOST_NAMES = 8
MOST_SAID = 500


class Remark(NamedTuple):
    """A line between the messages: ``kind`` is "decided", "noted", "lost" or "end"."""

    kind: str
    now: float
    call: str
    text: str


class Encoder:
    """Writes frames for one reader; ``mask`` is what each message passes first, ``text`` each remark."""

    def __init__(self, mask: Callable[[bytes], bytes], text: Callable[[str], str] = str) -> None:
        self._mask = mask
        self._text = text
        self._numbers: dict[tuple[Path, str], int] = {}

    def message(self, seen: Seen) -> bytes:
        """The frame of a message, behind that of its path where the reader does not know it."""
        key = seen.path, seen.trunk
        number, before = self._numbers.get(key), b""
        if number is None:
            if len(self._numbers) >= 4096:
                self._numbers.clear()  # the reader takes a number that comes anew for another path
            number = self._numbers[key] = len(self._numbers)
            before = f"P {number} {json.dumps(_told(seen.path, seen.trunk))}\n".encode("utf-8", "replace")
        octets = self._mask(seen.octets)
        if seen.malformed:
            head = f"X {seen.now:.6f} {number} {len(octets)} {_one_line(seen.malformed)}\n"
        else:
            sign, side = ">" if seen.sent else "<", seen.side or "-"
            call = seen.call or "-"
            head = f"M {seen.now:.6f} {number} {sign} {side} {call} {len(octets)} {_one_line(seen.call_id)}\n"
        return b"".join((before, head.encode("utf-8", "surrogateescape"), octets))

    def remark(self, letter: str, now: float, call: str, text: str) -> bytes:
        """The frame of a decision (D) or of what else happened (N)."""
        said = _one_line(self._text(redact(text)))
        return f"{letter} {now:.6f} {call or '-'} {said}\n".encode("utf-8", "surrogateescape")


def lost(count: int) -> bytes:
    """The frame for messages that were not sent."""
    return f"L {count}\n".encode("utf-8", "replace")


def end(why: str) -> bytes:
    """The last frame."""
    return f"E {_one_line(why)}\n".encode("utf-8", "surrogateescape")


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join([each if each.isprintable() else "?" for each in text])


def _told(path: Path, trunk: str) -> dict[str, Any]:
    tls = asdict(path.tls) if path.tls is not None else None
    if tls is not None and tls["peer"] is not None:  # a certificate may say very much
        peer = tls["peer"]
        peer["sans"] = [each[:MOST_SAID] for each in peer["sans"][:MOST_NAMES]]
        peer["subject"], peer["issuer"] = peer["subject"][:MOST_SAID], peer["issuer"][:MOST_SAID]
    return {
        "flow": path.flow, "transport": path.transport, "local": list(path.local),
        "remote": list(path.remote), "trunk": trunk, "listener": path.listener, "outbound": path.outbound,
        "tls": tls,
    }  # fmt: skip


class Octets(Protocol):
    """Where frames are read from."""

    def readline(self, limit: int = -1, /) -> bytes:
        """A line with its end; less at the end of everything."""

    def read(self, size: int = -1, /) -> bytes:
        """So many octets; less at the end of everything."""


class Broken(Exception):
    """What comes is no trace: the text says where."""


class Decoder:
    """Reads frames of one trace."""

    def __init__(self, source: Octets) -> None:
        self._source = source
        self._paths: dict[int, Path] = {}

    def next(self) -> Seen | Remark | None:
        """The next message or remark; None where nothing comes any more. May wait; raises ``Broken``."""
        while True:
            line = self._source.readline(LINE_LIMIT)
            if not line.endswith(b"\n"):
                return None
            letter, _, rest = line[:-1].decode("utf-8", "surrogateescape").partition(" ")
            try:
                found = self._frame(letter, rest)
            except (ValueError, KeyError, TypeError) as error:
                raise Broken(f"{letter}: {error}") from None
            if found is not None:
                return found

    def _frame(self, letter: str, rest: str) -> Seen | Remark | None:
        if letter == "M":
            now, number, sign, side, call, size, call_id = rest.split(" ", 6)
            path = self._paths[int(number)]
            octets = self._read(int(size))
            return Seen(
                float(now), float(now), sign == ">", path, octets, call_id, _named(call), _named(side)
            )
        if letter == "X":
            now, number, size, why = rest.split(" ", 3)
            return Seen(
                float(now), float(now), False, self._paths[int(number)], self._read(int(size)), malformed=why
            )
        if letter == "P":
            number, _, told = rest.partition(" ")
            self._paths[int(number)] = _path(json.loads(told))
        elif letter in ("D", "N"):
            now, call, text = rest.split(" ", 2)
            return Remark("decided" if letter == "D" else "noted", float(now), _named(call), text)
        elif letter == "L":
            return Remark("lost", 0.0, "", str(int(rest)))
        elif letter == "E":
            return Remark("end", 0.0, "", rest)
        elif letter != "H":
            raise ValueError("no frame begins so")
        return None

    def _read(self, size: int) -> bytes:
        octets = self._source.read(size)
        if len(octets) != size:
            raise ValueError("it ends in the middle of a message")
        return octets


def _named(text: str) -> str:
    return "" if text == "-" else text


def _path(told: dict[str, Any]) -> Path:
    tls = told["tls"]
    if tls is not None:
        peer = tls["peer"]
        if peer is not None:
            peer = PeerIdentity(**{**peer, "sans": tuple(peer["sans"])})
        tls = TlsFacts(**{**tls, "peer": peer})
    return Path(
        told["flow"], told["transport"], Address(*told["local"]), Address(*told["remote"]), told["trunk"],
        told["listener"], told["outbound"], tls,
    )  # fmt: skip
