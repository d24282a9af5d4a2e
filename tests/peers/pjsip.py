"""PJSIP as a peer: the agent process, its commands as methods and its events as a queue."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tests.peers.ports import free_port
from tests.peers.process import MissingProgram, PeerProcess, listening

_AGENT = Path(__file__).with_name("pjsip_agent.py")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PjsipSettings:
    """An agent: absolute paths; ``port`` 0 takes a free one, ``answer`` 0 leaves a call ringing."""

    uri: str = "sip:pjsip@127.0.0.1"
    transport: Literal["udp", "tcp", "tls"] = "tls"
    address: str = "127.0.0.1"
    port: int = 0
    also_tcp: bool = False  # beside UDP, at the same port
    cert: str = ""
    key: str = ""
    ca: str = ""
    verify_server: bool = True
    verify_client: bool = True
    srtp: Literal["off", "optional", "mandatory"] = "mandatory"
    secure_signalling: int = 1
    suites: tuple[str, ...] = ()
    codecs: tuple[str, ...] = ("PCMU/8000", "PCMA/8000")
    tone: str = ""
    answer: int = 200
    registrar: str = ""
    register_again: int = 300  # how many seconds after a REGISTER that failed
    proxy: str = ""
    user: str = ""
    password: str = ""
    media_port: int = 0
    user_agent: str = "PJSIP"
    instance: str = ""  # a urn:uuid: (RFC 5626 4.1); PJSIP's own is the same for all agents of a machine
    prack: Literal["off", "optional", "mandatory"] = "off"
    session_timer: Literal["off", "optional", "required"] = "off"
    session_interval: int = 1800  # seconds


class Pjsip(PeerProcess):
    """A PJSIP user agent in a process of its own (row: peers with TLS, SDES and real audio).

    Events are dictionaries with "event" and, where there is one, "call" (a number from 1).
    """

    def __init__(
        self, name: str, directory: Path, settings: PjsipSettings, *, cpu: int | None = None
    ) -> None:
        self.settings = settings
        self.port = settings.port or free_port()
        self.path = directory / f"{name}.json"
        super().__init__(name, directory, [interpreter(), str(_AGENT), str(self.path)], cpu=cpu, pipes=True)
        self.events: list[Event] = []
        self._arrived: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._replies: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._order = 0

    @property
    def uri(self) -> str:
        """Where this agent is called."""
        return f"sip:{self.name}@{self.settings.address}:{self.port};transport={self.settings.transport}"

    def start(self) -> None:
        """Write the settings and start the agent."""
        self.directory.mkdir(parents=True, exist_ok=True)
        chosen = asdict(self.settings) | {"port": self.port}
        chosen["media_port"] = self.settings.media_port or free_port(4)
        self.path.write_text(json.dumps(chosen))
        self.path.chmod(0o600)
        super().start()
        threading.Thread(target=self._listen, args=(self.process,), daemon=True).start()

    def ready(self) -> None:
        """Wait until the agent listens."""
        self.expect("ready", seconds=10)
        udp = self.settings.transport == "udp"
        self.wait_until(lambda: listening(self.port, udp=udp), 30, f"listening port {self.port}")

    def call(
        self, uri: str, headers: dict[str, str] | None = None, offer: bool = True,
        parts: Sequence[dict[str, str]] = (),
    ) -> int:  # fmt: skip
        """Dial ``uri`` and return the call's number; without ``offer`` the callee makes it.

        ``parts`` of the body beside the SDP have an ``id``, a ``type`` and a ``body``.
        """
        order = self.do("call", uri=uri, headers=headers or {}, offer=offer, parts=list(parts))
        return int(order["call"])

    def answer(self, call: int, status: int = 200) -> None:
        """Answer an incoming call."""
        self.do("answer", call=call, status=status)

    def hangup(self, call: int, status: int = 0) -> None:
        """End a call in whatever way fits its state."""
        self.do("hangup", call=call, status=status)

    def hold(self, call: int) -> None:
        """Put the peer on hold."""
        self.do("hold", call=call)

    def reinvite(self, call: int, offer: bool = True, move: bool = False) -> None:
        """Re-INVITE; takes a hold back. Without ``offer`` the peer makes it; ``move``: from another port."""
        self.do("reinvite", call=call, offer=offer, move=move)

    def update(self, call: int) -> None:
        """Send an UPDATE with an offer (RFC 3311)."""
        self.do("update", call=call)

    def dtmf(self, call: int, digits: str) -> None:
        """Send digits as RFC 4733 events."""
        self.do("dtmf", call=call, digits=digits)

    def message(self, uri: str, text: str) -> None:
        """Send a MESSAGE (RFC 3428); what becomes of it is the event "message status"."""
        self.do("message", uri=uri, text=text)

    def refer(self, call: int, uri: str) -> None:
        """Transfer the peer of ``call`` to ``uri``: a REFER."""
        self.do("refer", call=call, uri=uri)

    def refer_replaces(self, call: int, other: int) -> None:
        """Transfer the peer of ``call`` to that of ``other``: a REFER to it, with Replaces."""
        self.do("refer_replaces", call=call, other=other)

    def dump(self, call: int) -> str:
        """PJSIP's own text about a call."""
        return str(self.do("dump", call=call)["text"])

    def recording(self, call: int) -> Path:
        """What the peer was heard saying; waits until PJSIP has closed the file of an ended call."""
        path = self.directory / f"call-{call}.wav"
        self.wait_until(lambda: _is_complete(path), 30, f"complete {path.name}")
        return path

    def do(self, command: str, **arguments: object) -> Event:
        """Send one command and return its reply; PeerFailed when the agent refuses it."""
        self._order += 1
        pipe = self.process.stdin
        assert pipe is not None
        pipe.write(json.dumps({"do": command, "n": self._order, **arguments}).encode() + b"\n")
        pipe.flush()
        try:
            reply = self._replies.get(timeout=5)
        except queue.Empty:
            raise self.failed(f"no reply to {command}") from None
        if reply["reply"] != self._order or "error" in reply:
            raise self.failed(f"{command}: {reply.get('error', reply)}")
        return reply

    def expect(self, event: str, seconds: float = 5.0, **facts: object) -> Event:
        """Take the first event that bears all ``facts``, come or still to come; others stay for later."""
        limit = time.monotonic() + seconds
        while (found := self._take(event, facts)) is None:
            try:
                self.events.append(self._arrived.get(timeout=max(0.0, limit - time.monotonic())))
            except queue.Empty:
                raise self.failed(f"no {event} {facts} within {seconds:g} s; had {self.events}") from None
            if self.events[-1]["event"] == "gone":
                raise self.failed(f"ended while {event} was awaited")
        return found

    def _take(self, event: str, facts: dict[str, object]) -> Event | None:
        wanted = {"event": event, **facts}
        for index, each in enumerate(self.events):
            if wanted.items() <= each.items():
                return self.events.pop(index)
        return None

    def expect_state(self, call: int, state: str, seconds: float = 5.0) -> Event:
        """Wait for a call's state: CALLING, EARLY, CONNECTING, CONFIRMED or DISCONNECTED."""
        return self.expect("state", seconds, call=call, state=state)

    def tail(self, lines: int = 60) -> str:
        """The end of PJSIP's log as well as of what the process printed."""
        own = self.directory / "pjsip.log"
        text = own.read_text(errors="replace") if own.exists() else ""
        return super().tail(lines) + "\n" + "\n".join(text.splitlines()[-lines:])

    def stop(self) -> None:
        """Let the agent hang up and finish its recordings, then end it."""
        popen = self._popen
        if popen is not None and popen.stdin is not None and popen.poll() is None:
            try:
                popen.stdin.close()
                popen.wait(4)
            except (OSError, subprocess.TimeoutExpired):
                pass
        super().stop()

    def _listen(self, popen: subprocess.Popen[bytes]) -> None:
        assert popen.stdout is not None
        for line in popen.stdout:
            got: Event = json.loads(line)
            (self._replies if "reply" in got else self._arrived).put(got)
        self._arrived.put({"event": "gone"})


def _is_complete(path: Path) -> bool:
    data = path.read_bytes() if path.exists() else b""
    return data[:4] == b"RIFF" and int.from_bytes(data[4:8], "little") == len(data) - 8


@cache
def interpreter() -> str:
    """A Python that has pjsua2: $PJSUA2_PYTHON or this one; MissingProgram says what to do otherwise."""
    python = os.environ.get("PJSUA2_PYTHON", sys.executable)
    probe = subprocess.run([python, "-c", "import pjsua2"], capture_output=True, check=False)
    if probe.returncode:
        raise MissingProgram(
            "pjsua2 is missing: pip install pjsua2-python (its wheel is for CPython 3.11; "
            "with another Python set PJSUA2_PYTHON to a 3.11 that has it)"
        )
    return python
