"""Large bodies: a list of millions of items costs its sender a refusal, and the process no memory."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.attack.sockets import Endpoint, running
from tests.servers import RedisServer
from threelane.store import access

MIB = 1024 * 1024
LONGEST = 16 * MIB - 64
MANY = b'{"messages":[' + b"{}," * (LONGEST // 3) + b"{}]}"
MANY_IN_ONE = b'{"messages":[{"to":[' + b"[]," * (LONGEST // 3) + b"[]]}]}"
NESTED = b'{"messages":[' + b'{"to":[[],[],[]]},' * (LONGEST // 18 // 60 * 60) + b"{}]}"
DEEP = b'{"messages":' + b"[" * LONGEST
LONG_KEY = b'{"messages":[{"' + b"k" * LONGEST + b'":1}]}'
LONG_NUMBER = b'{"messages":[{"to":' + b"1" * LONGEST + b"}]}"
HELLO = {"to": "27831234567", "text": "Hello"}


def post(port: int, token: str, body: bytes, path: str = "/v1/messages/bulk") -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", path, body, {"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@pytest.fixture
def token(redis_server: RedisServer, client: redis.Redis) -> str:
    return access.create(client, "shop", int(client.time()[0]) * 1000, rate=1, unlimited=True).token


def test_no_list_costs_more_memory_than_a_container_has(
    token: str, client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Millions of items, values, brackets or digits in 16 MiB: 413, 400 or 422, and less than 60 MB of growth."""
    bodies = (MANY, MANY_IN_ONE, NESTED, DEEP, LONG_KEY, LONG_NUMBER)
    with running("api", "api", small(base_environment), tmp_path) as api:
        assert 422 == post(api.port, token, b'{"messages":[{}],"x":1}')[0]  # everything is loaded
        before = api.resident_mib
        statuses = []
        for body in bodies:
            statuses.append(status_of(client, api, body))
        grown = api.peak_mib - before

    assert [413, 413, 413, 400, 200, 200] == statuses
    assert grown < 60, f"{grown:.0f} MiB"


def status_of(client: redis.Redis, api: Endpoint, body: bytes) -> int:
    """Return the status that a new key gets: its rate is one request per second."""
    fresh = access.create(client, "shop", int(client.time()[0]) * 1000, rate=1, unlimited=True).token
    return post(api.port, fresh, body)[0]


def small(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of an API in a container with 256 MiB."""
    return environment | {"THREELANE_API_PORT": "0", "THREELANE_API_MEMORY_MIB": "80"}


def test_lists_at_once_share_the_memory_of_the_process(
    client: redis.Redis, base_environment: dict[str, str], tmp_path: Path
) -> None:
    """Twelve of the longest lists from three producers at once: what does not fit waits, then gets 503."""
    now = int(client.time()[0]) * 1000
    keys = [access.create(client, f"shop{n % 3}", now, unlimited=True).token for n in range(12)]
    text = "x" * 1_400
    messages = [HELLO | {"text": text} for _ in range(10_000)]
    body = json.dumps({"messages": messages}, separators=(",", ":")).encode()
    with running("api", "api", small(base_environment), tmp_path) as api:
        assert 422 == post(api.port, keys[0], b'{"messages":[{}],"x":1}')[0]
        before = api.resident_mib
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda key: post(api.port, key, body), keys))
        grown = api.peak_mib - before

    assert {200, 503} >= {status for status, _ in answers}
    assert 2 <= sum(status == 200 for status, _ in answers)
    assert all(answer["owner"] == "operator" for status, answer in answers if status == 503)
    assert grown < 120, f"{grown:.0f} MiB"
