"""SIPp: scenarios, one process each, and the statistics it leaves.

A scenario is an XML file of `sipp_scenarios/` in which ``@SDP@``, ``@TRANSPORT@`` and ``@CONTACT@``
are filled in: behind stunnel a SIPp that speaks TCP must say TLS, and must name the tunnel's port
as its contact, or the peer would answer in the clear.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.peers.ports import free_port
from tests.peers.process import PeerFailed, PeerProcess, find, listening

_SCENARIOS = Path(__file__).with_name("sipp_scenarios")

_PLAIN = """\
v=0
o=sipp 53655765 2353687637 IN IP4 [media_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/{profile} 0 101
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=sendrecv
"""
# What is only said within a dialog.
_WITHIN = ("ACK", "BYE", "INFO", "NOTIFY", "PRACK", "UPDATE")
_CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz|2^31\n"

SDP = {
    "plain": _PLAIN.format(profile="AVP"),
    "sdes": _PLAIN.format(profile="SAVP") + _CRYPTO,
    "both": _PLAIN.format(profile="AVP") + _CRYPTO,
}


@dataclass(frozen=True, slots=True)
class SippSettings:
    """One SIPp: what it plays and how fast; calls and rate matter to callers only.

    ``scenario`` names a file of `sipp_scenarios` (``caller``, ``callee``, ...); ``remote_port`` is where a
    caller sends; ``says`` is the transport it claims (``tls`` behind stunnel) and ``contact_port`` the
    port of its contact (its own when 0); ``hold`` is how long a call stands, in milliseconds. With
    ``echo`` RTP goes back to where it came from; with ``each`` every call has a connection of its own;
    ``trace`` keeps every message in `Sipp.messages`; ``login_uri`` is what digest credentials are
    made for, without ``sip:``. ``hears`` are the statuses that a caller is told, in this order,
    ``speaks`` a callee's first and its final one. ``linger`` is how long an ended call still answers
    what is repeated, in milliseconds; ``patient`` repeats until the network has had many chances to lose.
    ``method`` is what the scenario ``flood`` sends, and waits for no answer; it goes on until it is stopped.
    """

    scenario: str
    transport: Literal["udp", "tcp"] = "udp"
    port: int = 0
    remote_port: int = 0
    service: str = "+12125550100"
    calls: int = 1
    rate: float = 10.0
    hold: int = 100
    says: str = ""
    contact_port: int = 0
    sdp: Literal["plain", "sdes", "both"] = "plain"
    limit: int = 3000
    seconds: int = 60
    address: str = "127.0.0.1"
    echo: bool = False
    each: bool = False
    trace: bool = False
    login_uri: str = ""
    hears: tuple[int, ...] = ()
    speaks: tuple[int, int] = (180, 486)
    linger: int = 0
    patient: bool = False
    method: str = ""


@dataclass(frozen=True, slots=True)
class SippCounts:
    """What SIPp counted over its life."""

    created: int
    successful: int
    failed: int
    retransmissions: int
    unexpected: int


class Sipp(PeerProcess):
    """A SIPp process; callers end by themselves, callees are stopped."""

    def __init__(self, name: str, directory: Path, settings: SippSettings, *, cpu: int | None = None) -> None:
        self.settings = settings
        self.port = settings.port or free_port()
        self.media_port = free_port(4)
        self.statistics = directory / f"{name}.csv"
        self.messages = directory / f"{name}_messages.log"
        super().__init__(name, directory, self._argv(name), cpu=cpu)

    @property
    def is_caller(self) -> bool:
        """True where this SIPp sends the first message."""
        return bool(self.settings.remote_port)

    def start(self) -> None:
        """Write the scenario and start SIPp."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.statistics.unlink(missing_ok=True)
        (self.directory / f"{self.name}.xml").write_text(self._scenario())
        super().start()

    def ready(self) -> None:
        """Callees are ready when their port is bound; callers at once."""
        if not self.is_caller:
            udp = self.settings.transport == "udp"
            self.wait_until(lambda: listening(self.port, udp=udp), 30, f"listening port {self.port}")

    def finish(self, seconds: float = 15.0) -> SippCounts:
        """Wait until a caller has made its calls and return what it counted, failed calls included."""
        status = self.wait(seconds)
        if status not in (0, 1, 99):
            raise self.failed(f"ended with {status}")
        return self.counts()

    def counts(self) -> SippCounts:
        """The last line of SIPp's statistics; PeerFailed when there is none yet."""
        lines = self.statistics.read_text().splitlines() if self.statistics.exists() else []
        rows = list(csv.DictReader(lines, delimiter=";"))
        if not rows:
            raise self.failed("has no statistics yet")
        last = rows[-1]
        return SippCounts(
            int(last["TotalCallCreated"]),
            int(last["SuccessfulCall(C)"]),
            int(last["FailedCall(C)"]),
            int(last["Retransmissions(C)"]),
            int(last["FailedUnexpectedMessage(C)"]),
        )

    def failed(self, reason: str) -> PeerFailed:
        """The exception with SIPp's own error file as well."""
        errors = "\n".join(
            line
            for path in sorted(self.directory.glob(f"{self.name}_errors.log"))
            for line in path.read_text(errors="replace").splitlines()[:20]
        )
        return PeerFailed(f"{super().failed(reason)}\n{errors}")

    def _argv(self, name: str) -> list[str]:
        chosen = self.settings
        argv = [find("sipp"), "-sf", f"{name}.xml", "-i", chosen.address, "-p", str(self.port), "-nostdin"]
        sockets = "n" if chosen.each else "1"
        argv += ["-t", ("u" if chosen.transport == "udp" else "t") + sockets, "-mi", chosen.address]
        if chosen.each:
            argv += ["-max_socket", "2000"]
        if chosen.method:  # answers are for nobody, and whoever is thrown out comes again
            argv += [
                "-default_behaviors",
                "none",
                "-deadcall_wait",
                "0",
                "-max_reconnect",
                "-1",
                "-reconnect_sleep",
                "50",
            ]
        argv += ["-mp", str(self.media_port), "-s", chosen.service, "-trace_stat", "-fd", "1"]
        argv += ["-stf", self.statistics.name, "-trace_err"]
        argv += ["-error_file", f"{name}_errors.log"]
        argv += ["-buff_size", "1048576", "-d", str(chosen.hold)]
        argv += ["-rtp_echo"] if chosen.echo else []
        argv += ["-trace_msg", "-message_file", self.messages.name] if chosen.trace else []
        argv += ["-auth_uri", chosen.login_uri] if chosen.login_uri else []
        argv += ["-max_retrans", "20", "-max_invite_retrans", "20"] if chosen.patient else []
        if self.is_caller:
            argv += ["-m", str(chosen.calls), "-r", f"{chosen.rate:g}", "-l", str(chosen.limit)]
            argv += ["-timeout", f"{chosen.seconds}s", f"127.0.0.1:{chosen.remote_port}"]
        return argv

    def _scenario(self) -> str:
        chosen = self.settings
        says = chosen.says or chosen.transport
        contact = f"[local_ip]:{chosen.contact_port or self.port};transport={says}"
        text = (_SCENARIOS / f"{chosen.scenario}.xml").read_text()
        hears = "\n\n".join(f'  <recv response="{each}"/>' for each in chosen.hears)
        first, final = map(str, chosen.speaks)
        text = text.replace("@HEARS@", hears).replace("@FIRST@", first).replace("@FINAL@", final)
        tag = ";tag=nobody" if chosen.method in _WITHIN else ""
        text = text.replace("@METHOD@", chosen.method).replace("@TAG@", tag)
        if chosen.linger:
            text = text.replace("</scenario>", f'  <timewait milliseconds="{chosen.linger}"/>\n</scenario>')
        text = text.replace("@SDP@", SDP[chosen.sdp].rstrip())
        return text.replace("@CONTACT@", contact).replace("@TRANSPORT@", says.upper())
