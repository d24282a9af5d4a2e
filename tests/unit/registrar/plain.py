"""All that there is of a binding, to be compared, whether its class is compiled or not."""

from __future__ import annotations

from sbc.registrar.binding import Binding

_FIELDS = (
    "call_id", "contact", "cseq", "expires_at", "flow", "instance", "path", "q", "reg_id", "registered_at",
    "remote", "transport", "trunk", "user", "user_agent",
)  # fmt: skip


def plain(binding: Binding) -> dict[str, object]:
    """Its fields by name."""
    return {name: getattr(binding, name) for name in _FIELDS}
