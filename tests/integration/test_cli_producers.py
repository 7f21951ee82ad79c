"""The operator's commands for producers: what they print, what they refuse, what they never show."""

from __future__ import annotations

import json
import subprocess

import pytest
import redis

from tests.servers import RedisServer, free_port, stored, typed
from threelane.runtime.exits import Exit
from threelane.store import keys, registry
from threelane.worker.webhooks.delivery import shift

HOOK = "https://shop.example/threelane?token=hunter2"


def run(server: str, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return typed("producers", *words, environment={"THREELANE_REDIS_URL": server, "COLUMNS": "160", **settings})


def lay_aside(client: redis.Redis, name: str = "shop") -> None:
    """Put an event where those are that a webhook never took."""
    event = '{"type":"outcome","id":"1-0","producer":"shop","message_id":"0f3c","status":"dead","to":"27831234567"}'
    content = f'{{"event":{event},"tries":11,"reason":"answered 500"}}'
    client.zadd(keys.deliveries(name), {"1-0": 1})
    client.hset(keys.delivery(name), "1-0", content)
    assert 1 == shift(
        client,
        source=keys.deliveries(name),
        target=keys.undelivered(name),
        contents=keys.delivery(name),
        id="1-0",
        was=content,
        content=content,
        score=1_750_000_000_000,
    )


def test_a_secret_is_shown_once_and_never_listed(client: redis.Redis, redis_server: RedisServer) -> None:
    """By set alone, and only when it is new."""
    first = run(redis_server.url, "set", "shop", "--webhook", HOOK, "--bypass")
    known = registry.read(client, "shop")
    assert known is not None
    assert (Exit.OK, True, True) == (first.returncode, known.secret in first.stdout, known.bypass)
    for words in (["set", "shop", "--no-bypass"], ["list"], ["list", "--json"]):
        completed = run(redis_server.url, *words)
        assert Exit.OK == completed.returncode
        assert not any(hidden in completed.stdout + completed.stderr for hidden in (known.secret, "hunter2"))
    assert json.loads(completed.stdout) == [
        {
            "name": "shop",
            "bypass": False,
            "rate": 0.0,
            "countries": [],
            "numbers": "",
            "webhook": "https://shop.example/threelane?...",
        }
    ]
    again = json.loads(run(redis_server.url, "set", "shop", "--new-secret", "--json").stdout)
    assert again["secret"] == registry.read_all(client)["shop"].secret != known.secret


def test_dead_letters_are_listed_and_redelivered(client: redis.Redis, redis_server: RedisServer) -> None:
    """By the message they are about, without its number."""
    registry.put(client, "shop", webhook=HOOK)
    lay_aside(client)
    completed = run(redis_server.url, "undelivered", "shop")
    assert all(
        shown in completed.stdout for shown in ("1-0", "outcome", "0f3c", "11", "answered 500", "2025-06-15 15:06:40Z")
    )
    assert "27831234567" not in completed.stdout
    (one,) = json.loads(run(redis_server.url, "undelivered", "shop", "--json").stdout)
    assert ("1-0", "0f3c", 11) == (one["event"], one["about"], one["tries"])
    assert "1 events" in run(redis_server.url, "redeliver", "shop").stdout
    assert (1, 0) == (client.zcard(keys.deliveries("shop")), client.zcard(keys.undelivered("shop")))
    assert b'"tries":0' in client.hget(keys.delivery("shop"), "1-0")  # type: ignore[operator]


def test_without_a_webhook_what_was_on_its_way_is_set_aside(client: redis.Redis, redis_server: RedisServer) -> None:
    """And can go to the next one."""
    registry.put(client, "shop", webhook=HOOK)
    lay_aside(client)
    run(redis_server.url, "redeliver", "shop")
    assert "1 events" in run(redis_server.url, "set", "shop", "--no-webhook").stdout
    assert (0, 1) == (client.zcard(keys.deliveries("shop")), client.zcard(keys.undelivered("shop")))
    refused = run(redis_server.url, "redeliver", "shop")
    assert (Exit.USAGE, True) == (refused.returncode, "has no webhook" in refused.stderr)


def test_a_producer_that_is_removed_leaves_nothing(client: redis.Redis, redis_server: RedisServer) -> None:
    """Not in Redis, and not in the list."""
    registry.put(client, "shop", webhook=HOOK)
    lay_aside(client)
    assert Exit.OK == run(redis_server.url, "remove", "shop").returncode
    assert 0 == stored(client)
    assert "no producer is registered" in run(redis_server.url, "list").stdout


# fmt: off
WRONG = [
    (["set", "shop", "--webhook", "http://shop.example/x"],           "https://"),
    (["set", "shop", "--webhook", "http://127.0.0.1:80/x"],           "THREELANE_WEBHOOK_PRIVATE_ADDRESSES"),
    (["set", "shop", "--webhook", "https://u:p@shop.example/x"],      "remove user"),
    (["set", "shop", "--webhook", ""],                                "--no-webhook"),
    (["set", "shop", "--webhook", HOOK, "--no-webhook"],              "either --webhook or --no-webhook"),
    (["set", "a|b"],                                                  "is not a producer name"),
    (["set", "shop", "--new-secret"],                                 "a secret needs a webhook"),
    (["remove", "shop"],                                              "no producer named"),
    (["undelivered", "shop"],                                         "no producer named"),
    (["redeliver", "shop"],                                           "no producer named"),
]
# fmt: on


@pytest.mark.parametrize(("words", "problem"), WRONG)
def test_an_error_is_reported_in_a_sentence(
    client: redis.Redis, redis_server: RedisServer, words: list[str], problem: str
) -> None:
    """With an exit code, nothing done, and no traceback."""
    refused = run(redis_server.url, *words)
    code = Exit.NOT_FOUND if problem == "no producer named" else Exit.USAGE
    assert (code, "") == (refused.returncode, refused.stdout)
    assert problem in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not client.exists(keys.PRODUCERS)


def test_this_machine_is_allowed_by_a_setting(client: redis.Redis, redis_server: RedisServer) -> None:
    """For a first try."""
    completed = run(
        redis_server.url,
        *("set", "shop", "--webhook", "http://127.0.0.1:80/x"),
        THREELANE_WEBHOOK_PRIVATE_ADDRESSES="true",
    )
    assert (Exit.OK, "") == (completed.returncode, completed.stderr)


@pytest.mark.parametrize(
    "words", [["list"], ["set", "shop"], ["remove", "shop"], ["undelivered", "shop"], ["redeliver", "shop"]]
)
def test_a_missing_redis_is_reported_in_a_sentence(words: list[str]) -> None:
    """With the exit code for it."""
    completed = run(f"redis://:hunter2@127.0.0.1:{free_port()}/0", *words)
    assert Exit.UNAVAILABLE == completed.returncode
    assert "Redis does not answer" in completed.stderr
    assert not any(hidden in completed.stderr for hidden in ("Traceback", "hunter2"))
