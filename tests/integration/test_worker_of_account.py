"""A worker of an account: it sends what waits there, and touches nothing of another account."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from tests import rabbit
from tests.integration.api import API
from tests.integration.conftest import Workers
from tests.servers import RedisServer, wait_until
from threelane import ProducerSettings, Status
from threelane.contract import message
from threelane.contract.message import Draft
from threelane.demo import accounts
from threelane.producer.accept import accept
from threelane.producer.nudge import Nudger
from threelane.store import keys
from threelane.store.keys import Space, space_of

ACME, DEFAULT = space_of("acme"), keys.HERE
READ_OF_OTHERS = {
    *(keys.HOLDS, keys.WAITING, keys.TALLY, *keys.QUEUED.values(), *keys.DUE.values()),
    keys.OF_DEFAULT.FORMER[Status.SCHEDULED],
}
"""What a worker reads of an account that cannot send, to see whether it is the stand-by of what waits there."""
END = "the end of the test"


@contextmanager
def touched(server: RedisServer) -> Iterator[set[str]]:
    """Yield the keys that anybody's commands name, also those of scripts, until the end."""
    found: set[str] = set()
    began = threading.Event()

    def follow() -> None:
        with redis.Redis(port=server.port, socket_timeout=None).monitor() as monitor:  # a start takes a while
            began.set()
            for seen in monitor.listen():
                name, *words = seen["command"].split(" ")
                if END in seen["command"]:
                    return
                if not name.upper().startswith("EVAL"):  # these name all keys of a script
                    found.update(one for one in words if one.startswith((keys.PREFIX, "sms.")))

    thread = threading.Thread(target=follow)
    thread.start()
    assert began.wait(10)
    try:
        yield found
    finally:
        with redis.Redis(port=server.port) as client:
            client.echo(END)
        thread.join(30)


def take(client: redis.Redis, space: Space, **fields: Any) -> str:
    """Accept a message for an account, without its nudge; returns its id."""
    now = int(time.time() * 1000)
    draft = message.parse({"to": "27831234567", "text": "Hello", **fields}, now)
    assert isinstance(draft, Draft)
    accept(client, [draft], now, space=space)
    return draft.message.id


def status(client: redis.Redis, message_id: str) -> str:
    return (client.hget(keys.record(message_id), "status") or b"").decode()  # type: ignore[union-attr]


@pytest.mark.main_job
def test_a_worker_of_an_account_sends_its_messages_and_touches_no_other_account(
    client: redis.Redis, workers: Workers, redis_server: RedisServer
) -> None:
    """By a nudge, by a look and from the due set; a hold of the default account stops none of it."""
    nudger = Nudger(ProducerSettings(redis_url=redis_server.url), account=ACME.account)
    waits = take(client, DEFAULT, lane=1)
    client.hset(keys.HOLDS, "account", '{"code":"301","cause":"no_credit","since":0,"until":0}')
    client.set(keys.ERASING, 1)  # the hourly erasure is for all accounts
    sent = [take(client, ACME, lane=lane) for lane in keys.LANES]
    nudger.publish(1, sent[:1])
    sent += [take(client, ACME, lane=1, delay=1), take(client, ACME, lane=3, cost_centre="news")]
    settled = ("sent", "delivered", "undelivered", "expired")
    url = workers.environment["THREELANE_GATEWAY_URL"].replace("127.0.0.1", "localhost")
    workers.use_accounts({ACME.account: accounts.at_sandbox(url, API.name)})
    with touched(redis_server) as names:
        worker = workers.start(account=ACME.account)
        wait_until(lambda: all(status(client, one) in settled for one in sent), 30, "all of the account's messages")
        wait_until(lambda: not client.exists(keys.queue(1, ACME.account)), what="the nudge to be taken")
        worker.stop()

    own = {one for one in names if one.startswith(keys.PREFIX) and keys.kind(one).by_account}
    assert own
    assert READ_OF_OTHERS >= {one for one in own if not one.endswith("@acme")}
    assert not {keys.queue(lane) for lane in keys.LANES} & names
    assert rabbit.wanted() or {"sms.1@acme", "sms.2@acme", "sms.3@acme"} <= names
    assert ("queued", [waits.encode()]) == (status(client, waits), client.zrange(keys.QUEUED[1], 0, -1))
    tally: Any = client.hgetall(keys.names(ACME).TALLY)
    assert {1: b"2", 2: b"1", 3: b"2"} == {lane: tally[f"accepted:{lane}".encode()] for lane in keys.LANES}
    assert 5 == sum(int(n) for name, n in tally.items() if name.startswith(b"to:") and name.endswith(b":sending"))
