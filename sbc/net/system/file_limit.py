"""The number of files that the process may have open: a call needs up to four sockets for its media.

The soft limit that a login or an init script gives is often 1,024, enough for 250 calls; the hard
limit is what the administrator really allows, so the soft one is raised to it.
"""

from __future__ import annotations

import resource

ENOUGH = 1_048_576


def raise_file_limit() -> int:
    """Raise the soft limit to the hard one, at most a million; returns what holds from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return soft
