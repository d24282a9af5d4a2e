from __future__ import annotations

import pytest

from sbc.sip.headers import Headers


def make() -> Headers:
    return Headers([("v", "a"), ("Subject", "x"), ("VIA", "b, c"), ("X-Thing", "1")])


@pytest.mark.parametrize("name", ["Via", "via", "v", "V", "vIa"])
def test_a_field_is_found_by_every_spelling_of_its_name(name: str) -> None:
    headers = make()
    assert headers.get(name) == "a"
    assert headers.get_all(name) == ["a", "b, c"]
    assert headers.values(name) == ["a", "b", "c"]
    assert name in headers


def test_what_is_not_there_is_none_or_empty() -> None:
    headers = make()
    assert headers.get("To") is None
    assert headers.get_all("To") == [] and headers.values("To") == []
    assert "To" not in headers


def test_set_replaces_all_in_place_of_the_first() -> None:
    headers = make()
    headers.set("Via", "z")
    assert headers.fields == [("Via", "z"), ("Subject", "x"), ("X-Thing", "1")]
    headers.set("s", "y")
    headers.set("To", "t")
    assert headers.fields == [("Via", "z"), ("s", "y"), ("X-Thing", "1"), ("To", "t")]


def test_add_and_remove_keep_the_index_in_step() -> None:
    headers = make()
    headers.add("x-thing", "2")
    assert headers.get_all("X-THING") == ["1", "2"]
    headers.remove("via")
    headers.remove("Absent")
    assert headers.fields == [("Subject", "x"), ("X-Thing", "1"), ("x-thing", "2")]
    assert headers.first == {"subject": "x", "x-thing": "1"} and not headers.unique
    assert len(headers) == 3
    headers.set("X-THING", "3")
    headers.extend([("s", "y"), ("To", "t")])
    assert headers.fields == [("Subject", "x"), ("X-THING", "3"), ("s", "y"), ("To", "t")]
    assert headers.first == {"subject": "x", "x-thing": "3", "to": "t"}
    assert [headers.index(name) for name in ("subject", "X-Thing", "t")] == [0, 1, 3]
    with pytest.raises(ValueError, match="there is no Via"):
        headers.index("Via")


def test_a_copy_is_independent() -> None:
    headers = make()
    copy = headers.copy()
    assert copy == headers
    copy.set("Subject", "changed")
    copy.remove("x-thing")
    assert headers.get("Subject") == "x" and "X-Thing" in headers
    assert copy != headers


@pytest.mark.parametrize(
    "change",
    [
        lambda headers: headers.add("X", "1"),
        lambda headers: headers.extend([("X", "1")]),
        lambda headers: headers.set("X-Thing", "1"),
        lambda headers: headers.remove("X-Thing"),
    ],
)
def test_every_change_drops_the_typed_views(change: object) -> None:
    headers = make()
    headers.views.call_id = "seen"
    change(headers)  # type: ignore[operator]
    assert headers.views.call_id is None


@pytest.mark.parametrize("name", ["", "a b", "X:", "X\r\nEvil", "Überschrift", "X\0"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    for method in (Headers().add, Headers().set):
        with pytest.raises(ValueError, match="token"):
            method(name, "value")


def test_lists_split_at_commas_only_outside_quotes_and_brackets() -> None:
    headers = Headers(
        [("Contact", r'"a, \"b" <sip:a@x;p=1,2>;q=1, <sip:b@x?s=1,2> ,, sip:c@x'), ("m", "<sip:d@x>")]
    )
    assert headers.values("Contact") == [
        r'"a, \"b" <sip:a@x;p=1,2>;q=1',
        "<sip:b@x?s=1,2>",
        "sip:c@x",
        "<sip:d@x>",
    ]


def test_a_quote_that_never_ends_swallows_the_rest() -> None:
    assert Headers([("Contact", '"a, <sip:b@x>, c')]).values("contact") == ['"a, <sip:b@x>, c']
    assert Headers([("Contact", "a, <b, c")]).values("contact") == ["a", "<b, c"]


def test_repr_shows_no_value() -> None:
    assert repr(Headers([("Authorization", "Digest response=secret")])) == "<Headers Authorization>"
