"""The example of docs/acme.md is a configuration that passes, and the page knows every key and every line."""

from __future__ import annotations

import inspect
import re
import time
from pathlib import Path

from sbc.config.acme import acme_names, ordered
from sbc.config.load import build_snapshot
from sbc.config.model import Acme
from sbc.net.acme import keeper as acme

PAGE = (Path(__file__).parents[3] / "docs" / "acme.md").read_text("utf-8")


def test_the_example_is_right(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n# sbc.yaml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "sbc.yaml").write_text(example)
    (tmp_path / "routes.d").mkdir()
    (tmp_path / "routes.d/10.yaml").write_text("rules: [{name: no, when: true, then: reject 404}]\n")
    snapshot = build_snapshot(tmp_path, time.time())
    assert ordered(snapshot.settings) == ("acme",)
    assert acme_names(snapshot.settings, "acme") == ("sbc.acme.example",)
    assert any("no certificate yet" in each.message for each in snapshot.warnings)


def test_every_key_is_explained() -> None:
    assert [key for key in Acme.model_fields if f"| `{key}` |" not in PAGE] == []
    for key, field in Acme.model_fields.items():
        if key == "listen":
            assert f"| `{key}` | `{field.default}` |" in PAGE


def test_the_journal_lines_have_the_words_that_are_written() -> None:
    source = inspect.getsource(acme)
    shown = {
        word
        for line in re.findall(r"^\w{3} \[acme\] .*", PAGE, re.M)
        for word in re.findall(r" (\w+)=", line)
    }
    shown |= {"times", "again"}
    assert [word for word in shown if f'"{word}": ' not in source] == []
