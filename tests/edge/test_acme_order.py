"""An ACME directory that is none, refuses, lies or never ends: one sentence with a remedy, and no harm."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import requests
from acme import challenges, errors, messages
from cryptography import x509

from sbc.config.model import Acme
from sbc.demo.pki import LabAuthority
from sbc.net.acme.failures import explain
from sbc.net.acme.order import check_issued, register
from sbc.tls.lifetime.renewal import RenewalFailed


@contextmanager
def answering(directory: Path, status: int, body: bytes, *, endless: bool = False) -> Iterator[Acme]:
    """An HTTPS server that gives everybody the same answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", body.decode())
            if not endless:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
                while endless:
                    self.wfile.write(body)
            except OSError:
                pass

        def log_message(self, *_: object) -> None:
            """Nothing."""

    authority = LabAuthority("directory")
    issued = authority.issue(dns=["localhost"])
    for name, data in (
        ("ca.pem", authority.cert_pem),
        ("own.pem", issued.chain_pem),
        ("own.key", issued.key_pem),
    ):
        (directory / name).write_bytes(data)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "own.pem", directory / "own.key")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield Acme.model_validate(
            {"directory": f"https://localhost:{server.server_port}/dir", "ca_file": "ca.pem"}
        )
    finally:
        server.shutdown()
        server.server_close()


def failure(directory: Acme, base: Path) -> RenewalFailed:
    with pytest.raises(RenewalFailed) as failed:
        register(directory, base)
    assert failed.value.remedy
    return failed.value


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, b"<html>not here</html>", "answered what no ACME directory does: HTTP 404"),
        (200, b"<html>welcome</html>", "answered what no ACME directory does"),
        (200, b"[]", "answered what no ACME directory does"),
        (200, b"[" * 20000, "answered what no ACME directory does"),
        (200, b"{}", "is no ACME directory: it has no newNonce"),
        (200, b'{"newNonce": 1, "newAccount": 2, "newOrder": 3}', "answered what no ACME directory does"),
        (200, b'{"newNonce": "http://127.0.0.1:1/", "newAccount": "http://127.0.0.1:1/", "newOrder": ""}',
         "leads to an address that is not https"),
        (302, b"http://127.0.0.1:1/dir", "leads to an address that is not https"),
        (200, b"\xff\xfe" * 1000, "answered what no ACME directory does"),
        (429, json.dumps({"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many"}).encode(),
         "the directory refused (rateLimited): too many"),
    ],
)  # fmt: skip
def test_what_is_no_directory_is_named(tmp_path: Path, status: int, body: bytes, reason: str) -> None:
    with answering(tmp_path, status, body) as directory:
        assert reason in failure(directory, tmp_path).reason


def test_an_answer_without_an_end_is_cut_off(tmp_path: Path) -> None:
    with answering(tmp_path, 200, b"x" * 65536, endless=True) as directory:
        assert "answered what no ACME directory does" in failure(directory, tmp_path).reason


def test_a_directory_with_a_strangers_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    with answering(tmp_path, 200, b"{}") as directory:
        (tmp_path / "ca.pem").write_bytes(LabAuthority("another").cert_pem)
        failed = failure(directory, tmp_path)
    assert "does not verify" in failed.reason and "acme.ca_file" in failed.remedy


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    with answering(tmp_path, 200, b"{}") as directory:
        for data in (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b""):
            (tmp_path / "ca.pem").write_bytes(data)
            assert "a file that acme names cannot be used" in failure(directory, tmp_path).reason


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    with answering(tmp_path, 200, b"{}") as directory:
        pass
    assert "cannot be reached: Connection refused" in failure(directory, tmp_path).reason


def test_what_was_issued_must_be_what_was_ordered() -> None:
    issued = LabAuthority("directory").issue(dns=["A.example", "b.example"])
    (leaf,) = x509.load_pem_x509_certificates(issued.cert_pem)
    check_issued(leaf, issued.key_pem, ("a.example", "b.example"))
    with pytest.raises(RenewalFailed, match=r"lacks c\.example"):
        check_issued(leaf, issued.key_pem, ("a.example", "c.example"))
    with pytest.raises(RenewalFailed, match="is for another key"):
        check_issued(leaf, LabAuthority("x").issue(dns=["a.example"]).key_pem, ("a.example",))
    (nameless,) = x509.load_pem_x509_certificates(LabAuthority("x").issue().cert_pem)
    with pytest.raises(RenewalFailed, match=r"lacks a\.example"):
        check_issued(nameless, issued.key_pem, ("a.example",))


def problem(kind: str, detail: str) -> messages.Error:
    error: messages.Error = messages.Error.from_json(
        {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail}
    )
    return error


def authorization(error: messages.Error | None) -> messages.AuthorizationResource:
    """One that failed, and what its challenge says of that."""
    challenge = messages.ChallengeBody(
        chall=challenges.HTTP01(token=bytes(16)), uri="https://ca.example/1", error=error
    )
    body = messages.Authorization(
        identifier=messages.Identifier(typ=messages.IDENTIFIER_FQDN, value="a.example"),
        challenges=[challenge],
    )
    return messages.AuthorizationResource(body=body, uri="https://ca.example/2")


def test_a_strangers_text_stays_one_line() -> None:
    failed = explain(problem("malformed", "a\r\nb\x1b[2J" + "c" * 5000), "https://ca.example/")
    assert failed.reason.isprintable()
    assert len(failed.reason) <= 300


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (problem("caa", "forbidden"), "CAA record"),
        (problem("dns", "NXDOMAIN"), "resolve"),
        (problem("rateLimited", "too many"), "next attempt"),
        (problem("externalAccountRequired", "who?"), "acme.external_account"),
        (errors.IssuanceError(problem("badCSR", "no")), "operator"),
        (errors.TimeoutError(), "next attempt"),
        (requests.ReadTimeout(), "firewall"),
        (KeyError("newNonce"), "acme.directory"),
        (errors.ValidationError([]), "operator"),
        (errors.ValidationError([authorization(None)]), "operator"),
        (errors.ValidationError([authorization(problem("dns", "NXDOMAIN"))]), "resolve"),
    ],
)
def test_each_failure_has_its_remedy(error: Exception, remedy: str) -> None:
    assert remedy in explain(error, "https://ca.example/").remedy
