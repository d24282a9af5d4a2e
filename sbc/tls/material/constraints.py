"""Which name of a certificate its CA may not certify (RFC 5280 4.2.1.10): said after OpenSSL has refused it.

OpenSSL decides and names neither. What is looked at here is bounded: whoever is refused may have thousands
of names.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509

from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.extensions import extensions_of
from sbc.tls.material.reading import load

_MOST = 100


@dataclass(frozen=True, slots=True)
class Violation:
    """A name that the CA ``authority`` may not certify, and ``why``: what it permits or excludes."""

    name: str
    authority: str
    why: str


def violation(chain: Sequence[bytes]) -> Violation | None:
    """The first name of the leaf that a CA above it forbids; ``chain`` is DER, leaf first; None for none."""
    try:
        leaf, *above = map(load, chain)
        names = _names(leaf)
        for authority in above:
            limits = _limits(authority)
            for name in names if limits is not None else ():
                why = _why(name, limits) if limits is not None else ""
                if why:
                    return Violation(_text(name), authority.subject.rfc4514_string(), why)
    except UNREADABLE:
        return None
    return None


def _names(leaf: x509.Certificate) -> list[x509.GeneralName]:
    try:
        return list(extensions_of(leaf).get_extension_for_class(x509.SubjectAlternativeName).value)[:_MOST]
    except x509.ExtensionNotFound:
        return []


def _limits(authority: x509.Certificate) -> x509.NameConstraints | None:
    try:
        return extensions_of(authority).get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return None


def _why(name: x509.GeneralName, limits: x509.NameConstraints) -> str:
    excluded = [each for each in (limits.excluded_subtrees or ())[:_MOST] if _within(name, each)]
    if excluded:
        return f"excludes {_text(excluded[0])}"
    permitted = [each for each in (limits.permitted_subtrees or ())[:_MOST] if type(each) is type(name)]
    if not permitted or any(_within(name, each) for each in permitted):
        return ""
    shown = ", ".join(map(_text, permitted[:4])) + (", ..." if len(permitted) > 4 else "")
    return f"permits {shown} only"


def _within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    if isinstance(name, x509.DNSName) and isinstance(subtree, x509.DNSName):
        return _under(name.value, subtree.value)
    if isinstance(name, x509.UniformResourceIdentifier) and isinstance(
        subtree, x509.UniformResourceIdentifier
    ):
        host = _host(name.value)
        # In a URI a bare host means itself alone, and a period before it what is under it.
        dotted = subtree.value.startswith(".")
        return host.endswith(subtree.value.lower()) if dotted else host == subtree.value.lower()
    if isinstance(name, x509.IPAddress) and isinstance(subtree, x509.IPAddress):
        network = subtree.value
        return (
            isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network)
            and isinstance(name.value, ipaddress.IPv4Address | ipaddress.IPv6Address)
            and name.value in network
        )
    return False


def _under(name: str, tree: str) -> bool:
    name, tree = name.lower(), tree.lower()
    return not tree or name == tree or name.endswith("." + tree.removeprefix("."))


def _host(uri: str) -> str:
    rest = uri.partition(":")[2].removeprefix("//")
    return rest.rpartition("@")[2].partition(";")[0].partition(":")[0].partition("/")[0].lower()


def _text(name: x509.GeneralName) -> str:
    kinds: Iterable[tuple[type[x509.GeneralName], str]] = (
        (x509.DNSName, "dns:"), (x509.UniformResourceIdentifier, "uri:"), (x509.IPAddress, "ip:"),
        (x509.RFC822Name, "email:"),
    )  # fmt: skip
    kind = next((text for each, text in kinds if isinstance(name, each)), "")
    value = name.value
    return kind + (value.rfc4514_string() if isinstance(value, x509.Name) else str(value))
