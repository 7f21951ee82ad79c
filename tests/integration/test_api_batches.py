"""Batches over HTTP: their names, who sees and changes them, and the same results as the library's."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Iterator
from inspect import signature
from typing import Any
from urllib.parse import quote

import pytest

from tests.integration.http_api import Api
from tests.servers import wait_until
from threelane import AsyncHttpProducer, BatchMessage, Cancelled, HttpProducer, PauseResult, Producer, Progress
from threelane.interfaces.api import batches as endpoints
from threelane.producer.cancel import CancelResult
from threelane.producer.http.values import BatchMessages
from threelane.store import audit, batches, keys

NAMES = ["февраль, =2.csv", "通知/2026/report", "a/pause", "50% off?#1", "%2F", "..", "naïve 👩‍👧"]
SHARED = ("batches", "batch", "batch_report", "pause_batch", "resume_batch", "cancel_batch")
OPERATIONS = [
    ("GET", ""),
    ("GET", "/messages"),
    ("GET", "/report"),
    ("POST", "/pause"),
    ("POST", "/resume"),
    ("POST", "/cancel"),
    ("DELETE", ""),
]


def address(name: str, what: str = "") -> str:
    return f"/v1/batches/{quote(name, safe='')}{what}"


def send(api: Api, key: str, name: str, number: int = 3) -> list[str]:
    messages = [{"to": str(27831234560 + at), "text": f"Hello {at}", "batch": name, "lane": 3} for at in range(number)]
    answer = api.request("POST", "/v1/messages/bulk", {"messages": messages}, key)
    return [one["message"]["id"] for one in answer.body["verdicts"]]


class OnALoop:
    """The client of asyncio, called as the other two are."""

    def __init__(self, url: str, key: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._producer = AsyncHttpProducer(url, key)

    def __enter__(self) -> OnALoop:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._producer.close())
        self._loop.close()

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            found = getattr(self._producer, name)(*given, **named)
            return self._loop.run_until_complete(found if asyncio.iscoroutine(found) else _all(found))

        return call


async def _all(found: Any) -> list[Any]:
    return [one async for one in found]


@pytest.fixture(params=[Producer, HttpProducer, OnALoop])
def shop(api: Api, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The library, and the two clients of the API."""
    if request.param is Producer:
        with Producer(name="shop", redis_url=api.settings.redis_url.get_secret_value()) as producer:
            yield producer
    else:
        with request.param(api.url, api.key("shop")) as producer:
            yield producer


def test_the_clients_have_the_methods_of_the_library() -> None:
    """With the same parameters; on a loop, what is returned is awaited or iterated with async."""
    named = {name: signature(getattr(Producer, name)) for name in SHARED}

    assert named == {name: signature(getattr(HttpProducer, name)) for name in SHARED}
    assert {name: one.parameters for name, one in named.items()} == {
        name: signature(getattr(AsyncHttpProducer, name)).parameters for name in SHARED
    }


def test_library_and_clients_return_the_same(api: Api, shop: Any) -> None:
    """For a batch that is there, and for one that is not."""
    ids = send(api, api.key("shop"), NAMES[0])
    send(api, api.key("bank"), "another")
    (one,) = shop.batches()
    found = shop.batch(NAMES[0])
    paused, again = shop.pause_batch(NAMES[0]), shop.pause_batch(NAMES[0])
    stopped = shop.batch(NAMES[0])
    back = shop.resume_batch(NAMES[0])
    report = list(shop.batch_report(NAMES[0]))
    results = list(shop.cancel_batch(NAMES[0]))

    assert batches.find(api.redis, "shop", NAMES[0]) == one
    assert isinstance(found, Progress)
    assert (one, 3, 3, None) == (found.batch, found.accepted, found.waiting, found.pause)
    assert ([3, 0], paused.since) == ([paused.messages, again.messages], again.since)
    assert (0, 3, paused.by) == (stopped.waiting, stopped.paused, stopped.pause.by)
    assert PauseResult(messages=3, since=paused.since, by=paused.by) == back
    assert sorted((one, f"2783123456{at}") for at, one in enumerate(ids)) == sorted((one.id, one.to) for one in report)
    assert {BatchMessage} == {type(one) for one in report}
    assert [Cancelled(one, CancelResult.CANCELLED, "queued") for one in sorted(ids)] == sorted(
        results, key=lambda one: one.id
    )
    assert [None, None, [], []] == [
        shop.batch("x"), shop.pause_batch("x"), list(shop.batch_report("x")), list(shop.cancel_batch("x"))
    ]  # fmt: skip
    assert PauseResult(messages=0, since=0) == shop.resume_batch("x")
    assert None is shop.batch("..")  # a client that resolves the path would request another one
    with pytest.raises(ValueError, match="invisible"):
        shop.batch("a\u202eb")


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_any_name_is_found_by_each_request(api: Api, name: str) -> None:
    """Encoded as one segment; a name that ends as an operation does is still a name."""
    key = api.key("shop")
    send(api, key, name, 2)
    found = api.request("GET", address(name), key=key)
    paused, back, cancelled = (api.request("POST", address(name, one), key=key) for _, one in OPERATIONS[3:6])
    report = api.request("GET", address(name, "/report"), key=key)

    assert (200, name) == (found.status, found.body["batch"]["name"])
    wait_until(lambda: not api.service.list_memory.held, what="the memory of the requests to be free")
    assert [2, 2, 2] == [paused.body["messages"], back.body["messages"], cancelled.body["cancelled"]]
    assert 3 == len(report.body.decode().splitlines())


def test_a_name_whose_slashes_a_proxy_decoded_is_found(api: Api) -> None:
    """Some proxies do so with every request."""
    key = api.key("shop")
    send(api, key, "2026/june")

    assert 3 == api.request("GET", "/v1/batches/2026/june", key=key).body["waiting"]
    assert 3 == api.request("POST", "/v1/batches/2026/june/pause", key=key).body["messages"]


@pytest.mark.parametrize("name", ["", "%20", "a%00b", "%ff", "x" * 300])
def test_a_name_that_no_batch_can_have_is_refused(api: Api, name: str) -> None:
    """With the field, or as a path that does not exist."""
    assert api.request("GET", f"/v1/batches/{name}", key=api.key("shop")).status == (422 if name else 404)


def test_another_producer_s_batch_is_as_unknown_as_none(api: Api) -> None:
    """Nobody learns from a response which batches others have."""
    send(api, api.key("shop"), "news")
    stranger = api.key("other", suppression=True, texts=True)
    for method, what in OPERATIONS:
        for more in ("", "?producer=shop"):
            foreign = api.request(method, address("news", what) + more, key=stranger)
            missing = api.request(method, address("olds", what) + more, key=stranger)

            assert (404, foreign.body) == (foreign.status, missing.body), (method, what, more)
    mine = [api.request("GET", f"/v1/batches{more}", key=stranger).body for more in ("", "?producer=shop")]
    assert [{"batches": [], "cursor": "0"}] * 2 == mine
    assert 3 == api.request("GET", address("news"), key=api.key("shop")).body["waiting"]
    assert [] == audit.read(api.redis, 10)


def test_a_viewer_reads_every_batch_and_an_operator_changes_it(api: Api) -> None:
    """Numbers of others are masked; each change is in the audit with the key that made it."""
    shop, viewer, operator = api.key("shop"), api.key("audit", viewer=True), api.key("ops", operator=True)
    send(api, shop, "news")
    reads = [api.request(method, address("news", what), key=viewer).status for method, what in OPERATIONS[:3]]
    refused = [api.request(method, address("news", what), key=viewer).status for method, what in OPERATIONS[3:]]
    changed = [api.request(method, address("news", what), key=operator).status for method, what in OPERATIONS[3:]]
    listed = api.request("GET", "/v1/batches", key=viewer).body["batches"]
    messages = api.request("GET", address("news", "/messages"), key=viewer).body["messages"]

    assert ([200] * 3, [403] * 4, [200] * 4) == (reads, refused, changed)
    assert [("shop", "news")] == [(one["producer"], one["name"]) for one in listed]
    assert {"27831******"} == {one["to"] for one in messages}
    noted = [(one.what, one.detail) for one in reversed(audit.read(api.redis, 10))]
    assert [(f"{one} batch", "news of shop") for one in ("pause", "resume", "cancel", "cancel")] == noted
    assert {" of ops"} == {one.who[one.who.index(" of ") :] for one in audit.read(api.redis, 10)}
    send(api, api.key("bank"), "news")
    both = api.request("GET", address("news"), key=viewer)
    assert (422, "query.producer") == (both.status, both.body["field"])
    assert "bank" == api.request("GET", address("news", "?producer=bank"), key=viewer).body["batch"]["producer"]


def test_a_report_has_whole_numbers_only_for_whom_they_concern(api: Api) -> None:
    """Masked unless they are requested; as a file to be saved."""
    shop, viewer, texts = api.key("shop"), api.key("audit", viewer=True), api.key("dpo", viewer=True, texts=True)
    send(api, shop, "=news/1")
    plain, full, other, denied = (
        api.request("GET", address("=news/1", f"/report?producer=shop{more}"), key=key)
        for key, more in ((shop, ""), (shop, "&full=true"), (texts, "&full=true"), (viewer, "&full=true"))
    )
    numbers = [{one["to"] for one in csv.DictReader(io.StringIO(one.body.decode()))} for one in (plain, full, other)]

    assert [{"27831******"}, *[{f"2783123456{at}" for at in range(3)}] * 2] == numbers
    assert (403, "text/csv; charset=utf-8") == (denied.status, plain.headers["content-type"])
    assert plain.headers["content-disposition"].startswith('attachment; filename="batch.csv"')
    assert plain.headers["content-disposition"].endswith("%3Dnews_1.csv")


def test_pages_have_every_batch_and_every_row_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """However short the pages are, and with batches of one moment."""
    monkeypatch.setattr(endpoints, "PAGE", 100)
    monkeypatch.setattr(batches, "SLICE", 2)
    key = api.key("shop")
    for at in range(5):
        send(api, key, f"b{at}", 1)
        send(api, api.key("bank"), f"c{at}", 1)
    at_once: Any = api.redis.zrange(keys.BATCHES, 0, 6)
    api.redis.zadd(keys.BATCHES, dict.fromkeys(at_once, 1_767_225_600_000))
    names, cursor = [], "0"
    while True:
        page = api.request("GET", f"/v1/batches?most=2&cursor={cursor}", key=key).body
        names += [one["name"] for one in page["batches"]]
        cursor = page["cursor"]
        if cursor == "0":
            break
    big = send(api, key, "big", 700)
    twice = [BatchMessage(id=one) for one in (big[0], big[1], big[0])]  # as Redis may list them while rows are removed
    assert big[:2] == [one.id for one in BatchMessages(twice, "0").new(set())]
    with HttpProducer(api.url, key) as producer:
        assert sorted(f"b{at}" for at in range(5)) == sorted(names)
        assert sorted(big) == sorted(one.id for one in producer.batch_report("big"))
        assert {*big} == {one.id for one in producer.cancel_batch("big")}
    assert 1 == sum(one.what == "cancel batch" for one in audit.read(api.redis, 10))


def test_a_batch_of_an_earlier_version_is_counted_by_its_records(api: Api) -> None:
    """It has no rows: the messages that were accepted before the upgrade are still shown and cancelled."""
    key = api.key("shop")
    send(api, key, "news")
    api.redis.delete(*api.redis.keys("tl:batch*"))

    found = api.request("GET", address("news"), key=key).body
    assert ({"queued": 3}, 3, 3) == (found["by_status"], found["total"], found["waiting"])
    assert 404 == api.request("GET", address("news"), key=api.key("other")).status
    assert 3 == api.request("DELETE", address("news"), key=key).body["cancelled"]


@pytest.mark.parametrize("listed", [True, False])
def test_a_delete_cancels_what_a_post_cancels(api: Api, listed: bool) -> None:
    """Nothing of another producer, and nothing without the right; also of messages that an earlier version accepted."""
    shop, bank, viewer, operator = (
        api.key("shop"), api.key("bank"), api.key("audit", viewer=True), api.key("ops", operator=True)
    )  # fmt: skip
    send(api, shop, "news")
    send(api, bank, "news", 2)
    send(api, shop, "one")
    if not listed:
        api.redis.delete(*api.redis.keys("tl:batch*"))

    def delete(key: str, name: str, more: str = "") -> tuple[int, Any]:
        response = api.request("DELETE", address(name, more), key=key)
        return response.status, response.body.get("cancelled", response.body.get("field"))

    def waiting() -> list[int]:
        return [api.request("GET", address("news"), key=one).body["waiting"] for one in (shop, bank)]

    assert (422, "query.producer") == delete(operator, "news")
    both = api.request("GET", address("news"), key=viewer)
    assert (422, "query.producer") == (both.status, both.body["field"])
    assert (404, "path.batch") == delete(bank, "news", "?producer=shop")
    assert (404, "path.batch") == delete(operator, "news", "?producer=")
    assert [403, 403] == [delete(viewer, *one)[0] for one in (("news", "?producer=shop"), ("one",))]
    assert [3, 2] == waiting()
    assert (200, 3) == delete(operator, "news", "?producer=shop")
    assert [0, 2] == waiting()
    assert (200, 0) == delete(shop, "news")
    assert (200, 3) == delete(operator, "one")
    assert {"cancel batch"} == {one.what for one in audit.read(api.redis, 10)}


def test_a_delete_also_finds_what_an_earlier_version_accepted_into_a_listed_batch(api: Api) -> None:
    """The batch lists the others only; each message counts once."""
    key = api.key("shop")
    first = send(api, key, "news")[0]
    api.redis.hdel(keys.batch_rows(batches.digest("shop", "news")), bytes.fromhex(first))

    assert 2 == api.request("POST", address("news", "/cancel"), key=key).body["cancelled"]
    assert 1 == api.request("DELETE", address("news"), key=key).body["cancelled"]
