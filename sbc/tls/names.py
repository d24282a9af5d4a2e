"""Does a certificate carry one of the names we expect: RFC 5922 7 and RFC 2818 3.1.

Every subjectAltName of type DNS, URI and IP is looked at, not just the first; the subject's
common name never counts. A SIP domain in a URI is ``sip:domain`` without a user part
(RFC 5922 7.1). What a star means depends on who wrote it:

- in the *certificate* it is a claim of the CA's customer. RFC 5922 7.2 does not let it match;
  RFC 2818 (as tightened by RFC 6125 6.4.3) lets ``*`` as the whole leftmost label match one
  label.
- in the *configuration* it is the operator's own word, and ``*.example.com`` accepts any one
  label under example.com, and the certificate's wildcard of the same spelling where the mode
  is rfc2818.

An address is matched by a SAN of type IP and by no name that is spelled like it (RFC 9525 6.4). A wildcard
in the certificate does not reach a name that an issuer's name constraints exclude: whoever verified the chain
has held the star itself to them, and not what it stands for (RFC 5280 4.2.1.10).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Literal

NameMatch = Literal["rfc5922", "rfc2818"]


@lru_cache(maxsize=4096)
def normal_name(name: str) -> str:
    """A host name, SIP domain or IP in the form in which names compare: lower case, A-labels."""
    name = name.strip().removesuffix(".")
    if name.lower().startswith("sip:"):
        name = name[4:]
    bare = name.removeprefix("[").removesuffix("]")
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        pass
    if not name.isascii():
        try:
            name = name.encode("idna").decode()
        except UnicodeError:
            return name.lower()
    return name.lower()


@lru_cache(maxsize=4096)
def is_ip(name: str) -> bool:
    """True for a literal IPv4 or IPv6 address, bracketed or not."""
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=4096)
def san_name(san: str) -> tuple[str, str]:
    """The kind (``dns`` or ``ip``; ``""`` where it names no host) and name of a ``kind:value`` SAN."""
    kind, _, value = san.partition(":")
    if kind == "dns":
        return "dns", value.lower().removesuffix(".")
    if kind == "ip":
        return "ip", normal_name(value)
    if kind == "uri" and value[:4].lower() == "sip:" and "@" not in value:
        host = value[4:].partition(";")[0].partition("?")[0]
        if host and not (":" in host and not host.startswith("[")):
            return ("ip" if is_ip(host) else "dns"), normal_name(host)
    return "", ""


def one_label_wildcard(pattern: str, name: str) -> bool:
    """True where ``*.rest`` covers ``name`` with exactly one label; ``rest`` has two labels or more."""
    if not pattern.startswith("*."):
        return False
    rest = pattern[1:]
    label, dot, parent = name.partition(".")
    return bool(label) and dot == "." and "." + parent == rest and rest.count(".") >= 2 and label != "*"


def matching_name(
    sans: Iterable[str], expected: Iterable[str], mode: NameMatch, excluded: Iterable[str] = ()
) -> str | None:
    """The first of ``expected`` that some SAN (``dns:``, ``uri:``, ``ip:``) carries, or None.

    ``excluded`` are the subtrees of names that an issuer of the certificate excludes.
    """
    sans = tuple(sans)
    names = [name for kind, name in map(san_name, sans) if kind == "dns"]
    addresses = {san_name(each)[1] for each in sans if each.startswith("ip:")}
    for wanted in expected:
        normal = normal_name(wanted)
        if is_ip(normal):
            if normal in addresses:
                return wanted
        elif any(_carries(name, normal, mode, excluded) for name in names):
            return wanted
    return None


def _carries(name: str, wanted: str, mode: NameMatch, excluded: Iterable[str]) -> bool:
    """Whether a certificate's ``name`` is, or stands for, one that is wanted."""
    if "*" not in name:
        return wanted == name or one_label_wildcard(wanted, name)
    if mode != "rfc2818" or not (wanted == name or one_label_wildcard(name, wanted)):
        return False
    return not any(_reaches(wanted, each.removeprefix(".")) for each in excluded)


def _reaches(wanted: str, subtree: str) -> bool:
    """Whether ``wanted``, or one of the names that its star stands for, lies in ``subtree``."""
    return wanted == subtree or wanted.endswith("." + subtree) or one_label_wildcard(wanted, subtree)


def listed(names: Sequence[str], most: int = 8) -> str:
    """The names for a line of text, and of a longer list how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def all_permitted(sans: Iterable[str], permitted: Iterable[str]) -> bool:
    """True where every DNS and SIP name lies in a permitted subtree and there is one (RFC 5280 4.2.1.10).

    ``.example.com`` permits what is under it, ``example.com`` itself and what is under it.
    An IP SAN must be permitted literally.
    """
    subtrees = [each.lower() if each.startswith(".") else normal_name(each) for each in permitted]
    presented = [each for each in map(san_name, sans) if each[0]]
    return bool(presented) and all(_within(name, subtrees) for _, name in presented)


def _within(name: str, subtrees: list[str]) -> bool:
    bare = name.removeprefix("*.")
    for tree in subtrees:
        if tree.startswith("."):
            if ("." + bare if bare != name else bare).endswith(tree):
                return True
        elif bare == tree or bare.endswith("." + tree):
            return True
    return False


def server_name(sni: str) -> bytes:
    """A host's name as a ClientHello has it: without the dot that ends it in DNS (RFC 6066 3)."""
    return sni.removesuffix(".").encode("idna")
