"""Which header fields pass from one leg of a call to the other.

This is an allow-list, and that is the whole of topology hiding: a name that is not below does
not leave, however it is spelled. Kamailio's CVE-2020-28361 was a deny-list that a blank before
the colon got around; here such a name is merely unknown.

Three sets pass. Plain ones concern the two users. Trusted ones assert something to a party
that must believe it, so they pass only where both legs are of one trust domain (RFC 3325
section 7). Diverted ones carry numbers that the next leg needs and addresses that it need not
know: without authenticated TLS the hosts are masked. Who a user is passes by rules of its own
(``sbc.policy.identity``).

What never passes, and why:
    Via Record-Route Route Contact Call-ID CSeq From To Max-Forwards   written fresh for each leg
    Allow Supported Require Proxy-Require Unsupported    each leg's own negotiation
    Session-Expires Min-SE RSeq RAck Event Refer-To Replaces Join     bound to one leg's dialog
    Authorization and its kin                            a credential is for the one that asked
    Content-*                                            goes with the body, which is rewritten
    User-Agent Server Organization Warning Timestamp     tell what stands behind us
    Call-Info Error-Info Reply-To In-Reply-To            URIs and Call-IDs of the other side
    Retry-After                                          a busy trunk must not silence the caller's
    Identity Date    go on where all that is signed does (``sbc.policy.passports``)
    P-Charging-*                                         claims that nobody has checked
    X-*                                                  whatever it means, it was meant for us
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from dsl.addresses import canonical_addresses
from sbc.sip.grammar import split_commas
from sbc.sip.headers import canonical

Field = tuple[str, str]
_Mask = Callable[[str], str | None]

_PLAIN: Final = (
    "Subject",
    "Accept",  # the bodies, codings and languages that the user can take
    "Accept-Encoding",
    "Accept-Language",
    "Priority",  # RFC 3261 20.26: "emergency" must not be lost
    "Reason",  # RFC 3326: the Q.850 cause of the other side
    "User-to-User",  # RFC 7433: from application to application
    "Privacy",  # RFC 3323: performed or passed on, never dropped (``sbc.policy.privacy``)
    "Session-ID",  # RFC 7989: made to survive a B2BUA, and says nothing but itself
)
_TRUSTED: Final = (
    "P-Early-Media",  # RFC 5009: gates the media of a network that is believed
    "Resource-Priority",  # RFC 4412: pre-empts other calls
)
_DIVERTED: Final = ("History-Info", "Diversion")  # RFC 7044, RFC 5806
# Rules read the numbers in these in one form, and in this form they pass.
_ADDRESSES: Final = frozenset(_DIVERTED)

# A bracket ends, closed or not, at whatever may begin a match: a value full of such beginnings is read once.
_BRACKET: Final = r"\[[^\]@<>;?,\s\"]*+\]?"
_withheld: Final = re.compile(r'privacy(?![ \t]*+=[ \t]*+"?(?:off|none)(?![A-Za-z%]))', re.IGNORECASE).search
_URI_HOST: Final = re.compile(rf"@(?:{_BRACKET}|[^;>?,:\s\"]++)(?::\d+)?")
_BARE_HOST: Final = re.compile(rf"((?:^|[<\s,])sips?:)(?:{_BRACKET}|[^;>?,:\s\"@]++)(?::\d+)?(?=[;>?,\s]|$)")


def _unwithheld(value: str) -> str | None:
    """Without the entries that ask to be withheld (RFC 7044 10.1); None where all do.

    ``off`` and ``none`` ask for nothing.
    """
    if not _withheld(value):
        return value
    return ", ".join([each for each in split_commas(value) if not _withheld(each)]) or None


def _mask_hosts(value: str) -> str | None:
    """The entries without hosts (RFC 3323 4.1.1.3); None where all ask to be withheld."""
    shown = _unwithheld(value)
    if shown is None:
        return None
    return _BARE_HOST.sub(r"\1anonymous.invalid", _URI_HOST.sub("@anonymous.invalid", shown))


def _only_urns(value: str) -> str | None:
    """RFC 7462 tones are URNs; a URL would have the callee's phone fetch what a stranger names."""
    return value if value.count("<") == value.lower().count("<urn:alert:") > 0 else None


def _always(value: str) -> str | None:
    return value


def _never(value: str) -> str | None:
    return None


def _table(trusted: bool, told: bool, masked: bool) -> dict[str, tuple[str, _Mask]]:
    """Canonical name to the name that is written and what becomes of the value."""
    diverted = _mask_hosts if masked else _always if told else _unwithheld
    rules: dict[str, tuple[str, _Mask]] = {name.lower(): (name, _always) for name in _PLAIN}
    rules |= {name.lower(): (name, diverted) for name in _DIVERTED}
    rules["alert-info"] = ("Alert-Info", _only_urns)
    if trusted:
        rules |= {name.lower(): (name, _always) for name in _TRUSTED}
    return rules


_TABLES: Final = {
    (believed, told, masked): _table(believed and told, told, masked)
    for believed in (False, True)
    for told in (False, True)
    for masked in (False, True)
}

#: Every name that may pass, canonical.
PASSING: Final = frozenset(name for table in _TABLES.values() for name in table)


def pass_headers(fields: list[Field], believed: bool, told: bool, masked: bool) -> list[Field]:
    """The fields of a message of one leg that may be written on the other, in their order.

    ``believed`` and ``told`` say whether the leg it came from and the one it goes to are of the trust
    domain, ``masked`` whether the hosts of the one are kept from the other. Names are spelled anew, values
    are unchanged but for masked hosts. Who the user is, is not among them.
    """
    table = _TABLES[believed, told, masked]
    passed: list[Field] = []
    for name, value in fields:
        rule = table.get(canonical(name))
        if rule is None:
            continue
        kept = rule[1](canonical_addresses(value) if rule[0] in _ADDRESSES else value)
        if kept is not None:
            passed.append((rule[0], kept))
    return passed
