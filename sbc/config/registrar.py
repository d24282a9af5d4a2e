"""Phones that register with us: ``registrar`` of sbc.yaml, and what has to fit together with it."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, model_validator

from dsl.addresses import canonical_host
from sbc.config.values import Duration, Host, Strict
from sbc.registrar.register import HOUR, Terms


class Expires(Strict):
    """How long a binding is kept: at least, at most, and where a phone asks for nothing."""

    min: Duration = 60.0
    default: Duration = 3600.0
    max: Duration = 7200.0

    @model_validator(mode="after")
    def _in_order(self) -> Expires:
        if self.min > HOUR:
            raise ValueError(f"min is {self.min:g}s: an hour may not be refused (RFC 3261 10.3): write 3600s")
        if not 1 <= self.min <= self.default <= self.max:
            said = f"min {self.min:g}s, default {self.default:g}s, max {self.max:g}s"
            raise ValueError(f"{said}: write them in this order, such as min: 60s, default: 1h, max: 2h")
        return self


class RegistrarSettings(Strict):
    """Who may register, as whom, and for how long; trunks with ``phones: true`` are where.

    ``realm`` is what passwords are for, and one of the hosts behind the @; ``domains`` are further ones.
    ``users`` is the file of who has a password, without one that of the key ``users``. ``contacts`` are the
    most that a user has at once, unless the file says otherwise of one.
    """

    realm: str = Field(min_length=1)
    users: str | None = Field(default=None, min_length=1)
    domains: tuple[Host, ...] = ()
    expires: Expires = Expires()
    contacts: int = Field(default=5, ge=1, le=100)

    def terms(self, contacts: int | None) -> Terms:
        """What a user may have, of whom the users file says ``contacts``."""
        times = self.expires
        return Terms(int(times.min), int(times.max), int(times.default), contacts or self.contacts)

    @cached_property
    def hosts(self) -> frozenset[str]:
        """The hosts behind the @ of its users."""
        return frozenset([canonical_host(each) for each in (self.realm, *self.domains)])
