"""Which calls are emergency calls, and what is kept for them: ``emergency`` of sbc.yaml."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import (
    BeforeValidator,
    Field,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from dsl.addresses import Party, is_sos
from sbc.config.values import Strict

SOS = "urn:service:sos"
_NUMBER = re.compile(r"\+?[0-9*#]{1,32}").fullmatch


def parse_number(value: object) -> str:
    """Read a number as it is dialled, quoted or not; ValueError otherwise."""
    text = "" if isinstance(value, bool) else str(getattr(value, "text", value)).strip()
    if not _NUMBER(text):
        raise ValueError(f"{value!r} is not a number that is dialled: write digits, such as 112")
    return text


Number = Annotated[
    str,
    BeforeValidator(parse_number),
    WithJsonSchema({"type": ["string", "integer"], "examples": [112, "911"]}),
]


class EmergencyReserve(Strict):
    """What each trunk has for emergency calls beside its limits: calls at once, and new ones a second."""

    calls: int = Field(default=10, ge=1)
    cps: float = Field(default=5.0, ge=0.1, allow_inf_nan=False)


class Emergency(Strict):
    """The numbers of emergency services, whether ``urn:service:sos`` is one (RFC 5031), and their reserve."""

    numbers: tuple[Number, ...] = ()
    urns: StrictBool = True
    reserve: EmergencyReserve = EmergencyReserve()

    @model_validator(mode="after")
    def _some(self) -> Emergency:
        if not self.numbers and not self.urns:
            raise ValueError("no call would be an emergency call: write numbers: [112, 911], or urns: true")
        return self

    def means(self, called: Party) -> bool:
        """Whether a call to ``called`` is an emergency call, however its number is spelled."""
        return called.user in self.numbers or (self.urns and is_sos(called.user))

    @property
    def said(self) -> tuple[str, ...]:
        """What is dialled, and the URN."""
        return (*self.numbers, SOS) if self.urns else self.numbers
