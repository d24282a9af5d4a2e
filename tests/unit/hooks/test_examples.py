"""The hooks of hooks/examples do what they say, tested as an operator would test his own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from sbc.config.files import read_tree
from sbc.hookapi import Handshake, SetPart, amend, refuse, reject
from sbc.hookapi.testing import HookFailure, HookFile, facts, load

EXAMPLES = Path(__file__).parents[3] / "hooks" / "examples"
DAY = 86400.0


def test_every_example_loads_without_a_warning() -> None:
    names = sorted(path.name for path in EXAMPLES.iterdir() if path.suffix == ".py")
    assert names == [
        "blocklist.py", "caller-id.py", "fraud-velocity.py", "http-lookup.py", "short-lived-certificates.py",
    ]  # fmt: skip
    for name in names:
        assert isinstance(load(EXAMPLES / name), HookFile)


def test_examples_are_off_until_they_are_copied() -> None:
    assert list(read_tree(EXAMPLES.parents[1]).hooks) == ["hooks/10-example.py"]


@pytest.mark.parametrize(
    ("caller", "called", "declined"),
    [
        ("+4930123456", "+19005550100", True),
        ("+12125550199", "+4930123456", True),
        ("anonymous", "+4930123456", True),
        ("+4930123456", "+4930654321", False),
        ("", "", False),
    ],
)
def test_blocklist(caller: str, called: str, declined: bool) -> None:
    answer = load(EXAMPLES / "blocklist.py").on_invite(facts(from_user=caller, ruri_user=called))
    assert answer == (reject(603, "Declined") if declined else None)


@pytest.mark.parametrize(
    ("trunk", "caller", "fixed"),
    [
        ("office", "030901820", "+4930901820"),
        ("office", "1234", "+49309018201234"),
        ("office", "anonymous", "+4930901820"),
        ("office", "+15550100", None),
        ("carrier", "030901820", None),
    ],
)
def test_caller_id(trunk: str, caller: str, fixed: str | None) -> None:
    answer = load(EXAMPLES / "caller-id.py").on_invite(facts(trunk=trunk, from_user=caller))
    assert answer == (amend(SetPart("from.user", fixed)) if fixed else None)


def test_fraud_velocity() -> None:
    hook = load(EXAMPLES / "fraud-velocity.py")

    def call(at: float, caller: str = "100", called: str = "+88213") -> bool:
        answer = hook.on_invite(facts(trunk="office", from_user=caller, ruri_user=called, now=at))
        assert answer in (None, reject(403, "Too many calls"))
        return answer is None

    assert all(call(1000.0 + second) for second in range(5))
    assert not call(1005.0)
    assert call(1005.0, caller="101"), "another caller"
    assert call(1005.0, called="+4930123"), "at home"
    hook = load(EXAMPLES / "fraud-velocity.py")
    assert not call(1059.9), "a reload forgets nothing"
    assert call(1060.0), "the first is a minute ago"


@contextmanager
def service(answers: dict[str, object]) -> Iterator[int]:
    """A service on the loopback that answers a path with JSON, and 404 where it knows nothing."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path in answers else 404)
            self.end_headers()
            self.wfile.write(json.dumps(answers.get(self.path)).encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def lookup(directory: Path, port: int) -> HookFile:
    path = directory / "http-lookup.py"
    path.write_text((EXAMPLES / "http-lookup.py").read_text().replace(":8181/", f":{port}/"))
    return load(path)


def test_http_lookup(tmp_path: Path) -> None:
    with service({"/number/%2B4930123": {"carrier": "blue"}, "/number/1": {"carriers": 5}}) as port:
        hook = lookup(tmp_path, port)
        assert hook.on_invite(facts(ruri_user="+4930123")) == amend(tags=("ported-blue",))
        for unknown, error in (("1", "KeyError"), ("../x", "HTTPError")):
            with pytest.raises(HookFailure) as caught:
                hook.on_invite(facts(ruri_user=unknown))
            assert caught.value.skipped and caught.value.reason == f"on_invite raised {error}"
    with pytest.raises(HookFailure, match="on_invite raised URLError"):
        hook.on_invite(facts(ruri_user="+4930123"))


@pytest.mark.parametrize(
    ("days", "verified", "refused"), [(398, True, False), (399, True, True), (0, False, False)]
)
def test_short_lived_certificates(days: int, verified: bool, refused: bool) -> None:
    shown = Handshake(peer_verified=verified, peer_not_before=1000.0, peer_not_after=1000.0 + days * DAY)
    answer = load(EXAMPLES / "short-lived-certificates.py").on_handshake(shown)
    assert answer == (refuse("its certificate lives longer than 398 days") if refused else None)
