"""A call on its way through the rules: its facts, and what the rules have set so far.

Facts never change. What a rule can set (the called and the calling party, headers) is kept beside them, so
that the next rule sees it without a copy of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from dsl.decision import (
    AnswerAs,
    Codecs,
    CopyHeader,
    Downgrade,
    Edit,
    Limit,
    Redirects,
    RemoveHeader,
    SetHeader,
    SetParam,
    Srtp,
)
from dsl.facts import Facts
from dsl.ownership import is_name, long_name, matches_glob, spellings
from dsl.services import NO_ANSWERS, Said

Lookup = Callable[[str], str | None]
# Of this module, which is compiled: another's is looked for by its name, each time.
_NOTHING_SAID: Final = NO_ANSWERS


class EditedHeaders:
    """The headers of a call as they are after edits: what was written, what was removed, else the caller's.

    However many edits there were, a header is found in one look.
    """

    __slots__ = ("_callers", "_gone", "_removed", "_written")

    def __init__(self, callers: Lookup) -> None:
        self._callers = callers
        self._written: dict[str, str] = {}
        self._gone: set[str] = set()  # names that were removed
        self._removed: dict[str, None] = {}  # globs of such names

    def apply(self, edit: Edit) -> None:
        """Make one edit after the others; what is copied is the caller's own."""
        if isinstance(edit, SetHeader):
            self._written[edit.name.lower()] = edit.value
        elif isinstance(edit, RemoveHeader):
            self._remove(edit.glob)
        elif isinstance(edit, CopyHeader) and edit.name:
            found = self._callers(edit.glob)
            if found is not None:
                self._written[edit.name.lower()] = found

    def _remove(self, glob: str) -> None:
        if is_name(glob):
            for name in spellings(glob):
                self._written.pop(name, None)
            self._gone.add(long_name(glob))
            return
        for name in [each for each in self._written if matches_glob(each, glob)]:
            del self._written[name]
        self._removed[glob] = None

    def get(self, name: str) -> str | None:
        """The first field of a name, in any case; None where there is none."""
        written = self._written.get(name.lower())
        if written is not None:
            return written
        if long_name(name) in self._gone:
            return None
        for glob in self._removed:
            if matches_glob(name, glob):
                return None
        return self._callers(name)


def with_param(lookup: Lookup, edit: SetParam) -> Lookup:
    """``lookup`` with one parameter set, or taken away."""
    name, value = edit.name.lower(), edit.value.lower()
    given = None if not value else "" if value == name else value
    return lambda asked: given if asked == name else lookup(asked)


class Draft:
    """What the rules so far have made of a call that is not decided yet."""

    __slots__ = (
        "_headers", "allow", "answers", "asserted_display", "asserted_user", "deny", "downgrade", "edits",
        "facts", "from_display", "from_host", "from_param", "from_scheme", "from_type", "from_user",
        "header", "hooks", "limits", "longest", "prefer", "record", "redirects", "remember", "ring",
        "ruri_host", "ruri_param", "ruri_scheme", "ruri_type", "ruri_user", "said", "srtp", "tags", "tone",
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
        self.ruri_scheme: str = facts.ruri_scheme
        self.from_scheme: str = facts.from_scheme
        self.asserted_user: str = facts.asserted_user
        self.asserted_display: str = facts.asserted_display
        self.ruri_param: Lookup = facts.ruri_param
        self.from_param: Lookup = facts.from_param
        self.header: Lookup = facts.header
        self._headers: EditedHeaders | None = None
        self.edits: list[Edit] = []
        self.srtp: Srtp | None = None
        self.downgrade: Downgrade | None = None
        self.allow: tuple[str, ...] = ()
        self.deny: tuple[str, ...] = ()
        self.prefer: tuple[str, ...] = ()
        self.ring: int | None = None
        self.longest: int | None = None
        self.answers: tuple[AnswerAs, ...] = ()
        self.redirects: Redirects | None = None
        self.limits: tuple[Limit, ...] = ()
        self.tags: tuple[str, ...] = ()
        self.hooks: tuple[str, ...] = ()
        self.said: Mapping[str, Said] = _NOTHING_SAID  # by services, by whole names: lookup.NAME.VARIABLE
        self.record: bool = False
        self.tone: bool = False
        self.remember: tuple[tuple[str, int], ...] = ()

    def edit_param(self, edit: SetParam) -> None:
        """Set a parameter of a URI, which the next rules see."""
        self.edits.append(edit)
        if edit.side == "to":
            self.ruri_param = with_param(self.ruri_param, edit)
        else:
            self.from_param = with_param(self.from_param, edit)

    def edit_headers(self, edit: Edit) -> None:
        """Make an edit of a header, which the next rules see."""
        self.edits.append(edit)
        headers = self._headers
        if headers is None:
            headers = self._headers = EditedHeaders(self.facts.header)
            self.header = headers.get
        headers.apply(edit)

    @property
    def codecs(self) -> Codecs | None:
        """What the rules say of codecs; None for nothing."""
        if not self.allow and not self.deny and not self.prefer:
            return None
        return Codecs(self.allow, self.deny, self.prefer)
