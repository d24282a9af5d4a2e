"""The secrecy report: on which routes a call that came in protected could leave without protection.

For each trunk that calls can come from the rules are walked as the call would walk them, with only that known
which the trunk settles: its name, tenant, listener and transport. Whatever else a condition asks, it may hold
or not; so a rule counts unless it cannot hold, and ends the walk only where it must. What rules that continue
have set is a set of possibilities, which the last word of the rule that routes decides. The policies of
the trunks then say what becomes of the hop (``sbc.b2bua.leg``). The report can therefore name a
route that no call will ever take, and never leaves out one that a call can take. Of a redirect it says which
targets, as the rule writes them, may be without TLS; to where a hook redirects nobody knows before it does.
A service that rules ask, and that may decide, is taken like a hook where a rule that asks it can be reached.
A trunk that is trusted with who users are (``identity``) without a certificate is named too.
A call that a rule records lies in the clear on a disk, however its legs are protected, so that is named too.
Where a callee's redirects are followed, the rules are walked again as a call of its trunk, with the promise
that the caller had; what the rules before demanded of it would still hold, and is not counted on here. So are
they where a trunk's transfers are carried out, for whoever may be in a call with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from dsl import syntax
from dsl.outcome import SRTP
from dsl.partial import holds
from dsl.ruleset import Rule, trunks_asked
from sbc.b2bua.leg import callee_srtp
from sbc.b2bua.translate import is_secure
from sbc.config.arrivals import arrival
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.policy.downgrade import effective_downgrade, verdict

Promise = Literal["SIPS", "SRTP", "IDENTITY", "RECORDING"]
Asked = list[tuple[Rule, tuple[str, ...] | None]]


@dataclass(frozen=True, slots=True)
class Leak:
    """One way out: a call of ``origin`` that came in by ``promise`` can go to ``target`` without it.

    ``rule`` names the rule or hook that allows it, ``remedy`` what would forbid it.
    """

    promise: Promise
    origin: str
    target: str
    rule: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.promise}: from {self.origin} to {self.target} {_HOW[self.promise]}, by {self.rule};"
            f" forbidden by {self.remedy}"
        )


_HOW: dict[Promise, str] = {
    "SIPS": "in the clear", "SRTP": "in the clear", "IDENTITY": "without a proof of who the peer is",
    "RECORDING": "unencrypted",
}  # fmt: skip
_REMEDY: dict[Promise, str] = {"SIPS": "`forbid downgrade`", "SRTP": "`require srtp`"}
_DEMANDS = ("forbid", "required")
_FLOOR: dict[Promise, str] = {"SIPS": "`sips: forbid`", "SRTP": "`srtp: required`"}


def secrecy_report(snapshot: Snapshot) -> tuple[Leak, ...]:
    """Every leak of a configuration, each once, in the order of trunks and rules."""
    found: dict[Leak, None] = {}
    asked = [(rule, trunks_asked(rule.atoms)) for rule in snapshot.rules.rules]
    for origin in snapshot.trunks.values():
        facts = _known(snapshot, origin)
        rules = _rules_of(asked, origin.trunk)
        secure = facts["transport"] == "tls"
        if secure:
            found.update(dict.fromkeys(_leaks(snapshot, rules, origin, facts, "SIPS")))
            found.update(dict.fromkeys(_as_another_call(snapshot, asked, origin, facts, "SIPS")))
            outside = [rule for rule in rules if rule.names_method]
            for method in origin.methods:
                known = facts | {"method": method}
                found.update(dict.fromkeys(_leaks(snapshot, outside, origin, known, "SIPS")))
        if secure or origin.sdes_in_clear:
            for offered in _offers(origin):
                known = facts | {"sdp.srtp": offered}
                found.update(dict.fromkeys(_leaks(snapshot, rules, origin, known, "SRTP")))
                found.update(dict.fromkeys(_as_another_call(snapshot, asked, origin, known, "SRTP")))
    found.update(dict.fromkeys(_trusting(snapshot)))
    found.update(dict.fromkeys(_recorded(snapshot, asked)))
    return tuple(found)


def _recorded(snapshot: Snapshot, asked: Asked) -> Iterator[Leak]:
    """Calls that are protected on either leg, and are kept in files that are not, or heard by a hook."""
    settings, listening = snapshot.settings.recordings, snapshot.hooks.media
    if settings is None and not listening:
        return
    remedy = "leaving out `record`, or by an encrypted file system there"
    # Who redirects or transfers a call makes it one of his trunk.
    moving = {each.trunk for each in snapshot.trunks.values() if each.transfers == "perform"}
    moving |= _following(snapshot)
    for origin in snapshot.trunks.values():
        known = _known(snapshot, origin)
        rules = _rules_of(asked, origin.trunk)
        reached = _reached(snapshot, asked, origin.trunk, known, "SRTP")
        called = [snapshot.trunks[each] for each in reached if each in snapshot.trunks]
        if not any(_is_protected(snapshot, each) for each in (origin, *called)):
            continue
        for hook in listening if called else ():
            yield Leak("RECORDING", origin.trunk, hook.path, "its on_media", "taking that out")
        if settings is None:
            continue
        others = [(each, _known(snapshot, snapshot.trunks[each])) for each in sorted(moving)]
        met = [
            *_held(rules, known),
            *(rule for by, its in others for rule in _held(_rules_of(asked, by), its)),
        ]
        for rule in met:
            if any(isinstance(action, syntax.RecordAction) for action in rule.then):
                yield Leak("RECORDING", origin.trunk, settings.directory, f"rule {rule.place}", remedy)
        for hook in snapshot.hooks.route:
            place = f"hook {hook.path}, which may have any call recorded"
            yield Leak("RECORDING", origin.trunk, settings.directory, place, remedy)


def _is_protected(snapshot: Snapshot, trunk: Trunk) -> bool:
    return trunk.srtp == "required" or snapshot.settings.listeners[trunk.listener].transport == "tls"


def _held(rules: Iterable[Rule], known: dict[str, str]) -> Iterator[Rule]:
    """The rules that such a call may meet."""
    for rule in rules:
        held = holds(rule.when, known, rule.scope)
        if held is not False:
            yield rule
        if held is True and rule.outcome.ends:
            return


def _trusting(snapshot: Snapshot) -> Iterator[Leak]:
    """Trunks whose word about users counts, or who learn what they withhold, without a proof of theirs."""
    for trunk in snapshot.trunks.values():
        secure = snapshot.settings.listeners[trunk.listener].transport == "tls"
        proves = secure and trunk.tls is not None and trunk.tls.mode == "required"
        if trunk.identity.out == "trusted" and not secure:
            remedy = "`identity: {out: screened}`, or a TLS listener"
            place = f"trunk {trunk.trunk}, identity out: trusted"
            yield Leak("IDENTITY", "every trunk", trunk.trunk, place, remedy)
        if trunk.identity.into == "trusted" and not proves:
            remedy = "`identity: {in: screened}`, or TLS with mode: required"
            place = f"trunk {trunk.trunk}, identity in: trusted"
            yield Leak("IDENTITY", trunk.trunk, "every trunk", place, remedy)


def _rules_of(asked: Asked, trunk: str) -> list[Rule]:
    """The rules that can hold for a call of ``trunk``."""
    return [rule for rule, trunks in asked if trunks is None or trunk in trunks]


def _following(snapshot: Snapshot) -> frozenset[str]:
    """The trunks whose redirects may be followed; a rule that says so may be about any."""
    for rule in snapshot.rules.rules:
        for action in rule.then:
            if isinstance(action, syntax.RedirectsAction) and action.verb == "follow":
                return frozenset(snapshot.trunks)
    return frozenset([each.trunk for each in snapshot.trunks.values() if each.redirects == "follow"])


def _as_another_call(
    snapshot: Snapshot, asked: Asked, origin: Trunk, known: dict[str, str], promise: Promise
) -> Iterator[Leak]:
    """The ways out of somebody of ``origin`` whom a callee redirected, or whom the other side transfers.

    That may happen again and again, each time as a call of the trunk that does it.
    """
    transferring = [each.trunk for each in snapshot.trunks.values() if each.transfers == "perform"]
    ways = (("a redirect from", _following(snapshot)), ("a transfer by", frozenset(transferring)))
    seen: set[str] = set()
    waiting: list[tuple[str, dict[str, str]]] = []
    called_by = [
        by for by in transferring
        if origin.trunk in _reached(snapshot, asked, by, _known(snapshot, snapshot.trunks[by]), promise)
    ]  # fmt: skip
    met = _reached(snapshot, asked, origin.trunk, known, promise) if ways[0][1] or transferring else []
    while True:
        for how, may in ways:
            for by in (*met, *(called_by if how == "a transfer by" else ())):
                after = f" after {how} {by}"
                if by in may and after not in seen:
                    seen.add(after)
                    then = {**known, **_known(snapshot, snapshot.trunks[by])}
                    yield from _leaks(snapshot, _rules_of(asked, by), origin, then, promise, after)
                    waiting.append((by, then))
        if not waiting:
            return
        met = _reached(snapshot, asked, *waiting.pop(0), promise)


def _reached(
    snapshot: Snapshot, asked: Asked, trunk: str, known: dict[str, str], promise: Promise
) -> list[str]:
    """The trunks that a call of ``trunk`` may go to."""
    reached = [
        each
        for rule, _ in _reachable(_rules_of(asked, trunk), known, promise)
        for each in _trunks_of(snapshot, rule)
    ]
    anywhere = snapshot.hooks.route or _deciding(_rules_of(asked, trunk), known, promise)
    return [*reached, *snapshot.trunks] if anywhere else reached


def _trunks_of(snapshot: Snapshot, rule: Rule) -> tuple[str, ...]:
    """The trunks that a rule can route to; where users are registered those where any may be."""
    if not rule.outcome.registered:
        return rule.outcome.trunks
    phones = [name for name, trunk in snapshot.trunks.items() if trunk.phones]
    return tuple(dict.fromkeys((*rule.outcome.trunks, *phones)))


def _known(snapshot: Snapshot, origin: Trunk) -> dict[str, str]:
    """The facts that are the same for every call from a trunk."""
    known = arrival(origin, snapshot.settings)
    return {
        "trunk": known.trunk, "tenant": known.tenant, "listener": known.listener,
        "transport": known.transport, "method": "INVITE",
    }  # fmt: skip


def _offers(origin: Trunk) -> tuple[str, ...]:
    """What a call that is protected on its way in may say of SRTP; without an offer we offer it ourselves."""
    asked = ("offered", "required")
    return ("none", *asked) if origin.srtp in ("offer", "required") else asked


def _leaks(
    snapshot: Snapshot,
    rules: list[Rule],
    origin: Trunk,
    known: dict[str, str],
    promise: Promise,
    after: str = "",
) -> Iterator[Leak]:
    hooks = snapshot.hooks.route if not after else ()
    for rule, settings in _reachable(rules, known, promise):
        for name in _trunks_of(snapshot, rule):
            if _leaves(snapshot, snapshot.trunks.get(name), promise, settings):
                remedy = f"{_REMEDY[promise]} in the rule or {_FLOOR[promise]} in the trunk {name}"
                yield Leak(promise, origin.trunk, name, f"rule {rule.place}{after}", remedy)
        if promise == "SIPS" and any(each != "forbid" for each in settings):
            for place in _redirects_in_the_clear(rule):
                remedy = f"{_REMEDY[promise]} in the rule, or by a sips: URI as its target"
                yield Leak(promise, origin.trunk, place, f"rule {rule.place}{after}", remedy)
    laxest = "allow" if promise == "SIPS" else "off"
    anywhere: dict[str, tuple[Any, ...]] = {
        f"hook {hook.path}, which may route anywhere": (None, laxest) for hook in hooks
    }
    for name, settings in _deciding(rules, known, promise).items():
        # What the rules demand before they ask holds for what is answered.
        freely = tuple([laxest if each not in _DEMANDS else each for each in settings])
        anywhere[f"lookup {name}, which may route anywhere{after}"] = freely
    for place, settings in anywhere.items():
        for target in snapshot.trunks.values():
            if _leaves(snapshot, target, promise, settings):
                remedy = f"{_FLOOR[promise]} in the trunk {target.trunk}"
                yield Leak(promise, origin.trunk, target.trunk, place, remedy)


def _deciding(rules: Iterable[Rule], known: dict[str, str], promise: Promise) -> dict[str, tuple[Any, ...]]:
    """The services that may decide about such a call, each with what may be set when it is asked."""
    found: dict[str, tuple[Any, ...]] = {}
    for rule, settings in _reachable(rules, known, promise):
        for at, action in enumerate(rule.then):
            if isinstance(action, syntax.AskAction) and rule.scope.services[action.name.value].decides:
                own, name = _setting(rule.then[:at], promise), action.name.value
                before = settings if own is None else (own,)
                found[name] = tuple(dict.fromkeys((*found.get(name, ()), *before)))
    return found


def _redirects_in_the_clear(rule: Rule) -> Iterator[str]:
    """The targets of a redirect that may be without TLS, as far as they are written in the rule."""
    endings = [each.otherwise for each in rule.then if isinstance(each, syntax.AskAction)] + [rule.then[-1]]
    redirects = [each for each in endings if isinstance(each, syntax.RedirectAction)]
    for target in [target for each in redirects for target in each.targets]:
        parts = target.parts if isinstance(target, syntax.Concat) else (target,)
        texts = [part.value if isinstance(part, syntax.Text) else "..." for part in parts]
        if texts[0].startswith("sips:") or (len(texts) == 1 and is_secure(texts[0])):
            continue
        yield "".join(texts)


def _reachable(
    rules: Iterable[Rule], known: dict[str, str], promise: Promise
) -> Iterator[tuple[Rule, tuple[Any, ...]]]:
    """The rules that can route such a call, each with every setting that may be in force there."""
    settings: tuple[Any, ...] = (None,)
    for rule in rules:
        held = holds(rule.when, known, rule.scope)
        if held is False:
            continue
        own = _setting(rule.then, promise)
        if rule.outcome.asks:
            # It may end, or go on, where it asks: with what was said until there.
            asked = [at for at, each in enumerate(rule.then) if isinstance(each, syntax.AskAction)]
            said = [_setting(rule.then[:at], promise) for at in asked] + [own]
            each_way = [settings if each is None else (each,) for each in said]
            both = tuple(dict.fromkeys([each for way in each_way for each in way]))
            yield rule, both
            if held is True and rule.outcome.ends:
                return
            settings = both if held is True else tuple(dict.fromkeys((*settings, *both)))
        elif rule.outcome.ending is not None:
            yield rule, settings if own is None else (own,)
            if held is True:
                return
        elif own is not None:
            settings = (own,) if held is True else tuple(dict.fromkeys((*settings, own)))


def _setting(actions: tuple[syntax.Node, ...], promise: Promise) -> str | None:
    """The last word of a then on SRTP or on downgrades."""
    last: str | None = None
    for action in actions:
        if promise == "SIPS" and isinstance(action, syntax.DowngradeAction):
            last = action.verb
        elif promise == "SRTP" and isinstance(action, syntax.SrtpAction):
            last = SRTP[action.verb]
    return last


def _leaves(snapshot: Snapshot, target: Trunk | None, promise: Promise, settings: tuple[Any, ...]) -> bool:
    """Whether a hop can be taken in the clear under any of these settings of the rules."""
    if target is None:
        return False
    if promise == "SRTP":
        return any(callee_srtp(target.srtp, each) != "required" for each in settings)
    secure = snapshot.settings.listeners[target.listener].transport == "tls"
    judged = [verdict(True, secure, effective_downgrade(target.sips, each)) for each in settings]
    return any(each.downgraded and each.outcome != "forbid" for each in judged)
