"""``limits`` of a trunk and of a tenant, and ``overload``: how much is taken of whoever asks for it."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from sbc.config.premium import PremiumLimits
from sbc.config.values import Duration, Rate, Strict
from sbc.policy.rates import OTHER

#: What may have a rate of its own; ``other`` is whatever a mapping does not name.
RATED: Final = (
    "invite", "register", "options", "message", "notify", "subscribe", "publish", "refer", "info", OTHER,
)  # fmt: skip


def _rated(text: object) -> str:
    name = str(text).lower()
    if name not in RATED:
        raise ValueError(f"{text!r} has no rate: write {', '.join(RATED[:-1])} or {OTHER}")
    return name


def _not_none(rate: float) -> float:
    if rate <= 0:
        raise ValueError(f"{rate:g} a second lets nothing pass: write a number over 0, such as 20/s")
    return rate


RequestRates = Annotated[
    dict[Annotated[str, BeforeValidator(_rated)], Annotated[Rate, AfterValidator(_not_none)]],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {each: {"type": ["string", "number"]} for each in RATED},
            "additionalProperties": False,
            "examples": [{"invite": "20/s", "options": "5/s", OTHER: "10/s"}],
        }
    ),
]


class TenantLimits(Strict):
    """Upper bounds of all trunks of a tenant together; None is no bound. ``cps`` is new calls a second.

    ``calls_per_caller`` is how many calls one caller has at once; ``rates`` are requests a second that are of
    no call, by method.
    """

    calls: int | None = Field(default=None, ge=0)
    cps: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    calls_per_caller: int | None = Field(default=None, ge=1)
    rates: RequestRates = {}


class Limits(TenantLimits):
    """The same of one trunk; ``ports`` are pairs of media ports that calls from it hold.

    A call takes two for each of its streams. ``premium`` bounds calls to numbers that cost.

    ``rates_per_source`` hold for each address of the trunk, ``rates_per_user`` for each user of a trunk with
    phones.
    """

    ports: int | None = Field(default=None, ge=2)
    premium: PremiumLimits | None = None
    rates_per_source: RequestRates = {}
    rates_per_user: RequestRates = {}


class Overload(Strict):
    """When the whole takes nothing new: ``lag`` is how late the loop comes round, ``transactions`` are SIP
    transactions that live."""

    lag: Duration = Field(default=0.5, ge=0.05)
    transactions: int = Field(default=50_000, ge=100)
