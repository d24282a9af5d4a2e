"""What came to a wrong port, by its first octets."""

from __future__ import annotations

import pytest

from sbc.protocols import protocol_of

ALERT = b"\x15\x03\x01\x00\x02\x02\x46"


@pytest.mark.parametrize(
    ("first", "protocol"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS"),
        (ALERT, "TLS"),
        (b"\x80\x2e\x01\x03\x01\x00\x15", "TLS"),
        (b"OPTIONS sip:sbc.example SIP/2.0\r\n", "SIP"),
        (b"invite sips:sbc.example SIP/2.0\r\n", "SIP"),
        (b"SIP/2.0 200 OK\r\n", "SIP"),
        (b"GET / HTTP/1.1\r\nHost: sbc.example\r\n\r\n", "HTTP"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP"),
        (
            b"GET /ws HTTP/1.1\r\nHost: a\r\nupgrade:websocket\r\n\r\n",
            "WebSocket",
        ),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 5061\r\n", "the PROXY protocol"),
        (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11", "the PROXY protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH"),
        (b"220 mail.example ESMTP\r\n", "mail or FTP"),
        (b"", ""),
        (b"\r\n\r\n", ""),
        (b"\x16\x02\x01", ""),
        (b"hello", ""),
    ],
)
def test_what_begins_so(first: bytes, protocol: str) -> None:
    assert protocol_of(first) == protocol
