"""The start of a worker's engine: an outage of Redis is waited for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from threelane.worker.upkeep import engine


def test_a_connection_that_is_lost_at_the_start_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis answered a moment ago; without the hours of sending nothing may be sent.

    No server loses its connection at this very step on request, so the step itself fails here.
    """
    failures: list[Exception] = [RedisConnectionError("lost"), OSError("reset")]
    looked: list[object] = []

    async def look(context: object) -> None:
        if failures:
            raise failures.pop()
        looked.append(context)

    monkeypatch.setattr(engine.windows, "look", look)
    monkeypatch.setattr(engine, "AGAIN_SECONDS", 0)
    context: Any = SimpleNamespace()
    asyncio.run(engine._load_windows(context))

    assert [context] == looked
