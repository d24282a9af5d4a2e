"""What stands before every function of a call's way, and lets one of them fail at one moment."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any

import pytest

import sbc.b2bua.facts
import sbc.b2bua.leg
import sbc.b2bua.life
import sbc.b2bua.redirects
import sbc.b2bua.screening
import sbc.b2bua.told
import sbc.b2bua.translate
import sbc.policy.downgrade
import sbc.policy.headers
from dsl.ruleset import RuleSet
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import Call
from sbc.b2bua.dialogs import Dialogs, Fork
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.joining import Joining
from sbc.b2bua.leg import Leg
from sbc.b2bua.mirror import Mirror
from sbc.b2bua.reception import Reception
from sbc.b2bua.referral import Referral, Stand
from sbc.b2bua.setup import Setup
from sbc.b2bua.takeover import Takeover
from sbc.media.session import MediaSession
from sbc.net.hooks.run import HookRun
from sbc.net.media.embedded import MediaIO
from sbc.net.media.ports import BoundPorts
from sbc.policy.limits import CallLimits
from sbc.policy.rule_limits import RuleLimits
from sbc.sip.dialog import Dialog

CLASSES = (
    Setup, Invitation, Attempt, Mirror, AnsweredInvite, Call, Fork, Leg, Reception, Dialogs,
    CallLimits, RuleLimits, RuleSet, MediaIO, MediaSession, BoundPorts, HookRun, Dialog,
    Referral, Stand, Joining, Takeover,
)  # fmt: skip
MODULES = (
    sbc.b2bua.translate, sbc.b2bua.redirects, sbc.b2bua.screening, sbc.b2bua.facts, sbc.b2bua.told,
    sbc.b2bua.life, sbc.b2bua.leg, sbc.b2bua.mirror, sbc.policy.downgrade,
    sbc.policy.headers, sbc.b2bua.transfers, sbc.b2bua.session,
)  # fmt: skip
# What gives something back, or writes the last word, has no substitute: these fail once only.
LAST_WORDS = (
    "CallLimits.release", "RuleLimits.release", "RuleLimits._release", "Dialogs.unregister", "MediaIO.delete",
    "MediaSession.", "BoundPorts.", "Leg.", "leg.", "Fork.", "Dialog.",
)  # fmt: skip
TESTS_OWN = ("MediaIO.query", "MediaIO.free_ports", "CallLimits.calls", "MediaIO.close", "MediaIO.idle")


class Fault(Exception):
    """A mistake of ours."""


class Injector:
    """Stands before every function; ``seen`` are those that ran, ``armed`` is the one that fails."""

    def __init__(self) -> None:
        self.event = ""
        self.seen: dict[tuple[str, str], None] = {}
        self.armed: tuple[str, str] | None = None
        self.always = False
        self.hits = 0

    def arm(self, armed: tuple[str, str] | None, always: bool = False) -> None:
        self.event, self.armed, self.always, self.hits = "", armed, always, 0

    def passes(self, name: str) -> None:
        self.seen[self.event, name] = None
        if self.armed is None or self.armed[1] != name:
            return
        if (self.hits and self.always) or (not self.hits and self.armed[0] == self.event):
            self.hits += 1
            raise Fault(f"{name} at {self.event}")

    def before(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def guarded(*arguments: Any, **named: Any) -> Any:
            self.passes(name)
            return function(*arguments, **named)

        return guarded


INJECTOR = Injector()


@pytest.fixture(scope="module", autouse=True)
def injected() -> Iterator[None]:
    """Every function of the classes and modules above is found by the injector first."""
    with pytest.MonkeyPatch.context() as patch:
        for owner in CLASSES:
            for name, value in list(vars(owner).items()):
                if isinstance(value, FunctionType) and (not name.startswith("__") or name == "__init__"):
                    if (full := f"{owner.__name__}.{name}") not in TESTS_OWN:
                        patch.setattr(owner, name, INJECTOR.before(full, value))
        users = [each for name, each in sys.modules.items() if name.startswith("sbc.") and each]
        for module in MODULES:
            for name, value in list(vars(module).items()):
                if isinstance(value, FunctionType) and value.__module__ == module.__name__:
                    _replace(patch, users, value, f"{module.__name__.rpartition('.')[2]}.{name}")
        yield


def _replace(patch: pytest.MonkeyPatch, users: list[ModuleType], function: FunctionType, full: str) -> None:
    guarded = INJECTOR.before(full, function)
    for user in users:
        for name, value in list(vars(user).items()):
            if value is function:
                patch.setattr(user, name, guarded)
