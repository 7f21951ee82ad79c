"""Credit runs out in the middle: few are refused, the rest waits, and after a top-up all goes on automatically."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, wait_until
from threelane import Accepted, Producer, ProducerSettings, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.account import balance, hold
from threelane.worker.fetch import held
from threelane.worker.fetch.lanes import LANES
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport

Until = Callable[..., MessageStatus]
CONNECTIONS, THREADS = 8, 4
PACE = {"gateway_connections": CONNECTIONS, "threads": THREADS, "balance_seconds": 1, "prices": "*=0.8"}


@pytest.fixture
def priced(client: redis.Redis, redis_server: RedisServer) -> Iterator[Producer]:
    """A producer that knows what the sandbox charges."""
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, prices="*=0.8")) as made:
        yield made


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server) as made:
        yield made


def enqueue(producer: Producer, number: int) -> dict[str, int]:
    """Enqueue messages in three lanes; returns the lane of each."""
    messages = ({"to": f"2799950{n:04d}", "text": "Hello", "lane": n % 3 + 1} for n in range(number))
    answers = producer.send_many(messages)
    assert all(isinstance(one, Accepted) for one in answers)
    return {one.id: one.lane for one in answers if isinstance(one, Accepted)}


def refused(sandbox: Running) -> int:
    return sum(1 for one in sandbox.control("GET", "attempts")["attempts"] if one["code"] == "301")


def runs_dry(client: redis.Redis) -> None:
    wait_until(lambda: client.hexists(keys.HOLDS, "account"), what="the hold")
    wait_until(lambda: not client.exists(*keys.LEASES.values()), what="calls under way to end")


def all_sent(client: redis.Redis) -> bool:
    waiting = (*keys.DUE.values(), *keys.QUEUED.values(), *keys.LEASES.values(), *keys.DOUBT.values(), keys.DEAD)
    return not any(client.zcard(index) for index in waiting)


def test_the_rest_is_delivered_once_after_a_top_up_without_any_action(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """At most as many 301 as calls were under way, though some of the credit, too little for a message, is left."""
    messages = enqueue(priced, 1_500)
    sandbox.control("POST", "credit", {"set": "560.5"})  # 700 messages, and 0.5 besides
    workers.start(**PACE)
    runs_dry(client)
    assert 700 == len(taken(sandbox))
    counted = Counter((one.status, one.code) for one in priced.statuses(list(messages)) if one)
    assert counted[Status.DEAD, "301"] <= CONNECTIONS
    assert 800 == counted[Status.DEAD, "301"] + counted[Status.QUEUED, ""]

    before = client.hget(keys.BALANCE, "at")
    wait_until(lambda: (client.hget(keys.BALANCE, "at") or b"") > (before or b""), what="another look at the balance")
    assert client.hexists(keys.HOLDS, "account"), "half a credit is no reason to go on"
    assert refused(sandbox) <= CONNECTIONS

    sandbox.control("POST", "credit", {"add": "5000"})
    wait_until(lambda: all_sent(client), 60, "the rest")
    assert refused(sandbox) <= CONNECTIONS
    assert sorted(messages) == sorted(taken(sandbox))
    assert {1} == {len(entries) for entries in taken(sandbox).values()}
    assert {} == client.hgetall(keys.HOLDS)
    assert 1 == len(workers.events("resumed"))


def test_with_ask_dead_letters_are_redriven_only_by_hand(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """``ask``: waiting messages go on after the top-up; refused ones stay dead until an operator redrives them."""
    messages = enqueue(priced, 300)
    sandbox.control("POST", "credit", {"set": "0"})
    workers.start(**PACE, on_credit="ask")
    runs_dry(client)
    dead = client.zcard(keys.DEAD)
    assert 1 <= dead <= CONNECTIONS
    sandbox.control("POST", "credit", {"set": "5000"})
    wait_until(lambda: len(taken(sandbox)) == len(messages) - dead, what="those that waited")
    wait_until(lambda: not client.exists(*keys.LEASES.values()))
    assert dead == client.zcard(keys.DEAD)


def test_lane_1_with_a_reserve_is_never_held(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Below the floor lanes 2 and 3 wait, although there is credit; lane 1 goes on, and no message meets a 301."""
    messages = enqueue(priced, 900)
    first = {one for one, lane in messages.items() if lane == 1}
    sandbox.control("POST", "credit", {"set": "400"})  # 500 messages; 300 of them, or 240 credits, are kept for lane 1
    workers.start(**PACE, reserve_credits="240,0")
    wait_until(lambda: first <= taken(sandbox).keys(), what="all of lane 1")
    wait_until(lambda: int(client.hget(keys.TALLY, "reserved:2") or 0) > 0, what="lane 2 to wait")
    wait_until(lambda: int(client.hget(keys.TALLY, "reserved:3") or 0) > 0, what="lane 3 to wait")
    later = enqueue(priced, 60)
    login = {one for one, lane in later.items() if lane == 1}
    wait_until(lambda: login <= taken(sandbox).keys(), what="what came to lane 1 while the others wait")
    assert 0 == refused(sandbox)
    assert {} == client.hgetall(keys.HOLDS)
    assert client.zcard(keys.QUEUED[2]) + client.zcard(keys.QUEUED[3]) > 0

    sandbox.control("POST", "credit", {"add": "5000"})
    wait_until(lambda: all_sent(client), 60, "lanes 2 and 3")
    assert sorted([*messages, *later]) == sorted(taken(sandbox))
    assert 0 == refused(sandbox)


def test_after_a_resume_the_rate_grows_back(system: System, client: redis.Redis) -> None:
    """From an empty bucket and a twentieth of the rate; no rush on an account that has just come back."""
    system.settings = system.settings.model_copy(update={"parts_per_second": 100.0, "ramp_seconds": 10.0})
    ids = [one.id for one in system.accept([system.draft(lane=1) for _ in range(100)]) if isinstance(one, Accepted)]
    system.hold("account", 0)
    assert system.claim(1, ids, "t0").held
    hold.resume(client, "account", system.now)
    given = []
    for number in range(12):
        system.now += 1_000
        client.hset(keys.RATE, "tokens", 0)  # all is spent at each second: what comes is that second's
        given.append(len(system.claim(1, ids, f"t{number + 1}").claimed))
        for one in ids:
            client.hset(keys.record(one), "status", "queued")
            client.zadd(keys.QUEUED[1], {one: system.now})
    assert [10 * n for n in range(1, 11)] + [100, 100] == given
    assert not client.hexists(keys.RATE, "ramp")


@pytest.mark.parametrize(
    ("looked_at", "resumed_at", "ramp"),
    [
        (60_100, 0, 60_000),  # it ended by itself
        (30_000, 29_000, 29_000),  # an operator was earlier
        (60_100, 60_050, 60_050),  # or at the same time
    ],
)
def test_the_rate_grows_from_the_end_of_a_hold_that_ends_by_itself(
    system: System, client: redis.Redis, looked_at: int, resumed_at: int, ramp: int
) -> None:
    """A limit that is over at midnight: the whole backlog at once would soon meet the next one."""
    breaker = mock.Mock(changes=0, follow=mock.AsyncMock())
    context: Any = mock.Mock(client=system.client, settings=system.settings, breaker=breaker, may_call=True)
    context.refused_scopes, context.held_until, began = frozenset(), 0, system.now
    system.hold("account", began + 60_000)
    for at in (0, 250):
        context.clock.now.return_value = began + at
        system.run(held.look(context))
    if resumed_at:
        hold.resume(client, "account", began + resumed_at)
    context.clock.now.return_value = began + looked_at
    for _ in range(2):
        system.run(held.look(context))

    assert str(began + ramp).encode() == client.hget(keys.RATE, "ramp")
    assert not LANES.is_held(3)


def test_a_wait_does_not_outlast_the_ramp(system: System, client: redis.Redis) -> None:
    """What a slow fleet would have to wait for at a twentieth of its rate, it has long before at the whole rate."""
    system.settings = system.settings.model_copy(update={"parts_per_second": 1.0, "ramp_seconds": 5.0})
    ids = [one.id for one in system.accept([system.draft(text="News " * 80)]) if isinstance(one, Accepted)]
    client.hset(keys.RATE, mapping=hold.ramp(system.now))
    assert system.claim(3, ids, "t").wait_ms <= 5_000


class Account:
    """A gateway that only answers the balance."""

    def __init__(self, *readings: float | str, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.readings = list(readings)
        self.meanwhile = meanwhile

    async def balance(self) -> float | str:
        await asyncio.sleep(0)
        self.meanwhile()
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def look(system: System, account: Account) -> bool:
    """Read the balance, as if all turns were over; lift the hold when credit is back."""
    system.sync.delete(keys.BALANCE + ":turn", keys.BALANCE + ":probe")
    back = system.run(balance.read(system.client, account, system.settings, system.now))  # type: ignore[arg-type]
    return back and system.run(balance.lift(system.client, system.now))


def out_of_credit(system: System) -> str:
    (answer,) = system.accept([system.draft()])
    assert isinstance(answer, Accepted)
    system.attempt(answer.id, AttemptOutcome(OutcomeKind.REFUSED, "301", "No credit left"))
    return answer.id


def test_a_hold_that_returned_is_not_lifted_again_at_the_same_balance(system: System) -> None:
    """A price that nobody knew of: 301 at a balance that seems to suffice. It must not be requested again and again."""
    out_of_credit(system)
    assert not look(system, Account(0.0))
    assert not look(system, Account(0.9)), "the next message costs 1"
    assert look(system, Account(1.1))
    system.now += 60_000
    out_of_credit(system)
    assert not look(system, Account(1.1))
    system.now += 60_000
    assert not look(system, Account(1.1))
    assert look(system, Account(50.0))
    system.now += 60_000
    out_of_credit(system)
    assert not look(system, Account(50.0))
    system.now += balance.TRY_ANYWAY_MS + 1
    assert look(system, Account(50.0)), "once in a while it is tried all the same"


def test_only_a_hold_for_want_of_credit_ends_with_a_top_up(system: System, client: redis.Redis) -> None:
    """A frozen account does not thaw by money."""
    (answer,) = system.accept([system.draft()])
    system.attempt(answer.id, AttemptOutcome(OutcomeKind.REFUSED, "004", "Account frozen"))  # type: ignore[union-attr]
    assert not look(system, Account(1000.0))
    assert client.hexists(keys.HOLDS, "account")


def test_an_unreadable_balance_is_logged_and_changes_nothing(system: System, client: redis.Redis) -> None:
    """What was known stays; the next reading takes the error away."""
    out_of_credit(system)
    look(system, Account(0.25))
    assert not look(system, Account("no answer"))
    assert (b"250000", b"no answer") == (client.hget(keys.BALANCE, "credits"), client.hget(keys.BALANCE, "error"))
    look(system, Account(0.25))
    assert not client.hexists(keys.BALANCE, "error")


def test_messages_claimed_while_the_balance_is_requested_are_not_forgotten(system: System, client: redis.Redis) -> None:
    """The answer is of the moment before; a floor that forgot the claims since would be passed by as much."""
    look(system, Account(100.0))
    ids = [one.id for one in system.accept([system.draft() for _ in range(30)]) if isinstance(one, Accepted)]

    def meanwhile() -> None:
        client.hincrby(keys.BALANCE, "left", -30_000_000)  # what claims of 30 messages do

    look(system, Account(100.0, meanwhile=meanwhile))
    assert b"70000000" == client.hget(keys.BALANCE, "left")
    look(system, Account(70.0))
    assert b"70000000" == client.hget(keys.BALANCE, "left")
    system.claim(3, ids[:5], "t")
    assert b"65000000" == client.hget(keys.BALANCE, "left")


@pytest.mark.parametrize(
    ("status", "to", "code", "seconds"),
    [
        ("012", Status.UNDELIVERED, "301", 0),
        ("014", Status.UNDELIVERED, "130", 3600),
        ("INSUFFICIENT_ACCOUNT_BALANCE", Status.UNDELIVERED, "20", 0),
        ("VOLUME_LIMIT", Status.UNDELIVERED, "130", 3600),
        ("VOLUME_LIMIT_DAILY", Status.UNDELIVERED, "130", 3600),
        ("VOLUME_LIMIT_MONTHLY", Status.UNDELIVERED, "130", 3600),
    ],
)
def test_a_status_that_speaks_of_the_account_holds_it(
    system: System, client: redis.Redis, status: str, to: Status, code: str, seconds: int
) -> None:
    """The network refused it without credit, or at a limit: the next one would meet the same."""
    system.hold("account", system.now - 1)  # one that is over holds nothing
    (answer,) = system.accept([system.draft()])
    assert isinstance(answer, Accepted)
    system.attempt(answer.id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    system.hold("account", system.now - 1)
    system.receive([StatusReport(answer.id, "g" * 32, status, to)])
    held = hold.holds(client, system.now)["account"]
    assert (code, system.now + seconds * 1000 if seconds else 0) == (held.code, held.until)
    system.now += 5_000
    assert ["late"] != system.receive([StatusReport(answer.id, "g" * 32, status, to)])
    assert held == hold.holds(client, system.now)["account"], "the same word again is no new hold"


def test_a_hold_gives_way_to_one_that_lasts_longer_and_to_no_other(system: System, client: redis.Redis) -> None:
    """An hour's limit does not end a lack of credit; a lack of credit outlasts an hour's limit."""
    now = int(time.time() * 1000)
    system.now = now
    ids = [one.id for one in system.accept([system.draft() for _ in range(3)]) if isinstance(one, Accepted)]
    for one in ids:
        system.attempt(one, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    codes = []
    for one, status in zip(ids, ("014", "012", "014"), strict=True):
        system.receive([StatusReport(one, "g" * 32, status, Status.UNDELIVERED)])
        codes.append(hold.holds(client, now)["account"].code)
    assert ["130", "301", "301"] == codes
    assert b"1" == client.hget(keys.TALLY, "held:account")
