"""The commands that the core leaves in a plain list and ``sbc/net/driver`` carries out in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sbc.flow import Flow
from sbc.media.policy import MediaPolicy
from sbc.sip.outgoing import Send

Side = Literal["a", "b"]


@dataclass(slots=True)
class Connect:
    """Find or open a flow to ``trunk``; answered by ``engine.connected`` or ``connect_failed``.

    ``skip`` counts the trunk's targets already tried, so that failover takes the next.
    """

    key: int
    trunk: str
    snapshot: Any
    uri: str = ""


@dataclass(slots=True)
class CloseFlow:
    """Close ``flow`` once what is queued on it has been written."""

    flow: Flow
    reason: str


@dataclass(slots=True)
class OfferMedia:
    """Turn an offer from ``side`` into ours to the other; answered by ``engine.media_ready``."""

    call: str
    side: Side
    sdp: bytes
    ours: MediaPolicy
    theirs: MediaPolicy


@dataclass(slots=True)
class AnswerMedia:
    """Turn an answer from ``side`` into ours to the other; answered by ``engine.media_ready``."""

    call: str
    side: Side
    sdp: bytes


@dataclass(slots=True)
class DeleteMedia:
    """Close the call's media, return its ports; its counters go to the call's record."""

    call: str


@dataclass(slots=True)
class RunHook:
    """Run ``on_route`` of every hook file over a decision; answered by ``engine.hook_done``."""

    call: str
    snapshot: Any
    facts: Any
    decision: Any


@dataclass(slots=True)
class Note:
    """Something happened that the journal, the metrics or the call record want to know."""

    event: str
    call: str
    fields: dict[str, Any]
