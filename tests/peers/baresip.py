"""baresip as a peer: headless, driven over its ctrl_tcp module with netstrings of JSON.

It presents a certificate and does not verify the server, so that a test of who is refused needs
another peer. What it hears goes to ``dump-*-dec.wav`` in its directory.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.peers.lab import Credentials
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

_MODULES = ("g711", "aufile", "srtp", "sndfile")
_CONFIG = """\
poll_method epoll
sip_listen {host}:{port}
sip_verify_server no
call_local_timeout 60
call_max_calls 8
audio_source aufile,{tone}
audio_player aufile,{heard}
audio_srate 8000-8000
audio_channels 1-1
rtp_ports {media}-{media_last}
rtp_timeout 0
rtcp_mux no
snd_path {directory}
ctrl_tcp_listen 127.0.0.1:{control}
module_path {modules}
"""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class BaresipSettings:
    """A baresip: its account, certificate and tone; ``answer`` is auto or manual.

    ``address`` is where it is; with one of IPv6 it knows IPv6 alone. ``account`` is in place of its own, that
    registers nowhere.
    """

    tone: Path
    transport: Literal["udp", "tcp", "tls"] = "tls"
    credentials: Credentials | None = None
    ca: Path | None = None
    srtp: Literal["off", "optional", "mandatory"] = "mandatory"
    answer: Literal["auto", "manual"] = "auto"
    address: str = "127.0.0.1"
    account: str = ""


class Baresip(PeerProcess):
    """A baresip process; ``port`` is its UDP and TCP port, TLS is one above."""

    def __init__(
        self, name: str, directory: Path, settings: BaresipSettings, *, cpu: int | None = None
    ) -> None:
        self.settings = settings
        self.port = free_port(2)
        self.control = free_port()
        self.events: list[Event] = []
        address = settings.address
        self.host = f"[{address}]" if ":" in address else address
        family = "-6" if ":" in address else "-4"
        argv = [find("baresip"), family, "-s", "-n", address, "-f", str(directory)]
        super().__init__(name, directory, argv, cpu=cpu)
        self._socket: socket.socket | None = None
        self._unread = b""

    @property
    def uri(self) -> str:
        """Where this baresip is called."""
        transport = self.settings.transport
        return f"sip:{self.name}@{self.host}:{self.port + (transport == 'tls')};transport={transport}"

    def start(self) -> None:
        """Write config and accounts, start baresip."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "config").write_text(self._config_text())
        (self.directory / "accounts").write_text(self._account())
        (self.directory / "contacts").write_text("")
        super().start()

    def ready(self) -> None:
        """Wait for the control port and the SIP port, then connect to the former."""
        self.wait_until(lambda: listening(self.control), 30, f"control port {self.control}")
        self.wait_until(lambda: listening(self.port, udp=True), 30, f"port {self.port}")
        self._socket = socket.create_connection(("127.0.0.1", self.control), 5)

    def dial(self, uri: str) -> None:
        """Call ``uri``; baresip adds the transport of its account itself, and twice would be malformed."""
        self.command("dial", uri.replace(f";transport={self.settings.transport}", ""))

    def accept(self) -> None:
        """Answer the ringing call."""
        self.command("accept")

    def hangup(self) -> None:
        """End the current call."""
        self.command("hangup")

    def command(self, name: str, parameters: str = "") -> Event:
        """Give a command and return the reply; PeerFailed where baresip says it did not work."""
        assert self._socket is not None
        order = {"command": name, "params": parameters, "token": name}
        text = json.dumps(order).encode()
        self._socket.sendall(b"%d:%s," % (len(text), text))
        reply = self._await({"response": True, "token": name}, 5)
        if not reply.get("ok"):
            raise self.failed(f"{name} {parameters}: {reply.get('data')}")
        return reply

    def expect(self, kind: str, seconds: float = 5.0) -> Event:
        """Take the first event of ``kind``: CALL_ESTABLISHED, CALL_CLOSED, CALL_RINGING, CALL_INCOMING..."""
        return self._await({"event": True, "type": kind}, seconds)

    def recording(self) -> Path:
        """What the last ended call heard; waits until baresip has closed the file."""
        self.wait_until(lambda: self._heard() is not None, 30, "recording")
        heard = self._heard()
        assert heard is not None
        return heard

    def stop(self) -> None:
        """Close the control connection and end baresip."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        super().stop()

    def _heard(self) -> Path | None:
        files = sorted(self.directory.glob("dump-*-dec.wav"), key=lambda path: path.stat().st_mtime)
        return files[-1] if files and files[-1].stat().st_size > 44 else None

    def _await(self, wanted: dict[str, object], seconds: float) -> Event:
        limit = time.monotonic() + seconds
        while True:
            for index, each in enumerate(self.events):
                if wanted.items() <= each.items():
                    return self.events.pop(index)
            left = limit - time.monotonic()
            if left <= 0:
                raise self.failed(f"no {wanted} within {seconds:g} s; had {self.events}")
            self._receive(left)

    def _receive(self, seconds: float) -> None:
        assert self._socket is not None
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return
        if not data:
            raise self.failed("closed its control connection")
        self._unread += data
        while True:
            length, colon, rest = self._unread.partition(b":")
            if not colon or len(rest) <= int(length):
                return
            self.events.append(json.loads(rest[: int(length)]))
            self._unread = rest[int(length) + 1 :]

    def _config_text(self) -> str:
        media = free_port(40)
        media += media % 2
        text = _CONFIG.format(
            host=self.host,
            port=self.port,
            control=self.control,
            tone=self.settings.tone,
            heard=self.directory / "heard.wav",
            directory=self.directory,
            media=media,
            media_last=media + 38,
            modules=_module_path(),
        )
        text += "".join(f"module {each}.so\n" for each in _MODULES)
        text += "".join(f"module_app {each}.so\n" for each in ("account", "menu", "ctrl_tcp"))
        if self.settings.credentials is not None:
            text += f"sip_certificate {self._certificate()}\n"
        if self.settings.ca is not None:
            text += f"sip_cafile {self.settings.ca}\n"
        return text

    def _certificate(self) -> Path:
        """Key and chain in one file, as baresip reads them."""
        own = self.settings.credentials
        assert own is not None
        path = self.directory / "certificate.pem"
        path.touch(mode=0o600)
        path.write_bytes(own.key.read_bytes() + own.cert.read_bytes())
        return path

    def _account(self) -> str:
        keyed = {"off": "", "optional": ";mediaenc=srtp", "mandatory": ";mediaenc=srtp-mand"}
        own = f"<sip:{self.name}@{self.host}:{self.port};transport={self.settings.transport}>;regint=0"
        account = self.settings.account or own
        codecs = ";audio_codecs=PCMU/8000/1,PCMA/8000/1"
        return f"{account}{keyed[self.settings.srtp]};answermode={self.settings.answer}{codecs}\n"


def _module_path() -> str:
    places = ("/usr/lib/baresip/modules", "/usr/local/lib/baresip/modules")
    return next((each for each in places if Path(each).is_dir()), places[0])
