"""The allow-list of a staging system: messages to other numbers are emulated and do not reach the gateway."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.servers import RedisServer
from threelane import Producer, ProducerSettings, Status
from threelane.producer.accept import Accepted
from threelane.producer.cancel import CancelResult
from threelane.runtime.settings import InvalidSettings, load
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.process.settings import WorkerSettings
from threelane.worker.send.call import allows

Until = Callable[..., MessageStatus]
LISTED = "27999500001,2799951*"


@pytest.mark.parametrize("api", ["http", "one"])
def test_only_listed_numbers_reach_the_gateway(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis, api: str
) -> None:
    """One message a request, or many in one; the others end emulated, each with one event, and cost nothing."""
    workers.start(allow_only=LISTED, gateway=api)
    going = ["27999500001", "27999510000", "27999519999", "27999510"]
    staying = ["27999500002", "279995000011", "27999520000", "27831234567", "2799950000"]
    settings = ProducerSettings(redis_url=redis_server.url, gateway=api, producer="shop")
    with Producer(settings) as producer:
        messages = [{"to": to, "text": "Test", "client_message_id": f"m{to}"} for to in (*going, *staying)]
        ids = {one["to"]: answer.id for one, answer in zip(messages, producer.send_many(messages), strict=True)}
        for to in going:
            until(ids[to], Status.SENT, Status.DELIVERED)
        found = [until(ids[to], Status.EMULATED) for to in staying]
        (again,) = producer.cancel([ids[staying[0]]])

    assert {ids[to] for to in going} == taken(sandbox).keys()
    tried = {one["to"].lstrip("+") for one in sandbox.control("GET", "attempts")["attempts"]}
    assert set(going) == tried
    assert {("", 0)} == {(one.code, one.charge_millionths) for one in found}
    assert all(one.ended_at for one in found)
    assert (CancelResult.TOO_LATE, "emulated") == (again.answer, again.status)
    events = [event for _, event in client.xrange(keys.EVENTS) if event[b"status"] == b"emulated"]
    assert sorted(f"m{to}".encode() for to in staying) == sorted(event[b"client"] for event in events)
    assert {b"shop"} == {event[b"producer"] for event in events}
    assert all(client.pttl(keys.record(ids[to])) > 0 for to in staying)


def test_without_a_list_all_are_sent() -> None:
    """And a listed number is that number alone, a beginning only with its star."""
    assert allows((), "27831234567")
    listed = tuple(LISTED.split(","))
    assert [True, False, True, False] == [
        allows(listed, to) for to in ("27999500001", "279995000010", "27999510", "2799952")
    ]


# fmt: off
READ = [
    ("27999500001", ("27999500001",)), ("+27999500001, 2799951*", ("27999500001", "2799951*")), ("", ()), (" ", ()),
]
WRONG = ["*", ",", "27999500001,", "27*99", "0831234567x", "all", "27 999 500 001"]
# fmt: on


@pytest.mark.parametrize(("value", "listed"), READ)
def test_the_list_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, value: str, listed: tuple[str, ...]
) -> None:
    """A plus or a space would else match no number, and a whole system would send nothing; empty means no list."""
    monkeypatch.setenv("THREELANE_ALLOW_ONLY", value)
    assert listed == load(WorkerSettings).allow_only


@pytest.mark.parametrize("value", WRONG)
def test_a_list_that_would_match_something_else_is_refused_at_start(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """With the name of the variable."""
    monkeypatch.setenv("THREELANE_ALLOW_ONLY", value)
    with pytest.raises(InvalidSettings, match="THREELANE_ALLOW_ONLY"):
        load(WorkerSettings)


def test_a_cancelled_message_is_not_emulated(
    producer: Producer, sandbox: Running, workers: Workers, until: Until
) -> None:
    """The list changes what is sent and nothing else: schedules, cancels and suppression work as in production."""
    waiting, going = (producer.send("27831234567", "Test", delay=delay) for delay in (2, 1))
    assert isinstance(waiting, Accepted)
    producer.cancel([waiting.id])
    workers.start(allow_only=LISTED)
    until(going.id, Status.EMULATED)

    assert Status.CANCELLED is until(waiting.id, Status.CANCELLED).status
    assert {} == taken(sandbox)
