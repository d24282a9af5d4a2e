"""An SBC under attack: a process of its own, honest agents around it, and who reads its papers after.

``Attacked`` has the lab's office and carrier on mutual TLS and a third trunk, ``plain``, on UDP.
Everything that a test may want to know afterwards is read from what the SBC itself wrote: its
journal, its call records, its answer to ``sbc calls``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sbc.base import Address, LocalError
from sbc.demo.agent import Agent
from sbc.demo.lab import HOST, SBC_NAME, LabPorts
from sbc.demo.pki import write_lab
from sbc.demo.process import whole_lines, words
from sbc.demo.tls import Credentials, TlsStream, connect
from sbc.demo.voice import VoiceSettings
from tests.peers.asking import ask
from tests.peers.call_records import calls_in
from tests.peers.faults import Sbc, in_text
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until

ROOT = Path(__file__).resolve().parents[2]
CORPORA = ROOT.parent / "shared" / "corpora"
OFFICE_HERTZ, CARRIER_HERTZ = 440, 660
TO = f"sip:+12125550100@{SBC_NAME}"

_SETTINGS = """\
listeners:
  tls: {{bind: {host}:{sips}, transport: tls}}
  udp: {{bind: {host}:{udp}, transport: udp}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
  carrier-ca: {{ca: tls/carrier-ca.pem}}
media: {{address: {host}, ports: {first}-{last}}}
admin: {{bind: {host}:{admin}}}
"""
_TLS_TRUNK = """\
trunk: {name}
peers: [{host}:{port}]
sources: [127.0.0.0/8]
listener: tls
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [{trust}]
  names: [{name}.lab.example]
srtp: {srtp}
suites: [AES_CM_128_HMAC_SHA1_80, AEAD_AES_128_GCM]
ring_timeout: 3
response_timeout: 3
"""
_UDP_TRUNK = """\
trunk: plain
sources: [127.0.0.0/8]
listener: udp
"""
_ROUTES = """\
rules:
  - name: the carrier calls in
    when: trunk == "carrier"
    then: route "office"
  - name: all else goes out
    when: true
    then: |
      allow downgrade
      route "carrier"
"""


class Attacked:
    """A running SBC between ``office`` and ``carrier``, with so many ``media`` ports; close it when done.

    ``more`` are further lines of sbc.yaml.
    """

    def __init__(
        self,
        directory: Path,
        *,
        srtp: str = "required",
        office_srtp: str = "",
        carrier: Callable[..., Agent] = Agent,
        voice: VoiceSettings | None = None,
        media: int = 100,
        more: str = "",
    ) -> None:
        self.directory = directory
        self._more = more
        self._media = media
        # Below the ephemeral ports, of which an outgoing connection may take one before the SBC is up.
        sips, admin, office, callee, self.udp = free_ports(5)
        self.ports = LabPorts(sips, admin, office, callee, (free_port(media + 1) + 1) & ~1)
        self._configure(srtp, office_srtp or srtp)
        self.sbc = Sbc(directory, Address(HOST, self.ports.admin))
        self.office = self.agent(Agent, "office", voice or VoiceSettings(OFFICE_HERTZ))
        self.carrier = self.agent(carrier, "carrier", VoiceSettings(CARRIER_HERTZ))
        try:
            self.carrier.listen(self.ports.carrier)
            self.sbc.wait_ready()
        except (LocalError, OSError):
            self.close()
            raise

    @property
    def address(self) -> Address:
        """Where the SBC takes SIP over TLS."""
        return Address(HOST, self.ports.sips)

    @property
    def media(self) -> range:
        """The SBC's media ports."""
        return range(self.ports.media, self.ports.media + self._media)

    def agent(self, kind: Callable[..., Agent], name: str, voice: VoiceSettings) -> Agent:
        """An agent with the lab's certificate for ``name``."""
        return kind(
            name, f"{name}.lab.example", self.directory / "tls" / "lab-ca.pem", self._shown(name), voice
        )

    def stream(self) -> TlsStream:
        """A bare TLS connection to the SBC with the office's certificate."""
        return connect(self.address, SBC_NAME, self.directory / "tls" / "lab-ca.pem", self._shown("office"))

    def close(self) -> int:
        """Stop everything; the exit status of the SBC."""
        self.office.close()
        self.carrier.close()
        return self.sbc.stop()

    # Its papers

    def log(self) -> str:
        """The journal so far."""
        return whole_lines(self.sbc.log)

    def lines(self, tag: str, *, count: int = 1, **wanted: str) -> list[dict[str, str]]:
        """The words of each line of the journal with ``tag`` and these words, once there are ``count``."""

        def found() -> list[dict[str, str]]:
            said = [words(line) for line in self.log().splitlines() if tag in line]
            return [each for each in said if wanted.items() <= each.items()]

        what = f"{count} lines with {tag} {wanted or ''}"
        return until(found, what, holds=lambda lines: len(lines) >= count, fail=self._failed)

    def records(self, count: int = 0) -> list[dict[str, Any]]:
        """The records of calls, once there are ``count`` of them; not of what began none."""
        return until(
            lambda: calls_in(self.directory), f"{count} records", holds=lambda found: len(found) >= count,
            fail=self._failed,
        )  # fmt: skip

    def record_of(self, call_id: str) -> dict[str, Any]:
        """The record of the call whose caller has this Call-ID; that of another may be written late."""

        def found() -> list[dict[str, Any]]:
            return [each for each in self.records() if each["a"]["call_id"] == call_id]

        (record,) = until(found, f"the record of {call_id}", fail=self._failed)
        return record

    def _failed(self, reason: str) -> AssertionError:
        return AssertionError(f"{reason}\n{self.log()[-3000:]}")

    def calls(self) -> list[dict[str, Any]]:
        """The live calls, as ``sbc calls`` lists them."""
        answer: list[dict[str, Any]] = ask(self.directory / "run" / "sbc.sock", "calls")
        return answer

    def held(self) -> dict[str, int]:
        """What live calls hold: calls, and pairs of media ports."""
        status: dict[str, Any] = ask(self.directory / "run" / "sbc.sock", "status")
        return {"calls": len(status["calls"]), "ports": len(self.media) // 2 - status["free_media_ports"]}

    def unharmed(self) -> None:
        """Nothing broke inside until now, and no key was written down."""
        log = self.log()
        assert not (fault := in_text(log)), fault
        path = self.directory / "run" / "calls.jsonl"
        assert "inline:" not in log + path.read_text()

    def _shown(self, name: str) -> Credentials:
        tls = self.directory / "tls"
        return Credentials(tls / f"{name}.pem", tls / f"{name}.key")

    def _configure(self, srtp: str, office_srtp: str) -> None:
        directory, ports = self.directory, self.ports
        write_lab(directory, time.time())
        for name in ("trunks.d", "routes.d", "hooks"):
            (directory / name).mkdir(exist_ok=True)
        (directory / "sbc.yaml").write_text(_settings(ports, self.udp, self._media) + self._more)
        trunks = (
            ("office", ports.office, "lab-ca", office_srtp),
            ("carrier", ports.carrier, "carrier-ca", srtp),
        )
        for name, port, trust, each in trunks:
            text = _TLS_TRUNK.format(name=name, host=HOST, port=port, trust=trust, srtp=each)
            (directory / "trunks.d" / f"{name}.yaml").write_text(text)
        (directory / "trunks.d" / "plain.yaml").write_text(_UDP_TRUNK)
        (directory / "routes.d" / "10-lab.yaml").write_text(_ROUTES)


@contextmanager
def attacked(directory: Path, **settings: Any) -> Iterator[Attacked]:
    """An ``Attacked`` for the length of a block, which must be unharmed then, and end well."""
    made = Attacked(directory, **settings)
    try:
        yield made
        made.unharmed()
    finally:
        status = made.close()
    assert status == 0, made.log()[-3000:]


def _settings(ports: LabPorts, udp: int, media: int) -> str:
    return _SETTINGS.format(
        host=HOST, sips=ports.sips, udp=udp, admin=ports.admin, first=ports.media,
        last=ports.media + media - 1,
    )  # fmt: skip
