"""One message's whole story: from the record and its neighbours, and never with its text."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
import redis

from tests.properties.system import System, open_system
from tests.servers import RedisServer
from threelane import Status
from threelane.contract.holidays import Holiday
from threelane.contract.message import Draft
from threelane.contract.prices import CREDIT
from threelane.operations.explain import Story, explain
from threelane.store import budgets, keys, registry, windows
from threelane.store.budgets import Budget
from threelane.worker.account import hold
from threelane.worker.gateway.breaking import scope_of, trip
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.receipt.late import late
from threelane.worker.webhooks.delivery import shift

TEXT = "Your code is 4711"
BUSY = AttemptOutcome(OutcomeKind.REFUSED, code="901", text="Internal error")
TAKEN = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)


@pytest.fixture
def system(redis_server: RedisServer, client: redis.Redis) -> Iterator[System]:
    """The stream of events has the time of Redis, so this system has it, too."""
    assert client.ping()
    with open_system(redis_server) as made:
        made.now = int(time.time() * 1000)
        yield made


def story_of(system: System, message_id: str) -> Story:
    found = explain(system.sync, message_id, system.now, system.settings)
    assert found
    assert TEXT.encode() not in msgspec.json.encode(found)
    return found


def take(system: System, **fields: object) -> Draft:
    draft = system.draft(text=TEXT, **fields)
    system.accept([draft])
    return draft


def test_the_story_of_a_message_that_was_retried_and_delivered(system: System) -> None:
    """Its steps with their times, the waits by cause, the rule, the charge, the budget, the receipt and the event."""
    budgets.put(system.sync, "centre:shop", "day", Budget(5 * CREDIT))
    one = take(system, costCentre="shop", producer="web", clientMessageId="o1", lane=1).message
    accepted = system.now
    system.attempt(one.id, BUSY, lane=1)
    story = story_of(system, one.id)
    assert ("retry", "901") == (story.pending and story.pending.cause, story.rule and story.rule.code)
    assert story.rule
    assert ("retry", "message", "gateway", True) == (
        story.rule.verdict,
        story.rule.scope,
        story.rule.owner,
        story.rule.listed,
    )
    assert story.pending
    system.now = story.pending.until
    system.release()
    system.attempt(one.id, TAKEN, lane=1)
    sent = system.now
    system.now += 4000
    system.receive([StatusReport(one.id, "g" * 32, "004", Status.DELIVERED, 800_000)])

    story = story_of(system, one.id)
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
        (system.now, "receipt"),
        (system.now, "delivered"),
    ] == [(step.at, step.what) for step in story.steps]
    waits = {wait.cause: wait.seconds for wait in story.waits}
    assert (4.0, round((sent - accepted) / 1000, 1)) == (waits["network"], round(waits["retries"], 1))
    assert (CREDIT, 800_000, 800_000) == (story.money.estimate, story.money.charged, story.money.counted)
    assert [("centre:shop", 5 * CREDIT, 800_000)] == [(b.scope, b.limit, b.spent) for b in story.money.budgets]
    assert ["004"] == [receipt.detail for receipt in story.receipts]
    assert None is story.pending
    assert story.not_kept


def test_the_story_shows_what_a_message_waits_for(system: System) -> None:
    """A hold, a window, its lane, its time, a look-up, a receipt, a fix by its owner; or nothing any more."""
    queued = take(system).message.id
    later = take(system, delay=600).message.id
    assert ("lane", "schedule") == tuple(story_of(system, one).pending.cause for one in (queued, later))  # type: ignore[union-attr]

    hour = (time.gmtime().tm_hour + 12) % 24
    windows.set_window(system.sync, "lane:3", f"daily {hour:02}:00-{hour:02}:59 UTC")
    assert story_of(system, queued).pending.cause == "window"  # type: ignore[union-attr]
    hold.put(system.sync, "prefix:2783", "the network is down", system.now)
    pending = story_of(system, queued).pending
    assert pending
    assert ("hold", True) == (pending.cause, "by_hand the network is down" in pending.detail)
    hold.resume(system.sync, "prefix:2783", system.now)

    doubted, dead, sent = (take(system).message.id for _ in range(3))
    system.attempt(doubted, AttemptOutcome(OutcomeKind.LOST))
    system.attempt(dead, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    system.attempt(sent, TAKEN)
    causes = [story_of(system, one).pending.cause for one in (doubted, dead, sent)]  # type: ignore[union-attr]
    assert ["look_up", "redrive", "receipt"] == causes
    system.cancel([queued])
    assert None is story_of(system, queued).pending


def test_the_story_of_a_message_before_its_handover_has_both_times(system: System) -> None:
    """It leaves for the gateway at one time, and the gateway delivers it at the other."""
    draft = take(system, delay=6.5 * 86_400, at_gateway=True)
    one, due = draft.message.id, draft.message.due_at
    handover = system.now + 43_200_000
    story = story_of(system, one)
    assert story.pending
    assert ("schedule", handover) == (story.pending.cause, story.pending.until)
    assert f"until {datetime.fromtimestamp(due / 1000, UTC):%Y-%m-%d %H:%M} UTC" in story.pending.detail
    assert [("due", handover), ("due at the gateway", due)] == [(step.what, step.at) for step in story.steps[1:]]
    assert due == story.message.due_at

    system.now = handover + 5_000
    system.release()
    assert handover == story_of(system, one).waiting_since, "it waits since its handover, not since its delivery time"


def test_the_story_names_the_zones_and_holidays_that_keep_a_window_closed(system: System) -> None:
    """Whoever waits sees whether the hour, the wide country or the calendar is why."""
    mobile = take(system, to="79161234567").message.id
    today = datetime.fromtimestamp(system.now / 1000, UTC).date()
    windows.set_window(system.sync, "lane:3", "daily 00:00-24:00 recipient")
    days = [Holiday(today + timedelta(days=ahead), "RU", "Mayovka") for ahead in (-1, 0, 1)]
    windows.add_holidays(system.sync, days, now=system.now)

    pending = story_of(system, mobile).pending
    assert pending
    assert ("window", True) == (pending.cause, pending.until > system.now)
    assert pending.detail.startswith(
        "its sending window is closed; the recipient's time: all 26 zones of RU; closed on holidays: "
    )
    # which day it is there depends on the hour
    assert any(f"{one.day} (Mayovka) in RU" in pending.detail for one in days)


def test_what_waits_for_a_gateway_that_does_not_answer_has_no_time_in_the_past(system: System) -> None:
    """While the breaker is open nothing is sent or looked up, whatever time the record has."""
    refused, doubted, queued = (take(system, lane=1).message.id for _ in range(3))
    for one in (refused, doubted):
        system.attempt(one, AttemptOutcome(OutcomeKind.LOST), lane=1)
    system.sync.hset(keys.record(refused), "retry", system.now + 2_000)
    name = system.settings.gateway_fingerprint
    system.now += 40_000
    system.sync.zadd(keys.WORKERS, {"one": system.now})
    system.sync.hset(keys.worker("one"), "gateway", name)
    trip(
        system.sync,
        breaker=keys.breaker(name),
        now=system.now,
        scope=scope_of(name),
        code="lost",
        detail="TimeoutError",
        address="https://api.example",
        failures=5,
        began=system.now,
        process="one",
        wait_ms=0,
        first_ms=60_000,
        most_ms=60_000,
        jitter=0.0,
    )
    pending = [story_of(system, one).pending for one in (refused, doubted, queued)]
    assert [("retry", 0), ("look_up", 0), ("hold", 0)] == [(one.cause, one.until) for one in pending if one]
    assert all("https://api.example does not answer" in one.detail for one in pending if one)


def test_the_story_shows_events_with_their_delivery(system: System, client: redis.Redis) -> None:
    """Not fetched, on its way, set aside, or taken."""
    registry.put(client, "web", webhook="https://shop.example/sms")
    one = take(system, producer="web").message.id
    system.attempt(one, AttemptOutcome(OutcomeKind.REFUSED, code="113"))
    (event,) = story_of(system, one).events
    assert ("outcome", "dead", "not_fetched") == (event.type, event.status, event.webhook)

    client.xgroup_create(keys.EVENTS, "webhooks", "0")
    client.xreadgroup("webhooks", "one", {keys.EVENTS: ">"})
    (event,) = story_of(system, one).events
    assert "taken" == event.webhook
    content = '{"event":{"type":"outcome"},"tries":3,"reason":"answered 500"}'
    client.zadd(keys.deliveries("web"), {event.id: 1_800_000_000_000})
    client.hset(keys.delivery("web"), event.id, content)
    (event,) = story_of(system, one).events
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
        score=system.now,
    )
    assert ["undelivered"] == [event.webhook for event in story_of(system, one).events]


def test_the_story_shows_a_late_login_code(system: System) -> None:
    """Its producer got the late event; then a receipt came."""
    system.now -= system.settings.keeping.late + 500
    one = take(system, lane=1).message.id
    system.attempt(one, TAKEN, lane=1)
    system.now = int(time.time() * 1000)
    assert [one] == system.run(late(system.client, system.settings.keeping.late, system.now))
    system.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED)])
    assert ["late", "outcome"] == [event.type for event in story_of(system, one).events]


def test_codes_of_the_transport_and_of_threelane_have_their_meaning(system: System) -> None:
    """No table of the gateway lists them."""
    lost = take(system).message.id
    system.attempt(lost, AttemptOutcome(OutcomeKind.LOST))
    rule = story_of(system, lost).rule
    assert rule
    assert ("lost", "unsure") == (rule.code, rule.verdict)
    lapsed = take(system).message.id
    system.claim(3, [lapsed], "token")
    system.now += system.settings.lease_ms
    system.lapse()
    rule = story_of(system, lapsed).rule
    assert rule
    assert "died" in rule.meaning
    odd = take(system).message.id
    system.attempt(odd, AttemptOutcome(OutcomeKind.REFUSED, code="199", text="?"))
    rule = story_of(system, odd).rule
    assert rule
    assert (False, "unlisted_message_code", True) == (rule.listed, rule.reason, rule.alarm)


def test_an_unknown_id_has_no_story(system: System) -> None:
    """Never known, or forgotten."""
    assert None is explain(system.sync, "0" * 32, system.now, system.settings)


def test_the_story_of_a_refusal_that_is_looked_up_is_that_of_a_retry(system: System) -> None:
    """It waits for its retry; that a look-up comes first is a detail."""
    system.can_look_up = True
    one = take(system).message.id
    system.attempt(one, BUSY)
    story = story_of(system, one)
    assert story.pending
    assert ("retry", True) == (story.pending.cause, "looked up first" in story.pending.detail)
    assert "in doubt" not in [step.what for step in story.steps]
    system.now = story.pending.until
    assert {3: [one]} == system.start_look_up().answer({one: LookUp(Known.NOT_FOUND)})


def test_the_story_shows_why_a_message_is_not_sent_again(system: System) -> None:
    """Sent again once, or its content is gone: who waits for it knows what to expect."""
    one = take(system).message.id
    for _ in range(2):
        system.attempt(one, AttemptOutcome(OutcomeKind.LOST))
        pending = story_of(system, one).pending
        system.now += 2_000_000
        system.start_look_up().answer({one: LookUp(Known.NOT_FOUND)})
    assert pending
    assert "not sent a third time" in pending.detail
    story = story_of(system, one)
    assert ("unknown", "in_doubt_again") == (story.message.status, story.rule and story.rule.code)
    assert "sent again" in [step.what for step in story.steps]


@pytest.mark.parametrize("status", ["012", "VOLUME_LIMIT"])
def test_the_rule_of_a_returned_message_is_that_of_its_status(system: System, status: str) -> None:
    """Its code is that of the same cause, which the table of the account's API may not list."""
    one = take(system, lane=1).message
    system.attempt(one.id, TAKEN, 1)
    system.receive([StatusReport(one.id, TAKEN.gateway_id, status, Status.UNDELIVERED, None, at=system.now)])
    rule = story_of(system, one.id).rule
    assert rule
    assert ("account", "operator", True) == (rule.scope, rule.owner, rule.listed)
    assert f"status {status}" in rule.meaning
