"""Any REGISTERs in any order: all of each holds or nothing, and no user has more than its due."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sbc.base import Address, PeerError
from sbc.flow import Flow
from sbc.registrar.binding import Binding
from sbc.registrar.register import Refused, Terms, register
from sbc.sip.headers import Headers
from sbc.sip.message import Request
from tests.unit.registrar.plain import plain

NOW = 1_795_000_000.0
TERMS = Terms(least=60, most=600, default=300, contacts=3)
FLOWS = [
    Flow(1, "udp", Address("198.51.100.1", 5060), Address("192.0.2.7", 40000), trunk="phones"),
    Flow(2, "tls", Address("198.51.100.1", 5061), Address("192.0.2.8", 40000), trunk="phones"),
]
EXPIRES = st.sampled_from(["", ";expires=0", ";expires=30", ";expires=60", ";expires=9999", ";expires=x"])
INSTANCES = st.sampled_from(
    ["", ';+sip.instance="<urn:uuid:1>";reg-id=1', ';+sip.instance="<urn:uuid:1>";reg-id=2']
)
CONTACTS = st.builds(
    lambda host, expires, instance, q: f"<sip:alice@192.0.2.{host}>{expires}{instance}{q}",
    st.integers(1, 5), EXPIRES, INSTANCES, st.sampled_from(["", ";q=0.1", ";q=1.5", ";q=0"]),
)  # fmt: skip
ODD = st.sampled_from(["*", "<tel:+4930>", "nonsense", "<sip:@>", '"', "<sips:a@b>", ""])
VALUES = st.lists(st.one_of(CONTACTS, CONTACTS, CONTACTS, ODD), max_size=5)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Request, Flow]:
    fields = [
        ("Via", "SIP/2.0/TLS 192.0.2.7;branch=z9hG4bK1"), ("From", "<sip:alice@example.com>;tag=a"),
        ("To", "<sip:alice@example.com>"), ("Call-ID", draw(st.sampled_from(["one", "two"]))),
        ("CSeq", f"{draw(st.integers(1, 9))} REGISTER"),
    ]  # fmt: skip
    fields += [("Contact", each) for each in draw(VALUES)]
    for name, values in (
        ("Expires", ["", "0", "60", "700", "-1", "x"]),
        ("Supported", ["", "outbound, path"]),
        ("Path", ["", "<sip:p;lr>", "<sip:p;lr;ob>, <sip:q;lr>", "nonsense <"]),
    ):
        value = draw(st.sampled_from(values))
        if value:
            fields.append((name, value))
    return Request("REGISTER", "sip:example.com", Headers(fields)), draw(st.sampled_from(FLOWS))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(requests(), max_size=12), st.lists(st.integers(0, 120), min_size=12, max_size=12))
def test_all_of_it_or_nothing(said: list[tuple[Request, Flow]], waits: list[int]) -> None:
    known: list[Binding] = []
    now = NOW
    for (request, flow), wait in zip(said, waits, strict=False):
        now += wait
        known = [each for each in known if each.expires_at > now]
        before = [*map(plain, known)]
        try:
            change = register(request, "alice", known, flow, TERMS, now)
        except Refused as refused:
            assert refused.status in (400, 403, 423, 439, 500) and [*map(plain, known)] == before
            continue
        except PeerError:
            assert [*map(plain, known)] == before
            continue
        assert [*map(plain, known)] == before  # what it had is changed by whoever keeps it, not by the asking
        assert len(change.bindings) <= TERMS.contacts
        assert all(now < each.expires_at <= now + TERMS.most for each in change.bindings)
        told = [value for name, value in change.headers if name == "Contact"]
        assert [each.partition(">")[0] for each in told] == [f"<{each.contact}" for each in change.bindings]
        if not request.headers.get_all("Contact"):
            assert [*map(plain, change.bindings)] == before and not change.changed
        known = change.bindings


@pytest.mark.parametrize("name", ["Contact", "Expires", "Path", "Supported"])
@settings(max_examples=100, deadline=None)
@given(st.text(max_size=40))
def test_whatever_a_header_holds(name: str, value: str) -> None:
    fields = [
        ("Via", "SIP/2.0/TLS h;branch=z9hG4bK1"), ("Call-ID", "one"), ("CSeq", "1 REGISTER"),
        ("Contact", "<sip:a@b>"), (name, value),
    ]  # fmt: skip
    request = Request("REGISTER", "sip:example.com", Headers(fields))
    try:
        register(request, "alice", [], FLOWS[1], TERMS, NOW)
    except (Refused, PeerError):
        pass
