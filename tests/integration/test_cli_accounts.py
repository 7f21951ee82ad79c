"""threelane account list, drain and use: what an operator sees of an account, and how one is taken out of service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer, typed
from threelane.contract.accounts.account import Account
from threelane.contract.accounts.routing import Routing
from threelane.runtime.exits import Exit
from threelane.store import accounts, audit, keys
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

ROUTING = Routing(
    accounts={"default": Account(name="default", gateway="http"), "news": Account(name="news", gateway="one")}
)


@pytest.fixture
def news(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    """An account with a worker, one waiting message, one scheduled, one in doubt and one at the gateway."""
    accounts.publish(client, ROUTING)
    with open_system(redis_server, account="news") as system:
        system.now = int(client.time()[0]) * 1000
        report = {"beat": system.now, "account": "news", "gateway": "gate", "fingerprint": "login"}
        client.hset(keys.worker("w"), mapping=report)
        client.zadd(keys.WORKERS, {"w": system.now})
        system.take(lane=1)
        system.take(delay=600)
        for kind in (OutcomeKind.LOST, OutcomeKind.ACCEPTED):
            system.attempt(system.take(), AttemptOutcome(kind, gateway_id="g" * 32))
        client.hset(system.names.BALANCE, "left", 12_500_000)
        yield system


def run(server: RedisServer, *words: str) -> Any:
    done = typed("account", *words, "--json", environment={"THREELANE_REDIS_URL": server.url})
    assert done.returncode == Exit.OK, done.stderr
    return json.loads(done.stdout)


def test_the_list_shows_what_each_account_has_to_finish(news: System, redis_server: RedisServer) -> None:
    """The default account has no worker, and nothing that waits."""
    default, one = run(redis_server, "list")

    assert ("default", "http", "no worker", 0) == tuple(
        default[name] for name in ("name", "gateway", "state", "workers")
    )
    assert ("news", "one", "sending", 1) == tuple(one[name] for name in ("name", "gateway", "state", "workers"))
    assert {"1": 1, "2": 0, "3": 0} == one["waiting"]
    assert (1, 1, 1, 12.5) == tuple(one[name] for name in ("scheduled", "in_doubt", "at_gateway", "balance"))


@pytest.mark.parametrize(
    ("scope", "code", "state"),
    [
        ("account", "301", "on hold: 301 why"),
        ("account", "by_hand", "on hold: by_hand why"),
        ("gateway:gate", "lost", "unreachable"),
        ("credentials:login", "001", "login refused"),
        ("sender:ACME", "106", "sending"),
    ],
)
def test_the_list_shows_why_an_account_sends_nothing(
    news: System, redis_server: RedisServer, scope: str, code: str, state: str
) -> None:
    """And since when."""
    row = {"code": code, "cause": "why", "since": 1_800_000_000_000, "until": 0}
    news.sync.hset(news.names.HOLDS, scope, json.dumps(row))

    _, one = run(redis_server, "list")

    assert (state, 0 if state == "sending" else 1_800_000_000_000) == (one["state"], one["since"])


def test_a_drained_account_is_listed_until_it_is_used_again(news: System, redis_server: RedisServer) -> None:
    """Who did it is in the list and in the audit log; a repeated command changes nothing."""
    drained = [run(redis_server, "drain", "news")["changed"] for _ in range(2)]
    _, one = run(redis_server, "list")
    assert ([True, False], True, audit.user()) == (drained, one["drained_since"] > 0, one["drained_by"])

    used = [run(redis_server, "use", "news")["changed"] for _ in range(2)]
    _, one = run(redis_server, "list")
    assert ([True, False], 0) == (used, one["drained_since"])
    assert 2 == sum(entry.what == "account" for entry in audit.read(news.sync, 10))


def test_draining_says_what_the_account_has_still_to_finish(news: System, redis_server: RedisServer) -> None:
    """An operator who stops its workers at once would lose receipts, and leave messages unsent."""
    environment = {"THREELANE_REDIS_URL": redis_server.url}

    assert (
        "news takes nothing new; it has 3 unsent, and 1 at the gateway without a final receipt: keep its workers until "
        "threelane account list shows none of either, six days at most\n"
    ) == typed("account", "drain", "news", environment=environment).stdout
    assert (
        "default takes nothing new; it has nothing left\n"
        == typed("account", "drain", "default", environment=environment).stdout
    )
    assert "news takes messages again\n" == typed("account", "use", "news", environment=environment).stdout


def test_an_unknown_account_cannot_be_drained(news: System, redis_server: RedisServer) -> None:
    """A typing error must not look like a drained account."""
    done = typed("account", "drain", "new", environment={"THREELANE_REDIS_URL": redis_server.url})

    assert (Exit.USAGE, "there is no account new; did you mean news?\n") == (done.returncode, done.stderr)
