"""Rules of the Portal's APIs alone: no look-up for a lost answer; on the One API a limit names no time."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import redis

from tests.integration.conftest import Workers, attempts, kill, taken
from tests.servers import free_port, wait_until
from tests.slow import also_slow
from threelane import Producer, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
PORTAL = ["one", *also_slow("platform")]


def let_end(client: redis.Redis, message_id: str) -> None:
    """Move the end of a message's validity to a minute ago: the shortest is a minute, too long for a test."""
    body = json.loads(client.hget(keys.record(message_id), "body"))
    body["expires_at"] = int(time.time() * 1000) - 60_000
    ended = {"body": json.dumps(body), "expires": body["expires_at"]}
    client.hset(keys.record(message_id), mapping=ended)
    client.zadd(keys.DOUBT[3], {message_id: 0})


@pytest.mark.parametrize("api", PORTAL)
@pytest.mark.parametrize("on_doubt", ["resend", *also_slow("hold", "drop")])
@pytest.mark.parametrize(("to", "sent"), [("27999300101", 1), ("27999300201", 0)], ids=["taken", "not-taken"])
def test_a_lost_answer_is_waited_for_to_the_end_and_never_sent_again(
    producer: Producer,
    sandbox: Running,
    workers: Workers,
    until: Until,
    client: redis.Redis,
    to: str,
    sent: int,
    on_doubt: str,
    api: str,
) -> None:
    """Whether the gateway has it or not: no receipt came while it was valid, so it will never be known."""
    workers.start(gateway=api, doubt_delays_seconds="0.3,0.5")
    message = producer.send(to, "Hello", on_doubt=on_doubt).id
    until(message, Status.IN_DOUBT)
    let_end(client, message)
    found = until(message, Status.UNKNOWN)

    assert ("no_look_up", "gateway", 1) == (found.code, found.owner, found.attempts)
    assert sent == len(taken(sandbox).get(message, []))
    assert 1 == len(attempts(sandbox, message))
    assert 0 == client.zcard(keys.DOUBT[3])


@pytest.mark.parametrize("api", PORTAL)
def test_a_receipt_settles_a_dead_worker_s_message(
    producer: Producer, reporting: Running, workers: Workers, until: Until, api: str
) -> None:
    """Kill -9 after the request left: the lease runs out, and the message waits for its receipt."""
    timing = {"gateway": api, "lease_seconds": 2, "gateway_timeout_seconds": 0.9}
    address = reporting.control("GET", "settings")["callback_url"]
    nobody = f"http://127.0.0.1:{free_port()}/hooks/status"  # receipts are repeated until somebody answers
    late = {"latency_ms": 60_000, "callback_url": nobody, "callback_retry_scale": 0.005}
    first = workers.start(**timing)
    reporting.control("POST", "settings", late)
    message = producer.send("27999500001", "Hello").id
    wait_until(lambda: message in taken(reporting))
    kill(first)
    reporting.control("POST", "settings", {"latency_ms": 0})  # or the next worker's login would go unanswered
    workers.start(**timing)
    assert "lapsed" == until(message, Status.IN_DOUBT).code
    reporting.control("POST", "settings", {"callback_url": address})

    assert 1 == until(message, Status.DELIVERED).attempts
    assert 1 == len(taken(reporting)[message])


def test_an_internal_error_of_a_whole_request_is_waited_for_on_the_platform(
    producer: Producer, reporting: Running, workers: Workers, until: Until
) -> None:
    """The message may have been sent, and only its receipt can show it: no second request."""
    reporting.control("POST", "faults", {"do": "code", "code": "901", "api": "platform"})
    workers.start(gateway="platform", doubt_delays_seconds="0.3,0.5")
    message = producer.send("27831230001", "Hello").id
    found = until(message, Status.IN_DOUBT)
    assert ("unreadable", 1) == (found.code, len(attempts(reporting, message)))


def test_a_limit_slows_the_account_down_and_spends_no_attempt(
    producer: Producer, sandbox: Running, workers: Workers
) -> None:
    """Code 43 is of the account: all that was in the request comes again, and meanwhile nothing else is tried."""
    sandbox.control("POST", "faults", {"do": "code", "code": "130"})
    answers = producer.send_many({"to": f"27999{500000 + n}", "text": "Hi", "retry_every": 3} for n in range(150))
    workers.start(gateway="one", gateway_connections=1)
    wait_until(lambda: 150 == len(taken(sandbox)), what="all to be taken")
    tried = sandbox.control("GET", "attempts")["attempts"]
    refused = [one for one in tried if one["code"]]
    first_taken = min(one["at"] for one in tried if one["id"])

    assert {"130"} == {one["code"] for one in refused}  # the sandbox's own words for 43
    assert 50 <= len(refused) <= 99
    assert 2 <= first_taken - max(one["at"] for one in refused)
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert {1} == {one.attempts for one in producer.statuses([answer.id for answer in answers]) if one}
