"""Cancelled batches: after a cancel no message of the batch is attempted, whatever state it was in."""

from __future__ import annotations

from collections import Counter

import redis

from tests.integration.conftest import Workers
from tests.integration.http_api import Api
from tests.servers import wait_until
from threelane.sandbox.running import Running
from threelane.store import keys

FINAL = {"cancelled", "sent", "delivered", "unknown"}


def test_a_cancelled_batch_makes_no_further_attempt(
    api: Api, client: redis.Redis, sandbox: Running, workers: Workers
) -> None:
    """200 messages that always fail, cancelled while workers send them: 101 were found, and the retries went out."""
    key = api.key("a")
    messages = [{"to": "27999190100", "text": "x", "batch": "b", "lane": 3, "retryEvery": 1} for _ in range(200)]
    assert 200 == api.request("POST", "/v1/messages/bulk", {"messages": messages}, key).status
    ids = [one.decode() for one in client.zrange(keys.QUEUED[3], 0, -1)]  # type: ignore[union-attr]
    assert 200 == len(ids)
    workers.start(parts_per_second=400, doubt_delays_seconds="1,1,2")
    wait_until(lambda: len(sandbox.control("GET", "attempts")["attempts"]) >= 150, what="most first attempts")
    answer = api.request("DELETE", "/v1/batches/b", key=key).body
    assert 200 == answer["cancelled"] + answer["not_retried"] + answer["too_late"], answer
    wait_until(lambda: not client.exists(*keys.LEASES.values()), what="the attempts in progress to end")
    made = len(sandbox.control("GET", "attempts")["attempts"])
    wait_until(lambda: _ended(client, ids), what="every message to end")

    assert made == len(sandbox.control("GET", "attempts")["attempts"]), "a retry went out"
    assert Counter({"cancelled": 200}) == _states(client, ids)
    published = Counter(
        entry[b"id"].decode() for _, entry in client.xrange(keys.EVENTS) if entry[b"status"] == b"cancelled"
    )  # type: ignore[union-attr]
    assert dict.fromkeys(ids, 1) == published


def _states(client: redis.Redis, ids: list[str]) -> Counter[str]:
    return Counter(client.hget(keys.record(one), "status").decode() for one in ids)  # type: ignore[union-attr]


def _ended(client: redis.Redis, ids: list[str]) -> bool:
    return set(_states(client, ids)) <= FINAL
