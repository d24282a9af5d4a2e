"""A side of a call that is not heard: one-way audio is named, once a call and side, while the call runs.

A silent side may be right (a telephone that is muted sends nothing), so that alone ends no call. Where a
trunk has a ``media_timeout``, its silence does.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.leg import Side
from sbc.b2bua.life import fire
from sbc.b2bua.states import UP, Ending
from sbc.media.silence import Quiet

_NAMES: Final[dict[Side, str]] = {"a": "caller", "b": "callee"}


def on_quiet(call: Call, quiet: Quiet, at: float, out: list[Command]) -> None:
    """A look at the call's media found ``quiet``; before the caller's ACK nobody need speak."""
    if call.state != UP or call.b is None:
        return
    up = at - call.answered_at
    silent: dict[Side, float] = {"a": min(quiet.a, up), "b": min(quiet.b, up)}
    least = call.snapshot.settings.media.one_way
    for side, seconds in silent.items():
        other = silent["b" if side == "a" else "a"]
        if least is not None and seconds >= least and other <= least / 2:
            _name(call, side, quiet, seconds, out)
    for side, seconds in silent.items():
        most = call.leg(side).trunk.media_timeout
        if most is not None and seconds >= most:
            fire(call, "idle", at, out, Ending(f"no media from the {_NAMES[side]} for {seconds:.0f} s"))
            return


def _name(call: Call, side: Side, quiet: Quiet, seconds: float, out: list[Command]) -> None:
    name = _NAMES[side]
    if call.one_way in (name, "both"):
        return
    call.one_way = "both" if call.one_way else name
    media = quiet.media.a if side == "a" else quiet.media.b
    refused = ",".join(f"{why}:{count}" for why, count in sorted(media.refused.items()))
    fields = {
        "silent": name, "trunk": call.leg(side).trunk.trunk, "seconds": round(seconds),
        "packets": media.packets_in, "refused": refused or "-", "remote": str(media.remote or "-"),
    }  # fmt: skip
    out.append(Note("one-way-audio", call.id, fields))
