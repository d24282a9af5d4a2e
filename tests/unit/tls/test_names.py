from __future__ import annotations

import pytest

from sbc.tls.names import (
    all_permitted,
    is_ip,
    listed,
    matching_name,
    normal_name,
    one_label_wildcard,
    san_name,
)

BOTH = ("rfc5922", "rfc2818")


@pytest.mark.parametrize(
    ("sans", "expected", "modes"),
    [
        (["dns:peer.example"], "peer.example", BOTH),
        (["dns:PEER.Example."], "peer.example", BOTH),
        (["dns:other.example", "dns:peer.example"], "peer.example", BOTH),
        (["dns:other.example", "uri:sip:peer.example"], "peer.example", BOTH),
        (["uri:sip:peer.example"], "sip:peer.example", BOTH),
        (["uri:SIP:peer.example;transport=tls"], "peer.example", BOTH),
        (["ip:192.0.2.1"], "192.0.2.1", BOTH),
        (["ip:2001:db8::1"], "[2001:0DB8::1]", BOTH),
        (["dns:*.peer.example"], "a.peer.example", ("rfc2818",)),
        (["dns:*.peer.example"], "*.peer.example", ("rfc2818",)),
        (["dns:a.peer.example"], "*.peer.example", BOTH),
        (["dns:xn--bcher-kva.example"], "bücher.example", BOTH),
        ([], "peer.example", ()),
        (["dns:evil.example"], "peer.example", ()),
        (["dns:peer.example.evil.example"], "peer.example", ()),
        (["dns:peer.example\x00.evil.example"], "peer.example", ()),
        (["dns:*.peer.example"], "a.b.peer.example", ()),
        (["dns:*.peer.example"], "peer.example", ()),
        (["dns:a.b.peer.example"], "*.peer.example", ()),
        (["dns:*.example"], "peer.example", ()),
        (["dns:*"], "peer", ()),
        (["dns:p*.example.com"], "peer.example.com", ()),
        (["dns:a.*.example.com"], "a.b.example.com", ()),
        (["uri:sip:user@peer.example"], "peer.example", ()),
        (["uri:sips:peer.example"], "peer.example", ()),
        (["uri:https://peer.example"], "peer.example", ()),
        (["uri:sip:peer.example:5061"], "peer.example", ()),
        (["dns:192.0.2.1"], "192.0.2.2", ()),
        (["ip:192.0.2.1"], "*.0.2.1", ()),
        (["dns:192.0.2.1"], "192.0.2.1", ()),
        (["dns:192.0.2.1."], "192.0.2.1", ()),
        (["uri:sip:192.0.2.1"], "192.0.2.1", ()),
        (["dns:2001:db8::1"], "2001:db8::1", ()),
        (["dns:*.0.2.1"], "192.0.2.1", ()),
        (["dns:192.0.2.1", "ip:192.0.2.1"], "192.0.2.1", BOTH),
        (["email:peer.example"], "peer.example", ()),
    ],
)
def test_matching(sans: list[str], expected: str, modes: tuple[str, ...]) -> None:
    for mode in BOTH:
        found = matching_name(sans, [expected], mode)  # type: ignore[arg-type]
        assert found == (expected if mode in modes else None), mode


def test_any_expected_name_will_do_and_is_named() -> None:
    assert matching_name(["dns:b.example"], ["a.example", "b.example"], "rfc5922") == "b.example"
    assert matching_name(["dns:b.example"], [], "rfc5922") is None


@pytest.mark.parametrize(
    ("sans", "permitted", "fine"),
    [
        (["dns:a.acme.example"], [".acme.example"], True),
        (["dns:*.acme.example"], [".acme.example"], True),
        (["dns:*.acme.example"], ["acme.example"], True),
        (["dns:acme.example"], ["acme.example"], True),
        (["dns:acme.example"], [".acme.example"], False),
        (["dns:a.acme.example", "dns:evil.example"], [".acme.example"], False),
        (["dns:notacme.example"], ["acme.example"], False),
        (["uri:sip:evil.example", "dns:a.acme.example"], [".acme.example"], False),
        (["ip:192.0.2.1", "dns:a.acme.example"], [".acme.example"], False),
        (["ip:192.0.2.1"], ["192.0.2.1"], True),
        ([], [".acme.example"], False),
        (["uri:https://acme.example/x"], [".acme.example"], False),
    ],
)
def test_permitted_subtrees(sans: list[str], permitted: list[str], fine: bool) -> None:
    assert all_permitted(sans, permitted) is fine


@pytest.mark.parametrize(
    ("wanted", "excluded", "found"),
    [
        ("bar.example.com", [], True),
        ("bar.example.com", ["bar.example.com"], False),
        ("bar.example.com", [".bar.example.com"], False),
        ("foo.example.com", ["bar.example.com"], True),
        ("bar.example.com", ["x.bar.example.com"], True),
        ("*.example.com", ["bar.example.com"], False),
        ("*.example.com", ["x.bar.example.com", "other.example"], True),
    ],
)
def test_a_wildcard_does_not_reach_what_an_issuer_excludes(
    wanted: str, excluded: list[str], found: bool
) -> None:
    assert (matching_name(["dns:*.example.com"], [wanted], "rfc2818", excluded) == wanted) is found


def test_a_long_list_says_how_much_of_it_is_missing() -> None:
    assert listed(["a", "b"]) == "a, b" and listed([]) == ""
    assert listed([str(each) for each in range(9)]) == "0, 1, 2, 3, 4, 5, 6, 7 and 1 more"
    assert listed(["a", "b", "c"], 1) == "a and 2 more"


def test_a_wildcard_covers_exactly_one_label_under_two() -> None:
    assert one_label_wildcard("*.a.example", "x.a.example")
    for name in ("a.example", "x.y.a.example", "*.a.example", ".a.example"):
        assert not one_label_wildcard("*.a.example", name), name
    assert not one_label_wildcard("*.example", "a.example")


def test_normal_forms() -> None:
    assert normal_name(" Sip:Peer.Example. ") == "peer.example"
    assert normal_name("[::FFFF]") == "::ffff"
    assert is_ip("[2001:db8::1]") and is_ip("192.0.2.1") and not is_ip("peer.example")
    assert san_name("uri:sip:[2001:DB8::1]") == ("ip", "2001:db8::1")
    assert san_name("uri:sip:192.0.2.1") == ("ip", "192.0.2.1")
    assert normal_name("bad\udcff" * 40) == "bad\udcff" * 40
