"""The processes of the integration tests, on a Redis that gives error replies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.error_replies.states import STATES, State
from tests.integration.conftest import base_environment

__all__ = ["base_environment"]

SETTINGS: dict[str, Any] = {
    "doubt_delays_seconds": "0.3,0.5",
    "sweep_seconds": 0.5,
    "lost_nudge_seconds": 1,
    "lease_seconds": 13,
    "gateway_timeout_seconds": 6,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: ``make test-errors`` runs them, ``make test`` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.error_replies)


@pytest.fixture
def happened(request: pytest.FixtureRequest, state: State, record_property: Any) -> Callable[[str], None]:
    """Returns a function that notes what a test saw, for the table at the end of the run."""
    phase = request.node.originalname.removeprefix("test_")
    return lambda what: record_property("happened", (state.reply.prefix, phase, what))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Print what happened, by row of the table of replies."""
    reports = [one for kind in ("passed", "failed") for one in terminalreporter.stats.get(kind, ())]
    rows = [tuple(value) for one in reports for name, value in one.user_properties if name == "happened"]
    order = [one.reply.prefix for one in STATES]
    for reply, phase, what in sorted(rows, key=lambda row: (order.index(row[0]), row[1])):
        terminalreporter.write_line(f"{reply:30}{phase[:40]:42}{what}")


@pytest.fixture(params=STATES, ids=lambda one: one.reply.prefix.replace(" ", "-"))
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    """A Redis for one row of the table; it works at first."""
    made: State = request.param(tmp_path)
    yield made
    made.close()
