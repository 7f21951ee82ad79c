"""The HTTP API as a producer uses it: over real HTTP, on a real Redis."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane import Accepted, AsyncHttpProducer, HttpProducer, Producer, ProducerSettings, Refused, Status
from threelane.producer.cancel import CancelResult
from threelane.producer.http import wire
from threelane.producer.reschedule import Moved
from threelane.store import keys

HELLO = {"to": "+27 83 123 4567", "text": "Hello"}
NOBODY = "0" * 32


@pytest.fixture
def key(api: Api) -> str:
    return api.key("shop")


@pytest.fixture
def shop(redis_server: RedisServer, api: Api) -> Iterator[Producer]:
    """The library, under the name that the key has."""
    with Producer(ProducerSettings(redis_url=redis_server.url, producer="shop", gateway=api.settings.gateway)) as made:
        yield made


class OnALoop:
    """The async client, called like the sync one."""

    def __init__(self, url: str, key: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._producer = AsyncHttpProducer(url, key)

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **named: self._loop.run_until_complete(getattr(self._producer, name)(*args, **named))

    def close(self) -> None:
        self._loop.run_until_complete(self._producer.close())
        self._loop.close()


@pytest.fixture(params=[HttpProducer, OnALoop], ids=["sync", "async"])
def over_http(request: pytest.FixtureRequest, api: Api, key: str) -> Iterator[Any]:
    """Each of the two clients."""
    made = request.param(api.url, key)
    yield made
    made.close()


# One message.


def test_an_answer_says_what_its_parts_are_for(api: Api, key: str, shop: Producer, over_http: Any) -> None:
    """In JSON, and from the clients the same value as from the library; null for one part."""
    curly = "don’t " + "hello there " * 12
    answered = api.request("POST", "/v1/messages", {**HELLO, "text": curly}, key).body
    short = api.request("POST", "/v1/messages", {**HELLO, "text": "don’t"}, key).body

    assert ("characters", 2) == tuple(answered["why_parts"]["causes"][0][name] for name in ("cause", "parts"))
    assert {"way": "look_alikes", "parts": 2, "remedy": "lookAlikes=1 saves 2 parts", "units": 0} == (
        answered["why_parts"]["savings"][0]
    )
    assert short["why_parts"] is None
    (expected,) = shop.rehearse([{**HELLO, "text": curly + "."}])
    assert expected.why_parts == over_http.send(HELLO["to"], curly + ".").why_parts  # type: ignore[union-attr]


def test_a_message_is_created_and_found_at_its_address(api: Api, key: str) -> None:
    """201 with its address, where it is shown as the library shows it."""
    response = api.request("POST", "/v1/messages", HELLO, key)
    found = api.request("GET", response.headers["location"], key=key)

    assert (201, 200) == (response.status, found.status)
    assert ("queued", "27831234567", "shop") == tuple(found.body[name] for name in ("status", "to", "producer"))


def test_a_repeated_post_is_the_same_message(api: Api, key: str) -> None:
    """By client message id or by header, also as a UUID with dashes."""
    once = uuid.uuid4()
    first = api.request("POST", "/v1/messages", HELLO | {"clientMessageId": once.hex}, key)
    second = api.request("POST", "/v1/messages", HELLO, key, {"Idempotency-Key": str(once)})
    third = api.request("POST", "/v1/messages", HELLO | {"climsgid": once.hex}, key, {"Idempotency-Key": once.hex})

    assert [201, 200, 200] == [one.status for one in (first, second, third)]
    assert 1 == len({one.body["id"] for one in (first, second, third)})


def test_other_content_under_a_known_id_is_a_conflict(api: Api, key: str) -> None:
    """409 names the message that was accepted."""
    first = api.request("POST", "/v1/messages", HELLO, key, {"Idempotency-Key": "login4711"})
    other = api.request("POST", "/v1/messages", HELLO | {"text": "Bye"}, key, {"Idempotency-Key": "login4711"})

    assert (409, "409", first.body["id"]) == (other.status, other.body["code"], other.body["id"])


def test_header_and_client_id_that_contradict_are_refused(api: Api, key: str, client: redis.Redis) -> None:
    """It would not be clear which one is meant."""
    response = api.request("POST", "/v1/messages", HELLO | {"client_id": "a1"}, key, {"Idempotency-Key": "a2"})
    wrong = api.request("POST", "/v1/messages", HELLO, key, {"Idempotency-Key": "no spaces"})

    assert [(422, "120", "Idempotency-Key")] * 2 == [
        (one.status, one.body["code"], one.body["field"]) for one in (response, wrong)
    ]
    assert not client.exists(keys.QUEUED[3])


def test_repeated_posts_at_the_same_time_are_one_message(api: Api, key: str, client: redis.Redis) -> None:
    """One answer is 201, all others are 200, and one message is queued."""
    with ThreadPoolExecutor(12) as pool:
        responses = list(
            pool.map(lambda _: api.request("POST", "/v1/messages", HELLO, key, {"Idempotency-Key": "one"}), range(48))
        )

    assert [200] * 47 + [201] == sorted(one.status for one in responses)
    assert (1, b"1", b"47") == (
        client.zcard(keys.QUEUED[3]),
        *client.hmget(keys.TALLY, "accepted:3", "repeated:3"),
    )


def test_a_message_by_http_is_the_same_as_by_the_library(api: Api, key: str, shop: Producer) -> None:
    """A service may change its way in and still repeat a call."""
    first = api.request("POST", "/v1/messages", HELLO | {"client_message_id": "both"}, key)
    second = shop.send("27831234567", "Hello", client_message_id="both")

    assert isinstance(second, Accepted)
    assert (first.body["id"], True) == (second.id, second.repeated)


# What is wrong.

BAD: list[dict[str, Any]] = [
    {"text": "x"},
    {"to": "0831234567", "text": "x"},
    {"to": "27831234567"},
    {"to": "27831234567", "text": "é" * 500},
    {"to": "27831234567", "text": "漢" * 202},
    {"to": "27831234567", "text": "x", "lane": 9},
    {"to": "27831234567", "text": "x", "from": "far too long a name"},
    {"to": "27831234567", "text": "x", "sheduled": "now"},
    {"to": "27831234567", "text": "x", "deliver_at": datetime(2031, 1, 1)},
    {"to": "27831234567", "text": "x", "scheduledDeliveryTime": "tomorrow"},
    {"to": "27831234567", "text": "x", "delay": float("nan")},
    {"to": "27831234567", "text": "x", "delay": timedelta(days=8)},
    {"to": "27831234567", "text": "x", "climsgid": "a b"},
    {"to": "27831234567", "text": "half \ud83d"},
    {"to": "27831234567", "text": "x", "tags": {"a", "?"}},
    {"to": "27831234567", "text": "x", "producer": "other"},
    {"to": "27831234567", "text": "x", "legal_notice": True},
]


def test_clients_refuse_as_the_library_does(over_http: Any, shop: Producer) -> None:
    """Field, code, reason, remedy and owner; only rights are about the key."""
    results = [over_http.try_send(**({"to": None} | bad)) for bad in BAD]
    expected = shop.send_many(BAD)

    assert expected[:-2] == results[:-2]
    assert [("producer", "operator"), ("legal_notice", "operator")] == [(one.field, one.owner) for one in results[-2:]]
    assert all(isinstance(one, Refused) for one in results)


def test_clients_raise_what_the_library_raises(over_http: Any, shop: Producer) -> None:
    """A service may change its interface and keep its ``except``; a 409 names the accepted message."""
    first = over_http.send("27831234567", "Hello", client_message_id="one")
    raised = []
    for producer in (over_http, shop):
        with pytest.raises(Refused) as refused:
            producer.send("27831234567", "Bye", client_message_id="one")
        raised.append(refused.value)

    assert [first.id] * 2 == [one.accepted_id for one in raised]
    assert raised[0] == raised[1] == over_http.try_send("27831234567", "Bye", client_message_id="one")


def test_a_list_is_judged_one_by_one(over_http: Any, shop: Producer) -> None:
    """The good ones are accepted, each bad one is refused as the library refuses it, in the order of the list."""
    messages = [HELLO | {"client_message_id": f"m{n}"} for n in range(3)] + BAD[:-2] + [5]
    results = over_http.send_many(messages)
    expected = shop.send_many(messages)

    assert [True] * 3 == [one.accepted and not one.repeated for one in results[:3]]
    assert expected[3:] == results[3:]
    assert [one.id for one in expected[:3]] == [one.id for one in results[:3]]


def test_a_remedy_still_has_its_former_name_beside_it(api: Api, key: str) -> None:
    """For one release, in problems and in verdicts, so that a client may be changed after the server."""
    problem = api.request("POST", "/v1/messages", BAD[1], key).body
    (verdict,) = api.request("POST", "/v1/messages/bulk", {"messages": [BAD[1]]}, key).body["verdicts"]
    described = api.request("GET", "/openapi.json").body["components"]["schemas"]

    assert problem["remedy"]
    assert problem["remedy"] == problem["mend"] == verdict["refusal"]["remedy"] == verdict["refusal"]["mend"]
    assert [True, True] == [described[one]["properties"]["mend"]["deprecated"] for one in ("Problem", "RefusedMessage")]


def test_a_client_reads_a_remedy_by_either_name() -> None:
    """The server may be of the release before."""
    body = {"status": 422, "title": "", "detail": "the number starts with 0", "code": "105", "field": "to"}
    for name in ("remedy", "mend"):
        with pytest.raises(Refused, match="the number starts with 0; write the country code first"):
            wire.accepted(wire.ApiResponse(422, "", json.dumps(body | {name: "write the country code first"}).encode()))


def test_verdicts_name_index_field_and_code(api: Api, key: str) -> None:
    """So that a program can fix exactly what was wrong."""
    response = api.request(
        "POST", "/v1/messages/bulk", {"messages": [HELLO, {"to": "2783", "text": "x"}, [], HELLO]}, key
    )

    assert (200, 2, 2, 0) == (response.status, *(response.body[name] for name in ("accepted", "refused", "repeated")))
    assert [(0, None), (1, "105 to"), (2, "101 message"), (3, None)] == [
        (one["index"], one.get("refusal") and f"{one['refusal']['code']} {one['refusal']['field']}")
        for one in response.body["verdicts"]
    ]


# fmt: off
UNREADABLE = [
    ("/v1/messages", b"{", 400, "body"),
    ("/v1/messages", b"", 400, "body"),
    ("/v1/messages", b"\xff", 400, "body"),
    ("/v1/messages", b'{"to":' * 50_000, 400, "body"),
    ("/v1/messages", b"[]", 422, "body"),
    ("/v1/messages/bulk", b"[]", 422, "body"),
    ("/v1/messages/bulk", b"{}", 422, "body"),
    ("/v1/messages/bulk", b'{"messages":{}}', 422, "messages"),
    ("/v1/messages/bulk", b'{"messages":[],"more":1}', 422, "body"),
    ("/v1/suppressions/check", b'{"number":5}', 422, "number"),
    ("/v1/suppressions/check", b'{"number":"083"}', 422, "number"),
]
# fmt: on


def test_an_unreadable_body_is_refused_with_its_position(api: Api, key: str) -> None:
    """As a problem with the field's path, never as a traceback."""
    responses = [api.request("POST", path, body, key) for path, body, _, _ in UNREADABLE]

    assert [(status, field) for _, _, status, field in UNREADABLE] == [
        (one.status, one.body["field"]) for one in responses
    ]
    assert {"application/problem+json"} == {one.headers["content-type"] for one in responses}
    assert all(one.body["remedy"] for one in responses)


def test_invalid_parameters_are_refused_with_their_names(api: Api, key: str) -> None:
    """Path and query, all that are wrong."""
    response = api.request("GET", "/v1/schedules?most=0&lane=4", key=key)
    when = api.request("GET", "/v1/schedules?after=2031-01-01T00:00:00", key=key)

    assert (422, ["query.lane", "query.most"]) == (
        response.status,
        sorted(one["field"] for one in response.body["errors"]),
    )
    assert (422, "120", "query.after") == (when.status, when.body["code"], when.body["field"])


# Afterwards.


def refused_move(over_http: Any, message_id: str, when: datetime) -> Refused:
    with pytest.raises(Refused) as raised:
        over_http.move(message_id, when)
    return raised.value


def test_a_message_is_cancelled_once(api: Api, over_http: Any) -> None:
    """The second time it is too late, and the answer has the reason; an unknown id is reported as unknown."""
    sent = over_http.send(**HELLO)
    results = [over_http.cancel([one])[0] for one in (sent.id, sent.id, NOBODY, "no id")]

    assert [CancelResult.CANCELLED, CancelResult.TOO_LATE, CancelResult.UNKNOWN, CancelResult.UNKNOWN] == [
        one.answer for one in results
    ]
    assert ("cancelled", "it was cancelled before") == (results[1].status, results[1].why)
    assert Status.CANCELLED is over_http.status(sent.id).status
    assert [None, None] == [over_http.status(one) for one in (NOBODY, "no/id")]


def test_waiting_messages_are_listed_and_moved(api: Api, over_http: Any, key: str) -> None:
    """A schedule is moved by its id, and refused in the words of the library."""
    when = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    sent = over_http.send(**HELLO, delay=timedelta(hours=1), tags=["promo"])
    moved = over_http.move(sent.id, when)
    queued = refused_move(over_http, over_http.send(**HELLO).id, when)
    listed = api.request("GET", "/v1/schedules?tag=promo", key=key)

    assert isinstance(moved, Moved)
    assert [(sent.id, when.timestamp() * 1000)] == [(one["id"], one["due_at"]) for one in listed.body]
    assert ("120", "id") == (queued.code, queued.field)
    assert "104" == refused_move(over_http, NOBODY, when).code
    late = refused_move(over_http, sent.id, when + timedelta(days=9))
    assert ("120", "deliver_at") == (late.code, late.field)


def test_a_batch_is_cancelled_at_once(api: Api, key: str) -> None:
    """All of it that its producer sent and that was not sent on; another's batch of that name stays."""
    other = api.key("other")
    for who, number in ((key, 5), (other, 2)):
        api.request("POST", "/v1/messages/bulk", {"messages": [HELLO | {"batch": "news 7"}] * number}, who)

    assert [5, 0, 2] == [
        api.request("DELETE", "/v1/batches/news%207", key=who).body["cancelled"] for who in (key, key, other)
    ]


def test_the_messages_of_another_producer_are_unknown(api: Api, key: str) -> None:
    """A key sees the messages of its producer; an operator's sees all."""
    sent = api.request("POST", "/v1/messages", HELLO | {"delay": 60}, key).body["id"]
    other, operator = api.key("other"), api.key("ops", operator=True)
    requests = [("GET", f"/v1/messages/{sent}", None), ("DELETE", f"/v1/messages/{sent}", None)]
    requests.append(("PATCH", f"/v1/schedules/{sent}", {"deliver_at": "2031-01-01T00:00:00Z"}))

    assert [404, 404, 404] == [api.request(method, path, body, other).status for method, path, body in requests]
    assert [] == api.request("GET", "/v1/schedules", key=other).body
    assert (200, 1) == (
        api.request("GET", f"/v1/messages/{sent}", key=operator).status,
        len(api.request("GET", "/v1/schedules", key=operator).body),
    )


@pytest.mark.parametrize(
    ("number", "sent_to"),
    [
        ("2.78312E+10", None),
        ("2.7831234E10", None),
        ("2.7831234567E+10", "27831234567"),
        ("27831234567.0", "27831234567"),
    ],
)
def test_a_number_in_scientific_notation_is_sent_to_nobody_else(
    api: Api, key: str, number: str, sent_to: str | None
) -> None:
    """A JSON number that lost digits is refused as the same text is; one that lost none is read."""
    message = f'{{"to": {number}, "text": "x"}}'
    other = message.replace('"x"', '"y"')
    one = api.request("POST", "/v1/messages", message.encode(), key)
    many = api.request("POST", "/v1/messages/bulk", f'{{"messages": [{other}]}}'.encode(), key)
    verdict = many.body["verdicts"][0]

    if sent_to:
        assert (201, sent_to) == (one.status, api.producer.status(one.body["id"]).to)
        assert verdict["accepted"]
    else:
        assert (422, "to") == (one.status, one.body["field"])
        assert "digits are lost" in one.body["detail"]
        assert one.body["detail"] == verdict["refusal"]["problem"]
