from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.sip.uri import NameAddr, parse_name_addr, parse_uri


@pytest.mark.parametrize(
    ("text", "display", "uri", "params"),
    [
        ('"Bob" <sip:b@h>;tag=x', "Bob", "sip:b@h", (("tag", "x"),)),
        ("<sips:b@h:5061;user=phone>", "", "sips:b@h:5061;user=phone", ()),
        ("Bob Jones <sip:b@h>", "Bob Jones", "sip:b@h", ()),
        ("caller<sip:b@h>;tag=323", "caller", "sip:b@h", (("tag", "323"),)),
        ("sip:b@h;tag=x;y", "", "sip:b@h", (("tag", "x"), ("y", None))),
        ("sip:b@h ;   tag    = 19", "", "sip:b@h", (("tag", "19"),)),
        (r'"a \"q\" \\ <sip:evil@h>" <sip:b@h>', r'a "q" \ <sip:evil@h>', "sip:b@h", ()),
        (
            '"x" <sip:b:pw@[::1]:5060?s=1>;q="a;b,\\"c"',
            "x",
            "sip:b:pw@[::1]:5060?s=1",
            (("q", '"a;b,\\"c"'),),
        ),
        ("Zoë (home) <sip:b@h>", "Zoë (home)", "sip:b@h", ()),
        ("<tel:+15551234>;tag=a", "", "tel:+15551234", (("tag", "a"),)),
        ("<sip:b%20c@h>;tag=a==", "", "sip:b%20c@h", (("tag", "a=="),)),
        ('"" <sip:b@h:05060>', "", "sip:b@h:5060", ()),
    ],
)
def test_addresses(text: str, display: str, uri: str, params: tuple[tuple[str, str | None], ...]) -> None:
    address = parse_name_addr(text)
    assert address == NameAddr(display, parse_uri(uri), params)
    assert parse_name_addr(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "", "*", "<>", "<sip:b@h", "sip:b@h>", '"Bob <sip:b@h>', 'Bob" <sip:b@h>',
        "Bell, Alexander <sip:b@h>",
        "< sip:b@h >", "<sip:b@h>;;", "<sip:b@h>;tag=", "<sip:b@h>;=x", "<sip:b@h>x", "<sip:b@h>;tag=a b",
        "sip:b@h?Route=%3Csip:x%3E", "sip:b@h,x", '<sip:b@h>;x="a', "<sip:b@h>;tag=a;tag=b",
        "<sip:a><sip:b@h>",
        "<sip:b@h:65536>", "<sip:b%4@h>;tag=a", "<sip:b@h" + ">;tag=a" * 2000,
        "<sip:b@h>;tag=a\0", "x\n<sip:b@h>", "<sip:b@h>;tag=a\n",
    ],
)  # fmt: skip
def test_malformed_addresses(text: str) -> None:
    with pytest.raises(PeerError):
        parse_name_addr(text)


def test_a_tag_inside_the_name_or_the_uri_is_not_the_tag() -> None:
    assert parse_name_addr('"x>;tag=evil" <sip:b@h;tag=uri>;tag=real').tag == "real"
    assert parse_name_addr('"x>;tag=evil" <sip:b@h;tag=uri>').tag == ""
    assert parse_name_addr('<sip:b@h>;x="y;tag=evil"').tag == ""


def test_parameters_are_found_in_any_case() -> None:
    address = parse_name_addr("<sip:b@h>;TAG=x;Expires=60;lr")
    assert address.tag == "x"
    assert address.param("expires") == "60"
    assert address.param("lr") == "" and address.param("q") is None


def test_a_display_name_cannot_break_out_of_its_quotes() -> None:
    text = str(NameAddr('a" <sip:evil@h>\r\nX: y\\', parse_uri("sip:b@h")))
    assert "\r" not in text and "\n" not in text
    assert parse_name_addr(text).uri == parse_uri("sip:b@h")
    assert parse_name_addr(text).display == 'a" <sip:evil@h>X: y\\'


def test_control_characters_in_quoted_pairs_do_not_reach_the_display_name() -> None:
    assert parse_name_addr('"BEL:\\\x07 NUL:\\\0 x" <sip:b@h>').display == "BEL: NUL: x"
