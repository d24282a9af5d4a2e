"""Identities whose certificate an ACME directory issues (RFC 8555): which names, and what cannot be.

The names are the domains of the tenants that the identity answers for. Only HTTP-01 is spoken, and
that proves no wildcard (RFC 8555 8.3), so one is refused before a directory could.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile
from sbc.config.model import Settings
from sbc.config.schema import Loc
from sbc.tls.material.problems import read_pem_file
from sbc.tls.names import is_ip, normal_name

# base64url without padding (RFC 8555 7.3.4), 128 bits at least.
_MAC_KEY = re.compile(rb"[A-Za-z0-9_-]{22,1024}={0,2}").fullmatch


def acme_names(settings: Settings, identity: str) -> tuple[str, ...]:
    """The names to order for ``identity``, as they stand in a certificate, sorted."""
    domains = (
        domain
        for tenant in settings.tenants.values()
        if tenant.server_identity == identity
        for domain in tenant.domains
    )
    return tuple(sorted(set(map(normal_name, domains))))


def ordered(settings: Settings) -> tuple[str, ...]:
    """The identities that are ordered from the ACME directory, by name."""
    if settings.acme is None:
        return ()
    return tuple(sorted(name for name, each in settings.identities.items() if each.acme))


def check_acme(settings: SettingsFile, directory: Path) -> Iterator[Diagnostic]:
    """Every mistake about ACME in sbc.yaml; ``directory`` is where its file names begin."""
    acme, problem = settings.value.acme, settings.document.problem
    for name, identity in settings.value.identities.items():
        if not identity.acme:
            continue
        loc: Loc = ("identities", name, "acme")
        if acme is None and "acme" not in settings.document.data:
            yield problem(
                loc, "there is no ACME directory to order it from", "write acme: {directory: https://...}"
            )
        if identity.passphrase_file is not None:
            hint = "remove passphrase_file: Portcullis makes the key itself, readable by its own user only"
            yield problem(("identities", name, "passphrase_file"), "an ordered key has no passphrase", hint)
        yield from _names(settings, name)
    if acme is not None and acme.ca_file is not None:
        loc = ("acme", "ca_file")
        data, hint = _read(acme.ca_file, directory)
        if data is None or b"BEGIN CERTIFICATE" not in data:
            hint = hint or "give the CA certificate of the ACME server's own HTTPS, PEM"
            yield problem(loc, f"{acme.ca_file}: no PEM certificate can be read here", hint)
    if acme is not None and acme.external_account is not None:
        path = acme.external_account.key_file
        data, hint = _read(path, directory)
        if data is None or not _MAC_KEY(data.strip()):
            hint = hint or "it holds the key as the directory's operator gave it: letters, digits, - and _"
            yield problem(("acme", "external_account", "key_file"), f"{path}: no key can be read here", hint)


def _read(path: str, directory: Path) -> tuple[bytes | None, str]:
    """The file, or why there is none."""
    data, problems = read_pem_file(path, directory)
    return data, "; ".join(f"{each.message}: {each.hint}" for each in problems)


def _names(settings: SettingsFile, identity: str) -> Iterator[Diagnostic]:
    names = 0
    for tenant, value in settings.value.tenants.items():
        if value.server_identity != identity:
            continue
        for index, domain in enumerate(value.domains):
            names += 1
            loc: Loc = ("tenants", tenant, "domains", index)
            if domain.startswith("*."):
                hint = (
                    "list the names, or file a wildcard certificate from elsewhere and drop `acme` "
                    f"from identity {identity}"
                )
                text = f"{domain} cannot be ordered: HTTP-01 proves single names, never a wildcard"
                yield settings.document.problem(loc, text, hint)
            elif is_ip(domain):
                hint = "give the tenant a host name"
                yield settings.document.problem(loc, f"{domain} cannot be ordered: it is an address", hint)
    if not names and ("tenants",) not in settings.broken:
        hint = f"give a tenant server_identity: {identity}; its domains are the names of the certificate"
        text = f"no tenant has identity {identity}, so there is no name to order"
        yield settings.document.problem(("identities", identity, "acme"), text, hint)
