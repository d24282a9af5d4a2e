"""A pytest plugin: ``-p tests.shuffled --shuffle SEED`` puts files into another order, and the tests of each.

A file stays together, for its tests may share a running SBC. The order follows from the seed, which the
end of the run shows; the same seed gives the same order in every worker.
"""

from __future__ import annotations

from random import Random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--shuffle", type=int, metavar="SEED", help="order files and the tests in each by SEED")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say the seed."""
    terminalreporter.write_line(f"The order was that of --shuffle {config.getoption('shuffle')}.")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests into the order of the seed."""
    seed = config.getoption("shuffle")
    if seed is not None:
        items[:] = shuffled(items, seed)


def shuffled(items: list[pytest.Item], seed: int) -> list[pytest.Item]:
    """The files of ``items`` shuffled, and the tests of each; those that wait longest come first."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    dice = Random(seed)
    order = sorted(files)
    dice.shuffle(order)
    for name in order:
        dice.shuffle(files[name])
    order.sort(key=lambda name: all(item.get_closest_marker("waits") is None for item in files[name]))
    return [item for name in order for item in files[name]]
