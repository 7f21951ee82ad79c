"""Windows at work: a message due while its window is closed waits until it opens, at no cost; lane 1 never waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from tests.integration.conftest import Workers, attempts, taken
from tests.properties.system import START, System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Producer, Refused, Status
from threelane.contract.holidays import Holiday
from threelane.contract.window import Windows, parse
from threelane.producer.accept import Accepted
from threelane.producer.reschedule import Moved
from threelane.sandbox.running import Running
from threelane.store import keys, windows
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.send.windows import look

Until = Callable[..., MessageStatus]
TO = "27999500001"
HOUR = 3600_000
DAY = 24 * HOUR
OPEN = "daily 00:00-24:00 UTC"
BUSY = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")


def accepted(by: Producer, /, **fields: Any) -> str:
    answer = by.send(**{"to": TO, "text": "Hello", **fields})
    assert isinstance(answer, Accepted), answer
    return answer.id


def closed_now() -> tuple[str, int]:
    """Return a window that opens in some hours, and when it does."""
    opens = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=5)
    return f"daily {opens:%H}:00-{opens:%H}:30 UTC", int(opens.timestamp() * 1000)


def test_a_message_outside_its_window_waits_until_it_opens(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """By its lane or by a tag; no attempt is spent and the gateway hears nothing; without the window it goes."""
    text, opens = closed_now()
    windows.set_window(client, "lane:3", text)
    windows.set_window(client, "tag:promo", text)
    windows.set_window(client, "tag:news", OPEN)
    workers.start(retry_every_seconds=1)
    waiting = [accepted(producer), accepted(producer, lane=2, tags="a,promo"), accepted(producer, delay=1)]
    waiting.append(accepted(producer, lane=2, tags="promo,news"))
    going = [accepted(producer, lane=lane, tags=tags) for lane, tags in ((1, ""), (1, "promo"), (2, "x"), (2, "news"))]
    for one in going:
        until(one, Status.SENT, Status.DELIVERED)
    for one in waiting:
        wait_until(lambda one=one: client.hget(keys.record(one), "due") == str(opens).encode(), what="a deferral")
        found = until(one, Status.SCHEDULED)
        assert (opens, 0, ()) == (found.due_at, found.attempts, found.waits)
        assert opens + DAY - 60_000 < found.expires_at <= opens + DAY, "its validity counts from its delivery"
    assert sorted(going) == sorted(taken(sandbox))
    assert sorted(waiting) == sorted(one.id for one in producer.scheduled())
    assert client.exists(*map(keys.record, waiting)) == 4

    assert windows.remove(client, "lane:3")
    assert windows.remove(client, "tag:promo")
    for one in waiting:
        wait_until(lambda one=one: _is_sent_when_moved(producer, one), seconds=40, what="a move to send it")
    assert sorted(going + waiting) == sorted(taken(sandbox))
    assert {1} == {found.attempts for found in producer.statuses(waiting) if found}


def _is_sent_when_moved(producer: Producer, one: str) -> bool:
    """Move it to now, since the worker may still know the window; return whether it was sent."""
    found = producer.status(one)
    assert found
    if found.status is Status.SCHEDULED:
        with suppress(Refused):  # it was sent in the meantime
            producer.move(one, datetime.now(UTC) + timedelta(milliseconds=100))
        time.sleep(0.5)  # otherwise a retry could be moved on forever
    return found.status in (Status.SENT, Status.DELIVERED)


def test_a_retry_that_falls_outside_the_window_waits_too(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """The window closes between two attempts; the next is made when it opens, and is the next."""
    workers.start(retry_every_seconds=2)
    one = accepted(producer, to="27999190100", stop_retrying_after=600)  # 901, always
    until(one, Status.SCHEDULED, Status.IN_DOUBT)
    text, opens = closed_now()
    windows.set_window(client, "lane:3", text)
    wait_until(lambda: client.hget(keys.record(one), "due") == str(opens).encode(), seconds=40, what="the deferral")

    found = until(one, Status.SCHEDULED)
    assert (len(attempts(sandbox, one)), opens) == (found.attempts, found.due_at)
    assert found.attempts == len(found.waits) >= 1


# -- by hand, with a clock that is moved: START is a Friday, 08:00 UTC --

OPENS = START + 2 * HOUR
WINDOW = "daily 10:00-11:00 UTC"
CLOSED = Windows({"lane:3": parse(WINDOW), "lane:2": parse(OPEN), "tag:promo": parse(WINDOW)})
NEVER = Windows({"lane:3": parse(WINDOW), "tag:promo": parse("daily 12:00-13:00 UTC")})


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    assert 0 == client.exists(keys.WINDOWS, keys.HOLIDAYS)
    with open_system(redis_server) as made:
        yield made


def queued(system: System, **fields: Any) -> str:
    draft = system.draft(**fields)
    system.accept([draft])
    return draft.message.id


def test_the_window_opens_at_the_time_that_the_test_sets(system: System) -> None:
    """Friday morning."""
    assert ("Fri", 8) == (f"{datetime.fromtimestamp(START / 1000, UTC):%a}", START // HOUR % 24)


def test_a_deferral_costs_neither_an_attempt_nor_rate(system: System) -> None:
    """It goes to the due set of the opening, with a validity that counts from there, and changes nothing else."""
    one, plain = queued(system), queued(system, lane=2)
    before = system.glance([one])
    assert [] == system.defer(CLOSED, 3, [one])
    seen = system.glance([one])

    assert {one: OPENS} == seen.indexes[keys.DUE[3]]
    assert {} == seen.indexes[keys.QUEUED[3]]
    changed = {"status": "scheduled", "due": str(OPENS), "expires": str(OPENS + DAY), "waiting": f"3:window:{OPENS}"}
    same = before.records[one].keys() - changed.keys() - {"body"}
    assert {name: before.records[one][name] for name in same} | changed == {
        name: value for name, value in seen.records[one].items() if name != "body"
    }
    assert ({}, {}, False) == (seen.rate, seen.claimed, seen.expiring[one])
    assert 1 == seen.tally["to:3:scheduled"]
    assert [plain] == system.defer(CLOSED, 2, [plain])
    assert {} == system.release()
    system.now = OPENS - 1
    assert {} == system.release()
    system.now = OPENS
    assert {3: [one]} == system.release()
    assert [one] == system.defer(CLOSED, 3, [one])
    (claimed,) = system.claim(3, [one], "token").claimed
    assert (1, OPENS, OPENS + DAY) == (claimed.attempt, claimed.message.due_at, claimed.message.expires_at)


def test_a_nudge_is_split_into_what_may_go_and_what_waits(system: System) -> None:
    """Tags, lanes, the unknown and the settled; the order of those that go stays."""
    promo, plain, other = (
        queued(system, lane=2, tags="a,promo"),
        queued(system, lane=2),
        queued(system, lane=2, tags="b"),
    )
    sent, waits = queued(system, lane=2, tags="promo"), queued(system, lane=2, tags="promo", delay=60)
    system.attempt(sent, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32), lane=2)
    ids = [other, promo, "0" * 32, sent, plain, waits]

    assert [other, "0" * 32, sent, plain, waits] == system.defer(CLOSED, 2, ids)
    seen = system.glance([promo, sent, waits])
    assert (Status.SCHEDULED, Status.SENT) == (seen.status(promo), seen.status(sent))
    assert START + 60_000 == seen.indexes[keys.DUE[2]][waits]


def test_lane_1_and_a_fleet_without_windows_never_wait(system: System) -> None:
    """Not even with a tag that has a window."""
    one, other = queued(system, lane=1, tags="promo"), queued(system, tags="promo")

    assert [one] == system.defer(CLOSED, 1, [one])
    assert [other] == system.defer(Windows(), 3, [other])
    assert {} == system.glance([one]).indexes[keys.DUE[3]]


def test_a_named_validity_stays_and_ends_the_message(system: System) -> None:
    """It waits for no window that opens after its end; at its end it is expired, and its producer hears of it."""
    short, long = queued(system, validity_period=90), queued(system, validity_period=180)
    assert [] == system.defer(CLOSED, 3, [short, long])
    assert {short: START + 90 * 60_000, long: OPENS} == system.glance([]).indexes[keys.DUE[3]]
    system.now = START + 90 * 60_000
    assert {3: [short]} == system.release()
    assert [short] == system.defer(CLOSED, 3, [short]), "what is past its validity is not put off again"
    assert [] == list(system.claim(3, [short], "token").claimed)
    seen = system.glance([short])
    assert Status.EXPIRED is seen.status(short)
    assert "attempt" not in seen.records[short]
    assert ["expired"] == [event["status"] for event in system.outcomes(short)]
    system.now = OPENS
    assert {3: [long]} == system.release()
    (claimed,) = system.claim(3, system.defer(CLOSED, 3, [long]), "again").claimed
    assert START + 180 * 60_000 == claimed.message.expires_at


def test_windows_that_are_never_open_together_end_a_message_with_its_validity(system: System) -> None:
    """It expires, once, and does not go round forever between its lane and the due set."""
    one = queued(system, tags="promo")
    assert [] == system.defer(NEVER, 3, [one])
    assert {one: START + DAY} == system.glance([]).indexes[keys.DUE[3]]
    system.now = START + DAY
    assert {3: [one]} == system.release()
    assert [one] == system.defer(NEVER, 3, [one])
    system.claim(3, [one], "token")
    assert Status.EXPIRED is system.glance([one]).status(one)


def test_a_message_behind_a_window_that_never_opens_can_be_moved_once_it_is_gone(system: System) -> None:
    """An operator takes the window away before the message expires."""
    one = queued(system, tags="promo")
    system.defer(NEVER, 3, [one])
    system.now += HOUR
    assert Moved(one, system.now + 1_000, START + DAY) == system.move(one, system.now + 1_000)


def test_a_message_is_deferred_again_when_no_worker_ran_while_it_was_open(system: System) -> None:
    """To the next day, with a validity that counts from there."""
    one = queued(system)
    system.defer(CLOSED, 3, [one])
    system.now = OPENS + 2 * HOUR
    assert {3: [one]} == system.release()
    assert [] == system.defer(CLOSED, 3, [one])
    record = system.glance([one]).records[one]
    assert (str(OPENS + DAY), str(OPENS + 2 * DAY)) == (record["due"], record["expires"])


def test_workers_read_holidays_with_the_windows_and_wait_until_they_are_over(system: System) -> None:
    """In the recipient's country; the message goes on the next day, with the same validity after it."""
    windows.set_window(system.sync, "lane:3", "daily 00:00-24:00 recipient")
    holiday = Holiday(datetime.fromtimestamp(START / 1000, UTC).date(), "ZA", "a Friday")
    windows.add_holidays(system.sync, [holiday], now=START)
    system.sync.hset(keys.HOLIDAYS, "ZA:whenever", "invalid")
    context: Any = SimpleNamespace(client=system.client, rest=SimpleNamespace(windows=Windows()))
    system.run(look(context))

    read = context.rest.windows
    assert ((holiday,), ["ZA:whenever"]) == (read.holidays.known, list(read.holidays.unreadable))
    one, abroad, urgent = queued(system), queued(system, to="26461234567"), queued(system, lane=1)
    assert [abroad] == system.defer(read, 3, [one, abroad])
    assert [urgent] == system.defer(read, 1, [urgent])
    midnight = START + 14 * HOUR  # 22:00 UTC
    assert {one: midnight} == system.glance([]).indexes[keys.DUE[3]]
    windows.remove_holidays(system.sync, [holiday])
    system.run(look(context))
    other = queued(system)
    assert [other] == system.defer(context.rest.windows, 3, [other])


def test_two_workers_that_defer_the_same_count_it_once(system: System) -> None:
    """Its nudge was delivered twice; neither worker claims a message that the other has deferred."""
    one = queued(system)
    assert [] == system.defer(CLOSED, 3, [one])
    assert [one] == system.defer(CLOSED, 3, [one])
    assert [] == list(system.claim(3, [one], "token").claimed)
    assert 1 == system.glance([one]).tally["to:3:scheduled"]


def test_a_retry_keeps_its_attempts_when_it_is_deferred(system: System) -> None:
    """The second attempt is made when the window opens."""
    one = queued(system)
    system.attempt(one, BUSY)
    system.now += 60_000
    assert {3: [one]} == system.release()
    assert [] == system.defer(CLOSED, 3, [one])
    system.now = OPENS
    system.release()
    (claimed,) = system.claim(3, system.defer(CLOSED, 3, [one]), "token").claimed
    assert 2 == claimed.attempt


def test_a_message_at_the_gateway_has_to_be_in_its_window_when_it_is_due(system: System) -> None:
    """Sent at once, at night, with a time by day; but not with a time by night, whenever it is sent."""
    by_day = queued(system, delay=2.5 * 3600, at_gateway=True)
    at_night = queued(system, delay=12 * 3600, at_gateway=True)
    assert [by_day] == system.defer(CLOSED, 3, [by_day, at_night])
    seen = system.glance([by_day, at_night])
    assert {at_night: OPENS + DAY} == seen.indexes[keys.DUE[3]]
    assert {str(OPENS + DAY)} == {seen.records[at_night]["due"]}
    assert "gateway_due" not in seen.records[at_night], "it waits with us now"
    (claimed,) = system.claim(3, [by_day], "token").claimed
    assert START + int(2.5 * HOUR) == claimed.message.due_at
