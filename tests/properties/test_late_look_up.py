"""A look-up's answer settles the doubt that it was requested in, and no later one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import redis

from tests.properties.system import System
from tests.servers import RedisServer
from threelane.store import keys
from threelane.store.states import Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

NOT_FOUND = LookUp(Known.NOT_FOUND)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    loop = asyncio.new_event_loop()
    settings = WorkerSettings(redis_url=redis_server.url, doubt_delays_seconds=(5, 30))
    made = System(redis_server.port, loop, settings)
    yield made
    made.close()
    loop.close()


def in_doubt(system: System, message_id: str, token: str) -> Claimed:
    """One attempt whose answer is lost."""
    (claimed,) = system.claim(3, [message_id], token).claimed
    lost = AttemptOutcome(OutcomeKind.LOST)
    assert [True] == system.settle([Settlement(claimed, lost, system.judge(claimed, lost))])
    return claimed


def status(system: System, message_id: str) -> Status | None:
    return system.glance([message_id]).status(message_id)


def test_an_answer_that_comes_after_the_next_attempt_does_not_send_a_third_time(system: System) -> None:
    """A worker froze in a look-up; others resolved the doubt and sent; then it wakes and reports "not known"."""
    draft = system.draft()
    system.accept([draft])
    one = draft.message.id
    in_doubt(system, one, "first")
    system.now += 6_000
    system.start_look_up().answer({one: NOT_FOUND})
    system.now += 31_000
    frozen = system.start_look_up()
    system.now += 61_000
    assert {3: [one]} == system.start_look_up().answer({one: NOT_FOUND})
    in_doubt(system, one, "second")

    assert {} == frozen.answer({one: NOT_FOUND})
    assert Status.IN_DOUBT is status(system, one)


def test_two_answers_to_the_same_look_up_count_once(system: System) -> None:
    """The slow one was requested earlier: what it shows was known before the other."""
    system.settings = system.settings.model_copy(update={"doubt_delays_seconds": (5, 30, 300)})
    draft = system.draft()
    system.accept([draft])
    one = draft.message.id
    in_doubt(system, one, "first")
    system.now += 6_000
    slow = system.start_look_up()
    system.now += 61_000
    quick = system.start_look_up()
    quick.answer({one: NOT_FOUND})
    slow.answer({one: NOT_FOUND})

    seen = system.glance([one])
    assert "1" == seen.records[one]["probes"]
    assert int(seen.records[one]["doubted"]) + 335_000 == seen.indexes[keys.DOUBT[3]][one]
