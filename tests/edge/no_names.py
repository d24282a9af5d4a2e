"""For a dialer whose trunks have no domains among their peers."""

from __future__ import annotations

from sbc.b2bua.located import Located
from sbc.net.dns.ask import Asker
from sbc.net.dns.names import Names
from sbc.net.system.clock import Clock


def no_names(clock: Clock) -> Names:
    """Knows no domain and asks nobody."""
    return Names(Asker(lambda: ()), clock, Located(), lambda *said: None)
