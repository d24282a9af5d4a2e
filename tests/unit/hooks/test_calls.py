"""How rules call hooks: what does not exist is a mistake, what would surprise is a warning."""

from __future__ import annotations

import pytest

from dsl.errors import Diagnostic
from dsl.load import load
from dsl.names import Known
from sbc.config.hooks import check_calls, load_hooks

NAMED = 'WHEN = "named"\ndef on_end(facts, end): pass\ndef on_route(facts, decision): pass\n'
ALWAYS = "def on_route(facts, decision): pass\n"
RULES = 'rules:\n  - name: r\n    when: true\n    then: |\n      {}\n      route "a"\n'


def checked(then: str, **files: str) -> list[Diagnostic]:
    hooks, problems = load_hooks({f"hooks/{name}.py": text for name, text in files.items()})
    known = Known(trunks=frozenset("a"), hooks=frozenset(files))
    rules, found = load({"routes.d/r.yaml": RULES.format(then)}, known)
    assert problems == []
    return found if rules is None else list(check_calls(hooks, rules))


@pytest.mark.parametrize(
    ("then", "files"),
    [
        ('call hook "fraud"', {"fraud": NAMED}),
        ('call hook "fraud"', {"fraud": NAMED, "other": ALWAYS}),
        ("no srtp", {"other": ALWAYS}),
        ("no srtp", {"early": "def on_invite(facts): pass\n"}),
    ],
)
def test_nothing_is_said_of_what_is_right(then: str, files: dict[str, str]) -> None:
    assert checked(then, **files) == []


def test_a_hook_that_no_rule_calls_never_runs() -> None:
    (found,) = checked("no srtp", fraud=NAMED)
    assert (found.path, found.line, found.severity) == ("hooks/fraud.py", 3, "warning")
    assert found.message == "no rule calls this hook, so it never runs"
    assert found.hint == 'let one say: call hook "fraud"'


def test_to_call_what_runs_anyway_changes_nothing() -> None:
    (found,) = checked('call hook "always"', always=ALWAYS)
    assert (found.path, found.line, found.severity) == ("routes.d/r.yaml", 2, "warning")
    assert found.message == 'the hook "always" runs for every call: to call it changes nothing'
    assert found.hint == 'write WHEN = "named" in hooks/always.py'


def test_a_hook_that_does_not_exist_is_a_mistake_of_the_rule() -> None:
    (found,) = checked('call hook "frad"', fraud=NAMED)
    assert (found.path, found.line, found.severity) == ("routes.d/r.yaml", 5, "error")
    assert 'there is no hook "frad"' in found.message and 'did you mean "fraud"?' in found.hint
