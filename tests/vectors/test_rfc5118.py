"""The IPv6 torture tests of RFC 5118."""

from __future__ import annotations

from pathlib import Path

import pytest

from sbc.sip.message import Request, serialize
from sbc.sip.parse import ParseError, parse_message, validate

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "rfc5118"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the RFC 5118 messages are not at {CORPUS}")

# Three colons are the bug of an old grammar: no such address exists, so there is nowhere to send to.
BAD = {"ipv6-bad", "ipv6-bug-abnf-3-colons"}
GOOD = {
    "ipv4-mapped-ipv6", "ipv6-correct-abnf-2-colons", "ipv6-good", "ipv6-in-sdp", "mult-ip-in-header",
    "mult-ip-in-sdp", "port-ambiguous", "port-unambiguous", "via-received-param-no-delim",
    "via-received-param-with-delim",
}  # fmt: skip


def request(name: str) -> Request:
    message = parse_message((CORPUS / name).read_bytes())
    assert isinstance(message, Request)
    return message


def test_every_message_is_looked_at() -> None:
    assert {path.name for path in CORPUS.iterdir()} == BAD | GOOD


@pytest.mark.parametrize("name", sorted(GOOD))
def test_good_messages_pass_and_leave_as_they_came(name: str) -> None:
    message = request(name)
    validate(message)
    assert (CORPUS / name).read_bytes().startswith(serialize(message))


@pytest.mark.parametrize("name", sorted(BAD))
def test_bad_messages_get_400(name: str) -> None:
    message = request(name)
    with pytest.raises(ParseError) as caught:
        validate(message)
    assert caught.value.status == 400 and caught.value.answerable


def test_the_port_is_what_follows_the_bracket() -> None:
    ambiguous, clear = request("port-ambiguous").target, request("port-unambiguous").target
    assert (ambiguous.host, ambiguous.port) == ("2001:db8::10:5070", None)
    assert (clear.host, clear.port) == ("2001:db8::10", 5070)


@pytest.mark.parametrize("name", ["via-received-param-no-delim", "via-received-param-with-delim"])
def test_received_with_and_without_brackets(name: str) -> None:
    assert request(name).via.received == "2001:db8::9:255"


def test_vias_of_both_families() -> None:
    message = request("mult-ip-in-header")
    assert (message.via.host, message.via.port) == ("2001:db8::9:1", 6050)
    assert len(message.headers.get_all("Via")) == 3
    assert request("ipv4-mapped-ipv6").via.host == "::ffff:192.0.2.10"
