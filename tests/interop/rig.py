"""A running Portcullis between real peers, for the interop tests: its configuration, its records, its log.

Each PJSIP has a loopback address of its own, so that "nothing of one peer reaches the other" can
be asked of addresses too; the SBC is at 127.0.0.1.
"""

from __future__ import annotations

import re
import wave
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sbc.demo.process import whole_lines
from tests.peers.call_records import calls_in
from tests.peers.lab import Lab
from tests.peers.pjsip import Pjsip, PjsipSettings
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.process import PeerFailed, PeerProcess
from tests.peers.tone import RATE, Heard, heard, listen, write_tone
from tests.peers.waiting import PATIENCE, until

NUMBER = "+12125550100"
SBC = "127.0.0.1"
#: RTP packets of 20 ms that are waited for where two peers shall have heard each other.
TALK = 60

_SETTINGS = """\
listeners:
  trunk-tls: {{bind: 127.0.0.1:{tls}, transport: tls}}
  trunk-udp: {{bind: 127.0.0.1:{udp}, transport: udp}}
identities:
  sbc: {{chain: {sbc.cert}, key: {sbc.key}}}
trust:
  lab-ca: {{ca: {sbc.ca}}}
media: {{address: 127.0.0.1, ports: {first}-{last}}}
"""
_LISTENER6 = "  trunk-tls6: {{bind: '[::1]:{tls}', transport: tls}}\n"
_NETWORKS = """\
media:
  networks:
    four: {{address: 127.0.0.1, ports: {first}-{last}}}
    six: {{address6: "::1", ports: {first}-{last}}}
"""
_TLS = """\
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [lab-ca]
  names: [{name}.lab.example]
"""
_RULE = """\
  - name: {origin} calls {target}
    when: trunk == "{origin}"
    then: route "{target}"
"""
_MESSAGE = re.compile(r"([RT]X) \d+ bytes [^\n]*:\n(.*?)\n--end msg--", re.DOTALL)
_RTP_RECEIVED = re.compile(r"RX pt=.*?total ([\d.]+)(K?)pkt", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Far:
    """A peer beyond a trunk: where it is, what is demanded of its leg, and what else its trunk says.

    ``source`` is where it calls from, if not from its ``address``; ``shows`` the name in its certificate, if
    not its own.
    """

    name: str
    port: int
    address: str = SBC
    transport: str = "tls"
    srtp: str = "required"
    more: str = ""
    source: str = ""
    shows: str = ""

    def trunk(self) -> str:
        """The trunk's file."""
        listener = "trunk-tls" if self.transport == "tls" else "trunk-udp"
        tls = _TLS.format(name=self.shows or self.name) if self.transport == "tls" else ""
        host, network = self.address, ""
        if self.is_ipv6:
            host, listener, network = f"[{self.address}]", f"{listener}6", "network: six\n"
        return (
            f"trunk: {self.name}\npeers: ['{host}:{self.port}']\n"
            f"sources: ['{self.source or self.address}']\n"
            f"listener: {listener}\nsrtp: {self.srtp}\n{network}{tls}{self.more}\n"
        )

    @property
    def is_ipv6(self) -> bool:
        """Whether it is reached by IPv6, signalling and media."""
        return ":" in self.address


@dataclass(slots=True)
class Rig:
    """A directory with certificates, agents and the configuration of an SBC between two of them."""

    root: Path
    tls: int = field(default_factory=free_port)
    udp: int = field(default_factory=free_port)
    warned: str = r"\[(sips-downgrade|check)\]"
    pairs: int = 20  # of media ports
    rules: str = ""  # asked before those by which the two reach each other
    more: str = ""  # what else sbc.yaml says
    listeners: str = ""  # further ones, each a line of sbc.yaml
    others: tuple[Far, ...] = ()  # further trunks, which only ``rules`` lead to
    lab: Lab = field(init=False)
    sbc: Portcullis = field(init=False)
    _records_seen: int = 0

    def __post_init__(self) -> None:
        self.lab = Lab(self.root / "tls")

    def pjsip(self, name: str, address: str, hz: float, **settings: Any) -> Pjsip:
        """A PJSIP agent on its own address, which calls through nobody but whom it is told to."""
        directory = self.root / name
        directory.mkdir()
        chosen = PjsipSettings(
            uri=f"sip:{name}@{name}.inside.example",
            address=address,
            tone=str(write_tone(directory / "tone.wav", hz)),
            user_agent=f"Agent-of-{name}",
        )
        if settings.get("transport", "tls") == "tls":
            own = self.lab.issue(name)
            chosen = replace(chosen, cert=str(own.cert), key=str(own.key), ca=str(own.ca))
        return Pjsip(name, directory, replace(chosen, **settings))

    @contextmanager
    def running(self, caller: Far, callee: Far, *peers: PeerProcess) -> Iterator[Portcullis]:
        """Start ``peers`` and an SBC that routes ``caller`` and ``callee`` to each other; check its log."""
        directory = self.root / "sbc"
        self._configure(directory, caller, callee)
        with ExitStack() as stack:
            self.sbc = stack.enter_context(Portcullis("sbc", directory, tcp=[self.tls], udp=[self.udp]))
            for each in peers:
                stack.enter_context(each)
            yield self.sbc
            self.check_log()

    def _configure(self, directory: Path, caller: Far, callee: Far) -> None:
        for folder in ("trunks.d", "routes.d"):
            (directory / folder).mkdir(parents=True)
        free = free_port(2 * self.pairs + 1)
        first = free + free % 2
        last = first + 2 * self.pairs - 1
        settings = _SETTINGS
        if caller.is_ipv6 or callee.is_ipv6:
            settings = settings.replace("identities:", f"{_LISTENER6}identities:").partition("media:")[0]
            settings += _NETWORKS
        settings = settings.replace("identities:", f"{self.listeners}identities:", 1)
        text = settings.format(tls=self.tls, udp=self.udp, sbc=self.lab.issue("sbc"), first=first, last=last)
        (directory / "sbc.yaml").write_text(text + self.more)
        for each in (caller, callee, *self.others):
            (directory / "trunks.d" / f"{each.name}.yaml").write_text(each.trunk())
        rules = [(caller.name, callee.name), (callee.name, caller.name)]
        text = "".join(_RULE.format(origin=origin, target=target) for origin, target in rules)
        (directory / "routes.d" / "10-rig.yaml").write_text(f"rules:\n{self.rules}{text}")

    def number(self, user: str = NUMBER, transport: str = "tls", host: str = SBC) -> str:
        """What a caller dials to reach ``user`` through the SBC."""
        port = self.udp if transport == "udp" else self.tls
        return f"sip:{user}@{host}:{port};transport={transport}"

    def record(self) -> dict[str, Any]:
        """The record of the call that ended, waited for; there is exactly one more than at the last time."""
        (one,) = self.records(1)
        return one

    def records(self, count: int) -> list[dict[str, Any]]:
        """The records of ``count`` calls that ended, waited for; there are no more of them."""
        self._records_seen += count
        found = until(
            lambda: calls_in(self.root / "sbc"), f"record {self._records_seen}",
            holds=lambda found: len(found) >= self._records_seen, fail=self.sbc.failed,
        )  # fmt: skip
        assert len(found) == self._records_seen
        return found[-count:]

    def log(self) -> list[str]:
        """What the SBC has logged until now."""
        return whole_lines(self.sbc.log).splitlines()

    def check_log(self) -> None:
        """No error, no warning but those of the kind ``warned``, nothing that Python printed."""
        harmless = re.compile(rf"^\S+ (INF|WRN ({self.warned})) ")
        strange = [line for line in self.log() if not harmless.match(line)]
        assert not strange, "\n".join(strange)


def log_size(agent: Pjsip) -> int:
    """Where PJSIP's log stands now, for `messages`."""
    return (agent.directory / "pjsip.log").stat().st_size


def messages(agent: Pjsip, way: Literal["RX", "TX"], since: int = 0) -> str:
    """All SIP messages that a PJSIP received or sent, as it logged them, after ``since`` bytes of log."""
    text = (agent.directory / "pjsip.log").read_bytes()[since:].decode(errors="replace")
    return "\n".join(found[2] for found in _MESSAGE.finditer(text) if found[1] == way)


def rtp_received(agent: Pjsip, call: int) -> int:
    """How many RTP packets PJSIP has taken in on a call's audio since its last SDP negotiation.

    From a thousand on PJSIP tells hundreds only.
    """
    found = _RTP_RECEIVED.search(agent.dump(call))
    return round(float(found[1]) * (1000 if found[2] else 1)) if found else 0


def talk(*ends: tuple[Pjsip, int], packets: int = TALK, seconds: float = PATIENCE) -> None:
    """Wait until each of the calls' ends has received ``packets`` RTP packets more than now."""
    goals = [(agent, call, rtp_received(agent, call) + packets) for agent, call in ends]
    for agent, call, goal in goals:
        heard = partial(rtp_received, agent, call)
        until(heard, f"{goal} packets", seconds, holds=goal.__le__, fail=agent.failed)


def once_idle(agent: Pjsip, action: Callable[[], None]) -> None:
    """Do ``action`` as soon as PJSIP allows it: not while an ACK of the call is still on its way to it."""

    def done() -> bool:
        try:
            action()
        except PeerFailed as refused:
            if "PJ_EINVALIDOP" not in str(refused):
                raise
            return False
        return True

    until(done, "the call may be changed", fail=agent.failed)


def hears_lately(path: Path, hz: float, seconds: float = 0.8) -> Heard:
    """True when the last ``seconds`` of a recording are the tone: what was heard before does not count."""
    with wave.open(str(path), "rb") as source:
        frames = int(seconds * RATE)
        source.setpos(max(0, source.getnframes() - frames))
        rest = source.readframes(frames)
        late = path.with_suffix(f".{hz:g}.late.wav")
        with wave.open(str(late), "wb") as out:
            out.setparams(source.getparams())
            out.writeframes(rest)
    return heard(late, hz, seconds - 0.2)


def has_silence(path: Path, seconds: float) -> bool:
    """True when at least ``seconds`` of a recording are without any sound."""
    hearing = listen(path, 1000.0)
    return hearing.total - hearing.sound >= seconds


def assert_secure(leg: dict[str, Any], name: str, suite: str = "") -> None:
    """Fail unless a leg's record tells of mutual TLS with ``name``, of SRTP, and of media without a loss.

    Without a ``suite`` it is whichever a peer prefers, AES of 128 or 256 bits: PJSIP offers the longer first.
    Media may come before the answer that has its key, and baresip opens a NAT with what is no RTCP.
    """
    assert (leg["trunk"], leg["transport"]) == (name, "tls")
    tls, media = leg["tls"], leg["media"]
    assert tls["version"] in ("TLSv1.2", "TLSv1.3") and tls["cipher"] and tls["group"]
    assert tls["peer_verified"]
    assert f"dns:{name}.lab.example" in tls["peer_names"]
    assert media["srtp"] in ((suite,) if suite else ("AES_CM_128_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"))
    assert_media(media)


def assert_media(media: dict[str, Any], packets: int = TALK) -> None:
    """Fail unless one leg's media went both ways, nothing was lost and nothing failed authentication."""
    assert media["packets_in"] >= packets and media["packets_out"] >= packets
    assert media["lost"] == 0
    assert set(media["refused"]) <= {"not agreed", "malformed"}


def assert_hidden(seen: str, secrets: dict[str, str]) -> None:
    """Fail where what one peer received holds anything of the other: name of the secret to its text."""
    assert seen, "nothing was captured"
    leaked = {name: text for name, text in secrets.items() if text and text.lower() in seen.lower()}
    assert not leaked, f"{leaked} in what the other side received:\n{seen}"


def identity_of(sent: str, agent: Pjsip) -> dict[str, str]:
    """What no other peer may learn of ``agent``, from a message (or several) that it sent."""
    secrets = {
        "address": agent.settings.address if agent.settings.address != SBC else "",
        "port": f":{agent.port}",
        "user agent": agent.settings.user_agent,
        "domain": agent.settings.uri.rpartition("@")[2],
    }
    for name in ("Call-ID", "From", "To"):
        for index, value in enumerate(re.findall(rf"^{name}:\s*(.*?)\r?$", sent, re.MULTILINE)):
            tag = re.search(r";tag=([^;\s]+)", value)
            secrets[f"{name} {index}"] = value if name == "Call-ID" else tag[1] if tag else ""
    return secrets
