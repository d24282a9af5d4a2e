"""A question that a rule asks of a service, and what becomes of the call once it is answered.

The way of a call through the rules stands still at an ``ask``. What was decided so far is the draft; the
question has that, and the actions behind the ``ask``, and goes on from there with an answer or without one.
Without one it is the ``else`` that counts, whatever the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from dsl import syntax
from dsl.compile import Value, value
from dsl.decision import Decision, Redirect, Reject, Route
from dsl.draft import Draft
from dsl.parse import parse_condition
from dsl.scope import NOTHING_NAMED
from dsl.services import ANSWERED, LOOKUP, Answer, Service


class Question:
    """What is to be asked of ``service`` about a call: ``sent`` has it, by how each is written.

    ``place`` is that of the rule.
    """

    __slots__ = ("_go_on", "_otherwise", "draft", "place", "sent", "service")

    def __init__(
        self,
        service: Service,
        sent: tuple[tuple[str, Any], ...],
        draft: Draft,
        place: str,
        go_on: Callable[[Draft], Decision | Question | None],
        otherwise: Callable[[Draft], Decision | Question] | None,
    ) -> None:
        self.service = service
        self.sent = sent
        self.draft = draft
        self.place = place
        self._go_on = go_on
        self._otherwise = otherwise

    def answered(self, answer: Answer | None) -> Decision | Question | None:
        """What the rule decides then; None where the next rules are to be asked. No answer is None too."""
        draft = self.draft
        if answer is None:
            return None if self._otherwise is None else self._otherwise(draft)
        if answer.decision is not None:
            return _decided(answer.decision, draft, f"{self.place}, then lookup {self.service.name}")
        own = f"{LOOKUP}{self.service.name}."
        said = {own + name: each for name, each in answer.variables.items()}
        draft.said = {**draft.said, **said, own + ANSWERED: True}
        return self._go_on(draft)


Ending = Callable[[Draft], Decision | Question]


def _decided(decision: Route | Reject | Redirect, draft: Draft, place: str) -> Decision:
    """What a service decides, after what rules have set: it lowers nothing that they demand."""
    tags = tuple(dict.fromkeys((*draft.tags, *decision.tags)))
    if isinstance(decision, Reject):
        return replace(decision, rule=place, tags=tags)
    downgrade = "forbid" if draft.downgrade == "forbid" else decision.downgrade or draft.downgrade
    if isinstance(decision, Redirect):
        return replace(decision, rule=place, tags=tags, downgrade=downgrade)
    return Route(
        decision.hops, (*draft.edits, *decision.edits),
        "required" if draft.srtp == "required" else decision.srtp or draft.srtp,
        downgrade, place, draft.hooks, tags, draft.codecs,
        draft.ring if decision.ring is None else decision.ring, draft.limits, draft.redirects,
        draft.longest, draft.answers, draft.record, draft.tone, draft.remember,
    )  # fmt: skip


def asking(
    service: Service,
    place: str,
    go_on: Callable[[Draft], Decision | Question | None],
    otherwise: Ending | None,
) -> Ending:
    """Compile an ``ask``; ``otherwise`` is its ``else``, None for ``continue``."""
    sends = sent_by(service)

    def ask(draft: Draft) -> Question:
        sent = tuple([(name, read(draft)) for name, read in sends])
        return Question(service, sent, draft, place, go_on, otherwise)

    return ask


def sent_by(service: Service) -> tuple[tuple[str, Value], ...]:
    """What a service is sent, compiled; each was checked when the configuration was read."""
    found: list[tuple[str, Value]] = []
    for written in service.sends:
        node, _ = parse_condition(written)
        assert isinstance(node, syntax.Node), "the checker has read it"
        found.append((written, value(node, NOTHING_NAMED)))
    return tuple(found)
