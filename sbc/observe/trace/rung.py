"""A rung of a SIP ladder: an arrow from one bar to the next, with what was said on it."""

from __future__ import annotations

from sbc.sip.message import Message, Request, Response

# What an arrow has beside its label: the head, a line and a blank on either side.
_AROUND = 6


def describe(message: Message) -> str:
    """The method or status of ``message``, with a word on its SDP."""
    return f"{said(message)} ({media(message.body)})" if message.body else said(message)


def said(message: Message) -> str:
    """The method or status of ``message``."""
    if isinstance(message, Response):
        return f"{message.status} {message.reason}"
    return message.method if isinstance(message, Request) else ""


def media(body: bytes) -> str:
    """A word on a body: keyed media, media in the clear, or something else."""
    if b"a=crypto:" in body:
        return "SRTP"
    return "RTP" if b"m=audio" in body else "body"


def style(message: Message | None) -> str:
    """In which style it is drawn: by what it says of the outcome."""
    if not isinstance(message, Response):
        return "cyan" if message is not None else "red"
    return "dim" if message.status < 200 else "green" if message.status < 300 else "red"


def arrow(text: str, rightward: bool, width: int, unicode: bool) -> str:
    """An arrow of ``width`` columns that says ``text``, as much of it as there is room for."""
    line, head, tail = ("─", "▶", "◀") if unicode else ("-", ">", "<")
    body = f" {text[: width - _AROUND]} ".center(width - 1, line)
    return body + head if rightward else tail + body
