"""Messages are found by any criterion, in any status."""

from __future__ import annotations

from typing import Any

from tests.properties.system import System
from threelane import Status
from threelane.store import find, keys, registry
from threelane.store.find import Filter
from threelane.worker.dead import redrive
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport

TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


def found(system: System, **wanted: Any) -> set[str]:
    return {one.id for one in find.search(system.sync, Filter(**wanted))}


def in_each_state(system: System) -> dict[str, str]:
    """Return one message in each state, by state."""
    ids = {"queued": system.take(lane=2), "scheduled": system.take(delay=600)}
    for status in ("sending", "sent", "delivered", "dead", "in_doubt", "cancelled"):
        ids[status] = system.take(batch="b1", tags=["promo", "x"], costCentre="c", producer="shop")
    system.claim(3, [ids["sending"]], "token")
    system.attempt(ids["sent"], TAKEN)
    system.attempt(ids["delivered"], TAKEN)
    system.receive([StatusReport(ids["delivered"], "g" * 32, "004", Status.DELIVERED)])
    system.attempt(ids["dead"], AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    system.attempt(ids["in_doubt"], AttemptOutcome(OutcomeKind.LOST))
    system.cancel([ids["cancelled"]])
    return ids


def test_each_state_is_found_and_nothing_else(system: System) -> None:
    """Those with a set of their own by it, the others among all records."""
    ids = in_each_state(system)
    assert {status: {message_id} for status, message_id in ids.items()} == {
        status: found(system, status=status) for status in ids
    }
    assert set(ids.values()) == found(system)


def test_each_filter_narrows(system: System) -> None:
    """And several together all have to match."""
    ids = in_each_state(system)
    of_batch = set(ids.values()) - {ids["queued"], ids["scheduled"]}
    other = system.take(to="27831111111", clientMessageId="order9", producer="shop", batch="b1")
    assert of_batch | {other} == found(system, batch="b1") == found(system, producer="shop")
    assert of_batch == found(system, tag="promo")
    assert set() == found(system, tag="prom")
    assert {ids["queued"]} == found(system, lane=2)
    assert {other} == found(system, to="27831111111") == found(system, batch="b1", to="27831111111")
    assert {ids["dead"]} == found(system, code="113") == found(system, owner="producer", status="dead")
    assert 3 == len(list(find.search(system.sync, Filter(), 3)))


def test_a_client_message_id_is_found_for_any_producer(system: System) -> None:
    """At once for a producer that is named, registered, or that has no name; by looking through all for others."""
    registry.put(system.sync, "known")
    ids = {name: system.take(clientMessageId="order1", producer=name) for name in ("known", "other")}
    nameless = system.take(clientMessageId="order2")
    assert {ids["other"]} == found(system, client_message_id="order1", producer="other")
    assert {ids["known"]} == found(system, client_message_id="order1")
    assert {nameless} == found(system, client_message_id="order2")
    lonely = system.take(clientMessageId="order3", producer="other")
    assert {lonely} == found(system, client_message_id="order3")


def test_one_word_finds_what_it_may_mean(system: System) -> None:
    """An id, a recipient as people write it, a client message id, a batch, a tag; nothing else."""
    one = system.take(to="27831111111", clientMessageId="order1", batch="june", tags=["promo"])
    system.take()
    for word in (one, "+27 83 111 1111", "order1", "june", "promo"):
        assert [one] == [hit.id for hit in find.term(system.sync, word)], word
    assert [] == list(find.term(system.sync, "nothing")) == list(find.term(system.sync, " "))


def test_dead_letters_are_listed_by_criterion_and_time_and_their_causes_counted(system: System) -> None:
    """Oldest first; the time is that of their death."""
    first = system.take()
    system.attempt(first, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    died = system.now
    system.now += 60_000
    others = [system.take(lane=1) for _ in range(600)]
    for one in others:
        system.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, code="302"), lane=1)
    listed = [one.id for one in find.dead(system.sync, Filter())]
    assert ([first], 601) == (listed[:1], len(set(listed)))
    assert [first] == [one.id for one in find.dead(system.sync, Filter(), before=died)]
    assert set(others) == {one.id for one in find.dead(system.sync, Filter(lane=1), after=died + 1)}
    assert {
        ("producer", "302", "dearer_than_allowed"): 600,
        ("producer", "113", "too_many_parts"): 1,
    } == {(one.owner, one.code, one.reason): one.messages for one in redrive.dead_groups(system.sync, system.now)}
    plan = redrive.plan(system.sync, Filter(code="302"), system.now)
    assert {"ZA": (600, 600)} == {name: (one.messages, one.parts) for name, one in plan.by_country.items()}
    assert (600, 600, {"302": 600}, {1: 600}) == (plan.messages, plan.parts, plan.by_code, plan.by_lane)


def test_ids_are_found_by_their_beginnings_in_one_pass(system: System) -> None:
    """Each beginning has its own ids; the second one shows that it is ambiguous."""
    ids = ["aaaa1111" + "0" * 24, "aaaa1111" + "f" * 24, "aaaa1111" + "e" * 24, "bbbb2222" + "0" * 24]
    for one in (*ids, "aaaa2222" + "0" * 24):  # the last mixes the letters of both beginnings
        system.sync.hset(keys.record(one), "status", "sent")
    hits = find.beginnings(system.sync, ["aaaa1111", "bbbb2222", "cccc3333"])

    assert (2, {ids[3]}, set()) == (len(hits["aaaa1111"]), hits["bbbb2222"], hits["cccc3333"])
    assert hits["aaaa1111"] < set(ids[:3])
    assert {} == find.beginnings(system.sync, [])
