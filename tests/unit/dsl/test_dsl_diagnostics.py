"""Every mistake is told at its exact place, with a hint, and all of them at once."""

from __future__ import annotations

import pytest

from dsl.errors import Diagnostic
from dsl.load import load
from dsl.names import Known

KNOWN = Known(
    trunks=frozenset(("teams", "carrier-a", "carrier-b")),
    listeners=frozenset(("trunk-tls", "public-udp")),
    tenants=frozenset(("acme",)),
)


def diagnose(text: str, known: Known = KNOWN) -> list[Diagnostic]:
    return load({"a.yaml": text}, known)[1]


def only(text: str) -> Diagnostic:
    (found,) = diagnose(text)
    lines = text.split("\n")
    if found.line:
        assert found.source == lines[found.line - 1]
    return found


def when(condition: str) -> Diagnostic:
    found = only(f"rules:\n  - name: r\n    when: >-\n      {condition}\n    then: reject 403\n")
    assert (found.line, found.path) == (4, "a.yaml")
    return found


def then(action: str, ending: str = "\n      reject 403") -> Diagnostic:
    found = only(f"rules:\n  - name: r\n    when: true\n    then: |\n      {action}{ending}\n")
    assert found.path == "a.yaml"
    return found


def at(diagnostic: Diagnostic) -> str:
    """What stands in the source line where the diagnostic points."""
    return diagnostic.source[diagnostic.col - 1 :]


@pytest.mark.parametrize(
    ("condition", "points", "message", "hint"),
    [
        ('trunk = "teams"', "= ", "unexpected '='", "compare with =="),
        ("sips && sips", "&&", "unexpected '&'", "write and"),
        ("sips || sips", "||", "unexpected '|'", "write or"),
        ("!sips", "!sips", "unexpected '!'", "write not"),
        ("sips AND sips", "AND", "unexpected 'AND'", "words of the language are in lower case: and"),
        ("trunk == 'teams'", "'teams'", 'unexpected "\'"', 'quote text with "double quotes"'),
        ('trunk == "teams', '"teams', "unexpected '\"'", "the closing quote is missing"),
        ("to.user matches /^00", "/^00", "unexpected '/'", "the closing / of the pattern is missing"),
        ("source == 10.0.0.1", ".0.1", "unexpected '.'", "compare networks with in"),
        ("trunk ==", "=", "it ends too early", "expected a fact or a value"),
        ("sips)", ")", "unexpected ')'", ""),
        ('trunk == "temas"', '"temas"', 'there is no trunk "temas"', 'did you mean "teams"?'),
        ('trunk in ["teams", "x"]', '"x"', 'there is no trunk "x"', "there are: carrier-a, carrier-b, teams"),
        ('listener != "trunk-tsl"', '"trunk-tsl"', 'there is no listener "trunk-tsl"', "trunk-tls"),
        ('tenant == "acne"', '"acne"', 'there is no tenant "acne"', 'did you mean "acme"?'),
        ('to.usr == "x"', "to.usr", "there is no fact 'to.usr'", 'did you mean "to.user"?'),
        ("trunk == teams", "teams", "there is no fact 'teams'", 'text is written in quotes: "teams"'),
        ("lenght(to.user) > 3", "lenght", "there is no function 'lenght'", 'did you mean "length"?'),
        ("length() > 3", "length()", "length takes 1 arguments, not 0", "write length(to.user)"),
        ('sips == "yes"', '"yes"', "true or false is compared with text", "ask `sips` or `not sips`"),
        ("to.user == 5", "5", "text is compared with a number", 'write "5"'),
        ("to.user > 5", "to.user", "> compares numbers; this is text", "number(...)"),
        ('time.hour == "9"', '"9"', "a number is compared with text", ""),
        ("trunk", "trunk", "this is text, not a condition", 'compare it, such as == "..."'),
        ("sips and time.hour", "time.hour", "this is a number, not a condition", "compare it"),
        ('"x" == peer.san', '"x"', "a list is compared with text, the list on the left", ""),
        ("sips matches /x/", "sips", "matches needs text; this is true or false", ""),
        ('time.hour starts with "1"', "time.hour", "starts with needs text; this is a number", ""),
        ("to.user matches /(a/", "/(a/", "this pattern cannot be used: missing )", "RE2"),
        ("to.user matches /(a)\\1/", "/(a)", "this pattern cannot be used: invalid escape", "backreferences"),
        ('peer.san == "acme.example"', '"acme', "a value of peer.san begins with", '"dns:acme.example"'),
        ('peer.pin == "9f86"', '"9f86"', "a value of peer.pin begins with sha256/", "sha256/9f86"),
        ('transport == "tsl"', '"tsl"', 'transport is never "tsl"', 'did you mean "tls"?'),
        ('source == "carrier.example"', '"carrier', '"carrier.example" is not an address', "asked with in"),
        ("source in 10.0.0.1/8", "10.0", "10.0.0.1/8 has host bits set", "such as 10.0.0.0/8"),
        ("source in [5]", "5]", "an address is never this", "an address or a network"),
        ("to.user in 10.0.0.0/8", "10.0", "only an address is in a network", "source in"),
        ("to.user in [5]", "5]", "text is never this", ""),
        ('time.hour in ["5"]', '"5"', "a number is never this", ""),
        ('has header "X Y"', '"X Y"', "'X Y' is not the name of a header", "letters"),
        (
            'header("Authorization") == ""',
            '"Authorization"',
            "Authorization carries credentials",
            "has header",
        ),
        ("header(to.user) == to.user", "to.user)", "text in quotes is needed here", ""),
        ("length(/x/) > 1", "/x/", "text is needed here", ""),
        ('replace(to.user, "00", "+") == "x"', '"00"', "a /pattern/ is needed here", ""),
        (r'replace(to.user, /0/, "\1") == "x"', '"\\1"', r"there is no group \1 in the pattern", r"\1 to \9"),
        ("not " * 41 + "sips", "sips", "nested more than 40 deep", "split it"),
        ("sips " + "and sips " * 1200, "sips", "longer than 10000 characters", "split it"),
    ],
)
def test_conditions(condition: str, points: str, message: str, hint: str) -> None:
    found = when(condition)
    assert found.message.startswith(message)
    assert hint in found.hint and found.severity == "error"
    if "nested" not in message:
        assert at(found).startswith(points)


@pytest.mark.parametrize(
    ("action", "points", "message", "hint"),
    [
        ("route carrier-a", "carrier-a", "unexpected 'carrier'", 'put it in quotes: "carrier-a"'),
        ('set to.user == "x"', '= "x"', "unexpected '='", "a value is set with one ="),
        ('set to.usr = "x"', "to.usr", "to.usr cannot be set", 'did you mean "to.user"?'),
        ('set to.scheme = "http"', '"http"', 'no URI of a call is written with "http"', 'write "tel"'),
        ('set to.param("user") = "phone"', '"user"', "user is what a type says", 'set to.type = "phone"'),
        ('set to.param("Maddr") = "a"', '"Maddr"', "Maddr is written by the SBC itself", "leave it out"),
        ('set to.param("a b") = "a"', '"a b"', "'a b' is not the name of a parameter", "letters, digits"),
        ('set my.param("rn") = "a"', "set", "my.param(...) cannot be set", 'such as set to.param("rn")'),
        ('set to.param("rn") = 5', "5", "this is a number; text is needed here", 'write "5"'),
        ('set trunk = "x"', "trunk", "trunk cannot be set", "there are: asserted.display"),
        ("set to.user = 5", "5", "this is a number; text is needed here", 'write "5"'),
        ("set to.user = sips", "sips", "this is true or false; text is needed here", ""),
        ('set header "Via" = "x"', '"Via"', "Via is written by the SBC itself", "leave it out"),
        ('set header "v" = "x"', '"v"', "v is written by the SBC itself", ""),
        ('set header "FROM" = "x"', '"FROM"', "FROM is written by the SBC itself", "set from.user"),
        ('set header "To" = "x"', '"To"', "To is written by the SBC itself", "set to.user"),
        (
            'set header "P-Asserted-Identity" = "x"',
            '"P-',
            "P-Asserted-Identity cannot be set",
            "set asserted.user",
        ),
        ('set header "X:Y" = "x"', '"X:Y"', "'X:Y' is not the name of a header", "hyphens"),
        ('remove header "Contact"', '"Contact"', "Contact is written by the SBC itself", "leave it out"),
        ('remove header "Proxy-*"', '"Proxy-*"', "Proxy-* is written by the SBC", "narrower"),
        ('remove header "*"', '"*"', "* is written by the SBC itself (Allow)", "narrower"),
    ],
)
def test_actions(action: str, points: str, message: str, hint: str) -> None:
    found = then(action)
    assert found.message.startswith(message) and hint in found.hint
    assert at(found).startswith(points) and found.line == 5


@pytest.mark.parametrize(
    ("ending", "points", "message", "hint"),
    [
        ('route "carier-a"', '"carier-a"', 'there is no trunk "carier-a"', 'did you mean "carrier-a"?'),
        ('route "teams" then "x"', '"x"', 'there is no trunk "x"', "there are"),
        ('route "teams" then "teams"', '"teams"', 'the route goes to "teams" twice', "leave one out"),
        ('route "teams" then "carrier-a" on 603', "603", "603 ends the whole call", "RFC 3261"),
        ('route "teams" then "carrier-a" on 200', "200", "200 is not a failure", "300 to 599"),
        ('route "teams" then "carrier-a" on busy', "busy", "busy is not a failure", "timeout"),
        ("reject 200", "200", "a call is rejected with 400 to 699", "such as 403"),
        ("reject 302", "302", "a call is rejected with 400 to 699", "redirect"),
        ("redirect to.user", "to.user", "a redirect target is a SIP URI", 'such as "sip:"'),
        ('redirect "http://x"', '"http', "a redirect target is a SIP URI", ""),
        ("require srtp", "require", "this then does not say what becomes of the call", "continue"),
        ("reject 403\n      require srtp", "require", "nothing can follow route", "move it before"),
        ("continue\n      reject 403", "reject", "nothing can follow route", "move it before"),
    ],
)
def test_endings(ending: str, points: str, message: str, hint: str) -> None:
    found = then(ending, ending="")
    assert found.message.startswith(message) and hint in found.hint
    assert at(found).rpartition(" on ")[2].startswith(points) or at(found).startswith(points)


@pytest.mark.parametrize(
    ("text", "place", "message", "hint"),
    [
        ("- a\n", (1, 1), "a rule file is a mapping", "begin it with rules:"),
        ("rulez: []\n", (1, 1), "a rule file has no 'rulez'", 'did you mean "rules"?'),
        ("rules:\n  a: b\n", (2, 3), "rules is a list", "hyphen"),
        ("rules:\n  - foo\n", (2, 5), "a rule is a mapping", ""),
        ("rules: [\n", (2, 1), "this is not YAML", ""),
        ("when: a: b\n", (1, 8), "this is not YAML: a colon stands where none may be", "as a block"),
        ("rules: \x01\n", (1, 8), "this character is not allowed in YAML", "saved as UTF-8"),
        ("rules:\n\t- name: a\n", (2, 1), "this is not YAML: a tab indents this line", "takes only spaces"),
        ("rules: []\n---\n", (2, 1), "this is not YAML: a second document (---)", "one document a file"),
        ("lists: {a: [*x.y]}\n", (1, 13), "this is not YAML: an alias names an anchor", "in quotes"),
        ("{[1]: 2}\n", (1, 2), "a key must be a word", ""),
        ("rules: []\nrules: []\n", (2, 1), "'rules' is written twice", "keep one"),
        ("tests:\n  - foo\n", (2, 5), "a test is a mapping of given and expect", ""),
        ("tests:\n  - given: {trunk: teams}\n", (2, 5), "a test needs a mapping `expect`", ""),
    ],
)
def test_files(text: str, place: tuple[int, int], message: str, hint: str) -> None:
    found = diagnose(text)[0]
    assert (found.line, found.col) == place
    assert found.message.startswith(message) and hint in found.hint


@pytest.mark.parametrize(
    ("rule", "place", "message"),
    [
        ("name: a\n    when: true", (2, 5), "this rule has no `then`"),
        ("name: a\n    then: reject 403", (2, 5), "this rule has no `when`"),
        ("when: true\n    then: reject 403", (2, 5), "this rule has no `name`"),
        ("name:\n    when: true\n    then: reject 403", (2, 5), "the name is empty"),
        ("name: a\n    when:\n    then: reject 403", (3, 5), "the condition is empty"),
        ("name: a\n    when: true\n    then: ''", (4, 11), "the list of actions is empty"),
        ("name: a\n    when: {a: b}\n    then: reject 403", (3, 11), "when is text"),
        ("name: a\n    whem: x\n    when: true\n    then: reject 403", (3, 5), "a rule has no 'whem'"),
        ("name: a\n    name: b\n    when: true\n    then: reject 403", (3, 5), "'name' is written twice"),
    ],
)
def test_rules(rule: str, place: tuple[int, int], message: str) -> None:
    found = only(f"rules:\n  - {rule}\n")
    assert (found.line, found.col, found.message[: len(message)]) == (*place, message)


def test_names_are_unique_over_all_files() -> None:
    rule = "rules:\n  - name: a\n    when: sips\n    then: reject 403\n"
    _, (found,) = load({"b.yaml": rule, "a.yaml": rule})
    assert str(found).splitlines()[0] == "b.yaml:2:11: error: there is another rule 'a', at a.yaml:2"


def test_all_mistakes_of_all_files_at_once_in_order() -> None:
    head = 'rules:\n  - name: a\n    when: trunk == "x"\n    then: |\n'
    bad = head + "      set x = y\n      route z\n      rejct 4\n"
    loaded, found = load({"2.yaml": bad.replace("a", "b", 1), "1.yaml": bad, "0.yaml": "["}, KNOWN)
    assert loaded is None
    places = [(each.path, each.line, each.col) for each in found]
    assert places == sorted(places)
    assert {path for path, _, _ in places} == {"0.yaml", "1.yaml", "2.yaml"}
    assert ("1.yaml", 3, 20) in places and ("1.yaml", 6, 13) in places


def test_every_syntax_error_of_a_then_is_found() -> None:
    head = "rules:\n  - name: a\n    when: true\n    then: |\n"
    text = head + '      set x == "y"\n      route z\n      reject "x"\n'
    assert [(each.line, each.col) for each in diagnose(text)] == [(5, 14), (6, 13), (7, 14)]


def test_rules_after_one_that_takes_every_call_are_warned_of() -> None:
    first = "rules:\n  - name: a\n    when: True\n    then: |\n      require srtp\n      continue\n"
    second = "  - name: b\n    when: true\n    then: reject 404\n"
    third = "rules:\n  - name: c\n    when: sips\n    then: reject 403\n"
    loaded, (found,) = load({"1.yaml": first + second, "2.yaml": third})
    assert loaded is not None and len(loaded) == 3
    assert (found.severity, found.path, found.line) == ("warning", "2.yaml", 2)
    assert found.message == "this rule is never reached: b (1.yaml:7) takes every call"


def test_a_rule_that_never_holds_is_warned_of() -> None:
    loaded, (found,) = load({"a": "rules:\n  - name: a\n    when: false\n    then: reject 403\n"})
    assert loaded is not None and found.severity == "warning" and found.message == "this rule never holds"


def test_unknown_names_are_let_through_where_nothing_is_known() -> None:
    text = 'rules:\n  - name: a\n    when: trunk == "x"\n    then: route "y"\n'
    assert diagnose(text, Known()) == []


@pytest.mark.parametrize("text", ["", "\n", " \n\n"])
def test_an_empty_file_is_a_mistake(text: str) -> None:
    """An editor or a copy that was cut short leaves one, and a file without rules would be good."""
    loaded, (found,) = load({"a.yaml": text, "b.yaml": "rules: []\n"})
    assert loaded is None
    assert str(found).startswith("a.yaml: error: the file is empty\n    hint: ")


@pytest.mark.parametrize("text", ["# nothing\n", "rules:\n", "rules: []\ntests: []\n", "---\n"])
def test_nothing_is_a_rule_set_too(text: str) -> None:
    loaded, found = load({"a.yaml": text})
    assert loaded is not None and len(loaded) == 0 and found == []
