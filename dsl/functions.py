"""The functions of the language: what each takes and gives, and a line of reference."""

from __future__ import annotations

from typing import Literal, NamedTuple

Takes = Literal["text", "literal", "pattern", "trunk"]


class Function(NamedTuple):
    """One function: the kinds of its arguments, the type of its result, how it is written."""

    takes: tuple[Takes, ...]
    gives: str
    usage: str
    doc: str


FUNCTIONS: dict[str, Function] = {
    "header": Function(
        ("literal",),
        "text",
        'header("X-Customer")',
        "the first header of that name; empty when there is none",
    ),
    "replace": Function(
        ("text", "pattern", "literal"),
        "text",
        'replace(to.user, /^00/, "+")',
        r"every match of the pattern replaced; \1 to \9 are its groups",
    ),
    "capture": Function(
        ("text", "pattern"),
        "text",
        'capture(header("X-Id"), /id=(\\d+)/)',
        "the first group of the first match, else the match, or empty",
    ),
    "strip_prefix": Function(
        ("text", "literal"), "text", 'strip_prefix(to.user, "0")', "without that beginning, if it has it"
    ),
    "add_prefix": Function(
        ("text", "literal"), "text", 'add_prefix(to.user, "+")', "with that beginning, unless it has it"
    ),
    "replace_prefix": Function(
        ("text", "literal", "literal"),
        "text",
        'replace_prefix(to.user, "00", "+")',
        "with another beginning, if it has the first one",
    ),
    "e164": Function(
        ("text", "literal"),
        "text",
        'e164(to.user, "49")',
        "as +COUNTRY..., dialled in the country with that code; short numbers stay",
    ),
    "to.param": Function(
        ("literal",),
        "host",
        'to.param("tgrp")',
        "a parameter of the request URI or of its number, in lower case; or empty",
    ),
    "from.param": Function(
        ("literal",), "host", 'from.param("tgrp")', "the same of the URI in the From header"
    ),
    "calls": Function(("trunk",), "number", 'calls("carrier")', "how many calls that trunk has now"),
    "registered": Function(
        ("text",), "truth", "registered(to.user)", "whether a phone of that user is registered with us"
    ),
    "remembered": Function(
        ("text",),
        "truth",
        "remembered(auth.user + to.user)",
        "whether an answered call has had this remembered (`remember`)",
    ),
    "lower": Function(("text",), "text", "lower(to.user)", "in lower case"),
    "length": Function(("text",), "number", "length(to.user)", "the number of characters"),
    "number": Function(
        ("text",),
        "number",
        'number(header("X-Priority"))',
        "the number that the digits say; what is not digits compares with nothing",
    ),
}
