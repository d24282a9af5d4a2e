"""A directory with the lab's certificates and a right configuration."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from sbc.demo.pki import write_lab
from tests.unit.config.configuration import FILES, Write


@pytest.fixture(scope="session")
def lab_tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lab's certificates, made once."""
    directory = tmp_path_factory.mktemp("lab")
    write_lab(directory, time.time())
    return directory / "tls"


@pytest.fixture
def write(tmp_path: Path, lab_tls: Path) -> Write:
    """Write the right configuration with some files replaced or added; returns its directory."""

    def write_files(files: dict[str, str]) -> Path:
        shutil.copytree(lab_tls, tmp_path / "tls", dirs_exist_ok=True)
        for name, text in (FILES | files).items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write_files
