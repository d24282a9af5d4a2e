"""A call on its way through the rules: its facts, and what the rules have set so far.

Facts never change. What a rule can set (the called and the calling party, headers) is kept beside them, so
that the next rule sees it without a copy of everything else.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.decision import Codecs, Downgrade, Edit, Limit, Srtp
from dsl.facts import Facts


class Draft:
    """What the rules so far have made of a call that is not decided yet."""

    __slots__ = (
        "allow", "deny", "downgrade", "edits", "facts", "from_display", "from_host", "from_type", "from_user",
        "header", "hooks", "limits", "prefer", "ring", "ruri_host", "ruri_type", "ruri_user", "srtp", "tags",
    )  # fmt: skip

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.ruri_user: str = facts.ruri_user
        self.ruri_host: str = facts.ruri_host
        self.ruri_type: str = facts.ruri_type
        self.from_user: str = facts.from_user
        self.from_host: str = facts.from_host
        self.from_type: str = facts.from_type
        self.from_display: str = facts.from_display
        self.header: Callable[[str], str | None] = facts.header
        self.edits: tuple[Edit, ...] = ()
        self.srtp: Srtp | None = None
        self.downgrade: Downgrade | None = None
        self.allow: tuple[str, ...] = ()
        self.deny: tuple[str, ...] = ()
        self.prefer: tuple[str, ...] = ()
        self.ring: int | None = None
        self.limits: tuple[Limit, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.hooks: tuple[str, ...] = ()

    @property
    def codecs(self) -> Codecs | None:
        """What the rules say of codecs; None for nothing."""
        if not self.allow and not self.deny and not self.prefer:
            return None
        return Codecs(self.allow, self.deny, self.prefer)
