"""What no call ever has, and what a then takes back, is told; each hint is what was meant."""

from __future__ import annotations

import pytest

from tests.unit.dsl.test_dsl_mistakes import HEAD, rules, told

SLIPS = [
    ("time in 22:00-06:00", 14, "a range has two points: 08:00..18:00, mon..fri"),
    ("day in mon-fri", 11, "a range has two points"),
    ("date in 24.12.2026", 14, "a date is written year-month-day: 2026-12-24"),
    ('to.user contains "1"', 9, "a text within another is found by a pattern"),
    ("time between 08:00 and 09:00", 6, "write in, and a range"),
    ("to.user =~ /^00/", 9, "write matches"),
    ("to.user == /^00/", 12, "write matches in the place of =="),
    ('to.user == ["a"]', 12, "write in, or not in, before a list"),
    ('to.user in ("a", "b")', 12, 'several values stand in brackets: ["a", "b"]'),
    ('to.user in "a", "b"', 15, 'several values stand in brackets: ["a", "b"]'),
    ('to.user matches "^00"', 17, "a pattern stands between slashes: /^00/"),
    ('ruri.user == "1"', 1, "it is called to.user"),
    ('caller == "1"', 1, "it is called from.user"),
    ('to.domain == "a"', 1, "it is called to.host"),
]
NEVER = [
    ("to.user in 0900..0999", "1:12", "text is never in this range", "a block of numbers is one of texts"),
    ("to.user == 0900", "1:12", "text is compared with a number; that is never equal", 'write "0900"'),
    ("0900 == to.user", "1:9", "a number is compared with text; that is never equal", 'write "0900"'),
    ('to.port == "5060"', "1:12", "a number is compared with text; that is never equal", "write 5060"),
    (
        'day == "Mon"',
        "1:8",
        "a day of the week is compared with text; that is never equal",
        "without quotes, such as mon",
    ),
    ('date == "2026-01-01"', "1:9", "a date is compared with text; that is never equal", "without quotes"),
    ("day == Mon", "1:8", "there is no fact 'Mon'", "days are mon, tue, wed, thu, fri, sat, sun: write mon"),
    (
        "day == Sunday",
        "1:8",
        "there is no fact 'Sunday'",
        "days are mon, tue, wed, thu, fri, sat, sun: write sun",
    ),
    (
        "time.weekday == 0",
        "1:17",
        "time.weekday is never 0",
        "the day of the week, 1 is Monday and 7 is Sunday",
    ),
    ("time.weekday in 0..4", "1:17", "time.weekday is never 0", "the day of the week"),
    ("time.hour in [8, 24]", "1:18", "time.hour is never 24", "the hour, 0 to 23"),
    ("24 == time.hour", "1:1", "time.hour is never 24", "the hour, 0 to 23"),
    (
        "time.hour in 22..6",
        "1:14",
        "this range is empty",
        "over midnight it is written with times: time in 22:00..06:00",
    ),
    ("time.weekday in 6..1", "1:17", "this range is empty", "over the week's end it is written with days"),
    (
        "time in 18:00..24:00",
        "1:16",
        "no clock shows this time",
        "from 00:00 to 23:59; a range until midnight ends with 00:00",
    ),
]
ACTIONS = [
    ('if sips then route "carrier-a"', "1:1", "unexpected 'if'", "a condition stands in the rule's `when`"),
    ("drop", "1:1", "unexpected 'drop'", "write reject 403"),
    ('Route "a"', "1:1", "unexpected 'Route'", "words of the language are in lower case: route"),
    (
        'route "carrier-a", "carrier-b"',
        "1:18",
        "unexpected ','",
        'the next target stands behind then: route "a" then "b"',
    ),
    ('route "carrier-a" on 503', "1:19", "unexpected 'on'", "on stands behind the target that comes next"),
    (
        'limit 5 calls per minute\nroute "carrier-a"',
        "1:19",
        "per says whose calls are counted, not how long",
        "write limit 5 calls a minute per from.user",
    ),
    (
        'limit 5 calls per day\nroute "carrier-a"',
        "1:19",
        "per says whose calls are counted, not how long",
        "write limit 5 calls a day per from.user",
    ),
]


@pytest.mark.parametrize(("condition", "place", "message", "hint"), NEVER, ids=[each[0] for each in NEVER])
def test_what_no_call_has_is_told(condition: str, place: str, message: str, hint: str) -> None:
    (found,) = told(f"{HEAD}    when: |\n      {condition}\n    then: reject 403\n")
    line, col = map(int, place.split(":"))
    where, _, said = found.partition(" ")
    assert where == f"{line + 5}:{col + 6}"
    assert said.partition(" | ")[0] == message
    assert said.partition(" | ")[2].startswith(hint)


@pytest.mark.parametrize(("condition", "col", "hint"), SLIPS, ids=[each[0] for each in SLIPS])
def test_what_another_language_writes_is_told_in_ours(condition: str, col: int, hint: str) -> None:
    (found,) = told(f"{HEAD}    when: |\n      {condition}\n    then: reject 403\n")
    assert found.startswith(f"6:{col + 6} ") and found.partition(" | ")[2].startswith(hint), found


@pytest.mark.parametrize(("action", "place", "message", "hint"), ACTIONS, ids=[each[0] for each in ACTIONS])
def test_a_slip_of_an_action_is_told(action: str, place: str, message: str, hint: str) -> None:
    lines = action.replace("\n", "\n      ")
    (found,) = told(f"{HEAD}    when: sips\n    then: |\n      {lines}\n")
    line, col = map(int, place.split(":"))
    where, _, said = found.partition(" ")
    assert where == f"{line + 6}:{col + 6}"
    assert said.partition(" | ")[0] == message
    assert said.partition(" | ")[2].startswith(hint)


def test_a_list_that_names_what_cannot_be_is_told_where_it_is_asked() -> None:
    lists = 'lists:\n  of: [carier, office]\n  numbers: ["1@x", "+49 30"]\n'
    assert told(lists + rules(("trunk in list.of", "continue"))) == [
        '~6:20 in list.of: there is no trunk "carier" | did you mean "carrier-b"?'
    ]
    assert told(lists + rules(("to.user in list.numbers", "continue"))) == [
        '~6:22 in list.numbers: no user has "@" in it | a user stands before the @: write "1"'
    ]


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ("require srtp\nno srtp", "whether there is srtp | only the last one counts: leave one out"),
        (
            'allow codecs "PCMA"\nallow codecs "PCMU"',
            "which codecs to allow | only the last one counts: name all codecs in one action, with commas",
        ),
        (
            "ring for 5 seconds\nring for 6 seconds",
            "how long it rings | only the last one counts: leave one out",
        ),
    ],
)
def test_what_is_said_twice_is_told(then: str, message: str) -> None:
    lines = then.replace("\n", "\n      ")
    found = told(f'{HEAD}    when: sips\n    then: |\n      {lines}\n      route "office"\n')
    assert [each.partition(" ")[2] for each in found] == [f"this then says twice {message}"]
    assert found[0].startswith("~8:7 ")


@pytest.mark.parametrize(
    "then",
    [
        'allow codecs "PCMA"\nprefer codecs "PCMA"\nroute "office"',
        'require srtp\nforbid downgrade\nrefuse redirects\nroute "office"',
    ],
)
def test_what_is_said_of_different_things_is_not_said_twice(then: str) -> None:
    lines = then.replace("\n", "\n      ")
    assert told(f"{HEAD}    when: sips\n    then: |\n      {lines}\n") == []


@pytest.mark.parametrize("pattern", [r"^\+49$", r"[$+*^?]+x\^+", r"[]^+]$", "^(?:a|b)$", r"a\$?"])
def test_a_pattern_whose_repeats_repeat_something_is_good(pattern: str) -> None:
    assert told(f"{HEAD}    when: to.user matches /{pattern}/\n    then: continue\n") == []


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ('to.user starts with "0900*"', "6:27"),
        ('to.user in ["112", "+49 30*"]', "6:26"),
        ("to.user starts with list.barred", "6:27"),
        ('from.user starts with ["0900*"]', "6:30"),
    ],
)
def test_a_star_that_stands_for_itself_is_told(when: str, place: str) -> None:
    lists = 'lists:\n  barred: ["0900*", "*21#"]\n'
    text = f"{lists}rules:\n  - name: it\n    when: >\n      {when}\n    then: reject 403\n"
    (found,) = told(text)
    assert found.startswith(f"~{place} the * of ") and "stands for itself here | if it is what" in found


@pytest.mark.parametrize("when", ['to.user == "*21*"', 'to.user starts with "*21"', 'from.display in ["1*"]'])
def test_a_star_of_a_service_code_is_not(when: str) -> None:
    assert told(f"{HEAD}    when: |\n      {when}\n    then: reject 403\n") == []


@pytest.mark.parametrize(
    ("action", "col", "message", "hint"),
    [
        ('set to.host = "10.0.0.1:5060"', 15, 'no host has ":5060" in it', "the port is none of it"),
        ('set to.host = "a b"', 15, 'no host is "a b"', "letters, digits, dots and hyphens"),
        ('set to.user = "sip:1@x"', 15, 'no user has "sip:" in it', "a user stands before the @"),
    ],
)
def test_what_is_set_and_cannot_be_is_told(action: str, col: int, message: str, hint: str) -> None:
    (found,) = told(f"{HEAD}    when: sips\n    then: |\n      {action}\n      continue\n")
    assert found.startswith(f"~7:{col + 6} {message} | {hint}")


@pytest.mark.parametrize("when", ['to.usr starts with "0900*"', 'to.usr in ["1"]', 'to.usr == "1"'])
def test_a_fact_that_there_is_not_is_told_whatever_it_is_asked(when: str) -> None:
    (found,) = told(f"{HEAD}    when: |\n      {when}\n    then: reject 403\n")
    assert "there is no fact 'to.usr' | did you mean \"to.user\"?" in found
