"""Where in the operator's files a thing is said, for whoever has to tell what to change.

A failed handshake that our own configuration decided is mended at one key of one trunk. The
lines are looked up when the file is read, since the snapshot no longer has the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dsl.breath import breathe
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.config.yaml_reader import Document
from sbc.tls.failure import Direction, Failure, Kind

Places = Mapping[str, str]

_KEYS = (
    "enabled", "peers", "sources", "tenant", "listener", "contact", "dial_timeout", "tls", "tls.mode",
    "tls.server_identity", "tls.client_identity", "tls.trust", "tls.names", "tls.name_match",
    "tls.client_eku", "tls.min_version", "tls.groups", "tls.peer_trusts", "tls.revocation",
)  # fmt: skip
_TRUSTSTORE = "trust."
_OF_TRUST = ("ca", "leaf", "permitted", "pin")
# Which key of the trunk decides each kind of failure; what is not here is mended at the peer.
_DECIDING: Mapping[Kind, str] = {
    "no-certificate": "tls.mode",
    "unknown-ca": "tls.trust",
    "missing-intermediate": "tls.trust",
    "name-mismatch": "tls.names",
    "stale-revocation": "tls.revocation",
    "no-shared-version": "tls.min_version",
    "no-shared-group": "tls.groups",
    "unknown-sni": "tenant",
}


def places_of(document: Document) -> Places:
    """The place, ``FILE:LINE``, of each key of a trunk; where a key is not given, of what it belongs into."""
    return _places(document, _KEYS)


def all_places(settings: SettingsFile, trunks: Iterable[TrunkFile]) -> dict[str, Places]:
    """Those of every trunk by its name, and under "" those of the entries of ``trust`` in sbc.yaml."""
    trust = [f"{_TRUSTSTORE}{name}.{key}" for name in settings.value.trust for key in _OF_TRUST]
    return {
        "": _places(settings.document, trust),
        **{each.value.trunk: places_of(each.document) for each in trunks},
    }


def _places(document: Document, keys: Iterable[str]) -> Places:
    breathe()
    lines = {key: document.place(_loc(key), key=True)[0] for key in keys}
    return MappingProxyType({key: f"{document.path}:{line}" for key, line in lines.items()})


def _loc(key: str) -> tuple[str, ...]:
    # A name may have dots in it, what stands before and after it has none.
    first, _, rest = key.partition(".")
    if first != "trust":
        return (first, rest) if rest else (first,)
    name, _, last = rest.rpartition(".")
    return first, name, last


def deciding_key(kind: Kind, direction: Direction) -> str:
    """The key of a trunk that decides a kind of failure, such as ``tls.names``; "" where none does."""
    if kind in ("rejected-by-peer", "no-identity"):
        return "tls.client_identity" if direction == "outbound" else "tls.server_identity"
    if kind == "wrong-purpose":
        return "tls.client_eku" if direction == "inbound" else ""
    return _DECIDING.get(kind, "")


def place_to_change(places: Mapping[str, Places], trunk: str, failure: Failure, direction: Direction) -> str:
    """Such as ``trunks.d/carrier.yaml:9 (tls.names)``; "" where no line of ours decides.

    ``places`` has those of each trunk, and under "" those of sbc.yaml.
    """
    key = deciding_key(failure.kind, direction) if failure.key is None else failure.key
    here = places.get("" if key.startswith(_TRUSTSTORE) else trunk, {})
    return f"{here[key]} ({key})" if key in here else ""
