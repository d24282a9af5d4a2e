"""Every step of a rotation, with a running SBC and peers that verify it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from time import time

import pytest

from sbc.demo.lab import SBC_NAME
from sbc.demo.pki import LabAuthority
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.marks import DAY
from tests.edge.rotation_lab import RotationLab, closes, put, running
from tests.edge.sbc_command import ROOT
from tests.edge.sbc_command import sbc as command
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotationLab]:
    with running(tmp_path_factory.mktemp("rot")) as made:
        yield made


def both(lab: RotationLab) -> list[str]:
    """What the two peers are shown that call in on the one port."""
    return [lab.seen_by(lab.first), lab.seen_by(lab.second)]


def test_a_whole_rotation_of_our_own_certificate(lab: RotationLab) -> None:
    """Staged, bound one trunk after another, refused to retire too early, retired, rolled back."""
    assert both(lab) == ["own", "own"]
    assert "not bound" in lab.stage()
    assert both(lab) == ["own", "own"], "what is staged is shown to nobody"

    lab.good("bind", "sbc", "first")
    assert both(lab) == ["next", "own"]
    until_equal(lambda: lab.dialled(lab.first), "next", "and to whom we dial")
    until_equal(lambda: lab.dialled(lab.second), "own")
    until_equal(lambda: lab.states("sbc"), {"first": "ready", "second": "not bound"})

    refused = lab.certs("retire", "sbc").refused_in_one_line()
    assert "not ready: second: not bound" in refused and "first" not in refused and "--force" in refused

    lab.good("bind", "sbc", "second")
    assert both(lab) == ["next", "next"]
    until_equal(lambda: set(lab.states("sbc").values()), {"ready"})
    assert "all are ready: sbc certs retire sbc" in lab.good("ready", "sbc")
    assert "sbc.pem.old" in lab.good("retire", "sbc")
    assert both(lab) == ["next", "next"]
    assert not (lab.tls / "sbc.pem.next").exists()
    assert (lab.tls / "sbc.pem").read_bytes() == lab.next.chain_pem

    lab.good("rollback", "sbc")
    assert (lab.tls / "sbc.pem").read_bytes() == lab.own.chain_pem
    assert both(lab) == ["next", "next"], "one step back is: bound, and not yet retired"
    lab.good("rollback", "sbc", "first")
    assert both(lab) == ["own", "next"]
    lab.good("rollback", "sbc")
    assert both(lab) == ["own", "own"]
    assert "delete" in lab.certs("rollback", "sbc").refused_in_one_line()
    events = [line.partition(" event=")[2].split()[0] for line in lab.journal("[rotation]")]
    assert events == ["staged", "bound", "bound", "retired", '"rolled', "unbound", "unbound"]


def test_a_peer_that_refuses_the_new_one_is_named(lab: RotationLab) -> None:
    lab.first.accepts = lab.authority.cert_pem
    lab.stage()
    lab.good("bind", "sbc", "--all")
    until_equal(lambda: lab.states("sbc"), {"first": "refused", "second": "ready"})
    rows = {line.split()[0]: line for line in lab.good("ready", "sbc").splitlines() if line}
    assert "it refuses the new one: outbound 127.0.0.1: alert unknown_ca" in rows["first"]
    assert "accepted the new one" in rows["second"] and "refuse" not in rows["second"]
    assert "first: refused" in lab.certs("retire", "sbc").refused_in_one_line()
    lab.good("rollback", "sbc", "first")
    until_equal(lambda: lab.dialled(lab.first), "own", "it is back on the old one")


def test_open_connections_are_recycled_and_running_ones_of_others_stay(lab: RotationLab) -> None:
    first, second = lab.first.call_in(lab.address), lab.second.call_in(lab.address)
    lab.stage()
    lab.good("bind", "sbc", "first")
    assert closes(first)
    assert not closes(second, 0.5)


def test_the_doctor_shows_each_trunk_what_the_running_sbc_shows_it(lab: RotationLab) -> None:
    lab.stage()
    lab.good("bind", "sbc", "first")

    def named() -> list[str]:
        found = (command(lab.directory, "doctor", trunk, "--json") for trunk in ("first", "second"))
        return [json.loads(each.out)["ours"]["identity"] for each in found]

    until(lambda: named() == [staged_name("sbc"), "sbc"], "written down soon after")


def test_a_whole_rollover_of_a_peers_authority(lab: RotationLab) -> None:
    """Both trusted, the peer goes over, the old one is retired, and comes back once."""
    peer, fresh = lab.first, LabAuthority("first CA, renewed")
    given = lab.directory / "given.pem"
    given.write_bytes(fresh.cert_pem)
    assert "the window ends on" in lab.good("stage", "first-ca", "--ca", str(given))
    until_equal(lambda: lab.states("first-ca"), {"first": "waiting"}, "it still shows the old one")
    refused = lab.certs("retire", "first-ca").refused_in_one_line()
    assert "still presents what only the old one vouches for" in refused

    long_lived = peer.call_in(lab.address)
    peer.certificate = peer.issue(fresh)
    lab.seen_by(peer)
    # What was dialled before is still the old one: it goes when the old one does.
    until_equal(lambda: lab.certs("retire", "first-ca", "--force").status, 0)
    assert closes(long_lived)
    old = peer.authority
    peer.certificate = peer.issue(old)
    with pytest.raises((OSError, AssertionError)):
        peer.call_in(lab.address)
    lab.good("rollback", "first-ca")
    peer.call_in(lab.address).close()


def test_who_came_before_the_staging_and_not_since_needs_the_old_one(lab: RotationLab) -> None:
    lab.seen_by(lab.second)
    lab.second.close()
    (lab.tls / "second-ca.pem.next").write_bytes(LabAuthority("second CA, renewed").cert_pem)
    until(lambda: "trust/second-ca" in lab.good())
    assert lab.states("second-ca") == {"second": "waiting"}
    assert "inbound 127.0.0.3" in lab.good("ready", "second-ca")


def test_connections_on_the_old_authority_go_before_it_is_retired(lab: RotationLab) -> None:
    peer, fresh = lab.first, LabAuthority("first CA, renewed")
    (lab.tls / "first-ca.pem.next").write_bytes(fresh.cert_pem)
    until_equal(lambda: lab.certs("ready", "first-ca").status, 0, "dropped in, it is staged")
    until_equal(lambda: lab.states("first-ca"), {"first": "waiting"})
    standing = peer.call_in(lab.address)
    peer.certificate = peer.issue(fresh)
    lab.seen_by(peer)
    (lab.directory / "trunks.d" / "first.yaml").touch()
    until_equal(lambda: lab.certs("retire", "first-ca").status, 0)
    assert closes(standing)
    assert lab.seen_by(peer) == "own"
    assert "withdrawn" not in "".join(lab.journal("[tls"))


@pytest.mark.parametrize("drop", ["chain first", "key first", "link"])
def test_a_pair_dropped_in_place_serves_the_next_handshake(lab: RotationLab, drop: str) -> None:
    """Overwritten a moment apart, in either order, or as certbot does: links to the new files."""
    assert both(lab) == ["own", "own"]
    chain, key = lab.tls / "sbc.pem", lab.tls / "sbc.key"
    steps = [(chain, lab.next.chain_pem), (key, lab.next.key_pem)]
    if drop == "link":
        put(lab.tls / "archive-2", lab.next)
        for path in (key, chain):
            fresh = path.with_name(path.name + ".fresh")
            fresh.symlink_to(f"archive-2{path.suffix}")
            fresh.replace(path)
    else:
        for number, (path, data) in enumerate(steps if drop == "chain first" else reversed(steps)):
            path.write_bytes(data)
            if not number:
                until(lambda: lab.journal("trunk-held"), "half a pair is seen, and said")
                assert both(lab) == ["own", "own"], "and breaks nothing"
    until_equal(lambda: lab.seen_by(lab.first), "next")
    assert lab.seen_by(lab.second) == "next"


def test_a_crash_in_the_middle_of_retiring_is_finished_at_the_next_start(lab: RotationLab) -> None:
    lab.stage()
    lab.good("bind", "sbc", "first")
    lab.kill()
    # What a crash between the two renames leaves.
    (lab.tls / "sbc.pem.next").replace(lab.tls / "sbc.pem")
    lab.start()
    assert both(lab) == ["next", "next"]
    assert (lab.tls / "sbc.key").read_bytes() == lab.next.key_pem
    assert not (lab.tls / "sbc.key.next").exists()
    until(lambda: lab.journal("the interrupted move was finished"))


def test_bindings_and_what_was_seen_survive_a_restart(lab: RotationLab) -> None:
    lab.stage()
    lab.good("bind", "sbc", "first")
    until_equal(lambda: lab.states("sbc")["first"], "ready")
    assert lab.sbc.stop() == 0
    lab.second.close()
    lab.start()
    assert lab.seen_by(lab.first) == "next"
    assert lab.states("sbc")["first"] == "ready"


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RotationLab]:
    with running(tmp_path_factory.mktemp("rot")) as made:
        put(made.directory / "other", made.authority.issue(dns=["other.example"]))
        put(made.directory / "mixed", made.next)
        (made.directory / "mixed.key").write_bytes(made.own.key_pem)
        yield made


class TestRefusals:
    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("stage", "sbc", "--chain", "mixed.pem", "--key", "mixed.key"), "the key is not the key of"),
            (("stage", "sbc", "--chain", "missing.pem", "--key", "mixed.key"), "there is no such file"),
            (("stage", "sbc", "--chain", "mixed.pem"), "the key is not the key of"),
            (("stage", "nobody", "--chain", "mixed.pem"), "no identity 'nobody'; there are sbc"),
            (("stage", "first-ca", "--ca", "mixed.key"), "this is a private key in the truststore"),
            (("stage", "first-ca", "--ca", "other.pem"), "is not a CA certificate"),
            (("stage", "sbc"), "give --chain FILE and --key FILE for an identity"),
            (("bind", "sbc", "first"), "nothing is staged for 'sbc'; `sbc certs` shows what is"),
            (("ready", "sbc"), "nothing is staged for 'sbc'"),
            (("retire", "first-ca"), "nothing is staged for 'first-ca'"),
            (("rollback", "sbc"), "nothing is staged for 'sbc'"),
        ],
    )
    def test_with_the_reason_and_nothing_changed(
        self, refusing: RotationLab, words: tuple[str, ...], said: str
    ) -> None:
        given = [
            str(refusing.directory / word) if word.endswith((".pem", ".key")) else word for word in words
        ]
        assert said in refusing.certs(*given).refused_in_one_line()
        assert not [path for path in refusing.tls.iterdir() if path.suffix in (".next", ".old")]

    def test_a_trunk_that_is_not_shown_it_cannot_be_bound(self, lab: RotationLab) -> None:
        lab.stage()
        assert "it is shown to first, second" in lab.certs("bind", "sbc", "third").refused_in_one_line()


def test_a_name_that_is_lost_is_said_when_it_is_staged(lab: RotationLab) -> None:
    put(lab.directory / "given", lab.authority.issue(dns=["other.example"]))
    chain, key = (str(lab.directory / f"given.{end}") for end in ("pem", "key"))
    staged = lab.certs("stage", "sbc", "--chain", chain, "--key", key)
    assert staged.status == 0 and "not bound" in staged.out
    assert "dns:sbc.lab.example: named by the certificate in use" in staged.err


def test_files_are_staged_without_a_running_sbc_as_well(lab: RotationLab) -> None:
    assert lab.sbc.stop() == 0
    assert "no Portcullis runs here" in lab.stage()
    key = lab.tls / "sbc.key.next"
    assert key.stat().st_mode & 0o777 == (lab.tls / "sbc.key").stat().st_mode & 0o777
    put(lab.directory / "given", lab.next)
    late = lab.certs("stage", "sbc", "--chain", str(lab.directory / "given.pem"), "--until", "2030-01-01")
    assert "--until is kept by the running SBC" in late.refused_in_one_line()
    lab.start()
    assert "sbc+next" in lab.good() and "bound to no trunk yet; 29 days left" in lab.good()


def test_days_left_are_shown_and_told_once(lab: RotationLab) -> None:
    long_ago = time() - 300 * DAY
    soon = lab.authority.issue(dns=[SBC_NAME], not_before=long_ago, not_after=time() + 10.5 * DAY)
    theirs = lab.first.authority.issue(
        dns=["first.example"], not_before=long_ago, not_after=time() + 40.5 * DAY
    )
    lab.first.certificate = theirs
    put(lab.tls / "sbc", soon)
    until(lambda: lab.journal("state=incident whose=ours"))
    with closing(lab.first.call_in(lab.address)):
        lives = {each["name"]: each for each in json.loads(lab.good("--json"))["certificates"]}
    ours = [lives["sbc"][key] for key in ("whose", "days_left", "state")]
    assert ours == ["ours", 10, "incident"]
    assert (lives["first"]["whose"], lives["first"]["state"]) == ("theirs", "reminder")
    (line,) = lab.journal("[expiry]")
    assert " ERR " in line and "remedy=" in line
    assert "incident: ours sbc CN=sbc.lab.example ends on" in command(lab.directory, "status").out
    assert lab.sbc.stop() == 0
    lab.start()
    until(lambda: lab.journal("[SIPS-stats]"))
    assert not lab.journal("whose=ours"), "neither a reload nor a restart tells it twice"


def test_what_is_dropped_in_wrong_is_said_and_changes_nothing(lab: RotationLab) -> None:
    (lab.tls / "sbc.pem.next").write_bytes(b"junk")
    until(lambda: lab.journal("sbc.pem.next: staged, and not used as it is"))
    assert both(lab) == ["own", "own"]


def test_a_bound_pair_that_is_overwritten_halfway_stays_as_it_was(lab: RotationLab) -> None:
    lab.stage()
    lab.good("bind", "sbc", "first")
    (lab.tls / "sbc.pem.next").write_bytes(b"half")
    until(lambda: lab.journal("sbc.pem.next: staged, and not used as it is"))
    assert both(lab) == ["next", "own"]


def _done(lab: RotationLab, words: list[str]) -> bool:
    return lab.certs(*words).status == 0


PAGE = (ROOT / "docs" / "rotation.md").read_text()
EXAMPLES = dict(re.findall(r"```sh\n# sbc certs: (.*?)\n(.*?)```", PAGE, re.DOTALL))


@pytest.mark.parametrize("example", EXAMPLES)
def test_the_examples_of_the_page_do_what_it_says(lab: RotationLab, example: str) -> None:
    fresh = LabAuthority("first CA, renewed")
    put(lab.directory / "new", lab.next)
    (lab.directory / "new-ca.pem").write_bytes(fresh.cert_pem)
    for line in EXAMPLES[example].splitlines():
        words = [str(lab.directory / word) if word.startswith("new") else word for word in line.split()[2:]]
        if words[0] == "retire" and "ca" in words[1]:
            lab.first.certificate = lab.first.issue(fresh)
            lab.seen_by(lab.first)
        # What is ready takes a probe or two.
        until(partial(_done, lab, words), line)
    assert not list(lab.tls.glob("*.next"))
    assert len(EXAMPLES) == 2
