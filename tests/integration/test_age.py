"""The age of a lane is that of its oldest unsent message, whatever was done to it; all who report an age agree."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from prometheus_client import CollectorRegistry

from tests.properties.system import START, System, open_system
from tests.servers import RedisServer, typed
from threelane import Status
from threelane.contract.window import Windows, parse
from threelane.operations import age, doctor, health, screen
from threelane.operations.age import CAUSES, LaneAge
from threelane.operations.explain import explain
from threelane.operations.exporter import Fleet
from threelane.operations.finding import Grade
from threelane.store import keys
from threelane.store.waiting import Cause
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.identity import SILENT_MS
from threelane.worker.receipt.late import late
from threelane.worker.upkeep.forget_waits import forget_waits

TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
LOST = AttemptOutcome(OutcomeKind.LOST)
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")
CLOSED = Windows({"lane:3": parse("daily 10:00-20:00 UTC")})
OPENS = START + 2 * 3_600_000  # START is a Friday morning


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    assert client.ping()
    with open_system(redis_server, parts_per_second=100_000, doubt_delays_seconds="5") as made:
        yield made


def take(system: System, lane: int = 1, **fields: Any) -> str:
    return system.take(lane=lane, **fields)


def ages(system: System) -> dict[int, LaneAge]:
    return age.read(system.sync, system.now)


def oldest(system: System, lane: int = 1) -> tuple[float, str]:
    """Return the age of a lane and what its oldest message waits for."""
    one = ages(system)[lane]
    return one.oldest_seconds, one.cause


def number(system: System, lane: int = 1) -> dict[str, int]:
    """Return how many messages wait in a lane for each cause."""
    return {cause: waiting for cause, waiting in ages(system)[lane].causes.items() if waiting}


# -- what is done to a message does not make it younger --


def retried(system: System, one: str) -> None:
    system.attempt(one, REFUSED, lane=1)


def retried_and_released(system: System, one: str) -> None:
    retried(system, one)
    system.now += 30_000
    assert {1: [one]} == system.release()


def behind_a_hold(system: System, one: str) -> None:
    hold.put(system.sync, "sender:ACME", "wrong link", system.now)
    assert not system.claim(1, [one], "token").claimed


def behind_a_pause(system: System, one: str) -> None:
    hold.put(system.sync, "lane:1", "wrong link", system.now)
    assert system.claim(1, [one], "token").held


def left_to_a_newer_worker(system: System, one: str) -> None:
    system.sync.hset(keys.record(one), "schema", 99)
    assert not system.claim(1, [one], "token").claimed


def in_doubt(system: System, one: str) -> None:
    system.attempt(one, LOST, lane=1)


def back_from_doubt(system: System, one: str) -> None:
    in_doubt(system, one)
    system.now += 5_000
    assert {1: [one]} == system.start_look_up().answer({one: LookUp(Known.NOT_FOUND)})


def swept(system: System, _: str) -> None:
    for _ in range(3):
        system.now += 30_000
        system.sweep(dict.fromkeys(keys.LANES, 0))


def lost_with_its_worker(system: System, one: str) -> None:
    assert system.claim(1, [one], "token").claimed
    system.now += system.settings.lease_ms
    assert [one] == system.lapse()


def put_back(system: System, one: str) -> None:
    system.attempt(one, AttemptOutcome(OutcomeKind.NOT_TRIED), lane=1)


def under_way(system: System, one: str) -> None:
    system.now += 20_000
    assert system.claim(1, [one], "token").claimed


def nothing(_: System, __: str) -> None:
    pass


DONE: dict[Callable[[System, str], None], str] = {
    nothing: "queued",
    retried: "retry",
    retried_and_released: "requeued",
    behind_a_hold: "hold",
    behind_a_pause: "hold",
    left_to_a_newer_worker: "newer",
    in_doubt: "in_doubt",
    back_from_doubt: "requeued",
    swept: "swept",
    lost_with_its_worker: "in_doubt",
    put_back: "queued",
    under_way: "sending",
}


@pytest.mark.parametrize("done", DONE, ids=lambda done: done.__name__)
def test_a_message_is_as_old_as_its_accept_whatever_was_done_to_it(
    system: System, done: Callable[[System, str], None]
) -> None:
    """A sweep, a retry or a hold made it young, and no alert could fire."""
    accepted_at, one = system.now, take(system, sender="ACME")
    system.now += 1_000
    done(system, one)
    system.now += 40_000

    assert ((system.now - accepted_at) / 1000, DONE[done]) == oldest(system)
    assert {DONE[done]: 1} == number(system)
    assert (done is not under_way) == ages(system)[1].waiting


@pytest.mark.parametrize("done", [done for done in DONE if done is not nothing], ids=lambda done: done.__name__)
def test_a_message_that_was_sent_has_no_age(system: System, done: Callable[[System, str], None]) -> None:
    """However long it took."""
    one = take(system, sender="ACME")
    done(system, one)
    system.sync.delete(keys.HOLDS)
    system.sync.hdel(keys.record(one), "schema")
    for _ in range(3):
        system.now += 61_000
        system.lapse()
        pending = system.start_look_up()
        pending.answer(dict.fromkeys(pending.queried, LookUp(Known.NOT_FOUND)))
        system.release()
    system.attempt(one, TAKEN, lane=1)

    assert ((0.0, ""), {}) == (oldest(system), number(system))
    assert not system.sync.exists(keys.WAITING)
    assert "waiting" not in system.glance([one]).records[one]


def test_the_plain_path_writes_no_notes(system: System) -> None:
    """What is accepted, claimed and sent, or released in its time, costs nothing more."""
    now, later = take(system), take(system, delay=60)
    system.attempt(now, TAKEN, lane=1)
    system.now += 60_200
    system.release()
    system.attempt(later, TAKEN, lane=1)

    assert not system.sync.exists(keys.WAITING)


def test_a_scheduled_message_has_no_age_until_it_is_due(system: System) -> None:
    """Then it counts from its time, also while no worker releases it, and after a late release."""
    one = take(system, delay=60)
    system.now += 60_000 - 1
    assert ((0.0, ""), 0) == (oldest(system), ages(system)[1].waiting)
    system.now += 30_001
    assert ((30.0, "scheduled"), 1) == (oldest(system), ages(system)[1].waiting)
    system.release()
    system.now += 5_000
    assert ((35.0, "requeued"), {"requeued": 1}) == (oldest(system), number(system))
    system.attempt(one, TAKEN, lane=1)
    assert (0.0, "") == oldest(system)


def test_a_deferred_message_is_due_when_its_window_opens(system: System) -> None:
    """It waits, and is shown with its cause; nobody could have sent it before."""
    one = take(system, lane=3, sender="ACME")
    retry_first = take(system, lane=3, sender="ACME")
    system.attempt(retry_first, REFUSED)
    system.now += 20_000
    system.release()
    assert [] == system.defer(CLOSED, 3, [one, retry_first])
    assert ((0.0, ""), {"window": 2}, 0) == (oldest(system, 3), number(system, 3), ages(system)[3].waiting)
    system.now = OPENS
    system.release()
    system.now += 3_000

    assert ((3.0, "queued"), {"queued": 2}) == (oldest(system, 3), number(system, 3))


def test_a_redriven_message_counts_from_its_redrive(system: System) -> None:
    """Its producer heard that it was dead; and what is done to it afterwards does not change that either."""
    one = take(system)
    system.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, "113"), lane=1)
    system.now += 3_600_000
    assert (0.0, "") == oldest(system)
    assert 1 == system.redrive("113")["redriven"]
    system.now += 1_000
    assert (1.0, "queued") == oldest(system)
    system.attempt(one, REFUSED, lane=1)
    system.now += 1_000

    assert (2.0, "retry") == oldest(system)


def test_a_message_that_was_moved_counts_from_its_new_time(system: System) -> None:
    """Its caller wants it then."""
    one = take(system)
    system.attempt(one, REFUSED, lane=1)
    system.move(one, system.now + 60_000)
    system.now += 59_000
    assert ((0.0, ""), {}) == (oldest(system), number(system))
    system.now += 3_000

    assert (2.0, "scheduled") == oldest(system)


def test_a_cancelled_message_has_no_age(system: System) -> None:
    """Wherever it waited."""
    one = take(system)
    system.attempt(one, REFUSED, lane=1)
    system.cancel([one])
    system.now += 60_000

    assert ((0.0, ""), 0) == (oldest(system), system.sync.exists(keys.WAITING))


def test_each_lane_has_its_own_age_and_its_causes(system: System) -> None:
    """A code is not hidden behind newsletters, nor they behind it."""
    for lane, outcome in ((3, REFUSED), (2, LOST), (1, REFUSED)):
        for _ in range(lane):
            system.attempt(take(system, lane), outcome, lane)
        take(system, lane)
        system.now += 1_000

    assert {
        1: (1.0, 2, {"queued": 1, "retry": 1}),
        2: (2.0, 3, {"queued": 1, "in_doubt": 2}),
        3: (3.0, 4, {"queued": 1, "retry": 3}),
    } == {lane: (one.oldest_seconds, one.waiting, number(system, lane)) for lane, one in ages(system).items()}


def test_a_note_that_an_earlier_worker_left_is_forgotten(system: System) -> None:
    """It sent the message and does not know the note, which would grow old for ever."""
    sent, waits = take(system), take(system)
    for one in (sent, waits):
        system.attempt(one, REFUSED, lane=1)
    system.sync.hset(keys.record(sent), "status", "sent")
    system.sync.zrem(keys.DUE[1], sent)
    assert {"retry": 2} == number(system)
    assert [1, 0] == [system.run(forget_waits(system.client)) for _ in range(2)]

    assert {"retry": 1} == number(system)


# -- all who report an age read it here --


def gauges(client: redis.Redis) -> dict[tuple[str, ...], float]:
    """Return the gauges of waiting messages, by name and label values."""
    registry = CollectorRegistry()
    registry.register(Fleet(client))
    return {
        (sample.name, *(value for label, value in sample.labels.items() if label != "account")): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if metric.name in ("threelane_lane_oldest_seconds", "threelane_waiting")
    }


def reports(system: System, now: int) -> None:
    """Let a worker report, so that only ages are a problem."""
    system.sync.hset(keys.worker("w1"), mapping={"beat": now, "fetched": now, "lanes": "1,2,3"})
    system.sync.zadd(keys.WORKERS, {"w1": now})


def seen_by_all(system: System, environment: dict[str, str]) -> dict[str, Any]:
    """Return what each report has of lane 1 at this moment of the machine's clock."""
    system.now = int(time.time() * 1000)
    reports(system, system.now)
    top = json.loads(typed("top", "--json", environment=environment).stdout)["lanes"]["1"]
    checked = typed("health", "--worker", "w1", environment=environment)
    (finding,) = [one for one in doctor.diagnose(system.sync, system.now, LEGACY) if one.what == "lane 1"]
    return {
        "oldest": round(gauges(system.sync)["threelane_lane_oldest_seconds", "1"]),
        "top": (top["waiting"], round(top["oldest_seconds"]), top["oldest_cause"]),
        "health": checked.returncode,
        "printed": checked.stderr,
        "doctor": (finding.grade, finding.detail),
    }


def test_a_lane_that_moves_nothing_grows_old_although_it_is_swept(
    system: System, redis_server: RedisServer, client: redis.Redis
) -> None:
    """For 165 seconds the gauge never rose above 24, health was good, and no alert could fire."""
    system.now = int(time.time() * 1000) - 165_000
    started, one = system.now, take(system)
    sweeps = 0
    while system.now < started + 165_000:
        system.now += 5_000
        sweeps += bool(system.sweep(dict.fromkeys(keys.LANES, 0)))
        assert (system.now - started) / 1000 == oldest(system)[0]
    assert sweeps > 2
    assert system.now - 60_000 < float(client.zscore(keys.QUEUED[1], one) or 0), "the sweep renewed its place"
    seen = seen_by_all(system, {"THREELANE_REDIS_URL": redis_server.url})

    assert 165 <= seen["oldest"] < 225
    assert (1, seen["oldest"], "swept") == (seen["top"][0], pytest.approx(seen["top"][1], abs=30), seen["top"][2])
    assert 8 == seen["health"]
    assert "lane 1" in seen["printed"]
    assert Grade.ERROR is seen["doctor"][0]


def test_a_code_behind_a_hold_is_late_and_seen_by_all(
    system: System, redis_server: RedisServer, client: redis.Redis
) -> None:
    """For 75 seconds there was no event, top had none waiting, and doctor found that nothing waits."""
    system.now = int(time.time() * 1000) - 75_000
    one = take(system, sender="ACME", producer="shop")
    behind_a_hold(system, one)
    published = []
    for _ in range(15):
        system.now += 5_000
        system.release()
        system.claim(1, [one], "token")
        published += system.run(late(system.client, system.settings.keeping.late, system.now))
    assert [one] == published
    seen = seen_by_all(system, {"THREELANE_REDIS_URL": redis_server.url})

    assert 75 <= seen["oldest"] < 135
    assert (1, "hold") == (seen["top"][0], seen["top"][2])
    assert (8, Grade.ERROR) == (seen["health"], seen["doctor"][0])
    assert "hold" in seen["printed"]
    assert "hold" in seen["doctor"][1]


def test_a_worker_that_fetches_nothing_is_reported_although_the_lane_is_swept(system: System) -> None:
    """Each sweep renewed the place of its messages, so that none seemed to wait for a minute."""
    take(system, lane=2)
    reports(system, system.now)
    swept(system, "")
    system.sync.hset(keys.worker("w1"), "beat", system.now)

    assert "fetched nothing" in health.reported(system.sync, "w1", system.now).problem


def test_the_silence_of_workers_whose_reports_redis_refuses_calls_for_no_restart(system: System) -> None:
    """Every planned failover refuses writes for a while: whoever restarted each worker then would stop a fleet."""
    reports(system, system.now)
    later = system.now + SILENT_MS + 1_000
    assert "it is down" in health.reported(system.sync, "w1", later).problem
    system.sync.config_set("min-replicas-to-write", 1)
    try:
        problem, reason = health.reported(system.sync, "w1", later)
        findings = [*doctor._workers(system.sync, later, 1, system.space)]
    finally:
        system.sync.config_set("min-replicas-to-write", 0)

    assert ("", True) == (problem, reason.endswith("(NOREPLICAS)"))
    assert [] == [one.step for one in findings if "restart it" in one.step or "start one" in one.step]


def test_a_worker_elsewhere_that_may_not_send_calls_for_no_restart(system: System) -> None:
    """As its own probe reports; a new password, not a restart, ends it."""
    reports(system, system.now)
    system.sync.hset(keys.worker("w1"), "not_ready", "the gateway refuses its credentials")

    assert ("", "worker w1 is not ready: the gateway refuses its credentials") == health.reported(
        system.sync, "w1", system.now
    )


def test_the_gauge_has_each_lane_and_cause_from_the_first_scrape(client: redis.Redis) -> None:
    """A series that appears with its first message has no rate and no absence."""
    found = gauges(client)

    assert {("threelane_waiting", str(lane), cause): 0.0 for lane in keys.LANES for cause in CAUSES} == {
        name: value for name, value in found.items() if name[0] == "threelane_waiting"
    }
    assert set(map(str, Cause)) < set(CAUSES)
    assert {str(Status.QUEUED), str(Status.SCHEDULED), str(Status.SENDING)} < set(CAUSES)


def test_the_story_of_a_message_has_since_when_and_why_it_waits(
    system: System, redis_server: RedisServer, client: redis.Redis
) -> None:
    """An operator who looks at one message sees the same age."""
    system.now = int(time.time() * 1000) - 60_000
    accepted_at, one = system.now, take(system)
    system.attempt(one, REFUSED, lane=1)
    system.now += 7_000
    story = explain(client, one, system.now, system.settings)

    assert story is not None
    assert (accepted_at, "retry") == (story.waiting_since, story.waiting_cause)
    printed = typed("explain", one, environment={"THREELANE_REDIS_URL": redis_server.url}).stdout
    assert "waits since" in printed
    system.release()
    system.now += 60_000
    system.release()
    system.attempt(one, TAKEN, lane=1)
    story = explain(client, one, system.now, system.settings)
    assert story is not None
    assert (0, "") == (story.waiting_since, story.waiting_cause)


def test_the_screen_agrees_with_the_gauges(system: System) -> None:
    """Terminal and console read the same."""
    for outcome in (REFUSED, LOST):
        system.attempt(take(system), outcome, lane=1)
    take(system)
    system.now += 7_000
    lane = screen.read(system.sync, system.now).lanes[1]

    assert (3, 7.0, {"queued": 1, "retry": 1, "in_doubt": 1}) == (lane.waiting, lane.oldest_seconds, lane.causes)
