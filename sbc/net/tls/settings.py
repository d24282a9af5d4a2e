"""What OpenSSL is told once, before its first use in this process: to issue no session tickets.

In TLS 1.3 a server that has turned tickets off still sends two, of a kind that only its own
cache could resume. Ours has no cache, so they would be waste: encrypted, sent and stored with every
handshake, and never good for anything. The count cannot be set through pyOpenSSL, but OpenSSL
reads a configuration file when it is first used.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "OPENSSL_CONF"
FILE = Path(__file__).with_name("openssl.cnf")


def configure_openssl() -> None:
    """Let the OpenSSL that pyOpenSSL brings read our settings; one that the operator names stays instead.

    To be called before anything has imported ``cryptography``. The variable is gone again afterwards:
    the OpenSSL of Python's own ``ssl`` and of child processes has settings of its own.
    """
    if VARIABLE in os.environ:
        return
    os.environ[VARIABLE] = str(FILE)
    try:
        from OpenSSL import SSL  # its import initialises OpenSSL

        SSL.Context(SSL.TLS_METHOD)
    finally:
        del os.environ[VARIABLE]
