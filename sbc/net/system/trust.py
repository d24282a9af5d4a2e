"""The TLS context by which we go to a service: whom we trust to be it, and who we are to it.

Loading the public CAs takes tens of milliseconds; so a context is made in the thread pool, once, and whoever
asks before it is there waits for it.
"""

from __future__ import annotations

import os
import ssl as _ssl
from typing import Any, Protocol

import gevent
from certifi import where
from gevent import ssl
from gevent.event import AsyncResult

from sbc.tls.material.identity import IdentityMaterial


class Service(Protocol):
    """How a service is reached: the CAs of its certificate, "" for the public ones, and what we show it."""

    @property
    def ca_pem(self) -> str: ...
    @property
    def identity(self) -> IdentityMaterial | None: ...


def context_of(service: Service) -> AsyncResult[Any]:
    """The context for ``service`` as soon as it is made, or the text why there is none; begun at once."""
    made: AsyncResult[Any] = AsyncResult()
    gevent.spawn(lambda: made.set(gevent.get_hub().threadpool.apply(_make, (service,))))
    return made


def _make(service: Service) -> Any:
    """The context; an error is returned, for what is raised in the thread pool is printed there."""
    try:
        context = ssl.SSLContext(_ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = _ssl.TLSVersion.TLSv1_2
        if service.ca_pem:
            context.load_verify_locations(cadata=service.ca_pem)
        else:
            context.load_verify_locations(cafile=where())
        if service.identity is not None:
            _present(context, service.identity.chain_pem + b"\n" + service.identity.key_pem)
    except (OSError, ValueError) as error:
        return f"no TLS context can be made: {getattr(error, 'reason', None) or type(error).__name__}"
    return context


def _present(context: ssl.SSLContext, pem: bytes) -> None:
    """Show a certificate: what was checked when the configuration was read, and no file that changed since.

    The library takes files alone; this one is in memory, and gone as soon as it was read.
    """
    descriptor = os.memfd_create("identity")
    try:
        os.write(descriptor, pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
