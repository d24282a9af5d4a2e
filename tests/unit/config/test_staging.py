"""Moving certificates in and out of place: in one step each, with the right owner, and back again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.base import LocalError
from sbc.config import staging
from sbc.tls.lifetime.staged import EntryFiles, PairFiles, load_whole
from tests.peers.small_disk import mounted_disk
from tests.unit.tls.certs import GOOD, NOW, OTHER

FILES = PairFiles("sbc.pem", "sbc.key")
OLD = GOOD.issue(dns=["sbc.example"])
NEW = OTHER.issue(dns=["sbc.example"])


@pytest.fixture
def tls(tmp_path: Path) -> Path:
    (tmp_path / "sbc.pem").write_bytes(OLD.chain_pem)
    (tmp_path / "sbc.key").write_bytes(OLD.key_pem)
    (tmp_path / "sbc.key").chmod(0o640)
    (tmp_path / "new.pem").write_bytes(NEW.chain_pem)
    (tmp_path / "new.key").write_bytes(NEW.key_pem)
    return tmp_path


def stage(tls: Path) -> list[str]:
    return staging.stage_pair(FILES, tls, tls / "new.pem", tls / "new.key", NOW)


def paths(tls: Path) -> list[Path]:
    return [tls / "sbc.pem", tls / "sbc.key"]


def content(tls: Path) -> dict[str, str]:
    """Which certificate lies in each file of the identity."""
    names = {OLD.chain_pem: "old", OLD.key_pem: "old", NEW.chain_pem: "new", NEW.key_pem: "new"}
    return {each.name: names[each.read_bytes()] for each in sorted(tls.glob("sbc.*"))}


def test_staging_keeps_the_permissions_of_the_key_beside_it(tls: Path) -> None:
    stage(tls)
    assert (tls / "sbc.key.next").stat().st_mode & 0o777 == 0o640
    assert content(tls) == {"sbc.key": "old", "sbc.key.next": "new", "sbc.pem": "old", "sbc.pem.next": "new"}


def test_a_key_that_stands_beside_nothing_is_for_us_alone(tmp_path: Path) -> None:
    staging.put_pair(FILES, tmp_path, NEW.chain_pem, NEW.key_pem)
    assert (tmp_path / "sbc.key.next").stat().st_mode & 0o777 == 0o600


def test_retiring_and_rolling_back_are_each_others_opposite(tls: Path) -> None:
    stage(tls)
    staging.retire(paths(tls))
    retired = {"sbc.key": "new", "sbc.key.old": "old", "sbc.pem": "new", "sbc.pem.old": "old"}
    assert content(tls) == retired
    assert (tls / "sbc.key").stat().st_mode & 0o777 == 0o640
    staging.roll_back(paths(tls))
    assert content(tls) == {"sbc.key": "old", "sbc.key.next": "new", "sbc.pem": "old", "sbc.pem.next": "new"}
    staging.retire(paths(tls))
    assert content(tls) == retired


def test_a_chain_that_keeps_its_key_moves_alone(tls: Path) -> None:
    (tls / "sbc.key.old").write_bytes(NEW.key_pem)
    (tls / "new.pem").write_bytes(OLD.chain_pem)
    staging.stage_pair(FILES, tls, tls / "new.pem", None, NOW)
    assert not (tls / "sbc.key.next").exists()
    staging.retire(paths(tls))
    assert not (tls / "sbc.key.old").exists(), "what is left of an earlier rotation would come back with it"
    staging.roll_back(paths(tls))
    assert load_whole("sbc", FILES, tls, NOW)[0] is not None


class Crash(Exception):
    """The power goes."""


def crashing(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Let the file system stop after ``after`` renames."""
    whole, done = Path.replace, iter(range(after))

    def replace(self: Path, target: Any) -> Path:
        if next(done, None) is None:
            raise Crash
        return whole(self, target)

    monkeypatch.setattr(Path, "replace", replace)


@pytest.mark.parametrize("step", ["retire", "roll_back"])
@pytest.mark.parametrize("after", range(5))
def test_whenever_the_power_goes_the_pair_is_whole_and_can_be_finished(
    tls: Path, monkeypatch: pytest.MonkeyPatch, step: str, after: int
) -> None:
    stage(tls)
    if step == "roll_back":
        staging.retire(paths(tls))
    with monkeypatch.context() as patched:
        crashing(patched, after)
        try:
            getattr(staging, step)(paths(tls))
            crashed = False
        except Crash:
            crashed = True
    assert crashed is (after < 4), "two copies and two moves"
    material, problems = load_whole("sbc", FILES, tls, NOW, ("CN=good CA", "CN=other CA"))
    assert material is not None and not [each for each in problems if each.fatal]
    moved = after >= 3
    assert (material.issuer == "CN=other CA") is (moved is (step == "retire"))
    staging.finish(FILES, tls, NOW)
    found = content(tls)
    assert found["sbc.pem"] == found["sbc.key"] == ("new" if moved is (step == "retire") else "old")
    assert not staging.finish(FILES, tls, NOW)


def test_nothing_is_put_in_place_of_what_cannot_be_used(tls: Path) -> None:
    (tls / "new.key").write_bytes(OLD.key_pem)
    with pytest.raises(LocalError, match=r"the key is not the key of .*; nothing was put in place"):
        stage(tls)
    assert content(tls) == {"sbc.key": "old", "sbc.pem": "old"}


def test_the_refusal_holds_no_key(tls: Path) -> None:
    mark = b"PRIVATE " + b"KEY-----\n"
    (tls / "new.key").write_bytes(b"-----BEGIN " + mark + b"c2VjcmV0\n-----END " + mark)
    with pytest.raises(LocalError) as refused:
        stage(tls)
    assert "c2VjcmV0" not in str(refused.value)


class TestEntries:
    @pytest.fixture
    def given(self, tmp_path: Path) -> Iterator[Path]:
        (tmp_path / "ca.pem").write_bytes(GOOD.cert_pem)
        (tmp_path / "given.pem").write_bytes(OTHER.cert_pem)
        yield tmp_path / "given.pem"

    def test_a_new_authority_is_put_beside_the_old_one(self, given: Path) -> None:
        assert staging.stage_entry(EntryFiles(ca="ca.pem"), given.parent, given, NOW) == []
        assert given.with_name("ca.pem.next").read_bytes() == OTHER.cert_pem

    @pytest.mark.parametrize(
        ("entry", "said"),
        [
            (EntryFiles(pin=("sha256/" + "0" * 64,)), "a pin is in sbc.yaml, not in a file"),
            (EntryFiles(leaf=("a.pem", "b.pem")), "the entry has 2 files: put the new one beside its own"),
        ],
    )
    def test_what_is_not_one_file_is_said_how(self, given: Path, entry: EntryFiles, said: str) -> None:
        with pytest.raises(LocalError, match=said):
            staging.stage_entry(entry, given.parent, given, NOW)

    def test_a_key_is_refused(self, given: Path) -> None:
        given.write_bytes(NEW.key_pem)
        with pytest.raises(LocalError, match="private key in the truststore"):
            staging.stage_entry(EntryFiles(ca="ca.pem"), given.parent, given, NOW)
        assert not given.with_name("ca.pem.next").exists()


def test_a_directory_that_cannot_be_written_is_named(tls: Path) -> None:
    with pytest.raises(LocalError, match=r"nowhere/sbc.key.next cannot be written"):
        staging.put_pair(PairFiles("nowhere/sbc.pem", "nowhere/sbc.key"), tls, b"", b"")


def test_on_a_full_disk_nothing_is_put_in_place_and_room_is_asked_for(
    tls: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    given = tmp_path_factory.mktemp("given")
    for name in ("new.pem", "new.key"):
        (tls / name).rename(given / name)
    here = {each: (tls / each).read_bytes() for each in ("sbc.pem", "sbc.key")}
    with mounted_disk(tls, 1 << 16):
        for name, data in here.items():
            (tls / name).write_bytes(data)
        filler = tls / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while file.write(bytes(1024)):
                pass
        with pytest.raises(LocalError, match=r"cannot be written: .*; make room on its disk"):
            staging.stage_pair(FILES, tls, given / "new.pem", given / "new.key", NOW)
        assert content(tls) == {"sbc.key": "old", "sbc.pem": "old"}
        filler.unlink()
        staging.stage_pair(FILES, tls, given / "new.pem", given / "new.key", NOW)
        assert content(tls)["sbc.key.next"] == "new"
