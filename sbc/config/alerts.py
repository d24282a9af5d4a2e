"""Whom the operator is told by when something is wrong, and what is worth it: ``alerts`` of sbc.yaml."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema, model_validator

from sbc.config.values import Duration, Name, Strict

#: The schemes of apprise that are mail, Slack, Teams (Workflows of Power Automate) and any service of ours.
SCHEMES: Final = ("mailto", "mailtos", "slack", "workflows", "jsons")
_BARE: Final = ("mailto", "mailtos")
_TIME: Final = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])").fullmatch
_PERCENT: Final = re.compile(r"([0-9]{1,2}(?:\.[0-9]+)?) ?%?").fullmatch
_EXAMPLE: Final = '"mailto://mail.example.net?from=sbc@example.net&to=noc@example.net"'


def objection(url: str) -> str:
    """What is wrong with the address of a sink, without a word of it; "" for nothing."""
    try:
        parts = urlsplit(url)
        scheme, whole = parts.scheme, bool(parts.netloc)
        _ = parts.port
    except ValueError:
        return "it is no URL: check what apprise (https://appriseit.com) wants for this service"
    if scheme not in SCHEMES:
        return f"its scheme is none that alerts go to: write one of {', '.join(f'{s}://' for s in SCHEMES)}"
    if not whole or any(each.isspace() or not each.isprintable() for each in url):
        return f"it is no URL: write SCHEME://..., such as {_EXAMPLE}, without blanks"
    if scheme == "mailto" and _password(url):
        return "its password would cross the network in the clear: write mailtos://..."
    return ""


def _password(url: str) -> bool:
    """Whether a URL of mail has a user, who has a password."""
    return "@" in url.partition("?")[0] or "pass=" in url


def _bare(url: str) -> str:
    """A URL that may stand in sbc.yaml: of mail, without a password; what was given is never shown."""
    scheme = url.partition("://")[0]
    if scheme in SCHEMES and (scheme not in _BARE or _password(url)):
        raise ValueError(
            f"a URL of {scheme}:// holds a secret: write it to a file of its own, url_file: secrets/NAME"
        )
    wrong = objection(url)
    if wrong:
        raise ValueError(wrong)
    return url


def _time_of_day(value: object) -> int:
    found = _TIME(str(value).strip())
    if found is None:
        raise ValueError(f'{value!r} is no time of day: write one such as "22:00"')
    return int(found[1]) * 60 + int(found[2])


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        raise ValueError(f"{name!r} is no time zone: write one such as Europe/Berlin") from None
    return name


def _share(value: object) -> float:
    text = str(value).strip()
    found = None if isinstance(value, bool) else _PERCENT(text)
    share = float(found[1]) / 100 if found is not None else -1.0
    # 0.1 alone may be a tenth of the disk, or a tenth of a percent.
    if share < 0.0 or (0.0 < share < 0.01 and not text.endswith("%")):
        raise ValueError(f"{value!r} is no share of a disk: write one such as 10%")
    return share


TimeOfDay = Annotated[
    int, BeforeValidator(_time_of_day), WithJsonSchema({"type": "string", "examples": ["22:00"]})
]
Share = Annotated[
    float,
    BeforeValidator(_share),
    PlainSerializer(lambda share: f"{share:.0%}", when_used="json"),  # a default as it is written
    WithJsonSchema({"type": ["string", "number"], "examples": ["10%"]}),
]


class Sink(Strict):
    """One place that alerts go to, by its address: in a file of its own, or mail without a password.

    With ``urgent_only`` it hears of nothing less.
    """

    url: Annotated[str, AfterValidator(_bare)] | None = None
    url_file: str | None = Field(default=None, min_length=1)
    urgent_only: bool = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"url": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _one(self) -> Sink:
        if (self.url is None) == (self.url_file is None):
            raise ValueError(
                f"where to is said twice or never: write url_file: secrets/NAME, or url: {_EXAMPLE}"
            )
        return self


class QuietHours(Strict):
    """When only what is urgent is told, in ``zone``, without one that of this machine."""

    begins: TimeOfDay = Field(alias="from")
    ends: TimeOfDay = Field(alias="to")
    zone: Annotated[str, AfterValidator(_zone)] | None = None

    @model_validator(mode="after")
    def _some(self) -> QuietHours:
        if self.begins == self.ends:
            raise ValueError('they end when they begin: write two times, such as "22:00" and "06:00"')
        return self

    def at(self, now: float) -> bool:
        """Whether ``now`` (POSIX seconds) is within them; they may go over midnight."""
        moment = datetime.fromtimestamp(now, ZoneInfo(self.zone) if self.zone is not None else None)
        minute = moment.hour * 60 + moment.minute
        if self.begins < self.ends:
            return self.begins <= minute < self.ends
        return minute >= self.begins or minute < self.ends


class Watched(Strict):
    """How many ``within`` that time are too many, and how much of a disk is to be free."""

    handshake_failures: int = Field(default=10, ge=1)
    blocked: int = Field(default=20, ge=1)
    within: Duration = Field(default=300.0, le=3600)
    disk_free: Share = Field(default=0.1, json_schema_extra={"default": "10%"})


class Alerts(Strict):
    """Where alerts go ``to``, by name; of the same thing at most one ``every`` so often.

    In ``quiet_hours`` only what is urgent is told, the rest when they are over.
    """

    to: dict[Name, Sink] = Field(min_length=1)
    every: Duration = 900.0
    quiet_hours: QuietHours | None = None
    watch: Watched = Watched()
