"""The name that we send: User-Agent of a request, Server of a response (RFC 3261 20.35, 20.41)."""

from __future__ import annotations

from sbc.sip.message import Message


def named(message: Message, name: str) -> None:
    """Write ``name`` into a message that has none; one that is sent again has it already."""
    header = "User-Agent" if message.is_request else "Server"
    if header.lower() not in message.headers.first:
        message.headers.add(header, name)
