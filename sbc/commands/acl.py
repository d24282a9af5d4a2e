"""``sbc acl``: the rules of the access list with what they have decided, and whom they would bar."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from sbc.base import LocalError
from sbc.commands.parser import GOOD, REFUSED, Commands, configured, json_option

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

LET_IN = "let in"


def add(commands: Commands) -> None:
    """Add these commands."""
    group = commands.group("acl", "the access list: its rules, and whom they bar")
    text = "show every rule in its order; of a running SBC, with how often it has decided and when last"
    json_option(configured(group.add_parser("list", help=text, description=text), _list))
    text = "say what the rules in the files make of an address, and of a request that comes from it"
    test = json_option(configured(group.add_parser("test", help=text, description=text), _test))
    test.add_argument("address", metavar="ADDRESS", help="where it comes from")
    test.add_argument("--listener", metavar="NAME", help="only what arrives there")
    test.add_argument("--user", metavar="USER", help="the user that the request asks for; user@host too")
    test.add_argument("--did", metavar="NUMBER", help="the number that the request asks for")
    test.add_argument("--from", dest="caller", metavar="USER", help="who it says calls; user@host too")


def _list(options: argparse.Namespace) -> int:
    from sbc.commands.running import ask_running
    from sbc.config.load import build_snapshot

    try:
        answer = ask_running(options, "acl")
    except LocalError as error:
        from sbc.admin.acl import table

        snapshot, now = build_snapshot(options.config, time.time()), time.time()
        answer = {
            "now": now, "running": False, "version": snapshot.version, "rules": table(snapshot.acl, now),
            "why": str(error),
        }  # fmt: skip
    print(json.dumps(answer, indent=2) if options.json else "\n".join(_listed(answer)))
    return GOOD


def _listed(answer: Mapping[str, Any]) -> Iterator[str]:
    from sbc.commands.status_text import table
    from sbc.observe.text import printable
    from sbc.observe.times import ago

    rules, now = answer["rules"], answer["now"]
    if not rules:
        yield "there is no access list: `acl: acl.d` in sbc.yaml names the directory of one"
        return
    running = answer["running"]
    heads = ("RULE", "ACT", "KIND", "VALUES", "FOR", *(("HITS", "LAST") if running else ()), "NOTE")
    rows = [
        (
            each["place"], "over" if each["over"] else each["act"], each["kind"],
            printable(_values(each["values"])), _scope(each),
            *((each["hits"], ago(each["last"], now) if each["last"] else "-") if running else ()),
            printable(each["note"]) or "-",
        )
        for each in rules
    ]  # fmt: skip
    yield table(heads, rows)
    if not running:
        yield f"these are the rules in the files, without counts: {answer['why']}"


def _values(values: list[str]) -> str:
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")


def _scope(rule: Mapping[str, Any]) -> str:
    tenant = [f"tenant {rule['tenant']}"] if rule["tenant"] else []
    return " at ".join([*tenant, *([",".join(rule["listeners"])] if rule["listeners"] else [])]) or "all"


def _test(options: argparse.Namespace) -> int:
    from sbc.config.load import build_snapshot

    host = _host(options.address)
    if options.user is not None and options.did is not None:
        raise LocalError("--user and --did both say whom the request asks for: give one of them")
    snapshot = build_snapshot(options.config, time.time())
    listeners = snapshot.settings.listeners
    if options.listener is not None and options.listener not in listeners:
        raise LocalError(f"there is no listener {options.listener!r}; there are {', '.join(listeners)}")
    rows = [
        row
        for name in (listeners if options.listener is None else [options.listener])
        for row in tried(snapshot, name, host, options.user or options.did, options.caller, time.time())
    ]
    if options.json:
        print(json.dumps({"address": host, "found": rows}, indent=2))
    else:
        print("\n".join(_tried(rows)))
    return GOOD if any(each["verdict"] == LET_IN for each in rows) else REFUSED


def _tried(rows: list[dict[str, str]]) -> Iterator[str]:
    from sbc.commands.status_text import table

    heads = ("LISTENER", "TRUNK", "VERDICT", "RULE")
    yield table(
        heads, [(each["listener"], each["trunk"] or "-", each["verdict"], each["rule"]) for each in rows]
    )
    if any(each["verdict"] == LET_IN and each["transport"] == "tls" for each in rows):
        yield "over TLS the certificate has its say as well: sbc trust"


def tried(
    snapshot: Snapshot, listener: str, host: str, called: str | None, caller: str | None, now: float
) -> Iterator[dict[str, str]]:
    """What becomes of an address at a listener, for each trunk that it may mean, and of its request.

    ``called`` and ``caller`` are numbers, users or URIs; without both nothing is asked of a request.
    """
    from dsl.addresses import read_party

    sources = snapshot.sources.get(listener)
    trunks = sources.lookup(host) if sources is not None else ()
    for trunk in trunks or ("",):
        tenant, acl = snapshot.tenant_of(trunk), snapshot.acl
        rule = acl.at_door(listener, host, (tenant,), now)
        verdict, said = "barred", rule
        if rule is None:
            verdict = LET_IN if trunk else "no trunk admits it"
            said = acl.of_address(listener, host, tenant, now)
        if verdict == LET_IN and (called is not None or caller is not None):
            asked, says = read_party(called or ""), read_party(caller or "")
            said = acl.judge(listener, host, tenant, asked, says, now)
            if said is not None and not said.allow:
                verdict = "no answer" if said.silent else "403"
        yield {
            "listener": listener, "transport": snapshot.settings.listeners[listener].transport,
            "trunk": trunk, "tenant": tenant, "verdict": verdict,
            "rule": f"{said.place}: {said}" if said is not None else "none",
        }  # fmt: skip


def _host(text: str) -> str:
    """A literal address in its shortest form; LocalError."""
    import ipaddress

    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        raise LocalError(f"{text!r} is not an address: give one such as 203.0.113.9") from None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)
