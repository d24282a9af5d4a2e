"""What a hook remembers from call to call, bounded, and through reloads.

A hook's module is made anew at each reload, and its globals with it. A table is found again by
its name: while the old module still lives, the new one that asks for the same name gets the same
entries. It lives as long as any module that has it, so what no file uses any more is freed. The
bound belongs to the asker, not to the entries: a file that turns out to be broken, and is never
used, has then taken nothing away.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeVar
from weakref import WeakValueDictionary

Key = TypeVar("Key")
Value = TypeVar("Value")

MOST = 1_000_000


class _Entries(OrderedDict[Key, Value]):
    """The entries of one name; a class of its own because a plain dict cannot be held weakly."""


_KEPT: WeakValueDictionary[str, _Entries[object, object]] = WeakValueDictionary()


class Table(MutableMapping[Key, Value]):
    """A dict of at most ``most`` entries: a new one beyond that puts out the one unused for longest."""

    __slots__ = ("_entries", "most", "name")

    def __init__(self, name: str, most: int, entries: _Entries[Key, Value]) -> None:
        self.name = name
        self.most = most
        self._entries = entries

    def __getitem__(self, key: Key) -> Value:
        value = self._entries[key]
        self._entries.move_to_end(key)
        return value

    def __setitem__(self, key: Key, value: Value) -> None:
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > self.most:
            self._entries.popitem(last=False)

    def __delitem__(self, key: Key) -> None:
        del self._entries[key]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Key]:
        return iter(list(self._entries))

    def __repr__(self) -> str:
        return f"<Table {self.name!r} with {len(self)} of {self.most} entries>"

    def entry(self, key: Key, make: Callable[[], Value]) -> Value:
        """The value under ``key``, made and kept where there is none yet."""
        if key not in self._entries:
            self[key] = make()
        return self[key]


def table(name: str, most: int) -> Table[Key, Value]:
    """The table called ``name``, the same for every hook file that asks and through reloads; ValueError."""
    if not isinstance(name, str) or not name:
        raise ValueError("a table has a name")
    if type(most) is not int or not 1 <= most <= MOST:
        raise ValueError(f"a table holds 1 to {MOST} entries")
    entries = _KEPT.setdefault(name, _Entries())
    return Table(name, most, entries)  # type: ignore[arg-type]
