"""What rules cost: a decision among few and many, a look-up in a big table, the check of a big file."""

from __future__ import annotations

import resource
import subprocess
import time
import timeit
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.report import Row
from dsl.facts import Facts
from dsl.load import load
from dsl.ruleset import RuleSet
from dsl.table import Table, read_table
from tests.peers.product import command, environment

_REWRITE = """\
  - name: one form
    when: to.user starts with "00"
    then: |
      set to.user = replace_prefix(to.user, "00", "+")
      set header "X-Called" = to.user
      continue
"""

_SETTINGS = """\
listeners:
  udp: {bind: "127.0.0.1:5060", transport: udp}
media: {address: 127.0.0.1, ports: 40000-40099}
"""
_TRUNK = "trunk: {name}\nsources: [{address}]\npeers: ['{address}:5060']\nlistener: udp\n"


def rules_text(count: int, trunks: int = 50, rewrite: bool = False) -> str:
    """A file of ``count`` rules, each for a trunk and a number prefix."""
    text = "rules:\n" + (_REWRITE if rewrite else "")
    for number in range(count):
        text += (
            f"  - name: rule {number}\n"
            f'    when: trunk == "t{number % trunks}" and to.user starts with "+49{number:05}" and not sips\n'
            f"    then: |\n      forbid downgrade\n"
            f'      route "carrier-{number % 7}" then "backup" on 503, timeout\n'
        )
    return text


def header_rules(count: int) -> str:
    """A file of ``count`` rules that ask nothing but one header."""
    return "rules:\n" + "".join(
        f"  - name: customer {number}\n"
        f'    when: header("X-Customer") == "c{number}"\n'
        f'    then: route "carrier-{number % 7}"\n'
        for number in range(count)
    )


def ruleset(text: str) -> RuleSet:
    """The rules of a file that has no mistake."""
    loaded, diagnostics = load({"routes.d/10.yaml": text})
    if loaded is None:
        raise ValueError("\n".join(map(str, diagnostics)))
    return loaded


def table_text(rows: int) -> str:
    """A table of ``rows`` prefixes of four to ten digits."""
    lines = ["prefix,trunk,cost"]
    lines += [f"{1000 + number},carrier-{number % 9},0.{number % 500:03}" for number in range(rows)]
    return "\n".join(lines)


def rules(seconds: float = 0.3) -> list[Row]:
    """Decisions and look-ups in microseconds, reading in seconds of CPU."""
    call = Facts(trunk="t0", ruri_user="+4900950123")
    rewritten = Facts(trunk="t0", ruri_user="004900018123")
    few = ruleset(rules_text(19, trunks=1, rewrite=True))
    many = ruleset(rules_text(1000, trunks=1))
    headed, customer = ruleset(header_rules(1000)), Facts(header={"X-Customer": "c990"}.get)
    rows = [
        _row("decision over 20 rules, one rewrites", lambda: few.decide(rewritten), seconds),
        _row("decision over 1,000 rules of one trunk", lambda: many.decide(call), seconds),
        _row("decision over 1,000 rules of one header", lambda: headed.decide(customer), seconds),
    ]
    text = table_text(1_000_000)
    begun = time.process_time()
    table = _table(text)
    rows.append(
        Row("read a table of 1,000,000 prefixes", "portcullis", (time.process_time() - begun,), "s CPU")
    )
    rows.append(_row("longest match among 1,000,000 prefixes", lambda: table.row("100500077123"), seconds))
    rows.append(Row("`sbc check` of 10,000 rules", "portcullis", (check_cost(10_000),), "s CPU"))
    return rows


def write(root: Path, rules: int, trunks: int = 50) -> None:
    """A configuration of ``rules``, of ``trunks`` that call and of eight that they lead to."""
    names = [*(f"t{each}" for each in range(trunks)), *(f"carrier-{each}" for each in range(7)), "backup"]
    files = {"sbc.yaml": _SETTINGS, "routes.d/10.yaml": rules_text(rules)}
    for at, name in enumerate(names):
        address = f"10.0.{at // 250}.{at % 250 + 1}"
        files[f"trunks.d/{name}.yaml"] = _TRUNK.format(name=name, address=address)
    for path, text in files.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text)


def check_cost(count: int) -> float:
    """CPU seconds of ``sbc check`` over a configuration with ``count`` rules, as the operator runs it."""
    with TemporaryDirectory(prefix="bench-") as root:
        write(Path(root), count)
        begun = _children_cpu()
        subprocess.run(command("check", "-c", root), env=environment(), stdout=subprocess.DEVNULL, check=True)
        return _children_cpu() - begun


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _row(work: str, step: Callable[[], object], seconds: float) -> Row:
    return Row(work, "portcullis", (_timed(step, seconds),), "us CPU")


def _table(text: str) -> Table:
    table, problems = read_table("rates", "rates.csv", text)
    if table is None:
        raise ValueError("\n".join(map(str, problems)))
    return table


def _timed(step: Callable[[], object], seconds: float) -> float:
    """The best of several timed loops, in microseconds of CPU."""
    loops = 200
    timer = timeit.Timer(step, timer=time.process_time)
    best = min(timer.repeat(max(3, int(seconds * 50)), loops))
    return best / loops * 1e6
