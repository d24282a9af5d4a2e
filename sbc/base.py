"""Base types that every layer shares: addresses and the three kinds of error.

``PeerError`` is the peer's fault and carries the SIP status that answers it;
``LocalError`` is ours; ``ConfigError`` is the operator's and carries every
diagnostic at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from dsl.errors import Diagnostic


class Address(NamedTuple):
    """A transport address: a literal IP (or a name still to be resolved) and a port.

    A name with the port 0 is a domain, whose servers have ports of their own (RFC 3263 4).
    """

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port and self.host[-1:].isalpha():
            return self.host  # a domain: DNS says where its servers are
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


_new: Final = tuple.__new__


def address(host: str, port: int) -> Address:
    """``Address(host, port)`` for what makes some in each call: a third of the instructions, compiled."""
    return _new(Address, (host, port))


@lru_cache(maxsize=256)
def is_wildcard(host: str) -> bool:
    """Whether ``host``, however it is written, means every address of the machine and so none to reach."""
    return not host.lower().removeprefix("::ffff:").strip("0.:x")


class PeerError(Exception):
    """What a peer sent cannot be accepted; ``status`` is the SIP answer where one is due."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class LocalError(Exception):
    """Portcullis itself could not do something; the text says what and what to do."""


class ConfigError(Exception):
    """The configuration is wrong; ``diagnostics`` lists every mistake found."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("\n".join(str(each) for each in diagnostics))
        self.diagnostics = diagnostics
