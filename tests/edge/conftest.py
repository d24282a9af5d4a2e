"""What many tests of the edge begin with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.tls_lab import OK, Lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A TLS listener whose requests are answered; a test adds the trunks and starts it."""
    made = Lab(tmp_path)
    made.listener("tls")
    made.recorder.answer = OK
    yield made
    made.close()
