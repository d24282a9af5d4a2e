"""The project's Python files, parsed once for all tests of its architecture."""

from __future__ import annotations

import ast
from collections.abc import Iterator
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


def imports(source: Source, *, typing_only: bool = True) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that ``source`` imports, inside functions too.

    ``from a import b`` gives ``a.b``; without ``typing_only`` what only a type checker sees is left out.
    """
    for node in _nodes(source.tree, typing_only):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = _absolute(source, node)
            yield from ((node.lineno, f"{module}.{each.name}") for each in node.names)


def functions(source: Source) -> Iterator[tuple[int, str, int]]:
    """Line, name and length in lines of every function."""
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.lineno, node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def _nodes(tree: ast.AST, typing_only: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if not typing_only and isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _nodes(child, typing_only)


def _absolute(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = source.module if source.path.endswith("/__init__.py") else source.module.rpartition(".")[0]
    for _ in range(node.level - 1):
        package = package.rpartition(".")[0]
    return f"{package}.{node.module}" if node.module else package
