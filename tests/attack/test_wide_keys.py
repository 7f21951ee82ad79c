"""Wide keys: a key that somebody created without a thought, and what its holder could do with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import redis

from tests.integration.conftest import api, running_api
from tests.integration.http_api import Api, now
from tests.servers import RedisServer
from threelane.operations import doctor
from threelane.store import keys
from threelane.worker.policy.ours import OURS

__all__ = ["api", "running_api"]
HELLO = {"to": "27831234567", "text": "Hello"}


def threelane(server: RedisServer, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "threelane", *words]
    environment = os.environ | {"THREELANE_REDIS_URL": server.url}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def made(server: RedisServer, *words: str) -> str:
    """Return the token of a key that the command line creates."""
    token: str = json.loads(threelane(server, "producers", "key", "make", *words, "--json").stdout)["key"]
    return token


def test_a_key_is_not_wide_unless_somebody_says_so(api: Api, client: redis.Redis, redis_server: RedisServer) -> None:
    """The command that used to create a key for everything creates none; each part left out is named."""
    refused = threelane(redis_server, "producers", "key", "make", "shop")
    partly = threelane(redis_server, "producers", "key", "make", "shop", "--lane", "3", "--days", "9")

    assert [2, 2] == [refused.returncode, partly.returncode]
    assert "missing: --lane, --sender, --rate, --days" in refused.stderr
    assert "missing: --sender, --rate." in partly.stderr
    assert not client.exists(keys.API_KEYS)


def test_the_holder_of_a_limited_key_stays_within_it(api: Api, redis_server: RedisServer) -> None:
    """Whoever steals a newsletter's key sends no login codes, under no other sender, and not faster."""
    limits = ("--lane", "3", "--sender", "ACME", "--days", "1")
    stolen, slow = (made(redis_server, "shop", *limits, "--rate", rate) for rate in ("50", "0.01"))
    tries: list[dict[str, Any]] = [{"lane": 1, "from": "ACME"}, {"lane": 3, "from": "BANK"}, {"lane": 3}]
    refused = [api.request("POST", "/v1/messages", HELLO | one, stolen) for one in tries]
    statuses = [api.request("POST", "/v1/messages", HELLO | {"from": "ACME"}, slow).status for _ in range(2)]

    assert [(403, "lane"), (403, "sender"), (403, "sender")] == [(one.status, one.body["field"]) for one in refused]
    assert [201, 429] == statuses


def test_wide_keys_are_named_to_the_operator(api: Api, client: redis.Redis, redis_server: RedisServer) -> None:
    """Those created with --any, and those of earlier versions, which keep working."""
    wide = made(redis_server, "shop", "--any")
    earlier = made(redis_server, "mail", "--any")
    key_id = earlier.split("_")[1]
    row = json.loads(client.hget(keys.API_KEYS, key_id) or b"")
    for name in ("evidence", "rotated", "earlier"):  # which earlier versions did not write
        del row[name]
    client.hset(keys.API_KEYS, key_id, json.dumps(row))
    found = next(one for one in doctor.diagnose(client, now(client), OURS) if one.what == "API keys")
    listed = json.loads(threelane(redis_server, "producers", "key", "list", "--json").stdout)

    assert [200, 200] == [api.request("GET", "/v1/key", key=one).status for one in (wide, earlier)]
    assert ("warning", True, True) == (found.grade, key_id in found.detail, wide.split("_")[1] in found.detail)
    assert [True, True] == [one["wide"] for one in listed]
