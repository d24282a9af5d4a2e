"""A caller who places more than five calls abroad in a minute is somebody else with his password."""

from collections import deque

from sbc.hookapi import reject, table

HOME, MOST, SECONDS = "+49", 5, 60.0
RECENT = table("calls abroad", most=10_000)  # a reload does not forget it


def on_invite(facts):
    """Reject the sixth."""
    if facts.ruri_user.startswith(HOME):
        return None
    times = RECENT.entry((facts.trunk, facts.from_user), lambda: deque(maxlen=MOST))
    if len(times) == MOST and facts.now - times[0] < SECONDS:
        return reject(403, "Too many calls")
    times.append(facts.now)
    return None
