"""What a caller hears in place of a refusal: ``answer 603 as 486`` of a rule, ``answers`` of its trunk.

A rule stands before the trunk, a status before its class, and of two in one rule the later one counts.
"""

from __future__ import annotations

from collections.abc import Mapping

from dsl.decision import AnswerAs, class_of


def told_instead(status: int, rule: tuple[AnswerAs, ...], trunk: Mapping[str, int]) -> tuple[int, str] | None:
    """The status and reason (empty: that of the status) in place of a refusal; None where it stays."""
    kind = class_of(status)
    for wanted in (status, kind):
        for each in reversed(rule):
            if each.of == wanted:
                return each.status, each.reason
    found = trunk.get(str(status)) or trunk.get(kind)
    return (found, "") if found is not None else None
