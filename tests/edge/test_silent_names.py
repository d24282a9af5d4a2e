"""Names that nobody answers for: nothing of ours waits behind them, nor any name that somebody does answer.

The SBC runs with a DNS server of its own, which takes every question and never says a word.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.process import whole_lines
from sbc.net.system import resolver
from sbc.net.system.resolver import Names
from tests.peers.asking import ask
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_ports
from tests.peers.process import PeerProcess
from tests.peers.product import command
from tests.peers.waiting import PATIENCE, until, until_equal

SILENT = 60
DNS = "127.0.0.77"
MOUNTED = 'mount --bind "$0/resolv.conf" /etc/resolv.conf && mount --bind "$0/hosts" /etc/hosts && exec "$@"'
TRUNK = """\
trunk: {name}
listener: udp
sources: [{source}]
peers: [{peer}]
options: {{every: 1s, down_after: 1}}
dial_timeout: 1s
response_timeout: 5s
"""


class Answering:
    """A UDP peer that answers every request with 200."""

    def __init__(self) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port: int = self.sock.getsockname()[1]
        self.greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            data, peer = self.sock.recvfrom(65535)
            lines = data.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]
            kept = [line for line in lines if line.split(b":")[0] in (b"Via", b"From", b"Call-ID", b"CSeq")]
            to = next(line for line in lines if line.startswith(b"To")) + b";tag=1"
            answer = [b"SIP/2.0 200 OK", *kept, to, b"Content-Length: 0", b"", b""]
            self.sock.sendto(b"\r\n".join(answer), peer)

    def close(self) -> None:
        self.greenlet.kill()
        self.sock.close()


def configure(directory: Path, port: int, good: int) -> None:
    (directory / "trunks.d").mkdir()
    (directory / "sbc.yaml").write_text(
        f"listeners: {{udp: {{bind: '127.0.0.1:{port}', transport: udp}}}}\nmedia: {{ports: 60000-60099}}\n"
    )
    peers = {f"silent-{number}": f"n{number}.silent.example:5060" for number in range(SILENT)}
    for number, (name, peer) in enumerate({**peers, "good": f"good.example:{good}"}.items()):
        text = TRUNK.format(name=name, peer=peer, source=f"192.0.2.{number + 1}")
        (directory / "trunks.d" / f"{name}.yaml").write_text(text)
    (directory / "resolv.conf").write_text(f"nameserver {DNS}\noptions timeout:30 attempts:5\n")
    (directory / "hosts").write_text("127.0.0.1 localhost good.example late.example\n")


@contextmanager
def asked() -> Iterator[set[bytes]]:
    """A DNS server that never answers; yields the names that it was asked for."""
    names: set[bytes] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((DNS, 53))

        def run() -> None:
            while True:
                data = sock.recv(512)
                names.add(data[13 : 13 + data[12]])

        greenlet = gevent.spawn(run)
        yield names
        greenlet.kill()


@pytest.mark.slow
def test_names_that_are_silent_hold_nothing_up(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("A DNS SERVER OF THE TEST'S OWN NEEDS ROOT")
    peer, (port,) = Answering(), free_ports(1)
    configure(tmp_path, port, peer.port)
    sbc = ["unshare", "-m", "sh", "-c", MOUNTED, str(tmp_path), *command()]
    with asked() as names, Portcullis("sbc", tmp_path, udp=[port], sbc=sbc) as running:
        until(lambda: len(names) >= SILENT // 2, "many of them are asked for")
        until_equal(lambda: state(tmp_path), "up")
        late = TRUNK.format(name="late", peer=f"late.example:{peer.port}", source="192.0.2.99")
        (tmp_path / "trunks.d" / "late.yaml").write_text(late)
        ask(tmp_path / "run" / "sbc.sock", "reload")
        said_by(running, "[reload]", "former=")
        until_equal(lambda: state(tmp_path, "late"), "up")
        until(lambda: len(names) == SILENT, "those that came first gave way")
        running.process.terminate()
        assert running.wait(PATIENCE) == 0, "it does not wait for them at the end either"
    peer.close()


def state(directory: Path, trunk: str = "good") -> str:
    """What ``sbc status`` says of a trunk."""
    status = ask(directory / "run" / "sbc.sock", "status")
    states: dict[str, str] = {each["name"]: each["state"] for each in status["trunks"]}
    return states[trunk]


def said_by(running: PeerProcess, *words: str) -> None:
    """Wait until the journal has a line with all of ``words``."""

    def found() -> bool:
        lines = whole_lines(running.log).splitlines()
        return any(all(word in line for word in words) for line in lines)

    until(found, f"a line with {words}", fail=running.failed)


# Turns, with threads that wait as long as the test wants


@pytest.fixture
def gates(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, threading.Event]]:
    """A look-up of a name that is here lasts until its gate opens; the others are answered at once.

    Of one that begins with "unknown" nothing is ever learned.
    """
    made: dict[str, threading.Event] = {}

    def look_up(target: Address) -> list[Address] | OSError:
        gate = made.get(target.host)
        if gate is not None:
            gate.wait(PATIENCE)
        if target.host.startswith("unknown"):
            return OSError("nobody knows")
        return [Address("192.0.2.1", target.port)]

    monkeypatch.setattr(resolver, "_look_up", look_up)
    monkeypatch.setattr(resolver, "SILENT_AFTER", 0.05)
    yield made
    for gate in made.values():
        gate.set()


def wait_for(names: Names, host: str, seconds: float) -> bool:
    """Whether ``host`` is answered within ``seconds``."""
    with gevent.Timeout(seconds, False):
        return names.look_up(Address(host, 5060)) == [Address("192.0.2.1", 5060)]
    return False


def test_names_that_are_silent_give_their_turn_to_others(gates: dict[str, threading.Event]) -> None:
    names, silent = Names(quick=2, slow=1), [f"n{number}" for number in range(9)]
    gates.update({host: threading.Event() for host in silent})
    waiting = [gevent.spawn(wait_for, names, host, PATIENCE) for host in silent]
    gevent.sleep(0)
    assert wait_for(names, "good", PATIENCE)
    assert len(names) == len(silent), "all of them are still asked for"
    for gate in gates.values():
        gate.set()
    assert all(each.get() for each in waiting)


@pytest.mark.slow
def test_names_that_were_silent_wait_behind_one_another(gates: dict[str, threading.Event]) -> None:
    names, silent = Names(quick=1, slow=1), ["unknown0", "unknown1"]
    for host in silent:
        gates[host] = threading.Event()
        assert not wait_for(names, host, 0.2)
        gates[host].set()
    until_equal(lambda: len(names), 0)
    gates["unknown0"].clear()
    assert not wait_for(names, "unknown0", 0.2)
    second = gevent.spawn(names.look_up, Address("unknown1", 5060))
    gevent.sleep(0)
    assert wait_for(names, "good", PATIENCE) and not second.ready()
    gates["unknown0"].set()
    assert isinstance(second.get(), OSError)


def test_one_who_was_tired_of_waiting_leaves_the_answer_to_the_next(
    gates: dict[str, threading.Event],
) -> None:
    names = Names(quick=1, slow=1)
    gates["n"] = threading.Event()
    assert not wait_for(names, "n", 0.01)
    second = gevent.spawn(wait_for, names, "n", PATIENCE)
    gevent.sleep(0)
    gates["n"].set()
    assert second.get()


def test_what_nobody_waits_for_any_more_is_not_asked(gates: dict[str, threading.Event]) -> None:
    names = Names(quick=1, slow=1)
    gates["n"] = threading.Event()
    first = gevent.spawn(wait_for, names, "n", PATIENCE)
    gevent.sleep(0)
    for number in range(100):
        gevent.spawn(wait_for, names, f"m{number}", 0.01)
    gevent.sleep(0.05)
    gates["n"].set()
    assert first.get()
    until_equal(lambda: len(names), 0)
    assert wait_for(names, "good", PATIENCE)


def test_what_was_known_of_a_name_holds_while_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 8767: a DNS server that is down takes no peer with it; one that says no is believed."""
    answers: list[list[Address] | OSError | None] = []
    gate = threading.Event()

    def look_up(target: Address) -> list[Address] | OSError:
        answer = answers.pop(0)
        if answer is None:
            gate.wait(PATIENCE)
            return [Address("192.0.2.3", 5060)]
        return answer

    monkeypatch.setattr(resolver, "_look_up", look_up)
    monkeypatch.setattr(resolver, "SILENT_AFTER", 0.05)
    name, names = Address("carrier.example", 5060), Names()
    one, two = [Address("192.0.2.1", 5060)], [Address("192.0.2.2", 5060)]
    failed = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    answers += [failed, one, failed, two, failed]
    assert [names.look_up(name) for _ in range(5)] == [failed, one, one, two, two]
    answers.append(None)
    assert names.look_up(name) == two, "and nobody waits for long"
    gate.set()
    until_equal(lambda: len(names), 0)
    answers += [failed, unknown, failed]
    assert [names.look_up(name) for _ in range(3)] == [[Address("192.0.2.3", 5060)], unknown, failed]


def test_a_name_with_a_thousand_addresses_has_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that is dead costs a call its ``dial_timeout``."""
    hosts = [f"192.0.{number // 250}.{number % 250 + 1}" for number in range(1000)]
    found = [(2, 1, 6, "", (host, 5060)) for host in hosts for _ in range(2)]
    monkeypatch.setattr("_socket.getaddrinfo", lambda *asked: found)
    assert Names().look_up(Address("many.example", 5060)) == [Address(host, 5060) for host in hosts[:8]]
