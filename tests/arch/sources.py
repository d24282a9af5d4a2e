"""The project's Python files, parsed once for all tests of its architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("dsl", "sbc", "webui")
ALL = (*PRODUCT, "tests", "bench")


@dataclass(frozen=True)
class Source:
    """One file: its path from the root with slashes, its text and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed when a test asks for it, not while tests are collected."""
        return ast.parse(self.text, self.path)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Every node of the tree; walking some six hundred trees takes a second each time."""
        return tuple(ast.walk(self.tree))

    @cached_property
    def imports(self) -> tuple[tuple[int, str], ...]:
        """Line and full name of all it imports, inside functions too; ``from a import b`` gives ``a.b``."""
        return tuple(self._names(self.nodes))

    @cached_property
    def run_imports(self) -> tuple[tuple[int, str], ...]:
        """The same without what only a type checker sees."""
        return tuple(self._names(_run(self.tree)))

    def _names(self, nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str]]:
        for node in nodes:
            if isinstance(node, ast.Import):
                yield from ((node.lineno, each.name) for each in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = _absolute(self, node)
                yield from ((node.lineno, f"{module}.{each.name}") for each in node.names)

    @property
    def module(self) -> str:
        """The dotted name under which it is imported."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file under ``folders`` of the root, in the order of their paths."""
    return tuple(_read(file) for folder in folders for file in sorted((ROOT / folder).rglob("*.py")))


@cache
def _read(file: Path) -> Source:
    return Source(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8"))


def functions(source: Source) -> Iterator[tuple[int, str, int]]:
    """Line, name and length in lines of every function."""
    for node in source.nodes:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if not (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)):
            yield child
            yield from _run(child)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = source.module if source.path.endswith("/__init__.py") else source.module.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package
