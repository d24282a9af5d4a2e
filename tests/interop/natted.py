"""Phones behind a router with masquerade: private addresses, and no way to them but what they have opened.

``python -m tests.interop.natted DIRECTORY`` runs in a network namespace that it may spoil, makes two more for
the router and for the home behind it, and prints what became of a call to each phone, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from sbc.demo.process import whole_lines
from sbc.sip.digest import user_hash
from tests.interop.pair import HIGH, LOW
from tests.interop.rig import talk
from tests.peers.canaries import PASSWORD
from tests.peers.lab import Lab
from tests.peers.pjsip import Pjsip, PjsipSettings
from tests.peers.portcullis import Portcullis
from tests.peers.process import find
from tests.peers.tone import heard, write_tone
from tests.peers.waiting import until

REALM = "phones.example"
SBC, ROUTER, ALICE, HOME = "192.0.2.1", "192.0.2.2", "192.0.2.3", "10.77.0.2"
TLS, UDP, TRUNK, CALLER, PHONE = 5061, 5070, 5060, 5080, 5090
FILES = {
    "sbc.yaml": f"""\
listeners:
  phones-tls: {{bind: {SBC}:{TLS}, transport: tls}}
  phones-udp: {{bind: {SBC}:{UDP}, transport: udp}}
  trunk: {{bind: {SBC}:{TRUNK}, transport: udp}}
identities:
  sbc: {{chain: CHAIN, key: KEY}}
media: {{address: {SBC}, ports: 20000-20039}}
registrar: {{realm: {REALM}, users: phones}}
""",
    "trunks.d/alice.yaml": f"""\
trunk: alice
peers: [{ALICE}:{CALLER}]
sources: [{ALICE}]
listener: trunk
srtp: 'off'
sips: allow
""",
    "trunks.d/desk.yaml": f"""\
trunk: desk
phones: true
sources: [{ROUTER}]
listener: phones-tls
srtp: required
tls: {{mode: server, server_identity: sbc}}
""",
    "trunks.d/soft.yaml": f"""\
trunk: soft
phones: true
sources: [{ROUTER}]
listener: phones-udp
srtp: 'off'
""",
    "routes.d/10-in.yaml": """\
rules:
  - name: to phones
    when: trunk == "alice"
    then: route registered
""",
}


def there(namespace: int, *command: str) -> list[str]:
    """``command`` in the network namespace of a process."""
    return [find("nsenter"), "-t", str(namespace), "-n", *command]


def do(*command: str) -> None:
    """Run a command that has to succeed."""
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def namespace() -> Iterator[int]:
    """A network namespace, by the process that holds it."""
    holder = subprocess.Popen(
        [find("unshare"), "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdin is not None and holder.stdout is not None
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        holder.stdout.readline()  # it is cat by now, and so in its namespace
        yield holder.pid
    finally:
        holder.kill()
        holder.wait()


def lay(router: int, home: int) -> None:
    """The SBC's network, a router at its edge that masquerades, and a home behind that."""
    ip = find("ip")
    do(ip, "link", "set", "lo", "up")
    do(ip, "link", "add", "wan", "type", "veth", "peer", "name", "edge")
    do(ip, "link", "add", "inside", "type", "veth", "peer", "name", "eth0")
    for name, where in (("edge", router), ("inside", router), ("eth0", home)):
        do(ip, "link", "set", name, "netns", str(where))
    for address in (SBC, ALICE):
        do(ip, "addr", "add", f"{address}/24", "dev", "wan")
    do(ip, "link", "set", "wan", "up")
    for name, address, where in (
        ("edge", ROUTER, router),
        ("inside", "10.77.0.1", router),
        ("eth0", HOME, home),
    ):
        do(*there(where, ip, "link", "set", "lo", "up"))
        do(*there(where, ip, "addr", "add", f"{address}/24", "dev", name))
        do(*there(where, ip, "link", "set", name, "up"))
    do(*there(home, ip, "route", "add", "default", "via", "10.77.0.1"))
    do(*there(router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
    do(*there(router, find("iptables"), "-t", "nat", "-A", "POSTROUTING", "-o", "edge", "-j", "MASQUERADE"))


class Behind(Pjsip):
    """A PJSIP in another network namespace."""

    def __init__(self, where: int, name: str, directory: Path, settings: PjsipSettings) -> None:
        super().__init__(name, directory, settings)
        self.argv = there(where, *self.argv)

    def ready(self) -> None:
        """Wait until the agent says so: its ports are none of this namespace's."""
        self.expect("ready", seconds=30)


def configure(root: Path) -> Path:
    """Write the SBC's files."""
    own, directory = Lab(root / "tls").issue("sbc"), root / "sbc"
    for name, text in FILES.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("CHAIN", str(own.cert)).replace("KEY", str(own.key)))
    users = [
        f"{user}:{REALM}:{user_hash(algorithm, user, REALM, PASSWORD)}\n"
        for user in ("bob", "carol")
        for algorithm in ("SHA-256", "MD5")
    ]
    (directory / "phones").write_text("".join(users))
    (directory / "phones").chmod(0o600)
    return directory


def agent(root: Path, name: str, hz: float, where: int = 0, **more: Any) -> Pjsip:
    """A PJSIP that says a tone."""
    directory = root / name
    directory.mkdir()
    tone = str(write_tone(directory / "tone.wav", hz))
    settings = PjsipSettings(tone=tone, answer=0, verify_client=False, verify_server=False, **more)
    return Behind(where, name, directory, settings) if where else Pjsip(name, directory, settings)


def run(root: Path) -> dict[str, Any]:
    """A call to each phone: who heard whom, and where the SBC has sent to."""
    with ExitStack() as stack:
        router, home = stack.enter_context(namespace()), stack.enter_context(namespace())
        lay(router, home)
        directory = configure(root)
        stack.enter_context(Portcullis("sbc", directory, tcp=[TLS], udp=[UDP, TRUNK]))
        alice = agent(
            root, "alice", HIGH, address=ALICE, port=CALLER, transport="udp", srtp="off",
            uri=f"sip:alice@{ALICE}", media_port=30000,
        )  # fmt: skip
        own = Lab(root / "more").issue("desk")
        phones = {
            "bob": agent(
                root, "desk", LOW, home, address=HOME, port=PHONE, transport="tls", uri=f"sip:bob@{REALM}",
                registrar=f"sip:{SBC}:{TLS};transport=tls", user="bob", password=PASSWORD, media_port=31000,
                cert=str(own.cert), key=str(own.key), ca=str(own.ca),
            ),
            "carol": agent(
                root, "soft", LOW, home, address=HOME, port=PHONE + 2, transport="udp", srtp="off",
                uri=f"sip:carol@{REALM}", registrar=f"sip:{SBC}:{UDP}", user="carol", password=PASSWORD,
                media_port=32000,
            ),
        }  # fmt: skip
        for each in (alice, *phones.values()):
            stack.enter_context(each)
        told: dict[str, Any] = {}
        for user, phone in phones.items():
            phone.expect("registration", seconds=30, status=200)
            call = alice.call(f"sip:{user}@{SBC}:{TRUNK}")
            number = phone.expect("incoming", seconds=15)["call"]
            phone.answer(number)
            alice.expect_state(call, "CONFIRMED", 15)
            talk((alice, call), (phone, number))
            alice.hangup(call)
            phone.expect_state(number, "DISCONNECTED", 15)
            told[user] = bool(heard(alice.recording(call), LOW)), bool(heard(phone.recording(number), HIGH))
        records = directory / "run" / "calls.jsonl"
        lines = until(
            lambda: whole_lines(records).splitlines(), "both records", holds=lambda found: len(found) == 2
        )
        told["remotes"] = [json.loads(line)["b"]["remote"].rpartition(":")[0] for line in lines]
        told["media"] = [json.loads(line)["b"]["media"]["remote"].rpartition(":")[0] for line in lines]
        return told


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
