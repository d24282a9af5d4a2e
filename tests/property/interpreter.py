"""What a condition says of a call, worked out from its tree and the reference in docs/language.md.

Slow and plain, and written apart from ``dsl.compile``: so that the two can be held against each other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from ipaddress import ip_address, ip_network
from typing import Any

from dsl import syntax
from dsl.addresses import canonical_user
from dsl.draft import Draft
from dsl.numbers import e164
from dsl.scope import Scope

HOSTS = ("to.host", "from.host", "to_header.host", "to.param", "from.param")
USERS = ("to.user", "from.user", "to_header.user", "asserted.user")
LISTS = ("peer.san", "sdp.codecs", "call.tags")


class Interpreter:
    """One call as it is now, after what the rules so far have set."""

    def __init__(self, draft: Draft, scope: Scope) -> None:
        self.draft = draft
        self.scope = scope

    def holds(self, node: Any) -> bool:
        """Whether a condition holds."""
        match node:
            case syntax.AllOf():
                return all(self.holds(part) for part in node.parts)
            case syntax.AnyOf():
                return any(self.holds(part) for part in node.parts)
            case syntax.Not():
                return not self.holds(node.of)
            case syntax.HasHeader():
                return self.draft.header(node.name.value) is not None
            case syntax.Compare():
                return self._compare(node)
            case syntax.Matches():
                flags = re.IGNORECASE if self._name(node.left) in HOSTS else 0
                pattern = re.compile(node.regex.source, flags)
                return self._any(node.left, lambda value: pattern.search(value) is not None)
            case syntax.Affix():
                return self._affix(node)
            case syntax.Member():
                found = self._any(
                    node.left, lambda value: any(self._in(node.left, value, each) for each in node.options)
                )
                return found is not node.negated
        return bool(self.value(node))

    def value(self, node: Any) -> Any:
        """The value of an expression: a text, a number, a truth or a list of texts."""
        match node:
            case syntax.FactRef():
                return self._fact(node.name)
            case syntax.Call():
                return self._call(node.name, node.args)
            case syntax.Lookup():
                row = self._row(node.table, self.value(node.key))
                return "" if row is None else row[node.column]
            case syntax.Concat():
                return "".join(self.value(part) for part in node.parts)
        return node.value

    # Comparisons

    def _compare(self, node: Any) -> bool:
        if node.op == "!=":
            return not self._equal(node.left, self.value(node.right), node.right)
        if node.op == "==":
            return self._equal(node.left, self.value(node.right), node.right)
        left, right = self.value(node.left), self.value(node.right)
        return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[node.op])

    def _equal(self, left: Any, wanted: Any, right: Any = None) -> bool:
        if self._name(left) in USERS and isinstance(
            right, syntax.Text
        ):  # what a call says is not spelled anew
            wanted = canonical_user(wanted)
        return self._any(left, lambda value: self._same(left, value, wanted))

    def _same(self, left: Any, value: Any, wanted: Any) -> bool:
        name = self._name(left)
        if name == "source":
            return bool(value) and ip_address(value) == ip_address(wanted)
        if name in HOSTS:
            return bool(value.lower() == wanted.lower())
        return bool(value == (wanted.upper() if name == "sdp.codecs" else wanted))

    def _affix(self, node: Any) -> bool:
        def fits(value: str) -> bool:
            return any(self._begins(node, value, each) for each in self._texts(node.options))

        return self._any(node.left, fits)

    def _begins(self, node: Any, value: str, text: str) -> bool:
        name = self._name(node.left)
        if name in HOSTS:
            value, text = value.lower(), text.lower()
        if name in USERS and text.startswith("+"):
            text = canonical_user(text)
        return value.startswith(text) if node.starts else value.endswith(text)

    def _in(self, left: Any, value: Any, option: Any) -> bool:
        match option:
            case syntax.FactRef(name=name) if name.startswith("list."):
                return any(self._one_of(left, value, each) for each in self._texts((option,)))
            case syntax.FactRef(name=name):
                return self._row(name, value) is not None
            case syntax.Span():
                return self._spans(value, option)
        return self._one_of(left, value, option.value)

    def _one_of(self, left: Any, value: Any, wanted: Any) -> bool:
        if self._name(left) in USERS:
            wanted = canonical_user(wanted)
        if self._name(left) != "source":
            return self._same(left, value, wanted)
        if not value:
            return False
        address, network = ip_address(value), ip_network(wanted)
        mapped = getattr(address, "ipv4_mapped", None)
        return address in network or (mapped is not None and mapped in network)

    def _spans(self, value: Any, span: Any) -> bool:
        low, high = span.low.value, span.high.value
        if isinstance(span.low, syntax.Text):
            return len(value) == len(low) and low <= value <= high
        if isinstance(span.low, syntax.Clock):
            return bool(low <= value < high if low < high else value >= low or value < high)
        return bool(low <= value <= high if low <= high else value >= low or value <= high)

    def _any(self, node: Any, check: Callable[[Any], bool]) -> bool:
        """Ask a value, or each of a list."""
        value = self.value(node)
        return any(check(each) for each in value) if self._name(node) in LISTS else check(value)

    def _texts(self, options: Any) -> list[str]:
        found: list[str] = []
        for option in options:
            if isinstance(option, syntax.FactRef):
                found += self.scope.lists[option.name.removeprefix("list.")]
            else:
                found.append(option.value)
        return found

    def _row(self, table: str, number: str) -> dict[str, str] | None:
        """The row of the longest prefix that fits."""
        known = self.scope.tables[table.removeprefix("table.")]
        rows = known._rows
        for length in range(len(number), -1, -1):
            if number[:length] in rows:
                return dict(zip(known.columns, rows[number[:length]], strict=True))
        return None

    @staticmethod
    def _name(node: Any) -> str:
        return str(node.name) if isinstance(node, syntax.FactRef | syntax.Call) else ""

    # Values

    def _fact(self, name: str) -> Any:
        draft, facts = self.draft, self.draft.facts
        if name in ("time", "day", "date", "time.hour", "time.minute", "time.weekday"):
            return self._moment(name)
        return {
            "to.user": draft.ruri_user, "to.host": draft.ruri_host, "to.type": draft.ruri_type,
            "to.scheme": draft.ruri_scheme, "to.port": facts.ruri_port, "from.user": draft.from_user,
            "from.host": draft.from_host, "from.display": draft.from_display, "from.port": facts.from_port,
            "from.type": draft.from_type, "from.scheme": draft.from_scheme,
            "to_header.user": facts.to_header_user,
            "asserted.user": draft.asserted_user, "asserted.display": draft.asserted_display,
            "auth.user": facts.auth_user, "call.id": facts.call_id, "user_agent": facts.user_agent,
            "trunk": facts.trunk, "tenant": facts.tenant, "listener": facts.listener, "source": facts.source,
            "transport": facts.transport, "sips": facts.sips, "peer.verified": facts.peer_verified,
            "peer.san": facts.peer_sans, "sdp.codecs": facts.sdp_codecs, "sdp.srtp": facts.sdp_srtp,
            "call.tags": (*facts.tags, *draft.tags), "calls": facts.calls(""),
        }[name]  # fmt: skip

    def _moment(self, name: str) -> int:
        local = datetime.fromtimestamp(self.draft.facts.now, self.scope.zone)
        return {
            "time": local.hour * 60 + local.minute, "day": local.isoweekday(), "time.hour": local.hour,
            "time.minute": local.minute, "time.weekday": local.isoweekday(),
            "date": local.year * 10_000 + local.month * 100 + local.day,
        }[name]  # fmt: skip

    @staticmethod
    def _param(found: str | None, name: str) -> str:
        return "" if found is None else found or name.lower()

    def _call(self, name: str, arguments: Any) -> Any:
        first = arguments[0]
        match name:
            case "header":
                return self.draft.header(first.value) or ""
            case "to.param":
                return self._param(self.draft.ruri_param(first.value.lower()), first.value)
            case "from.param":
                return self._param(self.draft.from_param(first.value.lower()), first.value)
            case "calls":
                return self.draft.facts.calls(first.value)
        text = self.value(first)
        match name, [getattr(each, "value", each) for each in arguments[1:]]:
            case "lower", _:
                return text.lower()
            case "length", _:
                return len(text)
            case "number", _:
                plain = re.fullmatch(r"[0-9]{1,18}(\.[0-9]{1,9})?", text, re.ASCII)
                return float(text) if plain else float("nan")
            case "replace", [pattern, replacement]:
                return re.sub(pattern.source, replacement.replace("\\", "\\\\"), text)
            case "strip_prefix", [prefix]:
                return text[len(prefix) :] if text.startswith(prefix) else text
            case "add_prefix", [prefix]:
                return text if text.startswith(prefix) else prefix + text
            case "capture", [pattern]:
                found = re.search(pattern.source, text)
                return "" if found is None else found[1 if found.re.groups else 0] or ""
            case "replace_prefix", [old, new]:
                return new + text[len(old) :] if text.startswith(old) else text
            case "e164", [country]:
                return e164(text, country)
        raise AssertionError(f"no such function: {name}")
