"""Two ends of TLS in one process and nothing between them: no socket, no greenlet, no clock.

One end is the SBC's own, under the admission that its trust table gives and at a moment that the test sets.
The other is Python's ``ssl``, another OpenSSL than ours with a view of its own, or a second end of the
SBC's. ``Pair.drive`` moves octets until neither end has any; on the way each record can be dropped, split,
changed or held back. What a test wants of sockets, reuse or messages it asks of a running ``Lab``.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from sbc.base import Address
from sbc.demo.pki import Issued
from sbc.flow import Flow
from sbc.net.revocation.inquiry import Revocation
from sbc.net.source import Ended
from sbc.net.tls.contexts import Contexts
from sbc.net.tls.end import HandshakeError, TlsEnd, failed_event, handshake_event
from sbc.net.tls.hello import Peek
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.evidence import Ending
from sbc.tls.match import Admission
from sbc.tls.names import is_ip
from tests.edge.tls_lab import OK, OPTIONS, Lab, client_context, server_context

# As in ``ssl`` itself: a context of gevent's gives it only to connections on sockets of gevent's.
_by_name: Any = ssl.SSLContext.sni_callback
SNI, HOST = "sbc.example", "127.0.0.1"
LOCAL = Address("127.0.0.1", 5061)


class End(Protocol):
    """What a pair is made of."""

    def receive(self, data: bytes) -> None:
        """Take octets of the other end, of one record at most."""

    def drain(self) -> bytes:
        """What is to be sent to the other end."""


class Theirs:
    """A peer made of Python's ``ssl``: it says ``says`` as soon as it believes the handshake to be over.

    Where it verifies, it does so by the machine's clock. ``error`` is what ended it, ``heard`` all plaintext.
    """

    def __init__(
        self, context: Any, *, server: bool = False, sni: str | None = None, says: bytes = b""
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        if server and _by_name.__get__(context) is None:
            # It picks its certificate by name, else OpenSSL has no TLS 1.3 for a server without one.
            by_name(context, lambda *_name: None)
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=sni)
        self._says = says
        self.done = False
        self.error: OSError | None = None
        self.heard = b""
        self._go_on()

    def receive(self, data: bytes) -> None:
        self._incoming.write(data)
        if self.error is None:
            self._go_on()

    def drain(self) -> bytes:
        return self._outgoing.read()

    def _go_on(self) -> None:
        try:
            if not self.done:
                self._tls.do_handshake()
                self.done = True
                if self._says:
                    self._tls.write(self._says)
            while data := self._tls.read(65536):
                self.heard += data
        except ssl.SSLWantReadError:
            pass
        except OSError as error:
            self.error = error


def by_name(context: Any, callback: Callable[..., int | None]) -> None:
    """Let a server of ``Theirs`` ask ``callback`` about each name; it gives None or an alert."""
    _by_name.__set__(context, callback)


class Clear:
    """A peer that speaks no TLS: it answers the first octets in the clear."""

    def __init__(self, says: bytes) -> None:
        self._says, self._heard = says, False

    def receive(self, data: bytes) -> None:
        self._heard = True

    def drain(self) -> bytes:
        said, self._says = (self._says, b"") if self._heard else (b"", self._says)
        return said


class Ours:
    """An end of the SBC's. ``trunk`` is who was admitted, ``error`` why nobody was or no longer is.

    ``heard`` is all plaintext, ``ended`` why there is no more of it; ``says`` goes to whoever was admitted.
    """

    end: TlsEnd | None = None

    def __init__(self, contexts: Contexts, remote: Address, now: float, says: bytes = b"") -> None:
        self._contexts = contexts
        self._says, self._said = says, b""
        self._remote = remote
        self._now = now
        self.candidates: tuple[str, ...] = ()
        self.trunk: str | None = None
        self.error: HandshakeError | None = None
        self.heard = b""
        self.ended = ""

    def _open(self, admission: Admission, sni: str = "") -> TlsEnd:
        self.candidates = admission.names
        connection, judge = self._contexts.open(admission, self._now, sni)
        self.end = TlsEnd(connection, judge, sni)
        return self.end

    def receive(self, data: bytes) -> None:
        assert self.end is not None
        if self.error is not None or self.ended:
            return
        try:
            if self.trunk is not None:
                self.heard += self.end.decrypt(data)
            elif self.end.advance(data):
                self._admit(self.end)
        except HandshakeError as error:
            self.error = error
        except Ended as ended:
            self.ended = str(ended)

    def _admit(self, end: TlsEnd) -> None:
        trunk = end.admitted()
        refused = self._contexts.revocation.objection(end.judge, self._remote)
        if refused is not None:
            raise HandshakeError(decided=refused)
        self.trunk, self.candidates = trunk, (trunk,)
        if self._says:
            self._said = end.encrypt(self._says)

    def drain(self) -> bytes:
        said, self._said = self._said, b""
        return said + (self.end.drain() if self.end is not None else b"")

    def cut(self, how: Ending) -> None:
        """The connection ends so while the handshake is under way."""
        self.error = HandshakeError(how)

    @property
    def outbound(self) -> bool:
        return self.end is not None and self.end.judge.admission.direction == "outbound"

    def failure(self) -> HandshakeFailed:
        """The event of a handshake that failed."""
        assert self.error is not None and self.end is not None
        return failed_event(
            self.error, self.end, direction="outbound" if self.outbound else "inbound", listener="tls",
            candidates=self.candidates, remote=self._remote, sni=self.end.sni, at=self._now,
        )  # fmt: skip

    def told(self) -> Handshake:
        """The event of a handshake that was good."""
        assert self.error is None and self.end is not None
        flow = Flow(
            1, "tls", LOCAL, self._remote, listener="tls", trunk=self.trunk, tls=self.end.facts(),
            outbound=self.outbound,
        )  # fmt: skip
        return handshake_event(self.end, flow, self._now)


class Inbound(Ours):
    """The SBC's end of a connection from ``host``: it is admitted by address and name, then judged."""

    def __init__(self, contexts: Contexts, host: str, now: float) -> None:
        super().__init__(contexts, Address(host, 50000), now)
        self._host = host
        self._peek = Peek()
        self._hello = b""

    def receive(self, data: bytes) -> None:
        if self.end is None and self.error is None:
            self._hello += data
            sni = self._peek.feed(data)
            if sni is None:
                assert self._peek.failure is None, (
                    "whoever sends no ClientHello meets the listener, not an end"
                )
                return
            admission = self._contexts.table.admit("tls", self._host, sni)
            assert admission is not None, "whoever no trunk admits meets the listener, not an end"
            end, data = self._open(admission), self._hello
            end.sni = sni
        super().receive(data)


class Outbound(Ours):
    """The SBC's end of a connection to ``host``, a peer of ``trunk``."""

    def __init__(self, contexts: Contexts, trunk: str, host: str, now: float, says: bytes = b"") -> None:
        super().__init__(contexts, Address("127.0.0.1", 5061), now, says)
        admission = contexts.table.outbound(trunk, host)
        assert admission is not None
        self._open(admission, "" if is_ip(host) else host).advance()


class Way:
    """One direction: what is on its way. ``between`` says what becomes of each record; ``held`` stops all."""

    def __init__(self) -> None:
        self.between: Callable[[bytes], Sequence[bytes]] = lambda record: (record,)
        self.held = False
        self._under_way: deque[bytes] = deque()

    def move(self, sender: End, receiver: End) -> bool:
        """Take what there is to send and deliver what may arrive; whether anything did."""
        for record in _records(sender.drain()):
            self._under_way.extend(self.between(record))
        moved = False
        while self._under_way and not self.held:
            receiver.receive(self._under_way.popleft())
            moved = True
        return moved


class Pair:
    """One end of ours and another, and the two ways between them."""

    def __init__(self, ours: Ours, theirs: End) -> None:
        self._ends = ours, theirs
        self.to_ours, self.to_theirs = Way(), Way()

    def drive(self) -> None:
        """Until nothing moves any more: both are done, one has failed, or what is missing is on its way."""
        ours, theirs = self._ends
        while self.to_theirs.move(ours, theirs) | self.to_ours.move(theirs, ours):
            pass


class Moment:
    """A clock that stands still until a test moves it; it inherits nothing, for ours may be compiled."""

    __slots__ = ("at",)

    def __init__(self, at: float) -> None:
        self.at = at

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def __call__(self) -> float:
        return self.at


class Door:
    """The SBC's side of every handshake of a lab that is not started: trust table, contexts, what was seen.

    ``ours`` and ``theirs`` are the ends of the last handshake, ``event`` what was told of the last good one.
    """

    ours: Ours
    theirs: Theirs
    event: Handshake

    def __init__(self, lab: Lab) -> None:
        self.clock = Moment(time.time())
        self._lab = lab
        clock: Any = self.clock
        self.contexts = Contexts(lab.snapshot(), Revocation(clock))

    def reload(self) -> None:
        """What the lab has now is in force."""
        self.contexts.apply(self._lab.snapshot())

    def inbound(self, host: str = HOST) -> Inbound:
        """Our end of a connection from ``host``."""
        return Inbound(self.contexts, host, self.clock.at)

    def outbound(self, trunk: str, host: str = "localhost", says: bytes = b"") -> Outbound:
        """Our end of a connection to ``host``."""
        return Outbound(self.contexts, trunk, host, self.clock.at, says)

    def meet(self, context: Any, sni: str | None = SNI, host: str = HOST) -> Pair:
        """A peer with this context connects, and sends OPTIONS at once."""
        self.ours, self.theirs = self.inbound(host), Theirs(context, sni=sni, says=OPTIONS)
        return Pair(self.ours, self.theirs)

    def dial(self, trunk: str, context: Any, host: str = "localhost", says: bytes = OPTIONS) -> Pair:
        """We connect to a server with this context, and send OPTIONS; it greets us."""
        self.ours, self.theirs = self.outbound(trunk, host, says), Theirs(context, server=True, says=OK)
        return Pair(self.ours, self.theirs)

    def admits(self, context: Any, sni: str | None = SNI, host: str = HOST) -> str | None:
        """The trunk that a peer with this context comes in on; None where it is refused, and not heard."""
        self.meet(context, sni, host).drive()
        return self._outcome(OPTIONS)

    def enters(self, issued: Issued | None, version: str | None = None) -> str | None:
        """The same, for a peer with this certificate."""
        return self.admits(client_context(self._lab, issued, version))

    def accepts(self, trunk: str, context: Any, host: str = "localhost") -> str | None:
        """The trunk that a server with this context proves to be.

        None where we refuse it; it hears nothing then.
        """
        self.dial(trunk, context, host).drive()
        found = self._outcome(OK)
        assert self.theirs.heard == (OPTIONS if found else b"")
        return found

    def reaches(
        self, trunk: str, issued: Issued | None, version: str | None = None, host: str = "localhost"
    ) -> str | None:
        """The same, for a server with this certificate."""
        return self.accepts(trunk, server_context(self._lab, issued, version), host)

    def _outcome(self, said: bytes) -> str | None:
        if self.ours.error is None:
            assert self.ours.heard == said and self.theirs.error is None
            self.event = self.ours.told()
            return self.ours.trunk
        assert self.ours.heard == b""
        return None

    @property
    def reason(self) -> str:
        """The class of the last failure."""
        return self.ours.failure().failure.kind


def _records(data: bytes) -> Iterator[bytes]:
    """The TLS records of ``data`` one by one (RFC 8446 5.1)."""
    while data:
        size = 5 + int.from_bytes(data[3:5], "big")
        yield data[:size]
        data = data[size:]
