"""Everything about a rule that its grammar cannot say: names, types, what may be set, the order.

Each expression is given a type; a comparison that could never be true (a truth with a text, a
trunk that does not exist, a certificate name without its kind) is a mistake to be told now, not
a rule that silently never matches.
"""

from __future__ import annotations

from dsl import syntax
from dsl.check_values import ValueChecker
from dsl.compile import spelled
from dsl.facts import DAYS, FACTS
from dsl.functions import FUNCTIONS
from dsl.names import suggest
from dsl.ownership import read_refusal
from dsl.patterns import PatternError
from dsl.scope import GROUP, LIST, TABLE
from dsl.table import DATE, KEY, PREFIX

_NAMED = {
    LIST: "a list stands after in, starts with or ends with",
    TABLE: "write table.NAME[to.user].COLUMN, or to.user in table.NAME",
    GROUP: "a group stands after route or then",
}
_ONE_BY_ONE = "what a service answers is compared with ==, or searched itself"
TEXTUAL = ("text", "host", "address")
_KINDS = {
    "text": "text",
    "host": "text",
    "address": "an address",
    "list": "a list",
    "truth": "true or false",
    "number": "a number",
    "clock": "a time of day",
    "day": "a day of the week",
    "date": "a date",
}
ORDERED = ("number", "clock", "day", "date")
_LOWER_FIRST = "the lower end stands first"
_DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# What others call it: the nearest name would be that of another fact.
_ELSEWHERE = {
    **dict.fromkeys(("ruri", "ruri.user", "request.user", "called", "callee", "dialed", "number"), "to.user"),
    **dict.fromkeys(("to.number", "destination", "did"), "to.user"),
    **dict.fromkeys(("ruri.host", "to.domain", "domain", "to.ip"), "to.host"),
    **dict.fromkeys(("caller", "calling", "from.number", "cli", "callerid", "caller_id"), "from.user"),
    "from.domain": "from.host",
    **dict.fromkeys(("ip", "address", "src", "source.ip", "source_ip", "peer.ip", "remote"), "source"),
    **dict.fromkeys(("codec", "codecs", "sdp.codec"), "sdp.codecs"),
    **dict.fromkeys(("weekday", "dow"), "day"),
    "hour": "time.hour",
    "minute": "time.minute",
}
# Those that go round do so under another name.
_EMPTY_HINTS = {
    "time.hour": "over midnight it is written with times: time in 22:00..06:00",
    "time.minute": "over the hour it is two: time.minute >= 50 or time.minute <= 10",
    "time.weekday": "over the week's end it is written with days: day in sat..mon",
}


class Checker(ValueChecker):
    """Checks the types of a when, and that each name in it stands for something."""

    def condition(self, node: syntax.Node) -> None:
        """Check a node that must be true or false."""
        kind = self.type_of(node)
        if kind not in (None, "truth"):
            hint = {
                "text": 'compare it, such as == "..."',
                "host": 'compare it, such as == "..."',
                "address": "compare it, such as in 10.0.0.0/8",
                "list": 'compare it, such as == "...", which asks each of its values',
                "number": "compare it, such as > 5",
                "clock": "compare it, such as in 08:00..18:00",
                "day": "compare it, such as in mon..fri",
                "date": "compare it, such as == 2026-12-24",
            }
            self.report(node, f"this is {_KINDS[kind or 'text']}, not a condition", hint[kind or "text"])

    def type_of(self, node: syntax.Node) -> str | None:
        """The type of an expression; None when a problem with it was reported."""
        match node:
            case syntax.Text():
                return "text"
            case syntax.Number():
                return "number"
            case syntax.Truth():
                return "truth"
            case syntax.Clock() | syntax.Day() | syntax.Date():
                return self.moment(node)
            case syntax.Lookup():
                return self.lookup(node)
            case syntax.FactRef():
                return self._fact(node)
            case syntax.VariableRef():
                return self.variable(node)
            case syntax.Call():
                return self._call(node)
            case syntax.Concat():
                for part in node.parts:
                    self.text(part)
                return "text"
            case _:
                self._truth(node)
                return "truth"

    def _truth(self, node: syntax.Node) -> None:
        match node:
            case syntax.AllOf() | syntax.AnyOf():
                for part in node.parts:
                    self.condition(part)
            case syntax.Not():
                self.condition(node.of)
            case syntax.HasHeader():
                self.refuse(node.name, _name_only(node.name.value))
            case syntax.Compare():
                self._compare(node)
            case syntax.Matches():
                self._searchable(node.left, "matches")
                self.fits(node.left, node.regex, self.pattern(node.regex))
            case syntax.Affix():
                self._searchable(node.left, "starts with" if node.starts else "ends with")
                for option in node.options:
                    if isinstance(option, syntax.FactRef):
                        self.named_list(option)
                    elif isinstance(option, syntax.VariableRef):
                        self.report(option, f"{option.name} cannot stand here", _ONE_BY_ONE)
                    self.stars(node.left, option)
            case syntax.Member():
                self._member(node)

    def text(self, node: syntax.Node) -> None:
        """Check an expression that must be text."""
        kind = self.type_of(node)
        if kind in TEXTUAL or kind is None:
            return
        hint = f'write "{node.written}"' if isinstance(node, syntax.Number) else ""
        self.report(node, f"this is {_KINDS[kind]}; text is needed here", hint)

    def lookup(self, node: syntax.Lookup) -> str | None:
        """Check a look-up in a table; its value is text."""
        before = len(self.problems)
        table = self.table(node, node.table)
        if table is not None and table.kind == DATE:
            kind = self.type_of(node.key)
            if kind not in (None, "date"):
                hint = f"such as {TABLE}{table.name}[date]"
                self.report(node.key, f"the table {table.name} is one of dates", hint)
        else:
            self.text(node.key)
        if table is not None and node.column not in (columns := table.columns):
            hint = suggest(node.column, [name for name in columns if name != table.kind])
            self.report(node, f"the table {table.name} has no column {node.column!r}", hint)
        elif table is not None and table.kind != PREFIX and node.column == table.kind:
            self.report(node, f"{node.column} is what a row is found by", "ask for another column")
        elif table is not None and table.kind == KEY:
            self.keys(node, table)
        return "text" if len(self.problems) == before and table is not None else None

    def _fact(self, node: syntax.FactRef) -> str | None:
        fact = FACTS.get(node.name)
        if fact is not None:
            return fact.type
        for kind, usage in _NAMED.items():
            if node.name.startswith(kind):
                self.report(node, f"{node.name} cannot stand here", usage)
                return None
        name = node.name.lower()
        if (day := name[:3]) in DAYS and name in (day, *_DAY_NAMES):
            hint = f"days are {', '.join(DAYS)}: write {day}"
        elif name in _ELSEWHERE:
            hint = f"it is called {_ELSEWHERE[name]}"
        else:
            hint = suggest(node.name, FACTS) or f'text is written in quotes: "{node.name}"'
        self.report(node, f"there is no fact {node.name!r}", hint)
        return None

    def _call(self, node: syntax.Call) -> str | None:
        function = FUNCTIONS.get(node.name)
        if function is None:
            self.report(node, f"there is no function {node.name!r}", suggest(node.name, FUNCTIONS))
            return None
        if len(node.args) != len(function.takes):
            found = f"{node.name} takes {len(function.takes)} arguments, not {len(node.args)}"
            self.report(node, found, f"write {function.usage}")
            return None
        before = len(self.problems)
        pattern = None
        for arg, wanted in zip(node.args, function.takes, strict=True):
            if wanted == "pattern" and isinstance(arg, syntax.Regex):
                pattern = self.pattern(arg)
            elif wanted == "pattern" or isinstance(arg, syntax.Regex):
                self.report(
                    arg, "a /pattern/ is needed here" if wanted == "pattern" else "text is needed here"
                )
            elif wanted in ("literal", "trunk") and not isinstance(arg, syntax.Text):
                self.report(arg, "text in quotes is needed here")
            elif wanted == "trunk":
                self.trunk(arg)
            else:
                self.text(arg)
        if node.name == "e164" and isinstance(code := node.args[1], syntax.Text):
            self.country(code)
        if node.name == "header" and isinstance(node.args[0], syntax.Text):
            self.refuse(node.args[0], read_refusal(node.args[0].value))
        if pattern is not None and node.name == "replace" and isinstance(node.args[2], syntax.Text):
            try:
                pattern.replacer(node.args[2].value)
            except PatternError as error:
                self.report(node.args[2], str(error), "\\1 to \\9 stand for the (groups) of the pattern")
        if node.name == "number" and len(self.problems) == before:
            self.numbers(node.args[0])
        return function.gives if len(self.problems) == before else None

    def _compare(self, node: syntax.Compare) -> None:
        left, right = self.type_of(node.left), self.type_of(node.right)
        if left is None or right is None:
            return
        if node.op not in ("==", "!="):
            self._order(node, left, right)
            return
        if "list" in (left, right):
            if left != "list" or right not in TEXTUAL:
                self.report(node, "a list is compared with text, the list on the left")
            else:
                self.values(node.left, (node.right,))
        elif _family(left) != _family(right):
            self.report(
                node.right,
                f"{_KINDS[left]} is compared with {_KINDS[right]}; that is never equal",
                _mismatch_hint(node, left, right),
            )
        else:
            self.values(node.left, (node.right,))
            self.values(node.right, (node.left,))

    def _order(self, node: syntax.Compare, left: str, right: str) -> None:
        for side, kind in ((node.left, left), (node.right, right)):
            if kind not in ORDERED:
                hint = "number(...) reads a number from text" if kind in TEXTUAL else ""
                self.report(side, f"{node.op} compares numbers; this is {_KINDS[kind]}", hint)
                return
        if left != right:
            self.report(node.right, f"{_KINDS[left]} is compared with {_KINDS[right]}")

    def _member(self, node: syntax.Member) -> None:
        kind = self.type_of(node.left)
        if kind is None:
            return
        for option in node.options:
            self._option(node.left, kind, option)
            self.stars(node.left, option)
        if kind != "address":
            self.values(node.left, node.options)

    def _option(self, left: syntax.Node, kind: str, option: syntax.Node) -> None:
        match option:
            case syntax.FactRef(name=name) if name.startswith(TABLE):
                table = self.table(option, name)
                dates = table is not None and table.kind == DATE
                if dates and kind != "date":
                    self.report(
                        option, f"a table of dates; this asks about {_KINDS[kind]}", f"date in {name}"
                    )
                elif table is not None and not dates and kind not in TEXTUAL:
                    self.report(option, f"a table holds numbers as text; this asks about {_KINDS[kind]}")
            case syntax.FactRef():
                self._list_option(kind, option)
            case syntax.VariableRef():
                self.report(option, f"{option.name} cannot stand here", _ONE_BY_ONE)
            case syntax.Span():
                self._span(left, kind, option)
            case syntax.Network() if kind != "address":
                self.report(option, "only an address is in a network", "source in 10.0.0.0/8")
            case syntax.Text() | syntax.Network() if kind == "address":
                self.network(option, option.value)
            case _:
                found = self.type_of(option)
                if found is not None and (
                    kind == "truth" or _family(found) != _family("text" if kind == "list" else kind)
                ):
                    self.report(option, f"{_KINDS[kind]} is never this", _in_hint(kind))

    def _list_option(self, kind: str, option: syntax.FactRef) -> None:
        found = self.named_list(option)
        if found is not None and kind not in (*TEXTUAL, "list"):
            self.report(option, f"a list holds texts; this asks about {_KINDS[kind]}")
        for text in found if found is not None and kind == "address" else ():
            self.network(option, text)

    def _span(self, left: syntax.Node, kind: str, option: syntax.Span) -> None:
        low, high = self.type_of(option.low), self.type_of(option.high)
        if low is None or high is None:
            return
        if low != high:
            self.report(option.high, f"from {_KINDS[low]} to {_KINDS[high]} is no range")
        elif _family(low) != _family("text" if kind == "list" else kind):
            self.report(option, f"{_KINDS[kind]} is never in this range", _in_hint(kind))
        elif isinstance(option.low, syntax.Text) and isinstance(option.high, syntax.Text):
            first, last = spelled(left, option.low.value), spelled(left, option.high.value)
            if len(first) != len(last):
                self.report(
                    option.high,
                    "the two numbers of a block are of one length",
                    'such as "+4930100".."+4930199"',
                )
            elif first > last:
                self.report(option, "this range is empty", "the lower number stands first")
        elif low in ("number", "date") and option.low.value > option.high.value:  # type: ignore[attr-defined]
            self.report(option, "this range is empty", _EMPTY_HINTS.get(_name_of(left), _LOWER_FIRST))

    def _searchable(self, node: syntax.Node, verb: str) -> None:
        kind = self.type_of(node)
        if kind is not None and kind not in (*TEXTUAL, "list"):
            self.report(node, f"{verb} needs text; this is {_KINDS[kind]}")


def _in_hint(kind: str) -> str:
    return {
        "clock": "such as in 08:00..18:00", "day": "such as in mon..fri", "number": "such as in 3..5",
        "date": "such as in 2026-12-24..2026-12-26", "address": "an address or a network, such as 10.0.0.0/8",
        **dict.fromkeys(("text", "host", "list"), 'a block of numbers is one of texts: "0900".."0999"'),
    }.get(kind, "")  # fmt: skip


def _family(kind: str) -> str:
    return "text" if kind in TEXTUAL else kind


def _mismatch_hint(node: syntax.Compare, left: str, right: str) -> str:
    if "truth" in (left, right):
        fact = node.left if left == "truth" else node.right
        return f"ask `{fact.name}` or `not {fact.name}`" if isinstance(fact, syntax.FactRef) else ""
    for side, other in ((node.right, left), (node.left, right)):
        if isinstance(side, syntax.Number) and other in TEXTUAL:
            return f'write "{side.written}"'
        if isinstance(side, syntax.Text):
            return _unquoted(side.value, other)
    return "number(...) reads a number from text" if "number" in (left, right) else ""


def _unquoted(text: str, kind: str) -> str:
    """What to write instead of a number, a time, a day or a date in quotes."""
    if kind in ("day", "clock", "date"):
        example = {"clock": "08:30", "date": "2026-12-24"}.get(kind, "mon")
        return f"without quotes, such as {text.lower()[:3] if text.lower()[:3] in DAYS else example}"
    return f"write {text}" if text.isascii() and text.isdigit() else "write a number without quotes"


def _name_of(node: syntax.Node) -> str:
    return node.name if isinstance(node, syntax.FactRef) else ""


def _name_only(name: str) -> tuple[str, str] | None:
    refusal = read_refusal(name)
    return refusal if refusal and "is not the name" in refusal[0] else None
