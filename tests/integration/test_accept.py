"""An accepted message is in Redis before the caller gets its answer: on its lane, counted, and nudged."""

from __future__ import annotations

import json
import pickle
import unicodedata
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from tests.nudges import nudges_of
from tests.servers import RedisServer
from threelane import Accepted, Owner, Producer, ProducerSettings, Refused, Status, Unavailable
from threelane.contract import message
from threelane.producer import accept, enqueue
from threelane.producer.nudge import Nudger
from threelane.store import keys, suppression
from threelane.store.suppression import Entry

TO = "27831234567"


def nudged(client: redis.Redis) -> dict[int, list[list[str]]]:
    """Return, lane by lane, the ids of each nudge that waits on the broker, oldest first."""
    found = {lane: nudges_of(client).waiting(lane) for lane in keys.LANES}
    return {lane: nudges for lane, nudges in found.items() if nudges}


def stored(client: redis.Redis) -> list[str]:
    """Return the keys of all records."""
    return sorted(key.decode() for key in client.keys("tl:m:*"))  # type: ignore[union-attr]


def tally(client: redis.Redis) -> dict[str, int]:
    return {name.decode(): int(n) for name, n in client.hgetall(keys.TALLY).items()}  # type: ignore[union-attr]


def ahead(**time: float) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


def test_a_message_is_stored_queued_and_nudged(producer: Producer, client: redis.Redis) -> None:
    """Accepted means all three: the record, its place on the lane, and a hint to the workers."""
    answer = producer.send(TO, "Hello", lane=2)

    assert isinstance(answer, Accepted)
    assert [keys.record(answer.id)] == stored(client)
    assert [answer.id.encode()] == client.zrange(keys.QUEUED[2], 0, -1)
    assert {2: [[answer.id]]} == nudged(client)


def test_a_message_without_a_lane_goes_to_the_last(producer: Producer, client: redis.Redis) -> None:
    """Nobody gets ahead by leaving it out."""
    producer.send(TO, "Hello")

    assert [3] == list(nudged(client))


def test_a_row_takes_a_lane_by_the_gateways_name(producer: Producer) -> None:
    """None means not given, so it cannot contradict its other spelling."""
    (answer,) = producer.send_rows([{"to": TO, "text": "Hello", "userPriorityQueue": 1, "lane": None}])
    assert 1 == answer.lane


def test_a_scheduled_message_waits_for_its_time_and_is_not_nudged(producer: Producer, client: redis.Redis) -> None:
    """A nudge before its time would find nothing to do."""
    at = ahead(hours=2)
    answer = producer.send(TO, "Hello", lane=1, deliver_at=at)

    assert isinstance(answer, Accepted)
    due_at = round(at.timestamp() * 1000)
    assert due_at == answer.due_at
    assert [(answer.id.encode(), float(due_at))] == client.zrange(keys.DUE[1], 0, -1, withscores=True)
    assert {} == nudged(client)
    assert not client.exists(keys.QUEUED[1])


def test_a_delay_counts_from_the_clock_of_redis(producer: Producer, client: redis.Redis) -> None:
    """All machines agree on when it is due, with any skew of their own clocks."""
    before = client.time()
    answer = producer.send(TO, "Hello", delay=timedelta(minutes=5))
    after = client.time()

    assert before[0] * 1000 + 299_900 <= answer.due_at <= after[0] * 1000 + 301_100


class WatchingNudger(Nudger):
    """Looks, at the moment of a nudge, at what Redis holds."""

    def __init__(self, settings: ProducerSettings, client: redis.Redis) -> None:
        super().__init__(settings)
        self.client = client
        self.seen: list[bytes | None] = []

    def publish(self, lane: int, ids: Any, account: str | None = None) -> bool:
        self.seen += [self.client.hget(keys.record(one), "status") for one in ids]
        return super().publish(lane, ids, account)


def test_a_broker_that_is_away_makes_a_nudge_late_and_no_message_lost(
    producer: Producer, client: redis.Redis, redis_server: RedisServer
) -> None:
    """The status is queued, and the sweep finds messages without a nudge."""
    producer._enqueuer._nudger = Nudger(
        ProducerSettings(redis_url=redis_server.url, broker_url="redis://127.0.0.1:1/0")
    )
    answer = producer.send(TO, "Hello", lane=1)

    assert isinstance(answer, Accepted)
    assert Status.QUEUED == producer.status(answer.id).status
    assert [answer.id.encode()] == client.zrange(keys.QUEUED[1], 0, -1)
    assert {} == nudged(client)


def test_the_record_is_written_before_the_nudge(
    producer: Producer, client: redis.Redis, redis_server: RedisServer
) -> None:
    """A worker that is faster than we are finds what it was nudged for."""
    watching = producer._enqueuer._nudger = WatchingNudger(ProducerSettings(redis_url=redis_server.url), client)
    producer.send_many([{"to": TO, "text": f"Hello {n}"} for n in range(250)])

    assert [b"queued"] * 250 == watching.seen


def test_a_bulk_s_nudges_come_in_order_also_when_the_connections_had_been_lost(
    producer: Producer, client: redis.Redis
) -> None:
    """They go to the broker in one call."""
    ids = [f"{number:032x}" for number in range(250)]
    assert producer.nudger.publish(3, ids)
    client.client_kill_filter(_type="normal", skipme=True)  # as a restart of Redis does
    assert producer.nudger.publish(3, ids)

    nudges = nudged(client)[3]
    assert [99, 99, 52] * 2 == [len(one) for one in nudges]
    assert ids * 2 == [one for nudge in nudges for one in nudge]


def test_the_workers_of_a_bulk_are_nudged_when_it_breaks_off(
    producer: Producer, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Redis had taken before it went away does not wait for the sweep."""
    begin, lots = accept.AcceptCall.begin, iter(range(3))

    def away_at_the_third(intake: accept.AcceptCall, away: redis.Redis) -> None:
        if next(lots) == 2:
            raise redis.ConnectionError("gone")
        begin(intake, away)

    monkeypatch.setattr(accept.AcceptCall, "begin", away_at_the_third)
    monkeypatch.setattr(enqueue, "OUTAGE_SECONDS", 60.0)  # a busy machine takes longer than a tenth of a second
    with pytest.raises(Unavailable):
        producer.send_many({"to": TO, "text": f"Hello {n}"} for n in range(500))

    assert 2 * accept.BATCH == sum(len(one) for one in nudged(client)[3])


@pytest.fixture
def crowd() -> list[dict[str, Any]]:
    """2,500 messages in three lanes, every seventh of them wrong, every eleventh for later."""
    return [
        {"to": "083" if n % 7 == 0 else TO, "text": f"Hello {n}", "lane": n % 3 + 1}
        | ({"delay": 600} if n % 11 == 0 else {})
        for n in range(2_500)
    ]


def test_answers_come_in_the_order_of_the_messages(
    producer: Producer, client: redis.Redis, crowd: list[dict[str, Any]]
) -> None:
    """Over several windows and lanes, with refused ones between: answer n is message n's."""
    answers = producer.send_many(crowd)

    assert [fields["to"] == TO for fields in crowd] == [answer.accepted for answer in answers]
    with client.pipeline(transaction=False) as pipe:
        for answer in answers:
            if isinstance(answer, Accepted):
                pipe.hget(keys.record(answer.id), "body")
        bodies = pipe.execute()
    assert [fields["text"] for fields in crowd if fields["to"] == TO] == [json.loads(body)["text"] for body in bodies]


def test_nudges_carry_up_to_a_hundred_ids_of_one_lane(
    producer: Producer, client: redis.Redis, crowd: list[dict[str, Any]]
) -> None:
    """Each message that is due is nudged once, in order, on its lane; a scheduled one is not."""
    answers = producer.send_many(crowd)
    due: dict[int, list[str]] = {lane: [] for lane in keys.LANES}
    for answer in answers:
        if isinstance(answer, Accepted) and not answer.due_at:
            due[answer.lane].append(answer.id)

    nudges = nudged(client)
    assert due == {lane: [one for ids in nudges[lane] for one in ids] for lane in keys.LANES}
    assert 100 >= max(len(ids) for lane in keys.LANES for ids in nudges[lane])
    assert 30 >= sum(map(len, nudges.values()))


def test_the_tally_agrees_with_the_answers(producer: Producer, client: redis.Redis) -> None:
    """Dashboards show the callers' answers."""
    suppression.add(client, [("27830000000", Entry(source="STOP", first=1_940_000_000_000))])
    ours = [
        {"to": TO, "text": "a", "lane": 1, "climsgid": "one"},
        {"to": TO, "text": "a", "lane": 1, "climsgid": "one"},  # again
        {"to": TO, "text": "b", "lane": 1, "climsgid": "one"},  # in conflict
        {"to": TO, "text": "a" * 161, "lane": 2},
        {"to": TO, "text": "later", "lane": 2, "delay": 60},
        {"to": "27830000000", "text": "a"},
        {"to": TO, "text": ""},
        {"to": "083", "text": "a"},
        {"to": "084", "text": "a"},
    ]
    answers = producer.send_many(ours)

    counted = Counter({"suppressed:STOP": 1})
    for answer in answers:
        if isinstance(answer, Refused):
            counted[f"refused:{answer.code}"] += 1
        elif answer.repeated:
            counted[f"repeated:{answer.lane}"] += 1
        else:
            counted[f"accepted:{answer.lane}"] += 1
            counted[f"parts:{answer.lane}"] += answer.parts
            counted[f"to:{answer.lane}:{'scheduled' if answer.due_at else 'queued'}"] += 1
    counted |= {"committed:1": 1_000_000, "committed:2": 3_000_000}  # one part, and three: at a credit each
    assert counted == tally(client)
    assert {"refused:409", "refused:122", "refused:107", "refused:105", "repeated:1"} < counted.keys()


def test_a_suppressed_number_is_refused_and_nothing_is_stored(producer: Producer, client: redis.Redis) -> None:
    """Who sent STOP gets nothing; only that person can lift it."""
    suppression.add(client, [(TO, Entry(source="STOP", first=1_940_000_000_000))])
    answer = producer.try_send("+27 83 123 4567", "Hello")

    assert isinstance(answer, Refused)
    assert ("122", "to", Owner.RECIPIENT) == (answer.code, answer.field, answer.owner)
    assert "STOP" in answer.problem
    assert [] == stored(client)
    assert {} == nudged(client)


def test_an_unknown_id_has_no_status(producer: Producer) -> None:
    """None, not an error: the record may have expired."""
    assert [None, None] == producer.statuses(["f" * 32, ""])


def test_the_status_of_a_message_shows_the_accepted_fields(producer: Producer) -> None:
    """Queued and scheduled, before any attempt."""
    queued = producer.send("+27 83 123 4567", "a" * 161, lane=2, validity_period=5)
    later = producer.send(TO, "Hello", delay=60)
    now, then = producer.statuses([queued.id, later.id])

    assert (Status.QUEUED, 2, TO, 2, 0, 0) == (now.status, now.lane, now.to, now.parts, now.due_at, now.attempts)
    assert 0 <= 300_000 - (now.expires_at - now.accepted_at) < 1_000  # from when it was read; accepted a little later
    assert (Status.SCHEDULED, 3, later.due_at) == (then.status, then.lane, then.due_at)
    assert ("", "", 0.0, ()) == (then.gateway_id, then.code, then.charge, then.waits)


def test_a_setting_gives_the_cost_centre_that_a_message_does_not_name(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    """By any of its spellings a message can name another."""
    settings = ProducerSettings(redis_url=redis_server.url, cost_centre="Shop", producer="shop")
    with Producer(settings) as shop:
        answers = [shop.send(TO, "a"), shop.send(TO, "a", costCenter="Bank")]

    assert [b"Shop", b"Bank"] == [client.hget(keys.record(one.id), "centre") for one in answers]


def test_an_answer_says_what_its_parts_are_for_and_what_was_cut(producer: Producer) -> None:
    """The same before and after: the dry run, and accept; nothing for one part."""
    curly = {"to": TO, "text": "don’t " + "hello there " * 12}
    long = {"to": TO, "text": "one two " * 60, "on_too_long": "cut"}
    (rehearsed, shortened) = producer.rehearse([curly, long])
    (accepted, cut, short) = producer.send_many([curly, long, {"to": TO, "text": "don’t"}])

    assert isinstance(accepted, Accepted)
    assert isinstance(cut, Accepted)
    assert isinstance(short, Accepted)
    assert accepted.why_parts == rehearsed.why_parts  # type: ignore[union-attr]
    assert "lookAlikes=1 saves 2 parts" in str(accepted.why_parts)
    assert accepted.why_parts == pickle.loads(pickle.dumps(accepted)).why_parts
    assert "don" not in repr(accepted)
    assert None is short.why_parts
    assert (21, "two one two one two") == (cut.characters_cut, cut.text_cut)
    assert (21, "two one two one two") == (shortened.characters_cut, shortened.text_cut)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_call_repeated_after_an_upgrade_is_known(producer: Producer, client: redis.Redis, form: Any) -> None:
    """The earlier version stored the fingerprint of the text as it came."""
    body = unicodedata.normalize(form, "café")
    (first,) = producer.send_many([{"to": TO, "text": body, "client_message_id": "1"}])
    assert isinstance(first, Accepted)
    earlier = message._fingerprint({"to": TO, "text": body})
    client.hset(keys.record(first.id), "print", earlier)

    (again,) = producer.send_many([{"to": TO, "text": body, "client_message_id": "1"}])

    assert isinstance(again, Accepted)
    assert again.repeated
