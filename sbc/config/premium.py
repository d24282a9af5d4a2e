"""``limits.premium`` of a trunk: what its calls to numbers that cost may come to, as its file says."""

from __future__ import annotations

from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, StrictBool, model_validator

from dsl.check_actions import MOST_CALLS
from dsl.names import suggest
from dsl.scope import TABLE
from sbc.config.values import Strict


def _table(text: str) -> str:
    if not text.startswith(TABLE) or not text.removeprefix(TABLE).isidentifier():
        raise ValueError(f"{text!r} is no table: write such as table.irsf, which `tables:` of sbc.yaml names")
    return text


def _zone(text: str) -> str:
    if text not in available_timezones():
        hint = suggest(text, available_timezones()) or "write such as Europe/Berlin"
        raise ValueError(f"{text!r} is no time zone: {hint}")
    return text


Amount = Annotated[int, Field(ge=0, le=MOST_CALLS)]


class PremiumLimits(Strict):
    """Bounds of a trunk's calls to the numbers of a table; None is no bound.

    They hold for all its calls together, or ``per`` caller: who has proved a password, else who is in From.
    With ``hard`` the calls that run are ended when their minutes are used up. Hours and days are those of
    ``zone``.
    """

    to: Annotated[str, AfterValidator(_table)]
    calls: Amount | None = None
    calls_a_day: Amount | None = None
    minutes_an_hour: Amount | None = None
    minutes_a_day: Amount | None = None
    per: Literal["trunk", "caller"] = "trunk"
    hard: StrictBool = False
    zone: Annotated[str, AfterValidator(_zone)] | None = None

    @model_validator(mode="after")
    def _says_how_much(self) -> PremiumLimits:
        if self.calls is self.calls_a_day is self.minutes_an_hour is self.minutes_a_day is None:
            raise ValueError("it bounds nothing: write how much may be called, such as minutes_a_day: 600")
        if self.hard and self.minutes_an_hour is self.minutes_a_day is None:
            raise ValueError("hard is of minutes: leave it out, or write such as minutes_a_day: 600")
        return self
