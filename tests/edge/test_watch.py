"""The file watch on real directories: what editors, certbot and configuration tools do to files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from gevent.event import Event

from sbc.config.watched import Watched, watched
from sbc.net.system.watch import Watch, fingerprint

DEBOUNCE = 0.05


class Changes:
    """Counts the reports of a watch and lets a test wait for the next."""

    def __init__(self) -> None:
        self.count = 0
        self._event = Event()

    def __call__(self) -> None:
        self.count += 1
        self._event.set()

    def next(self, timeout: float = 30.0) -> bool:
        """True where a change was reported since the last call, or is within ``timeout`` seconds."""
        happened = bool(self._event.wait(timeout))
        self._event.clear()
        return happened


@pytest.fixture
def changes() -> Changes:
    return Changes()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    root = tmp_path / "etc"
    (root / "trunks.d").mkdir(parents=True)
    (root / "tls").mkdir()
    (root / "sbc.yaml").write_text("identities: {sbc: {chain: tls/sbc.pem, key: tls/sbc.key}}\n")
    (root / "trunks.d" / "a.yaml").write_text("trunk: a\n")
    (root / "tls" / "sbc.pem").write_text("old")
    (root / "tls" / "sbc.key").write_text("key")
    return root


@pytest.fixture
def watch(directory: Path, changes: Changes) -> Iterator[Watch]:
    started = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=60.0)
    started.start()
    yield started
    started.close()


@pytest.mark.usefixtures("watch")
class TestNotices:
    """inotify alone: the poll is a minute away."""

    def test_a_file_written_in_place(self, directory: Path, changes: Changes) -> None:
        (directory / "trunks.d" / "a.yaml").write_text("trunk: b\n")
        assert changes.next()

    def test_a_file_replaced_by_rename(self, directory: Path, changes: Changes) -> None:
        for content in ("trunk: b\n", "trunk: c\n"):
            fresh = directory / "trunks.d" / ".a.yaml.new"
            fresh.write_text(content)
            fresh.rename(directory / "trunks.d" / "a.yaml")
            assert changes.next()

    def test_a_file_moved_in_from_elsewhere(self, directory: Path, changes: Changes, tmp_path: Path) -> None:
        fresh = tmp_path / "b.yaml"
        fresh.write_text("trunk: b\n")
        fresh.rename(directory / "trunks.d" / "b.yaml")
        assert changes.next()

    def test_a_file_removed(self, directory: Path, changes: Changes) -> None:
        (directory / "trunks.d" / "a.yaml").unlink()
        assert changes.next()

    def test_a_certificate_dropped_in_place(self, directory: Path, changes: Changes) -> None:
        (directory / "tls" / "sbc.pem").write_text("new")
        assert changes.next()

    def test_a_file_that_becomes_readable(self, directory: Path, changes: Changes) -> None:
        key = directory / "tls" / "sbc.key"
        key.rename(directory / "tls" / "hidden")
        assert changes.next()
        (directory / "tls" / "hidden").rename(key)
        assert changes.next()

    def test_a_directory_that_did_not_exist(self, directory: Path, changes: Changes) -> None:
        (directory / "hooks").mkdir()
        (directory / "hooks" / "a.py").write_text("x = 1\n")
        assert changes.next()
        (directory / "hooks" / "a.py").write_text("x = 2\n")
        assert changes.next()

    def test_a_directory_removed_and_made_again(self, directory: Path, changes: Changes) -> None:
        shutil.rmtree(directory / "trunks.d")
        assert changes.next()
        (directory / "trunks.d").mkdir()
        gevent.sleep(4 * DEBOUNCE)
        (directory / "trunks.d" / "a.yaml").write_text("trunk: again\n")
        assert changes.next()

    def test_the_whole_configuration_replaced(self, directory: Path, changes: Changes) -> None:
        directory.rename(directory.with_name("former"))
        assert changes.next()
        shutil.copytree(directory.with_name("former"), directory)
        assert changes.next()
        (directory / "sbc.yaml").write_text("listeners: {}\n")
        assert changes.next()

    def test_a_new_directory_that_sbc_yaml_names(self, directory: Path, changes: Changes) -> None:
        (directory / "sbc.yaml").write_text("trust: {peer: {ca: ca/peer.pem}}\n")
        assert changes.next()
        (directory / "ca").mkdir()
        (directory / "ca" / "peer.pem").write_text("certificate")
        assert changes.next()


class TestLinks:
    def test_certbot_swaps_a_link(self, directory: Path, changes: Changes, tmp_path: Path) -> None:
        archive = tmp_path / "archive"
        archive.mkdir()
        for number in (1, 2):
            (archive / f"sbc{number}.pem").write_text(f"certificate {number}")
        live = directory / "tls" / "sbc.pem"
        live.unlink()
        live.symlink_to(archive / "sbc1.pem")
        watch = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=60.0)
        watch.start()
        fresh = directory / "tls" / "new"
        fresh.symlink_to(archive / "sbc2.pem")
        os.replace(fresh, live)
        assert changes.next()
        (archive / "sbc2.pem").write_text("written behind the link")
        assert changes.next()
        watch.close()

    def test_a_directory_that_is_a_link(self, directory: Path, changes: Changes, tmp_path: Path) -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.py").write_text(f"name = {name!r}\n")
        (directory / "hooks").symlink_to(tmp_path / "one")
        watch = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=60.0)
        watch.start()
        (directory / "fresh").symlink_to(tmp_path / "two")
        os.replace(directory / "fresh", directory / "hooks")
        assert changes.next()
        (tmp_path / "two" / "a.py").write_text("name = 'three'\n")
        assert changes.next()
        watch.close()


@pytest.mark.usefixtures("watch")
class TestKeepsQuiet:
    def test_about_a_touch(self, directory: Path, changes: Changes) -> None:
        os.utime(directory / "sbc.yaml")
        (directory / "trunks.d" / "a.yaml").write_text("trunk: a\n")
        assert not changes.next(0.4)

    def test_about_files_that_are_not_configuration(self, directory: Path, changes: Changes) -> None:
        (directory / "trunks.d" / ".a.yaml.swp").write_text("editor")
        (directory / "notes.txt").write_text("notes")
        assert not changes.next(0.4)

    def test_and_tells_of_a_burst_once(self, directory: Path, changes: Changes) -> None:
        for number in range(20):
            (directory / "trunks.d" / f"{number}.yaml").write_text(f"trunk: t{number}\n")
        assert changes.next()
        gevent.sleep(0.3)
        assert changes.count == 1


class TestWaitsForWhatIsWritten:
    """Half a table is a table: what is reported has come to its end."""

    ROWS = tuple(f"{number},carrier\n" for number in range(8))

    def written_slowly(self, directory: Path, options: dict[str, float]) -> list[str]:
        """What the file held at each report, while somebody exported it row by row."""
        (directory / "sbc.yaml").write_text("tables: {rates: rates.csv}\n")
        table, seen, reported = directory / "rates.csv", list[str](), Event()

        def look() -> None:
            seen.append(table.read_text())
            reported.set()

        watch = Watch(lambda: watched(directory), look, debounce=0.01, **options)
        watch.start()
        with table.open("w") as file:
            for row in self.ROWS:
                file.write(row)
                file.flush()
                gevent.sleep(0.03)
        assert reported.wait(30)
        watch.close()
        return seen

    def test_until_it_is_closed(self, directory: Path) -> None:
        assert self.written_slowly(directory, {"poll": 0.01}) == ["".join(self.ROWS)]

    def test_until_it_has_rested_where_the_kernel_says_nothing(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("sbc.net.system.watch.INotify", refuse)
        assert self.written_slowly(directory, {"poll": 0.1}) == ["".join(self.ROWS)]

    def test_but_not_for_ever(self, directory: Path, changes: Changes) -> None:
        watch = Watch(lambda: watched(directory), changes, debounce=0.01, poll=0.02, patience=0.1)
        watch.start()
        with (directory / "trunks.d" / "a.yaml").open("a") as file:
            file.write("# and so on\n")
            file.flush()
            assert changes.next(), "nobody closes it, and nobody writes it any more"
        watch.close()

    def test_and_not_for_what_is_no_configuration(self, directory: Path, changes: Changes) -> None:
        watch = Watch(lambda: watched(directory), changes, debounce=0.01, poll=60.0)
        watch.start()
        with (directory / "trunks.d" / "a.log").open("a") as file:
            file.write("a line\n")
            file.flush()
            (directory / "trunks.d" / "a.yaml").write_text("trunk: b\n")
            assert changes.next()
        watch.close()

    def test_a_large_file_is_told_by_its_size_and_time(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sbc.net.system.watch._LARGEST", 3)
        what = [Watched(directory, "sbc.yaml")]
        first = fingerprint(what)
        os.utime(directory / "sbc.yaml", (1, 1))
        assert fingerprint(what) != first


class TestWithoutInotify:
    def test_polling_notices(
        self, directory: Path, changes: Changes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(**_: object) -> None:
            raise OSError(24, "Too many open files")

        monkeypatch.setattr("sbc.net.system.watch.INotify", refuse)
        watch = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=0.1)
        watch.start()
        assert watch.polling_only
        (directory / "tls" / "sbc.pem").write_text("new")
        assert changes.next()
        watch.close()

    def test_polling_notices_what_inotify_cannot(self, directory: Path, changes: Changes) -> None:
        elsewhere = directory.parent / "far" / "deep"
        elsewhere.mkdir(parents=True)
        (elsewhere / "x.yaml").write_text("trunk: x\n")
        (directory / "trunks.d").joinpath("x.yaml").symlink_to(directory.parent / "near" / "x.yaml")
        (directory.parent / "near").symlink_to(elsewhere)
        watch = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=0.1)
        watch.start()
        (directory.parent / "other").mkdir()
        (directory.parent / "other" / "x.yaml").write_text("trunk: y\n")
        (directory.parent / "swap").symlink_to(directory.parent / "other")
        os.replace(directory.parent / "swap", directory.parent / "near")
        assert changes.next()
        watch.close()


class TestTheCallback:
    def test_a_failure_does_not_end_the_watch(
        self, directory: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        seen = Changes()

        def fail() -> None:
            seen()
            raise RuntimeError("reload failed")

        watch = Watch(lambda: watched(directory), fail, debounce=DEBOUNCE, poll=60.0)
        watch.start()
        for number in (1, 2):
            (directory / "sbc.yaml").write_text(f"n: {number}\n")
            assert seen.next()
        watch.close()
        assert "reload failed" in capsys.readouterr().err

    def test_a_change_while_it_runs_is_reported_again(self, directory: Path) -> None:
        seen = Changes()

        def slow() -> None:
            if seen.count == 0:
                (directory / "sbc.yaml").write_text("n: during\n")
            seen()
            gevent.sleep(0.2)

        watch = Watch(lambda: watched(directory), slow, debounce=DEBOUNCE, poll=60.0)
        watch.start()
        (directory / "sbc.yaml").write_text("n: first\n")
        assert seen.next()
        assert seen.next()
        watch.close()

    def test_nothing_is_reported_after_close(self, directory: Path, changes: Changes) -> None:
        watch = Watch(lambda: watched(directory), changes, debounce=DEBOUNCE, poll=0.1)
        watch.start()
        watch.close()
        (directory / "sbc.yaml").write_text("n: 1\n")
        assert not changes.next(0.4)


def test_the_fingerprint_tells_an_unreadable_file_from_a_missing_one(tmp_path: Path) -> None:
    what = [Watched(tmp_path, "*.yaml")]
    empty = fingerprint(what)
    (tmp_path / "a.yaml").mkdir()
    assert fingerprint(what) != empty


def test_a_name_with_glob_characters_is_watched_literally(tmp_path: Path) -> None:
    (tmp_path / "sbc.yaml").write_text("trust: {a: {ca: 'ca[1].pem'}}\n")
    last, beside = watched(tmp_path)[-2:]
    assert last == Watched(tmp_path, "ca[[]1].pem") and beside == Watched(tmp_path, "ca[[]1].pem.next")
