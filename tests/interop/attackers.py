"""SIPVicious against a public SBC: svmap looks for it, svwar for its users, svcrack for a password.

``python -m tests.interop.attackers DIRECTORY`` runs in a network namespace that it may spoil, and prints what
came of each, as JSON. The tools speak UDP and MD5 only, and stumble over qop="auth,auth-int"; so each stands
behind a relay that mends that for them, and takes them to TCP and TLS as well.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sbc.sip.digest import user_hash
from tests.interop.blocked import PHONES, REALM, SBC, SHORT, TCP, TLS, UDP, Seen, configure, tcp
from tests.interop.natted import do
from tests.peers.portcullis import Portcullis
from tests.peers.process import find
from tests.peers.waiting import until

PASSWORD, AT = "sesame", 30
ADMIN = 8080
EXTENSIONS = [*map(str, range(100, 120)), "alice", *map(str, range(120, 130))]
DEFAULT, OPEN, OFF = "{failures: 15, within: 5m, for: 1h}", "{scanners: []}", "false"


class Relay:
    """Takes a tool's datagrams to a listener from ``source``, over its transport, and answers back."""

    def __init__(self, source: str, port: int) -> None:
        self._target = source, port
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind(("0.0.0.0", 0))
        self.port: int = self._front.getsockname()[1]
        self._tool: Any = None
        self._back: socket.socket | None = None
        self.failed = 0
        self._over = False
        threading.Thread(target=self._forward, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._over = True
        with contextlib.suppress(OSError):
            self._front.shutdown(socket.SHUT_RDWR)
        self._front.close()
        if self._back is not None:
            self._back.close()

    def _connected(self) -> socket.socket:
        source, port = self._target
        if port == TCP:
            plain = tcp(source, port)
            plain.settimeout(None)
            return plain
        if port == UDP:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.bind((source, 0))
            made.connect((SBC, port))
            return made
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        made = context.wrap_socket(tcp(source, port), server_hostname="sbc.lab.example")
        made.settimeout(0.2)  # of TLS 1.3 a server that wants a certificate says so only after our handshake
        try:
            made.recv(1)
        except TimeoutError:
            made.settimeout(None)
            return made
        raise ConnectionResetError("closed")

    def _forward(self) -> None:
        while not self._over:
            try:
                data, self._tool = self._front.recvfrom(65535)
            except OSError:
                return
            try:
                if self._back is None:
                    self._back = self._connected()
                    threading.Thread(target=self._answer, args=(self._back,), daemon=True).start()
                self._back.sendall(data)
            except OSError:
                self.failed += 1
                self._back = None

    def _answer(self, back: socket.socket) -> None:
        waiting = b""
        with contextlib.suppress(OSError):
            while data := back.recv(65535):
                waiting += data
                while b"\r\n\r\n" in waiting:  # no answer has a body
                    one, _, waiting = waiting.partition(b"\r\n\r\n")
                    mended = one.replace(b'qop="auth,auth-int"', b'qop="auth"')
                    self._front.sendto(mended + b"\r\n\r\n", self._tool)
        self._back = None


@contextmanager
def relay(source: str, port: int) -> Iterator[Relay]:
    """A relay from ``source`` to a listener."""
    made = Relay(source, port)
    try:
        yield made
    finally:
        made.close()


def tool(name: str, at: Relay, directory: Path, *words: str, stdin: str = "") -> dict[str, Any]:
    """What a tool prints."""
    command = [find(name), *words, "-p", str(at.port), "127.0.0.0/27" if name == "svmap" else "127.0.0.1"]
    made = subprocess.run(
        command, cwd=directory, input=stdin, capture_output=True, text=True, check=False, timeout=120,
        env={"HOME": str(directory), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    return {"out": made.stdout, "err": made.stderr, "failed": at.failed}


def each_tool(source: str, port: int, directory: Path) -> dict[str, Any]:
    """All three from an address of their own, as far as they come."""
    directory.mkdir()  # they keep notes at home
    words, guesses = directory / "extensions", directory / "guesses"
    words.write_text("\n".join(EXTENSIONS) + "\n")
    guesses.write_text("".join(f"{PASSWORD if number == AT else f'guess{number}'}\n" for number in range(60)))
    host, _, last = source.rpartition(".")
    told: dict[str, Any] = {}
    for number, (name, options) in enumerate(
        [
            ("svmap", []),
            ("svwar", ["-d", str(words), "-m", "REGISTER", "--force"]),
            ("svwar", ["-d", str(words), "-m", "INVITE", "--force"]),
            ("svcrack", ["-u", "alice", "-d", str(guesses), "--maximumtime=3"]),
        ]
    ):
        with relay(f"{host}.{int(last) + number}", port) as at:
            key = f"{name} {options[3]}" if name == "svwar" else name
            told[key] = tool(name, at, directory, *options)
    return told


METHODS = ("REGISTER", "INVITE", "OPTIONS", "MESSAGE", "REFER", "SUBSCRIBE")


def answers(user: str, source: str) -> list[str]:
    """What is answered to requests of ``user``, over UDP, TCP and TLS, but for what is new in each."""
    told = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp, tcp(source, TCP) as plain,
        tcp(source, PHONES) as secure,
    ):  # fmt: skip
        udp.bind((source, 5060))
        udp.connect((SBC, UDP))
        udp.settimeout(20)
        for name, sock in (("UDP", udp), ("TCP", plain), ("TLS", context.wrap_socket(secure))):
            for method in METHODS:
                for number, credentials in enumerate(("", CREDENTIALS.format(user=user))):
                    branch = f"z9hG4bK{name}{method}{number}"
                    lines = [
                        f"{method} sip:{user}@{SBC} SIP/2.0",
                        f"Via: SIP/2.0/{name} {source}:5060;branch={branch}",
                        f"From: <sip:{user}@{REALM}>;tag=1", f"To: <sip:{user}@{REALM}>",
                        f"Call-ID: {branch}", f"CSeq: 1 {method}", "Max-Forwards: 70",
                        f"Contact: <sip:{user}@{source}:5060>",
                        *([credentials] if credentials else []), "Content-Length: 0", "", "",
                    ]  # fmt: skip
                    sock.sendall("\r\n".join(lines).encode())
                    told.append(masked(final(sock, branch), user, source))
    return told


CREDENTIALS = (
    f'Authorization: Digest username="{{user}}", realm="{REALM}", nonce="0", uri="sip:{{user}}@{SBC}",'
    ' response="0123456789abcdef0123456789abcdef", algorithm=MD5, qop=auth, cnonce="1", nc=00000001'
)


def final(sock: socket.socket, branch: str) -> str:
    """The final answer to the request with this branch."""
    while True:
        for each in sock.recv(65535).decode().split("\r\n\r\n"):
            if branch in each and not each.startswith("SIP/2.0 1"):
                return each


def masked(text: str, user: str, source: str) -> str:
    """An answer without the user, the address and what is drawn by lot: of that the length is left."""
    text = text.replace(user, "USER").replace(source, "SOURCE")
    return re.sub(r'(nonce="|;tag=)([0-9a-f]{8,})', lambda found: f"{found[1]}{len(found[2])}", text)


def scanned(seen: Seen, directory: Path, first: int, ports: tuple[int, ...]) -> dict[str, Any]:
    """What comes of all tools at some listeners, and how many lines the journal has for them."""
    before = len(seen.lines(""))
    sources = [f"198.51.100.{first + 4 * at}" for at in range(len(ports))]
    with ThreadPoolExecutor(len(ports)) as pool:
        found = pool.map(each_tool, sources, ports, [directory / each for each in sources])
        told = {str(port): each for port, each in zip(ports, found, strict=True)}
    lines = seen.lines("")[before:]
    return {"told": told, "lines": len(lines), "blocked": [
        {"address": each["address"], "why": each["why"]} for each in seen.ask("blocklist")["blocked"]
    ]}  # fmt: skip


def run(root: Path) -> dict[str, Any]:
    """With the defaults, with a list of scanners that knows none, and with no blocklist."""
    ip = find("ip")
    do(ip, "link", "set", "lo", "up")
    for number in (1, 9, *range(64, 128)):
        do(ip, "addr", "add", f"198.51.100.{number}/32", "dev", "lo")
    do(ip, "addr", "add", "2001:db8::1/128", "dev", "lo")
    directory, _ = configure(root)
    path = directory / "sbc.yaml"
    text = path.read_text().replace(SHORT, DEFAULT)
    path.write_text(text.replace("users: phones}", "users: phones, domains: [127.0.0.1]}"))
    hashed = user_hash("MD5", "alice", REALM, PASSWORD)
    (directory / "phones").write_text(f"alice:{REALM}:{hashed}\n")
    seen, sbc = Seen(directory), Portcullis("sbc", directory, tcp=[TLS, PHONES, TCP, ADMIN], udp=[UDP])
    with sbc:
        told: dict[str, Any] = {"default": scanned(seen, root, 64, (UDP, PHONES, TLS, TCP))}
        seen.configure(DEFAULT, OPEN)
        told["open"] = scanned(seen, root, 80, (UDP, PHONES, TCP))
        seen.configure(OPEN, OFF)
        told["off"] = scanned(seen, root, 92, (UDP, PHONES, TCP))
        told["answers"] = [answers("alice", "198.51.100.110"), answers("trudy", "198.51.100.111")]
        until(lambda: seen.health()["status"] == "listening", "it is well")
    return told


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
