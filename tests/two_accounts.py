"""Two accounts: the default one and ``bulk``, as a worker publishes them, for tests of what reads every account."""

from __future__ import annotations

import redis

from threelane.contract.accounts.account import Account
from threelane.contract.accounts.routing import Routing
from threelane.store import accounts, keys
from threelane.store.keys import Space, space_of

BULK = space_of("bulk")
ROUTING = Routing(
    accounts={"default": Account(name="default", gateway="http"), "bulk": Account(name="bulk", gateway="http")}
)


def publish(client: redis.Redis, routing: Routing = ROUTING) -> None:
    """Publish both; call it before anything reads the accounts, which are known for a second."""
    accounts.publish(client, routing)


def report(client: redis.Redis, name: str, now: int, space: Space, **fields: str) -> None:
    """Let a worker of an account report."""
    given = {
        "beat": now,
        "fetched": now,
        "lanes": "1,2,3",
        "rate": 10,
        "served": 1,
        "account": space.account,
        "incarnation": name,
    }
    client.hset(keys.worker(name), mapping=given | fields)
    client.zadd(keys.WORKERS, {name: now})


def hold_account(client: redis.Redis, space: Space, code: str = "301", cause: str = "no_credit") -> None:
    """Put an account on hold, as workers do for a code."""
    row = f'{{"code":"{code}","cause":"{cause}","since":1,"until":0}}'
    client.hset(keys.names(space).HOLDS, "account", row)
