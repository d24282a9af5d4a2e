"""A call that is not made: what the rules and the trunks' policies would do with it, in words."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.decision import (
    CopyHeader,
    Decision,
    Edit,
    Hop,
    Limit,
    Redirect,
    RemoveHeader,
    Route,
    SetHeader,
    SetParam,
    SetPart,
    ending,
)
from dsl.facts import Facts
from sbc.b2bua.leg import callee_srtp, caller_srtp
from sbc.b2bua.translate import is_secure
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.policy.premium import payers_of


def describe(snapshot: Snapshot, facts: Facts, decision: Decision) -> list[str]:
    """A line for the decision, and one for everything that comes with it."""
    lines = [f"decided by {decision.rule}", ending(decision)]
    if isinstance(decision, Route):
        origin = snapshot.trunks.get(facts.trunk)
        for at, hop in enumerate(decision.hops, 1):
            if hop.registered:
                lines.append(_phones(at, hop))
                continue
            names = [name for name, _ in hop.group.members] if hop.group else [hop.trunk]
            for name in names:
                lines.append(_hop(snapshot, facts, origin, decision, at, hop, name))
            lines += [f"     there: {_edit(edit)}" for edit in hop.edits]
        lines += [f"  {_edit(edit)}" for edit in decision.edits]
        premium = snapshot.premium.get(facts.trunk)
        payers = payers_of(facts)
        of_trunk = premium.of(decision, facts.ruri_user, payers) if premium is not None else ()
        lines += [f"  {text}" for text in _extras(decision, decision.limits + of_trunk)]
    elif isinstance(decision, Redirect):
        lines += [f"  {text}" for text in _redirected(facts, decision)]
    lines += [f"  tag {tag}" for tag in decision.tags]
    return lines


def _redirected(facts: Facts, decision: Redirect) -> Iterator[str]:
    """What becomes of the targets that lose the TLS that the call came by."""
    policy = decision.downgrade or "warn"
    for target in decision.targets:
        judged = verdict(facts.transport == "tls", is_secure(target), policy)
        if judged.downgraded:
            said = (
                "not told: the downgrade is forbidden" if judged.outcome == "forbid" else "a SIPS downgrade"
            )
            yield f"{target}: {said} ({policy})"


def _phones(at: int, hop: Hop) -> str:
    how = "one by one" if hop.registered == "one by one" else "together, those of a higher q first"
    return f"  {at}. the phones of the called user{_upon(hop)}: {how}"


def _upon(hop: Hop) -> str:
    return f", upon {', '.join(map(str, hop.on))}" if hop.on else ""


def _hop(
    snapshot: Snapshot, facts: Facts, origin: Trunk | None, route: Route, at: int, hop: Hop, name: str
) -> str:
    trunk = snapshot.trunks[name]
    transport = snapshot.settings.listeners[trunk.listener].transport
    secure_in = facts.transport == "tls"
    policy = effective_downgrade(trunk.sips, route.downgrade)
    judged = verdict(secure_in, transport == "tls", policy)
    here = caller_srtp(origin.srtp, route.srtp) if origin is not None else "?"
    parts = [f"srtp {here} here, {callee_srtp(trunk.srtp, route.srtp)} there"]
    if judged.downgraded:
        what = "not taken: the downgrade is forbidden" if judged.outcome == "forbid" else "a SIPS downgrade"
        parts.append(f"{what} ({policy})")
    if not trunk.peers:
        parts.append("has no peers")
    if facts.method != "INVITE" and facts.method not in trunk.methods:
        parts.append(f"takes no {facts.method}: its methods do not list it")
    if name in snapshot.disabled:
        parts.append(f"is disabled: {snapshot.disabled[name]}")
    elif name in snapshot.quarantined:
        parts.append("is quarantined")
    group = f" of group {hop.group.name}" if hop.group else ""
    return f"  {at}. {name}{group} over {transport}{_upon(hop)}: {'; '.join(parts)}"


def _edit(edit: Edit) -> str:
    match edit:
        case SetPart(part=part, value=value):
            return f'set {part} = "{value}"'
        case SetParam(side=side, name=name, value=value):
            return f'set {side}.param("{name}") = "{value}"'
        case SetHeader(name=name, value=value):
            return f'set header "{name}" = "{value}"'
        case RemoveHeader(glob=glob):
            return f'remove header "{glob}"'
        case CopyHeader(glob=glob, name=name):
            return f'copy header "{glob}"' + (f' to "{name}"' if name else "")


def _extras(route: Route, limits: tuple[Limit, ...]) -> Iterator[str]:
    if route.downgrade is not None:
        yield f"{route.downgrade} downgrade"
    if route.redirects is not None:
        yield f"{route.redirects} redirects"
    codecs = route.codecs
    for verb, names in (
        (("allow", codecs.allow), ("deny", codecs.deny), ("prefer", codecs.prefer)) if codecs else ()
    ):
        if names:
            yield f"{verb} codecs {', '.join(names)}"
    if route.ring is not None:
        yield f"ring for {route.ring} seconds"
    if route.longest is not None:
        yield f"at most {route.longest} seconds"
    for answer in route.answers:
        reason = f' "{answer.reason}"' if answer.reason else ""
        yield f"answer {answer.of} as {answer.status}{reason}"
    for limit in limits:
        once = " at once" if limit.window is None and not limit.seconds else ""
        hard = ", hard" if limit.window is not None and limit.window.hard else ""
        yield f"limit {limit.text}{once} for {limit.key}{hard}, else {limit.status}"
    for text, days in route.remember:
        yield f"remember {text} for {days} days"
    if route.record:
        yield "record with tone" if route.tone else "record"
    for hook in route.hooks:
        yield f"call hook {hook}"
