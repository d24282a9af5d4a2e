"""Loud skips: a test that needs a program or library which is not there says what to install."""

from __future__ import annotations

import pytest

from tests.peers.pjsip import interpreter
from tests.peers.process import MissingProgram, find


def needs(*programs: str) -> None:
    """Skip the test unless every program is installed; ``pjsua2`` is the library."""
    missing = []
    for each in programs:
        try:
            interpreter() if each == "pjsua2" else find(each)
        except MissingProgram as reason:
            missing.append(str(reason))
    if missing:
        pytest.skip("; ".join(missing))
