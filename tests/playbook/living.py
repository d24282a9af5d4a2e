"""Which objects of the product live, and what something leaves behind that only the collector would free."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable

from sbc.sip.uri import NameAddr, Uri


def living() -> Counter[str]:
    """How many objects of our classes live; addresses not, of which the parser keeps a few hundred."""
    kinds = (type(each) for each in gc.get_objects())
    ours = (kind for kind in kinds if str(kind.__module__).startswith("sbc."))
    return Counter(kind.__name__ for kind in ours if kind not in (NameAddr, Uri))


def left_behind(play: Callable[[], object]) -> Counter[str]:
    """What lives after ``play`` that did not before, with the collector off; ``play`` has run before."""
    gc.collect()
    gc.disable()
    try:
        before = living()
        play()
        return living() - before
    finally:
        gc.enable()
