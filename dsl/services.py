"""Services that rules may ask: what each is sent, what it may answer, and an answer that has been read.

A service is one entry of ``lookups`` in sbc.yaml. The language knows its name, the facts that it is sent and
what of its answer rules may use; where it is and how it is asked is not the language's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dsl.decision import Redirect, Reject, Route

VariableType = Literal["text", "truth", "number"]
Said = str | int | float | bool

#: How rules name what a service has answered: ``lookup.NAME.VARIABLE``.
LOOKUP: Final = "lookup."
#: The variable that every service has: whether it has answered.
ANSWERED: Final = "answered"
NO_ANSWERS: Final[Mapping[str, Said]] = {}


@dataclass(frozen=True, slots=True)
class Service:
    """A service as rules know it.

    ``sends`` are the expressions that it is sent, as they are written; ``answers`` the variables that every
    answer of it has; ``decides``: it may answer with a decision instead.
    """

    name: str
    sends: tuple[str, ...] = ()
    answers: Mapping[str, VariableType] = field(default_factory=dict)
    decides: bool = True

    def type_of(self, variable: str) -> VariableType | None:
        """The type of a variable; None where there is no such one."""
        return "truth" if variable == ANSWERED else self.answers.get(variable)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service has said, and rules can use: variables, or a decision.

    ``said`` is the same as JSON, without what nobody asked for.
    """

    variables: Mapping[str, Said] = field(default_factory=dict)
    decision: Route | Reject | Redirect | None = None
    said: Mapping[str, Any] = field(default_factory=dict)


Answers = Mapping[str, Answer]
"""Answers by the name of their service; one that is not in it has not answered."""
UNANSWERED: Final[Answers] = {}
