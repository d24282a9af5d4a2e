"""What every request asks of the configuration in force, read from there once a snapshot.

Snapshot and settings are not compiled: an attribute of theirs takes some two hundred instructions, and a
request that nobody limits or bars would ask for a dozen, one for each thing that is not configured.
"""

from __future__ import annotations

from weakref import ref

from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.policy.rates import Rated


class InForce:
    """What a snapshot says, by its own words; ``of`` is which, and keeps it from nobody who would free it.

    ``barring``: the access list has rules. ``most`` is how many transactions are an overload.
    """

    __slots__ = ("barring", "discerning", "most", "of", "rated", "trunks")

    def __init__(self, snapshot: Snapshot) -> None:
        self.of = ref(snapshot)
        self.trunks: dict[str, Trunk] = dict(snapshot.trunks)
        self.discerning = snapshot.discerning
        self.barring = bool(snapshot.acl.rules)
        self.rated: dict[str, Rated] = dict(snapshot.rated)
        self.most: int = snapshot.settings.overload.transactions
