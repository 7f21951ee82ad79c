"""Damaged rows: an unreadable row of a stored table costs what it concerns, and nothing else fails at it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.system import System, open_system
from tests.properties.test_damage import ACCEPTED, HOUR, NUMBER, ODD, OTHER, SECOND, rounds
from tests.servers import RedisServer
from threelane.contract.message import Draft
from threelane.contract.refusal import Owner, Refusal
from threelane.operations import capacity, damage, doctor, screen
from threelane.operations.exporter import Fleet
from threelane.store import access, budgets, keys, registry, suppression, windows
from threelane.store.record import Field
from threelane.worker.account import balance, hold
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.send.settle import Settlement
from threelane.worker.webhooks import undelivered

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "30"))
PRODUCER, CENTRE = "shop", "sales"
HELD = b'{"code":"130","cause":"x","since":1,"until":0}'
JSON = (
    *(b"[]", b"[{}]", b"[1]", b'"x"', b"1", b"true", b'{"code":1,"cause":2,"since":"x","until":[]}'),
    *(
        b'{"limit":"x"}',
        b'{"limit":null}',
        b'{"limit":-1}',
        b'[{"source":1}]',
        b'[{"source":"x","code":"122","times":"x"}]',
    ),
    *(b'{"code":"1","cause":"","since":1e999,"until":0}', b'{"numbers":1,"first":{}}', b'{"webhook":1,"bypass":2}'),
)
VALUES = st.one_of(st.binary(max_size=30), st.sampled_from(ODD), st.sampled_from(JSON))
OTHER_TYPES = ("string", "list", "zset", "stream")
ROWS = (  # the tables, and the names of rows that a message of this test meets
    (
        keys.HOLDS,
        ("sender:ACME", f"prefix:{NUMBER[:6]}", "gateway:x", "credentials:x", "sender:ACME:ZA@shop", "\udcff"),
    ),
    (keys.SUSPECTS, ("sender:ACME", f"prefix:{OTHER[:6]}@{PRODUCER}", "account")),
    (keys.SUPPRESSED, (NUMBER, "x", "\udcff")),
    (keys.BUDGETS, ("centre:other:day", "producer:other:month", "x")),
    (keys.PRODUCERS, (PRODUCER, "\udcff")),
    (keys.RIGHTS, ("other", "\udcff")),
    (keys.API_KEYS, ("k1", "\udcff")),
    (keys.PRICES, ("ZA", "x", "\udcff")),
    (keys.REACH, ("*", "12025550100", "\udcff")),
    (keys.WINDOWS, ("lane:2", "tag:x", "\udcff")),
    (keys.HOLIDAYS, ("ZA:2026-12-25", "x", "\udcff")),
    (keys.BALANCE, ("credits", "left", "at", "floor:3", "since_credits", "drift", "lifted")),
    (keys.worker("w"), ("beat", "lanes", "rate", "fault", "gateway", "dropped", "served", "fetched")),
    (keys.worker("w"), ("beat",)),
    (keys.breaker("x"), ("opened", "closed", "next", "interval")),
    (keys.delivery(PRODUCER), ("1-0", "x", "\udcff")),
)
DAMAGED_ROWS = st.sampled_from(ROWS).flatmap(lambda one: st.tuples(st.just(one[0]), st.sampled_from(one[1]), VALUES))
INDEXES = (
    *keys.QUEUED.values(),
    *keys.DUE.values(),
    *keys.LEASES.values(),
    *keys.DOUBT.values(),
    *keys.AWAITING.values(),
    keys.DEAD,
    keys.EXPECTED,
    keys.LATE,
    keys.STOPPING,
    keys.WAITING,
    keys.WORKERS,
    keys.DAMAGED,
)


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer) -> Iterator[System]:
    with open_system(redis_server, parts_per_second=100_000, erase_after_days=1) as made:
        yield made


def spoil(client: redis.Redis, key: str, row: str, value: bytes) -> None:
    client.hset(key, row.encode(errors="surrogateescape"), value)
    if key == keys.worker("w"):
        client.zadd(keys.WORKERS, {"w": 1_800_000_000_000})
    if key == keys.delivery(PRODUCER):
        client.zadd(keys.undelivered(PRODUCER), {row.encode(errors="surrogateescape"): 1})


def retype(client: redis.Redis, key: str, kind: str) -> None:
    """Replace a key by one of another type."""
    client.delete(key)
    match kind:
        case "string":
            client.set(key, b"x")
        case "list":
            client.rpush(key, b"x")
        case "zset":
            client.zadd(key, {b"x": 1})
        case _:
            client.xadd(key, {b"x": b"y"})


def draft(system: System, to: str = OTHER, **more: Any) -> Draft:
    return system.draft(**{"to": to, "lane": 3, "from": "OK", "producer": PRODUCER, "costCentre": CENTRE} | more)


class AnsweringGateway:
    """A gateway with credit."""

    async def balance(self) -> float:
        return 5.0


def readers(system: System, ids: list[str]) -> dict[str, Callable[[], Any]]:
    """Everything that reads one of these tables."""
    client, now = system.sync, system.now
    gateway: Any = AnsweringGateway()
    return rounds(system, ids) | {
        "holds": lambda: hold.holds(client, now),
        "screen": lambda: screen.read(client, now),
        "capacity": lambda: capacity.read(client, now),
        "export": lambda: Fleet(client)._read(),
        "suppressed": lambda: [*suppression.every(client), suppression.why(client, NUMBER)],
        "keys": lambda: (access.list_keys(client), access.read(client, "k1", now)),
        "producers": lambda: (
            registry.read_all(client),
            registry.rights(client, PRODUCER),
            registry.read(client, PRODUCER),
        ),
        "budgets": lambda: list(budgets.usage(client, now)),
        "windows": lambda: windows.read(client),
        "rehearse": lambda: system.rehearse(draft(system)),
        "undelivered": lambda: list(undelivered.undelivered(client, PRODUCER)),
        "damage": lambda: list(damage.find(client)),
        "credit": lambda: system.run(balance.read(system.client, gateway, system.settings, now)),
    }


def send(system: System, message_id: str) -> bytes | None:
    """Do what a worker does; returns the state of the message."""
    claims = system.claim(3, [message_id], "mine")
    system.settle([Settlement(one, ACCEPTED, system.judge(one, ACCEPTED)) for one in claims.claimed])
    status: Any = system.sync.hget(keys.record(message_id), Field.STATUS)
    return bytes(status)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damages=st.lists(DAMAGED_ROWS, min_size=1, max_size=3))
def test_a_damaged_row_stops_no_message_that_it_does_not_concern(
    shared: System, damages: list[tuple[str, str, bytes]]
) -> None:
    """Any byte in a row of any table: accept, claim, settle, every round and every reader go on."""
    system = shared
    system.empty()
    for key, row, value in damages:
        spoil(system.sync, key, row, value)
    one = draft(system)
    (answer,) = system.accept([one])
    assert not isinstance(answer, Refusal), answer
    works = readers(system, [one.message.id, one.message.id])
    del works["defer"], works["move"], works["receive"]
    for work in works.values():
        work()
    assert b"sent" == send(system, one.message.id)
    for work in works.values():
        work()


@pytest.mark.parametrize(
    "key",
    [
        keys.BUDGETS,
        keys.HOLDS,
        keys.SUPPRESSED,
        *dict.fromkeys(key for key, _ in ROWS if key not in (keys.BUDGETS, keys.HOLDS, keys.SUPPRESSED)),
        keys.EVENTS,
    ],
)
@pytest.mark.parametrize("kind", OTHER_TYPES)
def test_a_table_of_another_type_stops_at_most_sending_until_it_is_removed(shared: System, key: str, kind: str) -> None:
    """Nothing raises; what protects money and recipients refuses, and the command that doctor names ends it."""
    if key == keys.EVENTS and kind == "stream":
        return
    system = shared
    system.empty()
    retype(system.sync, key, kind)
    first = draft(system)
    (answer,) = system.accept([first])
    refused = isinstance(answer, Refusal)
    assert (key in (keys.BUDGETS, keys.SUPPRESSED, keys.RIGHTS)) == refused
    if isinstance(answer, Refusal):
        assert Owner.OPERATOR == answer.owner
    else:
        assert (b"queued" if key == keys.HOLDS else b"sent") == send(system, first.message.id)
    works = readers(system, [first.message.id])
    del works["defer"], works["move"], works["receive"]
    for work in works.values():
        work()
    if key not in (keys.BUDGETS, keys.HOLDS, keys.SUPPRESSED, keys.RIGHTS):
        return
    (found,) = damage.find(system.sync)
    _run(system, found.command)
    later = draft(system)
    system.accept([later])
    system.now += 900 * SECOND  # after a hold the rate ramps up
    assert b"sent" == send(system, later.message.id)


def test_a_damaged_row_holds_or_refuses_what_it_concerns(shared: System) -> None:
    """What is safe is decided once for each table."""
    system = shared
    system.empty()
    waits = draft(system, **{"from": "ACME"})
    system.accept([waits])
    spoil(system.sync, keys.HOLDS, "sender:ACME", b"{")
    assert b"scheduled" == send(system, waits.message.id)

    queued = draft(system, to=NUMBER)
    system.accept([queued])
    spoil(system.sync, keys.SUPPRESSED, NUMBER, b"\xff")
    assert b"dead" == send(system, queued.message.id)
    assert [b"suppressed", b"operator"] == system.sync.hmget(keys.record(queued.message.id), ["reason", "owner"])
    (answer,) = system.accept([draft(system, to=NUMBER)])
    assert isinstance(answer, Refusal)
    assert (Owner.OPERATOR, True) == (answer.owner, "damaged" in answer.problem)

    spoil(system.sync, keys.BUDGETS, f"centre:{CENTRE}:day", b"null")
    limited, other = system.accept([draft(system), draft(system, costCentre="other")])
    assert isinstance(limited, Refusal)
    assert not isinstance(other, Refusal)
    assert (Owner.OPERATOR, True) == (limited.owner, "damaged" in limited.problem)

    spoil(system.sync, keys.RIGHTS, PRODUCER, b"\xff")
    assert registry.rights(system.sync, PRODUCER) is None
    (answer,) = system.accept([draft(system, costCentre="other")])
    assert isinstance(answer, Refusal)
    assert (Owner.OPERATOR, True) == (answer.owner, "damaged" in answer.problem)
    spoil(system.sync, keys.API_KEYS, "k1", b"{}")
    assert access.read(system.sync, "k1", system.now) is None


@pytest.mark.parametrize(
    ("key", "row"), [(key, row) for key, names in ROWS for row in names if key in {one.key for one in damage.TABLES}]
)
def test_doctor_names_each_damaged_row_with_the_command_that_removes_it(shared: System, key: str, row: str) -> None:
    """An operator needs no Redis client, even for a name that is not UTF-8."""
    system = shared
    system.empty()
    spoil(system.sync, key, row, b"\xff{")
    (found,) = damage.find(system.sync)
    steps = [one.step for one in doctor.diagnose(system.sync, system.now, LEGACY) if one.what == "damaged row"]
    assert [found.command] == steps
    _run(system, found.command)
    assert [] == list(damage.find(system.sync))


def test_a_row_that_can_be_read_is_not_removed(shared: System) -> None:
    """The command is for damage alone."""
    shared.empty()
    shared.sync.hset(keys.HOLDS, "account", HELD)
    with pytest.raises(ValueError, match="can be read"):
        damage.remove(shared.sync, keys.HOLDS, "account")
    assert 1 == shared.sync.hlen(keys.HOLDS)


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(index=st.sampled_from(INDEXES), member=st.one_of(st.binary(min_size=1, max_size=20), st.just(b"\xff\xfe")))
def test_a_member_of_an_index_that_is_no_id_stops_no_round(shared: System, index: str, member: bytes) -> None:
    """Its neighbour is sent."""
    system = shared
    system.empty()
    system.sync.zadd(index, {member: system.now - SECOND})
    one = draft(system)
    system.accept([one])
    works = readers(system, [one.message.id])
    del works["defer"], works["move"], works["receive"]
    for work in works.values():
        work()
    system.now += HOUR
    assert b"sent" == send(system, one.message.id)
    for work in works.values():
        work()


def _run(system: System, command: str) -> None:
    """Do what the command does."""
    match shlex.split(command):
        case ["threelane", "resume", scope]:
            assert hold.resume(system.sync, hold.parse_resumable(scope), system.now)
        case ["threelane", "damaged", "remove", key, *row]:
            assert damage.remove(system.sync, key, "".join(row)) is not None
        case other:
            raise AssertionError(other)


def test_a_suppressed_name_that_is_no_text_does_not_stop_the_daily_round(shared: System) -> None:
    """Its entries are readable, and none is in force; the others are still forgotten."""
    system = shared
    system.sync.flushall()
    system.sync.hset(keys.SUPPRESSED, b"\xff", "[]")
    system.sync.hset(keys.SUPPRESSED, "27831234567", "[]")
    system.run(suppression.forget_over(system.client, system.now))

    assert [b"\xff"] == system.sync.hkeys(keys.SUPPRESSED)
