"""Doubt is bounded: one resend at most, and none without a proof; a lost code is sent again within seconds.

The clock is moved by hand; the scripts are the real ones, and the gateway finds what it accepted after a lag.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tests.properties.doubt_world import SECOND, DoubtWorld, Fate
from tests.properties.system import System, open_system
from tests.servers import RedisServer
from tests.slow import also_slow
from threelane.store import keys
from threelane.store.record import Field
from threelane.store.states import AT_REST, FINAL, Status

DELAYS = (5, 30, 120, 300, 900)  # the default


@pytest.fixture(scope="module")
def system(redis_server: RedisServer) -> Iterator[System]:
    with open_system(redis_server, parts_per_second=100_000, doubt_delays_seconds=DELAYS) as made:
        yield made


@pytest.fixture
def world(system: System) -> DoubtWorld:
    system.settings = system.settings.model_copy(update={"doubt_delays_seconds": DELAYS, "second_doubt": "unknown"})
    return DoubtWorld(system)


def by_chance(seed: int, *fates: tuple[Fate, float]) -> Callable[[str], Fate]:
    """Return a fate for each request: these with their probabilities, else accepted."""
    rng = Random(seed)

    def fate(_: str) -> Fate:
        roll = rng.random()
        for one, share in fates:
            if roll < share:
                return one
            roll -= share
        return Fate.ACCEPTED

    return fate


def a_code_each_second(world: DoubtWorld, seconds: int) -> list[str]:
    ids = []
    for _ in range(seconds):
        ids += world.send()
        world.run(1)
    return ids


# What the gateway lost before it accepted it.


@pytest.mark.parametrize(
    ("seed", "lag_ms"),
    [
        (2, 300),
        pytest.param(1, 0, marks=pytest.mark.slow),
        pytest.param(3, 1_000, marks=pytest.mark.slow),
    ],
)
def test_a_code_that_was_lost_before_the_gateway_took_it_arrives_within_fifteen_seconds(
    world: DoubtWorld, seed: int, lag_ms: int
) -> None:
    """A message accepted later was found and this one was not: that is proof long before 22 minutes are over.

    One that is lost a second time as well, one in 400, ends as unknown: it is not sent a third time.
    """
    world.gateway.lag_ms = lag_ms
    a_code_each_second(world, 90)  # a sample a minute while nothing is in doubt
    world.fate = by_chance(seed, (Fate.LOST_BEFORE, 0.05))
    sent_at = {}
    for _ in range(300):
        sent_at |= dict.fromkeys(world.send(), world.system.now)
        world.run(1)
    world.fate = lambda _: Fate.ACCEPTED
    a_code_each_second(world, 20)

    waits = {one: world.arrived[one] - at for one, at in sent_at.items() if one in world.arrived}
    assert ([], 1) == (world.twice, world.most_copies)
    assert 5 <= len(world.resent)
    assert max(waits.values()) <= 15 * SECOND
    never = sent_at.keys() - waits.keys()
    assert never <= set(world.resent)
    ends = world.statuses()
    assert never == {one for one in ends if ends[one] is Status.UNKNOWN}
    assert {Status.SENT} == {ends[one] for one in ends.keys() - never}


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_look_ups_that_suddenly_lag_cause_no_second_message(world: DoubtWorld, seed: int) -> None:
    """From one second to thirty without notice: what was learned is wrong, but later messages are not found either."""
    world.gateway.lag_ms = 1_000
    a_code_each_second(world, 60)
    world.fate = by_chance(seed, (Fate.LOST_BEFORE, 0.05), (Fate.LOST_AFTER, 0.1))
    a_code_each_second(world, 60)
    world.gateway.lag_ms = 30_000
    a_code_each_second(world, 120)
    world.gateway.lag_ms = 500
    a_code_each_second(world, 60)
    world.fate = lambda _: Fate.ACCEPTED
    a_code_each_second(world, 240)  # the grace is now three times the lag

    assert ([], 1, []) == (world.twice, world.most_copies, world.unproven)
    assert {Status.SENT, Status.UNKNOWN} >= set(world.statuses().values())
    assert world.resent


def test_without_later_messages_the_configured_maximum_applies(world: DoubtWorld) -> None:
    """Nothing shows that the index has got that far, so 104 is believed after 22 minutes only."""
    a_code_each_second(world, 70)
    world.fate = lambda _: Fate.LOST_BEFORE
    (lost,) = world.send()
    world.tick()
    ended = world.system.now
    world.fate = lambda _: Fate.ACCEPTED
    while not world.resent:
        world.tick(5_000)
        assert world.system.now < ended + 2 * sum(DELAYS) * SECOND
    assert [lost] == world.resent
    assert sum(DELAYS) * SECOND <= world.system.now - ended <= (sum(DELAYS) + 60) * SECOND


# What it took and does not find.


@pytest.mark.parametrize("fate", [Fate.LOST_AFTER, *also_slow(Fate.DIED_AFTER)])
@pytest.mark.parametrize(("choice", "end"), [("unknown", Status.UNKNOWN), ("dead", Status.DEAD)])
def test_a_gateway_that_takes_and_hides_gets_two_copies_at_most(
    world: DoubtWorld, fate: Fate, choice: str, end: Status
) -> None:
    """Look-ups answer 104 for ever and no response arrives: sent again once, then reported."""
    system = world.system
    system.settings = system.settings.model_copy(update={"second_doubt": choice})
    world.gateway.hides = True
    world.fate = lambda _: fate
    (code,) = world.send(validity_period=1_440)
    world.run(2 * 3_600, 20_000)

    record = world.record(code)
    reason = "worker_lost" if fate is Fate.DIED_AFTER else "in_doubt_again"
    assert (2, end, reason) == (len(world.gateway.copies[code]), world.statuses()[code], record["code"])
    owner = record["owner"]
    tally = system.glance([]).tally
    assert (1, 1) == (tally[f"{end}:{reason}:{owner}"], tally[f"resolved:{end}"])


def test_an_operator_s_redrive_is_one_more_copy_and_no_further_resend(world: DoubtWorld) -> None:
    """The operator decides; after that the message is not sent again from doubt."""
    world.system.settings = world.system.settings.model_copy(update={"second_doubt": "dead"})
    world.gateway.hides = True
    world.fate = lambda _: Fate.LOST_AFTER
    (code,) = world.send(validity_period=1_440)
    world.run(3_600, 20_000)
    assert Status.DEAD is world.statuses()[code]
    world.system.redrive("in_doubt_again")
    world.run(3_600, 20_000)

    assert (3, [code], Status.DEAD) == (len(world.gateway.copies[code]), world.resent, world.statuses()[code])


# A refusal that a look-up verifies.


def test_an_internal_error_after_the_message_was_taken_is_one_copy(world: DoubtWorld) -> None:
    """Code 901, and the message is there: it is adopted before its retry."""
    world.gateway.lag_ms = 1_000
    a_code_each_second(world, 70)
    world.fate = lambda _: Fate.REFUSED_AFTER
    codes = world.send(5)
    world.run(60)

    assert dict.fromkeys(codes, 1) == {one: len(world.gateway.copies[one]) for one in codes}
    assert {Status.SENT} == {world.statuses()[one] for one in codes}
    assert [] == world.resent


@pytest.mark.parametrize("on_doubt", ["resend", "hold", "drop"])
def test_an_internal_error_that_a_look_up_confirms_is_an_ordinary_retry(world: DoubtWorld, on_doubt: str) -> None:
    """Counted as such, with its waits and its number of attempts; what the caller wants in doubt does not matter."""
    a_code_each_second(world, 70)
    fates = Counter[str]()

    def refused_three_times(one: str) -> Fate:
        fates[one] += 1
        return Fate.REFUSED if fates[one] <= 3 else Fate.ACCEPTED

    world.fate = refused_three_times
    (code,) = world.send(on_doubt=on_doubt)
    world.run(60)

    record, tally = world.record(code), world.system.glance([]).tally
    assert ("sent", "4", 3, None) == (
        record["status"],
        record["attempt"],
        len(record["waits"].split()),
        record.get(Field.RESENT),
    )
    assert (3, 3, None) == (tally["retried:1:901"], tally["verified:1:901"], tally.get("in_doubt:1:901"))
    first_waits = [float(wait) for wait in record["waits"].split()]
    assert world.arrived[code] - world.began[code] <= 0
    assert world.system.now - world.arrived[code] >= 60 * SECOND - sum(first_waits) * SECOND - 4 * SECOND


def test_an_internal_error_waits_while_look_ups_are_known_to_lag(world: DoubtWorld) -> None:
    """A sample accepted before it is not found yet, so its own 104 shows nothing."""
    a_code_each_second(world, 70)
    world.gateway.lag_ms = 30_000
    world.fate = by_chance(1, (Fate.LOST_AFTER, 0.2))
    a_code_each_second(world, 10)
    world.fate = lambda _: Fate.REFUSED_AFTER
    (code,) = world.send()
    world.run(1)
    world.fate = lambda _: Fate.ACCEPTED
    a_code_each_second(world, 100)

    assert (1, Status.SENT) == (len(world.gateway.copies[code]), world.statuses()[code])
    assert [] == world.twice


def test_a_message_that_was_resent_and_is_refused_is_still_retried(world: DoubtWorld) -> None:
    """The one resend and the retries of a refusal are counted apart."""
    a_code_each_second(world, 70)
    fates = iter([Fate.LOST_BEFORE, Fate.REFUSED, Fate.ACCEPTED])
    mine: set[str] = set()
    world.fate = lambda one: next(fates) if one in mine else Fate.ACCEPTED
    mine |= set(world.send())
    a_code_each_second(world, 40)
    (code,) = mine
    assert (1, "3") == (len(world.gateway.copies[code]), world.record(code)["attempt"])


# The breaker.


def test_what_was_learned_expires_when_the_breaker_opens(world: DoubtWorld) -> None:
    """After an outage the index may be behind, so a message must be found again before a 104 is believed."""
    a_code_each_second(world, 70)
    assert world.visibility.delay_ms > 0
    world.open()
    world.run(2)
    world.close()
    world.tick()
    assert 0 == world.visibility.delay_ms


def test_all_doubts_are_looked_up_when_the_breaker_closes(world: DoubtWorld) -> None:
    """Not in fifteen minutes, when their next look-up was planned; and none while it is open."""
    world.fate = lambda _: Fate.LOST_AFTER
    world.gateway.lag_ms = 500_000
    codes = world.send(30)
    world.run(460, 5_000)
    assert {Status.IN_DOUBT} == set(world.statuses().values())
    world.open()
    before = len(world.gateway.look_ups)
    world.run(100, 5_000)
    assert before == len(world.gateway.look_ups)
    world.close()
    world.run(10)
    assert set(codes) == {one.message for one in world.gateway.look_ups[before:] if one.is_found}
    assert {Status.SENT} == set(world.statuses().values())


@pytest.mark.parametrize("outage", [30, *also_slow(10, 300)])
def test_a_minute_after_an_outage_nothing_is_in_doubt(world: DoubtWorld, outage: int) -> None:
    """What was under way when it began is found, or is sent again as soon as a later message has been found."""
    a_code_each_second(world, 70)
    world.fate = by_chance(3, (Fate.LOST_BEFORE, 0.5), (Fate.LOST_AFTER, 0.5))
    world.send(20)
    world.tick()
    assert 20 == list(world.statuses().values()).count(Status.IN_DOUBT)
    world.open()
    world.run(outage, 1_000)
    world.fate = lambda _: Fate.ACCEPTED
    world.close()
    a_code_each_second(world, 60)
    assert {Status.SENT} == set(world.statuses().values())
    assert ([], []) == (world.twice, world.unproven)


# Lanes.


@pytest.mark.slow
def test_a_code_in_doubt_does_not_wait_behind_a_newsletter_in_doubt(world: DoubtWorld) -> None:
    """2,000 of lane 3 are due as well, for longer: the code's look-up is among the next 20."""
    world.fate = lambda _: Fate.LOST_AFTER
    world.gateway.lag_ms = 3_600 * SECOND
    for _ in range(21):
        world.send(99, lane=3)
        world.attempt(3)
    world.system.now += 4 * SECOND
    for _ in range(8):  # the rate of look-ups is used up, and most of them are due
        world.system.now += 250
        world.resolve(3)
    (code,) = world.send()
    world.attempt(1)
    world.system.now += 5 * SECOND - 100
    while world.resolve(3):
        pass
    world.system.now += 100  # the code falls due now
    before = len(world.gateway.look_ups)
    waiting = world.system.sync.zcount(keys.DOUBT[3], "-inf", world.system.now)
    assert waiting > 1_500
    for _ in range(5):  # the worst order: a round of lane 1 is the last in each quarter of a second
        world.system.now += 50
        while world.resolve(3):
            pass
    world.resolve(1)

    after = [one.message for one in world.gateway.look_ups[before:]]
    assert code in after
    assert after.index(code) < 20


# Any order.

STEPS = some.lists(
    some.one_of(
        some.tuples(some.just("send"), some.sampled_from([*Fate])),
        some.tuples(some.just("send"), some.sampled_from([Fate.LOST_AFTER, Fate.LOST_BEFORE, Fate.ACCEPTED])),
        some.tuples(some.just("wait"), some.sampled_from([1, 1, 3, 10, 60])),
        some.tuples(some.just("lag"), some.sampled_from([0, 1_000, 30_000])),
        some.tuples(some.just("hide"), some.booleans()),
        some.tuples(some.just("breaker"), some.booleans()),
    ),
    min_size=4,
    max_size=30,
)


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
@pytest.mark.slow
def test_in_any_order_nothing_is_sent_a_third_time_and_nothing_without_proof(
    system: System, steps: list[tuple[str, object]]
) -> None:
    """Lost, accepted, hidden, found late, workers that die, outages: at most one resend, each of them proven.

    While the gateway finds everything in order, no message arrives twice.  Responses of 901 for accepted messages
    are not part of this: their retries are bounded by the attempts of the code alone.
    """
    changes = {"doubt_delays_seconds": (5, 30, 60), "second_doubt": "unknown"}
    system.settings = system.settings.model_copy(update=changes)
    world, fates = DoubtWorld(system), dict[str, Fate]()
    world.fate = lambda one: fates.get(one, Fate.ACCEPTED)
    for verb, value in steps:
        if verb == "send":
            fate = Fate.LOST_AFTER if value is Fate.REFUSED_AFTER else Fate(str(value))
            (one,) = world.send(lane=1)
            fates[one] = fate
            world.tick()
        elif verb == "wait":
            world.run(int(str(value)), 1_000)
        elif verb == "lag":
            world.gateway.lag_ms = int(str(value))
        elif verb == "hide":
            world.gateway.hides = bool(value)
        elif value:
            world.open()
        elif world.is_open:
            world.close()
    if world.is_open:
        world.close()
    world.gateway.hides = False
    for _ in range(100):
        world.run(10, 5_000)
        if all(status in AT_REST | FINAL | {Status.SENT} for status in world.statuses().values()):
            break

    assert all(status in AT_REST | FINAL | {Status.SENT} for status in world.statuses().values())
    assert [] == world.unproven
    assert world.most_copies <= 2
    assert set(world.twice) <= world.gateway.hidden
    assert max(Counter(world.resent).values(), default=0) <= 1
