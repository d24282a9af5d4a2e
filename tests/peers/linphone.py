"""Linphone as a phone: `linphonec`, which registers over TLS and is told on its standard input what to do.

It has a SIP and a media stack of its own (belle-sip, mediastreamer). There is no sound card: it says a WAV
file, and what it hears goes into another. It compares the server's certificate with DNS names only, so it is
shown one of ``localhost``; and it comes from 127.0.0.1, for its connections are bound to no address. It takes
no registration back: it looks for a network beyond loopback, and believes that there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find
from tests.peers.tone import listen
from tests.peers.waiting import until

_SETTINGS = """\
[sip]
sip_port=0
sip_tcp_port=0
sip_tls_port=-1
guess_hostname=0
auto_net_state_mon=0
register_only_when_network_is_up=0
use_ipv6=0
root_ca={ca}
verify_server_certs=1
verify_server_cn=1
media_encryption=srtp
media_encryption_mandatory=1
default_proxy=0

[net]
mtu=1300
dns_search_enabled=0

[rtp]
audio_rtp_port={media}

[auth_info_0]
username={user}
realm={realm}
passwd={password}
algorithm={digest}

[proxy_0]
reg_proxy=<{registrar}>
reg_route=<{registrar}>
reg_identity=<sip:{user}@{realm}>
reg_expires=60
reg_sendregister=1
publish=0
"""


@dataclass(frozen=True, slots=True)
class LinphoneSettings:
    """The phone of ``user``, which registers at the TLS port ``port`` of localhost; ``tone`` is what it says.

    ``digest`` is the algorithm of its password, SHA-256 or MD5: it answers no other.
    """

    user: str
    realm: str
    password: str
    port: int
    ca: Path
    tone: Path
    digest: str = "SHA-256"


class Linphone(PeerProcess):
    """A linphonec process: what it prints is its log, by which it is followed; calls have numbers from 1."""

    def __init__(self, name: str, directory: Path, settings: LinphoneSettings) -> None:
        self.settings = settings
        self.stack = directory / "stack.log"
        argv = [find("linphonec"), "-S", "-c", "rc", "-d", "6", "-l", str(self.stack)]
        super().__init__(name, directory, argv, told=True)
        self.environment = {"HOME": str(directory)}
        self._seen = 0
        self._recordings = 0

    def start(self) -> None:
        """Write the settings, start linphonec and give it its files in place of a sound card."""
        (self.directory / ".local/share/linphone").mkdir(parents=True, exist_ok=True)
        chosen = self.settings
        path = self.directory / "rc"
        path.write_text(
            _SETTINGS.format(
                ca=chosen.ca, media=free_port(4), user=chosen.user, realm=chosen.realm, digest=chosen.digest,
                password=chosen.password, registrar=f"sip:localhost:{chosen.port};transport=tls",
            )
        )  # fmt: skip
        path.chmod(0o600)
        super().start()
        self.do("soundcard use files")
        self.do(f"play {chosen.tone}")
        self._listen()

    def do(self, line: str) -> None:
        """Give it a command."""
        pipe = self.process.stdin
        assert pipe is not None
        pipe.write(line.encode() + b"\n")
        pipe.flush()

    def registered(self) -> None:
        """Wait until it says that it is registered."""

        def says() -> bool:
            self.do("status register")
            return "registered, identity=" in self.log.read_text(errors="replace")

        until(says, "it is registered", fail=self.failed)

    def call(self, uri: str) -> int:
        """Dial ``uri``: the number of the call."""
        self.do(f"call {uri}")
        return int(self.expect(r"Establishing call id to \S+, assigned id (\d+)")[1])

    def rings(self) -> int:
        """Wait for a call: its number."""
        return int(self.expect(r"Receiving new incoming call from \S+, assigned id (\d+)")[1])

    def expect(self, pattern: str, seconds: float = 30.0) -> re.Match[str]:
        """The next of what it prints that ``pattern`` is found in; what stands before it is passed over."""
        found = until(
            lambda: re.search(pattern, self._unread()), f"{pattern} of linphonec", seconds, fail=self.failed
        )
        assert found is not None
        self._seen += found.end()
        return found

    def listens(self, seconds: float) -> None:
        """Wait until it has heard so many seconds of this call, silence included."""
        self.wait_until(lambda: _length(self._recording) >= seconds, 30, f"{seconds:g} s heard")

    def recording(self) -> Path:
        """What the last ended call heard; another file is made for the next one."""
        path = self._recording
        self._listen()
        self.wait_until(
            lambda: path.exists() and listen(path, 1000.0).total > 0, 30, f"recording {path.name}"
        )
        return path

    def stop(self) -> None:
        """Let it end its calls, then end it."""
        if self._popen is not None and self._popen.poll() is None:
            self.do("quit")
            self.wait(10)
        super().stop()

    @property
    def _recording(self) -> Path:
        return self.directory / f"heard-{self._recordings}.wav"

    def _listen(self) -> None:
        self._recordings += 1
        self.do(f"record {self._recording}")

    def _unread(self) -> str:
        return self.log.read_text(errors="replace")[self._seen :]


def _length(path: Path) -> float:
    """The seconds of a WAV that is still being written; before it says at which rate, so many at least."""
    if not path.exists() or path.stat().st_size < 44:
        return 0.0
    with path.open("rb") as source:
        rate = int.from_bytes(source.read(28)[24:], "little") or 48000
    return (path.stat().st_size - 44) / (2 * rate)
