"""Which Portcullis this is: its version, and whether its hot modules run compiled or as pure Python."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from sbc.sip import parse

_COMPILED = "compiled"
_PURE = "pure Python, so a call costs about 1.4 times the CPU (CONTRIBUTING.md: Compiled or not)"


def release() -> str:
    """The version of the installed software."""
    try:
        return version("portcullis-sbc")
    except PackageNotFoundError:
        return "unpackaged"


def is_compiled() -> bool:
    """Whether the hot modules are compiled; they all are, or none is."""
    return not parse.__file__.endswith(".py")


def line() -> str:
    """What ``sbc --version`` says."""
    return f"Portcullis {release()}, {_COMPILED if is_compiled() else _PURE}"
