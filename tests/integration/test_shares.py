"""Shares: one producer takes neither all memory, nor a count for each name that it invents."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest

from tests.properties.system import System
from threelane import Accepted, Status
from threelane.contract.refusal import Refusal
from threelane.store import budgets, ceiling, keys
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport

SENT = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
RETRIED = AttemptOutcome(OutcomeKind.REFUSED, "901")
DEAD = AttemptOutcome(OutcomeKind.REFUSED, "113")


def take(system: System, how_many: int = 1, **fields: Any) -> list[Any]:
    return system.accept([system.draft(**fields) for _ in range(how_many)])


def waiting(system: System) -> dict[str, int]:
    return {name.decode(): int(number) for name, number in system.sync.hgetall(keys.STORED).items()}  # type: ignore[union-attr]


def almost_full(_client: object, share: float, _messages: int) -> bool:
    """Return what ceiling does while 85 % of the memory are used."""
    return share < 0.85


def test_what_waits_is_counted_by_producer_until_it_ends(system: System) -> None:
    """Through retries and doubt, whatever its end is."""
    ids = [one.id for one in take(system, 4, producer="a")]
    take(system, 2, delay=60)
    assert {"a": 4, "-": 2, "*": 6} == waiting(system)
    for one, outcome in zip(ids, (SENT, RETRIED, DEAD), strict=False):
        system.attempt(one, outcome)
    assert {"a": 2, "-": 2, "*": 4} == waiting(system)
    system.cancel(ids)
    assert {"a": 0, "-": 2, "*": 2} == waiting(system)
    system.redrive("113")
    assert {"a": 0, "-": 2, "*": 2} == waiting(system)


def test_what_an_earlier_version_accepted_leaves_no_count_below_zero(system: System) -> None:
    """It was not counted; its end is."""
    ids = [one.id for one in take(system, 3, producer="a")]
    system.sync.delete(keys.STORED)
    system.attempt(ids[0], SENT)
    take(system, 2, producer="a")
    assert {"a": 2, "*": 2} == waiting(system)


def test_the_producer_of_most_of_what_waits_leaves_the_last_memory_to_others(system: System) -> None:
    """From 80 % on it is refused, in every lane; the codes of others, and their lists, are accepted up to 90 %."""
    take(system, 1, producer="b")
    take(system, 50, producer="a")
    with mock.patch.object(ceiling, "is_near", almost_full):
        for lane in (1, 3):
            (refused,) = take(system, producer="a", lane=lane)
            assert isinstance(refused, Refusal)
            assert ("130", "producer") == (refused.code, refused.field)
            assert {Accepted} == {type(one) for one in take(system, 5, producer="b", lane=lane)}
            assert {Accepted} == {type(one) for one in take(system, 5, lane=lane)}
    assert isinstance(take(system, producer="a")[0], Accepted), "there is room again"
    assert 2 == system.glance([]).tally["refused:130"]


def test_a_producer_that_is_alone_may_use_all_of_it(system: System) -> None:
    """There is nobody whose codes it could stop."""
    take(system, 50, producer="a")
    with mock.patch.object(ceiling, "is_near", almost_full):
        assert isinstance(take(system, producer="a")[0], Accepted)


def test_invented_cost_centres_are_counted_together_and_no_credit_is_lost(system: System) -> None:
    """A producer has counts for 200 of them; its further ones are in (other), and other producers have their own."""
    budgets.put(system.sync, "producer:a", "day", budgets.Budget(10**12))
    ids = [one.id for number in range(203) for one in take(system, producer="a", cost_centre=f"c{number}")]
    ids += [one.id for one in take(system, producer="b", cost_centre="of b")]
    for one in ids:
        system.attempt(one, SENT)
    system.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED, 1_000_000) for one in ids])
    tally = {name: number for name, number in system.glance([]).tally.items() if name.startswith("charged:")}
    assert (202, 204_000_000, 3_000_000) == (len(tally), sum(tally.values()), tally["charged:3:(other)"])
    assert 1_000_000 == tally["charged:3:of b"]
    assert b"c202" == system.sync.hget(keys.record(ids[202]), "centre"), "the message keeps its cost centre"
    spent = system.sync.hgetall(keys.key(keys.Key.SPENT, budgets.day(system.now)))
    assert b"3000000" == spent[b"centre:(other)"]  # type: ignore[index]
    assert b"203000000" == spent[b"producer:a"]  # type: ignore[index]


@pytest.mark.parametrize("known", ["budget", "charged before"])
def test_a_cost_centre_that_is_known_is_counted_by_its_name(system: System, known: str) -> None:
    """One with a budget, or one that an earlier version counted, even beyond the limit."""
    system.sync.hset(keys.CENTRES, "producer:a", 200)
    if known == "budget":
        budgets.put(system.sync, "centre:old", "day", budgets.Budget(10**12))
    else:
        system.sync.hset(keys.TALLY, "charged:3:old", 5)
    (one,) = take(system, producer="a", cost_centre="old")
    (other,) = take(system, producer="a", cost_centre="new")
    assert [None, b"(other)"] == [system.sync.hget(keys.record(each.id), "ledger") for each in (one, other)]
