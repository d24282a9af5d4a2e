"""`control` names the socket that we make: a file in its place is a mistake, and would have to go for it."""

from __future__ import annotations

import socket
import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import SBC, Write


@pytest.mark.parametrize("path", ["tls/sbc.key", "sbc.yaml", "trunks.d"])
def test_what_is_no_socket_is_refused(write: Write, path: str) -> None:
    directory = write({"sbc.yaml": f"{SBC}control: {path}\n"})
    with pytest.raises(ConfigError) as refused:
        build_snapshot(directory, time.time())
    (told,) = [each for each in refused.value.diagnostics if each.severity == "error"]
    assert (told.path, told.line) == ("sbc.yaml", len(SBC.splitlines()) + 1)
    assert told.message == f"{path} is no socket" and "write the path of a socket" in told.hint


@pytest.mark.parametrize("path", ["run/sbc.sock", "nowhere/yet/sbc.sock"])
def test_a_socket_and_nothing_at_all_are_fine(write: Write, path: str) -> None:
    directory = write({"sbc.yaml": f"{SBC}control: {path}\n"})
    with socket.socket(socket.AF_UNIX) as ours:
        (directory / "run").mkdir(exist_ok=True)
        ours.bind(str(directory / "run/sbc.sock"))
        build_snapshot(directory, time.time())
