"""build_snapshot as a whole: everything at once, files that cannot be read, what a snapshot holds."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from dsl.errors import Diagnostic
from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from tests.unit.config.configuration import CARRIER, ROUTES, SBC, Write

OFFICE = "trunk: office\nlistener: tls\ntls: {trust: [lab-ca], server_identity: s}\n"
ROOT = Path(__file__).parents[3]


def build(directory: Path) -> Snapshot:
    return build_snapshot(directory, time.time())


def refused(directory: Path) -> tuple[Diagnostic, ...]:
    """The diagnostics that a configuration is refused with."""
    with pytest.raises(ConfigError) as refusal:
        build(directory)
    return refusal.value.diagnostics


def places(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    return [f"{each.path}:{each.line}" for each in diagnostics if "no intermediate" not in each.message]


def test_a_file_that_only_seems_to_be_read_is_told(write: Write) -> None:
    names = ("routes.d/20.YAML", "routes.d/30.yaml.txt", "routes.d/40.yml", "trunks.d/b.Yaml", "hooks/a.PY")
    unnoticed = ("routes.d/10.yaml~", "routes.d/.10.yaml.swp", "routes.d/#10.yaml#", "routes.d/README")
    told = build(write(dict.fromkeys((*names, *unnoticed), "?"))).warnings
    found = {each.path: each.message for each in told if "is ignored" in each.message}
    assert found == {
        name: f"is ignored: only *{'.py' if name.endswith('PY') else '.yaml'} is read" for name in names
    }
    hints = {each.path: each.hint for each in told if each.path in names}
    assert hints["routes.d/30.yaml.txt"] == "rename it to 30.yaml, or remove it"


@pytest.mark.parametrize("name", ["routes.d/b\udcfcro.yaml", "trunks.d/b\udcfcro.yaml", "hooks/b\udcfcro.py"])
def test_a_file_whose_name_is_not_utf_8_is_told(write: Write, name: str) -> None:
    directory = write({})
    (directory / name).parent.mkdir(exist_ok=True)
    (directory / name).write_text("")
    (told,) = [each for each in refused(directory) if each.severity == "error"]
    assert (told.path, told.message) == (
        name.replace("\udcfc", r"\xfc"),
        "the name of this file is not UTF-8",
    )
    (directory / name).rename(directory / name.replace("\udcfc", "\u00fc"))
    if name.startswith("routes"):
        (directory / name.replace("\udcfc", "\u00fc")).write_text("rules: []\n")
        build(directory)


def test_a_broken_table_is_told_alone(write: Write) -> None:
    rule = "rules:\n  - name: out\n    when: date in table.holidays\n    then: reject 480\n"
    files = {
        "sbc.yaml": f"{SBC}tables: {{holidays: h.csv}}\n",
        "h.csv": "date,x\n24.12.,1\n",
        "routes.d/10.yaml": rule,
    }
    told = [each for each in refused(write(files)) if "no intermediate" not in each.message]
    assert [(each.path, each.line) for each in told] == [("h.csv", 2)]


class TestARightOne:
    def test_it_holds_what_the_files_say(self, write: Write) -> None:
        snapshot = build(write({"hooks/a.py": "def on_route(facts, decision):\n    return None\n"}))
        assert list(snapshot.trunks) == ["carrier"]
        assert snapshot.trunks["carrier"].peers[0] == ("127.0.0.1", 16061)
        assert snapshot.identities["sbc"].subject == "CN=sbc.lab.example"
        assert snapshot.anchors["carrier-ca"].subjects == ("CN=Carrier CA",)
        assert (len(snapshot.rules), [hook.path for hook in snapshot.hooks.route]) == (1, ["hooks/a.py"])
        assert [each.severity for each in snapshot.warnings] == ["warning"]

    def test_editors_leavings_are_passed_over(self, write: Write) -> None:
        junk = {
            "trunks.d/.a.yaml": "{",
            "trunks.d/a.yaml~": "{",
            "trunks.d/#a.yaml#": "{",
            "hooks/.x.py": "(",
        }
        assert list(build(write(junk)).trunks) == ["carrier"]

    def test_a_yml_file_is_not_ignored_in_silence(self, write: Write) -> None:
        snapshot = build(write({"trunks.d/b.yml": CARRIER}))
        warned = [each for each in snapshot.warnings if each.path == "trunks.d/b.yml"]
        assert [each.hint for each in warned] == ["rename it to b.yaml, or remove it"]

    def test_without_trunks_and_rules_it_warns(self, write: Write) -> None:
        directory = write({})
        shutil.rmtree(directory / "trunks.d")
        shutil.rmtree(directory / "routes.d")
        assert places(build(directory).warnings) == ["routes.d:0", "trunks.d:0"]

    def test_a_byte_order_mark_and_windows_line_ends_are_read(self, write: Write) -> None:
        directory = write({})
        (directory / "sbc.yaml").write_bytes(b"\xef\xbb\xbf" + SBC.replace("\n", "\r\n").encode())
        assert "tls" in build(directory).settings.listeners


class TestEverythingAtOnce:
    def test_the_mistakes_of_all_files_in_reading_order(self, write: Write) -> None:
        files = {
            "sbc.yaml": SBC.replace("5060, transport", "5061, transprot").replace("tls/sbc.key", "tls/x.key"),
            "trunks.d/carrier.yaml": CARRIER.replace("listener: tls", "listener: tsl").replace(
                "accept", "no"
            ),
            "trunks.d/office.yaml": OFFICE,
            "routes.d/10.yaml": ROUTES.replace('"carrier"', '"carier"').replace("when: true", "when: trunck"),
            "hooks/a.py": "def on_rout(facts, decision):\n    return None\n",
        }
        assert places(refused(write(files))) == [
            "sbc.yaml:3", "sbc.yaml:3", "sbc.yaml:7",
            "hooks/a.py:1", "routes.d/10.yaml:3", "routes.d/10.yaml:4",
            "trunks.d/carrier.yaml:4", "trunks.d/carrier.yaml:11",
            "trunks.d/office.yaml:1", "trunks.d/office.yaml:3", "trunks.d/office.yaml:3",
        ]  # fmt: skip

    def test_a_broken_entry_is_told_once_and_not_called_unknown(self, write: Write) -> None:
        told = refused(write({"sbc.yaml": SBC.replace("transport: tls", "transport: tsl")}))
        assert places(told) == ["sbc.yaml:2"]

    def test_a_broken_block_hides_no_mistake_beside_it(self, write: Write) -> None:
        trunk = CARRIER.replace("mode: required", "mode: requird").replace("listener: tls", "listener: tsl")
        assert places(refused(write({"trunks.d/carrier.yaml": trunk}))) == [
            "trunks.d/carrier.yaml:4", "trunks.d/carrier.yaml:6",
        ]  # fmt: skip

    def test_every_duplicate_key_of_a_file(self, write: Write) -> None:
        trunk = CARRIER + "srtp: off\nlistener: udp\n"
        assert places(refused(write({"trunks.d/carrier.yaml": trunk}))) == [
            "trunks.d/carrier.yaml:12", "trunks.d/carrier.yaml:13",
        ]  # fmt: skip

    def test_one_trunk_in_two_files(self, write: Write) -> None:
        (told,) = (d for d in refused(write({"trunks.d/z.yaml": CARRIER})) if d.severity == "error")
        assert (told.path, told.line, told.col) == ("trunks.d/z.yaml", 1, 8)
        assert told.hint == "it is also in trunks.d/carrier.yaml:1; one trunk, one file"

    def test_two_trunks_with_one_address_and_no_certificates(self, write: Write) -> None:
        plain = "trunk: {}\npeers: [192.0.2.1:5060]\nsources: [192.0.2.1]\nlistener: udp\n"
        files = {"trunks.d/a.yaml": plain.format("a"), "trunks.d/b.yaml": plain.format("b")}
        assert places(refused(write(files))) == ["trunks.d/b.yaml:3"]

    def test_a_failing_test_of_a_rule_file(self, write: Write) -> None:
        tests = "tests:\n  - given: {trunk: carrier}\n    expect: {reject: 404}\n"
        assert places(refused(write({"routes.d/10.yaml": ROUTES + tests}))) == ["routes.d/10.yaml:7"]


class TestUnreadable:
    def test_no_directory(self, tmp_path: Path) -> None:
        assert "there is no such directory" in str(refused(tmp_path / "nowhere")[0])

    def test_no_sbc_yaml(self, write: Write) -> None:
        directory = write({})
        (directory / "sbc.yaml").unlink()
        assert str(refused(directory)[0]).startswith(
            "sbc.yaml: error: cannot be read: no such file or directory"
        )

    def test_a_directory_in_place_of_a_file(self, write: Write) -> None:
        directory = write({})
        (directory / "trunks.d" / "x.yaml").mkdir()
        assert places(refused(directory)) == ["trunks.d/x.yaml:0"]

    def test_a_fifo_does_not_block(self, write: Write) -> None:
        directory = write({})
        os.mkfifo(directory / "trunks.d" / "x.yaml")
        assert places(refused(directory)) == ["trunks.d/x.yaml:0"]

    def test_a_dangling_link(self, write: Write) -> None:
        directory = write({})
        (directory / "routes.d" / "x.yaml").symlink_to("nowhere")
        assert places(refused(directory)) == ["routes.d/x.yaml:0"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_no_permission(self, write: Write) -> None:
        directory = write({})
        (directory / "trunks.d" / "carrier.yaml").chmod(0)
        (denied,) = [str(each) for each in refused(directory) if str(each.path) == "trunks.d/carrier.yaml"]
        assert "permission denied" in denied

    def test_permission_is_explained(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        directory, real = write({}), Path.read_bytes

        def deny(path: Path) -> bytes:
            if path.name == "carrier.yaml":
                raise PermissionError(13, "Permission denied")
            return real(path)

        monkeypatch.setattr(Path, "read_bytes", deny)
        told = next(each for each in refused(directory) if each.path == "trunks.d/carrier.yaml")
        assert told.message == "cannot be read: permission denied"
        assert told.hint == "let the user that runs sbc read it: chown or chmod"

    def test_what_is_not_utf8(self, write: Write) -> None:
        directory = write({})
        (directory / "trunks.d" / "carrier.yaml").write_bytes(b"trunk: carrier\ndomain: \xff\n")
        told = next(each for each in refused(directory) if each.path == "trunks.d/carrier.yaml")
        assert (told.line, told.col, told.message) == (2, 9, "the file is not UTF-8")

    def test_a_control_character(self, write: Write) -> None:
        told = refused(write({"trunks.d/carrier.yaml": "trunk: carrier\ndomain: a\0b\n"}))
        assert (told[-1].path, told[-1].line, told[-1].col) == ("trunks.d/carrier.yaml", 2, 10)


class TestSecrets:
    @pytest.mark.parametrize("line", ["password: hunter2", '"Passphrase":   hunter2', "auth_token: hunter2"])
    def test_the_line_is_shown_without_its_secret(self, write: Write, line: str) -> None:
        told = refused(write({"trunks.d/carrier.yaml": f"{CARRIER}{line}\n"}))
        assert "hunter2" not in str(ConfigError(told))
        assert told[-1].source.endswith("***")

    def test_no_key_in_the_text_of_a_snapshot(self, write: Write) -> None:
        snapshot = build(write({}))
        body = snapshot.identities["sbc"].key_pem.splitlines()[1].decode()
        assert body not in repr(snapshot)


class TestVersion:
    def test_it_changes_with_any_byte_and_with_nothing_else(self, write: Write) -> None:
        directory = write({})
        first = build(directory).version
        assert len(first) == 12
        assert build(directory).version == first
        seen = {first}
        for name, text in (
            ("sbc.yaml", SBC + "# comment\n"),
            ("trunks.d/carrier.yaml", CARRIER + "# comment\n"),
            ("routes.d/10.yaml", ROUTES + "# comment\n"),
            ("hooks/a.py", "def on_route(facts, decision):\n    return None\n"),
        ):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
            seen.add(build(directory).version)
        (directory / "trunks.d" / "carrier.yaml").rename(directory / "trunks.d" / "renamed.yaml")
        seen.add(build(directory).version)
        (directory / "tls" / "carrier-ca.pem").write_bytes((directory / "tls" / "lab-ca.pem").read_bytes())
        seen.add(build(directory).version)
        assert len(seen) == 7


class TestTheLab:
    """The checkout's own configuration."""

    @pytest.fixture
    def checkout(self, tmp_path: Path) -> Path:
        for name in ("sbc.yaml", "Makefile"):
            shutil.copy(ROOT / name, tmp_path / name)
        for name in ("trunks.d", "routes.d"):
            shutil.copytree(ROOT / name, tmp_path / name)
        return tmp_path

    def test_it_is_right_once_the_certificates_are_made(self, checkout: Path, lab_tls: Path) -> None:
        shutil.copytree(lab_tls, checkout / "tls")
        snapshot = build(checkout)
        assert set(snapshot.trunks) == {"office", "carrier"}
        assert len(snapshot.settings.listeners) == 5

    def test_a_fresh_clone_is_told_how_to_make_them(self, checkout: Path) -> None:
        told = refused(checkout)
        assert {each.path for each in told} == {"sbc.yaml"}
        assert len(told) == 4
        assert all("there is no such file" in each.message for each in told)
        assert all("`make demo` or `make run` makes the lab's certificates" in each.hint for each in told)
