"""What a hook may answer, the short ways to make it, and the check of what it really answered."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TypeVar, cast

from dsl.decision import DEFAULT_FAILURES, Challenge, Edit, Failure, Hop, Redirect, Reject, Route
from dsl.validate import edits_refusal, is_clean, name_of, refusal

Taken = TypeVar("Taken", Reject | Redirect, Route | Reject | Redirect)

MOST_TAGS = 32
LONGEST_TEXT = 256


@dataclass(frozen=True, slots=True)
class Amend:
    """Let a call go on to the rules, changed: they see edits and tags, and the edits go out with it."""

    edits: tuple[Edit, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HangUp:
    """End a call that is up; both sides get a BYE."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Close a connection whose handshake has just ended, before SIP is read; or let a phone not register."""

    reason: str = ""


def route(*trunks: str, on: tuple[Failure, ...] = DEFAULT_FAILURES, edits: tuple[Edit, ...] = ()) -> Route:
    """Send the call to ``trunks`` in turn, to the next one upon the failures ``on``."""
    return Route(tuple(Hop(trunk, on if at else ()) for at, trunk in enumerate(trunks)), edits)


def reject(status: int, reason: str = "") -> Reject:
    """Answer the call with ``status`` (400 to 699) and ``reason``."""
    return Reject(status, reason)


def redirect(*targets: str) -> Redirect:
    """Answer 302 with these SIP URIs, the first choice first."""
    return Redirect(targets)


def with_edits(decision: Route, *edits: Edit) -> Route:
    """The same route with more edits after those it has; everything else stays."""
    return replace(decision, edits=(*decision.edits, *edits))


def amend(*edits: Edit, tags: tuple[str, ...] = ()) -> Amend:
    """Let the call go on to the rules with ``edits`` made and ``tags`` added to those it has."""
    return Amend(edits, tags)


def hang_up(reason: str) -> HangUp:
    """End the call; ``reason`` is for its record."""
    return HangUp(reason)


def refuse(reason: str) -> Refuse:
    """Refuse the connection or the registration; ``reason`` is for the journal."""
    return Refuse(reason)


def result_refusal(point: str, result: object, known_trunks: Collection[str]) -> str | None:
    """Why no hook may answer ``result`` at ``point``, in words without any value; None if it may."""
    kind = type(result)
    if result is None:
        return None
    if point == "on_invite" and kind is Amend:
        return _amend_refusal(cast(Amend, result))
    if kind in _DECISIONS.get(point, ()):
        return refusal(result, known_trunks)
    if (point == "on_answer" and kind is HangUp) or (point in _REFUSING and kind is Refuse):
        good = is_clean(cast(HangUp | Refuse, result).reason, LONGEST_TEXT)
        return None if good else "the reason is not a text of one line"
    return f"{name_of(result)} is not {_ANSWERS[point]}"


_DECISIONS: dict[str, tuple[type, ...]] = {
    "on_invite": (Reject, Redirect, Challenge),  # the last only to be told why not
    "on_route": (Route, Reject, Redirect, Challenge),
}
_REFUSING = ("on_handshake", "on_register")
_ANSWERS = {
    "on_handshake": "refuse(...) or None",
    "on_invite": "amend(...), reject(...), redirect(...) or None",
    "on_route": "a decision",
    "on_answer": "hang_up(...) or None",
    "on_end": "None",
    "on_register": "refuse(...) or None",
    "on_media": "None",
}


def _amend_refusal(result: Amend) -> str | None:
    tags = result.tags
    if (
        type(tags) is not tuple
        or len(tags) > MOST_TAGS
        or not all(is_clean(tag, LONGEST_TEXT) and tag for tag in tags)
    ):
        return f"the tags are not a tuple of at most {MOST_TAGS} texts of one line"
    return edits_refusal(result.edits)


def decided_by(decision: Taken, former: str, place: str) -> Taken:
    """``decision`` with ``place``, a hook's, named as who took it, after the rule ``former`` if any."""
    kept = decision.rule if isinstance(decision.rule, str) else ""
    before = kept or former
    return replace(decision, rule=f"{before}, then {place}" if before else place)
