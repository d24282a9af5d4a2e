"""A second reading beside a snapshot: what has not changed is taken over, what has is read."""

from __future__ import annotations

import time

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import CARRIER, Write


def test_only_what_has_changed_is_read_again(write: Write) -> None:
    directory = write({"trunks.d/office.yaml": CARRIER.replace("trunk: carrier", "trunk: office")})
    former = build_snapshot(directory, time.time())
    path = directory / "trunks.d" / "office.yaml"
    path.write_text(path.read_text() + "ring_timeout: 9\n")
    fresh = build_snapshot(directory, time.time(), former)
    assert fresh.trunks["carrier"] is former.trunks["carrier"]
    assert fresh.trunks["office"].ring_timeout == 9.0 != former.trunks["office"].ring_timeout
    assert fresh.version == build_snapshot(directory, time.time()).version != former.version


def test_the_same_text_is_checked_against_what_is_new_around_it(write: Write) -> None:
    directory = write({})
    former = build_snapshot(directory, time.time())
    settings = directory / "sbc.yaml"
    settings.write_text(settings.read_text().replace("carrier-ca", "other-ca"))
    with pytest.raises(ConfigError) as refused:
        build_snapshot(directory, time.time(), former)
    with pytest.raises(ConfigError) as anew:
        build_snapshot(directory, time.time())
    assert refused.value.diagnostics == anew.value.diagnostics
    assert any(each.path.startswith("trunks.d/") for each in refused.value.diagnostics)


def test_a_file_under_another_name_is_read_under_that(write: Write) -> None:
    directory = write({})
    former = build_snapshot(directory, time.time())
    (path,) = (directory / "trunks.d").iterdir()
    path.rename(path.with_name("zz.yaml"))
    fresh = build_snapshot(directory, time.time(), former)
    assert all(place.startswith("trunks.d/zz.yaml:") for place in fresh.places["carrier"].values())
    assert set(fresh.trunk_files) == {"trunks.d/zz.yaml"}
