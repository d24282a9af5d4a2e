"""An SBC on public addresses, and who comes from others of them: scanners, a carrier, an office, phones.

``python -m tests.interop.blocked DIRECTORY`` runs in a network namespace that it may spoil; every address is
on its loopback interface. It prints what it saw, as JSON. Times are short: six seconds in place of an hour.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from sbc.demo.process import whole_lines
from sbc.sip.digest import Challenge, Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.message import Response
from sbc.sip.parse import parse_message
from tests.interop.natted import do
from tests.peers.asking import ask
from tests.peers.canaries import PASSWORD
from tests.peers.lab import Lab
from tests.peers.portcullis import Portcullis
from tests.peers.process import find
from tests.peers.waiting import until

REALM = "phones.example"
SBC, SBC6 = "198.51.100.1", "2001:db8::1"
CARRIER, OFFICE, SHARED, VICTIM, CRACKER = (f"198.51.100.{each}" for each in (9, 65, 30, 20, 40))
SCANNERS = [f"198.51.100.{each}" for each in range(70, 80)]
SIX = [f"2001:db8:1:2::{each:x}" for each in (10, 11)]
PRIVATE = ("127.0.0.1", "10.77.0.2", "172.20.0.2", "192.168.7.2", "169.254.7.2")
TLS, PHONES, UDP, TCP, ADMIN = 5061, 6061, 6070, 6071, 8080
SHORT, LONG = "{failures: 15, within: 4s, for: 6s}", "{failures: 15, within: 1m, for: 1h}"
FILES = {
    "sbc.yaml": f"""\
listeners:
  trunks: {{bind: {SBC}:{TLS}, transport: tls, handshakes_in_flight: 200}}
  phones: {{bind: {SBC}:{PHONES}, transport: tls}}
  phones6: {{bind: "[{SBC6}]:{PHONES}", transport: tls}}
  phones-udp: {{bind: {SBC}:{UDP}, transport: udp}}
  phones-tcp: {{bind: {SBC}:{TCP}, transport: tcp}}
identities:
  sbc: {{chain: CHAIN, key: KEY}}
trust:
  lab: {{ca: CA}}
media: {{address: {SBC}, ports: 20000-20039}}
registrar: {{realm: {REALM}, users: phones}}
admin: {{bind: 127.0.0.1:{ADMIN}}}
blocklist: {SHORT}
caps: {{challenges_per_source: 10000/s}}
""",
    "trunks.d/carrier.yaml": f"""\
trunk: carrier
peers: [{CARRIER}:5061]
sources: [{CARRIER}]
listener: trunks
srtp: required
tls: {{mode: required, server_identity: sbc, trust: [lab], names: [carrier.lab.example]}}
""",
    "trunks.d/office.yaml": """\
trunk: office
sources: [198.51.100.64/26]
listener: trunks
srtp: required
tls: {mode: required, server_identity: sbc, trust: [lab], names: [office.lab.example]}
""",
    "trunks.d/desk.yaml": """\
trunk: desk
phones: true
sources: [0.0.0.0/0]
listener: phones
srtp: required
tls: {mode: server, server_identity: sbc}
""",
    "trunks.d/desk6.yaml": """\
trunk: desk6
phones: true
sources: ["::/0"]
listener: phones6
srtp: required
tls: {mode: server, server_identity: sbc}
""",
    "trunks.d/soft.yaml": """\
trunk: soft
phones: true
sources: [0.0.0.0/0]
listener: phones-udp
srtp: 'off'
""",
    "trunks.d/plain.yaml": """\
trunk: plain
phones: true
sources: [0.0.0.0/0]
listener: phones-tcp
srtp: 'off'
""",
    "routes.d/10-in.yaml": 'rules: [{name: phones, when: trunk == "carrier", then: route registered}]\n',
}


def configure(root: Path) -> tuple[Path, Lab]:
    """Write the SBC's files; the certificates of everybody."""
    lab, directory = Lab(root / "tls"), root / "sbc"
    own = lab.issue("sbc")
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for word, file in (("CHAIN", own.cert), ("KEY", own.key), ("CA", own.ca)):
            text = text.replace(word, str(file))
        path.write_text(text)
    hashes = [user_hash(each, "alice", REALM, PASSWORD) for each in ("SHA-256", "MD5")]
    (directory / "phones").write_text("".join(f"alice:{REALM}:{each}\n" for each in hashes))
    (directory / "phones").chmod(0o600)
    return directory, lab


# Who comes


def tcp(source: str, port: int, target: str = SBC) -> socket.socket:
    """A TCP connection from ``source``."""
    made = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
    made.settimeout(20)
    made.bind((source, 0))
    made.connect((target, port))
    return made


def knocks(sources: list[str], port: int = TLS, target: str = SBC) -> None:
    """From each of ``sources``, at once, a connection that speaks no TLS; until each of them is refused."""
    made = [tcp(source, port, target) for source in sources]
    for each in made:
        each.sendall(b"GET / HTTP/1.1\r\n\r\n")
    for each in made:
        with each, contextlib.suppress(ConnectionError):
            while each.recv(4096):
                pass


def secured(source: str, lab: Lab, port: int = PHONES, name: str = "", target: str = SBC) -> ssl.SSLSocket:
    """A TLS connection from ``source``, with a certificate of ``name`` if that is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(lab.ca())
    if name:
        own = lab.issue(name)
        context.load_cert_chain(own.cert, own.key)
    return context.wrap_socket(tcp(source, port, target), server_hostname="sbc.lab.example")


def is_refused(source: str, lab: Lab, target: str = SBC) -> bool:
    """Whether a connection from ``source`` is reset, where anybody else's handshake is good."""
    try:
        secured(source, lab, target=target).close()
    except ConnectionResetError:
        return True
    return False


class Phone:
    """Who registers, or tries to, over a socket."""

    def __init__(self, source: str, transport: str, sock: socket.socket) -> None:
        self.source = source
        self.transport = transport
        self.send = sock.sendall
        self.settimeout = sock.settimeout
        self._sock = sock
        self.count = 0

    def receive(self) -> bytes:
        """What comes next; an answer is one datagram or one record."""
        data = self._sock.recv(65535)
        if not data:
            raise ConnectionResetError("closed")
        return data

    def request(self, credentials: str = "", agent: str = "Phone/1") -> bytes:
        """A REGISTER."""
        self.count += 1
        address = f"<sip:alice@{REALM}>"
        branch = f"z9hG4bK{self.transport}{self.source}-{self.count}"
        lines = [
            f"REGISTER sip:{REALM} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} {self.source}:5060;rport;branch={branch}",
            f"From: {address};tag=a", f"To: {address}", f"Call-ID: {self.transport}-{self.source}",
            f"CSeq: {self.count} REGISTER",
            f"Contact: <sip:alice-{self.transport}@{self.source}:5060>", "Max-Forwards: 70",
            f"User-Agent: {agent}",
            *([f"Authorization: {credentials}"] if credentials else []), "Content-Length: 0", "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode()

    def asked(self) -> Challenge:
        """What it is asked for; TimeoutError, ConnectionError or ValueError where there is no answer."""
        self.send(self.request())
        answer = parse_message(self.receive())
        return parse_challenge(answer.headers.get_all("WWW-Authenticate")[0])

    def proves(self, challenge: Challenge, password: str) -> int:
        """The status of the answer to a password."""
        self.send(self.request(proof(challenge, password)))
        answer = parse_message(self.receive())
        assert isinstance(answer, Response)
        return answer.status


def proof(challenge: Challenge, password: str) -> str:
    """The credentials that a password makes of a challenge."""
    uri, name = f"sip:{REALM}", challenge.algorithm
    empty = Credentials("alice", REALM, challenge.nonce, uri, "", name, "auth", "cnonce", 1)
    secret = user_hash(name, "alice", REALM, password)
    return str(replace(empty, response=response_hash(secret, empty, "REGISTER", b"")))


@contextmanager
def over_udp(source: str) -> Iterator[Phone]:
    """A phone at ``source`` over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.settimeout(20)
        made.bind((source, 5060))
        made.connect((SBC, UDP))
        yield Phone(source, "UDP", made)


def is_silent(source: str, witness: str = "198.51.100.250") -> bool:
    """Whether a datagram from ``source`` gets no answer, where a later one of a witness has got one."""
    with over_udp(source) as phone, over_udp(witness) as other:
        phone.send(phone.request())
        other.asked()
        phone.settimeout(0)
        try:
            phone.receive()
        except BlockingIOError:
            return True
        return False


def forged(source: str, data: bytes) -> bytes:
    """An IPv4 packet with ``data`` as UDP that says it is from ``source``."""
    udp = struct.pack("!HHHH", 5060, UDP, 8 + len(data), 0) + data
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 7, 0, 64, socket.IPPROTO_UDP, 0,
        socket.inet_aton(source), socket.inet_aton(SBC),
    )  # fmt: skip
    return head + udp


# What happens


class Seen:
    """What the SBC says of itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.journal = directory / "sbc.log"

    def lines(self, *words: str) -> list[str]:
        """The journal's lines that have all these words."""
        return [
            line for line in whole_lines(self.journal).splitlines() if all(each in line for each in words)
        ]

    def ask(self, verb: str, **arguments: object) -> Any:
        """A verb of the control socket."""
        return ask(self.directory / "run" / "sbc.sock", verb, **arguments)

    def blocked(self) -> list[str]:
        """Who is blocked."""
        return [each["address"] for each in self.ask("blocklist")["blocked"]]

    def failures(self) -> int:
        """Handshakes that failed since the start."""
        return int(self.health()["handshakes"]["failures"])

    def health(self) -> Any:
        """The health endpoint."""
        with urlopen(f"http://127.0.0.1:{ADMIN}/sip-tls/health") as answer:
            return json.load(answer)

    def configure(self, former: str, words: str) -> None:
        """Change sbc.yaml and reload."""
        path = self.directory / "sbc.yaml"
        path.write_text(path.read_text().replace(former, words))
        assert self.ask("reload")["changed"]


def knock(seen: Seen, sources: list[str], port: int = TLS, target: str = SBC) -> None:
    """The same as ``knocks``, until all of them are counted."""
    wanted = seen.failures() + len(sources)
    knocks(sources, port, target)
    until(seen.failures, f"{wanted} failures", holds=lambda found: found >= wanted)


def threshold(seen: Seen, lab: Lab) -> dict[str, object]:
    """Fifteen failures, one more, and six seconds; by another address where the machine was too slow."""
    for scanner in SCANNERS:
        knock(seen, [scanner] * 15)
        before = (seen.blocked(), is_refused(scanner, lab))
        knock(seen, [scanner])
        if scanner in seen.blocked():
            break
    told = {
        "before": before, "blocked": seen.blocked(), "refused": is_refused(scanner, lab),
        "silent": is_silent(scanner),
        "neighbour": is_refused(SCANNERS[-1], lab), "health": seen.health()["blocklist"], "scanner": scanner,
    }  # fmt: skip
    until(lambda: seen.blocked() == [], "its time is over")
    return {**told, "later": is_refused(scanner, lab)}


def exempted(seen: Seen, lab: Lab) -> dict[str, object]:
    """Who is never blocked: private addresses, and the carrier, whose certificate is good again later."""
    for each in PRIVATE:
        knock(seen, [each] * 17, PHONES)
    for _ in range(3):
        knock(seen, [CARRIER] * 17)
    told = {"blocked": seen.blocked(), "private": [is_refused(each, lab) for each in PRIVATE]}
    secured(CARRIER, lab, TLS, "carrier").close()
    return told


def six(seen: Seen, lab: Lab) -> dict[str, object]:
    """Of IPv6 a /64 is one address."""
    knock(seen, [SIX[0]] * 17, PHONES, SBC6)
    return {"blocked": seen.blocked(), "refused": [is_refused(each, lab, SBC6) for each in SIX]}


def shared(seen: Seen, lab: Lab) -> dict[str, object]:
    """An address that a phone shares with a scanner: the phone stays, and is called; others are closed."""
    with secured(SHARED, lab) as line, secured(SHARED, lab) as idle, over_udp(SHARED) as soft:
        phone = Phone(SHARED, "TLS", line)
        registered = phone.proves(phone.asked(), PASSWORD)
        soft_registered = soft.proves(soft.asked(), PASSWORD)
        knock(seen, [SHARED] * 17, PHONES)
        closed = idle.recv(1) == b""
        phone.send(phone.request())
        kept = parse_message(phone.receive())
        soft.send(soft.request())
        assert isinstance(kept, Response)
        heard = parse_message(soft.receive())
        return {
            "registered": [registered, soft_registered], "blocked": seen.blocked(), "closed": closed,
            "kept": kept.status, "heard": isinstance(heard, Response), "refused": is_refused(SHARED, lab),
        }  # fmt: skip


def datagrams(seen: Seen) -> dict[str, object]:
    """What anybody sends in a victim's name, and what a cracker sends in its own."""
    with over_udp(CRACKER) as cracker:
        challenge = cracker.asked()
        proofs = [proof(challenge, f"guess{number}") for number in range(40)]
        victim = Phone(VICTIM, "UDP", socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            for each in proofs:
                for agent in ("Phone/1", "friendly-scanner"):
                    raw.sendto(forged(VICTIM, victim.request(each, agent)), (SBC, 0))
            for _ in range(40):
                raw.sendto(forged(VICTIM, b"REGISTER nonsense\r\n\r\n"), (SBC, 0))
        answered = not is_silent(VICTIM)  # all of that is read by now
        innocent = seen.blocked()
        statuses: list[int] = []
        cracker.settimeout(2)
        try:
            for number in range(40):
                statuses.append(cracker.proves(cracker.asked(), f"guess{number}"))
        except TimeoutError:
            pass
    return {"answered": answered, "innocent": innocent, "statuses": statuses, "blocked": seen.blocked()}


def restarts(seen: Seen, lab: Lab, sbc: Portcullis) -> dict[str, object]:
    """Stopped and started, stopped and started with a file that is damaged."""
    scanner, rude = SCANNERS[-1], "203.0.113.66"
    knock(seen, [scanner] * 17)
    seen.ask("blocklist-add", address=rude, seconds=7200.0, note="rude")
    before = seen.ask("blocklist")
    sbc.stop()
    sbc.start()
    sbc.ready()
    after = seen.ask("blocklist")
    told = {"refused": is_refused(scanner, lab), "silent": is_silent(scanner)}
    told["removed"] = seen.ask("blocklist-remove", address=scanner)["refused"] > 0
    told["back"] = not is_refused(scanner, lab)
    sbc.stop()
    (seen.directory / "run" / "state.db").write_text('{"blocked": 7}')
    sbc.start()
    sbc.ready()
    ends = [{each["address"]: each["until"] for each in found["blocked"]} for found in (before, after)]
    return {
        **told, "ends": ends, "lifetime": [before["lifetime"], after["lifetime"]],
        "damaged": seen.blocked(), "said": len(until(lambda: seen.lines("[state]", "state.db"))),
        "aside": (seen.directory / "run" / "state.unreadable").exists(),
    }  # fmt: skip


def run(root: Path) -> dict[str, Any]:
    """All of it, one after the other."""
    ip = find("ip")
    do(ip, "link", "set", "lo", "up")
    many = [SBC, CARRIER, OFFICE, SHARED, VICTIM, CRACKER, "198.51.100.250", *SCANNERS, *PRIVATE[1:]]
    for each in many:
        do(ip, "addr", "add", f"{each}/32", "dev", "lo")
    for each in (SBC6, *SIX):
        do(ip, "addr", "add", f"{each}/128", "dev", "lo")
    directory, lab = configure(root)
    seen, sbc = Seen(directory), Portcullis("sbc", directory, tcp=[TLS, PHONES, ADMIN], udp=[UDP])
    with sbc:
        told = {
            "threshold": threshold(seen, lab), "exempted": exempted(seen, lab),
        }  # fmt: skip
        seen.configure(SHORT, LONG)  # however busy the machine is
        told |= {
            "six": six(seen, lab), "shared": shared(seen, lab), "datagrams": datagrams(seen),
            "restarts": restarts(seen, lab, sbc),
        }  # fmt: skip
    lines = {each: seen.lines("[blocklist]", f"event={each}") for each in ("blocked", "unblocked", "spared")}
    return {**told, "lines": lines, "stats": seen.lines("[SIPS-stats]", "blocklist=")[-1:]}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
