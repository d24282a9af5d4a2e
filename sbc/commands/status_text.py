"""What ``sbc status`` and ``sbc calls`` print: plain tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sbc.observe.text import printable
from sbc.observe.times import left, span, time_of_day
from sbc.tls.material.problems import day

Row = Mapping[str, Any]


def render(verb: str, answer: Any) -> str:
    """The answer of the control socket to ``verb`` as text."""
    return _calls(answer) if verb == "calls" else _status(answer)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Columns as wide as they need be, two blanks apart."""
    cells = [list(heads)] + [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


def _columns(rows: Sequence[Row], **columns: Callable[[Row], object]) -> str:
    return table(tuple(columns), [[cell(row) for cell in columns.values()] for row in rows])


def section(rows: Sequence[Row], **columns: Callable[[Row], object]) -> list[str]:
    """A table below others; nothing where it would be empty."""
    return ["", _columns(rows, **columns)] if rows else []


def _status(status: Row) -> str:
    counters = status["counters"]
    earlier = f" ({status['replaced']} earlier in memory)" if status["replaced"] else ""
    head = (
        f"Portcullis {status['release']}, configuration {status['version']}{earlier},"
        f" up {status['now'] - status['started']:.0f} s{', draining' if status['draining'] else ''}"
    )
    totals = (
        f"{len(status['calls'])} calls now, {counters['calls']} ended; {counters['handshakes']} handshakes,"
        f" {counters['handshake_failures']} refused; {counters['downgrades']} downgrades;"
        f" {status['transactions']} transactions, {status['free_media_ports']} media ports free"
    )
    listeners = _columns(
        status["listeners"],
        LISTENER=lambda each: each["name"],
        TRANSPORT=lambda each: each["transport"],
        ADDRESS=lambda each: each["shown"],
        STATE=lambda each: each["state"],
        OPEN=lambda each: each["inbound"]["open"],
        HANDSHAKES=lambda each: each["inbound"]["handshakes"],
        REFUSED=lambda each: each["inbound"]["failures"] + each["inbound"]["refused"],
        DIALLED=lambda each: each["outbound"]["open"],
        GOOD=lambda each: each["outbound"]["handshakes"],
        FAILED=lambda each: each["outbound"]["failures"],
    )
    trunks = _columns(
        status["trunks"],
        TRUNK=lambda each: each["name"],
        LISTENER=lambda each: each["listener"],
        TLS=lambda each: each["mode"],
        SRTP=lambda each: each["srtp"],
        SIPS=lambda each: each["sips"],
        STATE=lambda each: each["state"],
        CALLS=lambda each: each["calls"],
    )
    shown = [
        head,
        totals,
        "",
        listeners,
        "",
        trunks,
        *outcomes(status),
        *qualities(status),
        *_tenants(status),
        *_networks(status),
        *_peers(status),
    ]
    shown += [*_acl(status), *phones(status), *names(status), *_lookups(status), *_caps(status)]
    return "\n".join([*shown, *_attention(status)])


def _acl(status: Row) -> list[str]:
    """What the access list has kept out since the start, where there is one."""
    acl = status["acl"]
    if not acl["rules"]:
        return []
    denied = ", ".join(f"{kind}: {count}" for kind, count in acl["denied"] if count) or "nobody"
    return ["", f"access list of {acl['rules']} rules, kept out so far: {denied}"]


def outcomes(status: Row) -> list[str]:
    """What became of each trunk's calls since the start, if there were any."""
    rows = [{"trunk": trunk["name"], **each} for trunk in status["trunks"] for each in trunk["outcomes"]]
    return section(
        rows,
        TRUNK=lambda each: each["trunk"],
        WAY=lambda each: "from it" if each["direction"] == "inbound" else "to it",
        CALLS=lambda each: each["calls"],
        ANSWERED=lambda each: "-" if each["asr"] is None else f"{each['asr']:.0%}",
        LASTED=lambda each: "-" if each["acd"] is None else span(each["acd"]),
        RANG=lambda each: "-" if each["pdd"] is None else f"{each['pdd']:.1f} s",
        REFUSED=lambda each: _refusals(each["codes"]),
    )


def qualities(status: Row) -> list[str]:
    """How good the media of each trunk was since the start, where anything was heard."""
    rows = [{"trunk": trunk["name"], **each} for trunk in status["trunks"] for each in trunk["quality"]]
    return section(
        rows,
        TRUNK=lambda each: each["trunk"],
        MEDIA=lambda each: each["way"],
        LEGS=lambda each: sum(each["losses"]["counts"]),
        MOS=_score,
        LOST=_lost,
        JITTER=lambda each: _milliseconds(each["jitter"]),
        TRIP=lambda each: _milliseconds(each["round_trip"]),
    )


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1000 * seconds:.0f} ms"


def _score(quality: Row | None) -> str:
    """The score of what was received, where there is one."""
    found = quality["mos"] if quality else None
    return "-" if found is None else f"{found:.1f}"


def _lost(quality: Row | None) -> str:
    """The share of what should have been received."""
    found = quality["loss"] if quality else None
    return "-" if found is None else f"{found:.1%}"


def _refusals(codes: Sequence[Sequence[Any]]) -> str:
    """What calls without an answer came to, the most frequent first."""
    failed = sorted((each for each in codes if not each[0].startswith("2")), key=lambda each: -each[1])
    return ", ".join(f"{code}: {count}" for code, count in failed[:5]) or "-"


def phones(status: Row) -> list[str]:
    """The trunks that phones come to, if any, and how many are registered there."""
    return section(
        status["phones"],
        PHONES=lambda each: each["trunk"],
        USERS=lambda each: each["users"],
        CONTACTS=lambda each: each["contacts"],
        REACHABLE=lambda each: each["reachable"],
    )


def _tenants(status: Row) -> list[str]:
    """The tenants, if any, and what their trunks hold together."""
    return section(
        status["tenants"],
        TENANT=lambda each: each["name"],
        CALLS=lambda each: each["calls"],
        LIMIT=lambda each: "-" if each["call_limit"] is None else each["call_limit"],
        CPS=lambda each: "-" if each["cps_limit"] is None else f"{each['cps_limit']:g}",
    )


def _caps(status: Row) -> list[str]:
    """The caps that have refused anything since the start."""
    return section(
        status["caps"],
        CAP=lambda each: each["cap"],
        TRUNK=lambda each: each["trunk"],
        REFUSED=lambda each: each["refused"],
        LAST=lambda each: "now" if each["reached"] else f"{time_of_day(each['last'])} UTC",
    )


def _networks(status: Row) -> list[str]:
    """Where media is received, if that is in several networks."""
    several = any(each["name"] for each in status["networks"])
    return section(
        status["networks"] if several else (),
        NETWORK=lambda each: each["name"],
        MEDIA=lambda each: each["address"],
        ADVERTISED=lambda each: each["advertise"] or "-",
        PORTS=lambda each: each["ports"],
        PAIRS=lambda each: each["pairs"],
        FREE=lambda each: each["free"],
    )


def _peers(status: Row) -> list[str]:
    """The peers of those trunks that have more than one, or one that is down or rests."""
    rows = [
        {"trunk": trunk["name"], **peer}
        for trunk in status["trunks"]
        for peer in trunk["peer_states"]
        if len(trunk["peer_states"]) > 1 or peer["state"] == "down" or peer["rests_until"]
    ]
    return section(
        rows,
        PEER=lambda each: each["address"],
        TRUNK=lambda each: each["trunk"],
        STATE=lambda each: each["state"],
        RESTS=rest,
        REASON=lambda each: printable(each["reason"]),
    )


def names(status: Row) -> list[str]:
    """What DNS gave for the domains among the peers, a line for each server."""
    rows = [
        {**name, **server}
        for name in status["names"]
        for server in name["servers"] or ({"host": "-", "address": "-", "priority": "-", "weight": "-"},)
    ]
    return section(
        rows,
        DOMAIN=lambda each: each["domain"],
        OVER=lambda each: each["transport"],
        SERVER=lambda each: printable(each["host"]),
        ADDRESS=lambda each: each["address"],
        PRIORITY=lambda each: each["priority"],
        WEIGHT=lambda each: each["weight"],
        GOOD=lambda each: _good(each["until"], status["now"]),
    )


def _lookups(status: Row) -> list[str]:
    """The services that rules ask, if any."""
    return section(
        status["lookups"],
        LOOKUP=lambda each: each["name"],
        HOST=lambda each: each["host"],
        STATE=lambda each: each["state"],
        ANSWERED=lambda each: each["answered"],
        UNANSWERED=lambda each: each["unanswered"],
        KEPT=lambda each: each["kept"],
        WAITING=lambda each: each["under_way"],
    )


def _good(until: float, now: float) -> str:
    """How long what DNS said may still be used."""
    if not until:
        return "-"
    return f"until {time_of_day(until)} UTC" if until > now else f"ended {time_of_day(until)} UTC"


def rest(peer: Row) -> str:
    """Until when a peer gets no call, or is tried after the others."""
    if not peer["rests_until"]:
        return ""
    until = f"until {time_of_day(peer['rests_until'])} UTC"
    return until if peer["state"] in ("resting", "down") else f"last {until}"


def _overload(status: Row) -> list[str]:
    load = status["load"]
    if load["overloaded_since"] is None:
        return []
    since, lag = time_of_day(load["overloaded_since"]), f"{1000 * load['lag']:.0f} ms late"
    held = f"{status['transactions']} transactions"
    return ["", f"OVERLOADED since {since} UTC ({lag}, {held}): nothing new is taken but emergency calls"]


def _attention(status: Row) -> list[str]:
    """The lines about what is not as it should be."""
    parts = _overload(status)
    for each in status["trunks"]:
        if each["held"] or each["state"] == "quarantined":
            parts += ["", f"{'held' if each['held'] else 'quarantined'}: {each['name']}: {each['reason']}"]
    for each in status["trunks"]:
        if each["state"] == "disabled":
            parts += ["", f"disabled: {each['name']}: {each['reason']}"]
    for each in status["trunks"]:
        if each["optional"]:
            parts += ["", f"optional: {each['name']}: {each['optional']}"]
    for each in status["registrations"]:
        if each["state"] == "failed":
            parts += ["", f"not registered: {each['trunk']}: {printable(each['reason'])}"]
    for each in status["names"]:
        if each["problem"]:
            kept = "; what was known is used" if each["failing"] and each["servers"] else ""
            parts += ["", f"DNS: {each['domain']}: {printable(each['problem'])}{kept}"]
    for each in status["lookups"]:
        if each["state"] != "closed":
            parts += ["", f"lookup: {each['name']}: {printable(each['reason'])}; each `else` counts at once"]
    parts += _unwritten(status)
    parts += _too_much(status)
    for each in status["certificates"]:
        if each["state"] != "ok":
            parts += ["", f"{each['state']}: {_ending(each, status['now'])}"]
    for each in status["failures"][:5]:
        who = f"{each['peer']} ({each['trunk'] or 'no trunk'})"
        parts += [
            "",
            f"refused: {who}: {each['kind']}: {printable(each['detail'])}",
            f"  remedy: {each['remedy']}",
        ]
        if each["where"]:
            parts.append(f"  line: {each['where']}")
    return parts


def _unwritten(status: Row) -> list[str]:
    """The lines about what is not written, or reaches nobody."""
    parts: list[str] = []
    records = status["records"]
    if records["problem"] or records["lost"]:
        why = f" ({records['problem']})" if records["problem"] else ""
        parts += [
            "",
            f"call records: {records['waiting']} wait to be written{why}, {records['lost']} are lost",
        ]
    parts += _unreached(status["exports"])
    if problem := status["recordings"]["problem"]:
        parts += ["", f"recordings end before their calls: {printable(problem)}"]
    return parts


def _unreached(collectors: Sequence[Row]) -> list[str]:
    """The lines about who cannot be told what happens."""
    parts: list[str] = []
    for each in collectors:
        if each["problem"]:
            lost = f"{each['waiting']} messages wait, {each['dropped']} are lost"
            why = printable(each["problem"])
            parts += ["", f"{each['name']}: {each['to']} is not reached: {why}; {lost}"]
    return parts


def _too_much(status: Row) -> list[str]:
    """The lines about what is refused for being too much."""
    parts: list[str] = []
    for each in status["listeners"]:
        if crowded := each["inbound"]["crowded"]:
            parts += ["", f"crowded: {each['name']}: {crowded} connections refused, over its limits or caps"]
        if held := each["inbound"]["held"] + each["outbound"]["held"]:
            what = "were dropped" if each["transport"] == "udp" else "had to wait"
            parts += ["", f"flood: {each['name']}: {held} messages over caps.messages_per_flow {what}"]
    if status["blocklist"]["now"]:
        now, ever = status["blocklist"]["now"], status["blocklist"]["lifetime"]
        parts += ["", f"blocked: {now} addresses, {ever} ever; `sbc blocklist` says which and why"]
    return parts


def _ending(life: Row, now: float) -> str:
    what = printable(f"{life['whose']} {life['name']} {life['subject']}".rstrip())
    verb = "ends" if now <= life["ends"] else "ended"
    return f"{what} {verb} on {day(life['ends'])}, {left(life['ends'], now)}"


def certificates(answer: Row) -> str:
    """What ``sbc certs`` prints: the certificates, soonest end first, and the rotations under way."""
    rows = sorted(
        (each for each in answer["certificates"] if each["whose"] != "window"), key=lambda each: each["ends"]
    )
    parts = [
        _columns(
            rows,
            WHOSE=lambda each: each["whose"],
            NAME=lambda each: each["name"],
            SUBJECT=lambda each: printable(each["subject"]),
            ENDS=lambda each: day(each["ends"]),
            DAYS=lambda each: each["days_left"],
            STATE=lambda each: each["state"],
            TRUNKS=lambda each: ", ".join(each["trunks"]) or "-",
        )
    ]
    parts += ["", *map(_rotation, answer["rotations"])] if answer["rotations"] else []
    return "\n".join(parts)


def _rotation(row: Row) -> str:
    bound = f"bound to {', '.join(row['bound']) or 'no trunk yet'}"
    how = bound if row["section"] == "identities" else "trusted beside the old one"
    overdue = row["days_left"] < 0
    end = (
        f"{_days(row)} left, to {day(row['until'])}" if not overdue else f"overdue since {day(row['until'])}"
    )
    return f"{row['section']}/{row['name']}: staged since {day(row['staged'])}, {how}; {end}"


def _days(row: Row) -> str:
    """The whole days of a window that is not overdue."""
    return {0: "less than a day", 1: "1 day"}.get(row["days_left"], f"{row['days_left']} days")


def readiness(answer: Row) -> str:
    """What ``sbc certs ready`` prints: each trunk, and what may be done next."""
    name, binds = answer["name"], answer["section"] == "identities"
    heads: dict[str, Callable[[Row], object]] = {
        "TRUNK": lambda each: each["trunk"],
        "STATE": lambda each: each["state"],
        "SINCE": lambda each: day(each["since"]) if each["since"] else "-",
    }
    if binds:
        heads["ITS CA LIST"] = lambda each: _LISTED[each["accepts"]]
    heads["WHAT WAS SEEN"] = lambda each: each["detail"]
    after = f"all are ready: sbc certs retire {name}"
    if not answer["ready"]:
        until, over = day(answer["until"]), answer["days_left"] < 0
        after = (
            f"not ready; the window {f'ended on {until}' if over else f'ends on {until}, in {_days(answer)}'}"
        )
    return "\n".join([_columns(answer["trunks"], **heads), "", after])


_LISTED = {True: "has the new issuer", False: "LACKS the new issuer", None: "not known"}


def _state(call: Row) -> str:
    emergency = ", emergency" if call["emergency"] else ""
    silent = f", {call['one_way']} not heard" if call["one_way"] else ""
    return f"{call['state']}{emergency}{silent}"


def _calls(calls: Sequence[Row]) -> str:
    if not calls:
        return "no calls"
    return _columns(
        calls,
        CALL=lambda each: each["id"],
        FROM=lambda each: each["caller"],
        TO=lambda each: each["called"],
        TRUNKS=lambda each: f"{each['a_trunk']} > {each['b_trunk'] or '-'}",
        STATE=_state,
        TLS=lambda each: f"{each['a_tls'] or '-'} | {each['b_tls'] or '-'}",
        SRTP=lambda each: f"{each['a_srtp'] or '-'} | {each['b_srtp'] or '-'}",
        MOS=lambda each: f"{_score(each['a_quality'])} | {_score(each['b_quality'])}",
        LOST=lambda each: f"{_lost(each['a_quality'])} | {_lost(each['b_quality'])}",
    )
