"""Random files of rules before random calls: how rules are filed and compiled changes no decision.

``RuleSet.decide`` passes rules over that it has filed elsewhere, and makes some decisions at load;
``RuleSet.explain`` tries every rule in its order, and an interpreter that knows nothing of either reads each
condition. All must come to the same decision for every call, a rule that the checker says no call reaches
must never take one, and what rules decide a hook may hand on.
"""

from __future__ import annotations

import re
from random import Random
from typing import Any

import pytest

from dsl.decision import NO_ROUTE, Challenge, Decision
from dsl.draft import Draft
from dsl.facts import Facts, canonical
from dsl.load import load
from dsl.names import Known
from dsl.question import Question
from dsl.ruleset import RuleSet
from dsl.table import read_table
from dsl.validate import refusal
from tests.property.interpreter import Interpreter

TRUNKS = ("a", "b", "c", "d")
NUMBERS = (
    "",
    "0",
    "00",
    "+4",
    "+49",
    "+4930",
    "49",
    "+491711",
    "110",
    "0049",
    "+1900",
    "anonymous",
    "alice",
    "+49-30",
)
HOSTS = ("", "a.example", "B.example", "10.0.0.1", "::1")
WORDS = ("", "x", "y", "vip", "00", "+49", "5", "3.5", "é", "PCMA")
ADDRESSES = ("10.0.0.1", "10.1.2.3", "192.0.2.9", "2001:db8::1", "::ffff:10.0.0.1", "")
RATES, _ = read_table("rates", "rates.csv", "prefix,trunk,cost\n+49,a,0.01\n+4930,b,0.5\n00,,3\n*,c,1\n")
PORTED, _ = read_table("ported", "ported.csv", "prefix,code\n+491,D1\n0,D0\n")
assert RATES is not None and PORTED is not None
KNOWN = Known(
    trunks=frozenset(TRUNKS), listeners=frozenset(("l1", "l2")), tenants=frozenset(("t1", "t2")),
    hooks=frozenset(("h",)), tables={"rates": RATES, "ported": PORTED}, realms=frozenset(("r.example",)),
)  # fmt: skip
HEAD = """\
zone: {}
lists: {{numbers: ["+49", "00", "110"], words: [x, vip], nets: ["10.0.0.0/8", "2001:db8::/32"]}}
groups: {{pair: {{a: 2, b: 1}}, all: [c, d]}}
rules:
"""
CALLS = 50
SETS_OF_ONE_TEST = 100


class Author:
    """Writes files of rules, each from its seed."""

    def __init__(self, seed: int) -> None:
        self.dice = Random(seed)

    def pick(self, *choices: str) -> str:
        return self.dice.choice(choices)

    def number(self) -> str:
        return f'"{self.dice.choice(NUMBERS)}"'

    def subject(self) -> str:
        """A text that is often asked, so that runs of rules are filed by it."""
        return self.pick(
            "to.user", "to.user", "to.user", "from.user", "from.user", 'header("X-A")', 'to.param("x")',
            'from.param("y")', "user_agent", "from.display", "auth.user", "call.id", "lower(from.user)",
            'replace(to.user, /^00/, "+")', 'strip_prefix(to.user, "0")', 'e164(to.user, "49")',
            'add_prefix(from.user, "+")', "asserted.user", "asserted.display",
            "table.rates[to.user].trunk", "table.ported[from.user].code",
            'replace_prefix(to.user, "0", "+49")', 'capture(from.user, /([0-9]+)/)', 'header("x-b")',
            'capture(header("X-A"), /[a-z]+/)', "to_header.user",
        )  # fmt: skip

    def text(self) -> str:
        """A text to set or to write."""
        choices = (self.number(), self.subject(), f"{self.subject()} + {self.number()}")
        return self.dice.choice(choices)

    def asked(self) -> str:
        """One question."""
        return self.dice.choice((self._of_text, self._of_text, self._of_text, self._of_other))()

    def _of_text(self) -> str:
        what, word = self.subject(), f'"{self.dice.choice(WORDS)}"'
        return self.pick(
            f"{what} == {self.number()}", f"{what} != {self.number()}", f"{what} == {self.subject()}",
            f"{what} in [{self.number()}, {word}]", f"{what} not in [{self.number()}, {self.number()}]",
            f"{what} starts with {self.number()}", f"{what} starts with [{self.number()}, {self.number()}]",
            f"{what} ends with {word}", f"{what} starts with list.numbers", f"{what} in list.numbers",
            f"{what} matches /^{self.pick('00', '0+', '[+]49', '(0|4)', '49|11', '[^a]*$')}/",
            f"{what} matches /{self.pick('1+', '[a-z]', '0$', 'x|vip', '^$')}/", f"{what} in table.rates",
            f'{what} in "100".."199"', f"{what} not in table.ported",
        )  # fmt: skip

    def _of_other(self) -> str:
        return self.pick(
            f'trunk == "{self.pick(*TRUNKS)}"', f'trunk == "{self.pick(*TRUNKS)}"', 'trunk in ["a", "c"]',
            'trunk not in ["b"]', 'trunk != "a"', 'tenant == "t1"', 'listener == "l2"', 'transport == "tls"',
            "sips", "not sips", "peer.verified", 'has header "X-A"', 'not has header "x-b"',
            'call.tags == "x"', 'call.tags in ["y", "vip"]', 'call.tags in list.words',
            f"call.tags == {self.subject()}", 'call.tags starts with "+4"', "call.tags matches /^v/",
            "source in 10.0.0.0/8", "source in list.nets", 'source == "10.0.0.1"', "source not in ::1",
            'to.host == "a.example"', 'to.host in ["B.EXAMPLE", "::1"]', 'from.host ends with "example"',
            'to.host matches /^b/', "to.host == from.host", 'to.type == "phone"', 'to.scheme == "sips"',
            'sdp.codecs == "PCMA"', 'sdp.codecs == "pcmu"', 'sdp.srtp == "required"',
            'peer.san == "dns:a"', 'peer.san starts with "uri:"', "to.port > 0", "from.port in 1..5060",
            "calls > 3", f'calls("{self.pick(*TRUNKS)}") <= 2', "length(to.user) in 3..5",
            "number(table.rates[to.user].cost) > 0.4", 'number(header("X-A")) < length(from.user)',
            "time in 08:00..18:00", "time in 22:00..06:00", "day in sat..mon", "day == wed",
            "date >= 2026-06-01", "time.hour < 12", "time.minute in 0..29", "true",
        )  # fmt: skip

    def _of_written(self) -> str:
        """A question about what other rules may have set."""
        return self.pick(
            'call.tags == "x"', 'call.tags == "y"', f"to.user == {self.number()}", 'to.type == "phone"',
            f"from.user starts with {self.number()}", 'has header "X-A"', 'header("X-B") == "x"',
            'to.host == "a.example"', 'from.display == "vip"',
        )  # fmt: skip

    def condition(self, depth: int = 0) -> str:
        """A when."""
        kind = self.dice.random()
        if depth > 1 or kind < 0.45:
            return self.asked()
        parts = [self.condition(depth + 1) for _ in range(self.dice.choice((2, 2, 2, 3, 4)))]
        if kind < 0.75:
            return " and ".join(f"({each})" if " or " in each else each for each in parts)
        if kind < 0.9:
            return f"({' or '.join(parts)})"
        return f"not ({parts[0]})"

    def actions(self) -> str:
        """A then."""
        done = [self._action() for _ in range(self.dice.choice((0, 0, 0, 1, 1, 2, 4)))]
        ending = self._ending()
        if ending.startswith(("reject", "redirect")):
            of_routes = ("call hook", "at most", "answer", "record")
            done = [each for each in done if not each.startswith(of_routes)]
        return "; ".join(dict.fromkeys((*done, ending)))

    def _action(self) -> str:
        part = self.pick(
            "from.user",
            "to.user",
            "to.host",
            "from.host",
            "from.display",
            "to.type",
            "from.type",
            "asserted.user",
            "asserted.display",
        )
        value = self.text()
        if part.endswith("type"):
            value = self.pick('"phone"', 'lower(header("X-A"))')
        elif part.endswith("host") and value.startswith('"'):
            value = f'"{self.pick(*HOSTS)}"'  # another text is refused, as far as it is known beforehand
        return self.pick(
            f'set to.param("x") = {self.text()}',
            f"set {part} = {value}", f"set {part} = {value}", f'set header "X-A" = {self.text()}',
            f'set header "{self.pick("x-b", "X-C")}" = {self.text()}', 'remove header "X-*"',
            'remove header "x-a"', 'copy header "X-A" to "X-B"', 'copy header "X-C"', f"tag {self.text()}",
            'tag "x"', 'tag "y"', "limit 5 calls per from.user",
            f"limit 2 calls a minute per {self.subject()}", "ring for 9 seconds", "record",
            "ring for 1 minute", "at most 2 hours", "at most 90 seconds", "answer 603 as 486",
            'answer 5xx, 404 as 480 "No"', "answer 404 as 410",
            'prefer codecs "PCMA"', 'deny codecs "G722"', "require srtp", "no srtp",
            "forbid downgrade", "allow downgrade", 'call hook "h"', 'challenge "r.example"',
        )  # fmt: skip

    def _ending(self) -> str:
        return self.pick(
            "continue", "continue", "continue", 'route "a"', 'route "b" then "c" on 503, timeout',
            "route group.pair then group.all", 'route "a" then "b" on 5xx, 486',
            f'route "a" with {{ set to.user = {self.text()}; set header "X-B" = header("X-A") + to.user }}',
            f'route "c" then group.pair with {{ remove header "X-*"; set from.user = {self.text()} }} on 5xx',
            'route "a" with { set from.user = "1" } then "b"', 'route "d" then group.pair',
            "route table.rates[to.user].trunk", 'route table.rates[from.user].trunk then "d"', "reject 403",
            f'reject {self.dice.randrange(400, 700)} "No"',
            'redirect "sip:" + to.user + "@b.example", "sips:c"',
            f'redirect "sip:{self.pick("x", "y")}@b.example;transport=tls"',
        )  # fmt: skip

    def file(self) -> str:
        """A file of rules; some have long runs that ask one thing, some ask a few things again and again."""
        lines = [HEAD.format(self.pick("Europe/Berlin", "Asia/Tokyo", "UTC"))]
        size, alike = self.dice.choice((1, 3, 8, 20, 40)), self.subject()
        few = [self.asked(), self._of_written()]
        again = self.dice.random() < 0.5
        for at in range(size):
            when = self.condition()
            if size >= 20 and self.dice.random() < 0.8:
                when = f"{alike} {self.pick('==', 'starts with')} {self.number()}"
                if self.dice.random() < 0.2:
                    when = f'trunk == "{self.pick(*TRUNKS)}" and {when}'
            elif again and self.dice.random() < 0.7:
                when = self.dice.choice(few)
            lines.append(f"  - name: r{at}\n    when: |\n      {when}\n    then: |\n      {self.actions()}\n")
        return "".join(lines)

    def call(self) -> Facts:
        """A call, of such things as the rules ask about."""
        dice = self.dice
        headers = {
            name: dice.choice((*NUMBERS, *WORDS)) for name in ("X-A", "X-B", "X-C") if dice.random() < 0.5
        }
        held = dice.randrange(6)
        user, tag = dice.choice(NUMBERS), dice.choice(WORDS)
        fields: dict[str, Any] = dict(
            trunk=dice.choice(("", *TRUNKS)), tenant=dice.choice(("", "t1", "t2")),
            listener=dice.choice(("l1", "l2")), source=dice.choice(ADDRESSES),
            transport=dice.choice(("udp", "tcp", "tls")), ruri_user=dice.choice(NUMBERS),
            ruri_host=dice.choice(HOSTS), ruri_scheme=dice.choice(("sip", "sips")),
            ruri_port=dice.choice((0, 5060)), ruri_type=dice.choice(("", "phone")), from_user=user,
            from_host=dice.choice(HOSTS), from_display=dice.choice(WORDS),
            from_port=dice.choice((0, 5060, 9999)), to_header_user=dice.choice(NUMBERS),
            user_agent=dice.choice(WORDS), sips=dice.random() < 0.5, call_id=dice.choice(WORDS),
            peer_verified=dice.random() < 0.5,
            peer_sans=dice.choice(((), ("dns:a",), ("uri:b", "dns:a"))),
            sdp_codecs=dice.choice(((), ("PCMA",), ("PCMU", "G722"))),
            sdp_srtp=dice.choice(("none", "offered", "required")), now=dice.random() * 2e9,
            tags=(tag,) if dice.random() < 0.3 else (), header=headers.get,
            ruri_param={"x": dice.choice(WORDS)}.get, from_param={"y": dice.choice(WORDS)}.get,
            auth_user=dice.choice(("", "alice")), auth_realm=dice.choice(("", "r.example", "other")),
            calls=lambda trunk: held, asserted_user=dice.choice(NUMBERS), asserted_display=dice.choice(WORDS),
        )  # fmt: skip
        return Facts(**canonical(fields))


def rules_of(text: str) -> tuple[RuleSet, frozenset[int]]:
    """The rules of a file, and the lines of those that no call can reach, as the checker says."""
    rules, problems = load({"a.yaml": text}, KNOWN)
    assert rules is not None, text + "\n".join(str(each) for each in problems if each.severity == "error")
    never = ("this rule is never reached", "this rule never holds")
    return rules, frozenset(each.line for each in problems if each.message.startswith(never))


def interpreted(rules: RuleSet, call: Facts) -> Decision | None:
    """What is decided where each condition is read by the interpreter; None where no rule decides."""
    draft = Draft(call)
    for rule in rules.rules:
        if Interpreter(draft, rule.scope).holds(rule.when):
            decision = rule.outcome.run(draft)
            while isinstance(decision, Question):
                decision = decision.answered(None)
            if decision is not None:
                return decision
    return None


def hold(seed: int) -> None:
    """One file before its calls."""
    author = Author(seed)
    text = author.file()
    rules, never = rules_of(text)
    for at in range(CALLS):
        call = author.call()
        decided, (explained, trace) = rules.decide(call), rules.explain(call)
        shown = f"seed {seed}, call {at}: {call}\n{text}\n" + "\n".join(trace)
        assert decided == explained, shown
        plain = interpreted(rules, call)
        assert plain == decided if plain is not None else decided.rule == NO_ROUTE.rule, f"{plain}\n{shown}"
        assert isinstance(decided, Challenge) or refusal(decided, TRUNKS) is None, shown
        taken = [line for line in trace if ": yes, because " in line]
        lines = {int(found[1]) for line in taken if (found := re.match(r"r\d+ \(a\.yaml:(\d+)\)", line))}
        assert not lines & never, f"a rule that no call can reach took one: {lines & never}\n{shown}"


# 445,000 calls in all: 5,000 a test, of which four are among the slow ones.
SOME, ALL = 4, 89


@pytest.mark.parametrize("seed", range(8))
def test_a_few_files_of_rules_decide_as_they_explain(seed: int) -> None:
    hold(seed)


@pytest.mark.slow
@pytest.mark.parametrize(
    "part", [*range(SOME), *(pytest.param(part, marks=pytest.mark.long) for part in range(SOME, ALL))]
)
def test_files_of_rules_decide_as_they_explain(part: int) -> None:
    for number in range(SETS_OF_ONE_TEST):
        hold(1000 + part * SETS_OF_ONE_TEST + number)


def test_rules_behind_one_that_asks_what_another_has_tagged_are_reached() -> None:
    for tagging in ('tag "x"', "tag to.user"):
        text = (
            "rules:\n"
            '  - {name: known, when: call.tags == "x", then: reject 403}\n'
            f"  - {{name: tells, when: true, then: '{tagging}; continue'}}\n"
            '  - {name: told, when: call.tags == "x", then: reject 404}\n'
        )
        rules, never = rules_of(text)
        assert not never and rules.decide(Facts(ruri_user="x")).rule == "told (a.yaml:4)"
