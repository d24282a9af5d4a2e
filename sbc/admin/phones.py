"""Who is registered with us, for whoever asks a running SBC."""

from __future__ import annotations

from collections.abc import Iterator

from sbc.admin.running import Running
from sbc.observe.views import PhonesView, PhoneView
from sbc.registrar.binding import Binding


def phones(sbc: Running) -> Iterator[PhoneView]:
    """Every place at which a user is registered, by user."""
    now = sbc.clock.now()
    for each in sbc.engine.registrar:
        if each.expires_at > now:
            yield PhoneView(
                each.user, each.trunk, str(each.contact), str(each.remote), each.transport, _reachable(each),
                each.registered_at, each.expires_at, each.q, each.instance, each.reg_id, each.user_agent,
                each.path,
            )  # fmt: skip


def by_trunk(sbc: Running) -> tuple[PhonesView, ...]:
    """How many phones each trunk of phones has."""
    now = sbc.clock.now()
    found: dict[str, list[Binding]] = {
        trunk.trunk: [] for trunk in sbc.store.current.trunks.values() if trunk.phones
    }
    for each in sbc.engine.registrar:
        if each.expires_at > now and each.trunk in found:
            found[each.trunk].append(each)
    return tuple(
        [
            PhonesView(
                name, len({each.user for each in some}), len(some), sum([_reachable(each) for each in some])
            )
            for name, some in found.items()
        ]
    )


def _reachable(binding: Binding) -> bool:
    """Whether a call can reach it: by its connection, or over UDP at the address that it came from."""
    return binding.transport == "udp" or (binding.flow is not None and binding.flow.alive)
