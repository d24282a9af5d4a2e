"""A binding: where a user can be reached, as one REGISTER said it (RFC 3261 10, RFC 5626)."""

from __future__ import annotations

from sbc.base import Address
from sbc.flow import Flow, Transport
from sbc.sip.uri import Uri


class Binding:
    """One Contact of a user, with the path that it was registered on.

    ``contact`` is the URI as the phone gave it. ``flow`` is the connection that it registered on, None where
    that is gone or was before a restart; ``remote`` is where it came from and the only place that it is
    reached at, whatever host its Contact has. ``trunk`` is the phones' trunk. ``path`` are the Path values,
    sent as Route in this order (RFC 3327). ``expires_at`` and ``registered_at`` are POSIX seconds, ``q`` is
    between 0 and 1. ``instance`` and ``reg_id`` are "" and 0 for a phone without RFC 5626.
    """

    __slots__ = (
        "call_id", "contact", "cseq", "expires_at", "flow", "instance", "path", "q", "reg_id",
        "registered_at", "remote", "transport", "trunk", "user", "user_agent",
    )  # fmt: skip

    def __init__(
        self, user: str, contact: Uri, flow: Flow | None, remote: Address, transport: Transport, trunk: str,
        *, expires_at: float, registered_at: float = 0.0, call_id: str = "", cseq: int = 0,
        path: tuple[str, ...] = (), q: float = 1.0, instance: str = "", reg_id: int = 0, user_agent: str = "",
    ) -> None:  # fmt: skip
        self.user = user
        self.contact = contact
        self.flow = flow
        self.remote = remote
        self.transport: Transport = transport
        self.trunk = trunk
        self.path = path
        self.expires_at = expires_at
        self.registered_at = registered_at
        self.q = q
        self.instance = instance
        self.reg_id = reg_id
        self.call_id = call_id
        self.cseq = cseq
        self.user_agent = user_agent
