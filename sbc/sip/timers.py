"""The timer values of RFC 3261 (table 4 of its annex A) and RFC 6026."""

from __future__ import annotations

from typing import Final

T1: Final = 0.5  # seconds: estimate of the round trip
T2: Final = 4.0  # seconds: longest interval between retransmissions of a non-INVITE request or a response
T4: Final = 5.0  # seconds: how long a message stays in the network
GIVE_UP: Final = 64 * T1

NEVER: Final = float("inf")

# Seconds until each timer fires for the first time.
DURATIONS: Final[dict[str, float]] = {
    "A": T1,
    "B": GIVE_UP,
    "C": 181.0,  # more than three minutes (RFC 3261 16.6)
    "D": 32.0,
    "E": T1,
    "F": GIVE_UP,
    "G": T1,
    "H": GIVE_UP,
    "I": T4,
    "J": GIVE_UP,
    "K": T4,
    "L": GIVE_UP,
    "M": GIVE_UP,
    "repeat": T1,
    "abandon": GIVE_UP,
}
CEILINGS: Final[dict[str, float]] = {"A": NEVER, "E": T2, "G": T2, "repeat": T2}
UNRELIABLE_ONLY: Final = frozenset("AEG")  # a reliable transport retransmits by itself
ZERO_IF_RELIABLE: Final = frozenset("DIJK")  # and nothing comes twice that would have to be absorbed
