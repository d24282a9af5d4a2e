"""The one command that the SIP layers themselves leave behind: a message for a flow."""

from __future__ import annotations

from dataclasses import dataclass

from sbc.flow import Flow
from sbc.sip.message import Message


@dataclass(slots=True)
class Send:
    """Serialise ``message`` and write it to ``flow``."""

    flow: Flow
    message: Message
