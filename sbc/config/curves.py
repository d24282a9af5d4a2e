"""An identity's curve against the groups of the trunks that are shown it.

Over TLS 1.2 the list of groups speaks of certificates too (RFC 8422 5.1.1): a key on a curve that the list
leaves out cannot be shown, nor taken, whatever group the key exchange uses. TLS 1.3 parted the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.identity import IdentityMaterial


def check_curves(
    settings: SettingsFile, trunks: Iterable[TrunkFile], identities: Mapping[str, IdentityMaterial]
) -> Iterator[Diagnostic]:
    """Trunks whose peers are shown a certificate that their own ``groups`` rule out over TLS 1.2."""
    for trunk in trunks:
        tls = trunk.value.tls
        if tls is None or tls.mode == "off" or tls.min_version == "1.3" or not trunk.right("tls", "tenant"):
            continue
        for name in _shown(settings, trunk):
            for each in (identities.get(name), identities.get(staged_name(name))):
                if each is not None and each.curve and each.curve not in tls.groups:
                    message = f"identity {each.name!r} has a key on {each.curve}, which is not in `groups`"
                    hint = (
                        f'add {each.curve}, or write min_version: "1.3": TLS 1.2 takes no certificate on '
                        "a curve that `groups` leaves out"
                    )
                    yield trunk.warning(("tls", "groups"), message, hint)


def _shown(settings: SettingsFile, trunk: TrunkFile) -> list[str]:
    """The identities that answer the trunk's peers and that they are dialled with."""
    tls, tenant = trunk.value.tls, settings.value.tenants.get(trunk.value.tenant or "")
    assert tls is not None
    server = tls.server_identity or (tenant.server_identity if tenant is not None else None)
    names = [server if trunk.value.sources else None, tls.client_identity if trunk.value.peers else None]
    return list(dict.fromkeys(name for name in names if name is not None))
