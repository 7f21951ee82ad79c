"""Credit runs out in the middle: few are refused, the rest waits, and after a top-up all goes on by itself."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.house import House, a_house
from tests.servers import RedisServer, wait_until
from threelane import Accepted, Producer, ProducerSettings, Status
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.status import MessageStatus
from threelane.worker.account import balance, hold
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
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    assert client.ping()
    with a_house(redis_server) as made:
        yield made


def enqueue(producer: Producer, number: int) -> dict[str, int]:
    """Enqueue messages in three lanes; returns the lane of each."""
    said = ({"to": f"2799950{n:04d}", "text": "Hello", "lane": n % 3 + 1} for n in range(number))
    answers = producer.send_many(said)
    assert all(isinstance(one, Accepted) for one in answers)
    return {one.id: one.lane for one in answers if isinstance(one, Accepted)}


def refused(sandbox: Running) -> int:
    return sum(1 for one in sandbox.control("GET", "attempts")["attempts"] if one["code"] == "301")


def runs_dry(client: redis.Redis) -> None:
    wait_until(lambda: client.hexists(keys.HOLDS, "account"), 40, "the hold")
    wait_until(lambda: not client.zcard(keys.LEASES), what="calls under way to end")


def all_sent(client: redis.Redis) -> bool:
    waiting = (keys.DUE, *keys.QUEUED.values(), keys.LEASES, keys.DOUBT, keys.DEAD)
    return not any(client.zcard(shelf) for shelf in waiting)


def test_the_rest_is_delivered_once_after_a_top_up_and_nobody_did_anything(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """At most as many 301 as calls were under way, though some of the credit, too little for a message, is left."""
    messages = enqueue(priced, 1_500)
    sandbox.control("POST", "credit", {"set": "560.5"})  # 700 messages, and 0.5 besides
    workers.start(**PACE)
    runs_dry(client)
    assert 700 == len(taken(sandbox))
    told = Counter((one.status, one.code) for one in priced.statuses(list(messages)) if one)
    assert told[Status.DEAD, "301"] <= CONNECTIONS
    assert 800 == told[Status.DEAD, "301"] + told[Status.QUEUED, ""]

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


def test_who_wants_to_be_asked_redrives_by_hand(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """``ask``: what waited goes on after the top-up; what was refused stays dead until somebody says so."""
    messages = enqueue(priced, 300)
    sandbox.control("POST", "credit", {"set": "0"})
    workers.start(**PACE, on_credit="ask")
    runs_dry(client)
    dead = client.zcard(keys.DEAD)
    assert 1 <= dead <= CONNECTIONS
    sandbox.control("POST", "credit", {"set": "5000"})
    wait_until(lambda: len(taken(sandbox)) == len(messages) - dead, 40, "those that waited")
    wait_until(lambda: not client.zcard(keys.LEASES))
    assert dead == client.zcard(keys.DEAD)


def test_lane_1_with_a_reserve_is_never_held(
    priced: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Below the floor lanes 2 and 3 wait, although there is credit; lane 1 goes on, and no message meets a 301."""
    messages = enqueue(priced, 900)
    first = {one for one, lane in messages.items() if lane == 1}
    sandbox.control("POST", "credit", {"set": "400"})  # 500 messages; 300 of them, or 240 credits, are kept for lane 1
    workers.start(**PACE, reserve_credits="240,0")
    wait_until(lambda: first <= taken(sandbox).keys(), 40, "all of lane 1")
    wait_until(lambda: int(client.hget(keys.TALLY, "reserved:2") or 0) > 0, what="lane 2 to wait")
    wait_until(lambda: int(client.hget(keys.TALLY, "reserved:3") or 0) > 0, what="lane 3 to wait")
    later = enqueue(priced, 60)
    login = {one for one, lane in later.items() if lane == 1}
    wait_until(lambda: login <= taken(sandbox).keys(), 40, "what came to lane 1 while the others wait")
    assert 0 == refused(sandbox)
    assert {} == client.hgetall(keys.HOLDS)
    assert client.zcard(keys.QUEUED[2]) + client.zcard(keys.QUEUED[3]) > 0

    sandbox.control("POST", "credit", {"add": "5000"})
    wait_until(lambda: all_sent(client), 60, "lanes 2 and 3")
    assert sorted([*messages, *later]) == sorted(taken(sandbox))
    assert 0 == refused(sandbox)


def test_after_a_resume_the_rate_grows_back(house: House, client: redis.Redis) -> None:
    """From an empty bucket and a twentieth of the rate; no rush on an account that has just come back."""
    house.settings = house.settings.model_copy(update={"parts_per_second": 100.0, "ramp_seconds": 10.0})
    ids = [one.id for one in house.accept([house.draft(lane=1) for _ in range(100)]) if isinstance(one, Accepted)]
    house.hold("account", 0)
    assert house.claim(1, ids, "t0").held
    hold.resume(client, "account", house.now)
    given = []
    for number in range(12):
        house.now += 1_000
        client.hset(keys.RATE, "tokens", 0)  # all is spent at each second: what comes is that second's
        given.append(len(house.claim(1, ids, f"t{number + 1}").claimed))
        for one in ids:
            client.hset(keys.record(one), "status", "queued")
            client.zadd(keys.QUEUED[1], {one: house.now})
    assert [10 * n for n in range(1, 11)] + [100, 100] == given
    assert not client.hexists(keys.RATE, "ramp")


def test_a_wait_does_not_outlast_the_ramp(house: House, client: redis.Redis) -> None:
    """What a slow fleet would have to wait for at a twentieth of its rate, it has long before at the whole rate."""
    house.settings = house.settings.model_copy(update={"parts_per_second": 1.0, "ramp_seconds": 5.0})
    ids = [one.id for one in house.accept([house.draft(text="News " * 80)]) if isinstance(one, Accepted)]
    client.hset(keys.RATE, mapping=hold.ramp(house.now))
    assert house.claim(3, ids, "t").wait_ms <= 5_000


class Account:
    """A gateway of which only the balance is asked."""

    def __init__(self, *readings: float | str, meanwhile: Callable[[], object] = lambda: None) -> None:
        self.readings = list(readings)
        self.meanwhile = meanwhile

    async def balance(self) -> float | str:
        await asyncio.sleep(0)
        self.meanwhile()
        return self.readings.pop(0) if len(self.readings) > 1 else self.readings[0]


def look(house: House, account: Account) -> bool:
    """Read the balance, as if all turns were over; lift the hold when credit is back."""
    house.sync.delete(keys.BALANCE + ":turn", keys.BALANCE + ":probe")
    back = house.run(balance.read(house.client, account, house.settings, house.now))  # type: ignore[arg-type]
    return back and house.run(balance.lift(house.client, house.now))


def out_of_credit(house: House) -> str:
    (answer,) = house.accept([house.draft()])
    assert isinstance(answer, Accepted)
    house.attempt(answer.id, AttemptOutcome(OutcomeKind.REFUSED, "301", "No credit left"))
    return answer.id


def test_a_hold_that_was_lifted_in_vain_is_not_lifted_again_at_the_same_balance(house: House) -> None:
    """A price that nobody knew of: 301 at a balance that seems to suffice. It must not be asked again and again."""
    out_of_credit(house)
    assert not look(house, Account(0.0))
    assert not look(house, Account(0.9)), "the next message costs 1"
    assert look(house, Account(1.1))
    house.now += 60_000
    out_of_credit(house)
    assert not look(house, Account(1.1))
    house.now += 60_000
    assert not look(house, Account(1.1))
    assert look(house, Account(50.0))
    house.now += 60_000
    out_of_credit(house)
    assert not look(house, Account(50.0))
    house.now += balance.TRY_ANYWAY_MS + 1
    assert look(house, Account(50.0)), "once in a while it is tried all the same"


def test_only_a_hold_for_want_of_credit_ends_with_a_top_up(house: House, client: redis.Redis) -> None:
    """Wrong credentials do not get right by money."""
    (answer,) = house.accept([house.draft()])
    house.attempt(answer.id, AttemptOutcome(OutcomeKind.REFUSED, "001", "Authentication failed"))  # type: ignore[union-attr]
    assert not look(house, Account(1000.0))
    assert client.hexists(keys.HOLDS, "account")


def test_a_balance_that_cannot_be_read_is_told_and_changes_nothing(house: House, client: redis.Redis) -> None:
    """What was known stays; the next reading takes the error away."""
    out_of_credit(house)
    look(house, Account(0.25))
    assert not look(house, Account("no answer"))
    assert (b"250000", b"no answer") == (client.hget(keys.BALANCE, "credits"), client.hget(keys.BALANCE, "error"))
    look(house, Account(0.25))
    assert not client.hexists(keys.BALANCE, "error")


def test_what_is_claimed_while_the_balance_is_asked_for_is_not_forgotten(house: House, client: redis.Redis) -> None:
    """The answer is of the moment before; a floor that forgot the claims since would be passed by as much."""
    look(house, Account(100.0))
    ids = [one.id for one in house.accept([house.draft() for _ in range(30)]) if isinstance(one, Accepted)]

    def meanwhile() -> None:
        client.hincrby(keys.BALANCE, "left", -30_000_000)  # what claims of 30 messages do

    look(house, Account(100.0, meanwhile=meanwhile))
    assert b"70000000" == client.hget(keys.BALANCE, "left")
    look(house, Account(70.0))
    assert b"70000000" == client.hget(keys.BALANCE, "left")
    house.claim(3, ids[:5], "t")
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
    house: House, client: redis.Redis, status: str, to: Status, code: str, seconds: int
) -> None:
    """The network refused it for want of credit, or at a limit: the next one would meet the same."""
    house.hold("account", house.now - 1)  # one that is over is in nobody's way
    (answer,) = house.accept([house.draft()])
    assert isinstance(answer, Accepted)
    house.attempt(answer.id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    house.hold("account", house.now - 1)
    house.receive([StatusReport(answer.id, "g" * 32, status, to)])
    held = hold.holds(client, house.now)["account"]
    assert (code, house.now + seconds * 1000 if seconds else 0) == (held.code, held.until)
    house.now += 5_000
    assert ["late"] != house.receive([StatusReport(answer.id, "g" * 32, status, to)])
    assert held == hold.holds(client, house.now)["account"], "the same word again is no new hold"


def test_a_hold_gives_way_to_one_that_lasts_longer_and_to_no_other(house: House, client: redis.Redis) -> None:
    """An hour's limit does not end a want of credit; a want of credit outlasts an hour's limit."""
    now = int(time.time() * 1000)
    house.now = now
    ids = [one.id for one in house.accept([house.draft() for _ in range(3)]) if isinstance(one, Accepted)]
    for one in ids:
        house.attempt(one, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    codes = []
    for one, status in zip(ids, ("014", "012", "014"), strict=True):
        house.receive([StatusReport(one, "g" * 32, status, Status.UNDELIVERED)])
        codes.append(hold.holds(client, now)["account"].code)
    assert ["130", "301", "301"] == codes
    assert b"1" == client.hget(keys.TALLY, "held:account")
