"""The `match:` of a trunk, as the operator writes it."""

from __future__ import annotations

from pydantic import Field, model_validator

from sbc.config.values import CalledHosts, CalledNumbers, Strict


class Match(Strict):
    """Which requests are those of a trunk whose address others have too; all that is given must fit.

    ``number`` is the number asked for: its beginning, or a block. Hosts are those of the request URI and of
    From.
    """

    to_host: CalledHosts = Field(default=(), alias="to.host")
    from_host: CalledHosts = Field(default=(), alias="from.host")
    number: CalledNumbers = ()

    @model_validator(mode="after")
    def _says_something(self) -> Match:
        if not (self.to_host or self.from_host or self.number):
            raise ValueError(
                'it names nothing: write to.host, from.host or number, such as {number: ["+4930100"]}'
            )
        return self
