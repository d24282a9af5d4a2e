"""Certificates from a real ACME directory: ordered, served, renewed, and what is said when that fails."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography import x509

from sbc.demo.process import whole_lines
from tests.peers.kept import kept
from tests.peers.needs import needs
from tests.peers.pebble import Pebble
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_ports
from tests.peers.product import command

pytestmark = [pytest.mark.interop, pytest.mark.slow]

NAME = "sip.acme.example"
SETTINGS = """\
listeners:
  tls: {{bind: 127.0.0.1:{tls}, transport: tls}}
identities:
  own: {{chain: tls/own.pem, key: tls/own.key, acme: true}}
tenants:
  acme: {{domains: [{name}, acme.example], server_identity: own}}
acme:
  {{directory: '{url}', email: ops@acme.example, ca_file: {ca}, listen: '127.0.0.1:{http}'{more}}}
"""
TRUNK = """\
trunk: office
tenant: acme
sources: [127.0.0.0/8]
listener: tls
tls: {mode: server}
"""
ROUTES = """\
rules:
  - name: nobody
    when: true
    then: reject 404
"""


class Site:
    """A configuration whose one certificate is ordered by ACME, and the SBC that runs on it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tls, self.http, self.elsewhere = free_ports(3)
        self.sbc = Portcullis("sbc", directory, tcp=(self.tls,))

    def write(self, pebble: Pebble, more: str = "") -> None:
        """Write everything; ``more`` goes into ``acme:``."""
        text = SETTINGS.format(
            tls=self.tls, name=NAME, url=pebble.url, ca=pebble.ca_file, http=self.http, more=more
        )
        files = {"sbc.yaml": text, "trunks.d/office.yaml": TRUNK, "routes.d/10.yaml": ROUTES}
        for name, content in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)

    def served(self) -> x509.Certificate | None:
        """The certificate that the next handshake gets; None where there is no handshake."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            with socket.create_connection(("127.0.0.1", self.tls), 3) as sock:
                with context.wrap_socket(sock, server_hostname=NAME) as secured:
                    shown = secured.getpeercert(binary_form=True)
        except OSError:
            return None
        return x509.load_der_x509_certificate(shown) if shown else None

    def filed(self, name: str) -> int:
        """The serial number of the certificate in a file of ``tls/``."""
        data = (self.directory / "tls" / name).read_bytes()
        return x509.load_pem_x509_certificates(data)[0].serial_number

    def look(self) -> None:
        """Let the keeper look again, as it does each minute and after each change."""
        with (self.directory / "sbc.yaml").open("a") as file:
            file.write("# changed\n")

    def account(self) -> dict[str, str]:
        """The account as it is kept."""
        state = kept(self.directory / "run", "acme")
        (account,) = [each for key, each in state.items() if key.startswith("account ")]
        return dict(account)

    def renew(self, name: str = "own") -> subprocess.CompletedProcess[str]:
        """``sbc certs renew``."""
        argv = command("certs", "renew", name, "-c", str(self.directory))
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    def journal(self) -> list[str]:
        """The lines about ACME."""
        return [line for line in whole_lines(self.sbc.log).splitlines() if "[acme]" in line]

    def issued(self) -> list[str]:
        """The lines about certificates that came."""
        return [line for line in self.journal() if "issued=" in line]

    def wait(self, done: Callable[[], object], seconds: float = 40) -> None:
        """Wait until ``done()``; fails with the journal."""
        self.sbc.wait_until(lambda: bool(done()), seconds, "what was waited for")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    needs("pebble", "pebble-challtestsrv")
    made = Site(tmp_path / "sbc")
    yield made
    made.sbc.stop()


@contextmanager
def running(site: Site, pebble: Pebble) -> Iterator[None]:
    with pebble:
        site.write(pebble)
        with site.sbc:
            yield


def test_a_certificate_is_ordered_served_and_renewed(site: Site, tmp_path: Path) -> None:
    pebble = Pebble(tmp_path / "pebble", site.http, nonces_refused=40)
    with running(site, pebble):
        site.wait(site.issued)
        first = site.served()
        assert first is not None
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert set(names.get_values_for_type(x509.DNSName)) == {NAME, "acme.example"}
        check_trusted(site, pebble)
        done = site.renew()
        assert (done.returncode, done.stderr) == (0, ""), done
        assert "good until" in done.stdout
        second = site.served()
        assert second is not None
        assert second.serial_number != first.serial_number
        assert second.public_key() != first.public_key(), "a new key each time"
        site.wait(lambda: len(site.issued()) == 2)
        # The peer was seen to take it, so it is in its place by the next look, and the old one beside it.
        site.look()
        site.wait(lambda: site.filed("own.pem") == second.serial_number)
        assert site.filed("own.pem.old") == first.serial_number
        assert not (site.directory / "tls/own.pem.next").exists()
        assert site.served() == second


def check_trusted(site: Site, pebble: Pebble) -> None:
    """A peer that trusts the directory's root alone verifies the chain and the name."""
    context = ssl.create_default_context(cadata=pebble.root().decode())
    with socket.create_connection(("127.0.0.1", site.tls), 3) as sock:
        context.wrap_socket(sock, server_hostname=NAME).close()


def test_keys_are_kept_and_never_shown(site: Site, tmp_path: Path) -> None:
    pebble = Pebble(tmp_path / "pebble", site.http)
    with running(site, pebble):
        site.wait(site.issued)
    state = site.directory / "run" / "state.db"
    secrets = [site.account()["key_pem"], (site.directory / "tls/own.key").read_text()]
    for path in (state, site.directory / "tls/own.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    log = site.sbc.log.read_text()
    for secret in secrets:
        assert not any(line in log for line in secret.splitlines() if len(line) > 40)


def test_the_account_is_kept_over_a_restart_and_replaced_where_it_is_gone(site: Site, tmp_path: Path) -> None:
    pebble = Pebble(tmp_path / "pebble", site.http)
    with running(site, pebble):
        site.wait(site.issued)
        first = site.account()
        site.sbc.stop()
        with site.sbc:
            assert site.renew().returncode == 0
        assert site.account() == first
    with running(site, pebble):  # it has forgotten everything
        assert site.renew().returncode == 0
    assert site.account() != first


def test_a_short_lived_certificate_is_renewed_by_itself(site: Site, tmp_path: Path) -> None:
    with running(site, Pebble(tmp_path / "pebble", site.http, validity=15)):
        site.wait(site.issued)
        seen = set[int]()
        while len(seen) < 3:
            time.sleep(0.5)
            served = site.served()
            assert served is not None, "there is a good certificate all the time"
            seen.add(served.serial_number)
        site.wait(lambda: len(site.issued()) >= 3)
        told = [line for line in whole_lines(site.sbc.log).splitlines() if "[expiry]" in line]
        assert not [line for line in told if "state=overdue" not in line], "no alarm at its issue"


def test_a_refused_authorisation_is_explained_and_tried_again_later(site: Site, tmp_path: Path) -> None:
    with running(site, Pebble(tmp_path / "pebble", site.elsewhere)):
        site.wait(lambda: any("failed=" in line for line in site.journal()))
        (line,) = [line for line in site.journal() if "failed=" in line]
        for words in ("ERR", "identity=own", "could not validate", "acme.example: ", "port 80", "again=20"):
            assert words in line
        assert site.served() is None
        refused = site.renew()
        assert refused.returncode == 1
        assert refused.stderr.startswith("sbc: the directory could not validate")


def test_a_directory_that_is_away_is_named_and_comes_back(site: Site, tmp_path: Path) -> None:
    pebble = Pebble(tmp_path / "pebble", site.http)
    site.write(pebble)
    with site.sbc:
        site.wait(lambda: any("failed=" in line for line in site.journal()))
        assert "cannot be reached: Connection refused" in site.journal()[-1]
        assert pebble.url in site.journal()[-1]
        with pebble:
            assert site.renew().returncode == 0
            assert site.served() is not None
        unknown = site.renew("nobody")
        assert "not ordered by ACME; those that are: own" in unknown.stderr


def test_a_directory_for_customers_only(site: Site, tmp_path: Path) -> None:
    key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    with Pebble(tmp_path / "pebble", site.http, customers={"customer": key}) as pebble:
        site.write(pebble)
        with site.sbc:
            site.wait(lambda: any("failed=" in line for line in site.journal()))
            assert "give acme.external_account" in site.journal()[-1]
        (site.directory / "mac.key").write_text(key + "\n")
        site.write(pebble, ", external_account: {id: customer, key_file: mac.key}")
        with site.sbc:
            site.wait(site.issued)
        assert key not in site.sbc.log.read_text()
