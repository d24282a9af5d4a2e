"""What the engine asks of hooks, and what they are told of a call: nothing of it runs without hooks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dsl.decision import Edit, Redirect, Reject
from dsl.facts import Facts
from sbc.b2bua.commands import Command, RunHooks
from sbc.config.hook_set import Hook, called_by
from sbc.hookapi.arguments import Answer, End

if TYPE_CHECKING:
    from sbc.b2bua.call import Call


@dataclass(slots=True)
class Invited:
    """What the hooks made of a new call before the rules: its facts as they now are, the edits that go
    out with it, and the decision where one of them took it."""

    facts: Facts
    edits: tuple[Edit, ...] = ()
    decision: Reject | Redirect | None = None


def run(call: Call, hooks: tuple[Hook, ...], about: Answer | End, out: list[Command]) -> None:
    """Ask those of ``hooks`` that run for this call."""
    chosen = called_by(hooks, call.named_hooks)
    if chosen and call.facts is not None:
        out.append(RunHooks(call.id, call.snapshot, chosen, call.facts, about))


def answer_of(call: Call, now: float) -> Answer:
    """A call that has just come up."""
    assert call.b is not None, "somebody answered"
    tls = call.b.flow.tls
    peer = tls.peer if tls is not None else None
    return Answer(
        trunk=call.b.trunk.trunk, rule=call.rule, setup_time=now - call.created, now=call.desk.date(now),
        tls_version=tls.version if tls is not None else "",
        peer_verified=peer is not None and peer.verified,
        peer_sans=peer.sans if peer is not None else (),
    )  # fmt: skip


def end_of(call: Call, reason: str, by: str, status: int, now: float) -> End:
    """A call that has just ended."""
    answered = call.answered_at
    return End(
        trunk=call.b.trunk.trunk if call.b is not None else "", rule=call.rule,
        status=status or (200 if answered else 0), reason=reason,
        by=by,  # type: ignore[arg-type]
        seconds=now - answered if answered else 0.0, now=call.desk.date(now),
    )  # fmt: skip
