"""One peer process: started in its own directory, waited for, stopped for certain.

Readiness is read from /proc/net and never probed with a connection: a probe would be a failed
handshake in the statistics that a test is about to look at.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.peers.waiting import until

PACKAGES = {
    "baresip": "baresip-core",
    "dnsmasq": "dnsmasq-base",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "iptables": "iptables",
    "kamailio": "kamailio and kamailio-tls-modules",
    "linphonec": "linphone-cli",
    "openssl": "openssl",
    "pebble": "pebble",
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "pebble-challtestsrv": "pebble",
    "rtpengine": "rtpengine-daemon",
    "rsyslogd": "rsyslog and rsyslog-openssl",
    "sipp": "sip-tester",
    "stunnel4": "stunnel4",
    "svcrack": "sipvicious",
    "svmap": "sipvicious",
    "svwar": "sipvicious",
    "taskset": "util-linux",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}

_running: set[PeerProcess] = set()


class MissingProgram(Exception):
    """A program is not installed; the text names the Debian package."""


class PeerFailed(Exception):
    """A peer did not start, did not answer or ended early; the text holds the end of its log."""


def find(program: str) -> str:
    """The path of ``program``; MissingProgram names the Debian package that has it."""
    places = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    path = shutil.which(program, path=places)
    if path is None:
        raise MissingProgram(f"{program} is missing: apt-get install {PACKAGES.get(program, program)}")
    return path


class PeerProcess:
    """A process in ``directory`` with its output in ``NAME.log``; ``cpu`` pins it to one core.

    One that is ``told`` has a pipe for its standard input, one with ``pipes`` for its output too.
    """

    def __init__(
        self, name: str, directory: Path, argv: Sequence[str], *, cpu: int | None = None, pipes: bool = False,
        told: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.directory = directory
        self.argv = list(argv)
        if cpu is not None:
            self.argv = [find("taskset"), "-c", str(cpu), *self.argv]
        self.pipes = pipes
        self.told = told or pipes
        self.environment: dict[str, str] = {}
        self.log = directory / f"{name}.log"
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running process; PeerFailed when it was never started."""
        if self._popen is None:
            raise PeerFailed(f"{self.name} was not started")
        return self._popen

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def leaders(self) -> tuple[int, ...]:
        """Whose sessions do this peer's work: itself, and what it needs that leads a session of its own."""
        return (self.pid,)

    def start(self) -> None:
        """Start the process in a session of its own, so that it ends with everything it forked."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._popen = self.begin(log)
        _running.add(self)

    def begin(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start the process itself."""
        return subprocess.Popen(
            self.argv,
            cwd=self.directory,
            stdin=subprocess.PIPE if self.told else subprocess.DEVNULL,
            stdout=subprocess.PIPE if self.pipes else log,
            stderr=log,
            env=os.environ | self.environment,
            start_new_session=True,
        )

    def ready(self) -> None:
        """Wait until the peer can be used; overridden by each peer."""

    def wait_until(self, done: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait until ``done()``; PeerFailed after ``seconds`` or as soon as the process has ended without."""

        def look() -> bool:
            if self._popen is not None and self._popen.poll() is not None:
                if not done():
                    raise self.failed(f"ended with {self._popen.returncode} before {what}")
                return True
            return done()

        until(look, what, seconds, fail=self.failed)

    def wait(self, seconds: float) -> int:
        """Wait for the process to end by itself and return its exit status."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failed(f"still runs after {seconds:g} s") from None

    def failed(self, reason: str) -> PeerFailed:
        """The exception for ``reason``, with the end of the peer's log."""
        return PeerFailed(f"{self.name}: {reason}\n{self.tail()}")

    def tail(self, lines: int = 30) -> str:
        """The last ``lines`` of what the peer printed."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End the process and all it started: SIGTERM, a second after half a second, SIGKILL after two more.

        Portcullis waits for its calls until it is asked again.
        """
        popen, self._popen = self._popen, None
        _running.discard(self)
        if popen is None:
            return
        for patience in (0.5, 2):
            _signal(popen.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                popen.wait(patience)
                break
        _signal(popen.pid, signal.SIGKILL)
        popen.wait(2)
        for pipe in (popen.stdin, popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.ready()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _signal(leader: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, number)


@atexit.register
def _stop_all() -> None:
    for each in list(_running):
        each.stop()


def listening(*ports: int, udp: bool = False) -> bool:
    """True when every one of the local ports is bound (UDP) or listened on (TCP)."""
    return set(ports) <= bound_ports(udp)


def bound_ports(udp: bool) -> set[int]:
    """All local ports in use: bound for UDP, listening for TCP."""
    kind, state = ("udp", "07") if udp else ("tcp", "0A")
    lines: Iterable[str] = ()
    for table in (kind, kind + "6"):
        with contextlib.suppress(FileNotFoundError):
            lines = [*lines, *Path("/proc/net", table).read_text().splitlines()[1:]]
    rows = (line.split() for line in lines)
    return {int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == state}
