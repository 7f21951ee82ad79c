"""Erasure: after it, no key of Redis holds the number or the text; counts and charges are unchanged."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
import redis.asyncio
from typer.testing import CliRunner, Result

from tests.integration.conftest import Workers
from tests.integration.test_callbacks import TAKEN, attempted
from tests.servers import RedisServer, wait_until
from threelane import Accepted, Producer, ProducerSettings, Refused, Status
from threelane.interfaces.command.line import app
from threelane.producer.nudge import Nudger
from threelane.runtime.clock import RedisClock
from threelane.store import budgets, keys, registry, suppression
from threelane.store.budgets import Budget
from threelane.store.find import Filter
from threelane.store.suppression import Entry
from threelane.worker.dead.redrive import redrive
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import InboundReply as Written
from threelane.worker.inbound.report import ReplyPart, StatusReport
from threelane.worker.process.settings import WebhookSettings, WorkerSettings
from threelane.worker.receipt.receipt import receive
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import build
from threelane.worker.upkeep.erase import BATCH, erase, erase_old
from threelane.worker.upkeep.expire import expire
from threelane.worker.upkeep.sweep import forget
from threelane.worker.webhooks.intake import GROUP, EventIntake

NUMBER, OTHER, OURS = "27999510001", "27999510002", "12025550100"
TEXT = "The secret word is xylophone"
WORD = "xylophone"
DAY = 24 * 3600 * 1000
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, code="113", text=f"Too many parts to: {NUMBER}")
HALVES = {keys.REPLY_HALVES, keys.reply_parts(f"{NUMBER}:{OURS}:7:2")}  # published after an hour, by another round
Run = Callable[[Callable[[redis.asyncio.Redis], Any]], Any]


def everything(client: redis.Redis) -> Iterator[tuple[str, bytes]]:
    """Yield every key of Redis with all that it holds, of any type."""
    readers: dict[bytes, Callable[[bytes], Any]] = {
        b"string": client.get,
        b"hash": client.hgetall,
        b"set": client.smembers,
        b"list": lambda key: client.lrange(key, 0, -1),
        b"zset": lambda key: client.zrange(key, 0, -1),
        b"stream": lambda key: [client.xrange(key), client.xinfo_stream(key, full=True)],
    }
    for key in client.scan_iter():
        kind = client.type(key)
        if kind != b"none":  # a lock, a lease: over since the scan named it
            yield key.decode(), key + b" " + repr(readers[kind](key)).encode()


def places(client: redis.Redis, *words: str) -> list[str]:
    """Return the keys that contain one of the words, in their value or their name."""
    return sorted(key for key, held in everything(client) if any(word.encode() in held for word in words))


@pytest.fixture
def run(redis_server: RedisServer) -> Run:
    """Returns a function that does something with an asyncio client."""

    def go(work: Callable[[redis.asyncio.Redis], Any]) -> Any:
        async def inside() -> Any:
            async with redis.asyncio.Redis.from_url(redis_server.url) as client:
                return await work(client)

        return asyncio.run(inside())

    return go


def now_of(client: redis.Redis) -> int:
    return int(client.time()[0]) * 1000 + 999


@pytest.fixture
def at_rest(producer: Producer, client: redis.Redis, redis_server: RedisServer, run: Run) -> dict[str, str]:
    """Messages to the number in all states in which nothing is to be done, and all that comes of them: their ids."""
    registry.put(client, "shop", webhook="https://shop.example/sms")
    budgets.put(client, "centre:news", "day", Budget(100_000_000, "refuse"))
    fields = {"to": NUMBER, "text": TEXT, "producer": "shop", "cost_centre": "news"}
    names = ("delivered", "sent", "dead", "cancelled")
    answers = producer.send_many({**fields, "clientMessageId": f"{name}{NUMBER}"} for name in names)
    assert all(isinstance(one, Accepted) for one in answers), answers
    ids = dict(zip(names, (one.id for one in answers), strict=True))
    attempted(redis_server.url, [ids["delivered"], ids["sent"]], TAKEN)
    attempted(redis_server.url, [ids["dead"]], REFUSED)
    producer.cancel([ids["cancelled"]])
    (other,) = producer.send_many([{**fields, "to": OTHER, "text": "Hello"}])
    attempted(redis_server.url, [other.id], TAKEN)

    async def afterwards(away: redis.asyncio.Redis) -> None:
        now, settings = now_of(client), WorkerSettings()
        report = StatusReport(ids["delivered"], TAKEN.gateway_id, "004", Status.DELIVERED, 800_000, "status=004")
        await receive(away, [report], settings.keeping, now)
        await take(away, Written("r1", NUMBER, OURS, TEXT, now, related_id=ids["sent"]), build({}), now)
        half = Written("r2", NUMBER, OURS, TEXT, now, part=ReplyPart("7", 2, 1))
        await take(away, half, build({}), now)
        await away.xgroup_create(keys.EVENTS, GROUP, id="0", mkstream=True)
        clock = RedisClock()
        clock.follow(await away.time(), clock.monotonic())
        await EventIntake(away, WebhookSettings(), clock, "one", lambda _: None).round()

    run(afterwards)
    held = places(client, NUMBER, WORD)
    records = [keys.record(one) for one in ids.values()]
    assert {*records, keys.EVENTS, keys.delivery("shop"), *HALVES} == set(held)
    return ids | {"other": other.id}


def erases(redis_server: RedisServer, *words: str) -> Result:
    """Type the command."""
    return CliRunner().invoke(app, ["erase", *words], env={"THREELANE_REDIS_URL": redis_server.url})


def test_after_an_erasure_no_key_holds_the_number_or_a_text(
    at_rest: dict[str, str], client: redis.Redis, redis_server: RedisServer
) -> None:
    """Records, events, pending webhook deliveries, halves of replies, and the names of keys."""
    result = erases(redis_server, NUMBER, "--json")

    assert [] == places(client, NUMBER, WORD)
    assert 0 == result.exit_code, result.output
    counted = json.loads(result.stdout)
    assert (4, 0, 0) == (counted["messages"], counted["waiting"], counted["under_way"])
    assert (4, 4, 1) == (counted["events"], counted["deliveries"], counted["replies"])  # outcomes 3, reply 1
    assert [keys.record(at_rest["other"])] == places(client, OTHER), "another number's message is left alone"


def test_counts_and_charges_stay(
    at_rest: dict[str, str], client: redis.Redis, producer: Producer, redis_server: RedisServer
) -> None:
    """The sums and the proof that we sent stay after any erasure."""
    tally = client.hgetall(keys.TALLY)
    spent = {key: client.hgetall(key) for key in client.scan_iter(match=keys.SPENT + "*")}
    assert spent
    before = producer.status(at_rest["delivered"])
    assert 0 == erases(redis_server, NUMBER).exit_code

    after = producer.status(at_rest["delivered"])
    assert before is not None
    assert after is not None
    assert ("", Status.DELIVERED, 800_000) == (after.to, after.status, after.charge_millionths)
    assert (before.parts, before.sent_at, before.ended_at) == (after.parts, after.sent_at, after.ended_at)
    assert after.erased_at
    assert spent == {key: client.hgetall(key) for key in spent}
    assert tally == {name: n for name, n in client.hgetall(keys.TALLY).items() if not name.startswith(b"erased")}


def test_an_erased_message_ends_as_any_other(
    at_rest: dict[str, str], client: redis.Redis, redis_server: RedisServer, run: Run, producer: Producer
) -> None:
    """A receipt that comes afterwards finds it by its id, and its event has no number."""
    assert 0 == erases(redis_server, NUMBER).exit_code
    report = StatusReport(at_rest["sent"], TAKEN.gateway_id, "004", Status.DELIVERED, 800_000, "status=004")
    assert ["moved"] == run(lambda away: receive(away, [report], WorkerSettings().keeping, now_of(client)))

    assert [] == places(client, NUMBER, WORD)
    ended = producer.status(at_rest["sent"])
    assert ended is not None
    assert (Status.DELIVERED, 800_000) == (ended.status, ended.charge_millionths)


def test_unsent_messages_are_reported_and_left_unless_cancelled(
    client: redis.Redis, producer: Producer, redis_server: RedisServer
) -> None:
    """Without its number a message could not be sent, and one under way has to be looked up."""
    waits, _ = producer.send_many([{"to": NUMBER, "text": TEXT, "delay": 3600}, {"to": NUMBER, "text": TEXT}])
    under_way = producer.send(NUMBER, TEXT)
    assert isinstance(under_way, Accepted)
    attempted(redis_server.url, [under_way.id], None)

    left = erases(redis_server, NUMBER)
    assert 1 == left.exit_code
    assert "2 messages still wait to be sent" in left.output
    assert "1 messages are in progress" in left.output
    assert NUMBER not in left.output

    assert 1 == erases(redis_server, NUMBER, "--cancel").exit_code
    assert [keys.record(under_way.id)] == places(client, NUMBER, WORD)
    assert Status.CANCELLED is producer.status(waits.id).status  # type: ignore[union-attr]


def test_a_stop_outlives_an_erasure_unless_the_operator_forgets_it(
    client: redis.Redis, producer: Producer, redis_server: RedisServer
) -> None:
    """Who is forgotten altogether gets the next newsletter."""
    suppression.add(client, [(NUMBER, Entry(source="STOP", first=1, last=1))])

    assert 0 == erases(redis_server, NUMBER).exit_code
    assert [keys.SUPPRESSED] == places(client, NUMBER)
    assert isinstance(producer.try_send(NUMBER, TEXT), Refused)

    assert "1 entries on the suppression list" in erases(redis_server, NUMBER, "--forget").output
    assert [] == places(client, NUMBER)


def test_an_erased_dead_letter_cannot_be_redriven_and_is_reported(
    at_rest: dict[str, str], client: redis.Redis, redis_server: RedisServer
) -> None:
    """It has no number and no text any more."""
    erase(client, NUMBER, DAY, now_of(client))
    nudger = Nudger(ProducerSettings(redis_url=redis_server.url))
    result = redrive(client, nudger, Filter(code="113"), now_of(client))
    nudger.close()
    assert {"redriven": 0, "expired": 0, "erased": 1} == dict(result)
    assert b"dead" == client.hget(keys.record(at_rest["dead"]), "status")


def test_an_erased_dead_letter_can_be_looked_at_and_cancelled(
    at_rest: dict[str, str], client: redis.Redis, producer: Producer
) -> None:
    """What looks for messages by other things than their number still finds it."""
    erase(client, NUMBER, DAY, now_of(client))
    assert [at_rest["dead"]] == [one.id for one in producer.cancel_all(lane=3) if one.answer == "cancelled"]
    found = producer.status(at_rest["dead"])
    assert found is not None
    assert (Status.CANCELLED, "") == (found.status, found.to)


def test_the_append_only_file_is_rewritten(
    at_rest: dict[str, str], client: redis.Redis, redis_server: RedisServer
) -> None:
    """The old file has every command that ever named the number."""

    def named() -> list[str]:
        files = [file for file in redis_server.folder.rglob("*") if file.is_file()]
        return [file.name for file in files if NUMBER.encode() in file.read_bytes()]

    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"])
    assert named()
    assert "rewriting its append-only file" in erases(redis_server, NUMBER).output.replace("\n", " ")
    wait_until(lambda: not client.info("persistence")["aof_rewrite_in_progress"] and not named())


def test_a_file_that_cannot_be_rewritten_is_reported(
    at_rest: dict[str, str], client: redis.Redis, redis_server: RedisServer
) -> None:
    """A user of Redis with few rights may erase; somebody else has to see to the file."""
    user = redis_server.url.replace("redis://", "redis://eraser:do-not-log-me@")
    client.acl_setuser(
        "eraser", enabled=True, passwords=["+do-not-log-me"], keys=["*"], commands=["+@all", "-bgrewriteaof"]
    )
    result = CliRunner().invoke(app, ["erase", NUMBER], env={"THREELANE_REDIS_URL": user})
    client.acl_deluser("eraser")
    assert "still contains it" in result.output
    assert [] == places(client, NUMBER, WORD)


def test_a_worker_erases_old_messages_automatically(
    at_rest: dict[str, str], client: redis.Redis, workers: Workers
) -> None:
    """At its start, if no other worker has looked within the hour."""
    wait_until(lambda: now_of(client) > float(client.hget(keys.record(at_rest["dead"]), "ended") or 0) + 1000)
    worker = workers.start(erase_after_days=0.00001)
    assert 3 == worker.event("erased")["messages"]
    awaited = {keys.record(at_rest["sent"]), keys.record(at_rest["other"])}
    assert awaited | HALVES == set(places(client, NUMBER, WORD, OTHER))


def test_an_id_that_was_erased_is_not_sent_again(
    at_rest: dict[str, str], client: redis.Redis, producer: Producer
) -> None:
    """Whether it is the same message is not known any more, and twice is worse than a refusal."""
    erase(client, NUMBER, DAY, now_of(client))
    fields = {"to": NUMBER, "text": TEXT, "producer": "shop", "cost_centre": "news"}
    (again,) = producer.send_many([{**fields, "clientMessageId": f"dead{NUMBER}"}])
    assert isinstance(again, Refused)
    assert "409" == again.code
    assert "erased" in again.problem


def test_an_invalid_number_is_refused_with_a_sentence(redis_server: RedisServer) -> None:
    """Exit code 2, as for any wrong usage."""
    result = erases(redis_server, "27999o10001")
    assert 2 == result.exit_code
    assert "other than digits" in result.output


def test_after_n_days_no_key_holds_a_number_or_a_text(
    at_rest: dict[str, str], client: redis.Redis, run: Run, producer: Producer
) -> None:
    """Messages that ended N days ago are erased, for any recipient, and awaited ones are not."""
    settings = WorkerSettings(erase_after_days=2)
    now = now_of(client)
    suppression.add(client, [(OTHER, Entry(source="operator", first=1, last=1, expires=now))])
    client.zadd(keys.DEAD, {at_rest["dead"]: now})

    assert 0 == run(lambda away: erase_old(away, settings, now + 2 * DAY - 60_000)), "not a minute too early"
    assert 3 == run(lambda away: erase_old(away, settings, now + 2 * DAY + 60_000))
    awaited = {keys.record(at_rest["sent"]), keys.record(at_rest["other"])}
    assert awaited | HALVES == set(places(client, NUMBER, WORD, OTHER))
    erased = producer.status(at_rest["delivered"])
    assert erased is not None
    assert 800_000 == erased.charge_millionths
    assert 0 == run(lambda away: erase_old(away, settings, now + 2 * DAY + 60_000)), "once"


def test_a_dead_letter_keeps_its_text_until_it_is_forgotten(
    at_rest: dict[str, str], client: redis.Redis, run: Run
) -> None:
    """Without THREELANE_ERASE_AFTER_DAYS the record itself goes, with all it holds."""
    settings = WorkerSettings()
    lives = [client.pttl(keys.record(one)) for one in at_rest.values()]
    assert all(0 < left <= settings.retention_ms + 1000 for left in lives), lives
    for one in at_rest.values():
        client.pexpire(keys.record(one), 1)
    time.sleep(0.01)
    later = now_of(client) + settings.retention_ms + 60_000
    run(lambda away: erase_old(away, settings, later))
    run(lambda away: forget(away, settings, later))
    assert 0 == client.zcard(keys.DEAD)
    assert HALVES == set(places(client, NUMBER, WORD))


def test_a_message_behind_a_hold_ends_with_its_validity(client: redis.Redis, producer: Producer, run: Run) -> None:
    """No worker claims from a lane on hold, so none would see that the message expired; and its text would stay."""
    fields = {"to": NUMBER, "text": TEXT, "producer": "shop"}
    answers = producer.send_many(
        [{**fields, "validityPeriod": 60}, {**fields, "validityPeriod": 600}, {**fields, "delay": 60}]
    )
    over, valid, waits = (one.id for one in answers)
    later = now_of(client) + 61 * 60_000

    assert 1 == run(lambda away: expire(away, DAY, later))
    assert 0 == run(lambda away: expire(away, DAY, later)), "once"
    found = [one.status for one in (producer.status(over), producer.status(valid), producer.status(waits)) if one]
    assert [Status.EXPIRED, Status.QUEUED, Status.SCHEDULED] == found
    assert 0 < client.pttl(keys.record(over)) <= DAY
    assert [keys.record(valid), keys.record(waits)] == [
        key for key in (keys.record(over), keys.record(valid), keys.record(waits)) if key in places(client, WORD)
    ]
    (event,) = client.xrange(keys.EVENTS)  # type: ignore[misc]
    assert (over.encode(), b"expired") == (event[1][b"id"], event[1][b"status"])
    assert [valid.encode()] == client.zrange(keys.QUEUED[3], 0, -1)


def test_a_number_on_the_list_is_forgotten_only_when_all_its_entries_are_over(client: redis.Redis, run: Run) -> None:
    """A STOP has no end, also beside an entry that had one."""
    now = now_of(client)
    ended = Entry(source="code 105", first=1, last=1, expires=now - DAY)
    suppression.add(client, [(NUMBER, ended), (OTHER, ended), (OTHER, Entry(source="STOP", first=1, last=1))])
    run(lambda away: suppression.forget_over(away, now))
    assert [OTHER] == [one.number for one in suppression.every(client)]


def test_more_events_than_a_page_are_all_looked_at(client: redis.Redis) -> None:
    """The last of them, too."""
    for at in range(2 * BATCH + 1):
        client.xadd(keys.EVENTS, {"type": "outcome", "id": str(at), "to": NUMBER if at % 2 == 0 else OTHER})
    assert BATCH + 1 == erase(client, NUMBER, DAY, now_of(client)).events
    assert [] == places(client, NUMBER)
