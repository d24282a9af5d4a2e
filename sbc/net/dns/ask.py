"""One question to the DNS servers, by UDP, and by TCP where the answer does not fit (RFC 1035 4.2, RFC 5452).

Each question has a socket and a number of its own, both by chance, and the kernel lets only the server's own
address and port answer it. What has the wrong number or answers something else is not believed and waited on;
where there is much of it, somebody is guessing, and the question is asked over TCP, where guessing does not
help. Names that the machine's own hosts file has are not asked for at all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import gevent
from gevent import socket

from sbc.base import Address
from sbc.dns.files import host_addresses, name_servers
from sbc.dns.message import Answer, NotTheAnswer, Question, load, query, read
from sbc.net.system.sockets import family_of

# How long a server has to answer, in seconds, in the first round and in the second.
PATIENCE: Final = (1.0, 3.0)
# How many packets that answer something else are read before the question is asked over TCP.
MOST_FORGED: Final = 20
# How long the system's own files are believed before they are looked at again, in seconds.
_HOSTS_TTL: Final = 60.0
_NO_SERVERS: Final = (
    "there is no DNS server: write `dns: {servers: [ADDRESS]}` in sbc.yaml, or /etc/resolv.conf"
)


class Forged(Exception):
    """So much came that answers something else that somebody must be guessing."""


class Asker:
    """Asks questions of the servers that ``configured`` names, or else of the machine's own."""

    __slots__ = ("_configured", "_hosts", "_hosts_path", "_loaded", "_resolv_conf", "_servers", "_trusty")

    def __init__(
        self, configured: Callable[[], Sequence[Address]],
        resolv_conf: Path = Path("/etc/resolv.conf"), hosts: Path = Path("/etc/hosts"),
    ) -> None:  # fmt: skip
        self._configured = configured
        self._resolv_conf = _File(resolv_conf)
        self._hosts_path = _File(hosts)
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._servers: tuple[Address, ...] = ()
        self._trusty: Address | None = None
        self._loaded = False

    def servers(self) -> tuple[Address, ...]:
        """Whom it asks, whoever answered last first."""
        found = tuple(self._configured())
        if not found:
            if self._resolv_conf.changed():
                self._servers = name_servers(self._resolv_conf.text())
            found = self._servers
        if self._trusty in found:
            return tuple(sorted(found, key=lambda each: each != self._trusty))
        return found

    def ask(self, question: Question) -> Answer:
        """What the first server that knows says; an answer with a ``failure`` where none does."""
        if question.kind in ("A", "AAAA"):
            if self._hosts_path.changed():
                self._hosts = host_addresses(self._hosts_path.text())
            if known := self._hosts.get(question.name.lower()):
                six = question.kind == "AAAA"
                return Answer(tuple([each for each in known if (":" in each) is six]), _HOSTS_TTL)
        if not self._loaded:
            gevent.get_hub().threadpool.apply(load)
            self._loaded = True
        why = _NO_SERVERS
        for patience in PATIENCE:
            for server in self.servers():
                try:
                    answer = _exchange(server, question, patience)
                except ValueError as error:
                    return Answer(failure=str(error))
                except (OSError, NotTheAnswer) as error:
                    why = f"{server} does not answer: {getattr(error, 'strerror', None) or error}"
                    continue
                if not answer.failure:
                    self._trusty = server
                    return answer
                why = f"{server} answers {answer.failure}"
        return Answer(failure=why)


class _File:
    """A file of the system's, read when it has changed."""

    __slots__ = ("_path", "_stamp")

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None

    def changed(self) -> bool:
        """Whether it is another than the last time that this was asked."""
        try:
            found = self._path.stat()
            stamp = (found.st_mtime_ns, found.st_ino)
        except OSError:
            stamp = (0, 0)
        former, self._stamp = self._stamp, stamp
        return former != stamp

    def text(self) -> str:
        """What it holds; "" where it cannot be read."""
        try:
            return self._path.read_text(errors="replace")
        except OSError:
            return ""


def _exchange(server: Address, question: Question, patience: float) -> Answer:
    """What ``server`` says within ``patience`` seconds; OSError, NotTheAnswer."""
    number = int.from_bytes(os.urandom(2))
    with gevent.Timeout(patience, TimeoutError(0, f"nothing within {patience:g} s")):
        try:
            answer = _by_udp(server, question, number, edns=True)
            if answer.failure in ("FORMERR", "NOTIMP"):  # it may be older than EDNS (RFC 6891 7)
                answer = _by_udp(server, question, number ^ 1, edns=False)
        except Forged:
            return _by_tcp(server, question, number)
        return _by_tcp(server, question, number) if answer.cut else answer


def _by_udp(server: Address, question: Question, number: int, edns: bool) -> Answer:
    with closing(socket.socket(family_of(server.host), socket.SOCK_DGRAM)) as sock:
        sock.connect(tuple(server))
        sock.send(query(question, number, edns))
        for _ in range(MOST_FORGED):
            try:
                return read(question, number, sock.recv(65535))
            except NotTheAnswer:
                continue
    raise Forged


def _by_tcp(server: Address, question: Question, number: int) -> Answer:
    asked = query(question, number)
    with closing(socket.socket(family_of(server.host), socket.SOCK_STREAM)) as sock:
        sock.connect(tuple(server))
        sock.sendall(len(asked).to_bytes(2) + asked)
        size = int.from_bytes(_exactly(sock, 2))
        return read(question, number, _exactly(sock, size))


def _exactly(sock: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        data = sock.recv(size - len(parts))
        if not data:
            raise OSError(0, "it closed the connection in the middle of its answer")
        parts += data
    return bytes(parts)
