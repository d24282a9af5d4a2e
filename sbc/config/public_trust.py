"""A public CA tells nobody apart: a trunk that trusts one has to say whom it means (row T7).

What counts is the CA, not what the entry calls it: a well-known public root that is filed without
``public: true`` is known by its key. The names are the trunk's ``names``, or else the host names that
it dials.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.names import is_ip, listed


def check_public(
    settings: SettingsFile, trunks: Iterable[TrunkFile], anchors: Mapping[str, AnchorMaterial]
) -> Iterator[Diagnostic]:
    """Trunks that would let in every customer of a public CA."""
    for trunk in trunks:
        tls = trunk.value.tls
        named = tls is None or tls.names or any(not is_ip(peer.host) for peer in trunk.value.peers)
        if tls is None or tls.mode == "off" or named or not trunk.right("tls", "peers"):
            continue
        for index, name in enumerate(tls.trust):
            entry, anchor = settings.value.trust.get(name), anchors.get(name)
            known = ""
            if entry is None or not entry.public:
                if anchor is None or not anchor.public:
                    continue
                known = f" ({listed(anchor.subjects, 3)}, a well-known public root)"
            hint = "write names: [the peer's host name]; anybody can get a certificate of a public CA"
            yield trunk.error(("tls", "trust", index), f"public CA {name!r} without names{known}", hint)
            break
