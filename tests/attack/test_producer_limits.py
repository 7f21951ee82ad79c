"""Producer limits: what one key stores or invents leaves room for the codes of another."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane.store import keys, registry
from threelane.store.ceiling import INTAKE_SHARE

LIST = [{"to": "27999500001", "text": "x" * 459, "lane": 3, "batch": "b" * 60, "delay": 600_000}] * 1_000
CODE = {"to": "27999500001", "text": "4711", "lane": 1}


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis with a memory ceiling."""
    server = RedisServer(tmp_path, "--maxmemory", "24mb").start()
    yield server
    server.kill()


def test_one_key_cannot_fill_redis_for_the_codes_of_another(small: RedisServer) -> None:
    """It stores what it can, until it is refused for lack of memory; the codes of the other are still accepted."""
    api = Api(small.url).start()
    try:
        attacker, other = api.key("a"), api.key("b")
        assert 201 == api.request("POST", "/v1/messages", CODE, other).status
        codes = []
        for _ in range(60):
            listed = api.request("POST", "/v1/messages/bulk", {"messages": LIST}, attacker)
            verdicts = listed.body.get("verdicts", []) if isinstance(listed.body, dict) else []
            codes = [one["refusal"]["code"] for one in verdicts if one.get("refusal")]
            if listed.status == 503 or len(codes) == len(LIST):
                break
        assert {"130"} == set(codes), "refused one by one, before the ceiling of all"
        refused = api.request("POST", "/v1/messages", CODE, attacker)
        assert ("130", "producer") == (refused.body["code"], refused.body["field"]), "with a code as well"
        assert [201] * 100 == [api.request("POST", "/v1/messages", CODE, other).status for _ in range(100)]
        memory = api.redis.info("memory")
        assert memory["used_memory"] < INTAKE_SHARE * memory["maxmemory"]  # type: ignore[index]
    finally:
        api.stop()


def test_invented_cost_centres_and_tags_make_no_counters(api: Api, client: redis.Redis) -> None:
    """Free text in a message is free text in its record; the counts of Redis have as many names as before, and some."""
    key = api.key("a")
    for start in range(0, 2_000, 1_000):
        messages = [
            {"to": "27999500001", "text": "x", "costCentre": f"c{n}", "tags": [f"t{n}"], "batch": f"b{n}"}
            for n in range(start, start + 1_000)
        ]
        assert 200 == api.request("POST", "/v1/messages/bulk", {"messages": messages}, key).status
    assert client.hlen(keys.CENTRES) <= 201  # type: ignore[operator]
    assert client.hlen(keys.TALLY) < 30  # type: ignore[operator]
    assert client.hlen(keys.STORED) <= 3  # type: ignore[operator]


def test_ten_keys_of_a_producer_send_no_more_than_one(api: Api, client: redis.Redis) -> None:
    """They share the producer's rate; a key of another producer is not slower for it."""
    registry.put(client, "a", rate=1)
    began_at = time.monotonic()
    tokens = [api.key("a", rate=100) for _ in range(10)]
    statuses = Counter(api.request("POST", "/v1/messages", CODE, token).status for token in tokens * 3)
    assert {201, 429} == statuses.keys()
    assert statuses[201] <= 2 + time.monotonic() - began_at, "one, and one for each second that this took"
    answers = (api.request("GET", "/v1/budgets", key=tokens[0]) for _ in range(100))
    refused = next(one for one in answers if one.status == 429)
    assert "all keys of a together 1" in refused.body["detail"]
    assert [201] * 20 == [api.request("POST", "/v1/messages", CODE, api.key("b")).status for _ in range(20)]
