"""Operators see every account: what reads the state of one reads that of each, and names it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer
from tests.two_accounts import BULK, ROUTING, hold_account, publish, report
from threelane.contract.accounts.routing import Routing
from threelane.operations import doctor, explain, health
from threelane.operations.finding import Finding, Grade
from threelane.store import accounts, find, keys, progress, rows
from threelane.store.find import Filter
from threelane.store.keys import HERE
from threelane.store.states import Status
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.upkeep import beat


@pytest.fixture
def now(client: redis.Redis) -> int:
    """Two accounts; the default one has a worker and nothing to do."""
    publish(client)
    at = int(time.time() * 1000)
    report(client, "w1", at, HERE)
    return at


def waits(client: redis.Redis, message_id: str, since: int) -> None:
    """Let a message of bulk wait in lane 1."""
    client.zadd(keys.names(BULK).QUEUED[1], {message_id: since})
    client.hset(
        keys.record(message_id),
        mapping={"status": "queued", "lane": 1, "accepted": since, "account": "bulk", "to": "1"},
    )


ONE = "b" * 32


def diagnosed(client: redis.Redis, now: int, *what: str) -> list[Finding]:
    """Return the findings about these things."""
    return [one for one in doctor.diagnose(client, now, LEGACY) if one.what in what]


def shown(findings: Sequence[Finding]) -> list[tuple[Grade, str, str]]:
    return [(one.grade, one.what, one.detail) for one in findings]


def test_doctor_names_the_account_that_has_no_worker(client: redis.Redis, now: int) -> None:
    """Workers of another account do not take its messages, however many there are."""
    waits(client, ONE, now - 40_000)
    findings = diagnosed(client, now, "default: workers", "bulk: workers", "default: lane 1", "bulk: lane 1")

    assert shown(findings) == [
        (Grade.OK, "default: workers", "1 healthy"),
        (Grade.ERROR, "bulk: workers", "none is healthy; 1 messages wait"),
        (Grade.OK, "default: lane 1", "empty"),
        (Grade.ERROR, "bulk: lane 1", "1 wait (1 queued), the oldest for 40 s (queued)"),
    ]
    assert "start one: threelane worker --account bulk" == findings[1].step


def test_doctor_reports_a_held_account_and_how_to_resume_that_one(client: redis.Redis, now: int) -> None:
    """A command without the account would resume another one."""
    hold_account(client, BULK, code="004", cause="account_frozen")
    (fine, held) = diagnosed(client, now, "bulk: hold", "default: holds")

    assert (Grade.ERROR, "bulk: hold", "account: 004 account_frozen") == held[:3]
    assert "threelane resume --account bulk" == held.step
    assert (Grade.OK, "nothing is on hold") == (fine.grade, fine.detail)


def test_doctor_reports_what_waits_in_an_account_that_left_the_file(client: redis.Redis, now: int) -> None:
    """No worker serves it, so that its messages would wait until they expire, unseen."""
    waits(client, ONE, now)
    accounts.publish(client, Routing(accounts={"default": ROUTING.accounts["default"]}))
    (found,) = diagnosed(client, now, "account")

    assert (Grade.ERROR, "bulk is no longer in the accounts file, and 1 messages wait in it") == (
        found.grade,
        found.detail,
    )
    client.delete(keys.names(BULK).QUEUED[1])
    assert [] == diagnosed(client, now, "account", "bulk: workers", "bulk: lane 1")


def test_doctor_reports_drained_accounts(client: redis.Redis, now: int) -> None:
    """It takes nothing new on purpose; who asks why finds who decided so."""
    accounts.drain(client, "bulk", "ann")
    (found,) = diagnosed(client, now, "account")

    assert Grade.OK is found.grade
    assert found.detail.startswith("bulk is drained since ")
    assert found.detail.endswith(" UTC by ann: it takes nothing new; nothing waits in it")


def test_doctor_reports_that_every_account_is_drained(client: redis.Redis, now: int) -> None:
    """Nothing is on hold and nothing waits, and yet each producer is refused."""
    for name in ("bulk", "default"):
        assert Grade.ERROR not in [one.grade for one in diagnosed(client, now, "account")]
        accounts.drain(client, name, "ann")

    assert [
        (
            "every account is drained, so each new message is refused with 114",
            "threelane account use bulk, or another one",
        )
    ] == [(one.detail, one.step) for one in diagnosed(client, now, "account") if one.grade is Grade.ERROR]


def test_doctor_reports_workers_that_started_with_another_accounts_file(client: redis.Redis, now: int) -> None:
    """The one that starts last decides where messages go, so an old file would come back with a restart."""
    version = ROUTING.version
    report(client, "w2", now, BULK, routing=version)
    assert [] == diagnosed(client, now, "accounts file")
    report(client, "w3", now, BULK, routing="another")
    (found,) = diagnosed(client, now, "accounts file")

    assert found.detail == "w3 started with other accounts or routes than those in force, which another worker has"


def test_doctor_reports_replies_that_a_reply_of_another_account_removed_unread(client: redis.Redis, now: int) -> None:
    """The inbox is one for all accounts; the callbacks of each count what they removed."""
    counts = {"removed_unread:newer": 3, "removed_unread_at": now - 7_200_000}
    client.hset(keys.names(BULK).TALLY, mapping=counts)
    (found,) = diagnosed(client, now, "lost replies")

    assert "3 left the inbox before anybody read them, the last one 2 h ago" == found.detail


def test_doctor_of_one_account_names_none(client: redis.Redis) -> None:
    """An installation with one account reads what it read before."""
    findings = list(doctor.diagnose(client, int(time.time() * 1000), LEGACY))

    assert {"workers", "lane 1", "holds", "credit", "nudges"} < {one.what for one in findings}
    assert [] == [one for one in findings if "default" in (one.what + one.detail + one.step)]


def test_health_of_a_worker_is_that_of_its_own_account(client: redis.Redis, now: int) -> None:
    """A worker of one account fetches nothing of another, which is no fault of its."""
    waits(client, ONE, now - 90_000)
    report(client, "w2", now, BULK, fetched=str(now - 90_000))
    report(client, "w1", now, HERE, fetched=str(now - 90_000))

    assert "" == health.idleness_of(client, "w1", now)
    assert [] == health.waits_of(client, "w1", now)
    assert "worker w2 has fetched nothing for 90 s" in health.idleness_of(client, "w2", now)
    assert health.waits_of(client, "w2", now)[0].startswith("lane 1 of the account bulk: 1 wait")
    hold_account(client, BULK)
    assert "" == health.idleness_of(client, "w2", now)


def test_a_search_finds_the_messages_of_all_accounts_and_of_one(client: redis.Redis, system: System, now: int) -> None:
    """Also in the index of a state, which each account has its own of."""
    own, other = system.take(), ONE
    waits(client, other, now)

    def found(**wanted: str) -> set[str]:
        return {one.id for one in find.search(client, Filter(status=Status.QUEUED, **wanted))}

    assert ({own, other}, {other}, {own}) == (found(), found(account="bulk"), found(account="default"))
    assert {other} == {one.id for one in find.search(client, Filter(account="bulk"))}
    assert {own} == {one.id for one in find.search(client, Filter(account="default"))}


@pytest.fixture
def bulk(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    """The scripts in the account bulk, after both accounts are published."""
    publish(client)
    with open_system(redis_server, account="bulk") as made:
        yield made


def test_a_worker_reports_the_account_that_it_serves(client: redis.Redis, bulk: System) -> None:
    """By its report, the workers of an account are counted, and told from those of others."""
    beat.take_name(client, bulk.settings)
    since = int(client.time()[0] - 20) * 1000

    assert ([], 1) == (rows.workers_of(client, since), len(rows.workers_of(client, since, BULK)))
    bulk.run(beat.forget(bulk.client))


def test_a_batch_of_two_accounts_takes_as_long_as_the_slower_one(
    client: redis.Redis, system: System, bulk: System
) -> None:
    """Each account has its own queue and rate; what waits in one delays nothing in the other."""
    bulk._drafts = 100
    for one, number in ((system, 2), (bulk, 3)):
        one.accept([one.draft(to=f"2783123456{n}", batch="news") for n in range(number)])
    report(client, "w1", system.now, HERE, rate="1")
    report(client, "w2", system.now, BULK, rate="0.5")
    found = progress.read(client, "", "news", system.now)

    assert found
    assert pytest.approx(3 / 0.5 / 3600) == found.hours_left
    client.zrem(keys.WORKERS, "w2")
    without = progress.read(client, "", "news", system.now)
    assert without
    assert without.hours_left is None


def test_a_message_waits_for_what_stops_its_own_account(client: redis.Redis, system: System, bulk: System) -> None:
    """The hold of another account is no reason, and a queue of another one is not ahead of it."""
    bulk._drafts = 100
    own, other = system.take(), bulk.take()
    hold_account(client, BULK)

    def waits_for(message_id: str) -> str:
        story = explain.explain(client, message_id, system.now, system.settings)
        assert story
        assert story.pending
        return f"{story.pending.cause}: {story.pending.detail}"

    assert "lane: 0 messages of lane 3 are ahead of it" in waits_for(own)
    assert waits_for(other).startswith("hold: account is on hold: 301 no_credit")
    client.delete(keys.names(BULK).HOLDS)
    assert "lane: no worker serves its account: threelane worker --account NAME" == waits_for(other)
    report(client, "w2", system.now, BULK)
    assert "lane: 0 messages of lane 3 are ahead of it" in waits_for(other)
