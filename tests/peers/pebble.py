"""Pebble, an ACME directory for tests, with the DNS that it asks: every name is 127.0.0.1."""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from sbc.demo.pki import LabAuthority
from tests.peers.ports import free_ports
from tests.peers.process import PeerProcess, bound_ports, find, listening


class _Process(PeerProcess):
    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()

    def ready(self) -> None:
        """Wait until it listens."""
        where = f"listening ports {self.tcp + self.udp}"
        self.wait_until(lambda: listening(*self.tcp) and set(self.udp) <= bound_ports(True), 30, where)


class Pebble:
    """A directory that asks HTTP-01 on ``http_port`` and issues for ``validity`` seconds.

    ``nonces_refused`` is the percentage of good nonces that it refuses all the same; ``customers`` are the
    keys, by their ids, without which it opens no account.
    """

    def __init__(
        self, directory: Path, http_port: int, *, validity: int = 86400 * 90, nonces_refused: int = 0,
        customers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.directory = directory
        self._customers = customers
        self._port, self._management, dns, challenges = free_ports(4)
        self.ca_file = directory / "pebble-https-ca.pem"
        self._stack = ExitStack()
        self._dns = _Process("challtestsrv", directory, self._dns_command(dns, challenges))
        self._dns.tcp, self._dns.udp = (challenges,), (dns,)
        self._write(http_port, validity)
        chances = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": str(nonces_refused)}
        settings = [f"{name}={value}" for name, value in chances.items()]
        pebble = [find("pebble"), "-config", str(directory / "pebble.json")]
        command = [find("env"), *settings, *pebble, "-dnsserver", f"127.0.0.1:{dns}"]
        self.process = _Process("pebble", directory, command)
        self.process.tcp = (self._port, self._management)

    @property
    def url(self) -> str:
        """The directory's URL."""
        return f"https://localhost:{self._port}/dir"

    def root(self) -> bytes:
        """The certificate of its root, PEM."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"https://localhost:{self._management}/roots/0"
        with urllib.request.urlopen(url, context=context, timeout=5) as answer:
            data: bytes = answer.read()
            return data

    def _dns_command(self, dns: int, challenges: int) -> list[str]:
        off = ["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]
        where = ["-dns01", f"127.0.0.1:{dns}", "-management", f"127.0.0.1:{challenges}"]
        return [find("pebble-challtestsrv"), *where, *off]

    def _write(self, http_port: int, validity: int) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        authority = LabAuthority("Pebble HTTPS")
        own = authority.issue(dns=["localhost"])
        self.ca_file.write_bytes(authority.cert_pem)
        (self.directory / "https.pem").write_bytes(own.chain_pem)
        (self.directory / "https.key").write_bytes(own.key_pem)
        settings = {
            "listenAddress": f"127.0.0.1:{self._port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self.directory / "https.pem"),
            "privateKey": str(self.directory / "https.key"),
            "httpPort": http_port,
            "tlsPort": 1,
            "certificateValidityPeriod": validity,
            "externalAccountBindingRequired": self._customers is not None,
            "externalAccountMACKeys": dict(self._customers or {}),
        }
        (self.directory / "pebble.json").write_text(json.dumps({"pebble": settings}))

    def __enter__(self) -> Self:
        self._stack.enter_context(self._dns)
        self._stack.enter_context(self.process)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
