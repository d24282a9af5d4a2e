"""Prometheus of Debian as a peer that scrapes, and its tool; what our rules and our dashboard ask for."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.peers.process import PeerProcess, find, listening

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "packaging" / "prometheus" / "portcullis.rules.yml"
DASHBOARD = ROOT / "packaging" / "grafana" / "portcullis.json"
_METRIC = re.compile(r"\bsbc_[a-z_]+")
_LABEL = re.compile(r"(?:[{,]\s*(\w+)\s*(?:=|!))|(?:\b(?:by|on)\s*\(([\w, ]+)\))")


def rules() -> list[dict[str, Any]]:
    """The rules that we ship."""
    (group,) = YAML(typ="safe").load(RULES)["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def dashboard() -> dict[str, Any]:
    """The dashboard that we ship."""
    found: dict[str, Any] = json.loads(DASHBOARD.read_text("utf-8"))
    return found


def questions() -> Iterator[str]:
    """What the rules and the dashboard ask of Prometheus."""
    for rule in rules():
        yield str(rule["expr"])
    found = dashboard()
    for panel in found["panels"]:
        for target in panel.get("targets", ()):
            yield str(target["expr"])
    for variable in found["templating"]["list"]:
        yield str(variable.get("definition", ""))


def metrics_asked() -> set[str]:
    """Every metric of ours that they name, by its family."""
    return {
        re.sub(r"(?<=mos|tio|nds)_(bucket|sum|count)$", "", name)
        for question in questions()
        for name in _METRIC.findall(question)
    }


def families(exposition: str) -> dict[str, set[str]]:
    """Every metric that is exposed, with the labels that it has there."""
    found: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        if line.startswith("# TYPE "):
            found.setdefault(line.split()[2], set())
        elif line and not line.startswith("#"):
            name = re.split(r"[{ ]", line)[0]
            name = name if name in found else re.sub(r"_(bucket|sum|count)$", "", name)
            found[name] |= set(re.findall(r'(\w+)="', line))
    return found


def promtool(*words: str, given: str = "") -> str:
    """What ``promtool WORDS`` prints; it must find nothing wrong."""
    done = subprocess.run(
        [find("promtool"), *words], input=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Prometheus(PeerProcess):
    """Prometheus with ``config`` (prometheus.yml) on ``port`` of the loopback."""

    def __init__(self, name: str, directory: Path, config: str, port: int) -> None:
        self.port = port
        (directory / "prometheus.yml").write_text(config)
        argv = [
            find("prometheus"), f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'tsdb'}", f"--web.listen-address=127.0.0.1:{port}",
        ]  # fmt: skip
        super().__init__(name, directory, argv)

    def ready(self) -> None:
        """Wait until it answers questions: it listens before, and says 503 until its storage is open."""
        self.wait_until(lambda: listening(self.port) and self._answers(), 30, f"ready on {self.port}")

    def _answers(self) -> bool:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", "/-/ready")
            return connection.getresponse().status == HTTPStatus.OK
        finally:
            connection.close()
