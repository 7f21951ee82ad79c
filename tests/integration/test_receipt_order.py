"""Receipts come in any order and more than once: a message moves forward, and its charge counts once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import permutations
from random import Random

import pytest
import redis
import redis.asyncio

from tests.integration.test_callbacks import (
    ITS_ID,
    TAKEN,
    Caller,
    attempted,
    charged,
    settled_now,
    status_of,
    taken_by_the_gateway,
)
from tests.servers import RedisServer
from threelane import Producer, Status
from threelane.store import keys
from threelane.store.states import FINAL
from threelane.worker.gateway.outcome import NOT_TRIED, AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import meaning
from threelane.worker.process.settings import Keeping
from threelane.worker.receipt.receipt import receive

CHARGE = 800_000
KEEPING = Keeping(keep=8 * 24 * 3600 * 1000, first_poll=600_000, late=30_000)
BECOMES = {"004": Status.DELIVERED, "007": Status.UNDELIVERED}
ORDERS = sorted(
    {*permutations(["003", "003", "004", "004"]), *permutations(["003", "003", "007", "007", "004", "004"])}
)


def received(url: str, receipts: Sequence[StatusReport], now: int = 1_800_000_000_000) -> list[str]:
    async def main() -> list[str]:
        async with redis.asyncio.Redis.from_url(url) as client:
            return await receive(client, receipts, KEEPING, now)

    return asyncio.run(main())


def report(message: str, status: str) -> StatusReport:
    return StatusReport(message, ITS_ID, status, meaning(status), CHARGE)


def first_final(order: Sequence[str]) -> str:
    return next(status for status in order if status in BECOMES)


def test_the_first_final_status_wins_in_every_order_and_the_charge_counts_once(
    endpoint: str, producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """All orders of sent, delivered and undelivered, each twice, over HTTP."""
    ids = taken_by_the_gateway(producer, redis_server, len(ORDERS))
    gateway = Caller(endpoint)
    for message, order in zip(ids, ORDERS, strict=True):
        seen = []
        for status in order:
            assert 200 == gateway.report(message, status)
            seen.append(status_of(producer, message).status)
        finals = [status for status in seen if status in FINAL]
        assert [BECOMES[first_final(order)]] * len(finals) == finals
        assert finals == seen[len(seen) - len(finals) :]  # once there it does not go back

    expected = [(BECOMES[first_final(order)], first_final(order), CHARGE) for order in ORDERS]
    found = [status_of(producer, message) for message in ids]
    assert expected == [(one.status, one.network_status, one.charge_millionths) for one in found]
    assert CHARGE * len(ORDERS) == charged(client)
    counts = {name: int(number) for name, number in client.hgetall(keys.TALLY).items() if name.startswith(b"to:3:")}
    delivered = sum(1 for order in ORDERS if first_final(order) == "004")
    assert (delivered, len(ORDERS) - delivered) == (counts[b"to:3:delivered"], counts[b"to:3:undelivered"])
    assert 0 == client.zcard(keys.AWAITING[3])


def test_all_receipts_of_many_messages_shuffled_into_one_batch_come_to_the_same(
    producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """One script call with hundreds of receipts keeps their order."""
    ids = taken_by_the_gateway(producer, redis_server, 100)
    receipts = [report(message, status) for message in ids for status in ("003", "004", "007", "003", "004")]
    Random(7).shuffle(receipts)
    results = received(redis_server.url, receipts)
    expected = [BECOMES[first_final([one.network_status for one in receipts if one.id == message])] for message in ids]
    assert expected == [status_of(producer, message).status for message in ids]
    assert (100, CHARGE * 100) == (results.count("moved"), charged(client))


# fmt: off
STATES = {  # what came of the attempt before its receipt: None: the call goes on
    Status.SENDING: None,
    Status.IN_DOUBT: AttemptOutcome(OutcomeKind.LOST),
    Status.SCHEDULED: AttemptOutcome(OutcomeKind.REFUSED, code="901"),
    Status.SENT: TAKEN,
}
# fmt: on


@pytest.mark.parametrize("network", ["003", "004", "007"])
@pytest.mark.parametrize("state", STATES, ids=str)
def test_a_receipt_settles_an_attempt_with_any_answer(
    endpoint: str, producer: Producer, redis_server: RedisServer, client: redis.Redis, state: Status, network: str
) -> None:
    """The network has it: a receipt overtakes the answer, or is the only answer that comes."""
    message = producer.send("27999500001", "Hello").id
    (attempt,) = attempted(redis_server.url, [message], STATES[state])
    assert state == status_of(producer, message).status
    assert 200 == Caller(endpoint).report(message, network)

    found = status_of(producer, message)
    becomes = BECOMES.get(network, Status.SENT)
    assert (becomes, ITS_ID, CHARGE) == (found.status, found.gateway_id, found.charge_millionths)
    assert found.sent_at > 0
    assert (found.ended_at > 0) == (becomes in FINAL)
    indexes = (keys.DUE[3], keys.QUEUED[3], keys.LEASES[3], keys.DOUBT[3], keys.DEAD)
    assert [0] * len(indexes) == [client.zcard(index) for index in indexes]
    assert (becomes is Status.SENT) == bool(client.zcard(keys.AWAITING[3]))
    assert client.pttl(keys.record(message)) > 0
    assert [False] == settled_now(redis_server.url, [attempt])  # the answer comes now, and finds it settled
    assert becomes == status_of(producer, message).status


def test_a_receipt_for_a_dead_letter_corrects_its_status_and_counts_its_charge(
    endpoint: str, producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """The gateway refused it and yet delivered it: a redrive would be a second SMS, and the credits are gone."""
    message = producer.send("27999500001", "Hello").id
    attempted(redis_server.url, [message], AttemptOutcome(OutcomeKind.REFUSED, code="105"))
    assert 200 == Caller(endpoint).report(message, "004")
    found = status_of(producer, message)
    assert (Status.DELIVERED, "105", CHARGE) == (found.status, found.code, found.charge_millionths)
    assert [] == client.zrange(keys.DEAD, 0, -1)


def test_a_message_whose_turn_was_given_back_is_not_moved_by_silence(
    producer: Producer, redis_server: RedisServer, client: redis.Redis
) -> None:
    """It was claimed and not tried: back on its lane, in its place, with no attempt spent and no charge."""
    message = producer.send("27999500001", "Hello").id
    place = client.zscore(keys.QUEUED[3], message)
    attempted(redis_server.url, [message], NOT_TRIED)
    found = status_of(producer, message)
    assert (Status.QUEUED, 0, place) == (found.status, found.attempts, client.zscore(keys.QUEUED[3], message))


# fmt: off
RESULTS = [  # receipts of one sent message -> what each did
    (["003", "003"],               ["noted", "repeated"]),
    (["004", "004"],               ["moved", "repeated"]),
    (["004", "003"],               ["moved", "late"]),
    (["007", "004"],               ["moved", "late"]),
    (["007", "005"],               ["moved", "noted"]),    # both are undelivered; the first reason stays
    (["001", "999"],               ["noted", "noted"]),
    (["008", "002", "011", "003"], ["noted", "noted", "noted", "noted"]),
    (["006"], ["moved"]), (["010"], ["moved"]), (["013"], ["moved"]), (["014"], ["moved"]),
]
# fmt: on


@pytest.mark.parametrize(("reported", "results"), RESULTS)
def test_the_effect_of_each_receipt_is_counted(
    producer: Producer, redis_server: RedisServer, client: redis.Redis, reported: list[str], results: list[str]
) -> None:
    """For the log and the metrics: moved, noted, repeated or late."""
    (message,) = taken_by_the_gateway(producer, redis_server, 1)
    receipts = [report(message, status) for status in reported]
    assert results == received(redis_server.url, receipts)
    first = next((status for status in reported if "moved" in results), reported[-1])
    known = "" if reported[0] == "001" else first
    assert (known, CHARGE) == (status_of(producer, message).network_status, charged(client))


def test_receipts_without_a_message_are_counted_by_kind(producer: Producer, redis_server: RedisServer) -> None:
    """Unknown is another system's, or forgotten; never sent is an error of its sender."""
    waiting = producer.send("27999500001", "Hello").id
    receipts = [report("0" * 32, "004"), report(waiting, "004")]
    assert ["unknown", "never_sent"] == received(redis_server.url, receipts)
