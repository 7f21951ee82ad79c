"""The confirmation of a STOP: one message, within five minutes, past that STOP alone; only if it is switched on."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.integration.conftest import SECRET, Workers, taken, threelane_child
from tests.integration.test_callbacks import Caller
from tests.integration.test_replies import OURS, events, mo
from tests.properties.system import System
from tests.servers import wait_until
from threelane.contract.message_id import identify
from threelane.contract.prices import Prices
from threelane.sandbox.running import Running
from threelane.store import keys, reach, suppression
from threelane.store.status import read as statuses
from threelane.store.suppression import CONFIRMATION, OPERATOR, Entry
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.inbound.report import InboundReply
from threelane.worker.reply.confirm import Confirmation, confirm
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import build
from threelane.worker.send.settle import Settlement

PERSON = "27831234567"
TEXT = "ACME: you get no more messages. START to resume."
MINUTE = 60_000
WORDS = build({"fr": {"stop": ["ARRET"], "confirmation": "ACME : plus aucun message."}})


def replies(system: System, text: str, number: str, *, at: int = 0, confirmation: str = TEXT) -> None:
    """Let a person reply."""
    reply = InboundReply(number, PERSON, OURS, text, at=at or system.now)
    system.run(take(system.client, reply, WORDS, system.now, confirmation=confirmation))


def confirmed(system: System) -> list[str]:
    """Let a worker accept what is to be confirmed; returns the ids."""
    found: list[str] = system.run(confirm(system.client, Prices({}), system.now))
    return found


def claims(system: System, ids: list[str]) -> list[Any]:
    """Let a worker claim messages of lane 1."""
    return list(system.claim(1, ids, "token").claimed)


def counts(client: redis.Redis) -> dict[str, int]:
    """Return how many confirmations had which result."""
    found = ((name.decode().split(":"), value) for name, value in client.hgetall(keys.TALLY).items())
    return {name[1]: int(value) for name, value in found if name[0] == "confirmations"}


def test_a_stop_is_confirmed_once_from_the_number_that_it_went_to(system: System, client: redis.Redis) -> None:
    """On lane 1, which no window defers, in the language of the STOP; the entry names the message."""
    replies(system, "Arrêt", "r1")
    (message_id,) = confirmed(system)
    assert identify(CONFIRMATION, "r1") == message_id
    (claimed,) = claims(system, [message_id])
    sms = claimed.message
    assert (PERSON, OURS, 1, "ACME : plus aucun message.", "drop") == (
        sms.to,
        sms.sender,
        sms.lane,
        sms.text,
        sms.on_doubt,
    )
    assert CONFIRMATION.encode() == client.hget(keys.record(message_id), "producer")
    (entry,) = suppression.why(client, PERSON)
    assert f"reply r1 to {OURS}, confirmation: message {message_id}" == entry.evidence
    assert (0, {"accepted": 1}) == (client.zcard(keys.CONFIRMATIONS), counts(client))
    assert [] == confirmed(system)


def test_a_reply_to_the_confirmation_goes_to_whoever_texted_the_person(system: System, client: redis.Redis) -> None:
    """Nobody reads the replies of the reserved producer."""
    sent = system.draft(to=PERSON, sender=OURS, producer="shop", lane=1)
    system.accept([sent])
    replies(system, "STOP", "r1")
    client.delete(keys.SUPPRESSED)
    accepted = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="0" * 32)
    for one in [sent.message.id, *confirmed(system)]:
        (claimed,) = claims(system, [one])
        system.settle([Settlement(claimed, accepted, system.judge(claimed, accepted))])
    answer = InboundReply("r2", PERSON, OURS, "Really?", at=system.now, related_id=identify(CONFIRMATION, "r1"))
    system.run(take(system.client, answer, WORDS, system.now))
    assert [("Really?", "shop", "texted")] == [(one.text, one.producer, one.route) for one in events(client)][-1:]


def test_repeated_stops_get_no_second_confirmation(system: System, client: redis.Redis) -> None:
    """Neither a repeated callback, nor another STOP, nor one after a START of an answering machine."""
    for number, text in (("r1", "STOP"), ("r1", "STOP"), ("r2", "stop"), ("r3", "START"), ("r4", "STOP")):
        system.now += 1
        replies(system, text, number)
    assert 1 == len(confirmed(system))
    assert {"accepted": 1} == counts(client)
    assert 0 < client.pttl(keys.confirmed(PERSON)) <= 24 * 60 * MINUTE


def test_another_spelling_of_the_person_gets_no_second_confirmation(system: System, client: redis.Redis) -> None:
    """Benin has two spellings of each number; a START between them changes nothing."""
    former, present = "22997123456", "2290197123456"
    for seconds, (sender, text) in enumerate([(former, "STOP"), (present, "START"), (present, "STOP")]):
        now = system.now + 2_000 * seconds
        reply = InboundReply(f"r{seconds}", sender, OURS, text, at=now)
        system.run(take(system.client, reply, WORDS, now, confirmation=TEXT))
        assert (text == "STOP") == bool(suppression.why(client, present))
    assert 1 == client.zcard(keys.CONFIRMATIONS)


def test_two_workers_accept_one_confirmation(system: System, client: redis.Redis) -> None:
    """Both may read it before one removes it; the message is one, and it is claimed once."""
    replies(system, "STOP", "r1")
    waiting = client.zrange(keys.CONFIRMATIONS, 0, -1, withscores=True)
    first = confirmed(system)
    client.zadd(keys.CONFIRMATIONS, dict(waiting))
    assert first == confirmed(system)
    assert (1, 1) == (client.zcard(keys.QUEUED[1]), len(claims(system, first)))


def test_a_confirmation_passes_only_what_a_stop_set(system: System, client: redis.Redis) -> None:
    """Not an operator's entry, whether it was there before or comes while the message waits."""
    suppression.add(client, [(PERSON, Entry(source=OPERATOR))])
    replies(system, "STOP", "r1")
    assert [] == confirmed(system)
    assert {"refused": 1} == counts(client)
    client.delete(keys.SUPPRESSED, keys.confirmed(PERSON))

    replies(system, "STOP", "r2")
    (message_id,) = confirmed(system)
    suppression.add(client, [(PERSON, Entry(source="code 122"))])
    assert [] == claims(system, [message_id])
    (found,) = statuses(client, [message_id])
    assert found is not None
    assert ("dead", "122") == (found.status, found.code)


def test_every_other_message_stays_suppressed(system: System) -> None:
    """No producer can have the name of the reserved one."""
    waiting = system.draft(to=PERSON, lane=1)
    system.accept([waiting])
    replies(system, "STOP", "r1")
    assert not system.accept([system.draft(to=PERSON, lane=1)])[0].accepted
    assert [] == claims(system, [waiting.message.id])
    with pytest.raises((AssertionError, ValueError)):
        system.draft(to=PERSON, producer=CONFIRMATION)


def test_a_confirmation_is_never_later_than_five_minutes(system: System, client: redis.Redis) -> None:
    """A STOP that the gateway brings late has none; one that waits for a worker, or on its lane, expires."""
    replies(system, "STOP", "late", at=system.now - 5 * MINUTE)
    assert (0, 0) == (client.zcard(keys.CONFIRMATIONS), client.exists(keys.confirmed(PERSON)))
    client.delete(keys.SUPPRESSED)

    replies(system, "STOP", "r1")
    system.now += 5 * MINUTE
    assert [] == confirmed(system)
    assert {"late": 1} == counts(client)
    client.delete(keys.SUPPRESSED, keys.confirmed(PERSON))

    replies(system, "STOP", "r2")
    (message_id,) = confirmed(system)
    system.now += 4 * MINUTE + 30_000
    assert [] == claims(system, [message_id])
    (found,) = statuses(client, [message_id])
    assert found is not None
    assert "expired" == found.status


@pytest.mark.parametrize(("text", "confirmation"), [("STOP", ""), ("START", TEXT), ("Hello", TEXT), ("HELP", TEXT)])
def test_nothing_else_is_confirmed(system: System, client: redis.Redis, text: str, confirmation: str) -> None:
    """Off by default."""
    replies(system, text, "r1", confirmation=confirmation)
    assert 0 == client.exists(keys.CONFIRMATIONS, keys.confirmed(PERSON))


def test_a_near_stop_is_confirmed_where_it_suppresses(system: System, client: redis.Redis) -> None:
    """Its author may have meant something else, and learns how to undo it."""
    reply = InboundReply("r1", "12025550123", OURS, "pls stop", at=system.now)
    system.run(take(system.client, reply, WORDS, system.now, confirmation=TEXT))
    assert 1 == len(confirmed(system))
    replies(system, "pls stop", "r2")  # of a number elsewhere: only reported
    assert [] == confirmed(system)


def test_a_damaged_confirmation_keeps_no_other_back(system: System, client: redis.Redis) -> None:
    """It is counted as refused."""
    client.zadd(keys.CONFIRMATIONS, {b"\xff{": system.now + 1})
    client.zadd(keys.CONFIRMATIONS, {b'{"id":"x","to":"12","sender":"","text":"x"}': system.now + MINUTE})
    replies(system, "STOP", "r1")
    assert 1 == len(confirmed(system))
    assert {"accepted": 1, "refused": 2} == counts(client)
    assert Confirmation("", "", "", "")  # its form


def test_a_stop_is_confirmed_through_the_gateway(
    sandbox: Running,
    client: redis.Redis,
    base_environment: dict[str, str],
    workers: Workers,
    tmp_path: Path,
    until: Callable[..., Any],
) -> None:
    """The endpoint, a worker and the gateway together; the reach of the STOP changes nothing."""
    reach.put(client, OURS, "sender")
    workers.start()
    child = threelane_child("callbacks", tmp_path, base_environment | {"THREELANE_STOP_CONFIRMATION": TEXT})
    try:
        caller = Caller(child.event("callbacks")["url"].replace("<secret>", SECRET))
        stamp = child_time(client)
        for one in ("r1", "r1", "r2"):
            assert 200 == mo(caller, one, b"STOP", timestamp=stamp)
        wait_until(lambda: taken(sandbox), what="the confirmation to reach the gateway")
        wait_until(lambda: counts(client) == {"accepted": 1}, what="the count")
    finally:
        child.stop()
    assert [identify(CONFIRMATION, "r1")] == list(taken(sandbox))


def child_time(client: redis.Redis) -> str:
    """Return the time of now as the gateway writes it, in GMT+2."""
    return (datetime.fromtimestamp(int(client.time()[0]), UTC) + timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S")
