"""Profiles of trunks: what a kind of peer is known to want, so that the file of a trunk has a few lines.

``profile: NAME`` stands for the keys that it sets; whatever the file writes itself comes before them, key by
key (of `tls` and the like each of their keys). What nobody but the operator can know, such as which
certificate is ours, a profile asks for. ``sbc trunks show`` prints where each setting of a trunk comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

ProfileName = Literal["teams", "carrier-mtls", "federation", "byoc-mtls", "byoc-tls"]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile sets, by the keys of a trunk's file, and what it ``needs`` of the file: key and why."""

    about: str
    sets: Mapping[str, Any]
    needs: Mapping[str, str]


_OPTIONS: Final = {"every": "60s", "down_after": 3}
_TIMER: Final = {"expires": "1800s", "min": "90s"}
_AES_128: Final = ["AES_CM_128_HMAC_SHA1_80"]
_CERTIFICATE: Final = "it shows its certificate to us and we show ours: write client_identity: NAME"
_NAMES: Final = "a certificate says no more than a name: write names: [NAME], which the peer's must carry"

PROFILES: Final[Mapping[str, Profile]] = {
    "teams": Profile(
        "Microsoft Teams Direct Routing, without media bypass",
        {
            "peers": [
                "sip.pstnhub.microsoft.com:5061", "sip2.pstnhub.microsoft.com:5061",
                "sip3.pstnhub.microsoft.com:5061",
            ],
            "sources": ["52.112.0.0/14", "52.120.0.0/14"],
            "scheme": "sip",
            "srtp": "required",
            "suites": _AES_128,
            "sips": "warn",
            "identity": {"in": "trusted", "out": "trusted"},
            "diversion": "history-info",
            "early_offer": ["PCMU", "PCMA"],
            "delayed_offer": "refuse",
            "redirects": "refuse",
            "options": _OPTIONS,
            "tls": {
                "mode": "required", "names": ["*.pstnhub.microsoft.com"], "client_eku": "allow-server-auth",
                "min_version": "1.2",
            },
        },
        {
            "domain": "Teams answers 403 to a Contact with an address: write domain: the name that is"
            " paired with your tenant",
            "tls.client_identity": _CERTIFICATE,
        },
    ),
    "carrier-mtls": Profile(
        "a carrier over mutual TLS with SRTP",
        {
            "srtp": "required",
            "sips": "forbid",
            "identity": {"in": "trusted", "out": "trusted"},
            "options": _OPTIONS,
            "session_timer": _TIMER,
            "tls": {"mode": "required", "client_eku": "require"},
        },
        {
            "peers": "write peers: [host:port], the carrier's servers",
            "sources": "write sources: [NETWORK], where the carrier calls from",
            "tls.names": _NAMES,
            "tls.client_identity": _CERTIFICATE,
        },
    ),
    "federation": Profile(
        "another company's SBC, across the Internet",
        {
            "scheme": "sips",
            "srtp": "required",
            "sips": "forbid",
            "identity": {"in": "screened", "out": "screened"},
            "redirects": "refuse",
            "options": _OPTIONS,
            "session_timer": _TIMER,
            "tls": {"mode": "required"},
        },
        {
            "peers": "write peers: [host:port], the other company's SBC",
            "sources": "write sources: [NETWORK], where it calls from",
            "tls.names": _NAMES,
            "tls.client_identity": _CERTIFICATE,
        },
    ),
    "byoc-mtls": Profile(
        "a contact centre in the cloud that we are the carrier of, over mutual TLS",
        {
            "srtp": "required",
            "suites": _AES_128,
            "sips": "forbid",
            "identity": {"in": "screened", "out": "screened"},
            "options": _OPTIONS,
            "session_timer": _TIMER,
            "tls": {"mode": "required", "client_eku": "allow-server-auth"},
        },
        {
            "peers": "write peers: [host:port], as the platform's page has them",
            "sources": "write sources: [NETWORK], where the platform calls from",
            "tls.names": _NAMES,
            "tls.client_identity": _CERTIFICATE,
        },
    ),
    "byoc-tls": Profile(
        "a contact centre in the cloud that shows no certificate when it calls (no mutual TLS)",
        {
            "srtp": "required",
            "suites": _AES_128,
            "sips": "forbid",
            "identity": {"in": "screened", "out": "screened"},
            "options": _OPTIONS,
            "session_timer": _TIMER,
            "tls": {"mode": "server", "client_identity": "none", "min_version": "1.2"},
        },
        {
            "peers": "write peers: [host:port], as the platform's page has them",
            "sources": "the address is all that says who calls: write sources: [NETWORK], the platform's own",
            "tls.names": "anybody has a certificate of a public CA: write names: [NAME], of whom we dial",
        },
    ),
}  # fmt: skip
assert set(PROFILES) == set(get_args(ProfileName))


def with_profile(given: Any) -> Any:
    """What a trunk's file says, with what its profile sets where the file is silent."""
    profile = PROFILES.get(str(given.get("profile"))) if isinstance(given, dict) else None
    if profile is None:
        return given
    sets = dict(profile.sets)
    if given.get("srv") is not None:  # it stands for `peers`
        sets.pop("peers", None)
    return _merged(sets, given)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = deepcopy(dict(below))
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, dict) and isinstance(value, dict):
            merged[key] = _merged(under, value)
        else:
            merged[key] = value
    return merged


def missing(profile: Profile, data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The keys that the file has to write for its profile and does not, each with what to do."""
    for key, hint in profile.needs.items():
        if key == "peers" and data.get("srv") is not None:
            continue
        steps = tuple(key.split("."))
        found: Any = data
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        if found is None or found in ([], ""):
            yield steps, hint


def settings(data: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a trunk's file as ``tls.mode`` and its value; what is in a list stays together."""
    for key, value in data.items():
        name = f"{at}{key}"
        if isinstance(value, dict) and value:
            yield from settings(value, f"{name}.")
        else:
            yield name, value
