"""A TLS peer that is sound until it is admitted and then writes its records by hand.

The handshake is Python's ssl, the keys come from its key log, and the records are those of RFC 8446 5.2 and
7.1, RFC 5246 6.3 and RFC 5288. What no library would send can be sent thus: key updates without end, records
without data, warnings, a second handshake.
"""

from __future__ import annotations

import hashlib
import hmac
import ssl as stdlib_ssl
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from gevent import socket

CHANGE_CIPHER, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23


class Forger:
    """Its handshake over ``sock``, as ``context`` has it; then ``record`` and its kin make octets to send."""

    def __init__(self, sock: socket.socket, context: Any, directory: Path, *, server: bool = False) -> None:
        self.sock = sock
        log = directory / "keys.log"
        log.unlink(missing_ok=True)
        context.keylog_filename = str(log)
        self._incoming, self._outgoing = stdlib_ssl.MemoryBIO(), stdlib_ssl.MemoryBIO()
        name = None if server else "sbc.example"
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=name)
        self._server_random = b""
        self._shake()
        lines = [line.split() for line in log.read_text().splitlines() if not line.startswith("#")]
        secrets = {label: bytes.fromhex(secret) for label, _, secret in lines}
        cipher, self.version, _ = self.tls.cipher()
        self.hash = "sha384" if cipher.endswith("SHA384") else "sha256"
        self._length = 32 if "256_GCM" in cipher or "AES256" in cipher else 16
        assert "GCM" in cipher, cipher
        self._sequence = 0
        if self.version == "TLSv1.3":
            self._secret = secrets["SERVER_TRAFFIC_SECRET_0" if server else "CLIENT_TRAFFIC_SECRET_0"]
            self._use()
        else:
            assert not server, "a client only"
            self._expand_master(secrets["CLIENT_RANDOM"], bytes.fromhex(lines[0][1]))
            self._sequence = 1  # the Finished was the first

    def _shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
                break
            except stdlib_ssl.SSLWantReadError:
                self._push()
                data = self.sock.recv(65536)
                assert data, "refused"
                self._server_random = self._server_random or data[11:43]
                self._incoming.write(data)
        self._push()

    def _push(self) -> None:
        if data := self._outgoing.read():
            self.sock.sendall(data)

    def read(self) -> bytes:
        """The next plaintext of the other side, b"" at its end."""
        while True:
            try:
                return bytes(self.tls.read(65536))
            except stdlib_ssl.SSLWantReadError:
                data = self.sock.recv(65536)
                if not data:
                    return b""
                self._incoming.write(data)
            except stdlib_ssl.SSLZeroReturnError:
                return b""

    # Keys

    def _use(self) -> None:
        self._aead = AESGCM(self._expand(b"key", self._length))
        self._iv = self._expand(b"iv", 12)
        self._sequence = 0

    def _expand(self, label: bytes, length: int) -> bytes:
        algorithm = hashes.SHA384() if self.hash == "sha384" else hashes.SHA256()
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(algorithm, length, info).derive(self._secret)

    def _expand_master(self, master: bytes, client_random: bytes) -> None:
        """RFC 5246 5, 6.3."""
        seed = b"key expansion" + self._server_random + client_random
        block, a = b"", seed
        while len(block) < 2 * self._length + 8:
            a = hmac.digest(master, a, self.hash)
            block += hmac.digest(master, a + seed, self.hash)
        self._aead = AESGCM(block[: self._length])
        self._iv = block[2 * self._length :][:4]

    # Records

    def record(self, kind: int, data: bytes) -> bytes:
        """One record of any kind."""
        sequence = self._sequence.to_bytes(8, "big")
        self._sequence += 1
        if self.version == "TLSv1.3":
            nonce = bytes(a ^ b for a, b in zip(self._iv, bytes(4) + sequence, strict=True))
            header = b"\x17\x03\x03" + (len(data) + 17).to_bytes(2, "big")
            return header + self._aead.encrypt(nonce, data + bytes([kind]), header)
        bound = sequence + bytes((kind, 3, 3)) + len(data).to_bytes(2, "big")
        sealed = sequence + self._aead.encrypt(self._iv + sequence, data, bound)
        return bytes((kind, 3, 3)) + len(sealed).to_bytes(2, "big") + sealed

    def key_update(self, requested: bool = False) -> bytes:
        """A KeyUpdate (RFC 8446 4.6.3); what follows is under the next key."""
        made = self.record(HANDSHAKE, b"\x18\x00\x00\x01" + bytes([requested]))
        self._secret = self._expand(b"traffic upd", hashlib.new(self.hash).digest_size)
        self._use()
        return made
