"""Certificates for peers on one machine: two authorities, named leaves, files in a directory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sbc.demo.pki import KeyKind, LabAuthority


@dataclass(frozen=True, slots=True)
class Credentials:
    """Paths of one peer's certificate chain and key, and of the authority that issued them."""

    name: str
    cert: Path
    key: Path
    ca: Path


class Lab:
    """A directory of certificates; every leaf also bears 127.0.0.1, where its peer is found, and ``also``."""

    def __init__(self, directory: Path, key: KeyKind = "ec") -> None:
        self.directory = directory
        self.key = key
        self.also: tuple[str, ...] = ()
        directory.mkdir(parents=True, exist_ok=True)
        self._authorities: dict[str, LabAuthority] = {}

    def ca(self, authority: str = "lab") -> Path:
        """The path of an authority's certificate; the authority is made when first asked for."""
        path = self.directory / f"{authority}-ca.pem"
        if authority not in self._authorities:
            self._authorities[authority] = LabAuthority(f"{authority} CA", key=self.key)
            path.write_bytes(self._authorities[authority].cert_pem)
        return path

    def issue(self, name: str, authority: str = "lab") -> Credentials:
        """Issue ``NAME.lab.example`` under ``authority``."""
        ca, domain = self.ca(authority), f"{name}.lab.example"
        issued = self._authorities[authority].issue(
            dns=[domain, *self.also], uris=[f"sip:{domain}"], ips=["127.0.0.1"], key=self.key
        )
        cert, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        cert.write_bytes(issued.chain_pem)
        key.touch(mode=0o600)
        key.write_bytes(issued.key_pem)
        return Credentials(domain, cert, key, ca)
