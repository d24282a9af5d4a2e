"""Yesterday's calls through today's rules: what each call record says was decided, and what would be now.

A record holds who called whom, over which trunk and with which certificate. It does not hold headers, hosts
or what was offered; a rule that asks about those sees them empty, so a change is told together with what
the rules would have wanted to know, and with the hooks, which are not run. What services answered is in it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from dsl.answers import NoAnswer, read_answer
from dsl.arrival import Arrival, written
from dsl.decision import Challenge, Decision, Redirect, Reject, Route
from dsl.facts import Facts
from dsl.scope import target_of
from dsl.services import Answer, Answers
from sbc.b2bua.unsaid import left_out, told_of_hooks, unsaid
from sbc.config.arrivals import arrival as arrival_from
from sbc.config.snapshot import Snapshot

# What a record has of the facts of its call; of all else a rule sees nothing.
RECORDED = frozenset(
    (
        "trunk", "tenant", "listener", "source", "transport", "method", "ruri_user", "from_user", "call_id",
        "tls_version", "tls_group", "tls_cipher", "peer_verified", "peer_sans", "now", "redirected_from",
        "referred_by", "asserted_user",
        "emergency",
    )
)  # fmt: skip


@dataclass(slots=True)
class Replay:
    """What came of a file of records: ``changes`` counts (was, would be), ``examples`` has a call of each."""

    calls: int = 0
    unreadable: list[int] = field(default_factory=list)
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], str] = field(default_factory=dict)

    def to_json(self, snapshot: Snapshot) -> dict[str, Any]:
        """The same as JSON types."""
        changes = [
            {"was": was, "now": would, "calls": count, "example": self.examples[was, would]}
            for (was, would), count in self.changes.most_common()
        ]
        return {
            "calls": self.calls, "changed": sum(self.changes.values()), "changes": changes,
            "unreadable": self.unreadable, "unknown": sorted(unsaid(snapshot.rules, RECORDED).values()),
            "hooks_not_run": left_out(snapshot.hooks),
        }  # fmt: skip

    def lines(self, snapshot: Snapshot) -> list[str]:
        """What the operator is told, the most frequent change first."""
        changed = sum(self.changes.values())
        told = [f"{self.calls} calls, {changed} would be decided otherwise"]
        for change, count in self.changes.most_common():
            was, would = change
            told += [f"{count} x {was}", f"     now {would}", f"     such as {self.examples[change]}"]
        if self.unreadable:
            told.append(f"not read: {len(self.unreadable)} lines, the first is line {self.unreadable[0]}")
        unknown = sorted(unsaid(snapshot.rules, RECORDED).values())
        if unknown:
            told.append(f"the rules ask about what records do not hold, taken as empty: {', '.join(unknown)}")
        return told + told_of_hooks(left_out(snapshot.hooks))


def replay(snapshot: Snapshot, records: Iterable[str]) -> Replay:
    """Put each call record (a line of JSON) to the rules of ``snapshot``."""
    result = Replay()
    for number, line in enumerate(records, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            if record.get("refused"):
                continue  # no rule was asked
            facts = facts_of_record(snapshot, record)
            answers = answers_of_record(snapshot, record)
            was = _was(record)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            result.unreadable.append(number)
            continue
        result.calls += 1
        decision = snapshot.rules.decide(facts, answers)
        would = _would(decision)
        if not _same(was, record, decision):
            change = (was, would)
            result.changes[change] += 1
            called = f"{record['caller'] or '-'} to {record['called'] or '-'} on {record['started']}"
            result.examples.setdefault(change, called)
    return result


def facts_of_record(snapshot: Snapshot, record: dict[str, Any]) -> Facts:
    """The facts of a recorded call, as far as the record has them; KeyError where it is none."""
    leg = record["a"]
    tls = leg["tls"] or {}
    trunk = snapshot.trunks.get(leg["trunk"])
    arrival = Arrival(
        leg["trunk"],
        (trunk.tenant or "") if trunk is not None else "",
        trunk.listener if trunk is not None else "",
        leg["remote"].rpartition(":")[0].strip("[]"),
        leg["transport"],
        tls.get("version", ""),
        tls.get("group", ""),
        tls.get("cipher", ""),
        bool(tls.get("peer_verified")),
        tuple(tls.get("peer_names", ())),
    )
    by = record.get("redirected_by", "") or record.get("referred_trunk", "")
    if by:  # it was a call of that trunk, whose connection is not in this record
        trunk = snapshot.trunks.get(by)
        arrival = arrival_from(trunk, snapshot.settings) if trunk is not None else Arrival(by)
    return written(
        arrival,
        redirected_from=record.get("redirected_from", ""),
        referred_by=record.get("referred_by", ""),
        emergency=bool(record.get("emergency")),
        unchallenged=bool(record.get("emergency")),
        ruri_user=record["called"],
        from_user=record["caller"],
        asserted_user=record.get("asserted", ""),
        to_header_user="",
        call_id=leg.get("call_id", ""),
        now=datetime.fromisoformat(record["started"]).timestamp(),
    )


def answers_of_record(snapshot: Snapshot, record: dict[str, Any]) -> Answers:
    """What services said of a recorded call, as far as that is an answer today."""
    answers: dict[str, Answer] = {}
    for name, said in record.get("lookups", {}).items():
        lookup = snapshot.lookups.get(name)
        if lookup is not None:
            with suppress(NoAnswer):
                answers[name] = read_answer(said, lookup.service, snapshot.trunks)
    return answers


def _was(record: dict[str, Any]) -> str:
    """What a record says was decided: the rule, and where the call went or how it was refused."""
    rule, went = _name(record["rule"]), (record["b"] or {}).get("trunk", "")
    return f"{rule}: {went}" if went else f"{rule}: {record['status']}"


def _would(decision: Decision) -> str:
    return f"{_name(decision.rule)}: {_target(decision)}"


def _target(decision: Decision) -> str:
    match decision:
        case Reject(status=status):
            return str(status)
        case Redirect():
            return "302"
        case Challenge():
            return "407"
        case Route(hops=hops):
            return ", ".join(target_of(hop) for hop in hops)


def _same(was: str, record: dict[str, Any], decision: Decision) -> bool:
    """Whether the same rule decides and the call's trunk is among those that would be tried."""
    if _name(record["rule"]) != _name(decision.rule):
        return False
    went = (record["b"] or {}).get("trunk", "")
    if isinstance(decision, Route):
        names = {hop.trunk for hop in decision.hops}
        names |= {name for hop in decision.hops if hop.group for name, _ in hop.group.members}
        return not went or went in names or any(hop.registered for hop in decision.hops)
    return not went and was.endswith(_target(decision))


def _name(rule: str) -> str:
    """The rule's name without its place, which any edit above it moves."""
    return rule.partition(" (")[0] or "no rule"
