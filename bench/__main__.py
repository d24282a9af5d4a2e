"""``python -m bench [WHAT|all]``: costs beside real peers; ``compare OTHER``: beside another checkout.

Figures are of this machine at this moment: what counts is the ratio to the peer in the same run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench.compare import main as compare
from bench.core import core
from bench.flooder import KINDS
from bench.floods import FLOODS, floods
from bench.handshake import handshakes
from bench.memory import memory
from bench.registrar import registrars
from bench.relay import relay
from bench.reload import reloads
from bench.report import Row, table
from bench.revocation import policies, reading
from bench.rules import rules
from bench.signalling import signalling
from bench.strangers import ATTACKS
from bench.tracing import tracing
from tests.peers.process import MissingProgram, PeerFailed
from tests.peers.product import is_compiled

Options = argparse.Namespace


def _signalling(options: Options) -> list[Row]:
    return signalling(200, options.seconds or 20, options.runs)


def _load(options: Options) -> list[Row]:
    return [row for rate in options.rate for row in signalling(rate, options.seconds or 20, 1)]


def _handshake(options: Options) -> list[Row]:
    return handshakes(count=500 if options.seconds is None else int(options.seconds * 100), runs=options.runs)


def _revocation(options: Options) -> list[Row]:
    count = 500 if options.seconds is None else int(options.seconds * 100)
    return [*policies(count, options.runs), *reading(options.runs)]


def _relay(options: Options) -> list[Row]:
    return relay(seconds=options.seconds or 10, runs=options.runs)


def _table(options: Options) -> list[Row]:
    return core()


def _rules(options: Options) -> list[Row]:
    return rules()


def _memory(options: Options) -> list[Row]:
    return memory(hold=options.seconds or 60)


def _floods(options: Options) -> list[Row]:
    kinds = options.kind or FLOODS
    return floods(kinds, options.seconds or 30, options.caps)


def _registrar(options: Options) -> list[Row]:
    return registrars(options.seconds or 20, options.runs)


def _tracing(options: Options) -> list[Row]:
    return tracing(options.seconds or 20, options.runs)


def _reload(options: Options) -> list[Row]:
    return reloads()


BENCHMARKS: dict[str, Callable[[Options], list[Row]]] = {
    "table": _table,
    "rules": _rules,
    "handshake": _handshake,
    "revocation": _revocation,
    "relay": _relay,
    "signalling": _signalling,
    "load": _load,
    "memory": _memory,
    "reload": _reload,
    "floods": _floods,
    "registrar": _registrar,
    "tracing": _tracing,
}


def main() -> int:
    """Run the chosen benchmarks, or compare two trees; 1 when a program is missing or a peer failed."""
    if sys.argv[1:2] == ["compare"]:
        return compare(sys.argv[2:])
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", nargs="?", default="all", choices=[*BENCHMARKS, "all"])
    parser.add_argument("--runs", type=int, default=3, help="runs of each server, interleaved")
    parser.add_argument("--seconds", type=float, help="length of one run; the default differs")
    parser.add_argument(
        "--rate", type=float, nargs="+", default=[400, 1000], help="calls a second of the load benchmark"
    )
    parser.add_argument("--kind", nargs="+", choices=[*KINDS, *ATTACKS], help="floods to measure; else all")
    parser.add_argument(
        "--caps", default="", help="what sbc.yaml says, such as '{messages_per_flow: 1000000/s}'"
    )
    options = parser.parse_args()
    chosen = list(BENCHMARKS) if options.what == "all" else [options.what]
    status = 0
    print(
        "Portcullis runs", "compiled" if is_compiled() else "as pure Python (make bench compiles)", flush=True
    )
    for name in chosen:
        print(f"== {name}", flush=True)
        try:
            print(table(BENCHMARKS[name](options)), flush=True)
        except (MissingProgram, PeerFailed) as error:
            print(f"not measured: {error}", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
