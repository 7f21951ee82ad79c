"""The servers and processes of the integration tests, for attacks on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.conftest import api, base_environment, running_api, workers

__all__ = ["api", "base_environment", "running_api", "workers"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark all tests of this folder: ``make test-attacks`` runs them, ``make test`` does not."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.attack)
