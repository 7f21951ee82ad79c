"""Do not contact: a key cannot have Clickatell skip its check of opt-outs without the right."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Refused
from threelane.store import keys, registry

SKIPS = {"to": "27999500001", "text": "Hello", "bypassDNCCheck": 1}


@pytest.fixture
def rest_api(redis_server: RedisServer, client: redis.Redis) -> Iterator[Api]:
    """The HTTP API before the REST API, the only one with this parameter."""
    assert client.ping()
    made = Api(redis_server.url, gateway="rest").start()
    yield made
    made.stop()


def test_no_way_to_skip_the_check_works_without_both_rights(
    rest_api: Api, client: redis.Redis, redis_server: RedisServer
) -> None:
    """In each spelling, alone and in a list, over HTTP and in the library; legal notices need the same."""
    plain, wide = rest_api.key("shop"), rest_api.key("shop", bypass=True)
    for granted, key in ((False, plain), (False, wide), (True, plain)):
        registry.put(client, "shop", bypass=granted)
        for field in ("bypassDNCCheck", "bypass_dnc", "bypass_dnc_check", "legalNotice"):
            sms = {"to": "27999500001", "text": "Hello", field: "true"}
            assert 403 == rest_api.request("POST", "/v1/messages", sms, key).status, (granted, field)
            listed = rest_api.request("POST", "/v1/messages/bulk", {"messages": [sms]}, key).body["verdicts"]
            assert ["operator"] == [one["refusal"]["owner"] for one in listed]
    registry.put(client, "shop", bypass=False)
    for name in ("", "shop", "nobody"):
        with Producer(ProducerSettings(redis_url=redis_server.url, gateway="rest", producer=name)) as library:
            (answer,) = library.send_rows([SKIPS])
            assert isinstance(answer, Refused)
            assert {("101", "bypass_dnc")} == {(one.code, one.field) for one in (answer, *library.rehearse([SKIPS]))}  # type: ignore[union-attr]
    assert 0 == client.zcard(keys.QUEUED[3])
    registry.put(client, "shop", bypass=True)
    assert 201 == rest_api.request("POST", "/v1/messages", SKIPS, wide).status
