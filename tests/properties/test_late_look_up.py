"""A look-up's answer speaks of the doubt that it was asked in, and of no later one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from tests.properties.house import House
from tests.servers import RedisServer
from threelane.store import keys
from threelane.store.states import Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

NOT_FOUND = LookUp(Known.NOT_FOUND)


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, doubt_delays_seconds=(5, 30))
    made = House(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def in_doubt(house: House, message_id: str, token: str) -> Claimed:
    """One attempt whose answer is lost."""
    (claimed,) = house.claim(3, [message_id], token).claimed
    lost = AttemptOutcome(OutcomeKind.LOST)
    assert [True] == house.settle([Settlement(claimed, lost, house.judge(claimed, lost))])
    return claimed


def status(house: House, message_id: str) -> Status | None:
    return house.glance([message_id]).status(message_id)


def test_an_answer_that_comes_after_the_next_attempt_does_not_send_a_third_time(house: House) -> None:
    """A worker froze in a look-up; others resolved the doubt and sent; then it wakes and says "not known"."""
    draft = house.draft()
    house.accept([draft])
    one = draft.message.id
    in_doubt(house, one, "first")
    house.now += 6_000
    house.ask().answer({one: NOT_FOUND})
    house.now += 31_000
    frozen = house.ask()
    house.now += 61_000
    assert {3: [one]} == house.ask().answer({one: NOT_FOUND})
    in_doubt(house, one, "second")

    assert {} == frozen.answer({one: NOT_FOUND})
    assert Status.IN_DOUBT is status(house, one)


def test_two_answers_to_the_same_look_up_count_once(house: House) -> None:
    """Else a slow answer would shorten the grace in which the gateway may still find the message."""
    draft = house.draft()
    house.accept([draft])
    one = draft.message.id
    in_doubt(house, one, "first")
    house.now += 6_000
    slow = house.ask()
    house.now += 61_000
    quick = house.ask()
    quick.answer({one: NOT_FOUND})
    slow.answer({one: NOT_FOUND})

    seen = house.glance([one])
    assert "1" == seen.records[one]["probes"]
    assert house.now + 30_000 == seen.shelves[keys.DOUBT][one]
