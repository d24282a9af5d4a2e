"""Phones that refresh, in a process of their own: ``python -m bench.registering ORDER``, the order as JSON.

All share one UDP socket and are told apart by their users. Each registers once, with the challenge that it
is given, and then again and again by the same nonce with its next count, as phones do; a nonce that has
become stale costs a second request. At the end it prints what came: how many refreshes were confirmed, how
many were asked anew, and how many nobody answered.
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final

from sbc.sip.digest import Credentials, response_hash, user_hash

BATCH: Final = 0.005  # seconds between two looks at the clock
PATIENCE: Final = 2.0  # for the answers to the last ones
_NONCE: Final = re.compile(rb'nonce="([^"]+)"')
_CALL: Final = re.compile(rb"Call-ID: (\d+)")
_DIGEST: Final = "MD5"  # what both servers know


@dataclass(frozen=True, slots=True)
class Order:
    """``phones`` of ``realm`` with one ``password`` refresh ``rate`` times a second for ``seconds``."""

    port: int
    realm: str
    password: str
    phones: int
    rate: float
    seconds: float

    def words(self) -> str:
        """As one word of a command line."""
        return json.dumps(asdict(self))


class Phone:
    """One user's phone."""

    __slots__ = ("count", "cseq", "name", "nonce", "secret", "waiting")

    def __init__(self, number: int, order: Order) -> None:
        self.name = f"user{number}"
        self.secret = user_hash(_DIGEST, self.name, order.realm, order.password)
        self.nonce = ""
        self.count = self.cseq = 0
        self.waiting = False

    def request(self, number: int, order: Order) -> bytes:
        """The next REGISTER."""
        self.cseq += 1
        uri = f"sip:{order.realm}"
        proof = ""
        if self.nonce:
            self.count += 1
            empty = Credentials(
                self.name, order.realm, self.nonce, uri, "", _DIGEST, "auth", "c0", self.count
            )
            made = response_hash(self.secret, empty, "REGISTER")
            whole = Credentials(
                self.name, order.realm, self.nonce, uri, made, _DIGEST, "auth", "c0", self.count
            )
            proof = f"Authorization: {whole}\r\n"
        branch = f"z9hG4bK{number}-{self.cseq}"
        return (
            f"REGISTER {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;rport;branch={branch}\r\n"
            f"From: <sip:{self.name}@{order.realm}>;tag=1\r\nTo: <sip:{self.name}@{order.realm}>\r\n"
            f"Max-Forwards: 70\r\nCall-ID: {number}\r\nCSeq: {self.cseq} REGISTER\r\n"
            f"Contact: <sip:{self.name}@127.0.0.1:5060>\r\nExpires: 600\r\n{proof}Content-Length: 0\r\n\r\n"
        ).encode()


class Fleet:
    """All phones, and what came of what they sent."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.phones = [Phone(number, order) for number in range(order.phones)]
        self.confirmed = self.asked = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._socket.connect(("127.0.0.1", order.port))
        self._socket.setblocking(False)

    def send(self, number: int) -> None:
        """Let one phone register."""
        phone = self.phones[number]
        phone.waiting = True
        self._socket.send(phone.request(number, self.order))

    def hear(self, seconds: float) -> None:
        """Take what comes within so long; whoever is challenged answers at once."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and select.select([self._socket], [], [], left)[0]:
            try:
                data = self._socket.recv(65535)
            except OSError:
                continue
            self._take(data)

    def _take(self, data: bytes) -> None:
        call = _CALL.search(data)
        if call is None:
            return
        phone = self.phones[int(call[1])]
        nonce = _NONCE.search(data)
        if data.startswith(b"SIP/2.0 401") and nonce is not None:
            self.asked += 1
            phone.nonce, phone.count = nonce[1].decode(), 0
            self.send(int(call[1]))
        elif data.startswith(b"SIP/2.0 200"):
            self.confirmed += 1
            phone.waiting = False

    def refresh(self) -> None:
        """So many a second, each phone in its turn."""
        began, sent = time.monotonic(), 0
        while (now := time.monotonic() - began) < self.order.seconds:
            due = int(now * self.order.rate)
            while sent < due:
                self.send(sent % len(self.phones))
                sent += 1
            self.hear(BATCH)
        self.hear(PATIENCE)


def main() -> None:
    """Register everybody, say so, wait to be told to go on, refresh, and tell what came."""
    fleet = Fleet(Order(**json.loads(sys.argv[1])))
    for number in range(len(fleet.phones)):
        fleet.send(number)
        fleet.hear(0.001)
    fleet.hear(PATIENCE)
    print(json.dumps({"registered": fleet.confirmed}), flush=True)
    sys.stdin.readline()
    fleet.confirmed = fleet.asked = 0
    fleet.refresh()
    lost = sum([each.waiting for each in fleet.phones])
    print(json.dumps({"confirmed": fleet.confirmed, "asked": fleet.asked, "lost": lost}), flush=True)


if __name__ == "__main__":
    main()
