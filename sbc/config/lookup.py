"""A service that rules may ask: one entry of ``lookups`` in sbc.yaml, and what has been made of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, WithJsonSchema, model_validator

from dsl.answers import WORDS
from dsl.services import ANSWERED, Service, VariableType
from sbc.config.values import Duration, Name, Strict, parse_duration
from sbc.tls.material.identity import IdentityMaterial

LONGEST_WAIT: Final = 30.0
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}").fullmatch
_LOOPBACK: Final = re.compile(r"localhost|127\.[0-9.]+|::1").fullmatch
_TYPES: Final[Mapping[str, VariableType]] = {"text": "text", "boolean": "truth", "number": "number"}


def _identifier(text: str) -> str:
    if not _IDENTIFIER(text):
        raise ValueError(f"{text!r} cannot be a name in a rule: write letters, digits and _, such as crm")
    return text


def _variable(text: str) -> str:
    if text == ANSWERED or text in WORDS:
        raise ValueError(
            f"{text!r} has a meaning of its own: let the service call it otherwise, such as its_{text}"
        )
    return _identifier(text)


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole or not text.isascii() or not text.isprintable() or " " in text or parts.fragment:
        raise ValueError(f"{text!r} is not the URL of a service: write https://host/path")
    if "@" in parts.netloc:
        raise ValueError("a password in a URL is read by many: write it to a file, and token_file: FILE")
    return text


def _kept(value: object) -> object:
    if value is None or value is False or str(value).strip().lower() in ("off", "0", "0s"):
        return 0.0
    return parse_duration(value)


def _wait(seconds: float) -> float:
    if seconds > LONGEST_WAIT:
        raise ValueError(
            f"{seconds:g}s is longer than a caller waits: write {LONGEST_WAIT:g}s or less, such as 200ms"
        )
    return seconds


LookupName = Annotated[str, AfterValidator(_identifier)]
Kept = Annotated[
    float,
    BeforeValidator(_kept),
    WithJsonSchema({"type": ["string", "number", "boolean"], "examples": ["60s", "off"]}),
]


class LookupConfig(Strict):
    """A service that rules ask over HTTP: its URL, what it is sent, what it may answer, and its limits.

    ``timeout`` is that of the whole, names and connection included; ``cache`` is how long an answer is used
    again, off for never. ``answers`` are variables that every answer has; ``decides`` says whether it may
    answer with a decision, which without ``answers`` it may. ``ca`` are the CAs that its certificate may be
    of, in place of the public ones; ``identity`` is what we show it, ``token_file`` has a bearer token.
    ``in_flight`` is how many questions may be under way; after ``failures`` in a row nothing is asked for
    ``pause``, and then one question first.
    """

    url: Annotated[str, AfterValidator(_url)]
    timeout: Annotated[Duration, AfterValidator(_wait)] = 0.2
    cache: Kept = 0.0
    facts: tuple[Annotated[str, Field(min_length=1)], ...] = Field(min_length=1)
    answers: dict[Annotated[str, AfterValidator(_variable)], Literal["text", "boolean", "number"]] = {}
    decides: StrictBool | None = None
    ca: str | None = Field(default=None, min_length=1)
    identity: Name | None = None
    token_file: str | None = Field(default=None, min_length=1)
    in_flight: int = Field(default=100, ge=1, le=1000)
    failures: int = Field(default=5, ge=1)
    pause: Duration = 5.0

    @model_validator(mode="after")
    def _something(self) -> LookupConfig:
        if self.decides is False and not self.answers:
            raise ValueError(
                "nothing of its answers would be used: write answers: {number: text}, or decides: true"
            )
        if not self.secure and (self.ca or self.identity):
            raise ValueError("ca and identity are for TLS: write url: https://..., or leave them out")
        return self

    @property
    def secure(self) -> bool:
        """Whether it is asked over TLS."""
        return self.url.startswith("https:")

    @property
    def stays_here(self) -> bool:
        """Whether what it is sent leaves this machine in no case."""
        return bool(_LOOPBACK(urlsplit(self.url).hostname or ""))

    def service(self, name: str) -> Service:
        """The service as rules know it."""
        answers: dict[str, Any] = {each: _TYPES[kind] for each, kind in self.answers.items()}
        decides = self.decides if self.decides is not None else not answers
        return Service(name, self.facts, answers, decides)


@dataclass(frozen=True, slots=True)
class Lookup:
    """A service with all that asking it takes. ``version`` differs where anything of it does.

    ``trunks`` are those that it may name, where it decides; ``ca_pem`` is empty for the public CAs;
    ``broken`` says why it cannot be asked, "" where it can.
    """

    name: str
    config: LookupConfig
    service: Service
    trunks: frozenset[str] = frozenset()
    ca_pem: str = ""
    identity: IdentityMaterial | None = None
    token: str = field(default="", repr=False)
    broken: str = ""
    version: str = ""
