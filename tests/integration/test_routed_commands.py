"""What callers and operators do with messages of several accounts: by ids and batches, by HTTP, on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from tests.integration.http_api import Api
from tests.integration.test_routed_intake import ACCOUNTS, NAMIBIAN, ROUTING, TEXT, TO, nudged, places, record
from tests.servers import RedisServer, typed
from threelane import Accepted, Producer
from threelane.producer.cancel import CancelResult
from threelane.store import accounts, keys
from threelane.store.states import Status
from threelane.worker.upkeep.erase import erase

SENT = ({"to": TO}, {"to": TO, "lane": 1}, {"to": NAMIBIAN}, {"to": TO, "tags": ["news"]})
"""Messages of the accounts default, codes, old, and of bulk or old."""


@pytest.fixture
def routed(client: redis.Redis) -> redis.Redis:
    """A Redis in which a worker has published accounts and routes."""
    accounts.publish(client, ROUTING)
    return client


@pytest.fixture
def api(routed: redis.Redis, redis_server: RedisServer) -> Iterator[Api]:
    """The HTTP API on that Redis."""
    assert routed.ping()
    made = Api(redis_server.url).start()
    yield made
    made.stop()


def send(producer: Producer, **fields: object) -> list[Accepted]:
    """Send a message through each account."""
    answers = producer.send_many([{"text": f"Hello {n}", **one, **fields} for n, one in enumerate(SENT)])
    accepted = [one for one in answers if isinstance(one, Accepted)]
    assert ["default", "codes", "old"] == [one.account for one in accepted[:3]]
    return accepted


def test_messages_of_all_accounts_are_cancelled_by_id(routed: redis.Redis, producer: Producer) -> None:
    """A caller has ids, and knows no accounts."""
    ids = [one.id for one in send(producer)]

    assert [CancelResult.CANCELLED] * 4 == [one.answer for one in producer.cancel(ids)]
    assert {} == places(routed)


def test_what_a_cancel_can_stop_follows_from_the_account_of_the_message(
    routed: redis.Redis, producer: Producer
) -> None:
    """The API of this process's account is not that of every message."""
    ids = [one.id for one in send(producer)]
    for one in ids:
        routed.hset(keys.record(one), "status", "sent")

    why = [one.why for one in producer.cancel(ids)]
    assert "the gateway has it" == why[0]
    assert "the gateway has it, and the API of this account (one) has no command to stop a message" == why[1]


def test_a_message_of_another_account_is_rescheduled(routed: redis.Redis, producer: Producer) -> None:
    """It waits for its new time in its own account."""
    answer = producer.send(NAMIBIAN, TEXT, delay=600)
    later = datetime.fromtimestamp(producer.now() // 1000 + 7200, UTC)
    moved = producer.move(answer.id, later)

    due = keys.names(keys.space_of("old")).DUE[3]
    assert {answer.id: [due]} == places(routed)
    assert moved.due_at == routed.zscore(due, answer.id)


def test_a_batch_in_several_accounts_is_paused_counted_and_resumed(routed: redis.Redis, producer: Producer) -> None:
    """Each message waits in its account, and goes back to its queue."""
    answers = send(producer, batch="january")
    for account in ACCOUNTS:
        for lane in keys.LANES:
            routed.delete(keys.queue(lane, "" if account == "default" else account))

    paused, progress = producer.pause_batch("january"), producer.batch("january")
    assert paused
    assert progress
    assert (4, 4, {}) == (paused.messages, progress.accepted, places(routed))

    resumed = producer.resume_batch("january")
    assert 4 == resumed.messages
    assert {1} == {len(indexes) for indexes in places(routed).values()}
    assert [answers[1].id] == nudged(routed, 1, "codes")
    assert [answers[0].id] == nudged(routed, 3, "")


def test_a_person_is_erased_from_all_accounts(routed: redis.Redis, producer: Producer) -> None:
    """The number is in the records of each account; what waits is cancelled first."""
    ids = [one.id for one in send(producer) if record(routed, one.id)["to"] == TO]

    erased = erase(routed, TO, 3_600_000, producer.now(), stop=True)

    assert (3, True) == (erased.cancelled, erased.complete)
    assert [[Status.CANCELLED, ""]] * 3 == [
        [record(routed, one)["status"], record(routed, one).get("to", "")] for one in ids
    ]


def test_the_http_api_routes_and_shows_accounts_to_keys_that_see_all_producers(routed: redis.Redis, api: Api) -> None:
    """A tenant's key gets no names of the operator's accounts, in no answer and in no refusal."""
    shop, viewer = api.key(), api.key("ops", viewer=True)
    sent = api.request("POST", "/v1/messages", {"to": TO, "text": TEXT, "lane": 1}, shop)
    many = api.request("POST", "/v1/messages/bulk", {"messages": [{"to": TO, "text": "Hi", "tags": ["news"]}]}, shop)
    refused = api.request("POST", "/v1/messages", {"to": TO, "text": TEXT, "lane": 1, "escalate": True}, shop)
    path = f"/v1/messages/{sent.body['id']}"
    own, seen = api.request("GET", path, key=shop), api.request("GET", path, key=viewer)
    story = api.request("GET", f"{path}/timeline", key=shop)
    accounts.drain(routed, "default", "ann")
    none = api.request("POST", "/v1/messages", {"to": TO, "text": TEXT}, shop)

    assert (201, "codes") == (sent.status, record(routed, sent.body["id"])["account"])
    assert record(routed, many.body["verdicts"][0]["message"]["id"])["account"] in ("bulk", "old")
    assert (422, "the API of this account (one) has no escalate") == (refused.status, refused.body["detail"])
    assert ("", "codes") == (own.body["account"], seen.body["account"])
    assert (403, "no account takes this message now") == (none.status, none.body["detail"])
    tenant = json.dumps([sent.body, many.body, refused.body, own.body, story.body, none.body])
    assert [] == [name for name in ("codes", "bulk", "old") if f'"{name}"' in tenant or f" {name} " in tenant]


def test_a_dry_run_shows_account_route_and_price(
    routed: redis.Redis, redis_server: RedisServer, tmp_path: Path
) -> None:
    """An operator sees before the send through which account a file goes, and what it costs there."""
    environment = {"THREELANE_REDIS_URL": redis_server.url, "COLUMNS": "200"}
    one = typed("send", TO, TEXT, "--lane", "1", "--dry-run", environment=environment)
    file = tmp_path / "people.csv"
    file.write_text(f"to,text,lane\n+{TO},Hi,1\n+{NAMIBIAN},Hi,3\n+27831234568,Hi,3\n", encoding="utf-8")
    table = typed("bulk", str(file), "--dry-run", environment=environment)
    lines = [
        json.loads(line)
        for line in typed("bulk", str(file), "--dry-run", "--json", environment=environment).stdout.splitlines()
    ]

    assert (
        "it would be accepted: lane 1, 1 part(s) gsm7, about 3.00 credits, account codes by the route codes, "
        "stand-by default; nothing was sent"
    ) == one.stdout.strip()
    assert "3 would be accepted (3 parts, about 5.00 credits)" in table.stdout
    assert "codes (1)" in table.stdout
    rows = [(line["account"], line["route"], line["estimate_millionths"]) for line in lines if "account" in line]
    assert [("codes", "codes", 3_000_000), ("old", "namibia", 1_000_000), ("default", "", 1_000_000)] == rows
    codes = {"currency": "credits", "messages": 1, "parts": 1, "estimate_millionths": 3_000_000, "routes": {"codes": 1}}
    assert codes == lines[-1]["accounts"]["codes"]
    assert {} == places(routed)
