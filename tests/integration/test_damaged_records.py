"""A damaged record stops no round for the others, and no round meets it twice."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest

from tests.properties.system import System
from threelane.store import keys
from threelane.store.keys import LANES
from threelane.store.scripts import ScriptError
from threelane.store.states import Status
from threelane.worker.doubt.resolve import resolve
from threelane.worker.gateway.outcome import NO_LOOK_UP, AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.receipt.late import late
from threelane.worker.receipt.look_up import look_up_many
from threelane.worker.receipt.poll import poll
from threelane.worker.send.settle import Settlement
from threelane.worker.upkeep.adopt import adopt
from threelane.worker.upkeep.expire import expire

ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="0" * 32)
LOST = AttemptOutcome(OutcomeKind.LOST)
HOUR = 3600_000


class Found:
    """A gateway that knows every message."""

    can_look_up = True
    look_ups_per_request = 99
    answer: Any = LookUp(Known.FOUND, "0" * 32, "004")

    async def look_up_many(self, ids: list[str]) -> list[LookUp]:
        return [self.answer] * len(ids)

    async def look_up(self, _: str) -> LookUp:
        return self.answer  # type: ignore[no-any-return]

    status = look_up


class Silent(Found):
    """A gateway that is away."""

    answer = LookUp(Known.FAILED)


def scheduled(system: System) -> list[str]:
    ids = [system.take(lane=3, delay=60) for _ in range(5)]
    system.now += HOUR
    return ids


def claimed(system: System) -> list[str]:
    ids = [system.take(lane=3) for _ in range(5)]
    system.claim(3, ids, "t")
    system.now += HOUR
    return ids


def in_doubt(system: System) -> list[str]:
    ids = [system.take(lane=3) for _ in range(5)]
    for one in ids:
        system.attempt(one, LOST)
    system.now += HOUR
    return ids


def sent(system: System, lane: int = 3) -> list[str]:
    ids = [system.take(lane=lane) for _ in range(5)]
    for number, one in enumerate(ids):
        system.attempt(one, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id=f"{number:032x}"), lane=lane)
    system.now += HOUR
    return ids


def queued(system: System, lane: int = 3) -> list[str]:
    ids = [system.take(lane=lane) for _ in range(5)]
    system.now += HOUR
    return ids


def old(system: System) -> list[str]:
    """In the index of an earlier version."""
    ids = scheduled(system)
    for one in ids:
        system.sync.zrem(keys.DUE[3], one)
        system.sync.zadd(keys.FORMER[Status.SCHEDULED], {one: 1})
    return ids


def _settle(system: System, ids: list[str]) -> None:
    claims = system.claim(3, ids, "t").claimed
    _damage_one(system, ids)
    system.settle([Settlement(one, ACCEPTED, system.judge(one, ACCEPTED)) for one in claims])


def _damage_one(system: System, ids: list[str]) -> None:
    system.sync.delete(keys.record(ids[2]))
    system.sync.set(keys.record(ids[2]), "x")


def _sweep(system: System, _: list[str]) -> None:
    for _ in range(2):
        system.now += HOUR
        system.sweep(dict.fromkeys(LANES, 0))


ROUNDS: dict[str, tuple[Callable[[System], list[str]], Callable[[System, list[str]], object], str]] = {
    "claim": (queued, lambda system, ids: system.claim(3, ids, "t"), "sending"),
    "settle": (queued, _settle, "sent"),
    "release": (scheduled, lambda system, _: system.release(), "queued"),
    "lapse": (claimed, lambda system, _: system.lapse(), "in_doubt"),
    "resolve": (
        in_doubt,
        lambda system, _: system.run(resolve(system.client, Silent(), system.settings, 3, system.now)),  # type: ignore[arg-type]
        "in_doubt",
    ),
    "poll": (
        sent,
        lambda system, _: system.run(poll(system.client, Found(), system.settings, 3, system.now)),  # type: ignore[arg-type]
        "delivered",
    ),
    "receipt": (
        sent,
        lambda system, ids: system.receive([StatusReport(one, "", "004", Status.DELIVERED) for one in ids]),
        "delivered",
    ),
    "late": (
        lambda system: queued(system, 1),
        lambda system, _: system.run(late(system.client, 1000, system.now)),
        "queued",
    ),
    "expire": (
        queued,
        lambda system, _: system.run(expire(system.client, HOUR, system.now + 9 * 24 * HOUR)),
        "expired",
    ),
    "sweep": (queued, _sweep, "queued"),
    "adopt": (old, lambda system, _: system.run(adopt(system.client, system.now)), "scheduled"),
}


@pytest.mark.parametrize("name", ROUNDS)
def test_what_is_no_record_stops_no_round_for_the_others(
    system: System, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Another program may have written its key; it is set aside with what the key held, and the log has it once."""
    caplog.set_level(logging.INFO, "threelane")
    make, work, expected = ROUNDS[name]
    ids = make(system)
    if name != "settle":
        _damage_one(system, ids)
    for _ in range(1 if name == "settle" else 3):  # it damages the record itself, between claim and settle
        work(system, ids)
    others = [one for one in ids if one != ids[2]]

    assert [expected] * 4 == [system.sync.hget(keys.record(one), "status").decode() for one in others]  # type: ignore[union-attr]
    expected = "unknown" if name in ("settle", "lapse", "resolve", "poll", "receipt") else "dead"
    found: Any = system.sync.hmget(keys.record(ids[2]), "status", "code", "damaged")
    assert [expected, "damaged_record", "the key is no hash: string=x"] == [one.decode() for one in found]
    indexes = [*keys.indexes_of(*keys.INDEXES), keys.EXPECTED, keys.LATE]
    assert ([keys.DEAD] if expected == "dead" else []) == [
        index for index in indexes if system.sync.zscore(index, ids[2]) is not None
    ]
    damaged = [one for one in caplog.records if one.getMessage() == "damaged_record"]
    assert {ids[2]} == {one.fields["id"] for one in damaged}  # type: ignore[attr-defined]
    assert 1 == len(damaged)


DAMAGED = {
    "claim": (queued, "body", "dead"),
    "claim of another state": (queued, "status", "dead"),
    "release": (scheduled, "lane", "dead"),
    "sweep": (queued, "lane", "dead"),
    "resolve": (in_doubt, "doubted", "unknown"),
    "poll": (sent, "asks", "unknown"),
    "expire": (queued, "expires", "dead"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_record_with_a_damaged_field_ends_with_its_reason(system: System, name: str) -> None:
    """A dead letter if it surely was not sent, otherwise unknown; its producer gets the outcome, too."""
    make, field, expected = DAMAGED[name]
    ids = make(system)
    system.sync.hset(keys.record(ids[2]), field, "x")
    ROUNDS[name.partition(" ")[0]][1](system, ids)
    found: Any = system.sync.hgetall(keys.record(ids[2]))
    record = {name.decode(): value.decode() for name, value in found.items()}
    if name == "release":
        assert "queued" == system.sync.hget(keys.record(ids[1]), "status").decode()  # type: ignore[union-attr]

    assert (expected, "damaged_record", "damaged_record", "operator") == tuple(
        record[one] for one in ("status", "code", "reason", "owner")
    )
    assert record["text"].startswith(f"damaged record: {field}; it was in the index ")
    assert f"{field}=x" == record["damaged"]
    assert system.sync.zscore(keys.DAMAGED, ids[2])
    assert [expected] == [one["status"] for one in system.outcomes(ids[2])]
    assert (expected == "dead") == (system.sync.zscore(keys.DEAD, ids[2]) is not None)
    assert 0 < system.sync.pttl(keys.record(ids[2]))


def test_a_script_that_fails_whatever_the_record_ends_none_of_them(system: System) -> None:
    """Then the script is at fault: it is an alarm, and everything stays where it is."""
    ids = queued(system)
    system.sync.set(keys.RATE, "of another type")

    with pytest.raises(ScriptError):
        system.claim(3, ids, "t")
    assert {b"queued"} == {system.sync.hget(keys.record(one), "status") for one in ids}


def test_any_number_of_unreadable_records_proves_nothing_against_the_script(system: System) -> None:
    """Each is set aside, and the round goes on."""
    ids = queued(system)
    for one in ids:
        system.sync.hset(keys.record(one), "expires", "x")
    system.claim(3, ids, "t")

    assert {b"dead"} == {system.sync.hget(keys.record(one), "status") for one in ids}


def test_a_look_up_at_which_the_code_fails_stops_no_other(system: System) -> None:
    """It proves nothing, so its message is looked up again later."""

    class Fails(Found):
        async def look_up_many(self, ids: list[str]) -> list[LookUp]:
            if "b" in ids:
                raise KeyError("b")
            return [NO_LOOK_UP] * len(ids)

    found = system.run(look_up_many(Fails(), ["a", "b", "c"]))  # type: ignore[arg-type]

    assert [Known.CANNOT, Known.FAILED, Known.CANNOT] == [one.known for one in found]
    assert found[1].text.startswith("KeyError at ")
