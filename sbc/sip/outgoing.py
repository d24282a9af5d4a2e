"""The one command that the SIP layers themselves leave behind: a message for a flow."""

from __future__ import annotations

from sbc.flow import Flow
from sbc.sip.message import Message


class Send:
    """Serialise ``message`` and write it to ``flow``."""

    __slots__ = ("flow", "message")

    def __init__(self, flow: Flow, message: Message) -> None:
        self.flow = flow
        self.message = message

    def __repr__(self) -> str:
        return f"Send(flow={self.flow!r}, message={self.message!r})"
