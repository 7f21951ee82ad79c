"""The caller's id at the gateway: on every API, and without a second message when the setting changes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.bulk import printed
from tests.integration.conftest import Workers, taken
from tests.integration.console import Visitor
from tests.integration.http_api import Api
from tests.properties.system import System
from tests.servers import RedisServer, typed
from tests.slow import also_slow
from threelane import Producer, ProducerSettings, Refused, Status
from threelane.contract.message_id import WireIds, both
from threelane.producer.accept import Accepted
from threelane.producer.cancel import CancelResult
from threelane.producer.rehearse import Rehearsed
from threelane.sandbox.running import Running
from threelane.store import batches, find, keys
from threelane.store.find import Filter
from threelane.store.status import MessageStatus

Until = Callable[..., MessageStatus]
TO = "27999500001"
OURS, CALLERS = WireIds.OURS, WireIds.CALLERS


def producer_of(server: RedisServer, wire_ids: WireIds, name: str = "shop", **settings: Any) -> Producer:
    return Producer(ProducerSettings(redis_url=server.url, producer=name, wire_ids=wire_ids, **settings))


@pytest.fixture
def both_forms(client: redis.Redis, redis_server: RedisServer) -> Iterator[dict[WireIds, Producer]]:
    """Two processes of the producer shop, one with each value of the setting."""
    assert client.ping()
    made = {one: producer_of(redis_server, one) for one in WireIds}
    yield made
    for producer in made.values():
        producer.close()


def send(producer: Producer, client_id: str = "Invoice2031x0042b", **fields: Any) -> Accepted:
    return producer.send(TO, "Your invoice", client_message_id=client_id, **fields)


# -- at the gateway --


@pytest.mark.parametrize("api", ["http", "one", *also_slow("platform", "rest", "xml")])
def test_the_gateway_gets_the_caller_s_id_and_its_receipt_finds_the_message(
    redis_server: RedisServer, reporting: Running, workers: Workers, until: Until, api: str
) -> None:
    """In its reports and invoices people read their own id; callbacks and look-ups need no table of ids."""
    workers.start(gateway=api)
    with producer_of(redis_server, CALLERS, gateway=api) as producer:
        for client_id, beginning in (("Invoice2031x0042b", "Invoice2031x0042"), ("login4711", "login4711")):
            one = send(producer, client_id).id
            assert Status.DELIVERED is until(one, Status.DELIVERED).status
            (entry,) = taken(reporting)[one]
            hashed = both("shop", client_id)[0]
            assert beginning + hashed[: 32 - len(beginning)] == one == entry["client_id"]


@pytest.mark.parametrize("api", ["http", *also_slow("rest", "xml")])
def test_a_look_up_never_adopts_the_message_of_another_producer(
    redis_server: RedisServer, sandbox: Running, workers: Workers, until: Until, api: str
) -> None:
    """Two producers use the same id; the request of one is lost, and its look-up finds only its own message."""
    with (
        producer_of(redis_server, CALLERS, gateway=api) as shop,
        producer_of(redis_server, CALLERS, "bank", gateway=api) as bank,
    ):
        sandbox.control("POST", "faults", {"do": "lose_answer", "times": 1})
        workers.start(gateway=api, doubt_delays_seconds="0.2,60")
        first = send(shop)
        found = until(first.id, Status.SENT, Status.DELIVERED)
        second = send(bank)
        until(second.id, Status.SENT, Status.DELIVERED)
    entries = {one: entry for one, (entry,) in taken(sandbox).items()}
    assert {first.id, second.id} == entries.keys()
    assert found.gateway_id == entries[first.id]["id"]
    assert first.id[:16] == second.id[:16]
    assert first.id[16:] != second.id[16:]


# -- a changed setting --


@pytest.mark.parametrize(("before", "after"), [(OURS, CALLERS), (CALLERS, OURS)])
def test_a_changed_setting_never_sends_twice(
    both_forms: dict[WireIds, Producer],
    sandbox: Running,
    workers: Workers,
    until: Until,
    client: redis.Redis,
    before: WireIds,
    after: WireIds,
) -> None:
    """The same message again, queued or sent, alone, in a list or rehearsed: its first id, and one SMS."""
    first = send(both_forms[before], batch="b")
    again = both_forms[after].send_many(
        [{"to": TO, "text": "Your invoice", "client_message_id": "Invoice2031x0042b", "batch": "b"}] * 2
    )
    assert [(first.id, True, Status.QUEUED)] * 2 == [(one.id, one.repeated, one.status) for one in again]  # type: ignore[union-attr]
    workers.start()
    until(first.id, Status.SENT, Status.DELIVERED)
    late = send(both_forms[after], batch="b")
    assert (first.id, True) == (late.id, late.repeated)
    assert late.status is not Status.QUEUED
    (rehearsed,) = both_forms[after].rehearse(
        [{"to": TO, "text": "Your invoice", "client_message_id": "Invoice2031x0042b", "batch": "b"}]
    )
    assert isinstance(rehearsed, Rehearsed)
    assert (first.id, True) == (rehearsed.id, rehearsed.repeated)
    assert {first.id: 1} == {one: len(entries) for one, entries in taken(sandbox).items()}
    assert [first.id] == [one for one, _ in batches.rows(client, "shop", "b")]
    assert 1 == both_forms[after].batch("b").accepted  # type: ignore[union-attr]


@pytest.mark.parametrize(("before", "after"), [(OURS, CALLERS), (CALLERS, OURS)])
def test_other_content_under_the_same_id_is_refused_whatever_the_setting_was(
    both_forms: dict[WireIds, Producer], before: WireIds, after: WireIds
) -> None:
    """With the id under which the first one is stored."""
    first = send(both_forms[before])
    with pytest.raises(Refused) as refused:
        both_forms[after].send(TO, "Another text", client_message_id="Invoice2031x0042b")
    assert ("409", first.id) == (refused.value.code, refused.value.accepted_id)
    (rehearsed,) = both_forms[after].rehearse(
        [{"to": TO, "text": "Another text", "client_message_id": "Invoice2031x0042b"}]
    )
    assert isinstance(rehearsed, Refused)
    assert ("409", first.id) == (rehearsed.code, rehearsed.accepted_id)


def test_processes_with_different_settings_accept_a_message_once(both_forms: dict[WireIds, Producer]) -> None:
    """While a new setting is deployed both are in force: the check and the record are one step."""
    ids: dict[WireIds, list[str]] = {}
    ready = threading.Barrier(2)

    def send_all(one: WireIds) -> None:
        ready.wait()
        ids[one] = [send(both_forms[one], f"order{n}").id for n in range(100)]

    threads = [threading.Thread(target=send_all, args=(one,)) for one in WireIds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ids[OURS] == ids[CALLERS]
    assert 100 == len(set(ids[OURS]))


@pytest.mark.parametrize(("before", "after"), [("ours", "callers"), ("callers", "ours")])
def test_a_job_that_runs_again_under_another_setting_sends_no_row_twice(
    redis_server: RedisServer, client: redis.Redis, tmp_path: Path, before: str, after: str
) -> None:
    """A batch knows its rows longer than their records exist."""
    file = tmp_path / "people.csv"
    file.write_text("to,text,client_message_id\n27831234567,Hi,\n27831234568,Hi,row2\n", encoding="utf-8")
    environment = {"THREELANE_REDIS_URL": redis_server.url}

    def run(wire_ids: str) -> tuple[list[str], dict[str, int]]:
        settings = environment | {"THREELANE_WIRE_IDS": wire_ids}
        done = typed("bulk", "--numbers", "international", str(file), "--json", environment=settings)
        plan, *answers, _ = printed(done.stdout)
        return [one["id"] for one in answers], plan["plan"]

    first, plan = run(before)
    assert (2, 0) == (plan["new"], plan["known"])
    client.delete(*keys.records(first))
    again, plan = run(after)
    assert (first, 0, 2, 0) == (again, plan["new"], plan["known"], plan["gone"])
    assert 0 == client.exists(*keys.records(first))


# -- everything that takes an id --


def test_a_list_in_which_only_some_messages_have_an_id_of_the_caller_is_accepted_once(
    both_forms: dict[WireIds, Producer],
) -> None:
    """Each of them is looked for in its other form, wherever it stands among the others."""
    plain = [{"to": f"2783123{n:04d}", "text": "Hello"} for n in range(3)]
    named = [{"to": f"2783124{n:04d}", "text": "Hello", "client_message_id": f"Invoice2031x{n}"} for n in range(2)]
    mixed = [plain[0], named[0], plain[1], named[1], plain[2]]
    first = [one for one in both_forms[WireIds.OURS].send_many(mixed) if isinstance(one, Accepted)]
    again = [one for one in both_forms[WireIds.CALLERS].send_many(mixed) if isinstance(one, Accepted)]
    assert [False, True, False, True, False] == [one.repeated for one in again]
    assert [first[1].id, first[3].id] == [again[1].id, again[3].id]


@pytest.fixture(scope="module")
def api_of_callers(redis_server: RedisServer) -> Iterator[Api]:
    made = Api(redis_server.url, wire_ids=CALLERS).start()
    yield made
    made.stop()


def test_the_http_api_and_the_console_take_a_caller_s_id(api_of_callers: Api, client: redis.Redis) -> None:
    """In paths and in bodies: status, timeline, move, cancel, and the page of the message."""
    assert client.ping()
    api, key = api_of_callers, api_of_callers.key("shop", operator=True, texts=True, evidence=True)
    message = {"to": TO, "text": "Hi", "client_message_id": "Invoice2031x0042b", "delay": 600}
    sent = api.request("POST", "/v1/messages", message, key)
    one = sent.body["id"]
    assert (201, "Invoice2031x0042", f"/v1/messages/{one}") == (sent.status, one[:16], sent.headers["location"])
    assert (200, one) == ((again := api.request("POST", "/v1/messages", message, key)).status, again.body["id"])
    assert 200 == api.request("GET", f"/v1/messages/{one}", key=key).status
    assert 200 == api.request("GET", f"/v1/messages/{one}/timeline", key=key).status
    visitor = Visitor(api)
    assert 200 == visitor.log_in(key).status
    assert 200 == visitor.get(f"/console/messages/{one}").status
    assert 200 == api.request("DELETE", f"/v1/messages/{one}", key=key).status
    redriven = api.request("POST", "/v1/dead-letters/redrive", {"ids": [one]}, key)
    assert 200 == redriven.status, redriven.body
    assert 404 == api.request("GET", f"/v1/messages/{one[:16]}{'g' * 16}", key=key).status


def test_the_command_line_takes_a_caller_s_id_whole_and_shortened(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    """The console shows its beginning; in any case, as long as it is the only one."""
    assert client.ping()
    with producer_of(redis_server, CALLERS, name="") as producer:
        one, other = send(producer, delay=600).id, send(producer, "Invoice2031x0042c", delay=600).id
    environment = {"THREELANE_REDIS_URL": redis_server.url}
    for given in (one, one[:20], f"{one[:20].lower()}…"):
        shown = typed("status", given, "--json", environment=environment)
        assert (0, True) == (shown.returncode, one in shown.stdout), shown.stderr
    ambiguous = typed("status", one[:16], environment=environment)
    assert (2, True) == (ambiguous.returncode, "two messages begin with" in ambiguous.stderr)
    cancelled = typed("cancel", one, environment=environment)
    assert "1 cancelled" in cancelled.stdout
    assert one != other


@pytest.mark.parametrize("wire_ids", WireIds)
def test_a_search_by_the_caller_s_id_finds_either_form(
    system: System, redis_server: RedisServer, wire_ids: WireIds
) -> None:
    """Whatever the setting was when the message was accepted, and without a search."""
    with producer_of(redis_server, wire_ids, name="") as producer:
        one = send(producer).id
    system.sync.config_resetstat()
    wanted = Filter(client_message_id="Invoice2031x0042b")
    assert [one] == [found.id for found in find.search(system.sync, wanted)]
    assert "cmdstat_scan" not in system.sync.info("commandstats"), "the id follows from the caller's"
    assert [one] == [found.id for found in find.term(system.sync, one)]
    assert {"invoice2": {one} if wire_ids is CALLERS else set()} == find.beginnings(system.sync, ["invoice2"])


def test_a_batch_of_caller_s_ids_is_listed_paused_and_cancelled(
    both_forms: dict[WireIds, Producer], client: redis.Redis
) -> None:
    """Its rows hold ids of both forms."""
    ids = {send(both_forms[one], f"{one}Invoice2031x0042", batch="b").id for one in WireIds}
    producer = both_forms[CALLERS]
    assert ids == {one for one, _ in batches.rows(client, "shop", "b")}
    assert ids == {one.id for one in producer.batch_report("b")}
    paused = producer.pause_batch("b")
    assert paused
    assert 2 == paused.messages
    assert 2 == producer.resume_batch("b").messages
    assert dict.fromkeys(ids, CancelResult.CANCELLED) == {one.id: one.answer for one in producer.cancel_batch("b")}
