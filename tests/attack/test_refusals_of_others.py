"""Refusals of others: messages of one producer that the gateway refuses stop no message of another."""

from __future__ import annotations

import pytest
import redis

from tests.integration.conftest import Workers
from tests.integration.http_api import Api
from tests.servers import wait_until
from threelane.sandbox.running import Running
from threelane.store import keys

PREFIX = "2799950"


@pytest.mark.parametrize("code", ["106", "114", "123"])
def test_refused_messages_of_one_key_delay_nothing_of_another(
    api: Api, sandbox: Running, workers: Workers, client: redis.Redis, code: str
) -> None:
    """One wrong sender, or five numbers without a route: its own lanes 2 and 3 wait, and nobody else's."""
    bad = [f"{PREFIX}0{number:03d}" for number in range(6)]
    for to in bad:
        sandbox.control("POST", "faults", {"do": "code", "code": code, "to": to, "times": 1})
    workers.start()
    attacker, other = api.key("a"), api.key("b")
    for to in bad:
        sms = {"to": to, "text": "Hello", "from": "ACME", "lane": 3}
        assert 201 == api.request("POST", "/v1/messages", sms, attacker).status
        wait_until(lambda: client.hlen(keys.HOLDS) or client.zcard(keys.DEAD), what="a refusal")
    wait_until(lambda: client.hlen(keys.HOLDS), what="the attacker's hold")
    assert {b"a"} == {scope.rpartition(b"@")[2] for scope in client.hkeys(keys.HOLDS)}  # type: ignore[union-attr]
    good = [
        api.request(
            "POST", "/v1/messages", {"to": f"{PREFIX}0{900 + n}", "text": "4711", "from": "ACME", "lane": lane}, other
        )
        for lane in (1, 2, 3)
        for n in range(5)
    ]
    ids = [one.body["id"] for one in good]
    wait_until(lambda: all(client.hexists(keys.record(one), "sent") for one in ids), what="the messages of the other")
    assert 0 == client.zcard(keys.DUE[1]) + client.zcard(keys.QUEUED[1])
