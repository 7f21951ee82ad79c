"""Messages are found by what is known of them, whatever became of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis

from tests.properties.house import House, a_house
from tests.servers import RedisServer
from threelane import Status
from threelane.store import find, registry
from threelane.store.find import Filter
from threelane.worker.dead import redrive
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport

TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    assert client.ping()
    with a_house(redis_server, parts_per_second=100_000) as made:
        yield made


def take(house: House, **said: Any) -> str:
    draft = house.draft(**said)
    house.accept([draft])
    return draft.message.id


def found(house: House, **wanted: Any) -> set[str]:
    return {one.id for one in find.search(house.sync, Filter(**wanted))}


def in_each_state(house: House) -> dict[str, str]:
    """Return one message in each state, by state."""
    ids = {"queued": take(house, lane=2), "scheduled": take(house, delay=600)}
    for status in ("sending", "sent", "delivered", "dead", "in_doubt", "cancelled"):
        ids[status] = take(house, batch="b1", tags=["promo", "x"], costCentre="c", producer="shop")
    house.claim(3, [ids["sending"]], "token")
    house.attempt(ids["sent"], TAKEN)
    house.attempt(ids["delivered"], TAKEN)
    house.receive([StatusReport(ids["delivered"], "g" * 32, "004", Status.DELIVERED)])
    house.attempt(ids["dead"], AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    house.attempt(ids["in_doubt"], AttemptOutcome(OutcomeKind.LOST))
    house.cancel([ids["cancelled"]])
    return ids


def test_each_state_is_found_and_nothing_else(house: House) -> None:
    """Those with a set of their own by it, the others among all records."""
    ids = in_each_state(house)
    assert {status: {message_id} for status, message_id in ids.items()} == {
        status: found(house, status=status) for status in ids
    }
    assert set(ids.values()) == found(house)


def test_each_filter_narrows(house: House) -> None:
    """And several together all have to match."""
    ids = in_each_state(house)
    of_batch = set(ids.values()) - {ids["queued"], ids["scheduled"]}
    other = take(house, to="27831111111", clientMessageId="order9", producer="shop", batch="b1")
    assert of_batch | {other} == found(house, batch="b1") == found(house, producer="shop")
    assert of_batch == found(house, tag="promo")
    assert set() == found(house, tag="prom")
    assert {ids["queued"]} == found(house, lane=2)
    assert {other} == found(house, to="27831111111") == found(house, batch="b1", to="27831111111")
    assert {ids["dead"]} == found(house, code="113") == found(house, owner="producer", status="dead")
    assert 3 == len(list(find.search(house.sync, Filter(), 3)))


def test_a_client_message_id_is_found_whoever_its_producer_is(house: House) -> None:
    """At once for a producer that is named, registered, or that has no name; by looking through all for others."""
    registry.put(house.sync, "known")
    ids = {name: take(house, clientMessageId="order1", producer=name) for name in ("known", "other")}
    nameless = take(house, clientMessageId="order2")
    assert {ids["other"]} == found(house, client_message_id="order1", producer="other")
    assert {ids["known"]} == found(house, client_message_id="order1")
    assert {nameless} == found(house, client_message_id="order2")
    lonely = take(house, clientMessageId="order3", producer="other")
    assert {lonely} == found(house, client_message_id="order3")


def test_one_word_finds_what_it_may_mean(house: House) -> None:
    """An id, a recipient as people write it, a client message id, a batch, a tag; nothing else."""
    one = take(house, to="27831111111", clientMessageId="order1", batch="june", tags=["promo"])
    take(house)
    for word in (one, "+27 83 111 1111", "order1", "june", "promo"):
        assert [one] == [hit.id for hit in find.term(house.sync, word)], word
    assert [] == list(find.term(house.sync, "nothing")) == list(find.term(house.sync, " "))


def test_dead_letters_are_listed_by_what_and_when_and_their_causes_counted(house: House) -> None:
    """Oldest first; the time is that of their death."""
    first = take(house)
    house.attempt(first, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    died = house.now
    house.now += 60_000
    others = [take(house, lane=1) for _ in range(600)]
    for one in others:
        house.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, code="302"), lane=1)
    listed = [one.id for one in find.dead(house.sync, Filter())]
    assert ([first], 601) == (listed[:1], len(set(listed)))
    assert [first] == [one.id for one in find.dead(house.sync, Filter(), before=died)]
    assert set(others) == {one.id for one in find.dead(house.sync, Filter(lane=1), after=died + 1)}
    assert {
        ("producer", "302", "dearer_than_allowed"): 600,
        ("producer", "113", "too_many_parts"): 1,
    } == {(one.owner, one.code, one.reason): one.messages for one in redrive.dead_groups(house.sync, house.now)}
    plan = redrive.plan(house.sync, Filter(code="302"), house.now)
    assert (600, 600, {"302": 600}, {1: 600}) == (plan.messages, plan.parts, plan.by_code, plan.by_lane)
