"""One certificate from an ACME directory, from the account to the signed chain (RFC 8555 7).

The library signs, keeps nonces and polls; here is what an operator's directory may do to us beyond
that. Answers are read up to a limit, a stale nonce is tried again more than once (RFC 8555 6.5 sets
no bound, and a directory behind several front ends refuses more than one), and whatever goes wrong
comes out as one RenewalFailed. The requests block the greenlet, never the process: `sbc run` has the
standard library patched before this is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acme import challenges, client, crypto_util, messages
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from sbc.config.model import Acme
from sbc.net.acme.failures import FAILURES, explain
from sbc.net.acme.state import Account
from sbc.net.acme.transport import Network, secure
from sbc.tls.lifetime.renewal import RenewalFailed
from sbc.tls.material.extensions import extensions_of

Expect = Callable[[str, str], object]

_TIMEOUT = 20


@dataclass(frozen=True, slots=True)
class Issued:
    """A new private key and the chain that was issued for it, leaf first; both PEM. SHA-256 of the leaf."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    thumbprint: str


def register(directory: Acme, base: Path) -> Account:
    """A new account; agrees to the directory's terms of service. RenewalFailed."""
    key_pem = _new_key().decode()
    try:
        acme = _client(directory, base, Account(key_pem, ""))
        new = messages.NewRegistration.from_data(
            email=directory.email, terms_of_service_agreed=True,
            external_account_binding=_binding(directory, base, acme),
        )  # fmt: skip
        return Account(key_pem, acme.new_account(new).uri)
    except FAILURES as error:
        raise explain(error, directory.directory) from None


def _binding(directory: Acme, base: Path, acme: client.ClientV2) -> dict[str, Any] | None:
    account = directory.external_account
    if account is None:
        return None
    assert acme.net.key is not None, "made with one"
    secret = (base / account.key_file).read_text("ascii").strip()
    return messages.ExternalAccountBinding.from_data(
        acme.net.key.public_key(), account.id, secret, acme.directory
    )


def order(directory: Acme, base: Path, account: Account, names: tuple[str, ...], expect: Expect) -> Issued:
    """A certificate for ``names`` with a new key; ``expect(token, answer)`` before each HTTP-01 question.

    Blocks its greenlet for seconds to minutes. RenewalFailed.
    """
    key_pem = _new_key()
    try:
        acme = _client(directory, base, account)
        pending = acme.new_order(crypto_util.make_csr(key_pem, list(names)))
        for authorization in pending.authorizations:
            if authorization.body.status == messages.STATUS_PENDING:
                _answer(acme, authorization, expect)
        chain_pem = acme.poll_and_finalize(pending).fullchain_pem.encode()
        leaf = x509.load_pem_x509_certificates(chain_pem)[0]
    except FAILURES as error:
        raise explain(error, directory.directory) from None
    check_issued(leaf, key_pem, names)
    return Issued(key_pem, chain_pem, leaf.fingerprint(hashes.SHA256()).hex())


def check_issued(leaf: x509.Certificate, key_pem: bytes, names: tuple[str, ...]) -> None:
    """RenewalFailed for a certificate that is not the one ordered: in force, it would be ordered again."""
    try:
        found = extensions_of(leaf).get_extension_for_class(x509.SubjectAlternativeName).value
        missing = set(names).difference(map(str.lower, found.get_values_for_type(x509.DNSName)))
    except x509.ExtensionNotFound:
        missing = set(names)
    if missing or leaf.public_key() != load_pem_private_key(key_pem, None).public_key():
        what = f"lacks {', '.join(sorted(missing))}" if missing else "is for another key"
        raise RenewalFailed(f"the certificate that was issued {what}", "ask the directory's operator")


def _answer(acme: client.ClientV2, authorization: messages.AuthorizationResource, expect: Expect) -> None:
    for body in authorization.body.challenges:
        if isinstance(body.chall, challenges.HTTP01):
            response, text = body.response_and_validation(acme.net.key)
            expect(body.chall.encode("token"), text)
            acme.answer_challenge(body, response)
            return
    name = authorization.body.identifier.value
    raise RenewalFailed(
        f"the directory offers no HTTP-01 for {name}",
        "only HTTP-01 is spoken: choose a directory that has it, or obtain this certificate elsewhere",
    )


def _new_key() -> bytes:
    private = ec.generate_private_key(ec.SECP256R1())
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _client(directory: Acme, base: Path, account: Account) -> client.ClientV2:
    key = JWKEC(key=load_pem_private_key(account.key_pem.encode(), None))
    network = Network(key, alg=ES256, user_agent="portcullis", timeout=_TIMEOUT)
    if account.url:
        network.account = messages.RegistrationResource(uri=account.url, body=messages.Registration())
    secure(network.session, base / directory.ca_file if directory.ca_file else None)
    found = client.ClientV2.get_directory(directory.directory, network)
    for each in ("newNonce", "newAccount", "newOrder"):
        if not hasattr(found, each):
            raise RenewalFailed(
                f"{directory.directory} is no ACME directory: it has no {each}",
                "correct acme.directory: it is the URL whose JSON lists newNonce, newAccount and newOrder",
            )
    return client.ClientV2(found, network)
