"""Which protocol a connection speaks, by its first octets: to say what came to a wrong port."""

from __future__ import annotations

import re
from typing import Final, Literal

Spoken = Literal["TLS", "SIP", "HTTP", "WebSocket", "the PROXY protocol", "SSH", "mail or FTP", ""]

_TLS_RECORDS: Final = (0x14, 0x15, 0x16, 0x17)
_sip: Final = re.compile(rb"SIP/2\.0 |[A-Za-z]{1,20} sips?:[^\r\n]*", re.IGNORECASE).match
_http: Final = re.compile(rb"HTTP/[0-9]|[A-Z]{3,10} [^ \r\n]{1,2000} HTTP/[0-9]|PRI \* HTTP/2").match
_upgrade: Final = re.compile(rb"\r\nupgrade:[ \t]*websocket", re.IGNORECASE).search
_greeting: Final = re.compile(rb"220[ -]").match
# Version 1, and 2 with and without the empty lines that a SIP stream takes for a keepalive.
_PROXY: Final = (
    *(b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN"),
    *(b"\r\n\r\n\x00\r\nQUIT\n", b"\x00\r\nQUIT\n"),
)


def protocol_of(first: bytes) -> Spoken:
    """What begins with the octets ``first``; "" for nothing that is known. Some twenty octets are enough."""
    if is_tls(first):
        return "TLS"
    if _sip(first):
        return "SIP"
    if _http(first):
        return "WebSocket" if _upgrade(first) else "HTTP"
    if first.startswith(_PROXY):
        return "the PROXY protocol"
    if first.startswith(b"SSH-"):
        return "SSH"
    return "mail or FTP" if _greeting(first) else ""


def is_tls(first: bytes) -> bool:
    """Whether a TLS record begins here (RFC 8446 5.1), or a ClientHello of SSL 2 (RFC 5246 E.2)."""
    if len(first) < 3:
        return False
    if first[0] in _TLS_RECORDS:
        return first[1] == 3 and first[2] <= 4
    return first[0] & 0x80 != 0 and first[2] == 1 and first[3:4] == b"\x03"
