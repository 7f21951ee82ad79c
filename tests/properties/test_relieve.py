"""Relieve: whose messages a stand-by looks at, in which order, and how many it takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
import redis

from tests.properties.system import System, open_system
from tests.properties.test_damaged_rows import retype
from tests.properties.test_stand_by import ACME, BANK, places, record, take
from tests.servers import RedisServer
from threelane.contract.accounts.account import Account
from threelane.contract.accounts.routing import Routing
from threelane.operations import accounts as listed
from threelane.store import accounts, keys, rows
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.process.identity import SILENT_MS
from threelane.worker.send.settle import Settlement
from threelane.worker.standby.ability import ABSENT_MS
from threelane.worker.standby.relieve import READ_EVERY_MS, Relief

RATE = 3  # parts a second: room for 30 messages


@pytest.fixture
def systems(redis_server: RedisServer, client: redis.Redis) -> Iterator[dict[str, System]]:
    """Systems of two accounts that are published, each with a worker that reports."""
    with ExitStack() as opened:
        made = {}
        for place, account in enumerate((ACME, BANK)):
            changes: dict[str, Any] = {"account": account, "parts_per_second": RATE}
            made[account] = opened.enter_context(open_system(redis_server, **changes))
            made[account]._drafts = 1_000 * place
            beat(made[account])
        accounts.publish(client, Routing(accounts={one: Account(name=one, gateway="http") for one in made}))
        yield made


def beat(system: System, **fields: str) -> None:
    """Let a worker of an account report."""
    name = f"worker-of-{system.space.account}"
    report = {"beat": system.now, "account": system.space.account, "gateway": "gate", "fingerprint": "login"} | fields
    system.sync.hset(keys.worker(name), mapping=report)
    system.sync.zadd(keys.WORKERS, {name: system.now})


def relieve(system: System, relief: Relief, lanes: Sequence[int] = keys.LANES) -> dict[int, list[str]]:
    """Do a round of a worker of the stand-by: it is its turn."""
    system.sync.delete(*system.names.STAND_BY_TURN.values())
    found: dict[int, list[str]] = system.run(relief.relieve(system.client, system.settings, lanes, system.now))
    return found


def test_nothing_moves_while_its_account_sends(systems: dict[str, System]) -> None:
    """The stand-by is idle then."""
    take(systems[ACME])

    assert {} == relieve(systems[BANK], Relief())


def test_lane_1_moves_first_and_lower_lanes_as_far_as_there_is_room(systems: dict[str, System]) -> None:
    """The stand-by takes what it can send within ten seconds: the rest goes out by itself if its account recovers."""
    acme, bank = systems[ACME], systems[BANK]
    news = [take(acme) for _ in range(40)]
    code = take(acme, lane=1)
    acme.hold("account", 0)

    taken = relieve(bank, Relief())

    assert {1: [code], 3: news[:30]} == taken
    assert {} == relieve(bank, Relief()), "its lane is full"


def test_a_code_that_is_refused_for_want_of_credit_is_sent_by_its_stand_by(systems: dict[str, System]) -> None:
    """It would be a dead letter until the top-up; one without a stand-by is."""
    acme, bank = systems[ACME], systems[BANK]
    code, alone = take(acme, lane=1), acme.take(lane=1)
    refused = AttemptOutcome(OutcomeKind.REFUSED, "301", "no credit")
    claimed = acme.claim(1, [code, alone], "token").claimed
    acme.settle([Settlement(one, refused, acme.judge(one, refused)) for one in claimed])

    assert {1: [code]} == relieve(bank, Relief())
    assert [Status.QUEUED, Status.DEAD] == [Status(record(acme, one)["status"]) for one in (code, alone)]


def test_what_waits_for_a_retry_moves_too(systems: dict[str, System]) -> None:
    """Its wait was for a gateway that does not answer."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = take(acme)
    acme.attempt(message_id, AttemptOutcome(OutcomeKind.NOT_REACHED))
    assert Status.SCHEDULED == record(acme, message_id)["status"]
    acme.hold("account", 0)

    assert {3: [message_id]} == relieve(bank, Relief())
    assert [(BANK, Status.QUEUED)] == places(systems, message_id)


def test_messages_that_stay_do_not_hide_those_behind_them(systems: dict[str, System], monkeypatch: Any) -> None:
    """A route without a stand-by has ten thousand newsletters in the same lane."""
    acme, bank = systems[ACME], systems[BANK]
    monkeypatch.setattr("threelane.worker.standby.relieve.PAGE", 5)
    monkeypatch.setattr("threelane.worker.standby.relieve.PAGES", 2)
    for _ in range(33):
        acme.take()
    (message_id, relief) = take(acme), Relief()
    acme.hold("account", 0)

    rounds = [relieve(bank, relief) for _ in range(5)]

    assert [{}, {}, {}, {3: [message_id]}, {}] == rounds


def test_an_account_without_a_worker_is_relieved_after_a_while(systems: dict[str, System]) -> None:
    """A deployment, which replaces all workers, is waited for; the clock starts when they end, not at a message."""
    acme, bank, relief = systems[ACME], systems[BANK], Relief()
    acme.sync.zrem(keys.WORKERS, "worker-of-acme")
    relieve(bank, relief)
    message_id = take(acme)
    assert {} == relieve(bank, relief)

    bank.now += ABSENT_MS
    assert {3: [message_id]} == relieve(bank, Relief()), "another worker of the stand-by knows since when, too"

    beat(acme)
    acme.sync.zadd(keys.WORKERS, {"worker-of-acme": bank.now})
    bank.now += READ_EVERY_MS
    take(acme)
    assert {} == relieve(bank, relief)
    assert not any(name.startswith(b"acme") for name in acme.sync.hkeys(keys.ABSENT)), "acme is back"


@pytest.mark.parametrize("left", [{"serves": "2,3"}, {"lanes": "2,3"}, {"serves": "2,3", "lanes": ""}])
def test_a_lane_without_a_worker_is_relieved_while_workers_of_other_lanes_live(
    systems: dict[str, System], left: dict[str, str]
) -> None:
    """Login codes would wait for the worker of lane 1; the account sends its newsletters itself."""
    acme, bank, relief = systems[ACME], systems[BANK], Relief()
    code, _ = take(acme, lane=1), take(acme)
    for _ in range(2):
        assert {} == relieve(bank, relief)
        acme.now = bank.now = bank.now + ABSENT_MS
        beat(acme, **left)
    assert {1: [code]} == relieve(bank, Relief()), "another worker of the stand-by knows since when, too"

    acme.now = bank.now = bank.now + READ_EVERY_MS
    beat(acme, serves="1,2,3")
    take(acme, lane=1)
    assert {} == relieve(bank, relief)
    assert not any(name.startswith(b"acme") for name in acme.sync.hkeys(keys.ABSENT)), "its lane 1 is back"


def test_a_lane_whose_workers_are_out_of_order_is_relieved_by_itself(systems: dict[str, System]) -> None:
    """The workers of other lanes say nothing about it."""
    acme, bank = systems[ACME], systems[BANK]
    code, _ = take(acme, lane=1), take(acme)
    beat(acme, serves="1", fault="no route to the gateway")
    other = {"beat": acme.now, "account": ACME, "gateway": "gate", "serves": "2,3"}
    acme.sync.hset(keys.worker("other"), mapping=other)
    acme.sync.zadd(keys.WORKERS, {"other": acme.now})

    assert {1: [code]} == relieve(bank, Relief())


def test_an_earlier_version_and_this_one_know_together_since_when_an_account_has_no_worker(
    systems: dict[str, System],
) -> None:
    """It notes accounts without their lanes, and removes no others."""
    acme, bank = systems[ACME], systems[BANK]
    code = take(acme, lane=1)
    acme.sync.delete(keys.WORKERS)
    acme.sync.hset(keys.ABSENT, ACME, bank.now - ABSENT_MS)

    assert {1: [code]} == relieve(bank, Relief())
    assert str(bank.now - ABSENT_MS).encode() == acme.sync.hget(keys.ABSENT, ACME)


def test_what_becomes_due_in_an_account_without_a_worker_moves_too(systems: dict[str, System]) -> None:
    """Its own workers would release it; one that is not due yet waits for its time there."""
    acme, bank, relief = systems[ACME], systems[BANK], Relief()
    acme.sync.zrem(keys.WORKERS, "worker-of-acme")
    code, later = (take(acme, lane=1, delay=seconds) for seconds in (ABSENT_MS // 1000, 3600))
    relieve(bank, relief)

    bank.now += ABSENT_MS
    assert {1: [code]} == relieve(bank, relief)
    assert [(ACME, Status.SCHEDULED)] == places(systems, later)


def test_a_worker_without_a_broker_is_no_reason(systems: dict[str, System]) -> None:
    """Looks carry its messages; the stand-by has no broker either."""
    acme, bank, relief = systems[ACME], systems[BANK], Relief()
    take(acme)
    for _ in range(2):
        beat(acme, not_ready="the broker does not respond")
        assert {} == relieve(bank, relief)
        acme.now = bank.now = bank.now + ABSENT_MS

    beat(acme, no_login="the gateway does not answer its login")
    assert {} == relieve(bank, relief)
    acme.now = bank.now = bank.now + ABSENT_MS
    beat(acme)
    assert 1 == len(relieve(bank, relief)[3])


def test_a_worker_that_stopped_reporting_counts_as_gone(systems: dict[str, System]) -> None:
    """Its machine is off."""
    acme, bank, relief = systems[ACME], systems[BANK], Relief()
    message_id = take(acme)
    bank.now += SILENT_MS + 1
    assert {} == relieve(bank, relief)

    bank.now += ABSENT_MS
    assert {3: [message_id]} == relieve(bank, relief)


@pytest.mark.parametrize("damage", ["another type", "no time"])
def test_a_worker_whose_report_cannot_be_read_is_none_of_the_default_account(
    systems: dict[str, System], redis_server: RedisServer, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It may be of any account, or gone; health and doctor do not find it either."""
    bank, key, row = systems[BANK], keys.worker("damaged"), "" if damage == "another type" else "beat"
    with open_system(redis_server) as default:
        default._drafts = 2_000
        code = take(default, lane=1)
        default.sync.zadd(keys.WORKERS, {"damaged": bank.now})
        if damage == "another type":
            retype(default.sync, key, "list")
        else:
            default.sync.hset(key, mapping={"beat": "?", "gateway": "gate", "fingerprint": "login"})
        default.sync.hset(keys.ABSENT, "default", 1)
        rows._logged.discard((key, row))

        assert ["no worker"] == [one.state for one in listed.read(default.sync, bank.now) if one.name == "default"]
        assert {1: [code]} == relieve(bank, Relief())
        assert [{"key": key, "row": row}] == [one.fields for one in caplog.records if one.msg == "damaged_row"]


def test_a_drained_stand_by_takes_nothing(systems: dict[str, System], client: redis.Redis) -> None:
    """It takes nothing new, from whom ever."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = take(acme)
    acme.hold("account", 0)
    accounts.drain(client, BANK, "ops")
    assert {} == relieve(bank, Relief())

    accounts.use(client, BANK, "ops")
    assert {3: [message_id]} == relieve(bank, Relief())


def test_a_closed_lane_of_the_stand_by_takes_nothing(systems: dict[str, System]) -> None:
    """Its messages would wait there instead, and never go back."""
    acme, bank = systems[ACME], systems[BANK]
    take(acme)
    code = take(acme, lane=1)
    acme.hold("account", 0)

    assert {1: [code]} == relieve(bank, Relief(), [1])
    assert {} == relieve(bank, Relief(), [])


@pytest.mark.parametrize("holder", [ACME, BANK])
@pytest.mark.parametrize("scope", ["lane:2", "sender:ACME", "sender:ACME:ZA", "prefix:2783"])
def test_what_a_person_stopped_is_not_sent_by_the_stand_by(
    systems: dict[str, System], client: redis.Redis, scope: str, holder: str
) -> None:
    """An account without credit frees no newsletter that was stopped; one stopped in the stand-by would wait there."""
    acme, bank = systems[ACME], systems[BANK]
    stopped = take(acme, lane=2, sender="ACME")
    other = take(acme, to="264811234567")
    hold.put(client, scope, "a wrong text", acme.now, space=systems[holder].space)
    acme.hold("account", 0)

    assert {3: [other]} == relieve(
        bank, Relief(), [lane for lane in keys.LANES if (holder, scope, lane) != (BANK, "lane:2", 2)]
    )
    assert [(ACME, Status.QUEUED)] == places(systems, stopped)


def test_what_codes_of_messages_hold_in_one_account_may_be_sent_through_the_other(systems: dict[str, System]) -> None:
    """Its gateway may know the sender."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = take(acme, sender="ACME")
    acme.hold("sender:ACME", 0)
    acme.hold("account", 0)

    assert {3: [message_id]} == relieve(bank, Relief())


def test_one_worker_of_the_stand_by_at_a_time_takes_over(systems: dict[str, System]) -> None:
    """Ten of them would read the same queue ten times, and find room ten times."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = take(acme)
    acme.hold("account", 0)
    bank.sync.set(bank.names.STAND_BY_TURN[3], 1)

    assert {} == bank.run(Relief().relieve(bank.client, bank.settings, keys.LANES, bank.now))
    assert {3: [message_id]} == relieve(bank, Relief())


def test_a_worker_of_lower_lanes_does_not_take_the_turn_of_lane_1(systems: dict[str, System]) -> None:
    """Both look twice a second: the one that is first would stay it, and codes would wait as long."""
    acme, bank = systems[ACME], systems[BANK]
    news, code = take(acme), take(acme, lane=1)
    acme.hold("account", 0)

    found = [bank.run(Relief().relieve(bank.client, bank.settings, lanes, bank.now)) for lanes in ([2, 3], [1])]

    assert [{3: [news]}, {1: [code]}] == found


def test_a_lane_whose_credits_are_reserved_takes_nothing(systems: dict[str, System]) -> None:
    """Its messages would wait in the stand-by for a top-up, and their own account may send again before."""
    acme, bank = systems[ACME], systems[BANK]
    news, code = take(acme), take(acme, lane=1)
    acme.hold("account", 0)
    bank.settings = bank.settings.model_copy(update={"reserve_credits": (50.0, 10.0)})
    floor = bank.settings.floor(3)
    bank.sync.hset(bank.names.BALANCE, "left", floor)
    assert {1: [code]} == relieve(bank, Relief())

    bank.sync.hset(bank.names.BALANCE, "left", floor + 1_000_000)
    assert {3: [news]} == relieve(bank, Relief())


@pytest.mark.parametrize("name", ["queued:1", "queued:2", "waiting", "due:1", "due", "tally", "holds"])
def test_a_key_of_another_type_in_one_account_keeps_no_other_from_its_stand_by(
    systems: dict[str, System], redis_server: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Codes of all accounts would wait until a person removes it; those of its account do."""
    acme, bank, key = systems[ACME], systems[BANK], f"tl:{name}@{ACME}"
    with open_system(redis_server) as default:
        default._drafts = 2_000
        late, other, code = take(acme, lane=1, delay=1), take(acme, lane=3), take(default, lane=1)
        default.sync.delete(keys.WORKERS)
        default.sync.hset(keys.ABSENT, mapping={ACME: 1, "default": 1})
        retype(default.sync, key, "list")
        bank.now += 1_000
        rows._logged.discard((key, ""))

        assert {1: [code]} == relieve(bank, Relief())
        assert {key} == {one.fields["key"] for one in caplog.records if one.msg == "damaged_row"}
        assert not any(acme.sync.hexists(keys.record(one), "diverted") for one in (late, other))
