"""How an ACME directory is spoken to: with an end to every answer, patience with nonces, and no stall.

The public CAs take OpenSSL some 60 ms to load, which requests would do in the hub for each new
connection. They are loaded once an order, in the thread pool, and the adapter is told to leave it at
that. An answer is read up to a limit. A nonce that is refused is tried again more than once: RFC 8555
6.5 sets no bound, and a directory with several front ends refuses more than one in a row.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import gevent
import requests
from acme import client, messages
from certifi import where
from requests.adapters import HTTPAdapter

_NONCES = 10
_LARGEST = 1 << 20


class Network(client.ClientNetwork):
    """The library's network, patient with nonces."""

    def post(self, *arguments: Any, **options: Any) -> requests.Response:
        """Post, and again with a new nonce as long as only the nonce is at fault."""
        for _ in range(_NONCES - 1):
            try:
                return super().post(*arguments, **options)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*arguments, **options)


def secure(session: requests.Session, ca_file: Path | None) -> None:
    """Let ``session`` speak https alone and trust ``ca_file``, or else the public CAs; OSError for none.

    A directory may redirect and name other addresses; none of them takes us to plain HTTP.
    """
    path = where() if ca_file is None else str(ca_file)
    trusted: ssl.SSLContext | OSError = gevent.get_hub().threadpool.apply(_trusting, (path,))
    if isinstance(trusted, OSError):
        raise trusted
    session.adapters.clear()
    session.mount("https://", _Bounded(trusted))


def _trusting(path: str) -> ssl.SSLContext | OSError:
    """The context; an error is returned, for what is raised in the thread pool is printed there."""
    try:
        return ssl.create_default_context(cafile=path)
    except OSError as error:
        return error


class _Bounded(HTTPAdapter):
    def __init__(self, trusted: ssl.SSLContext) -> None:
        self._trusted = trusted
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, ssl_context=self._trusted, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._trusted, **options)

    def cert_verify(self, conn: Any, *_: Any) -> None:
        # The context has its CAs; naming a file here would load it again.
        conn.cert_reqs = "CERT_REQUIRED"

    def send(self, request: requests.PreparedRequest, *_: Any, **options: Any) -> requests.Response:
        """Send one request; ValueError for an answer over the limit."""
        response = super().send(request, **{**options, "stream": True})
        body = response.raw.read(_LARGEST + 1, decode_content=True)
        if len(body) > _LARGEST:
            raise ValueError(f"{request.url}: the answer is over {_LARGEST} bytes long")
        response._content = body
        return response
