"""The control socket: ``sbc status`` and its kin ask the running SBC over a Unix socket.

One JSON object a line in, one JSON object a line out; ``with`` holds the verb's arguments. The
file's permission (0600) is the guard. A verb with an argument ``by`` is told which user asks. What a verb
returns may be a ``Stream``: its head is the answer, and then it writes to the connection by itself.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import pwd
import stat
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import gevent
from gevent import socket
from gevent.server import StreamServer

from sbc.base import LocalError
from sbc.typed import wrong_argument

Verb = Callable[..., object]
LINE_LIMIT = 65536
ASK_TIMEOUT = 30.0  # seconds
_CORRECT = "correct `control` in sbc.yaml"


@runtime_checkable
class Stream(Protocol):
    """An answer that goes on."""

    @property
    def head(self) -> dict[str, Any]:
        """The result that is answered first."""

    def run(self, connection: socket.socket) -> None:
        """Write to ``connection`` until it is over; OSError where nobody reads any more."""


class ControlServer:
    """Answers ``{"verb": NAME}`` with ``{"ok": true, "result": ...}`` or ``{"ok": false, "error": TEXT}``."""

    def __init__(self, path: Path, verbs: Mapping[str, Verb]) -> None:
        self.path = path
        self._verbs = verbs
        self._server: StreamServer | None = None

    def start(self) -> None:
        """Bind; a socket that a dead process left behind is replaced, a live one is a LocalError."""
        _make_room(self.path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            listener.bind(str(self.path))
        except OSError as error:
            reason = error.strerror or error
            raise LocalError(f"cannot make the control socket {self.path}: {reason}; {_CORRECT}") from None
        finally:
            os.umask(old)
        listener.listen(8)
        self._server = StreamServer(listener, self._serve)
        self._server.start()

    def stop(self) -> None:
        """Close and remove the socket."""
        if self._server is not None:
            self._server.stop()
            with contextlib.suppress(FileNotFoundError):
                self.path.unlink()

    def _serve(self, connection: socket.socket, _: object) -> None:
        # Whoever asked may be gone before the answer. What it asked for is carried through all the same.
        with connection, contextlib.suppress(OSError):
            connection.settimeout(ASK_TIMEOUT)
            line = connection.makefile("rb").readline(LINE_LIMIT)
            answer = self._answer(line, connection)
            stream = answer.get("result")
            if not isinstance(stream, Stream):
                connection.sendall(json.dumps(answer).encode() + b"\n")
                return
            connection.sendall(json.dumps({"ok": True, "result": stream.head}).encode() + b"\n")
            stream.run(connection)

    def _answer(self, line: bytes, connection: socket.socket) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb, arguments = str(request["verb"]), dict(request.get("with", {}))
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"ok": False, "error": 'not a request: one line of {"verb": NAME}'}
        if verb not in self._verbs:
            return {
                "ok": False,
                "error": f"unknown verb {verb!r}; there are {', '.join(sorted(self._verbs))}",
            }
        try:
            signature = inspect.signature(self._verbs[verb], eval_str=True)
            if "by" in signature.parameters:
                arguments["by"] = _who(connection)
            bound = signature.bind(**arguments)
        except TypeError as error:
            return {"ok": False, "error": f"{verb}: {error}"}
        wrong = wrong_argument(signature, arguments)
        if wrong:
            return {"ok": False, "error": f"{verb}: {wrong!r} is of a wrong type"}
        try:
            return {"ok": True, "result": self._verbs[verb](*bound.args, **bound.kwargs)}
        except LocalError as error:
            return {"ok": False, "error": str(error)}


def _who(connection: socket.socket) -> str:
    """The user at the other end, as the kernel knows it: whatever it may say of itself."""
    size = struct.calcsize("3i")
    _, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    name: str = gevent.get_hub().threadpool.apply(_name_of, (user,))  # a directory may take its time
    return name


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _make_room(path: Path) -> None:
    """Make the folder, and remove what a dead process left there; LocalError for anything but its socket."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise LocalError(f"there is no room for the control socket {path}: {reason}; {_CORRECT}") from None
    if not stat.S_ISSOCK(mode):
        raise LocalError(f"{path} is no socket, and is left as it is; {_CORRECT}")
    refuse_second(path)
    with contextlib.suppress(FileNotFoundError):
        path.unlink()


def refuse_second(path: Path) -> None:
    """LocalError where another process answers there: what belongs to it is not to be touched."""
    if _answers(path):
        raise LocalError(f"another Portcullis is running: {path} answers; stop it first")


def _answers(path: Path) -> bool:
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.connect(str(path))
    except OSError:
        return False
    finally:
        probe.close()
    return True
