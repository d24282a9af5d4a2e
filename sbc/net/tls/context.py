"""OpenSSL contexts, and what their callbacks learn.

This, ``hello`` and ``end`` are the only code that reaches below pyOpenSSL's public interface. Two things
need that here. The verify callback must be able to name its own error, so that the
peer gets the alert that fits (a wrong name is bad_certificate, not internal_error). The
info callback is called some forty times a handshake, so it must drop what is no alert
before Python does any work.

A context is made once for an admission and used for every handshake of it. Sessions are
never resumed: a resumed handshake would show no certificate and run no check.
No callback here may switch greenlets; OpenSSL's error queue is one per thread.
"""

from __future__ import annotations

from typing import Any, Final, Literal
from weakref import ref

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL, crypto

from sbc.base import LocalError
from sbc.tls.evidence import Ours
from sbc.tls.failure import Direction
from sbc.tls.groups import normal_group
from sbc.tls.judge import Agreed, Judge
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
_CB_ALERT, _CB_WRITE = 0x4000, 0x08
_SSL_OF_STORE = _lib.SSL_get_ex_data_X509_STORE_CTX_idx()

# What OpenSSL writes for us: one buffer of its own, and where we read it; used up before anything can switch.
_bio = _lib.BIO_new(_lib.BIO_s_mem())
_SCRATCH: Final = 65536
_scratch = _ffi.new("char[]", _SCRATCH)


def _on_verify(ok: int, store: Any) -> int:
    depth = _lib.X509_STORE_CTX_get_error_depth(store)
    if ok and depth > 0:
        return 1
    connection = _connection(_lib.X509_STORE_CTX_get_ex_data(store, _SSL_OF_STORE))
    judge = judge_of(connection)
    if judge.settled:
        return 1
    outbound = judge.admission.direction == "outbound"
    agreed = judge.assumed
    if agreed is None:
        # A TLS 1.2 server names the group of its key only after its certificate.
        version = version_of(connection)
        agreed = Agreed(version, None if outbound and version == "TLSv1.2" else group_of(connection))
    if ok:
        code = judge.decide(_chain(store), agreed)
        if code:
            _lib.X509_STORE_CTX_set_error(store, code)
        return int(not code)
    code = _lib.X509_STORE_CTX_get_error(store)
    if judge.excuses(code, depth, lambda: _der(_lib.X509_STORE_CTX_get_current_cert(store))):
        return 1
    # What a server sent is known when its chain is judged, what a client sent is not yet.
    if outbound and judge.settles(_ders(_lib.SSL_get_peer_cert_chain(connection._ssl)), agreed):
        return 1
    judge.refuse(code, depth, _chain(store))
    return 0


def _chain(store: Any) -> list[bytes]:
    """The chain as far as OpenSSL has built it, leaf first; over MAX_CHAIN of them: too long."""
    stack = _lib.X509_STORE_CTX_get1_chain(store)
    try:
        return _ders(stack)
    finally:
        for index in range(_lib.sk_X509_num(stack)):
            _lib.X509_free(_lib.sk_X509_value(stack, index))
        _lib.sk_X509_free(stack)


def _ders(stack: Any) -> list[bytes]:
    """The certificates of a stack as DER, MAX_CHAIN and one more at most; none where it is NULL."""
    return [_der(_lib.sk_X509_value(stack, at)) for at in range(min(_lib.sk_X509_num(stack), MAX_CHAIN + 1))]


def _der(certificate: Any) -> bytes:
    _lib.i2d_X509_bio(_bio, certificate)
    der = b""
    while (length := _lib.BIO_read(_bio, _scratch, _SCRATCH)) > 0:
        der += _ffi.buffer(_scratch, length)[:]
    return der


def version_of(connection: SSL.Connection) -> str:
    """The version agreed so far: ``TLSv1.2`` or ``TLSv1.3``."""
    return str(connection.get_protocol_version_name())


def group_of(connection: SSL.Connection) -> str:
    """The agreed key-exchange group in the configuration's spelling, "" for none."""
    return normal_group(connection.get_group_name() or "")


def attend(connection: SSL.Connection, observer: object) -> None:
    """Let ``observer`` learn what callbacks learn of the handshake; whoever runs it keeps it alive.

    The connection refers to it weakly: a circle with one that refers to the connection would keep what
    OpenSSL holds for it, tens of kilobytes, until the collector comes by.
    """
    connection.set_app_data(ref(observer))


def judge_of(connection: SSL.Connection) -> Judge:
    """Who attends to the handshake of ``connection``."""
    judge: Judge = connection.get_app_data()()
    return judge


def _connection(ssl: Any) -> SSL.Connection:
    return SSL.Connection._reverse_mapping[ssl]


def _on_info(ssl: Any, where: int, value: int) -> None:
    if where & _CB_ALERT and value & 0xFF:
        judge = judge_of(_connection(ssl))
        if where & _CB_WRITE:
            judge.alert_sent = value & 0xFF
        else:
            judge.alert_received = value & 0xFF


def _on_request(ssl: Any, _argument: Any) -> int:
    # OpenSSL asks a client for its certificate only where the server's CertificateRequest came.
    judge_of(_connection(ssl)).asked = True
    return 1


# Kept for the life of the process: OpenSSL holds the bare function pointers. What raises
# inside one counts as 0: a refusal.
_verify_callback = _ffi.callback("int (*)(int, X509_STORE_CTX *)", _on_verify, error=0)
info_callback = _ffi.callback("void (*)(const SSL *, int, int)", _on_info)
_request_callback = _ffi.callback("int (*)(SSL *, void *)", _on_request, error=0)


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
        _lib.SSL_CTX_set_cert_cb(context._context, _request_callback, _ffi.NULL)


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
    _lib.SSL_CTX_set_verify(context._context, mode, _verify_callback)


def _names_its_issuers(anchor: AnchorMaterial) -> bool:
    # A pin says nothing of the issuer, and a pinned leaf has another subject than its own. An
    # empty list asks for any certificate; one that misses the right CA would get us none.
    return anchor.kind == "ca" or (anchor.kind == "leaf" and all(each.self_issued for each in anchor.facts))


def open_session(
    context: SSL.Context, judge: Judge, side: Literal["server", "client"], sni: str = ""
) -> SSL.Connection:
    """A connection on memory buffers that runs under ``context``, judged by ``judge`` and at its ``now``."""
    connection = SSL.Connection(context, None)
    attend(connection, judge)
    # One moment for the dates of every certificate: OpenSSL would take the machine's clock.
    _lib.X509_VERIFY_PARAM_set_time(_lib.SSL_get0_param(connection._ssl), int(judge.now))
    if side == "server":
        connection.set_accept_state()
    else:
        if sni:
            # RFC 6066 3: without the dot that ends a name in DNS.
            connection.set_tlsext_host_name(sni.removesuffix(".").encode("idna"))
        connection.set_connect_state()
    return connection


def verify_text(code: int) -> str:
    """OpenSSL's words for a verify code."""
    text: bytes = _ffi.string(_lib.X509_verify_cert_error_string(code))
    return text.decode()


def presented_by_peer(connection: SSL.Connection, leaf: bytes = b"") -> tuple[bytes, ...]:
    """The certificates that the peer sent, as DER, leaf first; () for none; ``leaf`` where it is known."""
    if not leaf:
        certificate = _lib.SSL_get_peer_certificate(connection._ssl)
        if certificate == _ffi.NULL:
            return ()
        leaf = _der(certificate)
        _lib.X509_free(certificate)
    sent = _ders(_lib.SSL_get_peer_cert_chain(connection._ssl))[:MAX_CHAIN]
    # A client's stack begins with the leaf, a server's does not have it.
    return (leaf, *(each for each in sent if each != leaf))


def reasons_of(error: Exception) -> tuple[str, ...]:
    """OpenSSL's reason symbols, oldest first; () where the error is none of its."""
    if not error.args or not isinstance(error.args[0], (list, tuple)):
        return ()
    return tuple(str(entry[-1]) for entry in error.args[0])
