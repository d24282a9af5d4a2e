"""MediaIO in a process of its own, spoken to in the ng protocol.

``python -m bench.media_process PORT PORTS [DIRECTORY]``: with a directory every call is recorded there.

Only so that the same client and the same packets can drive it and rtpengine.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from gevent.server import DatagramServer

from bench.ng import decode, encode
from sbc.base import LocalError, PeerError
from sbc.config.media import MediaConfig
from sbc.config.recordings import Recordings as Settings
from sbc.ids import Ids
from sbc.media.policy import MediaPolicy
from sbc.net.media.embedded import MediaIO
from sbc.net.media.recordings import Recordings
from sbc.net.system.clock import Clock

_CLEAR = MediaPolicy(srtp="off", signalling_host="127.0.0.1")
_KEYED = MediaPolicy(srtp="required", signalling_host="127.0.0.1")


class NgServer(DatagramServer):  # type: ignore[misc]
    """ping, offer, answer and delete; an offer asks for SRTP by RTP/SAVP. The tags are our sides."""

    def __init__(self, port: int, ports: str, kept: str = "") -> None:
        super().__init__(f"127.0.0.1:{port}")
        config = MediaConfig(address="127.0.0.1", ports=ports)
        self.recordings = Recordings(Clock(), lambda *said: None) if kept else None
        if self.recordings is not None:
            self.recordings.follow(Settings(directory="."), Path(kept))
        self.media = MediaIO(config, Ids(os.urandom), time.monotonic, recordings=self.recordings)

    def handle(self, data: bytes, address: tuple[str, int]) -> None:
        """Answer one datagram."""
        cookie, _, body = data.partition(b" ")
        order = decode(body)
        assert isinstance(order, dict)
        try:
            reply = self.obey(order)
        except (PeerError, LocalError) as error:
            reply = {"result": "error", "error-reason": str(error)}
        self.sendto(cookie + b" " + encode(reply), address)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """Carry out one command."""
        command, call = order["command"].decode(), order.get("call-id", b"").decode()
        if command == "offer":
            side, theirs = order["from-tag"].decode(), _CLEAR
            if order["transport-protocol"] == b"RTP/SAVP":
                theirs = _KEYED
            return {"result": "ok", "sdp": self.media.offer(call, side, order["sdp"], _CLEAR, theirs)}
        if command == "answer":
            sdp = self.media.answer(call, order["to-tag"].decode(), order["sdp"])
            if self.recordings is not None:
                self.media.record(call)
            return {"result": "ok", "sdp": sdp}
        if command == "delete":
            self.media.delete(call)
            return {"result": "ok"}
        return {"result": "pong"}


if __name__ == "__main__":
    NgServer(int(sys.argv[1]), *sys.argv[2:]).serve_forever()
