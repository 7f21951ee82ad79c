"""Pause: no message of a paused batch is sent, nothing is lost or doubled by it, and other batches do not notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.integration.conftest import Workers, kill, taken
from tests.properties.system import System
from tests.servers import RedisServer, wait_until
from threelane import Producer, Status
from threelane.interfaces.command.line import app
from threelane.operations import fleet_metrics, screen
from threelane.operations.doctor import diagnose
from threelane.operations.explain import explain
from threelane.operations.finding import Grade
from threelane.producer import pause as pausing
from threelane.producer.accept import Accepted
from threelane.producer.cancel import CancelResult
from threelane.producer.nudge import Nudger
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import audit, batches, find, keys, pauses
from threelane.store import status as statuses
from threelane.store.find import Filter
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.upkeep import expire as upkeep_expire
from threelane.worker.upkeep import pauses as upkeep

DAY = 24 * 3600 * 1000
SHOP = {"producer": "shop", "batch": "Скидки 5%"}
QUICK: dict[str, Any] = {
    "parts_per_second": 200,
    "lease_seconds": 2,
    "gateway_timeout_seconds": 0.9,
    "doubt_delays_seconds": "0.3,0.5",
}
NAME = ("shop", "Скидки 5%")


def copies(sandbox: Running) -> Counter[str]:
    return Counter({one: len(entries) for one, entries in taken(sandbox).items()})


def states(system: System, ids: Sequence[str]) -> list[Status | None]:
    return [one and one.status for one in statuses.read(system.sync, ids)]


def pause(system: System, ids: Sequence[str]) -> int:
    return pausing.pause(system.sync, *NAME, ids, system.now, "ann").messages


def resume(system: System) -> tuple[int, list[str]]:
    """Return how many went back, and what was nudged."""
    nudger = mock.Mock(spec=Nudger)
    done = pausing.resume(system.sync, nudger, *NAME, system.now)
    return done.messages, [one for call in nudger.publish.call_args_list for one in call.args[1]]


def test_a_paused_batch_waits_and_comes_back(system: System) -> None:
    """What is due and what is not, what came before and what comes later; other batches go on."""
    due, later = system.take(**SHOP), system.take(**SHOP, delay=60)
    other = system.take(producer="shop", batch="Скидки")
    assert 2 == pause(system, [due, later, other])
    new, repeated = system.accept([system.draft(**SHOP, client_message_id="n")] * 2)
    assert isinstance(new, Accepted)
    assert isinstance(repeated, Accepted)
    assert (Status.PAUSED, Status.PAUSED, True) == (new.status, repeated.status, repeated.repeated)
    assert [other] == [one.id for one in system.claim(3, [due, later, other, new.id], "token").claimed]
    assert {} == system.release()

    assert (3, [due, new.id]) == resume(system)
    assert [Status.QUEUED, Status.SCHEDULED, Status.QUEUED] == states(system, [due, later, new.id])
    system.now += 60_000
    assert {3: [later]} == system.release()
    assert [0, 0, 0] == [system.sync.exists(key) for key in (keys.PAUSED, keys.PAUSED_ORDER, keys.PAUSES)]


def test_a_resume_begins_with_lane_1_and_the_oldest(system: System) -> None:
    """In each lane the order is that before the pause, whatever order their batch lists them in."""
    late = [system.take(**SHOP, lane=3) for _ in range(2)]
    system.now += 5
    codes = [system.take(**SHOP, lane=1), system.take(**SHOP, lane=2)]
    pause(system, [*codes, *reversed(late)])

    with mock.patch.object(pausing, "SLICE", 1):
        assert (4, [*codes, *late]) == resume(system)


def test_a_pause_that_was_killed_is_completed(system: System) -> None:
    """Claims already stop; a worker moves the rest, and so would the command."""
    ids = [system.take(**SHOP) for _ in range(pausing.SLICE + 1)]
    killed = iter([*ids[: pausing.SLICE]])

    def dying() -> Any:
        yield from killed
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pausing.pause(system.sync, *NAME, dying(), system.now, "ann")
    left = set(ids) - {one.decode() for one in system.sync.zrange(keys.PAUSED, 0, -1)}
    assert left
    system.run(upkeep.complete(system.client, system.now + upkeep.GRACE_MS))

    assert {Status.PAUSED} == set(states(system, ids))
    found = pauses.find(system.sync, *NAME)
    assert found
    assert ("complete", "ann", system.now) == (found.state, found.by, found.since)


def test_a_resume_that_was_killed_is_completed(system: System) -> None:
    """The pause ends first, so what is left of a batch without a pause goes back."""
    ids = [system.take(**SHOP) for _ in range(pausing.SLICE + 1)]
    pause(system, ids)
    pauses.end(system.sync, *NAME)
    due: list[str] = []
    for has_more in (True, False):
        more, lanes = system.run(upkeep.put_back(system.client, system.now))
        assert has_more == more
        due += lanes[3]

    assert sorted(ids) == sorted(due)
    assert {Status.QUEUED} == set(states(system, ids))


def test_validity_goes_on_while_a_batch_is_paused(system: System) -> None:
    """It ends as expired, on time, with its event, and is counted."""
    short, long = system.take(**SHOP, validity_period=1), system.take(**SHOP)
    pause(system, [short, long])
    system.now += 60_000

    assert 1 == system.expire()
    assert [Status.EXPIRED, Status.PAUSED] == states(system, [short, long])
    assert ["expired"] == [event["status"] for event in system.outcomes(short)]
    assert b"1" == system.sync.hget(keys.TALLY, "expired_paused:3")


def test_paused_messages_that_an_earlier_version_rescheduled_expire_later(system: System) -> None:
    """It moved their validity, and not their place in the index; a full page of them must not be read for ever."""
    ids = [system.take(**SHOP, validity_period=1, to=f"2783123456{at}") for at in range(3)]
    pause(system, ids)
    before, later = system.now + 60_000, system.now + 120_000
    for one in ids[:2]:
        system.sync.hset(keys.record(one), "expires", later)
    system.now = before
    with mock.patch.object(upkeep_expire, "BATCH", 2):
        assert 1 == system.expire()
        assert {later} == {system.sync.zscore(keys.PAUSED, one) for one in ids[:2]}
        system.now = later
        assert 2 == system.expire()
    assert [Status.EXPIRED] * 3 == states(system, ids)


def test_a_paused_message_is_cancelled(system: System) -> None:
    """For good: a resume does not bring it back."""
    ids = [system.take(**SHOP), system.take(**SHOP, delay=60)]
    pause(system, ids)
    assert [CancelResult.CANCELLED] * 2 == [one.answer for one in system.cancel(ids)]

    assert (0, []) == resume(system)
    assert [Status.CANCELLED] * 2 == states(system, ids)


def test_workers_of_an_earlier_version_leave_a_paused_message_alone(system: System) -> None:
    """They know no such state; one that they found there would be a damaged record to them, and a dead letter."""
    one = system.take(**SHOP)
    pause(system, [one])

    assert b"scheduled" == system.sync.hget(keys.record(one), "status")
    known = [one for one in system.sync.scan_iter() if system.sync.type(one) == b"zset" and b"paused" not in one]
    assert [] == [name for name in known if system.sync.zscore(name, one) is not None]


def test_what_an_earlier_version_took_out_of_a_pause_is_not_lost_after_the_resume(system: System) -> None:
    """It left the note of the pause in the record; by that, its next wait would be in no index."""
    one = system.take(**SHOP)
    pause(system, [one])
    system.sync.hset(keys.record(one), "status", "queued")
    assert (0, []) == resume(system)

    system.sync.hset(keys.record(one), "status", "scheduled")
    system.sync.zadd(keys.DUE[3], {one: system.now})
    assert {3: [one]} == system.release()
    assert [Status.QUEUED] == states(system, [one])


def test_what_a_producer_of_an_earlier_version_cancels_leaves_the_indexes(system: System) -> None:
    """It does not know that the message is in these; they would grow, and their counts would be wrong."""
    old, new = system.take(**SHOP), system.take(**SHOP)
    pause(system, [old, new])
    system.sync.hset(keys.record(old), "status", "cancelled")
    assert (1, [new]) == resume(system)

    assert [0, 0] == [system.sync.exists(key) for key in (keys.PAUSED, keys.PAUSED_ORDER)]


def test_a_damaged_row_of_a_pause_stops_its_batch(system: System) -> None:
    """Nothing is sent by mistake; the command resume ends it all the same."""
    one = system.take(**SHOP)
    pause(system, [])
    system.sync.hset(keys.PAUSES, batches.digest(*NAME), "{")
    assert [] == list(system.claim(3, [one], "token").claimed)
    assert [Status.PAUSED] == states(system, [one])

    assert (1, [one]) == resume(system)


def test_a_pause_without_messages_is_forgotten_with_its_batch(system: System) -> None:
    """Else every script would look for it for ever; one that holds messages stays."""
    pause(system, [])
    system.run(upkeep.complete(system.client, system.now + 90 * DAY - 1))
    assert pauses.find(system.sync, *NAME)
    one = system.take(**SHOP, delay=6 * 24 * 3600)
    system.run(upkeep.complete(system.client, system.now + 90 * DAY))
    assert pauses.find(system.sync, *NAME)
    system.cancel([one])
    system.run(upkeep.complete(system.client, system.now + 90 * DAY))

    assert pauses.find(system.sync, *NAME) is None


def test_real_workers_send_nothing_of_a_paused_batch(
    workers: Workers, producer: Producer, client: redis.Redis, sandbox: Running
) -> None:
    """Accepted before, during and after the pause, with a worker killed on the way: each is sent once."""
    texts = iter(range(10_000))

    def send(number: int, batch: str, lane: int = 3) -> list[str]:
        fields = {"batch": batch, "lane": lane}
        rows = [{"to": f"2783{next(texts):07}", "text": f"{next(texts)}", **fields} for _ in range(number)]
        return [one.id for one in producer.send_many(rows) if isinstance(one, Accepted)]

    first, _ = (workers.start(**QUICK) for _ in range(2))
    ids = send(300, "news")
    wait_until(lambda: len(taken(sandbox)) >= 20, what="the first to be sent")
    pausing.pause(client, "", "news", (one for one, _ in batches.rows(client, "", "news")), producer.now())
    kill(first)
    wait_until(lambda: not client.exists(*keys.LEASES.values(), *keys.DOUBT.values()), what="attempts to end")
    before = copies(sandbox)
    ids += send(50, "news")
    others = send(20, "codes", lane=1)
    wait_until(lambda: set(others) <= set(taken(sandbox)), what="the codes of another batch")
    assert before == copies(sandbox) - Counter(others), "sent although its batch is paused"
    assert len(ids) - len(before) == client.zcard(keys.PAUSED)

    pausing.resume(client, producer.nudger, "", "news", producer.now())
    wait_until(lambda: len(taken(sandbox)) >= len(ids) + len(others), what="everything to be sent")
    assert Counter([*ids, *others]) == copies(sandbox)


def test_a_pause_is_visible_everywhere(system: System) -> None:
    """One that nobody sees is forgotten until its messages have expired."""
    one, soon = (system.take(**SHOP, validity_period=minutes) for minutes in (2 * 24 * 60, 24 * 60 + 30))
    pause(system, [one, soon])
    system.now += DAY
    findings = [each for each in diagnose(system.sync, system.now, LEGACY) if each.what == "paused batch"]
    story = explain(system.sync, one, system.now, system.settings)
    gauges = {
        sample.name: sample.value
        for metric in fleet_metrics.paused(pauses.listed(system.sync), system.now)
        for sample in metric.samples
        if sample.labels.get("lane", "3") == "3"
    }

    command = "threelane batch resume --producer=shop 'Скидки 5%'"
    assert [Grade.WARNING, Grade.WARNING] == [each.grade for each in findings]
    assert "is paused for 24.0 h by ann; 2 messages wait" in findings[0].detail
    assert command in findings[0].step
    assert findings[1].detail.startswith("1 paused messages expire within an hour")
    assert story
    assert story.pending
    assert command in story.pending.detail
    assert "by ann" in story.pending.detail
    assert {"threelane_paused_messages": 2, "threelane_oldest_pause_seconds": DAY / 1000} == gauges
    assert [2] == [each.total for each in screen.read(system.sync, system.now).paused]
    assert {one, soon} == {each.id for each in find.search(system.sync, Filter(status="paused"))}


def run(server: RedisServer, *words: str) -> Result:
    return CliRunner().invoke(app, ["batch", *words], env={"THREELANE_REDIS_URL": server.url, "COLUMNS": "200"})


def test_a_batch_is_paused_shown_and_resumed_on_the_command_line(
    producer: Producer, client: redis.Redis, redis_server: RedisServer
) -> None:
    """With who and since when, and an entry in the audit; again changes nothing, and a wrong name is refused."""
    one = producer.send("27831234567", "x", batch="Скидки 5%").id
    first, again = (run(redis_server, "pause", "Скидки 5%") for _ in range(2))
    assert "1 messages put aside now" in first.output
    assert "0 messages put aside now" in again.output
    spaced = run(redis_server, "pause", " Скидки 5% ")  # as accept strips it
    assert (0, True) == (spaced.exit_code, "threelane batch resume 'Скидки 5%'" in spaced.output)
    assert f"by {audit.user()}" in first.output
    assert "batch resume" in run(redis_server, "show", "Скидки 5%").output
    assert "paused" in run(redis_server, "list").output
    assert [Status.PAUSED] == [status and status.status for status in producer.statuses([one])]
    assert "1 messages go back" in run(redis_server, "resume", "Скидки 5%").output

    assert [Exit.NO_MATCH, Exit.NOT_FOUND] == [run(redis_server, *words).exit_code for words in _NOTHING_TO_DO]
    assert ["resume batch", "pause batch"] == [entry.what for entry in audit.read(client, 9)]
    assert [Status.QUEUED] == [status and status.status for status in producer.statuses([one])]


_NOTHING_TO_DO = (("resume", "Скидки 5%"), ("pause", "Скидки"))


def test_the_library_pauses_and_resumes(producer: Producer) -> None:
    """A name that no message has is no batch: a misspelt one would stop nothing."""
    one = producer.send("27831234567", "x", batch="news").id
    assert producer.pause_batch("nwes") is None
    done = producer.pause_batch("news")
    assert done
    assert 1 == done.messages
    found = producer.batch("news")
    assert found
    assert (0, 1, "complete") == (found.waiting, found.paused, found.pause and found.pause.state)

    assert 1 == producer.resume_batch("news").messages
    assert [Status.QUEUED] == [status and status.status for status in producer.statuses([one])]
