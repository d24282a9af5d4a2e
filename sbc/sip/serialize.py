"""Messages to bytes. Content-Length is written here and nowhere else (RFC 3261 20.14).

This is the last door before the wire: whatever control character a value brought along, from a
peer, a rule or a hook, stops here, so no header can be injected into a message. The check costs one
pass of ``bytes.translate``: what is left after the controls are deleted must be as long as the head
less its own line ends.
"""

from __future__ import annotations

from sbc.sip.grammar import CONTROLS, has_bare_control
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response

Field = tuple[str, str]


def serialize(message: Message) -> bytes:
    """Write a message with the Content-Length of its body; raises ValueError for control characters."""
    body = message.body
    headers = message.headers
    length = str(len(body))
    fields = headers.fields
    lines = [start_line(message)]
    if "content-length" in headers.first:
        fields = _with_length(headers, length)
        lines += [f"{name}: {value}" for name, value in fields]
    else:
        lines += [f"{name}: {value}" for name, value in fields]
        lines.append(f"Content-Length: {length}")
    lines.append("\r\n")
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    if len(data.translate(None, CONTROLS)) != len(data) - 2 * len(lines):
        _refuse_controls(lines[0], fields)
    return data + body if body else data


def start_line(message: Message) -> str:
    """The start line; raises ValueError where a part of it could be taken for another."""
    if isinstance(message, Request):
        method, uri = message.method, message.uri
        if not method or not uri or " " in method or " " in uri:
            raise ValueError("the method and the Request-URI must not be empty or hold blanks")
        return f"{method} {uri} SIP/2.0"
    if isinstance(message, Response):
        if not 100 <= message.status <= 699:
            raise ValueError("the status must be 100 to 699")
        return f"SIP/2.0 {message.status} {message.reason}"
    raise TypeError("neither a Request nor a Response")


def _with_length(headers: Headers, length: str) -> list[Field]:
    """The fields with one Content-Length, in place of the first."""
    if headers.unique and headers.first["content-length"] == length:
        return headers.fields
    headers = headers.copy()
    headers.set(headers.fields[headers.index("content-length")][0], length)
    return headers.fields


def _refuse_controls(start: str, fields: list[Field]) -> None:
    # A control character in a quoted-pair is legitimate (RFC 3261 25.1); CR and LF never are.
    if has_bare_control(start):
        raise ValueError("control character in the start line")
    for name, value in fields:
        if has_bare_control(name):
            raise ValueError("control character in a header's name")
        if has_bare_control(value):
            raise ValueError(f"control character in the value of {name}")
