"""What holds for every test: no fault of our own on stderr or in a journal, unless it says why; no secret."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

from tests.peers import faults, preloaded
from tests.peers.canaries import leaked

# How long an example takes says something about the machine, and decides nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def copied_starts() -> Iterator[None]:
    """Hundreds of SBCs are started here, as copies of one that has loaded its modules."""
    preloaded.use(True)
    yield
    preloaded.use(False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what waits longest, lest the last worker waits for it when all others have ended."""
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail the end of a test that has left a fault."""
    report = yield
    if report.when == "teardown":
        printed = [text for name, text in report.sections if name.startswith("Captured stderr")]
        found, secrets = faults.in_journals()
        found += filter(None, map(faults.in_text, printed))
        secrets += filter(None, map(leaked, printed))
        if found and report.passed and not item.get_closest_marker("provokes"):
            report.outcome = "failed"
            report.longrepr = "a fault of our own, which no `provokes` explains:\n" + "\n\n".join(found)
        if secrets and report.passed:
            report.outcome = "failed"
            report.longrepr = "a secret, which nothing excuses:\n" + "\n\n".join(secrets)
    return report
