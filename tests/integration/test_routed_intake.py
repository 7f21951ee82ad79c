"""Intake by route: each message waits in its route's account and in no other, whatever changes meanwhile."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import RedisServer, allow_repeats, wait_until
from threelane import Accepted, Producer, ProducerSettings, Refused
from threelane.contract import message
from threelane.contract.accounts.account import Account, stored
from threelane.contract.accounts.route import Example, Route
from threelane.contract.accounts.routing import Routing, choose
from threelane.contract.message import OF_ACCOUNT
from threelane.contract.prices import CREDIT
from threelane.contract.refusal import Refusal
from threelane.producer import accept as acceptance
from threelane.producer import routes
from threelane.producer.accept import AcceptCall
from threelane.producer.enqueue import MOST_TRIES
from threelane.store import accounts, budgets, keys
from threelane.store.budgets import Budget
from threelane.store.spaces import spaces
from threelane.store.states import Status

TO, NAMIBIAN = "27831234567", "264811234567"
TEXT = "Hello"
ACCOUNTS = {
    "default": Account(name="default", gateway="http"),
    "bulk": Account(name="bulk", gateway="rest", prices="*=0.25"),
    "codes": Account(name="codes", gateway="one", prices="*=3"),
    "old": Account(name="old", gateway="http", charset="ucs-2", validity_minutes=60),
}
ROUTES = (
    Route(name="codes", accounts={"codes": 1}, stand_by="default", lane=(1,)),
    Route(name="newsletters", accounts={"bulk": 3, "old": 1}, tag=("news",)),
    Route(name="namibia", accounts={"old": 1}, stand_by="bulk", country=("NA",)),
)
ROUTING = Routing(accounts=ACCOUNTS, routes=ROUTES)
SWAPPED = Routing(accounts=ACCOUNTS, routes=(Route(name="all", accounts={"codes": 1, "bulk": 1}),))


@pytest.fixture
def routed(client: redis.Redis) -> redis.Redis:
    """A Redis in which a worker has published accounts and routes."""
    accounts.publish(client, ROUTING)
    return client


def places(client: redis.Redis) -> dict[str, list[str]]:
    """Return the indexes in which each message waits."""
    found: dict[str, list[str]] = {}
    for space in spaces(client, lambda: float("inf")):
        for index in keys.indexes_of(Status.QUEUED, Status.SCHEDULED, space=space):
            for one in client.zrange(index, 0, -1):
                found.setdefault(one.decode(), []).append(index)
    return found


def nudged(client: redis.Redis, lane: int, account: str) -> list[str]:
    """Return the ids in the nudges of a lane of an account."""
    envelopes = [json.loads(one) for one in client.lrange(keys.queue(lane, account), 0, -1)]
    return sorted(one for each in envelopes for one in json.loads(base64.b64decode(each["body"]))[0][1])


def record(client: redis.Redis, message_id: str) -> dict[str, str]:
    return {name.decode(): value.decode() for name, value in client.hgetall(keys.record(message_id)).items()}


messages = st.fixed_dictionaries(
    {"to": st.sampled_from([TO, NAMIBIAN]), "text": st.sampled_from(["Hello", "é" * 100, "Ω" * 100]),
     "lane": st.sampled_from([1, 2, 3]), "tags": st.sampled_from([[], ["news"], ["news", "vip"]]),
     "delay": st.sampled_from([0, 0, 3600])},
)  # fmt: skip


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(messages, min_size=1, max_size=12), drained=st.sets(st.sampled_from(["bulk", "codes", "old"])))
def test_each_message_is_in_the_index_of_its_routes_account_and_in_no_other(
    routed: redis.Redis, redis_server: RedisServer, sent: list[dict[str, Any]], drained: set[str]
) -> None:
    """Its own worker would send it, and a second one must not."""
    routed.flushall()
    allow_repeats(routed)
    accounts.publish(routed, ROUTING)
    for name in drained:
        accounts.drain(routed, name, "ann")
    sent = [one | {"client_message_id": f"c{n}"} if n % 2 else one for n, one in enumerate(sent)]
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop")) as producer:
        answers = producer.send_many(sent)

    where = places(routed)
    for one_sent, answer in zip(sent, answers, strict=True):
        assert isinstance(answer, Accepted), answer
        chosen = choose(ROUTING, subject(one_sent), answer.id, answer.due_at or now_ms(routed), drained)
        assert chosen
        status = Status.SCHEDULED if answer.due_at else Status.QUEUED
        space = keys.space_of(stored(chosen.account))
        assert [keys.index_of(status, one_sent["lane"], space)] == where[answer.id]
        written = record(routed, answer.id)
        assert (stored(chosen.account), chosen.rule) == (written.get("account", ""), written.get("route", ""))
        assert chosen.account == answer.account
        body = msgspec.json.decode(written["body"])
        alphabet = ACCOUNTS[chosen.account].alphabet
        assert ("ucs2" if set(one_sent["text"]) - alphabet else "gsm7") == body.get("encoding", "gsm7")
        assert (answer.id in nudged(routed, one_sent["lane"], stored(chosen.account))) is (status is Status.QUEUED)


def subject(sent: dict[str, Any]) -> Example:
    """Return a message as routes see it."""
    return Example(to=sent["to"], producer="shop", lane=sent["lane"], tags=tuple(sent.get("tags", ())))


def now_ms(client: redis.Redis) -> int:
    seconds, _ = client.time()
    return int(seconds) * 1000


def test_a_record_names_account_stand_by_and_route(routed: redis.Redis, producer: Producer) -> None:
    """The worker reads the stand-by, operators the route; older workers leave such a message to newer ones."""
    code, news, other = (
        record(routed, producer.send(TO, f"Hello {place}", **fields).id)
        for place, fields in enumerate(({"lane": 1}, {"tags": ["news"]}, {}))
    )

    assert ("codes", "default", "codes", str(OF_ACCOUNT)) == tuple(
        code[name] for name in ("account", "stand_by", "route", "schema")
    )
    assert news["account"] in ("bulk", "old")
    assert "newsletters" == news["route"]
    assert {"account", "stand_by", "route", "schema"}.isdisjoint(other)


def test_one_account_writes_no_new_field_and_costs_one_command_of_the_script(
    client: redis.Redis, producer: Producer
) -> None:
    """An installation that has no file pays nothing for the accounts of others."""
    producer.send(TO, TEXT)
    with client.monitor() as monitor:
        answer = producer.send(TO, "Hello again")
        client.set("tl:end", 1)
        seen = [*_until_end(monitor)]

    about = [(one["client_type"], one["command"].split()[0]) for one in seen if "tl:accounts" in one["command"]]
    assert [("lua", "HGET")] == [one for one in about if not one[1].startswith("EVAL")]
    assert "" == answer.account
    assert {"account", "stand_by", "route", "schema"}.isdisjoint(record(client, answer.id))
    assert [] == client.keys("tl:accounts*")


def _until_end(monitor: Any) -> Iterator[dict[str, Any]]:
    while "tl:end" not in (one := monitor.next_command())["command"]:
        yield one


def test_new_routes_apply_at_once_to_a_producer_that_knows_others(routed: redis.Redis, producer: Producer) -> None:
    """A producer reads routes once a minute, and accepts no message by old ones meanwhile."""
    assert "codes" == producer.send(TO, TEXT, lane=1).account
    accounts.publish(routed, SWAPPED)

    answers = [producer.send(TO, f"Hello {n}", client_message_id=f"c{n}") for n in range(20)]

    assert {"codes", "bulk"} == {one.account for one in answers}
    assert all([1] == [len(index)] for index in places(routed).values())


def test_a_repeated_call_stays_in_its_account(
    routed: redis.Redis, producer: Producer, redis_server: RedisServer
) -> None:
    """Other routes now must not make a second message of it, nor a nudge in a queue where nobody can claim it."""
    sent = {"to": TO, "text": TEXT, "lane": 1, "client_message_id": "order1"}
    (first,) = producer.send_many([sent])
    accounts.publish(routed, Routing(accounts=ACCOUNTS))
    routed.delete(keys.queue(1, "codes"))
    (by_old_routes,) = producer.send_many([sent])
    with Producer(ProducerSettings(redis_url=redis_server.url)) as newer:
        (by_new_ones,), (rehearsed,) = newer.send_many([sent]), newer.rehearse([sent])

    assert isinstance(first, Accepted)
    for again in (by_old_routes, by_new_ones):
        assert isinstance(again, Accepted)
        assert (first.id, "codes", True) == (again.id, again.account, again.repeated)
    assert not isinstance(rehearsed, Refused)
    assert ("codes", True) == (rehearsed.account, rehearsed.repeated)
    assert {first.id: [keys.names(keys.space_of("codes")).QUEUED[1]]} == places(routed)
    assert ([first.id] * 2, []) == (nudged(routed, 1, "codes"), nudged(routed, 1, ""))


def test_routes_that_change_during_a_bulk_cost_no_message(
    routed: redis.Redis, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each message is accepted once, by the routes before or after; none is refused, and none waits twice."""
    turns = [ROUTING, SWAPPED]
    calls = iter(range(1, 1000))
    begin = AcceptCall.begin

    def changing(call: AcceptCall, connection: redis.Redis) -> None:
        if next(calls) % 3 == 0:  # while the next batch is parsed and the last one is answered
            turns.reverse()
            accounts.publish(routed, turns[0])
        begin(call, connection)

    monkeypatch.setattr(AcceptCall, "begin", changing)
    sent = [{"to": TO, "text": f"Hello {n}", "client_message_id": f"c{n}", "lane": 1 + n % 3} for n in range(2500)]
    answers = producer.send_many(sent)

    assert {"Accepted"} == {type(one).__name__ for one in answers}
    assert 2500 == len({one.id for one in answers if isinstance(one, Accepted)})
    where = places(routed)
    assert 2500 == len(where)
    assert {1} == {len(indexes) for indexes in where.values()}
    assert not any(one.repeated for one in answers if isinstance(one, Accepted))
    for one_sent, answer in zip(sent, answers, strict=True):
        assert isinstance(answer, Accepted)
        names = {choose(one, subject(one_sent), answer.id, 0) for one in turns}
        assert answer.account in {one.account for one in names if one}


@pytest.mark.parametrize("changes", [MOST_TRIES, MOST_TRIES + 1])
@pytest.mark.parametrize("at_once", [True, False])
def test_routes_that_change_with_each_try_end_in_a_refusal(
    routed: redis.Redis, producer: Producer, monkeypatch: pytest.MonkeyPatch, changes: int, at_once: bool
) -> None:
    """A caller is not kept for ever, and knows that the message was not accepted; fewer changes cost none."""
    turns, calls = [ROUTING, SWAPPED], itertools.count(1)
    begin = AcceptCall.begin

    def changing(call: AcceptCall, connection: redis.Redis) -> None:
        if (number := next(calls)) <= changes:
            turns.reverse()
            accounts.publish(routed, turns[0])
        assert number <= MOST_TRIES + 1, "it is tried once, and then again at most MOST_TRIES times"
        begin(call, connection)

    monkeypatch.setattr(AcceptCall, "begin", changing)
    answer = producer.send_many([{"to": TO, "text": TEXT}])[0] if at_once else producer.try_send(TO, TEXT)

    assert MOST_TRIES + 2 == next(calls)
    if changes <= MOST_TRIES:
        assert isinstance(answer, Accepted)
        assert [answer.id] == [*places(routed)]
    else:
        assert isinstance(answer, Refused)
        assert Refused.from_refusal(acceptance.changing()).args == answer.args
        assert {} == places(routed)


def test_an_old_producer_puts_its_messages_into_the_default_account(routed: redis.Redis) -> None:
    """A service that is upgraded last knows no routes; its messages are sent, not lost."""
    draft = message.parse({"to": TO, "text": TEXT, "lane": 1}, now_ms(routed))
    assert not isinstance(draft, Refusal)
    (answer,) = acceptance.accept(routed, [draft], now_ms(routed))

    assert isinstance(answer, Accepted)
    assert {answer.id: ["tl:queued:1"]} == places(routed)


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"type": "flash"}, "type", "the API of the account codes (one) has no flash"),
        ({"escalate": True}, "escalate", "the API of the account codes (one) has no escalate"),
    ],
)
def test_a_feature_that_the_account_lacks_is_refused(
    routed: redis.Redis, producer: Producer, fields: dict[str, Any], field: str, problem: str
) -> None:
    """The gateway would refuse it after accept, or drop the feature without a word."""
    refused = producer.try_send(TO, TEXT, lane=1, **fields)

    assert isinstance(refused, Refused)
    assert (field, problem) == (refused.field, refused.problem)
    assert "leave it out, or use an account of the API http or rest or xml" == refused.remedy


def test_a_feature_of_the_routes_account_is_accepted_whatever_this_process_has(
    routed: redis.Redis, redis_server: RedisServer
) -> None:
    """The account in the environment of a producer decides nothing."""
    with Producer(ProducerSettings(redis_url=redis_server.url, gateway="one")) as producer:
        answer = producer.send(TO, TEXT, tags=["news"], escalate=True)

    assert answer.account in ("bulk", "old")


def test_a_message_of_the_default_account_with_a_stand_by_is_left_to_workers_that_note_doubt(
    client: redis.Redis, producer: Producer
) -> None:
    """An earlier version would attempt it, and the stand-by could not tell whether it was sent."""
    route = Route(name="codes", accounts={"default": 1}, stand_by="codes", lane=(1,))
    accounts.publish(client, Routing(accounts=ACCOUNTS, routes=(route,)))

    code, news = (producer.send(TO, "Hello", lane=lane) for lane in (1, 3))

    found = [record(client, one.id) for one in (code, news)]
    assert [(None, "codes", str(OF_ACCOUNT)), (None, None, None)] == [
        tuple(one.get(name) for name in ("account", "stand_by", "schema")) for one in found
    ]


def test_a_stand_by_that_lacks_a_feature_is_left_out(routed: redis.Redis, producer: Producer) -> None:
    """It never takes this message; its account does."""
    message = producer.send(TO, TEXT, lane=1)
    unicode = producer.send(TO, TEXT, lane=1, channel="whatsapp")

    assert "default" == record(routed, message.id)["stand_by"]
    assert "stand_by" not in record(routed, unicode.id)


def test_parts_are_those_of_the_accounts_charset(routed: redis.Redis, producer: Producer) -> None:
    """An account whose texts go as Unicode beyond ASCII needs two parts for 100 of these letters."""
    assert (1, "gsm7") == _parts(producer.send(TO, "é" * 100))
    assert (2, "ucs2") == _parts(producer.send(NAMIBIAN, "é" * 100))


def _parts(answer: Accepted) -> tuple[int, str]:
    return answer.parts, answer.encoding


def test_estimates_and_budgets_are_by_the_prices_of_the_account(routed: redis.Redis, producer: Producer) -> None:
    """A budget of credits is used up at the prices that each account charges."""
    routed.hset(keys.names(keys.space_of("codes")).PRICES, "NA", 500_000)  # the last charge there
    budgets.put(routed, "centre:sales", "day", Budget(4 * CREDIT))
    sent = [{"to": TO, "lane": 1}, {"to": NAMIBIAN, "lane": 1}, {"to": TO}, {"to": TO, "lane": 1}]
    answers = producer.send_many([{"text": f"Hello {n}", "cost_centre": "sales"} | one for n, one in enumerate(sent)])

    taken = [one.id for one in answers if isinstance(one, Accepted)]
    assert {3_000_000, 500_000} == {int(record(routed, one)["estimate"]) for one in taken}
    assert ["302", "302"] == [one.code for one in answers if isinstance(one, Refused)]


def test_a_drained_account_is_skipped_for_its_stand_by(routed: redis.Redis, producer: Producer) -> None:
    """It takes nothing new; its route says who does."""
    accounts.drain(routed, "old", "ann")

    assert "bulk" == producer.send(NAMIBIAN, TEXT).account


def test_a_message_without_an_account_that_takes_it_is_refused(routed: redis.Redis, producer: Producer) -> None:
    """It would wait where no worker looks, or keep an account busy that is to become empty."""
    accounts.drain(routed, "default", "ann")
    refused = producer.try_send(TO, TEXT)

    assert isinstance(refused, Refused)
    assert ("114", "account", "operator") == (refused.code, refused.field, refused.owner)
    assert "no account takes this message now: default is drained" == refused.problem
    assert refused.remedy.endswith("threelane account use default, or give its route a stand-by")
    accounts.use(routed, "default", "ann")
    wait_until(
        lambda: isinstance(producer.try_send(TO, TEXT, repeat=True), Accepted), what="the account to be used again"
    )


def test_an_outage_before_a_refusal_loses_no_answer(
    routed: redis.Redis, producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The routes are read again before a message is refused; messages before it may be accepted by then."""
    accounts.drain(routed, "default", "ann")
    producer.send(TO, TEXT, lane=1)
    producer._enqueuer._drafter._routes_at -= 1_000

    def fail(*_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(routes, "read", fail)
    answers = producer.send_many(
        [{"to": TO, "text": f"Hello {n}", "lane": 1} for n in range(99)] + [{"to": TO, "text": TEXT}]
    )

    assert [True] * 99 + [False] == [isinstance(one, Accepted) for one in answers]


@pytest.mark.parametrize("is_of_another_type", [False, True])
def test_damaged_accounts_refuse_what_they_would_route(
    routed: redis.Redis, producer: Producer, is_of_another_type: bool
) -> None:
    """The default account is not that of every route."""
    if is_of_another_type:
        routed.delete(keys.ACCOUNTS)
        routed.set(keys.ACCOUNTS, "x")
    else:
        routed.hset(keys.ACCOUNTS, mapping={"routing": "{", "version": "other"})
    refused = producer.try_send(TO, TEXT)

    assert isinstance(refused, Refused)
    assert "the published accounts or routes are damaged, so the account of this message is unknown" == refused.problem
    assert {} == places(routed)
