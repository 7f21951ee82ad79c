"""Cases that prove the same once more, of another process or API: ``make test-slow`` runs them."""

from __future__ import annotations

from typing import Any

import pytest


def also_slow(*values: Any) -> list[Any]:
    """Return these values as parameters of a test, marked slow."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]
