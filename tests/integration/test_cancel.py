"""Cancel: an unsent message is not sent any more, and the answer confirms it, or has the reason why it is too late."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest import mock

import pytest
import redis

from tests.integration.conftest import Workers, taken
from tests.properties.system import System, open_system
from tests.servers import RedisServer, free_port, stored, wait_until
from threelane import Producer, ProducerSettings, Status
from threelane.producer import cancel as cancelling
from threelane.producer.accept import Accepted
from threelane.producer.cancel import CancelResult
from threelane.producer.outage import Unavailable
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.record import Field
from threelane.store.status import MessageStatus
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.send.settle import Settlement

Until = Callable[..., MessageStatus]
TO = "27999500001"
ACCEPTED = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
REFUSED = AttemptOutcome(OutcomeKind.REFUSED, "113", "too many parts")
LOST = AttemptOutcome(OutcomeKind.LOST)


@pytest.fixture
def system(client: redis.Redis, redis_server: RedisServer) -> Iterator[System]:
    """The worker's verbs, one by one, at the time of this machine."""
    assert stored(client) == 0
    with open_system(redis_server, parts_per_second=10_000) as made:
        made.now = int(time.time() * 1000)
        yield made


@pytest.fixture
def shop(redis_server: RedisServer, client: redis.Redis) -> Iterator[Producer]:
    """A producer with a name."""
    assert client.ping()
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as made:
        yield made


def accepted(by: Producer, /, **fields: Any) -> str:
    answer = by.send(**{"to": TO, "text": "Hello", **fields})
    assert isinstance(answer, Accepted), answer
    return answer.id


def test_each_answer_has_the_state_of_the_message(producer: Producer, system: System) -> None:
    """Queued, waiting and dead ones are cancelled; the answer of all others has the reason why they may be sent."""
    queued, scheduled = accepted(producer), accepted(producer, delay=600)
    dead, sent, doubtful, sending = (accepted(producer) for _ in range(4))
    for one, outcome in ((dead, REFUSED), (sent, ACCEPTED), (doubtful, LOST)):
        system.attempt(one, outcome)
    assert system.claim(3, [sending], "token").claimed
    ids = [queued, scheduled, dead, sent, doubtful, sending, "0" * 32, queued, "no id at all"]
    answers = producer.cancel(ids)

    assert ids == [one.id for one in answers]
    assert [
        (CancelResult.CANCELLED, "queued", ""),
        (CancelResult.CANCELLED, "scheduled", ""),
        (CancelResult.CANCELLED, "dead", ""),
        (CancelResult.TOO_LATE, "sent", "the gateway has it"),
        (
            CancelResult.NOT_RETRIED,
            "in_doubt",
            "it may have been sent: the gateway is requested to stop it, and it is not sent again",
        ),
        (CancelResult.NOT_RETRIED, "sending", "it is being sent: if that fails, it is not retried"),
        (CancelResult.UNKNOWN, "", ""),
        (CancelResult.TOO_LATE, "cancelled", "it was cancelled before"),
        (CancelResult.UNKNOWN, "", ""),
    ] == [(one.answer, one.status, one.why) for one in answers]
    cancelled = [one for one in producer.statuses([queued, scheduled, dead]) if one]
    assert [Status.CANCELLED] * 3 == [one.status for one in cancelled]
    assert all(one.ended_at for one in cancelled)
    assert [] == producer.cancel([])


def test_a_cancelled_message_is_gone_from_every_set_and_is_forgotten_in_time(
    producer: Producer, system: System, client: redis.Redis
) -> None:
    """Otherwise a release, a redrive or a sweep could bring it back, and its text would stay forever."""
    ids = [accepted(producer), accepted(producer, delay=600), accepted(producer)]
    system.attempt(ids[2], REFUSED)
    producer.cancel(ids)
    seen = system.glance(ids)

    assert [] == [members for members in seen.indexes.values() if members]
    assert all("body" not in record for record in seen.records.values())
    week = 7 * 24 * 3600_000
    assert all(week < client.pttl(keys.record(one)) <= system.settings.retention_ms for one in ids)
    assert 3 == seen.tally["cancelled:3"]
    assert {"redriven": 0, "expired": 0} == system.redrive("113")
    system.now += 700_000
    assert {} == system.release()
    assert [] == list(system.claim(3, ids, "token").claimed)


def test_every_final_state_has_its_reason(producer: Producer, client: redis.Redis) -> None:
    """A person reads why; no state is without a sentence."""
    one = accepted(producer)
    for status in set(Status) - {Status.QUEUED, Status.SCHEDULED, Status.PAUSED, Status.DEAD}:
        client.hset(keys.record(one), "status", status)
        (answer,) = producer.cancel([one])
        tried = status in (Status.SENDING, Status.IN_DOUBT)
        assert (CancelResult.NOT_RETRIED if tried else CancelResult.TOO_LATE, status) == (answer.answer, answer.status)
        assert answer.why


def test_more_ids_than_one_script_takes(producer: Producer) -> None:
    """1,100 in three lots; the answers come in the order of the ids."""
    ids = [one.id for one in producer.send_many({"to": TO, "text": "x", "delay": 60} for _ in range(1_100))]
    answers = producer.cancel(ids[::-1])

    assert ids[::-1] == [one.id for one in answers]
    assert {CancelResult.CANCELLED: 1_100} == Counter(one.answer for one in answers)


# fmt: off
GRID: list[dict[str, Any]] = [
    {"batch": "news-7", "tags": "promo,march", "lane": 3},
    {"batch": "news-7", "tags": "promo", "lane": 2, "delay": 60},
    {"batch": "news-8", "tags": "march", "lane": 3, "delay": 60},
    {"tags": "promotion", "lane": 1},
    {"to": "27999500002", "lane": 2},
    {"producer": "shop", "lane": 3, "delay": 60},
    {"producer": "shop", "batch": "news-7", "to": "27999500002", "tags": "promo", "lane": 2},
]
FILTERS: list[tuple[dict[str, Any], set[int]]] = [
    ({"batch": "news-7"}, {0, 1, 6}),
    ({"tag": "promo"}, {0, 1, 6}),
    ({"tag": "march"}, {0, 2}),
    ({"to": "+27 999 500 002"}, {4, 6}),
    ({"producer": "shop"}, {5, 6}),
    ({"lane": 2}, {1, 4, 6}),
    ({"lane": 1}, {3}),
    ({"batch": "news-7", "tag": "promo", "to": "27999500002", "producer": "shop", "lane": 2}, {6}),
    ({"batch": "news-7", "lane": 1}, set()),
    ({"tag": "prom"}, set()),
    ({"batch": "news"}, set()),
]
# fmt: on


@pytest.mark.parametrize(("wanted", "meant"), FILTERS, ids=lambda value: str(value)[:40])
def test_a_filter_cancels_exactly_its_matches(producer: Producer, wanted: dict[str, Any], meant: set[int]) -> None:
    """Each matches as a whole: the tag promo is not promotion."""
    ids = [accepted(producer, **fields) for fields in GRID]
    answers = list(producer.cancel_all(**wanted))

    assert {ids[number] for number in meant} == {one.id for one in answers}
    assert {CancelResult.CANCELLED} >= {one.answer for one in answers}
    stand = {number for number, one in enumerate(producer.statuses(ids)) if one and one.status is Status.CANCELLED}
    assert meant == stand
    assert [] == list(producer.cancel_all(**wanted)), "a second time there is nothing left"


def test_a_cancel_holds_redis_for_100_messages_at_a_time(producer: Producer, system: System) -> None:
    """Lane 1 waits for no longer than that, however large a batch is."""
    rows = [{"to": str(27831000000 + at), "text": "x", "batch": "b"} for at in range(250)]
    assert all(one.accepted for one in producer.send_many(rows))
    script = mock.Mock(wraps=cancelling._cancel)
    with mock.patch.object(cancelling, "_cancel", within=mock.Mock(return_value=script)):
        assert 250 == len(list(producer.cancel_batch("b")))

    assert [100, 100, 50] == [len(call.kwargs["ids"]) for call in script.call_args_list]
    assert 0 == system.sync.zcard(keys.QUEUED[3])


def test_a_filter_finds_dead_letters_and_no_sent_messages(producer: Producer, system: System) -> None:
    """Of a half-sent batch, only the other half has answers; a stop is requested for those at the gateway."""
    dead, sent, kept, sending = (accepted(producer, batch="b", delay=0) for _ in range(4))
    at_gateway = accepted(producer, batch="b", delay=600, at_gateway=True)
    for one, outcome in ((dead, REFUSED), (sent, ACCEPTED), (at_gateway, ACCEPTED)):
        system.attempt(one, outcome)
    assert system.claim(3, [sending], "token").claimed
    results = {one.id: one.answer for one in producer.cancel_all(batch="b")}

    assert {dead: CancelResult.CANCELLED, kept: CancelResult.CANCELLED, at_gateway: CancelResult.ASKED} | {
        sending: CancelResult.NOT_RETRIED
    } == results


RETRIED = AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error")
NOT_TRIED = AttemptOutcome(OutcomeKind.NOT_TRIED)


@pytest.mark.parametrize("outcome", [RETRIED, NOT_TRIED, REFUSED], ids=["retry", "put back", "dead"])
def test_a_message_that_is_cancelled_during_its_attempt_gets_no_other(
    shop: Producer, system: System, outcome: AttemptOutcome
) -> None:
    """The worker has it, and its attempt fails: it is cancelled, not retried, and cannot be redriven."""
    one = accepted(shop)
    (claimed,) = system.claim(3, [one], "token").claimed
    assert [CancelResult.NOT_RETRIED] * 2 == [answer.answer for _ in range(2) for answer in shop.cancel([one])]
    assert [True] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    seen = system.glance([one])
    system.now += 3_600_000

    assert Status.CANCELLED is seen.status(one)
    assert ({}, True) == (system.release(), seen.expiring[one])
    assert [] == [members for members in seen.indexes.values() if members]
    assert (1, None) == (seen.tally["cancelled:3"], seen.tally.get("retried:3:901"))
    assert ["cancelled"] == [event["status"] for event in system.outcomes(one)]
    assert {"redriven": 0, "expired": 0} == system.redrive(outcome.code)


def test_a_message_that_is_cancelled_during_its_attempt_and_accepted_is_sent(shop: Producer, system: System) -> None:
    """Nobody can take it back: its outcome is that of the network."""
    one = accepted(shop)
    (claimed,) = system.claim(3, [one], "token").claimed
    shop.cancel([one])
    system.settle([Settlement(claimed, ACCEPTED, system.judge(claimed, ACCEPTED))])
    assert Status.SENT is system.glance([one]).status(one)
    assert [CancelResult.TOO_LATE] == [answer.answer for answer in shop.cancel([one])]


@pytest.mark.parametrize("outcome", [LOST, RETRIED])
def test_a_message_that_is_cancelled_in_doubt_is_not_sent_again(
    shop: Producer, system: System, outcome: AttemptOutcome
) -> None:
    """Look-ups go on until they show that it was not sent; then it is cancelled instead of sent once more."""
    system.can_look_up = True
    one = accepted(shop, validity_period=11_520)
    system.attempt(one, outcome)
    assert [CancelResult.NOT_RETRIED] == [answer.answer for answer in shop.cancel([one])]
    for _ in range(60):
        system.now += 60_000
        pending = system.start_look_up()
        nudged = pending.answer(dict.fromkeys(pending.queried, LookUp(Known.NOT_FOUND)))
        assert {} == {lane: ids for lane, ids in nudged.items() if ids}
        if system.glance([one]).status(one) is not Status.IN_DOUBT:
            break
    assert Status.CANCELLED is system.glance([one]).status(one)
    assert ["cancelled"] == [event["status"] for event in system.outcomes(one)]


def test_a_message_that_is_cancelled_while_its_worker_dies_is_not_sent_again(shop: Producer, system: System) -> None:
    """Its lease lapses, and the mark stays."""
    one = accepted(shop)
    assert system.claim(3, [one], "token").claimed
    shop.cancel([one])
    system.now += system.settings.lease_ms + 1
    assert [one] == system.lapse()
    assert system.sync.hexists(keys.record(one), Field.CANCEL)


def test_a_cancelled_message_that_an_older_worker_put_back_is_not_claimed(shop: Producer, system: System) -> None:
    """Workers of the version before ignore the mark; a newer one ends the message instead of sending it."""
    one = accepted(shop)
    system.sync.hset(keys.record(one), Field.CANCEL, f"{system.now} 1000000")
    assert [] == list(system.claim(3, [one], "token").claimed)
    assert Status.CANCELLED is system.glance([one]).status(one)


def test_a_batch_is_cancelled_with_what_waits_for_a_retry_or_is_being_sent(shop: Producer, system: System) -> None:
    """No message of it is attempted afterwards, and the counts are the truth."""
    retried, sending, queued = (accepted(shop, batch="b") for _ in range(3))
    system.attempt(retried, RETRIED)
    (claimed,) = system.claim(3, [sending], "token").claimed
    results = {one.id: one.answer for one in shop.cancel_all(batch="b")}
    system.settle([Settlement(claimed, RETRIED, system.judge(claimed, RETRIED))])
    system.now += 3_600_000

    assert {
        retried: CancelResult.CANCELLED,
        queued: CancelResult.CANCELLED,
        sending: CancelResult.NOT_RETRIED,
    } == results
    assert {} == system.release()
    assert {Status.CANCELLED} == {system.glance([one]).status(one) for one in (retried, sending, queued)}


def test_thousands_are_found_in_every_set(producer: Producer) -> None:
    """More than one scan returns, on the due set and on two lanes, among as many of another batch."""
    messages = [
        {"to": TO, "text": "x", "lane": 2 + n % 2, "batch": f"b{n % 4 // 2}", "delay": 600 * (n % 3)}
        for n in range(3_600)
    ]
    mine = {one.id for one, what in zip(producer.send_many(messages), messages, strict=True) if what["batch"] == "b1"}
    results = list(producer.cancel_all(batch="b1"))

    assert mine == {one.id for one in results}
    assert {CancelResult.CANCELLED: 1_800} == Counter(one.answer for one in results)
    assert 1_800 == len(list(producer.cancel_all(batch="b0")))


def test_a_message_that_a_scan_repeats_is_reported_once(producer: Producer, client: redis.Redis) -> None:
    """Redis may repeat itself while a set shrinks under the scan; a second answer would be "too late"."""
    one = accepted(producer, batch="b", delay=60)
    producer.cancel([one])
    client.zadd(keys.DUE[3], {one: 1})  # as the scan has it

    assert [] == list(producer.cancel_all(batch="b"))


def test_without_a_filter_nothing_is_cancelled(producer: Producer) -> None:
    """That would be everything, so it is refused at once, and not only when the answers are read."""
    one = accepted(producer, delay=60)
    with pytest.raises(ValueError, match="give a criterion"):
        producer.cancel_all()
    with pytest.raises(ValueError, match="country code"):
        producer.cancel_all(to="0831234567")
    found = producer.status(one)
    assert found
    assert found.status is Status.SCHEDULED


def test_without_redis_nothing_is_promised(shop: Producer) -> None:
    """An outage raises Unavailable, as everywhere."""
    with Producer(ProducerSettings(redis_url=f"redis://127.0.0.1:{free_port()}/0")) as away:
        for call in (
            lambda: away.cancel(["a"]),
            lambda: list(away.cancel_all(batch="b")),
            lambda: away.scheduled(),
            lambda: away.move("a", datetime.now(UTC) + timedelta(hours=1)),
        ):
            with pytest.raises(Unavailable):
                call()


def test_the_producer_hears_of_it_once(shop: Producer, system: System, client: redis.Redis) -> None:
    """With its own name and its own id of the message, however often somebody cancels."""
    queued = accepted(shop, client_message_id="order1", lane=2)
    waiting = accepted(shop, client_message_id="order2", delay=600, lane=1)
    late = accepted(shop, client_message_id="order3")
    system.attempt(late, ACCEPTED)
    for _ in range(2):
        shop.cancel([queued, waiting, queued, late])
        list(shop.cancel_all(producer="shop"))

    for one, name, lane in ((queued, "order1", "2"), (waiting, "order2", "1")):
        (published,) = system.outcomes(one)
        assert ("cancelled", "shop", name, lane) == (
            published["status"],
            published["producer"],
            published["client"],
            published["lane"],
        )
        assert published["ended"]
        assert "sent" not in published
    assert [] == system.outcomes(late)
    heard = {event.message_id: event.status for event in shop.events("app", "one", block_seconds=0.1)}
    assert {queued: "cancelled", waiting: "cancelled"} == heard


def test_a_repeated_call_does_not_bring_back_a_cancelled_message(shop: Producer, system: System) -> None:
    """The client message id is still known: the answer is cancelled, and nothing is queued."""
    one = accepted(shop, client_message_id="order1")
    shop.cancel([one])
    again = shop.send(TO, "Hello", client_message_id="order1")

    assert isinstance(again, Accepted)
    assert (True, Status.CANCELLED) == (again.repeated, again.status)
    assert [] == list(system.claim(3, [one], "token").claimed)


def test_a_cancelled_dead_letter_publishes_both_outcomes(shop: Producer, system: System, client: redis.Redis) -> None:
    """It was dead, and could have been redriven; cancelled is its last word."""
    one = accepted(shop)
    system.attempt(one, REFUSED)
    shop.cancel([one])
    shop.cancel([one])

    assert ["dead", "cancelled"] == [event["status"] for event in system.outcomes(one)]


def test_a_message_cancelled_before_a_worker_fetches_it_never_reaches_the_gateway(
    producer: Producer, sandbox: Running, workers: Workers, until: Until, client: redis.Redis
) -> None:
    """Its nudge is on the broker and its time comes, and neither sends it."""
    queued = [accepted(producer) for _ in range(20)]
    due = datetime.now(UTC) + timedelta(seconds=2)
    waiting = [accepted(producer, deliver_at=due) for _ in range(20)]
    results = producer.cancel([*queued[::2], *waiting[::2]])
    assert {CancelResult.CANCELLED: 20} == Counter(one.answer for one in results)
    workers.start()
    for one in (*queued[1::2], *waiting[1::2]):
        until(one, Status.SENT, Status.DELIVERED)

    assert sorted([*queued[1::2], *waiting[1::2]]) == sorted(taken(sandbox))
    assert {Status.CANCELLED} == {one.status for one in producer.statuses([*queued[::2], *waiting[::2]]) if one}
    assert 0 == client.exists(*keys.DUE.values())


def test_2000_fall_due_and_are_cancelled_at_that_moment(
    producer: Producer, sandbox: Running, workers: Workers, client: redis.Redis
) -> None:
    """Each is cancelled or at the gateway, never both, and the answer is the truth."""
    workers.start(parts_per_second=500)
    due = datetime.now(UTC) + timedelta(seconds=5)  # a busy machine takes seconds to accept them
    answers = producer.send_many({"to": TO, "text": "Race", "deliver_at": due} for _ in range(2_000))
    ids = [one.id for one in answers]
    wait_until(lambda: client.exists(*keys.AWAITING.values()), what="the first to be sent")
    with ThreadPoolExecutor(2) as pool:  # from both ends, in small lots
        halves = [ids[:1_000], ids[:999:-1]]
        results = [one for lots in pool.map(lambda half: _in_lots(producer, half), halves) for one in lots]

    cancelled = {one.id for one in results if one.answer is CancelResult.CANCELLED}
    late = {one.id: one.status for one in results if one.answer in (CancelResult.TOO_LATE, CancelResult.NOT_RETRIED)}
    assert set(ids) == cancelled | late.keys()
    assert {"sending", "sent", "delivered"} >= set(late.values())
    wait_until(
        lambda: not client.exists(*keys.DUE.values(), *keys.LEASES.values(), *keys.QUEUED.values()),
        what="the rest to be sent",
    )
    at_gateway = taken(sandbox)
    assert cancelled.isdisjoint(at_gateway)
    assert set(ids) - cancelled == at_gateway.keys()
    assert {1} == {len(entries) for entries in at_gateway.values()}
    assert {Status.CANCELLED} >= {one.status for one in producer.statuses(sorted(cancelled)) if one}
    published = Counter(
        entry[b"id"].decode() for _, entry in client.xrange(keys.EVENTS) if entry[b"status"] == b"cancelled"
    )
    assert dict.fromkeys(cancelled, 1) == published


def _in_lots(producer: Producer, ids: list[str]) -> list[Any]:
    return [one for start in range(0, len(ids), 20) for one in producer.cancel(ids[start : start + 20])]
