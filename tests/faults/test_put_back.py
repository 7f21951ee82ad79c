"""A nudge that could not be served goes back to the head of its lane: first come, first served."""

from __future__ import annotations

import pytest
import redis

from tests.integration.conftest import Workers
from tests.servers import wait_until
from threelane import Producer
from threelane.sandbox.running import Running

pytestmark = pytest.mark.slow

NUDGES = 25
IN_HAND = 16  # a worker has up to eight nudges in hand, and eight that it put back a moment ago: their order is free


def test_a_message_that_waits_for_the_rate_is_not_overtaken_by_later_ones(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Otherwise the first of a thousand would be served last, and the sweep would take it for lost."""
    for nudge in range(NUDGES):
        producer.send_many({"to": f"279995{nudge:02d}{one:03d}", "text": "Hello"} for one in range(20))
    workers.start(parts_per_second=100)
    wait_until(lambda: NUDGES * 20 == len(_order(sandbox)), what="all messages")

    nudges = [int(to[6:8]) for to in _order(sandbox)]
    for late in range(IN_HAND, NUDGES):
        overtaken = [nudge for nudge in nudges[nudges.index(late) :] if nudge <= late - IN_HAND]
        assert [] == overtaken


def _order(sandbox: Running) -> list[str]:
    """Return the recipients in the order in which the gateway took them."""
    return [entry["to"] for entry in sandbox.control("GET", "ledger")["messages"]]
