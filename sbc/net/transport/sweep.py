"""One greenlet that looks at every open connection now and then.

A timer per read would cost more than the read; instead the reader sets one flag, and the
sweep compares. Inbound connections that say nothing for the listener's idle time are
closed, unless a call is on them: a telephone behind NAT is silent while people talk, and the
BYE has no other way to it. (A call is sure to end: its media falls silent.) Outbound ones are
pinged with CRLFCRLF each 25 s of silence (RFC 5626 4.4.1) and held dead when no pong comes
within 10 s, but only if the peer has ever answered one: many never do, and their connections
are good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import gevent

from sbc.flow import Flow
from sbc.net.system.clock import Clock
from sbc.net.transport.channel import StreamChannel

PERIOD = 2.5
PING_AFTER = 25.0
PONG_WITHIN = 10.0
_PING = b"\r\n\r\n"


def check(channel: StreamChannel, now: float, idle: float, outbound: bool) -> bool:
    """Ping or leave one connection; True where it has been silent for ``idle`` seconds (monotonic)."""
    note_heard(channel, now)
    quiet = now - channel.last_heard
    if not outbound:
        return quiet >= idle
    if channel.pinged_at is not None:
        _await_pong(channel, now)
    elif quiet >= PING_AFTER:
        channel.pinged_at = now
        channel.send(_PING)
    return False


def note_heard(channel: StreamChannel, now: float) -> None:
    """Write down at ``now`` (monotonic) that something was heard since the last time."""
    if channel.heard:
        channel.heard = False
        channel.barren = 0
        channel.last_heard = now
        channel.pinged_at = None


def _await_pong(channel: StreamChannel, now: float) -> None:
    assert channel.pinged_at is not None
    waited = now - channel.pinged_at
    if waited >= PONG_WITHIN and channel.ponged:
        channel.abort("the peer stopped answering keepalive pings")
    elif waited >= PING_AFTER:
        channel.pinged_at = now
        channel.send(_PING)


def run(
    clock: Clock,
    channels: Callable[[], Iterable[tuple[StreamChannel, float, bool]]],
    in_use: Callable[[], Iterable[Flow]],
) -> None:
    """Check every channel of ``channels()`` (channel, idle seconds, outbound) each few seconds.

    Those of the flows ``in_use`` are not idle; looking at all calls is dear, so they are asked about again
    only after another idle time.
    """
    while True:
        gevent.sleep(PERIOD)
        now = clock.monotonic()
        silent = [
            (channel, idle) for channel, idle, out in list(channels()) if check(channel, now, idle, out)
        ]
        used = set(in_use()) if silent else set()
        for channel, idle in silent:
            if channel.flow in used:
                channel.last_heard = now
            else:
                channel.close(f"idle for {idle:.0f} s")
