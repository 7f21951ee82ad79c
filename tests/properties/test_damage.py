"""Damage: whatever happens to a stored record, no round fails at it, none meets it twice, and its neighbour is sent."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties.system import System, open_system
from tests.servers import RedisServer
from threelane.contract import window
from threelane.contract.window import Windows
from threelane.operations import age, doctor, explain, forecast
from threelane.store import find, keys, readable, scripts, status
from threelane.store.find import Filter
from threelane.store.record import Field
from threelane.store.states import FINAL, Status
from threelane.worker.account import balance
from threelane.worker.dead import redrive
from threelane.worker.doubt.resolve import resolve
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.receipt.late import late
from threelane.worker.receipt.poll import poll
from threelane.worker.send.blame import blame
from threelane.worker.send.settle import Settlement
from threelane.worker.upkeep.adopt import adopt
from threelane.worker.upkeep.erase import erase, erase_old
from threelane.worker.upkeep.expire import expire

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "30"))
ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="0" * 32)
LOST = AttemptOutcome(OutcomeKind.LOST)
SECOND, HOUR = 1000, 3600_000
NUMBER, OTHER = "27831234567", "27837654321"
CLOSED = Windows({"lane:3": window.parse("daily 03:00-03:01 Europe/Berlin")})

ODD = (
    *(b"", b"x", b"-1", b"9", b"1e999", b"nan", b"inf", b"1.5", b"9" * 30, b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80"),
    *(b"{", b"{}", b"[" * 5000, b"{" * 5000, b'{"id":1}', b"null", b"{\xff}"),
    b'{"to":[],"lane":{},"expires_at":"x","parts":1e999}',
)
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(ODD),
)
FIELDS = st.sampled_from([*map(str, Field), "of_a_newer_version"])
DAMAGE = st.one_of(
    st.tuples(st.just("set"), FIELDS, VALUES),
    st.tuples(st.just("drop"), FIELDS, st.just(b"")),
    st.tuples(st.sampled_from(["string", "list", "zset", "stream"]), st.just(""), VALUES),
)


class Silent:
    """A gateway that is away."""

    can_look_up = True
    look_ups_per_request = 99

    async def look_up_many(self, ids: list[str]) -> list[LookUp]:
        return [LookUp(Known.FAILED)] * len(ids)

    async def look_up(self, _: str) -> LookUp:
        return LookUp(Known.FAILED)

    status = look_up


def harm(client: redis.Redis, message_id: str, damage: tuple[str, str, bytes]) -> None:
    kind, field, value = damage
    key = keys.record(message_id)
    if kind == "set":
        client.hset(key, field, value)
    elif kind == "drop":
        client.hdel(key, field)
    else:
        client.delete(key)
        match kind:
            case "string":
                client.set(key, value or b"x")
            case "list":
                client.rpush(key, value)
            case "zset":
                client.zadd(key, {value: 1})
            case _:
                client.xadd(key, {b"x": value})


def is_damaged(client: redis.Redis, message_id: str) -> bool:
    """Return whether a record is unreadable, as Python decides it."""
    found = readable.read(client, message_id) or {}
    if found.get(Field.CODE) == readable.CODE:
        return True
    try:
        return bool(found.get(Field.BODY)) and not readable.body_of(found[Field.BODY].encode(), message_id)
    except readable.UnreadableBody:
        return True


def scheduled(system: System) -> list[str]:
    return [system.take(lane=3, delay=60, to=to, clientMessageId=to) for to in (NUMBER, OTHER)]


def queued(system: System) -> list[str]:
    return [system.take(lane=3, to=to, clientMessageId=to) for to in (NUMBER, OTHER)]


def sending(system: System) -> list[str]:
    ids = queued(system)
    system.claim(3, ids[:1], "t")
    return ids


def in_doubt(system: System) -> list[str]:
    ids = queued(system)
    system.attempt(ids[0], LOST)
    return ids


def sent(system: System) -> list[str]:
    ids = queued(system)
    system.attempt(ids[0], ACCEPTED)
    return ids


STARTS: tuple[Callable[[System], list[str]], ...] = (scheduled, queued, sending, in_doubt, sent)


def rounds(system: System, ids: list[str]) -> dict[str, Callable[[], Any]]:
    """Every round of a worker but the claim, and everything that reads a record."""
    client, own = system.sync, system.settings
    damaged = ids[0]
    gateway: Any = Silent()
    return {
        "release": system.release,
        "lapse": system.lapse,
        "resolve": lambda: system.run(resolve(system.client, gateway, own, 3, system.now)),
        "poll": lambda: system.run(poll(system.client, gateway, own, 3, system.now)),
        "receive": lambda: system.receive([StatusReport(damaged, "", "003", Status.SENT, 5)]),
        "late": lambda: system.run(late(system.client, 1000, system.now)),
        "expire": lambda: system.run(expire(system.client, HOUR, system.now)),
        "sweep": lambda: system.sweep(dict.fromkeys(keys.LANES, 0)),
        "adopt": lambda: system.run(adopt(system.client, system.now)),
        "defer": lambda: system.defer(CLOSED, 3, [damaged]),
        "erase_old": lambda: system.run(erase_old(system.client, own, system.now)),
        "balance": lambda: system.run(balance._next_costs(system.client, system.space)),
        "status": lambda: status.read(client, ids),
        "search": lambda: [*find.search(client, Filter()), *find.dead(client, Filter()), *find.term(client, damaged)],
        "cancellable": lambda: list(find.cancellable(client, Filter(to=OTHER))),
        "explain": lambda: explain.explain(client, damaged, system.now, own),
        "content": lambda: (explain.content(client, damaged), explain.damaged(client, damaged)),
        "groups": lambda: redrive.dead_groups(client, system.now),
        "plan": lambda: redrive.plan(client, Filter(), system.now),
        "doctor": lambda: list(doctor.diagnose(client, system.now, LEGACY)),
        "age": lambda: age.read(client, system.now),
        "forecast": lambda: forecast.read(client, system.now),
        "move": lambda: system.move(damaged, system.now + HOUR),
    }


@pytest.fixture(scope="module")
def shared(redis_server: RedisServer) -> Iterator[System]:
    with open_system(redis_server, parts_per_second=100_000, erase_after_days=1) as made:
        yield made


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_record_costs_its_own_message_only(shared: System, data: st.DataObject) -> None:
    """No round and no reader fails; the damaged message ends aside, and the other one is sent once."""
    system = shared
    system.empty()
    start = data.draw(st.sampled_from(STARTS))
    damaged, healthy = start(system)
    for one in data.draw(st.lists(DAMAGE, min_size=1, max_size=2)):
        if system.sync.type(keys.record(damaged)) == b"hash":
            harm(system.sync, damaged, one)
    unreadable = is_damaged(system.sync, damaged)
    found: list[str] = []
    scripts.on_damage.append(lambda message_id, _: found.append(message_id))
    try:
        works = rounds(system, [damaged, healthy])
        for name in data.draw(st.permutations(sorted(works))):
            works[name]()
        _serve(system, [damaged, healthy])
        for work in works.values():
            work()
        system.now += 2 * 60 * SECOND  # leases lapse, look-ups are due
        _serve(system, [damaged, healthy])
        for work in works.values():
            work()
    finally:
        scripts.on_damage.pop()

    assert b"sent" == system.sync.hget(keys.record(healthy), Field.STATUS)
    assert b"1" == system.sync.hget(keys.record(healthy), Field.ATTEMPT)
    assert found in ([], [damaged])
    if found:
        _assert_aside(system, damaged)
    elif start is queued:  # a claim reads all of a record; what no round reads of another, harms none
        assert not unreadable or not is_damaged(system.sync, damaged)


def _serve(system: System, ids: list[str]) -> None:
    """Do what a worker does with the messages that wait, the damaged one first."""
    system.release()
    claims = system.claim(3, ids, "mine")
    if claims.faulty:
        system.run(blame(system.client, 3, claims.faulty, system.settings, system.now))
    system.settle([Settlement(one, ACCEPTED, system.judge(one, ACCEPTED)) for one in claims.claimed])


def _assert_aside(system: System, message_id: str) -> None:
    """It is readable again, and a dead letter, or ended; or a receipt has shown that it was sent."""
    record = readable.read(system.sync, message_id) or {}
    at = Status(record[Field.STATUS])
    assert at in {Status.DEAD, Status.SENT, *FINAL}
    if Field.ERASED not in record:
        assert (readable.CODE, True) == (record[Field.CODE], record[Field.TEXT].startswith("damaged record: "))
    assert system.sync.zscore(keys.DAMAGED, message_id)
    indexes = [*keys.indexes_of(*keys.INDEXES), keys.EXPECTED, keys.LATE]
    held = [index for index in indexes if system.sync.zscore(index, message_id) is not None]
    assert {Status.DEAD: [keys.DEAD], Status.SENT: [keys.AWAITING[3]]}.get(at, []) == held


@settings(max_examples=EXAMPLES // 2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_command_on_a_damaged_record_has_an_answer(shared: System, data: st.DataObject) -> None:
    """A repeat, a rehearsal, a cancellation, a redrive and an erasure, each as the first to meet it."""
    system = shared
    system.empty()
    damaged, healthy = data.draw(st.sampled_from(STARTS))(system)
    harm(system.sync, damaged, data.draw(DAMAGE))
    named = is_damaged(system.sync, damaged) and NUMBER.encode() in (system.sync.dump(keys.record(damaged)) or b"")
    repeat = system.draft(to=NUMBER, lane=3, clientMessageId=NUMBER)
    commands: dict[str, Callable[[], Any]] = {
        "repeat": lambda: system.accept([repeat, system.draft(to=OTHER, lane=3)]),
        "rehearse": lambda: system.rehearse(repeat),
        "cancel": lambda: system.cancel([damaged]),
        "redrive": lambda: redrive.redrive_ids(system.sync, _NoNudger(), [damaged], system.now),  # type: ignore[arg-type]
        "erase": lambda: erase(system.sync, NUMBER, HOUR, system.now, stop=True),
    }
    for name in data.draw(st.permutations(sorted(commands))):
        assert commands[name]()
    erased = erase(system.sync, NUMBER, HOUR, system.now, stop=True)
    assert 0 == erased.waiting
    if named and erased.complete and system.sync.type(keys.record(damaged)) == b"hash":
        held: Any = system.sync.hgetall(keys.record(damaged))
        assert NUMBER.encode() not in b" ".join(value for name, value in held.items() if name in (b"damaged", b"to"))
    _serve(system, [healthy])
    system.now += HOUR
    _serve(system, [healthy])
    assert b"sent" == system.sync.hget(keys.record(healthy), Field.STATUS)


class _NoNudger:
    def publish(self, lane: int, ids: list[str], _account: str) -> bool:
        return bool(lane and ids)
