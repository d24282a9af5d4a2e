"""The hooks of a configuration: each function of each hook file, by the point at which it runs.

Files are taken in the order of their names. A file is known to the rules by its name without
``.py``; one that says ``WHEN = "named"`` runs only for calls whose rule says ``call hook``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

OnFailure = Literal["reject", "skip"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One function of one hook file.

    ``line`` is where it is defined, ``limit`` how many seconds it may take. Where it fails, the call
    is rejected, or with ``on_failure`` ``skip`` goes on as though it had answered None.
    """

    path: str
    name: str
    point: str
    line: int
    function: Callable[..., object]
    limit: float = 0.5
    on_failure: OnFailure = "reject"
    named: bool = False

    @property
    def place(self) -> str:
        """``hook (file:line)``, as decisions name it."""
        return f"hook ({self.path}:{self.line})"


@dataclass(frozen=True, slots=True)
class HookSet:
    """Every hook of a snapshot, in the order in which they run; ``files`` are the names of their files."""

    handshake: tuple[Hook, ...] = ()
    invite: tuple[Hook, ...] = ()
    route: tuple[Hook, ...] = ()
    answer: tuple[Hook, ...] = ()
    end: tuple[Hook, ...] = ()
    register: tuple[Hook, ...] = ()
    media: tuple[Hook, ...] = ()
    files: frozenset[str] = field(default_factory=frozenset)


NO_HOOKS = HookSet()


def hook_set(hooks: Iterable[Hook]) -> HookSet:
    """File hooks, which come in the order of their files, by their points."""
    hooks = tuple(hooks)
    by_point = {
        point: tuple(hook for hook in hooks if hook.point == f"on_{point}")
        for point in ("handshake", "invite", "route", "answer", "end", "register", "media")
    }
    return HookSet(**by_point, files=frozenset(hook.name for hook in hooks))


def called_by(hooks: tuple[Hook, ...], names: tuple[str, ...]) -> tuple[Hook, ...]:
    """Those of ``hooks`` that run for a call whose rule names ``names``."""
    return tuple([hook for hook in hooks if not hook.named or hook.name in names])
