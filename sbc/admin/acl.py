"""The access list, for whoever asks: each rule with what it has decided, and the busiest of them."""

from __future__ import annotations

from heapq import nlargest
from math import isfinite
from typing import Any, Final

from sbc.observe.edge_views import AclRuleView, AclView
from sbc.policy.acl import Acl, Rule

_BUSIEST: Final = 10


def view(acl: Acl) -> AclView:
    """How many rules there are, how often somebody was barred, and the rules that barred most."""
    hit = [rule for rule in acl.rules if not rule.allow and rule.count.hits]
    busiest = nlargest(_BUSIEST, hit, key=lambda rule: rule.count.hits)
    return AclView(len(acl.rules), tuple(acl.denied.items()), tuple(map(_view, busiest)))


def _view(rule: Rule) -> AclRuleView:
    return AclRuleView(rule.place, str(rule), rule.note, rule.count.hits, rule.count.last)


def table(acl: Acl, now: float) -> list[dict[str, Any]]:
    """Every rule in its order, in JSON types; ``now`` in POSIX seconds says which are over."""
    return [
        {
            "place": rule.place, "act": "allow" if rule.allow else "deny", "kind": rule.kind,
            "values": list(rule.values), "note": rule.note, "tenant": rule.scope.tenant,
            "listeners": list(rule.scope.listeners), "silent": rule.silent,
            "until": rule.until if isfinite(rule.until) else None, "over": now >= rule.until,
            "hits": rule.count.hits, "last": rule.count.last,
        }
        for rule in acl.rules
    ]  # fmt: skip
