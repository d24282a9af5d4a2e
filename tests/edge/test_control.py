"""The control socket: one question, one answer, and nothing that a client does harms the SBC."""

from __future__ import annotations

import json
import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.event import Event

from sbc.base import LocalError
from sbc.commands.asking import PATIENCE
from sbc.net.system.control import ControlServer
from tests.peers.asking import ask


def _refuse() -> None:
    raise LocalError("not now")


def _greet(name: str, loud: bool = False, at: float | None = None) -> list[object]:
    return [name, loud]


def _name(by: str) -> str:
    return by


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlServer]:
    server = ControlServer(
        tmp_path / "run" / "sbc.sock",
        {"echo": lambda: {"a": [1, "b"]}, "refuse": _refuse, "greet": _greet, "name": _name},
    )
    server.start()
    yield server
    server.stop()


def _raw(control: ControlServer, data: bytes) -> Any:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(3)
    client.connect(str(control.path))
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    answer = client.makefile("rb").readline()
    client.close()
    return json.loads(answer)


def test_a_question_is_answered(control: ControlServer) -> None:
    assert ask(control.path, "echo") == {"a": [1, "b"]}


def test_who_asks_is_known_by_the_kernel_and_not_by_what_they_say(control: ControlServer) -> None:
    own = pwd.getpwuid(os.getuid()).pw_name
    assert ask(control.path, "name") == own
    assert ask(control.path, "name", by="somebody else") == own


def test_a_question_has_arguments_and_wrong_ones_are_named(control: ControlServer) -> None:
    assert ask(control.path, "greet", name="x", loud=True) == ["x", True]
    with pytest.raises(LocalError, match="greet: missing a required argument: 'name'"):
        ask(control.path, "greet")
    with pytest.raises(LocalError, match="greet: got an unexpected keyword argument 'size'"):
        ask(control.path, "greet", name="x", size=3)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        ({"name": ["x"]}, "name"), ({"name": None}, "name"), ({"name": "x", "loud": "yes"}, "loud"),
        ({"name": "x", "at": "soon"}, "at"), ({"name": "x", "at": True}, "at"), ({"name": {}}, "name"),
        ({"name": "x", "at": 1e300}, "at"),
    ],
)  # fmt: skip
def test_an_argument_of_a_wrong_type_is_named(
    control: ControlServer, arguments: dict[str, Any], wrong: str
) -> None:
    with pytest.raises(LocalError, match=f"greet: '{wrong}' is of a wrong type"):
        ask(control.path, "greet", **arguments)
    assert ask(control.path, "greet", name="x", at=1) == ["x", False]


def test_a_refusal_is_told_in_its_own_words(control: ControlServer) -> None:
    with pytest.raises(LocalError, match=r"^not now$"):
        ask(control.path, "refuse")


def test_an_unknown_verb_names_those_that_there_are(control: ControlServer) -> None:
    with pytest.raises(LocalError, match="unknown verb 'nonsense'; there are echo, greet, name, refuse"):
        ask(control.path, "nonsense")


@pytest.mark.parametrize(
    "data",
    [b"\n", b"", b"not json\n", b"[]\n", b'{"verb": ["list"]}\n', b'{"word": 1}\n', b"\xff\xfe\n",
     b"[" * 4000 + b"\n", b'{"verb": "' + b"x" * 90000, b'{"verb": "echo", "with": 3}\n'],
)  # fmt: skip
def test_what_is_no_question_is_answered_all_the_same(control: ControlServer, data: bytes) -> None:
    answer = _raw(control, data)
    assert answer["ok"] is False and answer["error"]
    assert ask(control.path, "echo")


def test_a_client_that_leaves_or_says_nothing_holds_up_nobody(
    control: ControlServer, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    silent.connect(str(control.path))
    leaver = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    leaver.connect(str(control.path))
    leaver.sendall(b'{"verb": "echo"}\n')
    leaver.close()
    gevent.sleep(0.05)
    assert ask(control.path, "echo")
    silent.close()
    gevent.sleep(0.05)
    assert "Traceback" not in capsys.readouterr().err


def test_only_the_owner_may_ask(control: ControlServer) -> None:
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o600


def test_a_living_socket_is_not_taken_over(control: ControlServer) -> None:
    second = ControlServer(control.path, {})
    with pytest.raises(LocalError, match="another Portcullis is running"):
        second.start()
    second.stop()
    assert ask(control.path, "echo")


def test_what_is_no_socket_is_left_as_it_is(tmp_path: Path) -> None:
    key, link, folder = tmp_path / "office.key", tmp_path / "link", tmp_path / "folder"
    key.write_text("a private key")
    link.symlink_to(key)
    folder.mkdir()
    for path in (key, link, folder):
        with pytest.raises(LocalError, match="is no socket, and is left as it is; correct `control`"):
            ControlServer(path, {}).start()
    with pytest.raises(LocalError, match=r"no room for the control socket .*; correct `control`"):
        ControlServer(key / "sbc.sock", {}).start()
    assert key.read_text() == "a private key" and link.is_symlink() and folder.is_dir()


def test_stopping_removes_the_socket(control: ControlServer) -> None:
    control.stop()
    assert not control.path.exists()
    with pytest.raises(LocalError, match="is it running"):
        ask(control.path, "echo")


class Counter:
    """A verb that is an object, as a reload is."""

    def __call__(self, loud: bool = False) -> str:
        return "ONE" if loud else "one"


def test_a_verb_may_be_an_object(tmp_path: Path) -> None:
    server = ControlServer(tmp_path / "x.sock", {"count": Counter()})
    server.start()
    assert (ask(server.path, "count"), ask(server.path, "count", loud=True)) == ("one", "ONE")
    with pytest.raises(LocalError, match="count: 'loud' is of a wrong type"):
        ask(server.path, "count", loud="yes")
    server.stop()


def test_what_takes_long_is_carried_through_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = Event()

    def work() -> str:
        done.wait()
        return "done"

    monkeypatch.setattr("sbc.net.system.control.ASK_TIMEOUT", 0.05)
    monkeypatch.setattr("sbc.commands.asking._TIMEOUT", 0.05)
    monkeypatch.setitem(PATIENCE, "patient", 30.0)
    server = ControlServer(tmp_path / "x.sock", {"patient": work, "work": work})
    server.start()
    patient = gevent.spawn(ask, server.path, "patient")
    with pytest.raises(LocalError, match=r"has not answered work on .* in 0\.05 s; its journal"):
        ask(server.path, "work")
    done.set()
    assert patient.get(timeout=30) == "done"
    server.stop()


def test_an_answer_that_is_no_answer_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.sock"
    other = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    other.bind(str(path))
    other.listen(1)

    def serve() -> None:
        connection, _ = other.accept()
        connection.recv(100)
        connection.sendall(b"hello\n")
        connection.close()

    serving = gevent.spawn(serve)
    with pytest.raises(LocalError, match="no Portcullis answers"):
        ask(path, "echo")
    serving.join(1)
    other.close()
