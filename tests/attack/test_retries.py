"""Retries: no key makes the fleet call the gateway without end for its messages."""

from __future__ import annotations

import pytest
import redis

from tests.integration.conftest import Workers, attempts
from tests.integration.http_api import Api
from tests.servers import wait_until
from threelane.sandbox.running import Running
from threelane.store import keys

FAILS = "27999190100"  # 901, always


@pytest.mark.parametrize("wish", [0.0001, 0.5, "1e-9", 0, -1, "nan", "inf", 604_801, True], ids=str)
def test_a_pace_below_a_second_is_refused(api: Api, client: redis.Redis, wish: object) -> None:
    """With the field, the reason and the right form."""
    key = api.key("a")
    for field in ("retryEvery", "retry_every"):
        response = api.request("POST", "/v1/messages", {"to": FAILS, "text": "x", field: wish}, key)
        assert (422, "101", field) == (response.status, response.body["code"], response.body["field"])
        assert "1 second" in response.body["remedy"] or "more than 0" in response.body["remedy"]
    assert 0 == client.zcard(keys.QUEUED[3])


def test_a_message_of_an_earlier_version_with_a_tiny_pace_waits_a_second(
    api: Api, client: redis.Redis, sandbox: Running, workers: Workers
) -> None:
    """200 of them made 639 calls a second; now each makes one a second, and as many as its code allows."""
    key = api.key("a")
    sms = {"to": FAILS, "text": "x", "retryEvery": 1, "stopRetryingAfter": 604_800}
    ids = [api.request("POST", "/v1/messages", sms, key).body["id"] for _ in range(20)]
    for one in ids:
        body = client.hget(keys.record(one), "body")
        client.hset(keys.record(one), "body", body.replace(b'"retry_every":1.0', b'"retry_every":0.0001'))  # type: ignore[union-attr]
        assert b"0.0001" in client.hget(keys.record(one), "body")  # type: ignore[operator]
    workers.start()
    wait_until(lambda: client.zcard(keys.DEAD) == len(ids), what="the last attempts")
    assert {8} >= {len(attempts(sandbox, one)) for one in ids}
    waits = [float(wait) for one in ids for wait in client.hget(keys.record(one), "waits").split()]  # type: ignore[union-attr]
    assert {1.0} == set(waits)
