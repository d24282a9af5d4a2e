"""The order of the layers: a row imports only rows above it, and what decides does no I/O.

Everything that touches a socket, a clock, a file descriptor or chance is in the rows that may.
A core without I/O cannot switch greenlets, so it needs no lock; one import of gevent in it would
end that silently, which is why a test watches.
"""

from __future__ import annotations

import ast

import pytest

from tests.arch.sources import PRODUCT, Source, sources

# Each row: the modules, by longest prefix, that may import one another and every row above.
ROWS: tuple[tuple[str, ...], ...] = (
    ("dsl", "sbc", "sbc.base", "sbc.flow", "sbc.histogram", "sbc.ids", "sbc.protocols", "sbc.typed"),
    ("sbc.sip", "sbc.media", "sbc.tls", "sbc.dns", "sbc.hookapi"),
    ("sbc.policy", "sbc.config", "sbc.registrar"),
    ("sbc.b2bua",),
    ("sbc.observe",),
    ("sbc.net",),
    ("sbc.admin", "sbc.release"),
    ("webui",),
    ("sbc.app", "sbc.cli", "sbc.commands", "sbc.demo", "sbc.hookapi.testing"),
)
LAST = len(ROWS) - 1  # also the row of every other module that lies directly in sbc/
IMPURE = ("sbc.net", "sbc.app", "sbc.reload", "sbc.cli", "sbc.commands", "sbc.demo")
FORBIDDEN_IN_THE_CORE = {
    "gevent", "socket", "OpenSSL", "random", "secrets", "threading", "asyncio", "selectors",
    "subprocess", "signal", "ssl", "select", "multiprocessing", "sched", "_socket", "logging",
}  # fmt: skip
CLOCKS = {
    ("time", name) for name in ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns")
} | {("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"), ("os", "urandom")}

PRODUCT_SOURCES = sources(*PRODUCT)
TOP_LEVEL = {each.module for each in PRODUCT_SOURCES if each.module.count(".") == 1}
OURS = ("dsl", "sbc", "webui")


def row_of(module: str) -> int | None:
    """The row of ``module`` by its longest known prefix; None where it belongs to none."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name == "sbc" and ".".join(parts[:2]) in TOP_LEVEL:
            return LAST
        for row, prefixes in enumerate(ROWS):
            if name in prefixes:
                return row
    return None


def is_ours(name: str) -> bool:
    """Whether an imported name is of this project."""
    return name.split(".")[0] in OURS


def violations(source: Source) -> list[str]:
    """The imports of ``source`` from rows below its own."""
    own = row_of(source.module)
    assert own is not None, f"{source.path} is in no row of tests/arch/test_layers.py"
    return [
        f"{source.path}:{line} imports {name}"
        for line, name in source.imports
        if is_ours(name) and ((row := row_of(name)) is None or row > own)
    ]


def impurities(source: Source) -> list[str]:
    """What ``source`` imports or calls that reaches the outside world, a clock or chance."""
    found = [
        f"{source.path}:{line} imports {name}"
        for line, name in source.run_imports
        if name.split(".")[0] in FORBIDDEN_IN_THE_CORE or tuple(name.split(".")[-2:]) in CLOCKS
    ]
    for node in source.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if (node.value.id, node.attr) in CLOCKS:
                found.append(f"{source.path}:{node.lineno} uses {node.value.id}.{node.attr}")
    return found


def is_pure(source: Source) -> bool:
    """Whether ``source`` must do no I/O."""
    return not any(source.module == each or source.module.startswith(f"{each}.") for each in IMPURE)


def test_a_row_imports_only_rows_above() -> None:
    assert [each for source in PRODUCT_SOURCES for each in violations(source)] == []


def test_the_core_does_no_io_and_reads_no_clock() -> None:
    pure = [source for source in PRODUCT_SOURCES if is_pure(source)]
    assert len(pure) > 40
    assert [each for source in pure for each in impurities(source)] == []


def test_the_language_is_a_leaf() -> None:
    for source in sources("dsl"):
        assert [name for _, name in source.imports if is_ours(name) and not name.startswith("dsl")] == []


def test_the_pages_see_views_and_never_the_engine() -> None:
    allowed = ("webui", "sbc.observe", "sbc.base")
    for source in sources("webui"):
        names = [name for _, name in source.imports if is_ours(name)]
        assert [name for name in names if not name.startswith(allowed)] == [], source.path


def made_up(path: str, text: str) -> Source:
    return Source(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("sbc/sip/a.py", "from sbc.b2bua.engine import Engine"),
        ("sbc/sip/a.py", "def f():\n    import sbc.net.driver"),
        ("sbc/observe/a.py", "from ..net import clock"),
        ("dsl/a.py", "from sbc.sip.uri import Uri"),
        ("webui/a.py", "from sbc.app import Portcullis"),
        ("sbc/net/a.py", "from sbc.demo.agent import Agent"),
    ],
)
def test_the_order_test_sees_what_is_wrong(path: str, text: str) -> None:
    assert len(violations(made_up(path, text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import gevent.event",
        "from gevent import socket",
        "import time\nnow = time.time()",
        "from time import monotonic",
        "from datetime import datetime\nnow = datetime.now()",
        "import os\nkey = os.urandom(4)",
        "def f():\n    import random",
    ],
)
def test_the_purity_test_sees_what_is_wrong(text: str) -> None:
    assert impurities(made_up("sbc/sip/a.py", text))


def test_names_for_the_type_checker_are_not_io() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import socket"
    assert impurities(made_up("sbc/sip/a.py", text)) == []
