"""One INVITE for the tests of the message layer, and a way to bend it."""

from __future__ import annotations

INVITE = (
    b"INVITE sip:bob@biloxi.example;transport=tls SIP/2.0\r\n"
    b"Via: SIP/2.0/TLS pc33.atlanta.example:5061;branch=z9hG4bK776asdhds;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b'From: "Alice A." <sip:alice@atlanta.example>;tag=1928301774\r\n'
    b"To: <sip:bob@biloxi.example>\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Contact: <sip:alice@pc33.atlanta.example:5061;transport=tls>\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 4\r\n"
    b"\r\n"
    b"v=0\n"
)
RINGING = (
    b"SIP/2.0 180 Ringing\r\n"
    b"Via: SIP/2.0/TLS pc33.atlanta.example:5061;branch=z9hG4bK776asdhds\r\n"
    b"From: <sip:alice@atlanta.example>;tag=1928301774\r\n"
    b"To: <sip:bob@biloxi.example>;tag=a6c85cf\r\n"
    b"Call-ID: a84b4c76e66710@pc33.atlanta.example\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"Content-Length: 0\r\n"
    b"\r\n"
)


def bent(old: bytes, new: bytes) -> bytes:
    """INVITE with ``old``, which must be in it, replaced by ``new``."""
    assert old in INVITE
    return INVITE.replace(old, new, 1)
