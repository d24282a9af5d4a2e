"""No circle of imports: what a module or a folder is told of may not, in however many steps, be told of it.

Imports for the type checker count: a reader follows them as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.arch.sources import PRODUCT, ROOT, sources
from tests.arch.test_layers import row_of

Graph = Mapping[str, frozenset[str]]


def graph() -> Graph:
    """Which modules of ours each module of ours imports."""
    every = {source.module: source for source in sources(*PRODUCT)}
    return {
        module: frozenset(
            each for _, name in source.imports if (each := _module(name, every)) and each != module
        )
        for module, source in every.items()
    }


def folders(modules: Graph) -> Graph:
    """The same for folders; what is between one and those within it is one subject and does not count.

    A folder whose modules stand in different rows of the layers is as many.
    """

    def folder(module: str) -> str:
        inside = module if (ROOT / module.replace(".", "/")).is_dir() else module.rpartition(".")[0]
        return f"{inside}./{row_of(module)}"

    found: dict[str, set[str]] = {folder(module): set() for module in modules}
    for module, imported in modules.items():
        own = folder(module)
        found[own] |= {
            each
            for each in map(folder, imported)
            if not any(one.startswith(other.partition("/")[0]) for one, other in ((own, each), (each, own)))
        }
    return {name: frozenset(imported) for name, imported in found.items()}


def _module(name: str, known: Mapping[str, object]) -> str | None:
    """``a.b.C`` is of module ``a.b``; None where it is none of ours."""
    return name if name in known else (parent if (parent := name.rpartition(".")[0]) in known else None)


def circles(graph: Graph) -> list[list[str]]:
    """The modules that can be reached from themselves, a list a circle (Tarjan's algorithm)."""
    found: list[list[str]] = []
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        path.append(module)
        for each in sorted(graph[module]):
            if each not in order:
                visit(each)
            if each in path:
                lowest[module] = min(lowest[module], lowest[each])
        if lowest[module] == order[module]:
            start = path.index(module)
            if len(path) - start > 1:
                found.append(sorted(path[start:]))
            del path[start:]

    for module in sorted(graph):
        if module not in order:
            visit(module)
    return found


def test_no_imports_run_in_a_circle() -> None:
    assert circles(graph()) == []


def test_no_folders_import_one_another() -> None:
    assert circles(folders(graph())) == []


def test_folders_that_import_one_another_are_found() -> None:
    there = {
        "sbc.net.tls.a": frozenset(("sbc.net.media.a", "sbc.net.handler")),
        "sbc.net.media.a": frozenset(("sbc.net.system.a",)),
        "sbc.net.handler": frozenset(("sbc.net.media.a",)),  # the folder above both
    }
    straight = {**there, "sbc.net.system.a": frozenset[str]()}
    assert circles(folders(straight)) == []
    back = {**straight, "sbc.net.system.a": frozenset(("sbc.net.tls.a",))}
    assert [len(each) for each in circles(folders(back))] == [3]


def test_a_circle_is_found_however_long_it_is() -> None:
    straight = {"a": frozenset("bc"), "b": frozenset("c"), "c": frozenset[str](), "d": frozenset("a")}
    assert circles(straight) == []
    assert circles({**straight, "c": frozenset("d")}) == [["a", "b", "c", "d"]]
    assert circles({"a": frozenset("b"), "b": frozenset("a"), "c": frozenset("a")}) == [["a", "b"]]
