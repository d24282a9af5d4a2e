"""When an address is blocked, and for how long: ``blocklist`` of sbc.yaml."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from sbc.config.values import Duration, Strict
from sbc.policy.suspicion import Terms

DAY = 86400.0


def _product(text: str) -> str:
    if not text.strip() or any(each in text for each in "/\t") or text != text.strip():
        raise ValueError(
            f"{text!r} is no product: write what stands before the / in User-Agent, such as sipcli"
        )
    return text


def _at_most_a_day(seconds: float) -> float:
    if seconds > DAY:
        raise ValueError("what happened is remembered for a day at most: write a duration up to 24h")
    return seconds


class BlocklistSettings(Strict):
    """More than ``failures`` of one address ``within`` a time block it ``for`` another one.

    ``scanners`` are the products of User-Agent whose first message to a trunk of phones is enough.
    """

    failures: int = Field(default=15, ge=1, le=100)
    within: Annotated[Duration, AfterValidator(_at_most_a_day)] = 300.0
    lasts: Duration = Field(default=3600.0, alias="for")
    scanners: tuple[Annotated[str, AfterValidator(_product)], ...] = (
        "friendly-scanner", "friendly-request", "sipvicious", "sipcli", "sip-scan", "sipscan", "smap",
        "pplsip", "sundayddr", "iWar", "SIVuS", "Gulp", "VaxSIPUserAgent", "VaxIPUserAgent",
    )  # fmt: skip

    @property
    def terms(self) -> Terms:
        """What is too much, and for how long."""
        return Terms(self.failures, self.within, self.lasts)

    @cached_property
    def _products(self) -> frozenset[str]:
        return frozenset([each.lower() for each in self.scanners])

    def names(self, agent: str) -> bool:
        """Whether a User-Agent begins with the product of a scanner, in whatever letters."""
        text = agent.lower()
        return text in self._products or text.partition("/")[0].partition(" ")[0] in self._products


def _or_false(given: Any) -> Any:
    if given is None:
        raise ValueError(
            "nothing is given: write false to block nobody, or leave the key out for the defaults"
        )
    if isinstance(given, str | int) and not isinstance(given, bool):
        words = "{failures: 15, within: 5m, for: 1h}"
        raise ValueError(f"{given!r} is no blocklist: write false to block nobody, or {words}")
    return None if given is False else {} if given is True else given


class _FalseForNone:
    """Tells an editor that what is None with us is written as false."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        either = handler(schema)["anyOf"]
        return {"anyOf": [{"const": False}, *(each for each in either if each.get("type") != "null")]}


#: None where nobody is blocked.
MaybeBlocklist = Annotated[BlocklistSettings | None, BeforeValidator(_or_false), _FalseForNone()]
