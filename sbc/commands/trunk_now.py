"""What ``sbc trunks show`` prints of a running SBC: a trunk as it is now, beside what its settings are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sbc.commands.registrations import registered
from sbc.commands.status_text import names, outcomes, phones, qualities, rest, section
from sbc.observe.text import printable
from sbc.observe.times import left
from sbc.tls.material.problems import day

Row = Mapping[str, Any]


def now(answer: Row) -> str:
    """The answer of the control socket as text."""
    trunk = answer["trunk"]
    about = {**answer, "trunks": [trunk]}
    lines = [_head(trunk), *_lines(trunk, answer["now"])]
    lines += section(
        trunk["peer_states"],
        PEER=lambda each: each["address"],
        STATE=lambda each: each["state"],
        RESTS=rest,
        REASON=lambda each: printable(each["reason"]),
    )
    if answer["registrations"]:
        lines += ["", registered(answer)]
    lines += [*phones(about), *names(about), *outcomes(about), *qualities(about)]
    return "\n".join(lines)


def _head(trunk: Row) -> str:
    why = f" ({printable(trunk['reason'])})" if trunk["reason"] else ""
    held = ", on what was in force before" if trunk["held"] else ""
    limit = f" of {trunk['call_limit']}" if trunk["call_limit"] is not None else ""
    ports = f", {trunk['media_ports']} pairs of media ports" if trunk["media_ports"] else ""
    return f"now: {trunk['state']}{held}{why}, {trunk['calls']}{limit} calls{ports}"


def _lines(trunk: Row, now: float) -> Iterator[str]:
    for whose, found in (("our certificate", trunk["own"]), ("its certificate", trunk["peer"])):
        if found is not None:
            ends = f"to {day(found['not_after'])}, {left(found['not_after'], now)}"
            yield f"{whose}: {printable(found['subject'])}, {ends}"
    for what, counts in (
        ("handshakes refused", trunk["failures"]),
        ("revocation not known", trunk["soft_passes"]),
    ):
        if counts:
            yield f"{what}: " + ", ".join(f"{printable(kind)}: {count}" for kind, count in counts)
    if trunk["optional"]:
        yield f"optional: {trunk['optional']}"
