"""A table of wrong files and exactly what is said of each: place, message and hint.

``^`` under a line marks the column; a file of several mistakes has all of its places.
"""

from __future__ import annotations

import pytest

from dsl.load import load
from dsl.names import Known
from dsl.table import read_table

TABLE, _ = read_table("rates", "rates.csv", "prefix,trunk,cost\n49,carrier-a,1\n43,carier,2\n")
assert TABLE is not None
KNOWN = Known(
    trunks=frozenset(("office", "carrier-a", "carrier-b")),
    listeners=frozenset(("tls", "udp")),
    tenants=frozenset(("acme",)),
    hooks=frozenset(("fraud",)),
    tables={"rates": TABLE},
    broken_tables=frozenset(("spoiled",)),
    realms=frozenset(("lab.example",)),
)


def told(text: str) -> list[str]:
    """Every diagnostic as ``line:col message | hint``; warnings begin with ``~``."""
    _, found = load({"a.yaml": text}, KNOWN)
    lines = text.split("\n")
    for each in found:
        assert each.source == lines[each.line - 1] or not each.line
    return [
        f"{'~' if each.severity == 'warning' else ''}{each.line}:{each.col} {each.message} | {each.hint}"
        for each in found
    ]


WHEN = [
    ("to.user in 3..5", "1:12", "text is never in this range", ""),
    ("length(to.user) in 5..3", "1:20", "this range is empty", "the lower end stands first"),
    ('length(to.user) in 3.."5"', "1:23", "from a number to text is no range", ""),
    (
        'to.user in "+491".."+49"',
        "1:20",
        "the two numbers of a block are of one length",
        'such as "+4930100".."+4930199"',
    ),
    ('to.user in "+492".."+491"', "1:12", "this range is empty", "the lower number stands first"),
    ("to.user in mon", "1:12", "text is never this", ""),
    ("time in 8..18", "1:9", "a time of day is never in this range", "such as in 08:00..18:00"),
    ("time in 08:00..26:00", "1:16", "no clock shows this time", "from 00:00 to 23:59"),
    ("time == 18", "1:9", "a time of day is compared with a number; that is never equal", ""),
    ("time > mon", "1:8", "a time of day is compared with a day of the week", ""),
    ('time starts with "1"', "1:1", "starts with needs text; this is a time of day", ""),
    ("time", "1:1", "this is a time of day, not a condition", "compare it, such as in 08:00..18:00"),
    ("day", "1:1", "this is a day of the week, not a condition", "compare it, such as in mon..fri"),
    ("date", "1:1", "this is a date, not a condition", "compare it, such as == 2026-12-24"),
    ("day in monday", "1:8", "monday is neither a value nor a list", 'text is written in quotes: "monday"'),
    ('day == "mon"', "1:8", "a day of the week is compared with text; that is never equal", ""),
    ("date == 2026-02-30", "1:9", "no calendar has this date", "year, month, day: 2026-12-24"),
    ("date in 2026-12-26..2026-12-24", "1:9", "this range is empty", "the lower end stands first"),
    ("to.user in list.premum", "1:12", "there is no list 'premum'", 'did you mean "premium"?'),
    ("to.user in premium", "1:12", "premium is neither a value nor a list", "write list.premium"),
    ("to.user in list.none", "1:12", "there is no list 'none'", "there are: nets, premium"),
    ("time.hour in list.premium", "1:14", "a list holds texts; this asks about a number", ""),
    (
        "source in list.premium",
        "1:11",
        "'0900' does not appear to be an IPv4 or IPv6 network",
        "an address or a network, such as 10.0.0.0/8",
    ),
    (
        "to.user == list.premium",
        "1:12",
        "list.premium cannot stand here",
        "a list stands after in, starts with or ends with",
    ),
    ("to.user starts with premium", "1:21", "premium is neither a value nor a list", "write list.premium"),
    ("to.user in table.rate", "1:12", "there is no table 'rate'", 'did you mean "rates"?'),
    ("calls in table.rates", "1:10", "a table holds numbers as text; this asks about a number", ""),
    (
        "table.rates == to.user",
        "1:1",
        "table.rates cannot stand here",
        "write table.NAME[to.user].COLUMN, or to.user in table.NAME",
    ),
    (
        'table.rates[to.user].price == "1"',
        "1:1",
        "the table rates has no column 'price'",
        "there are: cost, trunk",
    ),
    ('rates[to.user].cost == "1"', "1:1", "rates is no table", "write table.rates"),
    ('table.rates[calls].cost == "1"', "1:13", "this is a number; text is needed here", ""),
    (
        "table.rates[to.user].cost > 1",
        "1:1",
        "> compares numbers; this is text",
        "number(...) reads a number from text",
    ),
    ('group.both == "a"', "1:1", "group.both cannot stand here", "a group stands after route or then"),
    ('calls("carier-a") > 3', "1:7", 'there is no trunk "carier-a"', 'did you mean "carrier-a"?'),
    ("calls(trunk) > 3", "1:7", "text in quotes is needed here", ""),
    ("calls > to.user", "1:9", "> compares numbers; this is text", "number(...) reads a number from text"),
    (
        'e164(to.user, "+49") == "x"',
        "1:15",
        '"+49" is no country code',
        'one to three digits without +, such as "49"',
    ),
    ('e164(to.user) == "x"', "1:1", "e164 takes 2 arguments, not 1", 'write e164(to.user, "49")'),
    ('to.parm("x") == "y"', "1:1", "there is no function 'to.parm'", 'did you mean "to.param"?'),
    ("to.user in [1..2]", "1:13", "text is never in this range", ""),
    ("sips in [true]", "1:10", "true is neither a value nor a list", 'text is written in quotes: "true"'),
    ("to.user in", "1:10", "it ends too early", ""),
    ("source in 10.0.0.0..10.0.0.9", "1:19", "unexpected '..'", ""),
    ('auth.usr == "x"', "1:1", "there is no fact 'auth.usr'", 'did you mean "auth.user"?'),
]
THEN = [
    ("route carrier-a", "1:7", "unexpected 'carrier'", 'put it in quotes: "carrier-a"'),
    ("route group.bath", "1:7", "there is no group 'bath'", 'did you mean "both"?'),
    (
        "route table.rates[to.user].trunk",
        "1:7",
        'rates.csv:3 names a trunk "carier", and there is none',
        'did you mean "carrier-b"?',
    ),
    (
        'route group.both then "carrier-a"',
        "1:23",
        'the route goes to "carrier-a" twice (group.both)',
        "leave one out",
    ),
    ('route "office" then "office"', "1:21", 'the route goes to "office" twice', "leave one out"),
    (
        'allow codecs "PCMAA"\nroute "office"',
        "1:14",
        '"PCMAA" is no codec that is known',
        'did you mean "PCMA"?',
    ),
    (
        'deny codecs "xyz"\nroute "office"',
        "1:13",
        '"xyz" is no codec that is known',
        "codecs are named as SDP does, such as PCMA",
    ),
    ('prefer codecs "PCMA", "pcma"\nroute "office"', "1:23", '"pcma" stands here twice', "leave one out"),
    ('allow codec "PCMA"\nroute "office"', "1:7", "unexpected 'codec'", "expected codecs or downgrade"),
    ("record\nreject 403", "1:1", "a recording is for a call that is routed", "end it in route or continue"),
    (
        'record with tone\nroute "office"',
        "1:1",
        "a tone is heard in G.711 alone, and this allows other codecs",
        'write allow codecs "PCMA", "PCMU" beside it',
    ),
    (
        'allow codecs "PCMA", "G722"\nrecord with tone\ncontinue',
        "2:1",
        "a tone is heard in G.711 alone, and this allows other codecs",
        'write allow codecs "PCMA", "PCMU" beside it',
    ),
    ('record with music\nroute "office"', "1:8", "unexpected 'with'", ""),
    ('ring for 0 seconds\nroute "office"', "1:10", "a phone rings for 1 to 3600 seconds", "such as 30"),
    ('ring for 1.5 seconds\nroute "office"', "1:10", "a phone rings for 1 to 3600 seconds", "such as 30"),
    ('ring 30\nroute "office"', "1:6", "unexpected '30'", "expected for"),
    (
        'limit 1.5 calls per trunk\nroute "office"',
        "1:7",
        "a limit is a whole number up to 1000000",
        "such as 10",
    ),
    (
        'limit 0 calls a second per trunk\nroute "office"',
        "1:7",
        "no call could ever be made",
        "reject says so more plainly",
    ),
    ('limit 5 calls per calls\nroute "office"', "1:19", "this is a number; text is needed here", ""),
    ('limit 5 calls\nroute "office"', "2:1", "unexpected 'route'", "expected a or per"),
    (
        'limit 5 calls per trunk else reject 200\nroute "office"',
        "1:37",
        "a call is rejected with 400 to 699",
        "such as 403",
    ),
    (
        'challenge "lab.exmple"\nroute "office"',
        "1:11",
        'nobody has a password for the realm "lab.exmple"',
        'did you mean "lab.example"?',
    ),
    ('challenge ""\nroute "office"', "1:11", "a realm is a name without quotes", 'such as "example.net"'),
    (
        'challenge "lab.example"\nchallenge "lab.example"\nroute "office"',
        "2:1",
        "this then asks for a password twice",
        "leave one out",
    ),
    (
        'challenge "lab.example"',
        "1:1",
        "this then does not say what becomes of the call",
        "end it in route, reject or redirect",
    ),
    ('call hook "frauds"\nroute "office"', "1:11", 'there is no hook "frauds"', 'did you mean "fraud"?'),
    ('call hook "x"\nroute "office"', "1:11", 'there is no hook "x"', "there are: fraud"),
    (
        'call hook "fraud"\nreject 403',
        "1:1",
        "a hook is called for a call that is routed",
        "end it in route or continue",
    ),
    (
        'copy header "P-Asserted-*"\nroute "office"',
        "1:13",
        "P-Asserted-* would let P-Asserted-Identity cross",
        "set asserted.user instead",
    ),
    ('copy header "Via"\nroute "office"', "1:13", "Via is written by the SBC itself", "leave it out"),
    (
        'copy header "X-*" to "X-A"\nroute "office"',
        "1:13",
        "'X-*' is not the name of one header",
        "only one header can get another name",
    ),
    (
        'copy header "Authorization" to "X-A"\nroute "office"',
        "1:13",
        "Authorization carries credentials",
        "a credential is for the one that asked for it",
    ),
    (
        'copy header "X-A" to "To"\nroute "office"',
        "1:22",
        "To is written by the SBC itself",
        "set to.user or to.host instead",
    ),
    ('tag calls\nroute "office"', "1:5", "this is a number; text is needed here", ""),
    ('set to.port = "5060"\nroute "office"', "1:5", "to.port cannot be set", 'did you mean "to.host"?'),
    ('route "office" then "carrier-a" on 6xx', "1:36", "6xx ends the whole call", "a 6xx is final"),
    ('route "office" then "carrier-a" on 2xx', "1:36", "2xx is not a failure", "a status of 300 to 599"),
    ('at most 0 hours\nroute "office"', "1:9", "no call lasts so long", "whole seconds, minutes or hours"),
    ('at most 800 hours\nroute "office"', "1:9", "no call lasts so long", "whole seconds, minutes or hours"),
    ('at most 2 days\nroute "office"', "1:11", "unexpected 'days'", "expected hours, minutes or seconds"),
    (
        "at most 1 hour\nreject 403",
        "1:1",
        "a longest duration is for a call that is routed",
        "end it in route or continue",
    ),
    (
        'answer 3xx as 486\nroute "office"',
        "1:8",
        "3xx is no refusal of a call",
        "a status of 400 to 699, or 4xx",
    ),
    (
        'answer timeout as 486\nroute "office"',
        "1:8",
        "timeout is no refusal of a call",
        "a status of 400 to 699, or 4xx",
    ),
    (
        'answer 603 as 302\nroute "office"',
        "1:15",
        "a call is refused with 400 to 699",
        "such as 486",
    ),
    (
        'answer 603 as 407\nroute "office"',
        "1:15",
        "407 asks the caller for a password",
        'challenge "realm" does that',
    ),
    ('answer 603 as 5xx\nroute "office"', "1:16", "unexpected 'xx'", ""),
]

HEAD = """\
lists: {premium: ["0900"], nets: [10.0.0.0/8]}
groups: {both: [carrier-a, carrier-b]}
rules:
  - name: r
"""


@pytest.mark.parametrize(("condition", "place", "message", "hint"), WHEN, ids=[each[0] for each in WHEN])
def test_a_wrong_when(condition: str, place: str, message: str, hint: str) -> None:
    found = told(f"{HEAD}    when: |\n      {condition}\n    then: reject 403\n")
    line, col = place.split(":")
    assert len(found) == 1, found
    where, _, said = found[0].partition(" ")
    assert where == f"{int(line) + 5}:{int(col) + 6}"
    assert said.partition(" | ")[0] == message
    assert said.partition(" | ")[2].startswith(hint)


@pytest.mark.parametrize(("actions", "place", "message", "hint"), THEN, ids=[each[0] for each in THEN])
def test_a_wrong_then(actions: str, place: str, message: str, hint: str) -> None:
    lines = actions.replace("\n", "\n      ")
    found = told(f"{HEAD}    when: sips\n    then: |\n      {lines}\n")
    line, col = place.split(":")
    assert len(found) == 1, found
    where, _, said = found[0].partition(" ")
    assert where == f"{int(line) + 6}:{int(col) + 6}"
    assert said.partition(" | ")[0] == message
    assert said.partition(" | ")[2].startswith(hint)


RULE = "rules:\n  - {name: r, when: sips, then: reject 403}\n"
FILES = [
    ("zone: Europe/Berln\n" + RULE, ["1:7 'Europe/Berln' is no time zone | did you mean \"Europe/Berlin\"?"]),
    ("zone: [a]\n" + RULE, ["1:7 '' is no time zone | such as Europe/Berlin"]),
    ("lists: [a]\n" + RULE, ["1:8 lists are a mapping of names | such as my_list: [...]"]),
    (
        "lists: {a: b}\n" + RULE,
        [
            "1:12 a list is needed here | a list is written [a, b], or one entry a line after a hyphen",
            "1:12 the list 'a' is empty | give it an entry, or remove it",
        ],
    ),
    ("lists: {a: []}\n" + RULE, ["1:12 the list 'a' is empty | give it an entry, or remove it"]),
    ("lists: {a: [x, x]}\n" + RULE, ['~1:12 "x" stands twice in the list | leave one out']),
    ("lists: {a-b: [x]}\n" + RULE, ["1:9 'a-b' cannot be the name of a list | letters, digits and _"]),
    ("groups: {a: {office: 0}}\n" + RULE, ["1:22 a weight is a whole number from 1 to 1000 | such as 3"]),
    (
        "groups: {a: [ofice]}\n" + RULE,
        [
            "1:13 the group 'a' is empty | such as carriers: [carrier-a, carrier-b]",
            '1:14 there is no trunk "ofice" | did you mean "office"?',
        ],
    ),
    (
        "groups: {a: [office, office]}\n" + RULE,
        ['1:22 "office" stands twice in the group | give it twice the weight instead'],
    ),
    (
        "groups: {a: [office, carrier-a], b: [carrier-a, office]}\n" + RULE,
        ["~1:37 the groups 'a' and 'b' have the same trunks | one group would do"],
    ),
    (
        "groups: {a: office}\n" + RULE,
        [
            "1:13 a group is a list of trunks | or {carrier-a: 3, carrier-b: 1}, with weights",
            "1:13 the group 'a' is empty | such as carriers: [carrier-a, carrier-b]",
        ],
    ),
    ("list: {a: [x]}\n" + RULE, ["1:1 a rule file has no 'list' | did you mean \"lists\"?"]),
    (
        "tests:\n  - given: {calls: many}\n    expect: {reject: 404}\n",
        ["2:20 a number of calls is needed here | such as 7, or {carrier: 7}"],
    ),
    (
        "tests:\n  - given: {to.port: x}\n    expect: {reject: 404}\n",
        ["2:22 to.port is a number | digits, nine at most"],
    ),
    ("rules:\n  - name: r\n    when: to.user in table.spoiled\n    then: reject 403\n", []),
]


@pytest.mark.parametrize(("text", "expected"), FILES)
def test_a_wrong_file(text: str, expected: list[str]) -> None:
    assert told(text) == expected


def rules(*pairs: tuple[str, str]) -> str:
    lines = [
        f"  - name: r{at}\n    when: {when}\n    then: {then}\n" for at, (when, then) in enumerate(pairs, 1)
    ]
    return "rules:\n" + "".join(lines)


SHADOWED = [
    (('trunk == "office"', "reject 403"), ('trunk == "office" and sips', "reject 404")),
    (('trunk in ["office", "carrier-a"]', "reject 403"), ('trunk == "carrier-a"', "reject 404")),
    (('to.user starts with "+49"', "reject 403"), ('to.user == "+4930" and sips', "reject 404")),
    (('to.user starts with ["+4", "0"]', "reject 403"), ('to.user starts with ["+49", "00"]', "reject 404")),
    (("source in 10.0.0.0/8", "reject 403"), ("source in [10.1.0.0/16, 10.2.3.4]", "reject 404")),
    (('to.host == "A.example"', "reject 403"), ('to.host == "a.EXAMPLE"', "reject 404")),
    (("to.user matches /^0/", "reject 403"), ("sips and to.user matches /^0/", "reject 404")),
    (("day == sat", "reject 403"), ("day == sat and time in 08:00..09:00", "reject 404")),
    (("calls > 5", "reject 403"), ("calls > 5 and sips", "reject 404")),
    (('peer.san == "dns:a"', "reject 403"), ('peer.san == "dns:a" and peer.san == "dns:b"', "reject 404")),
]
REACHED = [
    (('trunk == "office" and sips', "reject 403"), ('trunk == "office"', "reject 404")),
    (('to.user starts with "+49"', "reject 403"), ('to.user starts with "+4"', "reject 404")),
    (("source in 10.0.0.0/8", "reject 403"), ("source in [10.1.0.0/16, 11.0.0.0/8]", "reject 404")),
    (
        ('to.user starts with "+"', "reject 403"),
        ("sips", 'set to.user = "+" + to.user; continue'),
        ('to.user starts with "+49"', "reject 404"),
    ),
    (("sips", "continue"), ("sips", "reject 404")),
    (
        ('header("X-A") == "1"', "reject 403"),
        ("true", 'set header "X-A" = "1"; continue'),
        ('header("X-A") == "1"', "reject 404"),
    ),
    (('trunk == "office" or sips', "reject 403"), ('trunk == "office"', "reject 404")),
    (('peer.san == "dns:a"', "reject 403"), ('peer.san in ["dns:a", "dns:b"]', "reject 404")),
]


@pytest.mark.parametrize("pairs", SHADOWED)
def test_a_shadowed_rule_is_told_with_its_shadow(
    pairs: tuple[tuple[str, str], ...],
) -> None:
    assert told(rules(*pairs)) == [
        "~5:5 this rule is never reached: r1 (a.yaml:2) takes all its calls"
        " | move it up, or narrow the rule that takes its calls"
    ]


@pytest.mark.parametrize("pairs", REACHED)
def test_a_rule_that_can_be_reached_is_not(pairs: tuple[tuple[str, str], ...]) -> None:
    assert told(rules(*pairs)) == []


@pytest.mark.parametrize(
    "when",
    [
        'trunk == "office" and trunk == "carrier-a"',
        'to.user starts with "+49" and to.user == "0049"',
        'trunk in ["office"] and sips and trunk in ["carrier-a", "carrier-b"]',
        "day == sat and day in [mon, sun]",
        "source in 10.0.0.0/8 and source in 192.168.0.0/16",
    ],
)
def test_a_rule_that_contradicts_itself_is_told(when: str) -> None:
    assert told(rules((when, "reject 403"))) == [
        "~2:5 this rule never holds | two of its conditions can never be true together"
    ]


NEVER = ["a^b", "^a$b", r"$\d", r"x[^\s\S]", r"(a|b)^"]


@pytest.mark.parametrize("pattern", NEVER)
def test_a_pattern_that_never_matches_is_told(pattern: str) -> None:
    (found,) = told(rules((f"to.user matches /{pattern}/", "reject 403")))
    assert found == "~3:27 this pattern never matches | ^ is the beginning and $ the end of the text"


@pytest.mark.parametrize("pattern", ["^a$", "a|^b", "^$", "(^a|b)$", r"\$5^?", "^(00|^0)"])
def test_a_pattern_that_can_match_is_not(pattern: str) -> None:
    assert told(rules((f"to.user matches /{pattern}/", "reject 403"))) == []


def test_a_pattern_against_known_values_is_held_to_them() -> None:
    assert told(rules(("transport matches /^tsl/", "reject 403"))) == [
        "3:29 no value of transport matches this | they are: udp, tcp, tls"
    ]


def test_a_file_that_is_nested_without_end_is_refused_and_crashes_nobody() -> None:
    deep = "".join(" " * indent + "-\n" for indent in range(2000))
    for text, place in (
        ("rules: " + "[" * 200_000, "1:57"),
        ("[" * 9_000 + "]" * 9_000, "1:51"),
        (deep, "51:51"),
    ):
        (found,) = told(text)
        assert found == f"{place} nested more than 50 deep | is a bracket left open?"
