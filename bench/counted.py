"""``sbc`` with a count of its objects: ``python -m bench.counted FILE COMMAND...``, for the soak.

A thread beside it writes to ``FILE``, now and then, how many greenlets there are, and of which types there
are most objects. Looking at all of them holds everything up for a tenth of a second, so it is no part of the
product.
"""

from __future__ import annotations

import gc
import json
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from time import sleep
from typing import Any
from weakref import ref

from gevent import Greenlet

EVERY = 5.0
_MOST = 400
Spawned = set[Any]


def main() -> int:
    """Run ``sbc`` on the other words."""
    path, words = Path(sys.argv[1]), sys.argv[2:]
    # The collector does not know greenlets that are suspended.
    spawned: Spawned = set()
    Greenlet.add_spawn_callback(lambda greenlet: spawned.add(ref(greenlet, spawned.discard)))
    # Before anything is patched: a thread of the system's, with a sleep of its own.
    threading.Thread(target=_count, args=(path, spawned, sleep), daemon=True).start()
    from sbc.cli import main as sbc

    return sbc(words)


def _count(path: Path, spawned: Spawned, wait: Callable[[float], object]) -> None:
    while True:
        wait(EVERY)
        types = Counter([type(each).__name__ for each in gc.get_objects()])
        alive = [each() for each in list(spawned)]
        greenlets = sum([each is not None and not each.dead for each in alive])
        del alive
        beside = path.with_suffix(".next")
        beside.write_text(json.dumps({"greenlets": greenlets, "types": dict(types.most_common(_MOST))}))
        beside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
