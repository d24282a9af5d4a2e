"""An example: calls that our own desk marks with X-Priority leave marked for the carrier too."""

from sbc.hookapi import Route, SetHeader, with_edits


def on_route(facts, decision):
    """Copy the mark; every other call goes on as the rules have decided."""
    if isinstance(decision, Route) and facts.header("X-Priority") == "urgent":
        return with_edits(decision, SetHeader("X-Carrier-Priority", "1"))
    return None
