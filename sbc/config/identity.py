"""Who is believed about who a user is, and who is told: ``identity:`` of a trunk."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field, model_validator

from sbc.config.values import Strict, TextOr
from sbc.policy.identity import Trust, Written


class CallerIdentity(Strict):
    """The trust between a trunk and us in who users are (RFC 3325); one word is for both directions.

    None is: as far as the peer's certificate was verified, and of phones not at all. ``header`` is by which
    its peers are told.
    """

    into: Trust | None = Field(default=None, alias="in")
    out: Trust | None = None
    header: Written = "P-Asserted-Identity"

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        if given not in get_args(Trust):
            words = ", ".join(get_args(Trust))
            raise ValueError(
                f"{given!r} is not a choice: write one of {words}, or {{in: trusted, out: screened}}"
            )
        return {"in": given, "out": given}


Identified = Annotated[CallerIdentity, TextOr("trusted")]
