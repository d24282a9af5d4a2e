"""OCSP answers in the handshake, both ways: what a server staples to us, what we staple as a server.

A client asks with status_request (RFC 6066 8); a TLS client cannot staple. The callbacks only pass on: what
a server staples is judged where its certificate is, and what we staple was fetched ahead.
"""

from __future__ import annotations

from collections.abc import Callable

from OpenSSL import SSL

from sbc.net.tls.context import judge_of
from sbc.tls.match import Admission


def wanted(admission: Admission) -> bool:
    """Whether a server's stapled answer would be looked at."""
    policies = [each.revocation for each in admission.candidates]
    return admission.direction == "outbound" and any(
        each.mode != "off" and "staple" in each.methods for each in policies
    )


def judge_staple(context: SSL.Context) -> None:
    """Let what a server staples be judged in the handshake; its sessions must ask (``request_ocsp``)."""
    context.set_ocsp_client_callback(_on_staple)


def _on_staple(connection: SSL.Connection, staple: bytes, _data: object) -> bool:
    return judge_of(connection).takes_staple(staple)


def staple(context: SSL.Context, answer: Callable[[], bytes]) -> None:
    """Give every client that asks what ``answer`` returns, nothing where that is b""."""
    context.set_ocsp_server_callback(lambda _connection, _data: answer())
