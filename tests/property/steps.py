"""Regular expressions tried step by step: how much work a pattern makes of a text, counted and not timed.

``Machine`` is a backtracking matcher that goes the way of the standard library's, from the tree into which
that parses a pattern: the same alternatives in the same order, a run of one class as far as it goes and then
back. Each step is counted. The library takes short cuts (it looks for a literal first); they save steps and
never add any. ``worst`` makes texts out of the pattern itself: a start, a piece of an example over and over,
an end that does not fit, so that whoever scans anew from each place, or tries the same stretch in two ways,
is found out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from random import Random
from re import _constants as names
from re import _parser as parser
from typing import Any, NamedTuple

MOST = 300_000
BOUNDED = 300  # what can match no more than this may start anywhere
EXAMPLES = 12
MODES = ("fullmatch", "match", "scan")
_ALWAYS = "a0 \n;\x00\xe9"
_REPEATS = (names.MAX_REPEAT, names.MIN_REPEAT, names.POSSESSIVE_REPEAT)


class TooMany(Exception):
    """So many steps that it cannot be linear."""


class Machine:
    """One pattern as a program for a backtracking matcher; ``steps`` counts."""

    def __init__(self, pattern: re.Pattern[Any]) -> None:
        self.steps = 0
        self.binary = isinstance(pattern.pattern, bytes)
        self.flags = pattern.flags
        self.tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
        self._whole = self._compile(self.tree, [("at", names.AT_END_STRING), ("match",)])
        self._part = self._compile(self.tree, [("match",)])

    def run(self, mode: str, text: str) -> int:
        """How many steps ``mode`` takes for the whole of ``text``; TooMany."""
        self.steps = 0
        if mode == "fullmatch":
            self.at(text, 0, whole=True)
        elif mode == "match":
            here = 0
            while (end := self.at(text, here)) > here:
                here = end
        else:
            here = 0
            while here <= len(text):
                end = self.at(text, here)
                here = end if end > here else here + 1
        return self.steps

    def at(self, text: str, start: int, whole: bool = False) -> int:
        """Where a match that begins at ``start`` ends; -1 for none."""
        return self._run(self._whole if whole else self._part, text, start)

    def _run(self, program: list[tuple[Any, ...]], text: str, start: int) -> int:
        # What is left to try: a place in the program, and the first and last place in the text for it.
        left, size = [(0, start, start)], len(text)
        while left:
            pc, low, here = left.pop()
            if here > low:
                left.append((pc, low, here - 1))
            while True:
                self.steps += 1
                if self.steps > MOST:
                    raise TooMany
                what = program[pc]
                kind = what[0]
                pc += 1
                if kind == "match":
                    return here
                if kind == "one":
                    if here == size or not what[1](text[here]):
                        break
                    here += 1
                elif kind == "run":
                    _, fits, least, most, keeps = what
                    end, last = here, size if most is None else min(size, here + most)
                    while end < last and fits(text[end]):
                        end += 1
                    self.steps += end - here
                    if end - here < least:
                        break
                    if not keeps and end > here + least:
                        left.append((pc, here + least, end - 1))
                    here = end
                elif kind == "split":
                    left.append((what[2], here, here))
                    pc = what[1]
                elif kind == "jump":
                    pc = what[1]
                elif kind == "at":
                    if not self._holds(what[1], text, here):
                        break
                elif kind == "atom":
                    here = self._run(what[1], text, here)
                    if here < 0:
                        break
                else:
                    _, inner, back, wanted = what
                    found = here >= back and self._run(inner, text, here - back) >= 0
                    if found != wanted:
                        break
        return -1

    def _holds(self, where: Any, text: str, here: int) -> bool:
        size = len(text)
        lines = self.flags & re.MULTILINE
        if where in (names.AT_BEGINNING, names.AT_BEGINNING_STRING):
            return here == 0 or bool(lines and where is names.AT_BEGINNING and text[here - 1] == "\n")
        if where is names.AT_END_STRING:
            return here == size
        if where is names.AT_END:
            return here == size or (text[here] == "\n" and (bool(lines) or here == size - 1))
        word = [0 <= place < size and self._in_category("word", text[place]) for place in (here - 1, here)]
        assert where in (names.AT_BOUNDARY, names.AT_NON_BOUNDARY), where
        return (word[0] != word[1]) == (where is names.AT_BOUNDARY)

    # From the tree to the program

    def _compile(self, tree: Any, end: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        program: list[tuple[Any, ...]] = []
        self._sequence(tree, program)
        return program + end

    def _sequence(self, tree: Any, program: list[tuple[Any, ...]]) -> None:
        for kind, value in tree:
            if kind in (names.LITERAL, names.NOT_LITERAL, names.IN, names.ANY):
                program.append(("one", self._class(kind, value)))
            elif kind is names.SUBPATTERN:
                assert not value[1] and not value[2], "flags for a part of a pattern are not known here"
                self._sequence(value[3], program)
            elif kind is names.BRANCH:
                self._branch(value[1], program)
            elif kind in _REPEATS:
                self._repeat(kind, value, program)
            elif kind is names.ATOMIC_GROUP:
                program.append(("atom", self._compile(value, [("match",)])))
            elif kind is names.AT:
                program.append(("at", value))
            elif kind in (names.ASSERT, names.ASSERT_NOT):
                inner = self._compile(value[1], [("match",)])
                back = value[1].getwidth()[0] if value[0] < 0 else 0
                program.append(("look", inner, back, kind is names.ASSERT))
            else:
                raise ValueError(f"{kind} is not known here: no pattern of ours needs it")

    def _branch(self, choices: list[Any], program: list[tuple[Any, ...]]) -> None:
        jumps = []
        for choice in choices[:-1]:
            at = len(program)
            program.append(())
            self._sequence(choice, program)
            jumps.append(len(program))
            program.append(())
            program[at] = ("split", at + 1, len(program))
        self._sequence(choices[-1], program)
        for at in jumps:
            program[at] = ("jump", len(program))

    def _repeat(self, kind: Any, value: tuple[int, Any, Any], program: list[tuple[Any, ...]]) -> None:
        least, most, body = value
        bound = None if most is names.MAXREPEAT else int(most)
        if kind is not names.MIN_REPEAT and len(body) == 1 and body[0][0] in _CLASSES:
            fits = self._class(*body[0])
            program.append(("run", fits, least, bound, kind is names.POSSESSIVE_REPEAT))
            return
        if kind is names.POSSESSIVE_REPEAT:
            inner: list[tuple[Any, ...]] = []
            self._repeat(names.MAX_REPEAT, value, inner)
            program.append(("atom", [*inner, ("match",)]))
            return
        for _ in range(least):
            self._sequence(body, program)
        if bound is None:
            assert body.getwidth()[0], "an endless repeat of what may be empty"
        again = len(program)
        skips = []
        for _ in range(1 if bound is None else bound - least):
            skips.append(len(program))
            program.append(())
            self._sequence(body, program)
        if bound is None:
            program.append(("jump", again))
        for at in skips:
            inside, outside = at + 1, len(program)
            order = (outside, inside) if kind is names.MIN_REPEAT else (inside, outside)
            program[at] = ("split", *order)

    def _class(self, kind: Any, value: Any) -> Callable[[str], bool]:
        known: dict[str, bool] = {}

        def fits(character: str) -> bool:
            found = known.get(character)
            if found is None:
                found = known[character] = self._fits(kind, value, character)
            return found

        return fits

    def _fits(self, kind: Any, value: Any, character: str) -> bool:
        if kind is names.ANY:
            return bool(self.flags & re.DOTALL) or character != "\n"
        same = {character}
        if self.flags & re.IGNORECASE:
            same |= {character.lower(), character.upper()}
        if kind is names.LITERAL:
            return any(chr(value) == each for each in same)
        if kind is names.NOT_LITERAL:
            return not any(chr(value) == each for each in same)
        negated = value[0][0] is names.NEGATE
        return any(self._item(item[0], item[1], each) for item in value[negated:] for each in same) != negated

    def _item(self, kind: Any, value: Any, character: str) -> bool:
        if kind is names.LITERAL:
            return character == chr(value)
        if kind is names.RANGE:
            return len(character) == 1 and value[0] <= ord(character) <= value[1]
        name = str(value).removeprefix("CATEGORY_").lower()
        wanted = not name.startswith("not_")
        return self._in_category(name.removeprefix("not_"), character) == wanted

    def _in_category(self, name: str, character: str) -> bool:
        ascii_only = self.binary or self.flags & re.ASCII
        if ascii_only and not character.isascii():
            return False
        if name == "digit":
            return character.isdecimal()
        if name == "space":
            return character in " \t\n\r\f\v" if ascii_only else character.isspace()
        assert name == "word", name
        return character == "_" or character.isalnum()


_CLASSES = (names.LITERAL, names.NOT_LITERAL, names.IN, names.ANY)


class Slow(NamedTuple):
    """A text for which the steps grow faster than its length: ``pump`` over and over between two ends."""

    mode: str
    head: str
    pump: str
    tail: str
    steps: tuple[int, ...]

    def __str__(self) -> str:
        text = f"{self.head!r} + {self.pump!r} * n + {self.tail!r}"
        return f"{self.mode} of {text}, n from 4 and twice as many each time, takes {self.steps} steps"


def worst(pattern: re.Pattern[Any], modes: tuple[str, ...] = MODES) -> Slow | None:
    """A text for which ``pattern`` takes more than linear time, if one is found; the same each time."""
    machine, dice = Machine(pattern), Random(f"{pattern.pattern!r}")
    if machine.tree.getwidth()[1] <= BOUNDED:
        return None
    for head, pump, tail in dict.fromkeys(_attacks(machine, _alphabet(machine), dice)):
        for mode in modes:
            steps = _growing(machine, mode, head, pump, tail)
            if steps:
                return Slow(mode, head, pump, tail, steps)
    return None


def texts(machine: Machine, dice: Random, count: int) -> Iterator[str]:
    """Texts that the pattern matches, or nearly."""
    alphabet = _alphabet(machine)
    for _ in range(count):
        text = "".join(_example(machine, machine.tree, alphabet, dice))
        at = dice.randrange(len(text) + 1)
        yield text[:at] + dice.choice(("", "", dice.choice(alphabet))) + text[at + dice.choice((0, 0, 1)) :]


def _growing(machine: Machine, mode: str, head: str, pump: str, tail: str) -> tuple[int, ...]:
    """The steps where they more than double with the text, however long it is made; else empty."""
    found: list[int] = []
    times = 4
    while len(found) < 4 or times * len(pump) < 4096:
        try:
            found.append(machine.run(mode, head + pump * times + tail))
        except TooMany:
            return (*found, MOST)
        if len(found) > 2 and found[-1] - found[-2] <= 2.3 * (found[-2] - found[-3]) + 8:
            return ()
        times *= 2
    return tuple(found)


def _attacks(machine: Machine, alphabet: str, dice: Random) -> Iterator[tuple[str, str, str]]:
    """What begins an example of the pattern, or any short piece of it, over and over."""
    for _ in range(EXAMPLES):
        example = "".join(_example(machine, machine.tree, alphabet, dice))[:24]
        pieces = [(0, end) for end in range(1, len(example) + 1)]
        pieces += [(at, at + size) for at in range(1, len(example)) for size in (1, 2, 3, 8)]
        for start, end in pieces:
            other = dice.choice(alphabet)
            head = dice.choice(("", example[:start], other, example[:end]))
            tail = dice.choice(("", dice.choice(alphabet), dice.choice(alphabet), example[end:]))
            yield head, example[start:end], tail
            yield dice.choice(("", example[:start])), example[start:end] + other, tail


def _alphabet(machine: Machine) -> str:
    """What the pattern names, and a few that it does not."""
    found: dict[str, None] = {}

    def walk(part: Any) -> None:
        for kind, value in part:
            if kind in (names.LITERAL, names.NOT_LITERAL):
                found[chr(value)] = None
            elif kind is names.IN:
                walk(value)
            elif kind is names.RANGE:
                found[chr(value[0])] = None
            elif kind is names.SUBPATTERN:
                walk(value[3])
            elif kind is names.BRANCH:
                for each in value[1]:
                    walk(each)
            elif kind in _REPEATS:
                walk(value[2])
            elif kind is names.ATOMIC_GROUP:
                walk(value)
            elif kind in (names.ASSERT, names.ASSERT_NOT):
                walk(value[1])

    walk(machine.tree)
    return "".join(dict.fromkeys([*found, *_ALWAYS]))


def _example(machine: Machine, tree: Any, alphabet: str, dice: Random) -> Iterator[str]:
    """Pieces of a text that the pattern may match."""
    for kind, value in tree:
        if kind in _CLASSES:
            fitting = [each for each in alphabet if machine._fits(kind, value, each)]
            yield dice.choice(fitting) if fitting else ""
        elif kind is names.SUBPATTERN:
            yield from _example(machine, value[3], alphabet, dice)
        elif kind is names.BRANCH:
            yield from _example(machine, dice.choice(value[1]), alphabet, dice)
        elif kind in _REPEATS:
            least, most, body = value
            for _ in range(min(most, least + dice.choice((0, 1, 1, 2)))):
                yield from _example(machine, body, alphabet, dice)
        elif kind is names.ATOMIC_GROUP:
            yield from _example(machine, value, alphabet, dice)
