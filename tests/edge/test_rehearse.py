"""``sbc trust rehearse``: real chains against a changed configuration, with the handshake's own check."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.base import ConfigError, LocalError
from sbc.commands.lines import WIDTH
from sbc.commands.rehearse import rehearsed, render
from sbc.config.overlay import place_in
from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import TlsFacts
from sbc.tls.failure import Direction, Failure
from sbc.tls.ledger import Ledger
from sbc.tls.material.certificate import read_certificate
from tests.edge.sbc_command import sbc
from tests.peers.kept import keep

DAY = 86400.0
_SETTINGS = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
identities:
  sbc: {chain: tls/sbc.pem, key: tls/sbc.key}
trust:
  old-ca: {ca: tls/old-ca.pem}
  other-ca: {ca: tls/other-ca.pem}
"""
_TRUNK = """\
trunk: carrier
peers: ["carrier.example:5061"]
sources: [192.0.2.0/24]
listener: tls
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [old-ca]
  names: [carrier.example]
"""
_ROUTES = "rules:\n  - name: none\n    when: true\n    then: reject 403\n"


def ders(issued: Issued) -> tuple[bytes, ...]:
    return tuple(
        each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(issued.chain_pem)
    )


class Stage:
    """A configuration, what its peers presented, and changed files beside it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "configuration"
        self.beside = directory / "changed"
        self.beside.mkdir()
        self.old, self.other = LabAuthority("Old CA"), LabAuthority("Other CA")
        ours = self.old.issue(dns=["sbc.example"])
        for name, data in (
            ("sbc.yaml", _SETTINGS.encode()), ("trunks.d/carrier.yaml", _TRUNK.encode()),
            ("routes.d/10.yaml", _ROUTES.encode()), ("tls/old-ca.pem", self.old.cert_pem),
            ("tls/other-ca.pem", self.other.cert_pem), ("tls/sbc.pem", ours.chain_pem),
            ("tls/sbc.key", ours.key_pem),
        ):  # fmt: skip
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        self.ledger = Ledger()

    def seen(
        self,
        issued: Issued | None,
        direction: Direction = "inbound",
        ago: float = 60.0,
        host: str = "192.0.2.7",
    ) -> None:
        """A peer was accepted with that certificate, or with none."""
        chain = ders(issued) if issued is not None else ()
        peer = read_certificate(chain[0]).verified if chain else None
        facts = TlsFacts("TLSv1.3", "", "", "", "sbc", peer)
        self.ledger.succeeded(
            "carrier", direction, facts, time.time() - ago, remote=f"{host}:5061", host=host, listener="tls",
            chain=chain, anchor="old-ca" if chain else "",
        )  # fmt: skip

    def refused(self, issued: Issued) -> None:
        """A peer was refused with that certificate."""
        failure = Failure("unknown-ca", "what", "how")
        self.ledger.failed(
            ["carrier"], "inbound", failure, time.time(), remote="192.0.2.8:1", host="192.0.2.8",
            listener="tls", chain=ders(issued),
        )  # fmt: skip

    def changed(self, name: str, text: str | bytes) -> Path:
        path = self.beside / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def save(self) -> None:
        keep(self.directory / "run", "ledger", self.ledger.whole())

    def rehearse(self, *files: Path) -> list[dict[str, Any]]:
        self.save()
        answer = rehearsed(self.directory, files)
        text = render(answer)
        assert max(map(len, text.splitlines())) <= WIDTH
        assert (
            answer["breaks"]
            == ("BREAKS" in text)
            == any(each["what"] == "breaks" for each in answer["outcomes"])
        )
        found: list[dict[str, Any]] = answer["outcomes"]
        return found


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def only(outcomes: list[dict[str, Any]]) -> dict[str, Any]:
    (outcome,) = outcomes
    return outcome


@pytest.mark.parametrize("direction", ["inbound", "outbound"])
def test_a_ca_that_goes_breaks_whoever_has_it(stage: Stage, direction: Direction) -> None:
    host = "carrier.example" if direction == "outbound" else "192.0.2.7"
    stage.seen(stage.old.issue(dns=["carrier.example"]), direction, host=host)
    outcome = only(stage.rehearse(stage.changed("carrier.yaml", _TRUNK.replace("[old-ca]", "[other-ca]"))))
    assert (outcome["what"], outcome["subject"], outcome["host"]) == ("breaks", "CN=carrier.example", host)
    assert outcome["failure"]["kind"] == "unknown-ca" and "truststore" in outcome["failure"]["remedy"]
    assert outcome["where"] == "trunks.d/carrier.yaml:9 (tls.trust)"


def test_a_ca_that_comes_beside_breaks_nobody_and_lets_in_whom_it_vouches_for(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    stage.refused(stage.other.issue(dns=["carrier.example"]))
    stage.refused(stage.other.issue(dns=["evil.example"]))
    file = stage.changed("carrier.yaml", _TRUNK.replace("[old-ca]", "[old-ca, other-ca]"))
    outcomes = {(each["subject"], each["host"]): each["what"] for each in stage.rehearse(file)}
    assert outcomes == {
        ("CN=carrier.example", "192.0.2.7"): "same",
        ("CN=carrier.example", "192.0.2.8"): "new",
        ("CN=evil.example", "192.0.2.8"): "same",
    }


def test_a_changed_file_of_a_ca_stands_for_the_one_of_its_name(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    renewed = LabAuthority("Old CA")
    outcome = only(stage.rehearse(stage.changed("old-ca.pem", renewed.cert_pem)))
    assert outcome["what"] == "breaks" and "another key" in outcome["failure"]["detail"]
    both = stage.changed("old-ca.pem", renewed.cert_pem + stage.old.cert_pem)
    assert only(stage.rehearse(both))["what"] == "same"


def test_a_root_in_place_of_an_intermediate_needs_the_peer_to_send_it(stage: Stage) -> None:
    """What the peer sends counts, not what was verified with what our truststore had."""
    middle = LabAuthority("Middle CA", issuer=stage.old)
    (stage.directory / "tls" / "old-ca.pem").write_bytes(middle.cert_pem)
    whole = middle.issue(dns=["carrier.example"])
    stage.seen(Issued(whole.cert_pem, whole.cert_pem, whole.key_pem))
    outcome = only(stage.rehearse(stage.changed("old-ca.pem", stage.old.cert_pem)))
    assert outcome["what"] == "breaks"
    stage.ledger = Ledger()
    stage.seen(whole)
    assert only(stage.rehearse(stage.changed("old-ca.pem", stage.old.cert_pem)))["what"] == "same"


def test_names_and_sources_are_rehearsed_too(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    outcome = only(
        stage.rehearse(stage.changed("carrier.yaml", _TRUNK.replace("[carrier.example]", "[x.example]")))
    )
    assert (outcome["what"], outcome["failure"]["kind"]) == ("breaks", "name-mismatch")
    assert outcome["where"] == "trunks.d/carrier.yaml:10 (tls.names)"
    elsewhere = stage.changed("carrier.yaml", _TRUNK.replace("192.0.2.0/24", "198.51.100.0/24"))
    assert "would not be admitted" in only(stage.rehearse(elsewhere))["failure"]["detail"]


def test_a_peer_that_would_be_taken_for_another_trunk_breaks(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    rival = _TRUNK.replace("trunk: carrier", "trunk: rival").replace("192.0.2.0/24", "192.0.2.7")
    outcome = only(stage.rehearse(stage.changed("rival.yaml", rival)))
    assert (outcome["what"], outcome["now_trunk"]) == ("breaks", "rival")


def test_a_trunk_that_goes_breaks_its_peers(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    renamed = stage.changed("carrier.yaml", _TRUNK.replace("trunk: carrier", "trunk: renamed"))
    assert "would not be there" in only(stage.rehearse(renamed))["failure"]["detail"]


def test_who_shows_no_certificate_breaks_where_one_is_demanded(stage: Stage) -> None:
    (stage.directory / "trunks.d" / "carrier.yaml").write_text(_TRUNK.replace("required", "optional"))
    stage.seen(None)
    outcome = only(stage.rehearse(stage.changed("carrier.yaml", _TRUNK)))
    assert (outcome["what"], outcome["failure"]["kind"]) == ("breaks", "no-certificate")
    assert outcome["where"] == "trunks.d/carrier.yaml:6 (tls.mode)"
    server = stage.changed("carrier.yaml", _TRUNK.replace("required", "server"))
    assert only(stage.rehearse(server))["what"] == "same"


def test_one_that_has_expired_does_not_break(stage: Stage) -> None:
    past = stage.old.issue(
        dns=["carrier.example"], not_before=time.time() - 9 * DAY, not_after=time.time() - DAY
    )
    stage.seen(past)
    assert (
        only(stage.rehearse(stage.changed("carrier.yaml", _TRUNK.replace("old-ca", "other-ca"))))["what"]
        == "same"
    )


def test_what_a_peer_showed_before_it_rolled_is_left_out(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]), ago=40 * DAY)
    stage.seen(stage.other.issue(dns=["carrier.example"]))
    stage.save()
    file = stage.changed("carrier.yaml", _TRUNK.replace("[old-ca]", "[other-ca]"))
    answer = rehearsed(stage.directory, [file])
    assert answer["superseded"] == 1
    assert [each["what"] for each in answer["outcomes"]] == ["new"]
    assert "1 old ones left out" in render(answer)


def test_nothing_in_force_is_touched(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    stage.save()
    before = {path: path.read_bytes() for path in stage.directory.rglob("*") if path.is_file()}
    stage.rehearse(stage.changed("carrier.yaml", _TRUNK.replace("[old-ca]", "[other-ca]")))
    assert {path: path.read_bytes() for path in stage.directory.rglob("*") if path.is_file()} == before


def test_bad_input_is_said_in_a_line(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    with pytest.raises(LocalError, match="rehearse what"):
        stage.rehearse()
    with pytest.raises(LocalError, match="there is no such file"):
        stage.rehearse(stage.beside / "nothing.yaml")
    with pytest.raises(LocalError, match="no file of the configuration has this name"):
        stage.rehearse(stage.changed("stranger.pem", stage.other.cert_pem))
    with pytest.raises(ConfigError) as refused:
        stage.rehearse(stage.changed("carrier.yaml", _TRUNK.replace("old-ca", "nobody")))
    assert any("nobody" in each.message for each in refused.value.diagnostics)
    (stage.directory / "run" / "state.db").write_text("{")
    with pytest.raises(LocalError, match="cannot be read"):
        rehearsed(stage.directory, [stage.changed("carrier.yaml", _TRUNK)])
    (stage.directory / "run" / "state.db").unlink()
    with pytest.raises(LocalError, match="no peer has been seen yet"):
        rehearsed(stage.directory, [stage.changed("carrier.yaml", _TRUNK)])


def test_where_a_changed_file_belongs(stage: Stage) -> None:
    for name, place in (
        ("sbc.yaml", "sbc.yaml"),
        ("new.yaml", "trunks.d/new.yaml"),
        ("old-ca.pem", "tls/old-ca.pem"),
    ):
        assert str(place_in(stage.directory, stage.changed(name, "x"))) == place
    (stage.directory / "more").mkdir()
    (stage.directory / "more" / "old-ca.pem").write_bytes(b"x")
    with pytest.raises(LocalError, match="2 files of the configuration"):
        place_in(stage.directory, stage.changed("old-ca.pem", "x"))


@pytest.mark.slow
def test_the_command(stage: Stage) -> None:
    stage.seen(stage.old.issue(dns=["carrier.example"]))
    stage.save()
    bad = stage.changed("carrier.yaml", _TRUNK.replace("[old-ca]", "[other-ca]"))
    answer = sbc(stage.directory, "trust", "rehearse", str(bad))
    assert answer.status == 1
    flat = " ".join(answer.out.split())
    assert "BREAKS carrier inbound: CN=carrier.example of 192.0.2.7, seen 1 min ago" in flat
    assert "line: trunks.d/carrier.yaml:9 (tls.trust)" in flat
    assert flat.endswith("1 would break, 0 newly accepted, 0 as now")
    good = stage.changed("sbc.yaml", _SETTINGS)
    answer = sbc(stage.directory, "trust", "rehearse", str(good), "--json")
    assert answer.status == 0 and json.loads(answer.out)["breaks"] is False
    assert "takes one trunk" in sbc(stage.directory, "trust", "a", "b").refused_in_one_line()
