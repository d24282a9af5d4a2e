"""A registrar that says anything at any time, and faults of our own: a trunk is registered in the end."""

from __future__ import annotations

import contextlib
from random import Random
from types import FunctionType
from typing import Any

import pytest

from sbc.b2bua.registration import LONGEST_WAIT, Registration, Turn
from sbc.sip.message import Request, response_to
from tests.playbook.stage import Stage
from tests.playbook.test_registration import REALM, accept, ask, look, of, registered, stage

STATUSES = (
    100,
    200,
    202,
    299,
    300,
    302,
    400,
    401,
    403,
    404,
    407,
    408,
    420,
    423,
    430,
    439,
    480,
    500,
    503,
    600,
    699,
)
FIELDS = {
    "Contact": ("", "*", "<sip:a@b>;expires=60", "<sip:a@b>;expires=x, <sip:c@d>", "nonsense <", "<sip:>"),
    "Expires": ("0", "1", "60", "-1", "4294967296", "99999999999", "soon", ""),
    "Min-Expires": ("0", "60", "3601", "604800", "604801", "x", ""),
    "Retry-After": ("0", "30", "999999", "x", "18000;duration=3600", "5 (busy)"),
    "WWW-Authenticate": (
        f'Digest realm="{REALM}", nonce="a"', f'Digest realm="{REALM}", nonce="b", stale=true',
        f'Digest realm="{REALM}", nonce="c", algorithm=SHA-512', 'Digest realm="other", nonce="a"',
        "Digest", "Basic x", "",
    ),
    "Proxy-Authenticate": (f'Digest realm="{REALM}", nonce="p", qop="auth,auth-int"', "Digest realm=x"),
    "Service-Route": ("<sip:edge.example;lr>", "nonsense", "<sip:a>," * 30 + "<sip:b>", "x" * 4000),
    "P-Associated-URI": ("<sip:+49@a>", "<tel:+49>, <sip:b@c>", ""),
}  # fmt: skip


def answers(made: Stage, random: Random, request: Request) -> None:
    """Any answer, well formed as a message and otherwise as chance has it."""
    response = response_to(request, random.choice(STATUSES), "", "registrar")
    for name, values in FIELDS.items():
        if random.random() < 0.5:
            response.headers.add(name, random.choice(values))
    made.carrier.say(response)


def step(made: Stage, random: Random) -> None:
    """Something happens: an answer, the connection closes, nobody can be reached, time passes."""
    if made.carrier.heard and random.random() < 0.8:
        heard = made.carrier.heard.popleft()
        if isinstance(heard, Request):
            answers(made, random, heard)
    elif random.random() < 0.1:
        made.closes(made.carrier)
    elif random.random() < 0.1:
        made.dead ^= {"carrier"}
    look(made, random.choice((0, 1, 5, 40, 700)))


def recovers(made: Stage) -> None:
    """Whatever was, within the longest wait a registrar that behaves has us registered."""
    made.dead.clear()
    made.carrier.heard.clear()
    end = made.now + LONGEST_WAIT + 600
    fresh = False
    while made.now < end and not (of(made).state == "registered" and fresh):
        look(made, 5)
        while made.carrier.heard:
            heard = made.carrier.heard.popleft()
            if isinstance(heard, Request) and "Authorization" in heard.headers:
                accept(made, heard)
                fresh = True
            elif isinstance(heard, Request):
                ask(made, heard)
    assert of(made).state == "registered" and of(made).until > made.now


@pytest.mark.parametrize("seed", range(30))
def test_no_answer_leaves_a_trunk_unregistered_for_good(seed: int) -> None:
    random = Random(seed)
    made = stage()
    for _ in range(60):
        step(made, random)
        each = of(made)
        assert each.busy or each.state in ("registered", "failed", "trying")
        assert each.state != "registered" or (each.until > made.now and each.flow is not None)
    recovers(made)


STEPS = [
    (owner, name)
    for owner in (Registration, Turn)
    for name, value in vars(owner).items()
    if isinstance(value, FunctionType) and not name.startswith("__") and name not in ("tick", "leave")
]


@pytest.mark.pure
@pytest.mark.parametrize(("owner", "name"), STEPS, ids=[name for _, name in STEPS])
def test_a_fault_of_our_own_leaves_no_trunk_unregistered_for_good(
    owner: Any, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = registered()
    real = getattr(owner, name)
    failed: list[str] = []

    def fails_once(*arguments: Any) -> Any:
        if not failed:
            failed.append(name)
            raise RuntimeError(name)
        return real(*arguments)

    monkeypatch.setattr(owner, name, fails_once)
    for _ in range(3):
        with contextlib.suppress(RuntimeError):
            made.closes(made.carrier)
        for _ in range(8):
            with contextlib.suppress(RuntimeError):
                look(made, 10)
                while made.carrier.heard:
                    heard = made.carrier.heard.popleft()
                    assert isinstance(heard, Request)
                    ask(made, heard) if "Authorization" not in heard.headers else accept(made, heard)
    recovers(made)
