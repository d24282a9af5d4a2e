"""Messages and flows for the tests of transactions and dialogs, written as they stand on the wire."""

from __future__ import annotations

from sbc.base import Address
from sbc.flow import Flow, Transport
from sbc.sip.message import Request, Response, response_to
from sbc.sip.parse import parse_message
from sbc.sip.transactions import Transactions

LOCAL = Address("192.0.2.1", 5060)
PEER = Address("192.0.2.9", 5060)


def flow(transport: Transport = "udp", trunk: str | None = "carrier", remote: Address = PEER) -> Flow:
    """Return a flow to the peer."""
    return Flow(1, transport, LOCAL, remote, trunk=trunk)


def layer() -> Transactions:
    """Return a transaction layer."""
    return Transactions()


def request(
    method: str = "INVITE",
    *,
    branch: str = "z9hG4bKa",
    number: int = 1,
    to_tag: str = "",
    via: str = "",
    extra: str = "",
    body: str = "",
    cseq_method: str = "",
) -> Request:
    """Return a parsed request from Alice to Bob; ``extra`` is whole header lines with CRLF."""
    top = via or "SIP/2.0/UDP 192.0.2.9:5060" + (f";branch={branch}" if branch else "")
    tag = f";tag={to_tag}" if to_tag else ""
    text = (
        f"{method} sip:bob@example.net SIP/2.0\r\nVia: {top}\r\nMax-Forwards: 70\r\n"
        f"From: Alice <sip:alice@example.com>;tag=alice\r\nTo: <sip:bob@example.net>{tag}\r\n"
        f"Call-ID: call-1\r\nCSeq: {number} {cseq_method or method}\r\n"
        f"Contact: <sip:alice@192.0.2.9>\r\n{extra}\r\n{body}"
    )
    message = parse_message(text.encode())
    assert isinstance(message, Request)
    return message


def response(to: Request, status: int, tag: str = "bob", extra: tuple[tuple[str, str], ...] = ()) -> Response:
    """Return a response to ``to`` as it would be parsed, with header fields added."""
    message = response_to(to, status, "", tag)
    for name, value in extra:
        message.headers.add(name, value)
    return message
