"""A CA as ``openssl ca`` runs one: it issues, revokes, signs its list, and answers as ``openssl ocsp`` does.

The responder's own port listens on every interface, so it is given each request as a file instead; whoever
serves it on loopback passes the bytes on.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gevent import subprocess
from gevent.lock import BoundedSemaphore

from tests.peers.process import find

_CONFIG = """\
[ca]
default_ca = this
[this]
dir = {here}
database = $dir/index.txt
serial = $dir/serial
crlnumber = $dir/crlnumber
new_certs_dir = $dir
certificate = $dir/ca.pem
private_key = $dir/ca.key
default_md = sha256
default_days = 30
default_crl_days = 1
policy = any
unique_subject = no
[any]
commonName = supplied
[req]
distinguished_name = dn
prompt = no
[dn]
CN = unnamed
[authority]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:${{ENV::NAME}}
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
crlDistributionPoints = URI:{lists}
authorityInfoAccess = OCSP;URI:{responder}
[stapled]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = DNS:${{ENV::NAME}}
tlsfeature = status_request
[responder]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,OCSPSigning
noCheck = ignored
"""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    cert: Path
    key: Path


class OpensslCa:
    """A CA in a directory of its own; ``lists`` and ``responder`` are the addresses that its leaves name."""

    def __init__(self, directory: Path, lists: str, responder: str, name: str = "openssl CA") -> None:
        self.directory = directory
        self._alone = BoundedSemaphore()  # what is asked and what is answered lie in one file each
        directory.mkdir(parents=True)
        (directory / "index.txt").touch()
        (directory / "serial").write_text("1000\n")
        (directory / "crlnumber").write_text("01\n")
        text = _CONFIG.format(here=directory, lists=lists, responder=responder)
        (directory / "ca.cnf").write_text(text)
        self.own = Pair(directory / "ca.pem", directory / "ca.key")
        self._run(
            "req", "-x509", "-config", "ca.cnf", "-extensions", "authority", "-subj", f"/CN={name}",
            "-days", "3000", *_new_key("ca.key"), "-out", "ca.pem",
        )  # fmt: skip

    def issue(self, name: str, section: str = "leaf") -> Pair:
        """A certificate for a DNS name: a ``leaf``, a ``stapled`` one (must-staple) or a ``responder``."""
        made = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        self._run(
            "req", "-new", "-config", "ca.cnf", "-subj", f"/CN={name}", *_new_key(made.key.name),
            "-out", f"{name}.csr", NAME=name,
        )  # fmt: skip
        self._run(
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-extensions", section, "-in", f"{name}.csr",
            "-out", made.cert.name, NAME=name,
        )  # fmt: skip
        return made

    def revoke(self, pair: Pair) -> None:
        """Take a certificate back."""
        self._run("ca", "-config", "ca.cnf", "-revoke", pair.cert.name)

    def revoke_many(self, count: int) -> None:
        """As if ``count`` certificates, with the long serial numbers that CAs give, had been taken back."""
        lines = (
            f"R\t400101000000Z\t260101000000Z,keyCompromise\t{_serial(number):040X}\tunknown\t/CN={number}\n"
            for number in range(count)
        )
        with (self.directory / "index.txt").open("a") as index:
            index.writelines(lines)

    def forget(self) -> None:
        """Lose the register of what was issued: the responder then knows no certificate."""
        (self.directory / "index.txt").write_text("")

    def list(self, hours: float = 24) -> bytes:
        """The list of this moment, DER, for so many hours."""
        ends = datetime.now(UTC) + timedelta(hours=hours)
        begins = min(datetime.now(UTC), ends) - timedelta(minutes=1)
        with self._alone:
            self._run(
                "ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem",
                "-crl_lastupdate", f"{begins:%Y%m%d%H%M%SZ}", "-crl_nextupdate", f"{ends:%Y%m%d%H%M%SZ}",
            )  # fmt: skip
            self._run("crl", "-in", "list.pem", "-outform", "der", "-out", "list.crl")
            return (self.directory / "list.crl").read_bytes()

    def answer(self, question: bytes, signer: Pair | None = None) -> bytes:
        """What the responder says to a request, signed by the CA unless another signer is given."""
        signer = signer or self.own
        with self._alone:
            (self.directory / "question.der").write_bytes(question)
            self._run(
                "ocsp", "-index", "index.txt", "-CA", "ca.pem", "-rsigner", str(signer.cert),
                "-rkey", str(signer.key), "-reqin", "question.der", "-respout", "answer.der", "-ndays", "1",
            )  # fmt: skip
            return (self.directory / "answer.der").read_bytes()

    def question(self, pair: Pair) -> bytes:
        """The request about a certificate, as ``openssl ocsp`` makes it."""
        self._run(
            "ocsp", "-issuer", "ca.pem", "-cert", pair.cert.name, "-no_nonce", "-reqout", "own-question.der"
        )
        return (self.directory / "own-question.der").read_bytes()

    def _run(self, *argv: str, **environment: str) -> None:
        done: Any = subprocess.run(
            [find("openssl"), *argv], cwd=self.directory, capture_output=True, timeout=20,
            env={"PATH": "/usr/bin:/bin", "NAME": "x", **environment}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()


def _serial(number: int) -> int:
    """A serial number of 19 bytes, each number's own."""
    return int.from_bytes(hashlib.sha256(str(number).encode()).digest()[:19], "big") | 1 << 150


def _new_key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name)
