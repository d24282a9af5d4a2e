"""Calls that are over, found again in their records by what a caller complains about."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

Record = Mapping[str, Any]

_NUMBER: Final = re.compile(r"[+0-9xX\-.() /]+").fullmatch
_DIVIDED: Final = re.compile(r"[\-.() /]")
_SIDES: Final = ("caller", "callee", "us")
_STATUS: Final = re.compile(r"[1-6](?:[0-9]{2}|xx)", re.IGNORECASE).fullmatch


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a record has to be like; what is "" does not matter.

    ``trunk`` is that of either leg. ``number`` is the end of anybody's in the call: whether it has a country
    code or a zero before it does not matter, nor which digits a record leaves out. Any other user is named as
    a whole. ``call_id`` is that of a leg, or our own of the call. ``cause`` is a status (``486``, ``5xx``),
    who ended it (``caller``, ``callee``, ``us``), or a part of the reason.
    """

    trunk: str = ""
    number: str = ""
    call_id: str = ""
    cause: str = ""

    def fits(self, record: Record) -> bool:
        """Whether ``record`` is like that; KeyError, TypeError or AttributeError where it is none."""
        a, b = record["a"], record["b"] or {}
        if self.trunk and self.trunk not in (a["trunk"], b.get("trunk")):
            return False
        if self.call_id and self.call_id not in (record["call"], a["call_id"], b.get("call_id")):
            return False
        if self.number and not any([_is(self.number, str(each)) for each in _people(record)]):
            return False
        return not self.cause or self._caused(record)

    def _caused(self, record: Record) -> bool:
        cause = self.cause.lower()
        if _STATUS(cause):
            status = str(record["status"])
            return status[:1] == cause[0] if cause.endswith("xx") else status == cause
        if cause in _SIDES:
            return bool(cause == record["ended_by"])
        return cause in str(record["reason"]).lower()


def _people(record: Record) -> tuple[object, ...]:
    return (
        record["caller"], record["called"], record.get("asserted", ""), record.get("redirected_from", ""),
        record.get("referred_by", ""),
    )  # fmt: skip


def _is(wanted: str, said: str) -> bool:
    """Whether somebody is the one that is ``wanted``."""
    if said and not _NUMBER(said):  # a URI has more than its user
        said = said.partition("@")[0].rpartition(":")[2]
    if not _NUMBER(wanted) or not _NUMBER(said):
        return wanted.lower() == said.lower()
    end, whole = _digits(wanted), _digits(said)
    if not end or len(end) > len(whole):
        return False
    pairs = zip(reversed(end), reversed(whole), strict=False)
    return all([x == y or "x" in (x, y) for x, y in pairs])


def _digits(number: str) -> str:
    """A number without what divides it, and without what stands for a country's code or for dialling out."""
    return _DIVIDED.sub("", number).lower().lstrip("+0")
