"""OpenSSL contexts: what is offered and accepted, what we show and whom we trust.

This, ``hello`` and ``end`` are the only code that reaches below pyOpenSSL's public interface. What the
callbacks of a context learn is in ``end``, beside the session that they learn it of.

A context is made once for an admission and used for every handshake of it. Sessions are
never resumed: a resumed handshake would show no certificate and run no check.
"""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from sbc.base import LocalError
from sbc.net.tls.end import info_callback, reasons_of, request_callback, verify_callback
from sbc.tls.evidence import Ours
from sbc.tls.failure import Direction
from sbc.tls.match import Admission
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import MAX_CHAIN, facts_of
from sbc.tls.material.identity import IdentityMaterial
from sbc.tls.material.strength import key_of

_lib: Any = SSL._lib
_ffi: Any = SSL._ffi

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_MODE_PARTIAL_WRITE, _MODE_NO_AUTO_CHAIN, _MODE_RELEASE_BUFFERS = 0x1, 0x8, 0x10


def build_context(admission: Admission, identity: IdentityMaterial | None) -> SSL.Context:
    """The context of one admission, either direction; LocalError where the material will not do."""
    context = SSL.Context(SSL.TLS_METHOD)
    try:
        _restrict(context, admission)
        if identity is not None:
            _present(context, identity)
        _trust(context, admission)
    except (SSL.Error, crypto.Error, ValueError, TypeError) as error:
        what = f"identity {identity.name}" if identity is not None else "no identity"
        why = "; ".join(reasons_of(error)) or str(error) or type(error).__name__
        raise LocalError(f"no TLS context can be made from {what}: {why}") from None
    return context


def _restrict(context: SSL.Context, admission: Admission) -> None:
    context.set_min_proto_version(_VERSIONS[admission.min_version])
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_options(
        SSL.OP_NO_TICKET | SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE
    )
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.clear_mode(_MODE_PARTIAL_WRITE)
    context.set_mode(_MODE_NO_AUTO_CHAIN | _MODE_RELEASE_BUFFERS)
    context.set_cipher_list(CIPHERS)
    if admission.groups:
        set_groups(context, admission.groups)
    observe(context, admission.direction)


def observe(context: SSL.Context, direction: Direction) -> None:
    """Let the Judge of each connection learn of alerts and, as a client, of a CertificateRequest."""
    _lib.SSL_CTX_set_info_callback(context._context, info_callback)
    if direction == "outbound":
        _lib.SSL_CTX_set_cert_cb(context._context, request_callback, _ffi.NULL)


def set_groups(context: SSL.Context, groups: tuple[str, ...]) -> None:
    """Offer or accept these key-exchange groups, the first preferred; ValueError for an unknown one."""
    # A starred group is one that a client sends a share of (OpenSSL 3.5). With a share of a
    # classical group beside the hybrid one, a peer without hybrids costs no second ClientHello.
    classical = next((each for each in groups if "MLKEM" not in each), "")
    starred = ["*" + each if each in (groups[0], classical) else each for each in groups]
    for spelling in (starred, groups):
        if _lib.SSL_CTX_set1_curves_list(context._context, ":".join(spelling).encode()):
            return
        _lib.ERR_clear_error()
    raise ValueError(f"this OpenSSL does not know one of the groups {', '.join(groups)}")


def _present(context: SSL.Context, identity: IdentityMaterial) -> None:
    leaf, *rest = x509.load_pem_x509_certificates(identity.chain_pem)
    context.use_certificate(leaf)
    for each in rest:
        context.add_extra_chain_cert(each)
    _use_key(context, identity.key_pem)
    context.check_privatekey()
    # What we are on every connection of it: a context that was used cannot be changed.
    context.set_app_data(_ours(identity.name, leaf))


def _ours(name: str, leaf: x509.Certificate) -> Ours:
    facts = facts_of(leaf, leaf.public_bytes(Encoding.DER))
    who = facts.identity
    return Ours(
        name, who.thumbprint, who.label, who.issuer, who.sans, key_of(leaf), who.not_before, who.not_after,
        facts.client_auth, facts.server_auth,
    )  # fmt: skip


def _use_key(context: SSL.Context, pem: bytes) -> None:
    """By OpenSSL itself: from the hands of another library an RSASSA-PSS key comes as a plain RSA one."""
    data = _ffi.from_buffer(pem)  # the BIO refers to it
    bio = _ffi.gc(_lib.BIO_new_mem_buf(data, len(pem)), _lib.BIO_free)
    key = _ffi.gc(_lib.PEM_read_bio_PrivateKey(bio, _ffi.NULL, _ffi.NULL, _ffi.NULL), _lib.EVP_PKEY_free)
    if key == _ffi.NULL or not _lib.SSL_CTX_use_PrivateKey(context._context, key):
        _lib.ERR_clear_error()
        raise ValueError("OpenSSL takes the key for none of the certificate")


def _trust(context: SSL.Context, admission: Admission) -> None:
    if not admission.asks:
        _lib.SSL_CTX_set_verify(context._context, SSL.VERIFY_NONE, _ffi.NULL)
        return
    store = context.get_cert_store()
    # A pinned leaf or a filed intermediate is an anchor without its root.
    store.set_flags(crypto.X509StoreFlags.PARTIAL_CHAIN)
    names_all = admission.direction == "inbound" and all(map(_names_its_issuers, admission.anchors))
    for anchor in admission.anchors:
        for der in anchor.certificates:
            certificate = x509.load_der_x509_certificate(der)
            store.add_cert(crypto.X509.from_cryptography(certificate))
            if names_all:
                context.add_client_ca(certificate)
    mode = SSL.VERIFY_PEER | (SSL.VERIFY_FAIL_IF_NO_PEER_CERT if admission.demands else 0)
    context.set_verify_depth(MAX_CHAIN - 1)
    _lib.SSL_CTX_set_verify(context._context, mode, verify_callback)


def _names_its_issuers(anchor: AnchorMaterial) -> bool:
    # A pin says nothing of the issuer, and a pinned leaf has another subject than its own. An
    # empty list asks for any certificate; one that misses the right CA would get us none.
    return anchor.kind == "ca" or (anchor.kind == "leaf" and all(each.self_issued for each in anchor.facts))
