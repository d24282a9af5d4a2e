"""rsyslog as a collector of the journal, over UDP, TCP or TLS: it writes what it has parsed as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from sbc.demo.tls import Credentials
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

_TLS = """\
global(
  defaultNetstreamDriver="ossl"
  defaultNetstreamDriverCAFile="{ca}"
  defaultNetstreamDriverCertFile="{cert}"
  defaultNetstreamDriverKeyFile="{key}"
)
module(load="imtcp" streamDriver.name="ossl" streamDriver.mode="1" streamDriver.authMode="x509/name"
  permittedPeer=["{permitted}"])
"""
_INPUT = {
    "udp": 'module(load="imudp")\ninput(type="imudp" address="127.0.0.1" port="{port}")\n',
    "tcp": 'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}")\n',
    "tls": _TLS + 'input(type="imtcp" address="127.0.0.1" port="{port}")\n',
}
_OUTPUT = """\
template(name="parsed" type="list" option.jsonf="on") {{
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="facility" name="syslogfacility" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="app" name="app-name" format="jsonf")
  property(outname="msgid" name="msgid" format="jsonf")
  property(outname="version" name="protocol-version" format="jsonf")
  property(outname="data" name="structured-data" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}}
action(type="omfile" file="{heard}" template="parsed" flushOnTXEnd="on")
"""


class Rsyslog(PeerProcess):
    """One that listens on a port of the loopback; over TLS whoever shows the name ``permitted`` is heard."""

    def __init__(
        self, directory: Path, way: Literal["udp", "tcp", "tls"], port: int = 0,
        credentials: Credentials | None = None, ca: Path | None = None, permitted: str = "",
    ) -> None:  # fmt: skip
        self.port = port or free_port()
        self.way = way
        self.config = directory / "rsyslog.conf"
        self.path = directory / "heard"
        self._credentials, self._ca, self._permitted = credentials, ca, permitted
        argv = [find("rsyslogd"), "-n", "-f", str(self.config), "-i", str(directory / "pid")]
        super().__init__("rsyslog", directory, argv)

    def start(self) -> None:
        """Write its configuration and start it in the foreground."""
        self.directory.mkdir(parents=True, exist_ok=True)
        shown = self._credentials
        text = f'global(workDirectory="{self.directory}" maxMessageSize="64k")\n' + _INPUT[self.way].format(
            port=self.port, ca=self._ca, permitted=self._permitted,
            cert=shown.chain if shown else "", key=shown.key if shown else "",
        )  # fmt: skip
        self.config.write_text(text + _OUTPUT.format(heard=self.path))
        super().start()

    def ready(self) -> None:
        """Wait until it listens."""
        self.wait_until(
            lambda: listening(self.port, udp=self.way == "udp"), 30, f"listening port {self.port}"
        )

    def heard(self) -> list[dict[str, Any]]:
        """What it has parsed so far."""
        text = self.path.read_text() if self.path.exists() else ""
        return [json.loads(line) for line in text.split("\n")[:-1]]
