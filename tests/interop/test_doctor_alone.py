"""``sbc doctor HOST:PORT``: real peers without a configuration, an exit status for each class of fault."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent import sleep, socket
from gevent.server import StreamServer

from sbc.cli import main
from sbc.demo.pki import Issued, LabAuthority
from sbc.net.doctor import examine, probe
from tests.interop.test_doctor import DAY, Clinic
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.stunnel import Stunnel, into
from tests.peers.tone import write_tone

pytestmark = [pytest.mark.slow, pytest.mark.interop]

Said = dict[str, Any]
Doctor = Callable[..., tuple[int, Said]]


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    """Certificates of both sides; the configuration that lies beside them is not asked."""
    return Clinic(tmp_path)


@pytest.fixture
def doctor(clinic: Clinic, capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Ask with our certificate and the peer's CA unless told otherwise; the status, and the first visit."""

    def ask(target: str, *words: str, shows: bool = True, ca: str = "carrier-ca") -> tuple[int, Said]:
        tls = clinic.directory / "tls"
        ours = ("--cert", str(tls / "sbc.pem"), "--key", str(tls / "sbc.key")) if shows else ()
        given = ["doctor", target, "--json", "--ca", str(tls / f"{ca}.pem"), *ours, *words]
        status = main([*given, "-c", str(clinic.directory)])
        said = json.loads(capsys.readouterr().out)
        (peer,) = said["peers"]
        return status, {**said, **(peer["visits"] or [{}])[0]}

    return ask


@contextmanager
def answering(handle: Callable[[socket.socket, object], None], host: str = "127.0.0.1") -> Iterator[str]:
    """A server that does what no SIP peer should; its address."""
    server = StreamServer((host, 0), handle)
    server.start()
    try:
        yield f"[{host}]:{server.server_port}" if ":" in host else f"{host}:{server.server_port}"
    finally:
        server.stop(timeout=0.1)


def at(peer: Any) -> str:
    return f"127.0.0.1:{peer.port}"


def test_a_good_peer_and_all_that_it_takes(clinic: Clinic, doctor: Doctor) -> None:
    issued = clinic.middle.issue(dns=["carrier.example"])
    with clinic.server(issued, "-groups", "P-384:X25519") as peer:
        status, said = doctor(at(peer), "--name", "carrier.example")
    assert (status, said["trunk"], said["fault"]) == (0, None, "")
    assert said["offers"] == {"versions": ["TLSv1.3", "TLSv1.2"], "groups": ["X25519", "P-384"], "cut": ""}
    assert said["answer"] == "200 OK" and said["seen"]["requested"] == ["CN=Our CA"]


def test_a_peer_that_still_takes_old_versions(clinic: Clinic, doctor: Doctor) -> None:
    old = ("-cipher", "ALL:@SECLEVEL=0", "-min_protocol", "TLSv1")
    with clinic.server(clinic.good(), *old, asks="") as peer:
        status, said = doctor(at(peer))
    assert said["offers"]["versions"] == ["TLSv1.3", "TLSv1.2", "TLSv1.1", "TLSv1"]
    warned = [each["text"] for each in said["findings"] if each["level"] == "warning"]
    assert status == 0 and "the peer still takes TLSv1.1" in warned and "the peer still takes TLSv1" in warned


def test_a_chain_in_the_wrong_order(clinic: Clinic, doctor: Doctor) -> None:
    deep = LabAuthority("Carrier Deep CA", issuer=clinic.middle)
    leaf = deep.issue(dns=["carrier.example"])
    wrong = leaf.cert_pem + clinic.middle.cert_pem + deep.cert_pem
    with clinic.server(Issued(leaf.cert_pem, wrong, leaf.key_pem), asks="") as peer:
        _, said = doctor(at(peer), "--name", "carrier.example")
    (found,) = [each for each in said["findings"] if "out of order" in each["text"]]
    assert found["level"] == "warning" and "followed by CN=Carrier Issuing CA" in found["text"]


# Each class of fault has its status


def _past(clinic: Clinic) -> Issued:
    return clinic.good(not_before=time.time() - 9 * DAY, not_after=time.time() - 2 * DAY)


def _bare(clinic: Clinic) -> Issued:
    whole = LabAuthority("Carrier Other CA", issuer=clinic.middle).issue(ips=["127.0.0.1"])
    return Issued(whole.cert_pem, whole.cert_pem, whole.key_pem)


@pytest.mark.parametrize(
    ("status", "fault", "issue"),
    [
        (13, "unknown-ca", lambda clinic: LabAuthority("Stranger CA").issue(ips=["127.0.0.1"])),
        (13, "unknown-ca", _bare),
        (14, "name-mismatch", lambda clinic: clinic.good(ips=["192.0.2.9"])),
        (15, "expired", _past),
        (15, "not-yet-valid", lambda clinic: clinic.good(not_before=time.time() + 9 * DAY)),
        (16, "wrong-purpose", lambda clinic: clinic.good(eku=("client",))),
    ],
    ids=["stranger", "no-intermediate", "name", "past", "future", "purpose"],
)
def test_a_peer_that_we_refuse(
    clinic: Clinic, doctor: Doctor, status: int, fault: str, issue: Callable[[Clinic], Issued]
) -> None:
    with clinic.server(issue(clinic), asks="") as peer:
        found, said = doctor(at(peer))
    assert (found, said["fault"]) == (status, fault)
    (bad, *_) = [each for each in said["findings"] if each["level"] == "bad"]
    assert bad["remedy"] and said["looked"]["chain"]
    option = {"unknown-ca": "--ca (tls.trust)", "name-mismatch": "--name (tls.names)"}.get(fault, "")
    assert bad["where"] == option


@pytest.mark.parametrize("shows", [True, False])
def test_a_peer_that_refuses_us(clinic: Clinic, doctor: Doctor, shows: bool) -> None:
    """It knows another CA, or wants a certificate and is shown none."""
    with clinic.server(clinic.good(), asks="carrier-ca" if shows else "our-ca") as peer:
        status, said = doctor(at(peer), shows=shows)
    assert (status, said["fault"]) == (18, "rejected-by-peer")
    assert [each["where"] for each in said["findings"] if each["level"] == "bad"] == [
        "--cert (tls.client_identity)"
    ] * 2


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "no-shared-version"),
        (("-groups", "P-521"), "no-shared-group"),
    ],
)
def test_a_peer_with_nothing_in_common(
    clinic: Clinic, doctor: Doctor, options: tuple[str, ...], fault: str
) -> None:
    with clinic.server(clinic.good(), *options, asks="") as peer:
        status, said = doctor(at(peer))
    assert (status, said["fault"]) == (12, fault)


def test_nobody_there(doctor: Doctor) -> None:
    assert doctor(f"127.0.0.1:{free_port()}")[0] == 10
    assert doctor(f"[::1]:{free_port()}")[0] == 10
    assert doctor("nowhere.invalid:5061")[0] == 10


def test_a_peer_over_ipv6(doctor: Doctor) -> None:
    with answering(lambda sock, _: sock.close(), "::1") as address:
        status, said = doctor(address)
    assert (status, said["fault"], said["address"]) == (11, "reset-by-peer", address)


def _plain(sock: socket.socket, _peer: object) -> None:
    sock.recv(4096)
    sock.sendall(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def test_a_peer_without_tls(doctor: Doctor) -> None:
    with answering(_plain) as address:
        status, said = doctor(address)
    assert (status, said["fault"]) == (11, "not-tls")


# Peers that lie or hang


def test_a_peer_that_never_answers_the_client_hello(doctor: Doctor) -> None:
    with answering(lambda sock, _: sleep(60)) as address:
        status, said = doctor(address)
    assert (status, said["fault"], said["offers"]) == (11, "timeout", None)


def test_a_peer_that_floods_in_the_place_of_a_handshake(doctor: Doctor) -> None:
    def flood(sock: socket.socket, _peer: object) -> None:
        while True:
            sock.sendall(b"\x16\x03\x03\x00\x04\x00\x00\x00\x00" * 1000)

    with answering(flood) as address:
        status, said = doctor(address)
    assert status == 11 and said["looked"] is None


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\n\r\nhello"])
def test_a_peer_that_does_not_answer_options(
    clinic: Clinic, doctor: Doctor, says: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "ANSWER_WITHIN", 0.5)
    with clinic.server(clinic.good(), says=says) as peer:
        status, said = doctor(at(peer))
    assert (status, said["fault"]) == (19, "no-answer")


def test_a_peer_that_takes_its_time_is_not_asked_for_ever(
    clinic: Clinic, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "PROBE_WITHIN", 0.0)
    with clinic.server(clinic.good()) as peer:
        status, said = doctor(at(peer))
    assert status == 0 and said["offers"]["cut"].startswith("it takes its time")


# Other people's peers


def test_stunnel(clinic: Clinic, doctor: Doctor) -> None:
    needs("stunnel4")
    with answering(_plain) as behind:
        port = int(behind.rpartition(":")[2])
        tunnel = into("peer", port, clinic.file("peer", clinic.good()), clinic.directory / "tls/our-ca.pem")
        with Stunnel("peer", clinic.directory, [tunnel]):
            status, said = doctor(f"127.0.0.1:{tunnel.accept}")
    assert (status, said["answer"]) == (0, "400 Bad Request")


def test_kamailio(clinic: Clinic, doctor: Doctor) -> None:
    needs("kamailio")
    settings = KamailioSettings(free_port(), credentials=clinic.file("peer", clinic.good()))
    with Kamailio("carrier", clinic.directory, settings) as peer:
        status, said = doctor(at(peer))
        refused, _ = doctor(at(peer), shows=False)
    assert (status, said["answer"], refused) == (0, "200 OK", 18)
    assert said["offers"]["versions"] == ["TLSv1.3", "TLSv1.2"] or said["offers"]["versions"] == ["TLSv1.2"]


def test_baresip(clinic: Clinic, doctor: Doctor) -> None:
    needs("baresip")
    tone = write_tone(clinic.directory / "tone.wav", 400, 1)
    ca = clinic.directory / "tls/our-ca.pem"
    settings = BaresipSettings(tone, credentials=clinic.file("carol", clinic.good()), ca=ca)
    with Baresip("carol", clinic.directory / "carol", settings) as peer:
        status, said = doctor(f"127.0.0.1:{peer.port + 1}")
    # It has no account for what OPTIONS is sent to, and says so.
    assert (status, said["answer"]) == (0, "404 Not Found")


# What is asked wrongly


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["127.0.0.1:5061", "--ca", "nowhere.pem"], "--ca"),
        (["127.0.0.1:5061", "--key", "x.key"], "--key is of no use without --cert"),
        (["127.0.0.1:5061", "--cert", "nowhere.pem"], "--cert, --key"),
        (["127.0.0.1:99999"], "port 99999 does not exist"),
        (["127.0.0.1:0"], "nobody listens on port 0"),
        (["127.0.0.1:5061", "--peer", "a:1"], "--peer is for a trunk"),
        (["some where:5061"], "is not an address"),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *words, "-c", str(tmp_path)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_a_key_of_another_certificate_is_refused_and_not_shown(
    clinic: Clinic, capsys: pytest.CaptureFixture[str]
) -> None:
    other = clinic.file("other", clinic.ours.issue(dns=["other.example"]))
    given = ["--cert", str(clinic.directory / "tls/sbc.pem"), "--key", str(other.key)]
    assert main(["doctor", "127.0.0.1:5061", *given, "-c", str(clinic.directory)]) == 1
    said = capsys.readouterr().err
    assert "the key is not the key of" in said and "PRIVATE" not in said
