"""One message's whole story: told from what the record and its neighbours hold, and never its text."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest
import redis

from tests.properties.house import House, a_house
from tests.servers import RedisServer
from threelane import Status
from threelane.contract.message import Draft
from threelane.contract.prices import CREDIT
from threelane.operations.explain import Story, explain
from threelane.store import budgets, keys, registry, windows
from threelane.store.budgets import Budget
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.receipt.late import late
from threelane.worker.webhooks.delivery import shift

TEXT = "Your code is 4711"
BUSY = AttemptOutcome(OutcomeKind.REFUSED, code="901", text="Internal error")
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


@pytest.fixture
def house(redis_server: RedisServer, client: redis.Redis) -> Iterator[House]:
    """The stream of events has the time of Redis, so this house has it, too."""
    assert client.ping()
    with a_house(redis_server) as made:
        made.now = int(time.time() * 1000)
        yield made


def told(house: House, message_id: str) -> Story:
    found = explain(house.sync, message_id, house.now, house.settings)
    assert found
    assert TEXT.encode() not in msgspec.json.encode(found)
    return found


def take(house: House, **said: object) -> Draft:
    draft = house.draft(text=TEXT, **said)
    house.accept([draft])
    return draft


def test_the_story_of_a_message_that_was_retried_and_delivered(house: House) -> None:
    """Its steps with their times, the waits by cause, the rule, the charge, the budget, the receipt and the event."""
    budgets.put(house.sync, "centre:shop", "day", Budget(5 * CREDIT))
    one = take(house, costCentre="shop", producer="web", clientMessageId="o1", lane=1).message
    accepted = house.now
    house.attempt(one.id, BUSY, lane=1)
    story = told(house, one.id)
    assert ("retry", "901") == (story.pending and story.pending.cause, story.rule and story.rule.code)
    assert story.rule
    assert ("retry", "message", "gateway", True) == (
        story.rule.verdict,
        story.rule.scope,
        story.rule.owner,
        story.rule.listed,
    )
    assert story.pending
    house.now = story.pending.until
    house.release()
    house.attempt(one.id, TAKEN, lane=1)
    sent = house.now
    house.now += 4000
    house.receive([StatusReport(one.id, "g" * 32, "004", Status.DELIVERED, 800_000)])

    story = told(house, one.id)
    assert (2, "o1", "web", "shop") == (
        story.message.attempts,
        story.client_message_id,
        story.producer,
        story.cost_centre,
    )
    assert [
        (accepted, "accepted"),
        (accepted, "first attempt"),
        (sent, "sent"),
        (house.now, "receipt"),
        (house.now, "delivered"),
    ] == [(step.at, step.what) for step in story.steps]
    waits = {wait.cause: wait.seconds for wait in story.waits}
    assert (4.0, round((sent - accepted) / 1000, 1)) == (waits["network"], round(waits["retries"], 1))
    assert (CREDIT, 800_000, 800_000) == (story.money.estimate, story.money.charged, story.money.counted)
    assert [("centre:shop", 5 * CREDIT, 800_000)] == [(b.scope, b.limit, b.spent) for b in story.money.budgets]
    assert ["004"] == [receipt.detail for receipt in story.receipts]
    assert None is story.pending
    assert story.not_kept


def test_what_a_message_waits_for_is_told(house: House) -> None:
    """A hold, a window, its lane, its time, a look-up, a receipt, somebody who mends it; or nothing any more."""
    queued = take(house).message.id
    later = take(house, delay=600).message.id
    assert ("lane", "schedule") == tuple(told(house, one).pending.cause for one in (queued, later))  # type: ignore[union-attr]

    hour = (time.gmtime().tm_hour + 12) % 24
    windows.set_window(house.sync, "lane:3", f"daily {hour:02}:00-{hour:02}:59 UTC")
    assert told(house, queued).pending.cause == "window"  # type: ignore[union-attr]
    hold.put(house.sync, "prefix:2783", "the network is down", house.now)
    pending = told(house, queued).pending
    assert pending
    assert ("hold", True) == (pending.cause, "by_hand the network is down" in pending.detail)
    hold.resume(house.sync, "prefix:2783", house.now)

    doubted, dead, sent = (take(house).message.id for _ in range(3))
    house.attempt(doubted, AttemptOutcome(OutcomeKind.LOST))
    house.attempt(dead, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    house.attempt(sent, TAKEN)
    causes = [told(house, one).pending.cause for one in (doubted, dead, sent)]  # type: ignore[union-attr]
    assert ["look_up", "redrive", "receipt"] == causes
    house.cancel([queued])
    assert None is told(house, queued).pending


def test_events_are_told_with_what_the_webhook_did(house: House, client: redis.Redis) -> None:
    """Not fetched, on its way, set aside, or taken."""
    registry.put(client, "web", webhook="https://shop.example/sms")
    one = take(house, producer="web").message.id
    house.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    (event,) = told(house, one).events
    assert ("outcome", "dead", "not_fetched") == (event.type, event.status, event.webhook)

    client.xgroup_create(keys.EVENTS, "webhooks", "0")
    client.xreadgroup("webhooks", "one", {keys.EVENTS: ">"})
    (event,) = told(house, one).events
    assert "taken" == event.webhook
    content = '{"event":{"type":"outcome"},"tries":3,"reason":"answered 500"}'
    client.zadd(keys.deliveries("web"), {event.id: 1_800_000_000_000})
    client.hset(keys.delivery("web"), event.id, content)
    (event,) = told(house, one).events
    assert ("on_its_way", 3, "answered 500", 1_800_000_000_000) == (
        event.webhook,
        event.tries,
        event.reason,
        event.next_try_at,
    )
    shift(
        client,
        source=keys.deliveries("web"),
        target=keys.undelivered("web"),
        contents=keys.delivery("web"),
        id=event.id,
        was=content,
        content=content,
        score=house.now,
    )
    assert ["undelivered"] == [event.webhook for event in told(house, one).events]


def test_a_late_login_code_is_told(house: House) -> None:
    """Its producer was told that no receipt came in time; then one came."""
    house.now -= house.settings.keeping.late + 500
    one = take(house, lane=1).message.id
    house.attempt(one, TAKEN, lane=1)
    house.now = int(time.time() * 1000)
    assert [one] == house.run(late(house.client, house.now))
    house.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED)])
    assert ["late", "outcome"] == [event.type for event in told(house, one).events]


def test_codes_of_the_transport_and_of_ours_have_their_meaning(house: House) -> None:
    """They stand in no table of the gateway's."""
    lost = take(house).message.id
    house.attempt(lost, AttemptOutcome(OutcomeKind.LOST))
    rule = told(house, lost).rule
    assert rule
    assert ("lost", "unsure") == (rule.code, rule.verdict)
    lapsed = take(house).message.id
    house.claim(3, [lapsed], "token")
    house.now += house.settings.lease_ms
    house.lapse()
    rule = told(house, lapsed).rule
    assert rule
    assert "died" in rule.meaning
    odd = take(house).message.id
    house.attempt(odd, AttemptOutcome(OutcomeKind.REFUSED, code="199", text="?"))
    rule = told(house, odd).rule
    assert rule
    assert (False, "unlisted_message_code", True) == (rule.listed, rule.reason, rule.alarm)


def test_an_unknown_id_has_no_story(house: House) -> None:
    """Never known, or forgotten."""
    assert None is explain(house.sync, "0" * 32, house.now, house.settings)
