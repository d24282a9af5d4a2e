"""``sbc doctor`` against real peers: OpenSSL's s_server in every wrong way, Kamailio, stunnel, nobody."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from gevent import socket
from gevent.server import StreamServer

from sbc.base import Address
from sbc.commands.doctor import examined
from sbc.commands.doctor_text import render
from sbc.commands.lines import WIDTH
from sbc.config.load import build_snapshot
from sbc.demo.pki import Issued, LabAuthority
from sbc.net.system.clock import Clock
from tests.edge.sbc_command import sbc
from tests.peers.dnsmasq import Dnsmasq
from tests.peers.kamailio import Kamailio, KamailioSettings
from tests.peers.lab import Credentials
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.s_server import OK, SServer
from tests.peers.stunnel import Stunnel, into

pytestmark = [pytest.mark.slow, pytest.mark.interop]

DAY = 86400.0
_SETTINGS = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
identities:
  sbc: {chain: tls/sbc.pem, key: tls/sbc.key}
trust:
  carrier-ca: {ca: tls/carrier-ca.pem}
"""
_TRUNK = """\
trunk: carrier
peers: ["localhost:5061"]
listener: tls
dial_timeout: 3s
tls:
  mode: required
  server_identity: sbc
  client_identity: sbc
  trust: [carrier-ca]
  names: [carrier.example]
"""
_ROUTES = "rules:\n  - name: none\n    when: true\n    then: reject 403\n"
TRUST, NAMES, OURS = (
    "trunks.d/carrier.yaml:9 (tls.trust)",
    "trunks.d/carrier.yaml:10 (tls.names)",
    "trunks.d/carrier.yaml:8 (tls.client_identity)",
)


class Clinic:
    """A configuration with one trunk, and peers made for it."""

    def __init__(self, directory: Path) -> None:
        needs("openssl")
        self.directory = directory
        self.ours = LabAuthority("Our CA")
        self.theirs = LabAuthority("Carrier CA")
        self.middle = LabAuthority("Carrier Issuing CA", issuer=self.theirs)
        for name, text in (
            ("sbc.yaml", _SETTINGS), ("trunks.d/carrier.yaml", _TRUNK), ("routes.d/10.yaml", _ROUTES),
        ):  # fmt: skip
            self.write(name, text.encode())
        self.file("sbc", self.ours.issue(dns=["sbc.example"]))
        self.write("tls/carrier-ca.pem", self.theirs.cert_pem)
        self.write("tls/our-ca.pem", self.ours.cert_pem)

    def write(self, name: str, data: bytes) -> Path:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def file(self, name: str, issued: Issued) -> Credentials:
        cert = self.write(f"tls/{name}.pem", issued.chain_pem)
        key = self.write(f"tls/{name}.key", issued.key_pem)
        return Credentials(name, cert, key, self.directory / "tls/our-ca.pem")

    def good(self, **options: Any) -> Issued:
        return self.theirs.issue(**{"dns": ["carrier.example"], "ips": ["127.0.0.1"], **options})

    def server(self, issued: Issued, *options: str, asks: str = "our-ca", says: bytes = OK) -> SServer:
        """An s_server with that certificate; it demands one of ours under the CA ``asks`` ("" for none)."""
        peer = self.file("peer", issued)
        leaf = self.write("tls/peer-leaf.pem", issued.cert_pem)
        argv = ["-cert", str(leaf), "-key", str(peer.key), *options]
        if issued.chain_pem != issued.cert_pem:
            argv += ["-cert_chain", str(peer.cert)]
        if asks:
            authority = str(self.directory / f"tls/{asks}.pem")
            argv += ["-Verify", "3", "-verify_return_error", "-CAfile", authority]
        return SServer("peer", self.directory, argv, says)

    def examine(self, port: int, host: str = "localhost") -> Diagnosis:
        clock = Clock()
        snapshot = build_snapshot(self.directory, clock.now())
        peers = (Address(host, port),)
        return Diagnosis(examined(snapshot, snapshot.trunks["carrier"], peers, clock))


class Diagnosis:
    """What the doctor said, to be asked for."""

    def __init__(self, said: dict[str, Any]) -> None:
        said = self.said = json.loads(json.dumps(said))
        self.healthy: bool = said["healthy"]
        (peer,) = said["peers"]
        # localhost may be ::1 too, where these peers do not listen.
        self.visits = [each for each in peer["visits"] if each["address"].startswith("127.")]
        self.peer: dict[str, Any] = peer
        self.text = render(said)
        assert max(map(len, self.text.splitlines())) <= WIDTH

    @property
    def visit(self) -> dict[str, Any]:
        visit: dict[str, Any]
        (visit,) = self.visits
        return visit

    def bad(self) -> list[tuple[str, str]]:
        """The bad findings of the visit and the line each names."""
        return [(each["text"], each["where"]) for each in self.visit["findings"] if each["level"] == "bad"]

    def say(self, *phrases: str) -> None:
        flat = " ".join(self.text.split())
        for each in phrases:
            assert each in flat, f"{each!r} is not in\n{self.text}"


@pytest.fixture
def clinic(tmp_path: Path) -> Clinic:
    return Clinic(tmp_path)


def only(diagnosis: Diagnosis) -> tuple[str, str]:
    assert not diagnosis.healthy
    (bad,) = diagnosis.bad()
    return bad


def test_a_healthy_peer_from_the_command_line(clinic: Clinic) -> None:
    with clinic.server(clinic.middle.issue(dns=["carrier.example"])) as peer:
        answer = sbc(clinic.directory, "doctor", "carrier", "--peer", f"127.0.0.1:{peer.port}")
    assert answer.status == 0, answer
    flat = " ".join(answer.out.split())
    for phrase in (
        "we show: identity sbc", "CN=sbc.example, for clients and servers", "issued by CN=Our CA",
        "1. CN=carrier.example", "2. CN=Carrier Issuing CA, a CA", "issued by CN=Carrier CA",
        "ok agreed on TLSv1.3", "ok trust carrier-ca vouches for the peer; of the expected names "
        "(carrier.example) it carries carrier.example", "it accepts CN=Our CA; ours, of CN=Our CA, fits",
        "ok the peer answers OPTIONS with 200 OK", "carrier is healthy",
    ):  # fmt: skip
        assert phrase in flat, f"{phrase!r} is not in\n{answer.out}"


def test_a_peer_that_is_a_domain(clinic: Clinic) -> None:
    needs("dnsmasq")
    with (
        clinic.server(clinic.theirs.issue(dns=["carrier.example"])) as peer,
        Dnsmasq("dns", clinic.directory / "dns", ["host-record=a.example,127.0.0.1"]) as dns,
    ):
        settings = clinic.directory / "sbc.yaml"
        settings.write_text(settings.read_text() + f'dns: {{servers: ["{dns.address}"]}}\n')
        trunk = clinic.directory / "trunks.d" / "carrier.yaml"
        text = trunk.read_text().replace('peers: ["localhost:5061"]', "srv: carrier.example")
        trunk.write_text(text.replace("  names: [carrier.example]\n", ""))
        none = sbc(clinic.directory, "doctor", "carrier", "--peer", "carrier.example")
        dns.knows(
            "host-record=a.example,127.0.0.1", f"srv-host=_sips._tcp.carrier.example,a.example,{peer.port}"
        )
        one = sbc(clinic.directory, "doctor", "carrier")
    assert none.status == 10
    assert "carrier.example has no server in DNS: carrier.example: it has no address" in " ".join(
        none.out.split()
    )
    assert one.status == 0, one
    for phrase in ("PEER carrier.example", f"127.0.0.1:{peer.port}", "carrier is healthy"):
        assert phrase in one.out, one.out


def test_the_command_fails_where_the_trunk_does_and_speaks_json(clinic: Clinic) -> None:
    answer = sbc(clinic.directory, "doctor", "carrier", "--json", "--peer", f"127.0.0.1:{free_port()}")
    assert answer.status == 10
    said = json.loads(answer.out)
    assert (said["healthy"], said["fault"]) == (False, "unreachable")
    (finding,) = said["peers"][0]["visits"][0]["findings"]
    assert "no TCP connection: Connection refused" in finding["text"]
    assert finding["where"] == "trunks.d/carrier.yaml:2 (peers)"


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
class TestWhomWeRefuse:
    """We refuse, and the doctor goes on to look at what the peer shows."""

    def test_another_ca(self, clinic: Clinic, version: str) -> None:
        stranger = LabAuthority("Stranger CA").issue(dns=["carrier.example"])
        with clinic.server(stranger, version) as peer:
            found = clinic.examine(peer.port)
            heard = _heard(peer)
        text, where = only(found)
        assert "unknown-ca" in text and "CN=Stranger CA" in text and where == TRUST
        found.say("looked at WITHOUT verification", "CN=carrier.example", "no SIP was sent")
        assert found.visit["looked"]["requested"] == ["CN=Our CA"]
        assert b"OPTIONS" not in heard

    def test_a_wrong_name(self, clinic: Clinic, version: str) -> None:
        with clinic.server(clinic.good(dns=["evil.example"], ips=[]), version) as peer:
            text, where = only(clinic.examine(peer.port))
        assert "name-mismatch" in text and "evil.example" in text and where == NAMES

    def test_an_expired_one(self, clinic: Clinic, version: str) -> None:
        past = {"not_before": time.time() - 9 * DAY, "not_after": time.time() - 2.5 * DAY}
        with clinic.server(clinic.good(**past), version) as peer:
            found = clinic.examine(peer.port)
        assert [text.partition(":")[0] for text, _ in found.bad()] == [
            "the handshake fails", "the peer's certificate CN=carrier.example has expired",
        ]  # fmt: skip
        found.say("EXPIRED 2 days ago")

    def test_a_missing_intermediate(self, clinic: Clinic, version: str) -> None:
        clinic.write("tls/carrier-ca.pem", clinic.theirs.cert_pem)
        clinic.file("sbc", clinic.middle.issue(dns=["sbc.example"]))
        whole = clinic.middle.issue(dns=["carrier.example"])
        with clinic.server(Issued(whole.cert_pem, whole.cert_pem, whole.key_pem), version, asks="") as peer:
            text, _ = only(clinic.examine(peer.port))
        assert "missing-intermediate" in text and "CN=Carrier Issuing CA" in text

    def test_a_wrong_purpose(self, clinic: Clinic, version: str) -> None:
        with clinic.server(clinic.good(eku=("client",)), version) as peer:
            found = clinic.examine(peer.port)
        assert "wrong-purpose" in only(found)[0]
        found.say("CN=carrier.example, for clients,")


@pytest.mark.parametrize(("version", "agreed"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_a_peer_that_refuses_us(clinic: Clinic, version: str, agreed: str) -> None:
    with clinic.server(clinic.good(), version, asks="carrier-ca") as peer:
        found = clinic.examine(peer.port)
    (refused, line), (asked, _) = found.bad()
    assert "the peer refuses us: rejected-by-peer" in refused and "unknown_ca" in refused and line == OURS
    assert "it accepts CN=Carrier CA; that is not CN=Our CA, which issued ours" in asked
    late = found.visit["seen"]
    assert (late is not None and late["version"] == agreed) if agreed == "TLSv1.3" else late is None


def test_a_peer_that_wants_a_certificate_where_we_show_none(clinic: Clinic) -> None:
    trunk = clinic.directory / "trunks.d" / "carrier.yaml"
    trunk.write_text(_TRUNK.replace("client_identity: sbc", "client_identity: none"))
    with clinic.server(clinic.good()) as peer:
        found = clinic.examine(peer.port)
    assert [where for _, where in found.bad()] == [OURS, OURS]
    found.say("we show: no certificate", "we show none", "certificate_required")


def test_a_peer_of_yesterday(clinic: Clinic) -> None:
    with clinic.server(clinic.good(), "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", asks="") as peer:
        found = clinic.examine(peer.port)
    assert "no-shared-version" in only(found)[0]


def test_a_peer_that_speaks_no_tls(clinic: Clinic) -> None:
    settings = KamailioSettings(free_port(), "tcp", "tcp")
    needs("kamailio")
    with Kamailio("plain", clinic.directory, settings) as peer:
        text, _ = only(clinic.examine(peer.port))
    # By what the random octets of the ClientHello look like to it, it waits for more or hangs up.
    waits, closes = "timeout: the peer did not go on in time", "reset-by-peer: the peer closed"
    assert text.startswith((f"the handshake fails: {waits}", f"the handshake fails: {closes}")), text


def test_a_peer_that_answers_in_plain_sip(clinic: Clinic) -> None:
    def answer(sock: socket.socket, _peer: object) -> None:
        sock.recv(4096)
        sock.sendall(b"SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    server = StreamServer(("127.0.0.1", 0), answer)
    server.start()
    text, _ = only(clinic.examine(server.server_port))
    server.stop(timeout=0.1)
    assert text.startswith("the handshake fails: not-tls: "), text


def test_a_peer_that_takes_the_connection_and_says_nothing(clinic: Clinic) -> None:
    with clinic.server(clinic.good(), says=b"") as peer:
        text, _ = only(clinic.examine(peer.port))
    assert text == "no answer to OPTIONS: nothing within 5 s"


def test_a_name_that_does_not_resolve(clinic: Clinic) -> None:
    found = clinic.examine(5061, host="nowhere.invalid")
    assert not found.healthy and not found.visits
    assert "nowhere.invalid does not resolve" in found.peer["findings"][0]["text"]


@pytest.mark.parametrize(
    ("about", "level", "said"),
    [("it", "good", "staples an OCSP answer, and it is good"), ("another", "warning", "another certificate")],
)
def test_a_staple(clinic: Clinic, about: str, level: str, said: str) -> None:
    issued, other = clinic.good(), clinic.good()
    answer = _ocsp(clinic.theirs, issued if about == "it" else other)
    staple = str(clinic.write("staple.der", answer))
    with clinic.server(issued, "-status_file", staple) as peer:
        found = clinic.examine(peer.port)
    assert found.healthy
    findings = [(each["level"], each["text"]) for each in found.visit["findings"]]
    assert any(each == level and "OCSP answer" in text and said in text for each, text in findings), findings


def test_kamailio(clinic: Clinic) -> None:
    needs("kamailio")
    credentials = clinic.file("peer", clinic.good())
    with Kamailio(
        "carrier", clinic.directory, KamailioSettings(free_port(), credentials=credentials)
    ) as peer:
        found = clinic.examine(peer.port)
    assert found.healthy, found.text
    assert found.visit["answer"] == "200 OK"
    assert found.visit["seen"]["requested"] == ["CN=Our CA"]


def test_kamailio_that_knows_another_ca(clinic: Clinic) -> None:
    needs("kamailio")
    settings = KamailioSettings(
        free_port(), credentials=clinic.file("peer", clinic.good()),
        ca=clinic.directory / "tls" / "carrier-ca.pem",
    )  # fmt: skip
    with Kamailio("carrier", clinic.directory, settings) as peer:
        found = clinic.examine(peer.port)
    assert not found.healthy
    assert any(where == OURS for _, where in found.bad()), found.text


def test_stunnel_that_knows_another_ca(clinic: Clinic) -> None:
    needs("stunnel4")
    credentials = clinic.file("peer", clinic.good())
    tunnel = into("peer", free_port(), credentials, clinic.directory / "tls" / "carrier-ca.pem")
    with Stunnel("peer", clinic.directory, [tunnel]):
        found = clinic.examine(tunnel.accept)
    assert not found.healthy
    found.say("the peer refuses us: rejected-by-peer", "it accepts CN=Carrier CA; that is not CN=Our CA")


def _heard(peer: SServer) -> bytes:
    """What the server has printed, which is what it was sent."""
    process = peer.process
    process.kill()
    out, _ = process.communicate(timeout=5)
    return out or b""


def _ocsp(authority: LabAuthority, issued: Issued) -> bytes:
    now = datetime.now(UTC)
    certificate = x509.load_pem_x509_certificate(issued.cert_pem)
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate, authority.certificate, hashes.SHA256(), ocsp.OCSPCertStatus.GOOD,
        now - timedelta(hours=1), now + timedelta(hours=1), None, None,
    ).responder_id(ocsp.OCSPResponderEncoding.HASH, authority.certificate)  # fmt: skip
    return builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
