"""The scalars: every way to write one, and what is said of the others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.config.model import Settings, Trunk
from sbc.config.server import Server
from sbc.config.values import parse_address, parse_dscp, parse_duration, parse_ports


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("60s", 60), ("5m", 300), ("1h", 3600), ("2d", 172800), ("250ms", 0.25), ("1.5s", 1.5), ("5 s", 5),
     (30, 30), (0.5, 0.5), ("30", 30)],
)  # fmt: skip
def test_durations(written: object, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written",
    ["", "s", "5 sec", "-5s", -5, True, None, "1e3", "5S", "5s5", "\u0665s", "5\n", float("inf"), [5]],
)
def test_what_is_no_duration(written: object) -> None:
    if written == "5\n":
        assert parse_duration(written) == 5, "blanks around are taken off"
        return
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(written)


@pytest.mark.parametrize("written", ["0s", 0, "0.0h"])
def test_no_time_at_all_is_not_a_time(written: object) -> None:
    with pytest.raises(ValueError, match="no time at all"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("0.0.0.0:5061", Address("0.0.0.0", 5061)),
        ("[2001:db8::1]:5061", Address("2001:db8::1", 5061)),
        ("sip.example.com:5061", Address("sip.example.com", 5061)),
        ("_sip._tls.example.com:0", Address("_sip._tls.example.com", 0)),
        (" 127.0.0.1:5060 ", Address("127.0.0.1", 5060)),
    ],
)
def test_addresses(written: str, address: Address) -> None:
    assert parse_address(written) == address
    assert parse_address(address) is address


@pytest.mark.parametrize(
    "written",
    ["", "host", ":5060", "host:", "host:port", "host:65536", "2001:db8::1:5060", "[::1]", "a b:5060",
     "sip:host:5060", "host:5060/tls", "host:\u0665\u0660", "[host]:5060", "user@host:5060", None, 5060],
)  # fmt: skip
def test_what_is_no_address(written: object) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        parse_address(written)


@given(st.text(max_size=30))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    for read in (parse_address, parse_duration, parse_ports):
        try:
            read(text)
        except ValueError as error:
            assert ": " in str(error), "a refusal says what to write instead"


@pytest.mark.parametrize(("written", "ports"), [("20000-29999", (20000, 29999)), (" 2 - 3 ", (2, 3))])
def test_port_ranges(written: str, ports: tuple[int, int]) -> None:
    assert parse_ports(written) == ports


@pytest.mark.parametrize("written", ["", "5", "5-5", "9-5", "0-9", "1-65536", "-5-9", "a-b"])
def test_what_is_no_port_range(written: str) -> None:
    with pytest.raises(ValueError, match=r"range of ports|no pair"):
        parse_ports(written)


def test_sources_are_kept_in_canonical_form() -> None:
    trunk = Trunk.model_validate({"trunk": "a", "listener": "l", "sources": ["10.0.0.1", "2001:DB8::/32"]})
    assert trunk.sources == ("10.0.0.1/32", "2001:db8::/32")


@pytest.mark.parametrize(
    ("written", "number"),
    [("ef", 46), ("EF", 46), ("cs0", 0), ("cs3", 24), ("cs7", 56), ("af11", 10), ("af31", 26), ("af43", 38),
     ("va", 44), ("le", 1), ("be", 0), ("default", 0), (0, 0), (46, 46), ("63", 63)],
)  # fmt: skip
def test_marks(written: object, number: int) -> None:
    """RFC 2474 4.2.2, RFC 2597 6, RFC 3246 2.7, RFC 5865 2.3, RFC 8622 2."""
    assert parse_dscp(written) == number


@pytest.mark.parametrize(
    "written", [64, 184, -1, "0xb8", "cs8", "af51", "af14", "", None, True, 4.5, "\u0664", "\u00b2", [46]]
)
def test_what_is_no_mark(written: object) -> None:
    with pytest.raises(ValueError, match="is not a DSCP: write ef"):
        parse_dscp(written)


@pytest.mark.parametrize("written", ["36501d", "9" * 30 + "d", "9" * 400, "9" * 400 + "h"])
def test_a_duration_is_at_most_a_century(written: str) -> None:
    with pytest.raises(ValueError, match=r"longer than anything lasts: the most is 36500d"):
        parse_duration(written)
    assert parse_duration("36500d") == 36500 * 86400


def test_a_port_alone_is_told_where_its_host_goes() -> None:
    with pytest.raises(ValueError, match=r"write the host before it, such as 203\.0\.113\.9:5060"):
        parse_address("5060")


def test_a_range_of_ports_has_an_even_one_and_the_next() -> None:
    """RFC 3550 11: a range from which no call ever gets media is no range."""
    assert parse_ports("20000-20001") == (20000, 20001)
    assert parse_ports("20001-20003") == (20001, 20003)
    with pytest.raises(ValueError, match="holds no pair of ports"):
        parse_ports("20001-20002")


@pytest.mark.parametrize(
    "host", ["10.0.0.010", "300.0.0.1", "127.1", "0x7f.1", "10.0.0.1.", "1.2.3.4.5", "a.example.5"]
)
def test_what_looks_like_an_address_is_one(host: str) -> None:
    """A resolver takes 10.0.0.010 for 10.0.0.8 (octal), and 127.1 for 127.0.0.1."""
    with pytest.raises(ValueError, match="looks like an address and is none"):
        parse_address(f"{host}:5060")
    for peer in (host, f"{host}:5060", {"host": host, "port": 5060}, {"host": host}):
        with pytest.raises(ValueError, match="looks like an address and is none"):
            Server.model_validate(peer)


@pytest.mark.parametrize(
    "host", ["3cx", "3cx.example", "0a1b2c", "a_b.example", "x.example.", "sip1", "10.0.0.1"]
)
def test_a_name_may_have_digits(host: str) -> None:
    assert parse_address(f"{host}:5060") == Address(host, 5060)


def test_a_name_has_no_empty_part() -> None:
    with pytest.raises(ValueError, match="nothing between two dots"):
        parse_address("a..example:5060")


@pytest.mark.parametrize("name", ["", " ", "a\r\nX-Evil: 1", "a\x00", "Br\u00fccke", "x" * 101])
def test_a_name_that_cannot_be_sent_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent as a name"):
        Settings.model_validate({"user_agent": name})
