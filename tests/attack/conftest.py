"""The servers and processes of the integration tests, for attacks on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.conftest import api, base_environment, running_api, workers

__all__ = ["api", "base_environment", "running_api", "workers"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: ``make test-attacks`` runs them, ``make test`` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.attack)


@pytest.fixture
def table(record_property: Any) -> Callable[[str, str, str], None]:
    """Returns a function that notes who tried what, and the result, for the table at the end of the run."""
    return lambda who, tried, result: record_property("tried", (who, tried, result))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print who tried what: a row for each attempt, with the result for each who tried it."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, ())]
    noted = [tuple(value) for one in reports for name, value in one.user_properties if name == "tried"]
    for tried in dict.fromkeys(tried for _, tried, _ in noted):
        results: dict[str, list[str]] = {}
        for who, what, result in noted:
            if what == tried:
                results.setdefault(result, []).append(who)
        cells = "; ".join(f"{result}: {', '.join(sorted(who))}" for result, who in sorted(results.items()))
        terminalreporter.write_line(f"{tried:52}{cells}")
