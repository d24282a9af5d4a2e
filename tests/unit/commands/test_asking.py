"""Asking a running SBC is cheap: what a monitoring system asks often does not first load an SBC."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers import product

HEAVY = ("gevent", "pydantic", "cryptography", "lark", "sbc.config.model", "sbc.net")
ASKED = """
import sys
from sbc.cli import main
status = main(sys.argv[1:])
print(status, *(name for name in %r if name in sys.modules))
"""


@pytest.mark.parametrize("words", [("status",), ("calls", "--json")])
def test_what_asks_a_running_one_loads_none(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "sbc.yaml").write_text("control: run/elsewhere.sock\n")
    done = subprocess.run(
        [sys.executable, "-P", "-c", ASKED % (HEAVY,), *words, "-c", str(tmp_path)],
        env=product.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["1"], done
    assert f"no Portcullis answers on {tmp_path}/run/elsewhere.sock" in done.stderr
