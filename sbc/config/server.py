"""One of a trunk's peers as the operator writes it, and whom names are asked of."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from sbc.base import Address
from sbc.config.values import Duration, NameServer, PeerHost, Strict, is_domain, parse_address, with_port


class Server(Strict):
    """One of a trunk's peers; ``host:port`` is enough where nothing else is said of it.

    A host name without a ``port`` is a domain, whose servers DNS names (RFC 3263 4).
    The lowest ``priority`` is tried first, and peers of the same share the calls by ``weight`` (RFC 2782).
    ``try_for`` is how long it has for its first response, from the first attempt to connect.
    """

    host: PeerHost
    port: int = Field(default=0, ge=0, le=65535)
    priority: int | None = Field(default=None, ge=0, le=65535)
    weight: int | None = Field(default=None, ge=0, le=65535)
    try_for: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return with_port(given)
        if isinstance(given, Server):
            return given
        if is_domain(given):
            return {"host": given}
        address = parse_address(given)
        return {"host": address.host, "port": address.port}

    @property
    def address(self) -> Address:
        """Where it is, by name or by IP address."""
        return Address(self.host, self.port)


class Dns(Strict):
    """Whom names are asked of; without ``servers`` whomever /etc/resolv.conf names, as it stands."""

    servers: tuple[NameServer, ...] = ()
