"""Asking the running SBC over its control socket (`sbc.net.system.control`), with nothing but a socket.

What is asked every minute by a monitoring system should not first load an SBC.
"""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from sbc.base import LocalError

_TIMEOUT = 30.0
# Seconds for what takes longer: a table of a million rows is read, and each hook file has its time.
PATIENCE = {"reload": 900.0, "alert-test": 60.0}


def ask(path: Path, verb: str, **arguments: object) -> Any:
    """Ask the SBC whose control socket is ``path``; LocalError where none answers or it refuses."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        return _ask(connection, path, verb, arguments)[0]
    finally:
        connection.close()


@contextlib.contextmanager
def following(path: Path, verb: str, patience: float, **arguments: object) -> Iterator[BinaryIO]:
    """What ``verb`` goes on to say (``Stream``), to be read as it comes; LocalError as for ``ask``.

    OSError where nothing has come for ``patience`` seconds.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        source = _ask(connection, path, verb, arguments)[1]
        connection.settimeout(patience)
        yield source
    finally:
        connection.close()


def _ask(
    connection: socket.socket, path: Path, verb: str, arguments: Mapping[str, object]
) -> tuple[Any, BinaryIO]:
    """The result of ``verb``, and what comes behind it."""
    patience = PATIENCE.get(verb, _TIMEOUT)
    connection.settimeout(patience)
    source = connection.makefile("rb")
    try:
        connection.connect(str(path))
        connection.sendall(json.dumps({"verb": verb, "with": arguments}).encode() + b"\n")
        answer = json.loads(source.readline())
    except TimeoutError:
        text = (
            f"Portcullis has not answered {verb} on {path} in {patience:g} s; its journal says what it does"
        )
        raise LocalError(text) from None
    except (OSError, ValueError) as error:
        raise LocalError(f"no Portcullis answers on {path} ({error}); is it running?") from None
    if not answer["ok"]:
        raise LocalError(answer["error"])
    return answer["result"], source
