"""A notice: one thing that people are told, and several of them as one message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from sbc.observe.alerts.condition import Condition, Urgency
from sbc.observe.times import day, span

Kind = Literal["alert", "over", "was"]
#: So many notices are written out in one message.
MOST_SHOWN: Final = 30
_RANK: Final[dict[Urgency, int]] = {"info": 0, "warning": 1, "urgent": 2}


@dataclass(frozen=True, slots=True)
class Notice:
    """``condition`` is so since ``since`` (alert), no longer so (over), or came and went untold (was).

    It came back ``times`` times before that was told; ``until`` is when it ended. POSIX seconds.
    """

    kind: Kind
    condition: Condition
    since: float
    until: float = 0.0
    times: int = 0

    @property
    def urgency(self) -> Urgency:
        """How urgent it is to know."""
        return self.condition.urgency

    @property
    def line(self) -> str:
        """What is so, in a sentence."""
        condition = self.condition
        if self.kind == "alert":
            return condition.title
        good = condition.good or f"no longer so: {condition.title}"
        if self.kind == "over":
            return good
        return f"was so for {span(self.until - self.since)}: {condition.title}"


def written(notice: Notice) -> dict[str, Any]:
    """The notice as JSON types."""
    return asdict(notice)


def notice_of(saved: Any) -> Notice:
    """What ``written`` gave; ValueError where that is something else."""
    try:
        kind, condition = saved["kind"], Condition(**saved["condition"])
        since, until = float(saved["since"]), float(saved["until"])
        times = int(saved["times"])
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        raise ValueError("it is no notice") from None
    if kind not in ("alert", "over", "was") or condition.urgency not in _RANK:
        raise ValueError("it is no notice")
    return Notice(kind, condition, since, until, times)


@dataclass(frozen=True, slots=True)
class Message:
    """What one sink is sent at once."""

    title: str
    body: str
    urgency: Urgency


def message(notices: Sequence[Notice], lost: int, host: str) -> Message:
    """``notices`` as one message from ``host``; ``lost`` are those before them that had to be dropped."""
    news = [each for each in notices if each.kind == "alert"]
    urgency: Urgency = max((each.urgency for each in news), key=_RANK.__getitem__, default="info")
    if len(notices) == 1:
        what = notices[0].line
    else:
        good = len(notices) - len(news)
        said = (f"{len(news)} alerts" if len(news) != 1 else "1 alert") if news else ""
        what = " and ".join(filter(None, (said, f"{good} over" if good else "")))
    shown = sorted(notices, key=lambda each: (each.kind != "alert", -_RANK[each.urgency]))
    parts = [_paragraph(each) for each in shown[:MOST_SHOWN]]
    if len(shown) > MOST_SHOWN:
        parts.append(f"... and {len(shown) - MOST_SHOWN} more: see sbc alert list")
    if lost:
        parts.append(f"{lost} notices before these are lost: this place was not reached for too long.")
    mark = {"info": "", "warning": "WARNING: ", "urgent": "URGENT: "}[urgency]
    return Message(f"{mark}{what} ({host})", "\n\n".join(parts), urgency)


def _paragraph(notice: Notice) -> str:
    condition = notice.condition
    head = {"alert": condition.urgency.upper(), "over": "OVER", "was": "WAS"}[notice.kind]
    lines = [f"{head}: {notice.line}"]
    if notice.kind == "alert":
        lines += [each for each in (condition.detail, condition.remedy and f"-> {condition.remedy}") if each]
    when = f"since {day(notice.since)} UTC"
    if notice.kind != "alert":
        when = f"from {day(notice.since)} to {day(notice.until)} UTC"
    if notice.times:
        when += f"; it came back {notice.times} times"
    return "\n".join([*lines, when])
