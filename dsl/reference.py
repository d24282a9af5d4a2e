"""The reference of the language, docs/language.md, written from the tables that the checker works with.

``python -m dsl.reference > docs/language.md`` writes it anew; a test holds that it was done.
"""

# ruff: noqa: E501 (the page's lines are up to 120 characters)

from __future__ import annotations

from pathlib import Path
from textwrap import fill

from dsl.check_actions import CODECS, PARTS
from dsl.clock import CLOCK_FACTS
from dsl.decision import DEFAULT_FAILURES
from dsl.facts import FACTS
from dsl.functions import FUNCTIONS
from dsl.ownership import owned_headers

KINDS = {
    "text": "text",
    "host": "text, case ignored",
    "address": "address",
    "list": "list of texts",
    "truth": "boolean",
    "number": "number",
    "clock": "time of day",
    "day": "day of the week",
    "date": "date",
}
_INTRODUCTION = """\
# The language, a reference

Written by `python -m dsl.reference` from the tables that the checker works with. How to write rules is in
[routing.md](routing.md), whole cases are in [cookbook.md](cookbook.md).

## A file

| key | holds |
|---|---|
| `rules` | a list of `name`, `when`, `then`; tried in order, over all files in the order of their names |
| `tests` | a list of `given` and `expect`; run by `sbc check` |
| `lists` | names of lists of texts: `premium: ["0900", "+49900"]`, used as `list.premium` |
| `groups` | names of trunks that share calls: `[a, b]` in turn, `{a: 3, b: 1}` by weight, used as `group.NAME` |
| `zone` | the time zone of the file's rules and tests, such as `Europe/Berlin`; the server's own without it |

Lists and groups are known in all files. Tables are CSV files that `tables:` in `sbc.yaml` names; their first line
names the columns. With `prefix` among them `table.NAME[to.user].COLUMN` is a cell of the row with the longest prefix
that fits; with `key` of the row of that very text, such as `table.NAME[trunk].COLUMN` (such a table may be a YAML
file, `KEY: {COLUMN: text}`); with `date` of that day, `table.NAME[date].COLUMN`, a row being a day or a range of
them. The prefix or key `*` fits everything else, and a cell is empty where no row fits.
"""
_CONDITIONS = """
## Conditions

| written | asks of |
|---|---|
| `==` `!=` | any two values of one type; a list holds when one of its values does |
| `<` `<=` `>` `>=` | numbers, times of day, days, dates |
| `in X`, `not in X`, `in [X, Y]` | X is a value, a range, `list.NAME`, `table.NAME`, for addresses a network |
| `starts with X`, `ends with X` | text and lists; X is text, `[texts]` or `list.NAME` |
| `matches /pattern/` | text and lists; RE2's syntax, in linear time |
| `has header "X"` | the request |
| `and`, `or`, `not`, `( )` | conditions; `not` binds closest, then `and`, then `or` |

Ranges are `3..5`, `08:00..18:00` (until the clock shows 18:00; `22:00..06:00` goes over midnight), `mon..fri`
(`sat..mon` goes over the week's end), `2026-12-24..2026-12-26`, and blocks of numbers of one length,
`"+4930100".."+4930199"`. All but times of day include both ends.

## How an address reads

A number can be spelled in many ways that mean the same: `+1900`, `+1%3900`, `+1-900`. Rules see one of them, and what
they see is what is sent on, recorded and given to hooks.

- Escapes of letters, digits and `- _ . ! ~ * ' ( ) + #` are undone, once: `%39` is `9`, `%2539` stays. All others stay,
  with capital digits, and are never undone: `%40` (`@`), `%3B` (`;`), `%20`, `%00`, `%C3%A9`. `matches /%/` finds
  values that have any.
- A user is a telephone number when it begins with `+` or is all digits and `- . ( )`, and each user of a `tel:` URI is
  one. Separators are removed from it: `+1-900-555` and `(1)900.555` are `+1900555` and `1900555`; `john-smith` keeps
  its hyphen. Numbers in rules, lists, tables and tests may be written with separators, in rules and lists with
  blanks too.
- Parameters behind a number (`sip:+1900;tgrp=x;trunk-context=y@host`, RFC 4904) are not part of it: `to.param("tgrp")`
  looks for them after those of the URI. They stay on their leg, as the URI's own do, unless a rule sets one:
  `set to.param("tgrp") = "x"`. Those of numbers (tgrp, trunk-context, rn, npdi, cic, phone-context, ext, ...) are
  written behind the number, others behind the host; one that is set to its own name has no value (`npdi`).
- Hosts and parameters are in lower case, an IPv6 address in its shortest form; comparisons with them ignore case, and
  so does `matches`. A password in a URI is neither seen nor sent. Display names stay as they are.
- `header("X")` has `sip:`, `sips:` and `tel:` URIs in this form up to their parameters, outside of quotes, and so do
  the headers that cross with numbers in them: P-Asserted-Identity, Diversion, History-Info, and what a rule copies.
- A user that a rule or a hook sets is read in the same way; what a URI cannot hold is sent escaped.

## Facts

| fact | type | is |
|---|---|---|
"""
_ACTIONS = """
## Answers of services

`lookup.NAME.VARIABLE` is what a service has answered to an `ask`, in the rules and actions behind it: a text, a number
or a boolean, as `answers` in `sbc.yaml` says. Before that, and without an answer, it is empty, no number, or false;
`lookup.NAME.answered` is true once there was an answer. How services are named and asked is in [lookups.md](lookups.md).

## Actions

| written | does |
|---|---|
| `set PART = text` | changes a part of the request, see below |
| `set to.param("X") = text` | gives the called URI this parameter, `from.param` the caller's; empty takes it away |
| `set header "X" = text` | gives the outgoing request this header, in place of any it had |
| `remove header "X-*"` | leaves out the headers of such names |
| `copy header "X-*"` | lets the caller's headers of such names cross, which otherwise stay |
| `copy header "A" to "B"` | lets the caller's header A cross as B |
| `require srtp`, `offer srtp`, `accept srtp`, `no srtp` | media on the outgoing leg; `require` binds both legs |
| `forbid downgrade`, `warn downgrade`, `allow downgrade` | what a call over TLS may become |
| `refuse redirects`, `pass redirects`, `follow redirects` | what becomes of a 3xx from the callee |
| `allow codecs "A", "B"` | the offer names these only; tones and comfort noise stay |
| `deny codecs "A"` | the offer does not name these; an audio stream that has none left gets port 0 |
| `prefer codecs "A", "B"` | these come first in the offer, in this order |
| `ring for N seconds` | a hop that rings longer (or `minutes`, up to an hour) has failed with `timeout` |
| `at most N hours` | then both sides get BYE, counted from the answer (or `minutes`, `seconds`; 31 days at most) |
| `answer F, F as N "reason"` | the caller hears N in place of these statuses of 400 to 699, or `4xx`, `5xx`, `6xx` |
| `limit N calls per text` | at most N calls at once for each value of the text; one more is refused with 503 |
| `limit table.NAME[text].COLUMN calls per text` | the number stands in a table; 0 where no row fits |
| `limit N calls a second per text` | at most N new calls a second (or `a minute`, `an hour`) |
| `limit N calls a day per text` | so many new calls from midnight to midnight, by the zone of the file |
| `limit N minutes a day per text` | so much time talked in the day (or `an hour`; `seconds`, `hours`); then 403 |
| `... to ["+882", list.NAME, table.NAME]` | for such called numbers alone: by their beginnings, or by a table |
| `... hard` | behind a limit of time: calls that run are hung up when it is used up |
| `... else reject 486 "Busy"` | behind a limit: the answer instead of 503, or 403 |
| `remember text for N days` | once the call is answered, `remembered(text)` is true for so long |
| `tag text` | the call's record bears this text; later rules see it in `call.tags` |
| `record` | what is said is kept in files; see [recording.md](recording.md) |
| `record with tone` | and both sides hear a tone now and then; beside it stands `allow codecs "PCMA", "PCMU"` |
| `call hook "NAME"` | runs the hook hooks/NAME.py for this call; see [hooks.md](hooks.md) |
| `ask "NAME" else ENDING` | asks a service, and ends so without an answer; see [lookups.md](lookups.md) |
| `challenge "realm"` | goes on only for who has proved a password of the realm; 407 for all others |

and then exactly one ending:

| written | does |
|---|---|
| `route T then T on F, F then T` | sends the call to a target, upon a failure to the next that lists it |
| `route T with {{ set PART = text }} then T` | `set`, `remove header` and `copy header` for this hop alone |
| `reject N "reason"` | answers with 400 to 699 |
| `redirect text, text` | answers 302 with these SIP URIs; 500 where what was made of facts is none |
| `continue` | keeps what was set and goes on to the next rule |

A then may also end with an `ask`: with an answer the next rules are asked. Its ENDING is one of these four.

PART is one of {parts}.

A target is `"trunk"`, `group.NAME`, `registered` or `table.NAME[key].COLUMN`; an empty cell is no target, and a route
without any is 404. Failures are statuses of 300 to 599, their classes `3xx`, `4xx` and `5xx`, `timeout` and
`unreachable`; without `on` they are {failures}.

The target `registered` is the phones of the called user, as the rules have left it: those of one q together, those of
a lower q when these have refused. `registered one by one` rings one after the other. Where nobody is registered the
target has failed with 480, and a hop behind it without `on` is for 404 and 480 too.

Codecs: {codecs}.

Headers that rules cannot set, remove or copy, because the SBC writes them: {owned}.

## Grammar

```lark
{grammar}```
"""


def facts_table() -> list[str]:
    """A row for each fact."""
    return [
        f"| `{name}` | {KINDS[fact.type]} | {fact.doc}{': ' + values if values else ''} |"
        for name, fact in FACTS.items()
        for values in (", ".join(filter(None, fact.values)),)
    ]


def functions_table() -> list[str]:
    """A row for each function."""
    return [f"| `{each.usage}` | {KINDS[each.gives]} | {each.doc} |" for each in FUNCTIONS.values()]


def reference() -> str:
    """The whole page."""
    clock = ", ".join(f"`{name}`" for name in FACTS if name in CLOCK_FACTS)
    actions = _ACTIONS.format(
        parts=", ".join(f"`{name}`" for name in PARTS),
        failures=", ".join(map(str, DEFAULT_FAILURES)),
        codecs=", ".join(CODECS),
        owned=", ".join(owned_headers()),
        grammar=(Path(__file__).parent / "grammar.lark").read_text("utf-8"),
    )
    functions = "\n\n## Functions\n\n| function | gives | which is |\n|---|---|---|\n"
    clock_note = f"\n\nThe facts of the clock ({clock}) are in the file's zone.{functions}"
    page = _INTRODUCTION + _CONDITIONS + "\n".join(facts_table()) + clock_note
    page += "\n".join(functions_table()) + "\n" + actions
    return "\n".join(_wrapped(line) for line in page.split("\n"))


def _wrapped(line: str) -> str:
    """Prose that was filled in is wrapped; rows of tables and the grammar stay."""
    long = len(line) > 120 and not line.startswith(("|", " "))
    return fill(line, 120, break_on_hyphens=False) if long else line


if __name__ == "__main__":
    print(reference(), end="")
