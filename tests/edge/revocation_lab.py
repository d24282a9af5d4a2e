"""A lab whose CA publishes: a list and a responder on loopback, good, bad or absent as a test says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography.x509 import ocsp
from gevent import ssl

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.handler import Edge
from sbc.net.revocation.inquiry import Revocation
from sbc.net.system.store import Store
from sbc.net.tls.contexts import Contexts
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.observe.traffic import Tally
from sbc.tls.revocation.policy import SoftPass
from tests.edge.no_names import no_names
from tests.edge.tls_lab import Lab, client_context, try_options
from tests.edge.web import Web, response
from tests.unit.tls.revoking import (
    certificate_of,
    list_points,
    ocsp_answer,
    responder_at,
    revocation_list,
)


class Told:
    """An observer that writes down what it is told."""

    def __init__(self) -> None:
        self.passes: list[SoftPass] = []
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def soft_pass(self, event: SoftPass) -> None:
        self.passes.append(event)

    def revocation(self, level: str, fields: dict[str, Any], now: float) -> None:
        self.lines.append((level, fields))

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [fields for _, fields in self.lines if fields["event"] == name]


class Publisher:
    """What a CA publishes over HTTP: its list at /crl, its answers at /ocsp, each from what it has issued."""

    def __init__(self, web: Web, authority: LabAuthority, path: str = "") -> None:
        self.web = web
        self.authority = authority
        self.list_url, self.responder_url = web.url(f"{path}/crl"), web.url(f"{path}/ocsp")
        self.revoked: list[Issued | int] = []
        self.issued: dict[int, Issued] = {}
        self.signer: Any = None
        self.ends = 3600.0
        self.unknown = False
        self.replay: Issued | None = None
        web.pages[f"{path}/crl"] = lambda sock, _: sock.sendall(response(self.list()))
        web.pages[f"{path}/ocsp"] = lambda sock, body: sock.sendall(response(self.answer(body)))

    def issue(self, *names: str, crl: bool = False, ocsp: bool = False, **options: Any) -> Issued:
        """A certificate that names the list, the responder, both or neither."""
        extensions = [*options.pop("extensions", ())]
        extensions += [list_points(self.list_url)] * crl + [responder_at(self.responder_url)] * ocsp
        made = self.authority.issue(dns=names, extensions=extensions, **options)
        self.issued[certificate_of(made).serial_number] = made
        return made

    def list(self) -> bytes:
        """The list of this moment."""
        begins = -60.0 if self.ends > 0 else self.ends - 60
        return revocation_list(
            self.authority, time.time(), self.revoked, begins=begins, ends=self.ends, signer=self.signer
        )

    def answer(self, question: bytes) -> bytes:
        """The answer to a request."""
        serial = ocsp.load_der_ocsp_request(question).serial_number
        return self.answer_about(self.replay or self.issued[serial])

    def answer_about(self, issued: Issued) -> bytes:
        """The answer of this moment about a certificate."""
        state = "revoked" if issued in self.revoked else "unknown" if self.unknown else "good"
        begins = -60.0 if self.ends > 0 else self.ends - 60
        return ocsp_answer(
            issued, self.authority, time.time(), state, begins=begins, ends=self.ends, signer=self.signer
        )


class RevocationLab(Lab):
    """The edge with revocation, kept in a Store, and what it tells."""

    def __init__(self, directory: Path, web: Web) -> None:
        super().__init__(directory)
        self.web = web
        self.publisher = Publisher(web, self.ca)
        self.told = Told()
        self.settings["revocation"] = {"allow_private": ["127.0.0.0/8"], "wait": "2s", "timeout": "300ms"}
        self.listener("tls")

    def start(self) -> None:
        """Bring it up."""
        snapshot = self.snapshot()
        self.store = Store(self.directory, print)
        edges: list[Edge] = []
        self.revocation = Revocation(self.clock, self.told, self.store, edges)
        contexts = Contexts(snapshot, self.revocation)
        self.listeners = Listeners(snapshot, contexts, self.recorder, self.clock, Tally())
        self.dialer = Dialer(self.listeners, self.recorder, self.clock, no_names(self.clock))
        edges += [self.listeners, self.dialer]
        self.revocation.start()
        self.listeners.start()
        self.dialer.start()

    def close(self) -> None:
        """Take it down."""
        super().close()
        if hasattr(self, "revocation"):
            self.revocation.close()
            self.store.close()


@contextmanager
def revocation_lab(directory: Path, kind: type[RevocationLab] = RevocationLab) -> Iterator[RevocationLab]:
    """A lab for the length of a block."""
    web = Web()
    lab = kind(directory, web)
    try:
        yield lab
    finally:
        lab.close()
        web.close()


def inbound(lab: RevocationLab, issued: Issued, version: str = "1.3") -> Exception | None:
    """What a peer with this certificate is told on connecting; None where it is let in."""
    return try_options(lab.address(), client_context(lab, issued, version))


def started(lab: RevocationLab, mode: str = "hard", *methods: str) -> RevocationLab:
    """The lab with one trunk, running."""
    policy: dict[str, Any] = {"mode": mode, **({"methods": methods} if methods else {})}
    lab.trunk("acme", {"revocation": policy})
    lab.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    lab.start()
    return lab


def serial_of(issued: Issued) -> int:
    """The serial number."""
    return certificate_of(issued).serial_number


def closed(secured: ssl.SSLSocket) -> bool:
    """Whether the other side has closed, waiting for it a moment."""
    secured.settimeout(3)
    try:
        return not secured.recv(100)
    except TimeoutError:
        return False
    except OSError:
        return True
