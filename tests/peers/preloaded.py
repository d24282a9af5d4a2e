"""An SBC that has loaded its modules waits, and each `sbc run` of a test begins as a copy of it.

Loading is most of a start's work, and it is the same each time: tests that start hundreds of SBCs would do
little else. What a copy does from there on, from reading its arguments to its end, is what every `sbc run`
does, in a process and an environment of its own. The demo, the service, the package and what is killed fifty
times start from nothing.

The copy's parent ends at once, so that the kernel gives the copy to the test's process, which takes in
orphans for that instant: ``wait`` and ``poll`` are those of any process that a test has started.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tests.peers.product import environment

__all__ = ["start", "use"]

_TAKE_IN_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER, prctl(2)
_REQUEST = 1 << 20  # octets; the environment is most of it
_waiting: dict[Path, _Waiting] | None = None


def use(yes: bool) -> None:
    """Whether starts are copies from now on; those that wait to be copied end where they are not."""
    global _waiting
    for each in (_waiting or {}).values():
        each.end()
    _waiting = {} if yes else None


def start(
    tree: Path, words: Sequence[str], *, cwd: Path, out: IO[bytes], session: bool = False
) -> subprocess.Popen[bytes] | None:
    """``sbc WORDS`` of ``tree`` in ``cwd`` with its output in ``out``; None where starts are no copies."""
    if _waiting is None:
        return None
    if tree not in _waiting:
        _waiting[tree] = _Waiting(tree)
    return _waiting[tree].copy(words, cwd, out, session)


class _Waiting:
    def __init__(self, tree: Path) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for end in (self._ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _REQUEST)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(theirs.fileno())],
            env=environment(tree),
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self._one_at_a_time = threading.Lock()

    def copy(self, words: Sequence[str], cwd: Path, out: IO[bytes], session: bool) -> subprocess.Popen[bytes]:
        request = json.dumps([list(words), str(cwd), dict(os.environ), session]).encode()
        with self._one_at_a_time:
            _take_in_orphans(True)
            try:
                socket.send_fds(self._ours, [request], [out.fileno()])
                pid = int(self._ours.recv(64))
            finally:
                _take_in_orphans(False)
        return _Copy(pid, ["sbc", *words])

    def end(self) -> None:
        self._ours.close()
        self._process.wait()


class _Copy(subprocess.Popen[bytes]):
    """A child that is there already."""

    def __init__(self, pid: int, arguments: Sequence[str]) -> None:
        self.args = arguments
        self.stdin = self.stdout = self.stderr = None
        self.pid = pid
        self.returncode: int | None = None
        self._waitpid_lock = threading.Lock()
        self._child_created = True


def _take_in_orphans(yes: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_TAKE_IN_ORPHANS, int(yes), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _main() -> int:
    fork, waitpid = os.fork, os.waitpid  # gevent has its own, for processes in which its hub runs
    asked = socket.socket(fileno=int(sys.argv[1]))
    from sbc.cli import main
    from sbc.commands.running import load

    load()
    _load_what_is_first_asked_for_later()
    while True:
        request, descriptors, *_ = socket.recv_fds(asked, _REQUEST, 1)
        if not request:
            return 0
        told, tell = os.pipe()
        if between := fork():
            waitpid(between, 0)  # only then is the copy somebody else's child
            asked.send(os.read(told, 64))
            for each in (told, tell, *descriptors):
                os.close(each)
        elif copy := fork():
            os.write(tell, str(copy).encode())
            os._exit(0)
        else:
            os.close(told)
            os.close(tell)
            asked.close()
            words, cwd, variables, session = json.loads(request)
            _become(cwd, variables, session, descriptors[0])
            return main(words)


def _load_what_is_first_asked_for_later() -> None:
    import webui  # noqa: F401
    from dsl.parse import parse_condition

    parse_condition("true")  # the tables of the grammar are made


def _become(cwd: str, variables: dict[str, str], session: bool, out: int) -> None:
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    os.environ.clear()
    os.environ.update(variables)
    time.tzset()
    os.chdir(cwd)
    if session:
        os.setsid()


if __name__ == "__main__":
    sys.exit(_main())
