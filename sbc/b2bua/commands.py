"""The commands that the core leaves in a plain list and ``sbc/net/driver`` carries out in order.

Those of every call write their ``__init__`` out: it is compiled, and what ``dataclass`` would make is not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from dsl.decision import Decision, Edit, Redirect, Reject
from dsl.facts import Facts
from sbc.base import Address
from sbc.config.hook_set import Hook
from sbc.config.lookup import Lookup
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.hookapi.arguments import Answer, End, Registration
from sbc.media.policy import MediaPolicy
from sbc.policy.suspicion import Kind
from sbc.registrar.binding import Binding
from sbc.sip.machine import Send

Side = Literal["a", "b"]


@dataclass(slots=True, init=False)
class Connect:
    """Find or open a flow to one of ``peers`` of ``trunk``, the first that can be had.

    Where a peer of the trunk has one of the addresses ``near`` (port 0: any), that one is meant first.
    With ``stream`` it is a TCP connection, though the trunk's listener is UDP.
    Answered by ``engine.connected`` or ``connect_failed``.
    """

    key: int
    trunk: Trunk
    snapshot: Snapshot
    call: str
    peers: tuple[Address, ...]
    near: tuple[Address, ...]
    stream: bool

    def __init__(
        self, key: int, trunk: Trunk, snapshot: Snapshot, call: str, peers: tuple[Address, ...],
        near: tuple[Address, ...] = (), stream: bool = False,
    ) -> None:  # fmt: skip
        self.key = key
        self.trunk = trunk
        self.snapshot = snapshot
        self.call = call
        self.peers = peers
        self.near = near
        self.stream = stream


@dataclass(slots=True, init=False)
class OfferMedia:
    """Turn an offer from ``side`` into ours to the other; answered by ``engine.media_ready``.

    ``branch`` is which callee of several that are tried at once, 0 where there is one.
    """

    call: str
    side: Side
    sdp: bytes
    ours: MediaPolicy
    theirs: MediaPolicy
    restart: bool
    branch: int

    def __init__(
        self, call: str, side: Side, sdp: bytes, ours: MediaPolicy, theirs: MediaPolicy,
        restart: bool = False, branch: int = 0,
    ) -> None:  # fmt: skip
        self.call = call
        self.side = side
        self.sdp = sdp
        self.ours = ours
        self.theirs = theirs
        self.restart = restart
        self.branch = branch


@dataclass(slots=True, init=False)
class AnswerMedia:
    """Turn an answer from ``side`` into ours to the other; answered by ``engine.media_ready``.

    ``branch`` is which callee of several that are tried at once, 0 where there is one.
    """

    call: str
    side: Side
    sdp: bytes
    branch: int

    def __init__(self, call: str, side: Side, sdp: bytes, branch: int = 0) -> None:
        self.call = call
        self.side = side
        self.sdp = sdp
        self.branch = branch


@dataclass(slots=True)
class TakeMedia:
    """The callee of ``branch`` has the call: it is the only one from now on, all others are dropped."""

    call: str
    branch: int


@dataclass(slots=True)
class DropMedia:
    """Nothing comes of the callee of ``branch``: close its side, return its ports."""

    call: str
    branch: int


@dataclass(slots=True)
class RollbackMedia:
    """The last offer was refused: what was agreed before it holds again (RFC 3264 8)."""

    call: str


@dataclass(slots=True)
class RecordMedia:
    """From now on keep what both sides say; with ``tone`` they hear it."""

    call: str
    tone: bool = False


@dataclass(slots=True)
class HearMedia:
    """From now on let ``hooks`` hear what both sides say."""

    call: str
    hooks: tuple[Hook, ...]
    facts: Facts


@dataclass(slots=True)
class Suspect:
    """Something speaks against whoever is at the other end of ``flow``, and its address is not forged.

    ``user`` is whose password was tried; ``why`` is what makes a ``scanner`` one.
    """

    flow: Flow
    kind: Kind
    user: str = ""
    why: str = ""


@dataclass(slots=True, init=False)
class DeleteMedia:
    """Close the call's media, return its ports; its counters go to the call's record."""

    call: str

    def __init__(self, call: str) -> None:
        self.call = call


@dataclass(slots=True)
class RunHooks:
    """Run ``hooks``, which are all of one point, for a call; answered by ``engine.hooks_done``.

    ``about`` is what they are given beside the facts; nothing before the rules.
    """

    call: str
    snapshot: Snapshot
    hooks: tuple[Hook, ...]
    facts: Facts
    about: Decision | Answer | End | None = None


@dataclass(slots=True)
class Ask:
    """Ask a service about a call of ``trunk``: ``sent`` has what it is told, by the names of the language.

    Answered by ``engine.looked_up``.
    """

    call: str
    lookup: Lookup
    sent: tuple[tuple[str, Any], ...]
    trunk: str


@dataclass(slots=True)
class Invited:
    """What hooks made of a new call before the rules, as ``engine.hooks_done`` is told: its facts as they now
    are, the edits that go out with it, and the decision where one of them took it."""

    facts: Facts
    edits: tuple[Edit, ...] = ()
    decision: Reject | Redirect | None = None


@dataclass(slots=True)
class AskRegister:
    """Run ``hooks`` for a phone that registers; answered by ``engine.register_asked``."""

    key: int
    snapshot: Snapshot
    hooks: tuple[Hook, ...]
    facts: Facts
    registration: Registration


@dataclass(slots=True)
class KeepBindings:
    """Write down what a user of ours has, in place of what was there; answered by ``engine.bindings_kept``.

    With the key 0 nobody waits for it.
    """

    key: int
    user: str
    bindings: tuple[Binding, ...]


@dataclass(slots=True, init=False)
class Decided:
    """The rules, and the hooks after them, decided about a call from ``trunk``: for whoever follows calls."""

    call: str
    trunk: str
    decision: Decision

    def __init__(self, call: str, trunk: str, decision: Decision) -> None:
        self.call = call
        self.trunk = trunk
        self.decision = decision


@dataclass(slots=True)
class Spent:
    """What counts under a limit of a rule is to outlive us, before anybody hears of what it counts for."""


@dataclass(slots=True, init=False)
class Note:
    """Something happened that the journal, the metrics or the call record want to know."""

    event: str
    call: str
    fields: dict[str, Any]

    def __init__(self, event: str, call: str, fields: dict[str, Any]) -> None:
        self.event = event
        self.call = call
        self.fields = fields


Command = (
    Send
    | Connect
    | OfferMedia
    | AnswerMedia
    | TakeMedia
    | DropMedia
    | RollbackMedia
    | RecordMedia
    | HearMedia
    | DeleteMedia
    | Suspect
    | RunHooks
    | Ask
    | AskRegister
    | KeepBindings
    | Decided
    | Spent
    | Note
)
