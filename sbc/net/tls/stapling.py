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
    """Whether what a server of this admission staples would be looked at."""
    policies = [each.revocation for each in admission.candidates]
    return any(each.mode != "off" and "staple" in each.methods for each in policies)


def judge_staple(context: SSL.Context) -> None:
    """Let what a server staples be judged in the handshake; its sessions must ask (``request_ocsp``)."""
    context.set_ocsp_client_callback(
        lambda connection, staple, _data: judge_of(connection).takes_staple(staple)
    )


def staple(context: SSL.Context, answer: Callable[[], bytes]) -> None:
    """Give every client that asks what ``answer`` returns, nothing where that is b""."""
    context.set_ocsp_server_callback(lambda _connection, _data: answer())
