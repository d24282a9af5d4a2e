"""What a then may do: known targets, headers that are the rules' to set, and exactly one ending."""

from __future__ import annotations

import re
from typing import Literal

from dsl import syntax
from dsl.check import Checker
from dsl.check_values import no_host, no_user
from dsl.names import suggest
from dsl.ownership import copy_refusal, remove_refusal, set_refusal
from dsl.parse import Problem

PARTS = {
    "from.user": "from_user",
    "from.host": "from_host",
    "from.type": "from_type",
    "from.display": "from_display",
    "to.user": "ruri_user",
    "to.host": "ruri_host",
    "to.type": "ruri_type",
    "from.scheme": "from_scheme",
    "to.scheme": "ruri_scheme",
    "asserted.user": "asserted_user",
    "asserted.display": "asserted_display",
}
USER_TYPES = ("phone", "")
SCHEMES = ("tel", "sip")
SIDES: dict[str, Literal["to", "from"]] = {"to.param": "to", "from.param": "from"}
_PARAM = re.compile(r"[A-Za-z0-9-]{1,64}")
# What says where and how a request goes, and to whom: the SBC writes that itself (RFC 3261 19.1.1).
_OWN_PARAMS = frozenset(
    ("transport", "maddr", "ttl", "method", "lr", "received", "rport", "ob", "comp", "gr")
)
# Those that a tone can be mixed into.
G711 = ("PCMU", "PCMA")
# As SDP spells them (IANA, RTP payload formats), those that telephony meets.
CODECS = (
    "PCMU", "PCMA", "G722", "G7221", "G723", "G726-16", "G726-24", "G726-32", "G726-40", "G728", "G729",
    "G729E", "GSM", "GSM-EFR", "ILBC", "SPEEX", "OPUS", "AMR", "AMR-WB", "EVS", "L16", "SILK", "SIREN7",
    "SIREN14", "CN", "RED", "TELEPHONE-EVENT",
)  # fmt: skip
_SCHEMES = ("sip:", "sips:", "tel:")
# Where a user is registered is one target, however it is tried; no trunk has such a name.
_REGISTERED = "registered "
MOST_RING = 3600
MOST_LONGEST = 31 * 86_400
UNITS = {"second": 1, "seconds": 1, "minute": 60, "minutes": 60, "hour": 3600, "hours": 3600}
MOST_CALLS = 1_000_000
MOST_DAYS = 366
_PERIODS = ("second", "minute", "hour", "day")
#: Of what a limit can be the allowance of each.
WINDOWS = ("hour", "day")


class ActionChecker(Checker):
    """Collects the problems of a then."""

    def actions(self, actions: tuple[syntax.Node, ...]) -> None:
        """Check a whole then: each action, and that it ends in exactly one of the four endings."""
        for action in actions:
            self._action(action)
        endings = [action for action in actions if isinstance(action, syntax.TERMINALS)]
        if isinstance(actions[-1], syntax.AskAction) and not endings:
            pass  # with an answer the next rules are asked
        elif not endings:
            hint = "end it in route, reject or redirect, or in continue to try the next rules"
            self.report(actions[-1], "this then does not say what becomes of the call", hint)
        elif actions[-1] is not endings[0]:
            after = actions[actions.index(endings[0]) + 1]
            self.report(after, "nothing can follow route, reject, redirect or continue", "move it before")
        self._in_vain(actions)

    def _in_vain(self, actions: tuple[syntax.Node, ...]) -> None:
        """Actions that this then itself makes void."""
        refused = isinstance(actions[-1], syntax.RejectAction | syntax.RedirectAction)
        challenged = False
        said: dict[str, syntax.Node] = {}
        for action in actions:
            if isinstance(action, syntax.AskAction):
                said = {}  # without an answer what stands before it is all that is done
            if (subject := _subject(action)) and said.setdefault(subject, action) is not action:
                hint = f"only the last one counts: {_LEAVE_ONE.get(subject, 'leave one out')}"
                self.problems.append(
                    Problem(action.start, f"this then says twice {subject}", hint, "warning")
                )
            if isinstance(action, syntax.RecordAction) and action.tone and not _only_g711(actions):
                hint = 'write allow codecs "PCMA", "PCMU" beside it'
                self.report(action, "a tone is heard in G.711 alone, and this allows other codecs", hint)
            if refused and (what := _of_routed(action)):
                self.report(action, f"{what} for a call that is routed", "end it in route or continue")
            if isinstance(action, syntax.ChallengeAction):
                if challenged:
                    self.report(action, "this then asks for a password twice", "leave one out")
                challenged = True

    def _action(self, action: syntax.Node) -> None:
        match action:
            case syntax.RouteAction():
                self._route(action)
            case syntax.RejectAction():
                self._reject(action)
            case syntax.RedirectAction():
                for target in action.targets:
                    self._target(target)
            case syntax.SetPartAction():
                self._part(action)
                self.text(action.value)
            case syntax.SetParamAction():
                self._param(action)
                self.text(action.value)
            case syntax.TagAction():
                self.text(action.text)
            case syntax.RememberAction():
                self.text(action.text)
                if not _whole(action.days, 1, MOST_DAYS):
                    self.report(action.days, "nothing is remembered so long", f"1 to {MOST_DAYS} days")
            case syntax.LimitAction():
                self._limit(action)
            case syntax.CodecsAction():
                self._codecs(action)
            case syntax.RingAction():
                if not _whole(action.amount, 1, MOST_RING // UNITS[action.unit]):
                    self.report(action.amount, f"a phone rings for 1 to {MOST_RING} seconds", "such as 30")
            case syntax.LongestAction():
                self._longest(action)
            case syntax.AnswerAction():
                self._answer(action)
            case syntax.RecordAction():
                if self._known.recordings is False:
                    hint = "write recordings: {directory: recordings} in sbc.yaml"
                    self.report(action, "sbc.yaml does not say where recordings are kept", hint)
            case syntax.HookAction():
                self.hook(action.name)
            case syntax.AskAction():
                self._ask(action)
            case syntax.ChallengeAction():
                self.realm(action.realm)
            case _:
                self._header(action)

    def _ask(self, action: syntax.AskAction) -> None:
        self.service(action.name, action.name.value)
        if action.otherwise is None:
            hint = f'such as ask "{action.name.value}" else reject 503, or else continue'
            self.report(action, "this does not say what becomes of a call without an answer", hint)
        elif not isinstance(action.otherwise, syntax.ContinueAction):
            self._action(action.otherwise)

    def _header(self, action: syntax.Node) -> None:
        match action:
            case syntax.SetHeaderAction():
                self.refuse(action.name, set_refusal(action.name.value))
                self.text(action.value)
            case syntax.RemoveHeaderAction():
                self.refuse(action.glob, remove_refusal(action.glob.value))
            case syntax.CopyHeaderAction():
                self.refuse(action.glob, copy_refusal(action.glob.value, action.name is not None))
                if action.name is not None:
                    self.refuse(action.name, set_refusal(action.name.value))

    def _part(self, action: syntax.SetPartAction) -> None:
        part, value = action.part, action.value
        if part.name not in PARTS:
            self.report(part, f"{part.name} cannot be set", suggest(part.name, PARTS))
        elif part.name.endswith(".type") and isinstance(value, syntax.Text) and value.value not in USER_TYPES:
            self.report(value, f'no user is of the type "{value.value}"', 'write "phone", or "" for none')
        elif part.name.endswith(".scheme") and isinstance(value, syntax.Text) and value.value not in SCHEMES:
            hint = 'write "tel", or "sip" for what the trunk\'s `scheme` says'
            self.report(value, f'no URI of a call is written with "{value.value}"', hint)
        elif isinstance(value, syntax.Text):
            can_be = {"user": no_user, "host": no_host}.get(part.name.rpartition(".")[2])
            refused = can_be(value.value) if can_be is not None else None
            if refused is not None:
                self.problems.append(Problem(value.start, *refused, "warning"))

    def _param(self, action: syntax.SetParamAction) -> None:
        if action.whose not in SIDES:
            self.report(action, f"{action.whose}(...) cannot be set", 'such as set to.param("rn") = "+1..."')
            return
        refused = param_refusal(action.name.value)
        if refused is not None:
            self.report(action.name, *refused)

    def _reject(self, action: syntax.RejectAction) -> None:
        if not _whole(action.status, 400, 699):
            redirects = 300 <= action.status.value < 400
            hint = "3xx is what redirect is for" if redirects else "such as 403"
            self.report(action.status, "a call is rejected with 400 to 699", hint)

    def _longest(self, action: syntax.LongestAction) -> None:
        amount = action.amount
        if not _whole(amount, 1, MOST_LONGEST // UNITS[action.unit]):
            hint = "whole seconds, minutes or hours, 31 days at most: such as at most 2 hours"
            self.report(amount, "no call lasts so long", hint)

    def _answer(self, action: syntax.AnswerAction) -> None:
        for each in action.of:
            word = each.value
            if not (word in ("4xx", "5xx", "6xx") or (word.isdigit() and 400 <= int(word[:9]) < 700)):
                hint = "a status of 400 to 699, or 4xx, 5xx, 6xx; timeout is 408, unreachable is 503"
                self.report(each, f"{word} is no refusal of a call", hint)
        if not _whole(action.status, 400, 699):
            self.report(action.status, "a call is refused with 400 to 699", "such as 486")
        elif action.status.value in (401, 407):
            self.report(
                action.status,
                f"{action.status.value} asks the caller for a password",
                'challenge "realm" does that',
            )

    def _limit(self, action: syntax.LimitAction) -> None:
        if isinstance(action.calls, syntax.Lookup):
            self._counts(action.calls, action.unit or "calls")
        elif not _whole(action.calls, 0, MOST_CALLS):
            self.report(action.calls, f"a limit is a whole number up to {MOST_CALLS}", "such as 10")
        elif action.period and action.calls.value == 0:
            self.report(action.calls, "no call could ever be made", "reject says so more plainly")
        if action.unit and action.period not in WINDOWS:
            hint = "write a day, or an hour"
            self.report(action, f"{action.unit} are not counted by the {action.period}", hint)
        if action.hard and not action.unit:
            hint = "leave hard out, or write minutes: limit 60 minutes a day per from.user hard"
            self.report(action, "hard ends calls whose minutes are used up; this counts calls", hint)
        if isinstance(action.key, syntax.FactRef) and action.key.name in _PERIODS:
            what = f"limit {action.calls.value if isinstance(action.calls, syntax.Number) else 'N'} calls"
            hint = f"write {what} a {action.key.name} per from.user"
            self.report(action.key, "per says whose calls are counted, not how long", hint)
        else:
            self.text(action.key)
        if action.to is not None:
            self._towards(action.to)
        if isinstance(action.key, syntax.Text):
            self.problems.append(
                Problem(action.key.start, "all calls share this limit", "such as per from.user", "warning")
            )
        if action.refusal is not None:
            self._reject(action.refusal)

    def _towards(self, node: syntax.Node) -> None:
        """What a limit is for: prefixes in quotes, a list of them, or a table of numbers."""
        for each in node.parts if isinstance(node, syntax.AnyOf) else (node,):
            for option in each.options if isinstance(each, syntax.Affix | syntax.Member) else ():
                if isinstance(option, syntax.Text) and not option.value:
                    hint = "leave out `to`: the limit is for every number then"
                    self.report(option, "every number begins with this", hint)
                if isinstance(option, syntax.FactRef) and option.name in self._known.tables:
                    self.report(option, f"{option.name} is a table", f"write table.{option.name}")
                    return
        self.condition(node)

    def _counts(self, node: syntax.Lookup, what: str) -> None:
        """Each cell of the column is a number of calls or minutes: what is none would let nobody call."""
        if self.lookup(node) is None:
            return
        table = self._known.tables[node.table.partition(".")[2]]
        wrong = [
            (value, line)
            for value, line in table.values(node.column)
            if not (value.isascii() and value.isdigit() and int(value[:9]) <= MOST_CALLS)
        ]
        for value, line in wrong[:3]:
            place = f"{table.path}:{line}" if line else table.path
            shown = f'"{value[:40]}"' if value else "an empty cell"
            hint = f"a limit is a whole number up to {MOST_CALLS}"
            self.report(node, f"{place} has {shown}, which is no number of {what}", hint)

    def _codecs(self, action: syntax.CodecsAction) -> None:
        for name in action.names:
            if name.value.upper() not in CODECS:
                hint = suggest(name.value.upper(), CODECS) or "codecs are named as SDP does, such as PCMA"
                self.report(name, f'"{name.value}" is no codec that is known', hint)
        names = [name.value.upper() for name in action.names]
        for at, name in enumerate(action.names):
            if names[at] in names[:at]:
                self.report(name, f'"{name.value}" stands here twice', "leave one out")

    def _route(self, action: syntax.RouteAction) -> None:
        seen: dict[str, str] = {}
        for hop in action.hops:
            for name in self._targets(hop.target):
                if name in seen and name == _REGISTERED:
                    self.report(
                        hop.target, "the route goes to where the user is registered twice", "leave one out"
                    )
                elif name in seen:
                    through = f" ({seen[name]})" if seen[name] != name else ""
                    self.report(hop.target, f'the route goes to "{name}" twice{through}', "leave one out")
                else:
                    seen[name] = _written(hop.target)
            for failure in hop.on:
                self._failure(failure)
            for edit in hop.edits:
                self._action(edit)

    def _targets(self, target: syntax.Node) -> tuple[str, ...]:
        """The trunks of a target, where they are the same for every call."""
        match target:
            case syntax.Text(value=name):
                self.trunk(target)
                return (name,)
            case syntax.Lookup():
                self._column_of_trunks(target)
            case syntax.Registered():
                if not self._known.phones:
                    hint = "write `registrar:` in sbc.yaml, and `phones: true` in the file of a trunk"
                    self.report(target, "nobody can register", hint)
                return (_REGISTERED,)
            case syntax.FactRef(name=name):
                group = self.group(target, name)
                if group is not None:
                    return tuple(dict.fromkeys(member for member, _ in group.members))
        return ()

    def _column_of_trunks(self, target: syntax.Lookup) -> None:
        trunks = self._known.trunks
        if self.lookup(target) is None or trunks is None:
            return
        table = self._known.tables[target.table.partition(".")[2]]
        wrong = [(name, line) for name, line in table.values(target.column) if name and name not in trunks]
        for name, line in wrong[:3]:
            place = f"{table.path}:{line}" if line else table.path
            self.report(target, f'{place} names a trunk "{name}", and there is none', suggest(name, trunks))

    def _failure(self, failure: syntax.FailureWord) -> None:
        word = failure.value
        if word in ("3xx", "4xx", "5xx"):
            return
        if word.startswith("6") and len(word) == 3:
            self.report(failure, f"{word} ends the whole call", "a 6xx is final everywhere (RFC 3261 21.6)")
        elif word not in ("timeout", "unreachable") and not (word.isdigit() and 300 <= int(word[:9]) < 600):
            hint = "a status of 300 to 599, 3xx, 4xx, 5xx, timeout or unreachable"
            self.report(failure, f"{word} is not a failure", hint)

    def _target(self, target: syntax.Node) -> None:
        self.text(target)
        first = target.parts[0] if isinstance(target, syntax.Concat) else target
        if not isinstance(first, syntax.Text) or not first.value.startswith(_SCHEMES):
            hint = 'such as "sip:" + to.user + "@example.net"'
            self.report(target, "a redirect target is a SIP URI", hint)


def param_refusal(name: str) -> tuple[str, str] | None:
    """Why this parameter of a URI cannot be set, with a hint; None when it can."""
    if not _PARAM.fullmatch(name):
        return f"{name!r} is not the name of a parameter", "letters, digits and hyphens, such as tgrp"
    if name.lower() == "user":
        return "user is what a type says", 'write set to.type = "phone" instead'
    if name.lower() in _OWN_PARAMS:
        return f"{name} is written by the SBC itself", "leave it out"
    return None


_LEAVE_ONE = dict.fromkeys(
    ("which codecs to allow", "which codecs to deny", "which codecs to prefer"),
    "name all codecs in one action, with commas",
)


def _subject(action: syntax.Node) -> str:
    """What an action settles, which another one of its kind would settle anew; "" for any other."""
    match action:
        case syntax.SrtpAction():
            return "whether there is srtp"
        case syntax.DowngradeAction():
            return "what becomes of a downgrade"
        case syntax.RedirectsAction():
            return "what becomes of redirects"
        case syntax.CodecsAction(verb=verb):
            return f"which codecs to {verb}"
        case syntax.RingAction():
            return "how long it rings"
        case syntax.LongestAction():
            return "how long the call may last"
    return ""


def _of_routed(action: syntax.Node) -> str:
    """What an action is that makes no sense of a call that is refused; "" for any other."""
    match action:
        case syntax.HookAction():
            return "a hook is called"
        case syntax.RememberAction():
            return "something is remembered"
        case syntax.LongestAction():
            return "a longest duration is"
        case syntax.AnswerAction():
            return "an answer is written anew"
        case syntax.RecordAction():
            return "a recording is"
    return ""


def _only_g711(actions: tuple[syntax.Node, ...]) -> bool:
    """Whether a then lets nothing through but codecs that a tone can be mixed into."""
    allowed = [each for each in actions if isinstance(each, syntax.CodecsAction) and each.verb == "allow"]
    return bool(allowed) and all(name.value.upper() in G711 for name in allowed[-1].names)


def _whole(number: syntax.Number, low: int, high: int) -> bool:
    return isinstance(number.value, int) and low <= number.value <= high


def _written(target: syntax.Node) -> str:
    return target.name if isinstance(target, syntax.FactRef) else getattr(target, "value", "")
