"""Stand-by: what was certainly not sent by its account waits in the other one at once; all else stays where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pytest
import redis

from tests.properties.system import Glance, System, open_accounts
from tests.servers import RedisServer
from threelane.contract.message import OF_ACCOUNT
from threelane.contract.prices import Prices
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.store.diverted import Diverted, Why, parse
from threelane.store.states import Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.gateway.overrides import effective
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.legacy import LEGACY
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.send.blame import Fault, blame
from threelane.worker.send.settle import Settlement
from threelane.worker.standby.take_over import Terms, take_over

ACME, BANK, DEFAULT = "acme", "bank", "default"
TERMS = Terms(Prices({"*": 500_000}))


@pytest.fixture
def systems(redis_server: RedisServer, client: redis.Redis) -> Iterator[dict[str, System]]:
    """Systems of three accounts on one Redis, each with ids of its own."""
    assert client.ping()
    with open_accounts(redis_server, ("", ACME, BANK)) as made:
        yield made


def take(system: System, stand_by: str = BANK, **fields: Any) -> str:
    """Accept a message whose route has a stand-by; returns its id."""
    message_id = system.take(**fields)
    system.sync.hset(keys.record(message_id), mapping={"stand_by": stand_by, "schema": OF_ACCOUNT})
    return message_id


def move(systems: dict[str, System], message_id: str, former: str = ACME, to: str = BANK, lane: int = 3) -> bool:
    """Let one account take over what waits in another; returns whether the message moved."""
    there = systems[to]
    work = take_over(there.client, systems[former].space, there.space, lane, [message_id], Why.HOLD, TERMS, there.now)
    return [message_id] == there.run(work)


def record(system: System, message_id: str) -> dict[str, str]:
    return system.glance([message_id]).records[message_id]


def places(systems: dict[str, System], message_id: str) -> list[tuple[str, Status]]:
    """Return the account and the state of each index that has a message."""
    return [
        (account, status)
        for account, system in systems.items()
        for status in keys.INDEXES
        if message_id in system.glance([]).of(status)
    ]


def _resolve(system: System) -> None:
    """Look up what is in doubt until no look-up found it."""
    for _ in range(3):
        system.now += 6_000
        pending = system.start_look_up()
        pending.answer({one: LookUp(Known.NOT_FOUND) for one in pending.queried})


def _never_tried(system: System) -> str:
    return take(system)


def _refused(code: str) -> Callable[[System], str]:
    def attempt(system: System) -> str:
        message_id = take(system)
        system.attempt(message_id, AttemptOutcome(OutcomeKind.REFUSED, code, "refused"))
        return message_id

    return attempt


def _ended(kind: OutcomeKind) -> Callable[[System], str]:
    def attempt(system: System) -> str:
        message_id = take(system)
        system.attempt(message_id, AttemptOutcome(kind))
        return message_id

    return attempt


def _redriven(system: System) -> str:
    """A dead letter that an operator puts back: the gateway refused it."""
    message_id = _refused("107")(system)
    assert 1 == system.redrive("107")["redriven"]
    return message_id


def _failed_before_it_left(system: System) -> str:
    message_id = take(system)
    assert system.claim(3, [message_id], "token").claimed
    fault = Fault(message_id, "token", FaultStep.SETTLE, "KeyError", has_left=False)
    system.run(blame(system.client, 3, [fault], system.settings, system.now))
    return message_id


UNSENT: dict[str, Callable[[System], str]] = {
    "never tried": _never_tried,
    "not reached": _ended(OutcomeKind.NOT_REACHED),
    "not tried": _ended(OutcomeKind.NOT_TRIED),
    "another server answered": _ended(OutcomeKind.WRONG_ADDRESS),
    "a limit was reached": _refused("130"),
    "too fast": _refused("429"),
    "no session": _refused("005"),
    "no credit": _refused("301"),
    "refused, redriven": _redriven,
    "our code failed before it left": _failed_before_it_left,
}


@pytest.mark.parametrize("case", UNSENT)
def test_what_was_certainly_not_sent_waits_in_the_other_account_at_once(systems: dict[str, System], case: str) -> None:
    """It is in one index, keeps its age, is claimed there, and no worker of its former account takes it."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = UNSENT[case](acme)
    acme.sync.delete(acme.names.HOLDS)

    assert move(systems, message_id)

    found = record(bank, message_id)
    assert [(BANK, Status.QUEUED)] == places(systems, message_id)
    assert (BANK, None, Status.QUEUED) == (found["account"], found.get("stand_by"), found["status"])
    note = f"3:requeued:{int(found.get('redriven', found['accepted'])):013d}"
    assert [note, f"{note}:{message_id}"] == [found["waiting"], *_waiting(bank)]
    assert [] == _waiting(acme)
    assert [] == acme.claim(3, [message_id], "a").claimed
    assert [message_id] == [one.id for one in bank.claim(3, [message_id], "b").claimed]


def _waiting(system: System) -> list[str]:
    found: Any = system.sync.zrange(system.names.WAITING, 0, -1)
    return [one.decode() for one in found]


def _lapsed(system: System) -> str:
    """The worker died during the call; look-ups do not find the message."""
    message_id = take(system)
    assert system.claim(3, [message_id], "token").claimed
    system.now += system.settings.lease_ms
    assert [message_id] == system.lapse()
    _resolve(system)
    return message_id


def _resent(kind: OutcomeKind) -> Callable[[System], str]:
    def attempt(system: System) -> str:
        message_id = _ended(kind)(system)
        _resolve(system)
        return message_id

    return attempt


def _late_answer(system: System) -> str:
    """The worker froze: its answer, that nothing was sent, comes after the lease and is of no use."""
    message_id = take(system)
    (claimed,) = system.claim(3, [message_id], "token").claimed
    system.now += system.settings.lease_ms
    system.lapse()
    _resolve(system)
    outcome = AttemptOutcome(OutcomeKind.NOT_REACHED)
    assert [False] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])
    return message_id


def _internal_error(system: System) -> str:
    """An API without look-up by our id: it waits for its retry, and the gateway may have it."""
    return _refused("901")(system)


def _internal_error_looked_up(system: System) -> str:
    system.can_look_up = True
    message_id = _refused("901")(system)
    _resolve(system)
    return message_id


def _failed_after_it_left(system: System) -> str:
    message_id = take(system)
    assert system.claim(3, [message_id], "token").claimed
    fault = Fault(message_id, "token", FaultStep.SETTLE, "KeyError", has_left=True)
    system.run(blame(system.client, 3, [fault], system.settings, system.now))
    _resolve(system)
    return message_id


def _doubted_before(system: System) -> str:
    """Its first attempt was in doubt; that the second one was refused changes nothing."""
    message_id = _internal_error_looked_up(system)
    system.attempt(message_id, AttemptOutcome(OutcomeKind.REFUSED, "130", "limit"))
    return message_id


def _redriven_after_doubt(system: System) -> str:
    """Neither does an operator who redrives it."""
    message_id = _internal_error_looked_up(system)
    system.attempt(message_id, AttemptOutcome(OutcomeKind.REFUSED, "301", "no credit"))
    assert 1 == system.redrive("301")["redriven"]
    return message_id


def _unlisted(system: System) -> str:
    """Nobody knows what the code means; an operator redrives the dead letter."""
    message_id = _refused("777")(system)
    assert 1 == system.redrive("777")["redriven"]
    return message_id


def _overridden(code: str, change: str) -> Callable[[System], str]:
    """The operator's file makes a dead letter of what the built-in table retries; then the operator redrives it."""

    def attempt(system: System) -> str:
        with NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(f"[legacy.{code}]\n{change}\n")
            file.flush()
            system.table = effective(LEGACY, Path(file.name))
        message_id = _refused(code)(system)
        assert [Status.DEAD] == [one for one in keys.INDEXES if message_id in system.glance([]).of(one)]
        assert 1 == system.redrive(code)["redriven"]
        system.sync.delete(system.names.HOLDS)
        return message_id

    return attempt


_NEW_CODE = "verdict = 'stop'\nscope = 'message'\nowner = 'gateway'\nreason = 'not_documented'"


def _returned(system: System) -> str:
    """The gateway took it, and refused it for the account later: its charge and its reports still come here."""
    message_id = take(system)
    system.attempt(message_id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    assert ["returned"] == system.receive([StatusReport(message_id, "g" * 32, "012", Status.UNDELIVERED, 0)])
    return message_id


def _reported(system: System) -> str:
    """It was refused, and a report comes for it all the same."""
    message_id = _refused("130")(system)
    assert ["noted"] == system.receive([StatusReport(message_id, "", "001", None, None)])
    return message_id


def _attempted_by_an_earlier_version(system: System) -> str:
    """Its worker noted no doubt; messages of the default account alone have no schema that such workers leave alone."""
    message_id = _refused("130")(system)
    system.sync.hdel(keys.record(message_id), "schema")
    return message_id


def _scheduled(system: System) -> str:
    return take(system, delay=600)


def _paused(system: System) -> str:
    message_id = take(system, batch="news")
    assert 1 == system.pause("news", [message_id])
    return message_id


def _paused_since(system: System) -> str:
    """Its batch was paused, and the message is not in the index of paused messages yet."""
    message_id = take(system, batch="news")
    system.pause("news", [])
    return message_id


def _cancelled(system: System) -> str:
    """A worker of an earlier version put it back."""
    message_id = take(system)
    system.sync.hset(keys.record(message_id), "cancel", f"{system.now} 1000")
    return message_id


def _sending(system: System) -> str:
    message_id = take(system)
    assert system.claim(3, [message_id], "token").claimed
    return message_id


def _of_another_stand_by(system: System) -> str:
    return take(system, stand_by="other")


def _without(system: System) -> str:
    return system.take()


STAYS: dict[str, Callable[[System], str]] = {
    "answer lost": _resent(OutcomeKind.LOST),
    "answer unreadable": _resent(OutcomeKind.UNREADABLE),
    "worker died": _lapsed,
    "late answer": _late_answer,
    "internal error": _internal_error,
    "internal error, looked up": _internal_error_looked_up,
    "our code failed after it left": _failed_after_it_left,
    "in doubt once, refused later": _doubted_before,
    "in doubt once, redriven": _redriven_after_doubt,
    "unlisted code": _unlisted,
    "unlisted code, stop by the operator": _overridden("777", _NEW_CODE),
    "internal error, stop by the operator": _overridden("901", "verdict = 'stop'\nlook_up_first = false"),
    "internal error, stop of the account by the operator": _overridden(
        "901", "verdict = 'stop'\nscope = 'account'\nlook_up_first = false"
    ),
    "temporary failure, suppressed by the operator": _overridden("201", "verdict = 'suppress'"),
    "returned": _returned,
    "reported": _reported,
    "attempted by an earlier version": _attempted_by_an_earlier_version,
    "scheduled": _scheduled,
    "paused": _paused,
    "paused since": _paused_since,
    "cancelled": _cancelled,
    "in doubt": _ended(OutcomeKind.LOST),
    "sending": _sending,
    "sent": _ended(OutcomeKind.ACCEPTED),
    "another stand-by": _of_another_stand_by,
    "no stand-by": _without,
}


@pytest.mark.parametrize("case", STAYS)
def test_what_may_have_been_sent_or_waits_for_something_else_stays(systems: dict[str, System], case: str) -> None:
    """No gateway but that of its account may get it."""
    acme = systems[ACME]
    message_id = STAYS[case](acme)
    before = _all_of(systems, message_id)

    assert not move(systems, message_id)

    assert before == _all_of(systems, message_id)


def _all_of(systems: dict[str, System], message_id: str) -> list[Glance]:
    return [system.glance([message_id]) for system in systems.values()]


def test_a_message_moves_once_and_names_where_it_was(systems: dict[str, System]) -> None:
    """If the stand-by cannot send it either, it waits there."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = _refused("005")(acme)
    assert move(systems, message_id)

    assert Diverted(ACME, 1, bank.now, Why.HOLD) == parse(record(bank, message_id)["diverted"])
    assert not move(systems, message_id, BANK, ACME)
    assert not move(systems, message_id)


@pytest.mark.parametrize(("former", "to"), [("", ACME), (ACME, "")])
def test_the_default_account_has_a_stand_by_and_is_one(systems: dict[str, System], former: str, to: str) -> None:
    """Its name is in the field of the stand-by, and in none of a record that it has."""
    message_id = take(systems[former], stand_by=to or DEFAULT)

    assert move(systems, message_id, former, to)

    assert (to or None, "3") == (
        record(systems[to], message_id).get("account"),
        record(systems[to], message_id)["schema"],
    )
    assert [message_id] == [one.id for one in systems[to].claim(3, [message_id], "b").claimed]


def test_counts_and_credits_follow_to_the_other_account(systems: dict[str, System]) -> None:
    """Each account reserves what it is going to pay, at its own price; the budget of the producer, too."""
    acme, bank = systems[ACME], systems[BANK]
    budgets.put(acme.sync, "centre:ops", "day", Budget(10_000_000))
    message_id = take(acme, cost_centre="ops")
    day = keys.key(keys.Key.SPENT, record(acme, message_id)["period"])
    assert b"1000000" == acme.sync.hget(day, "centre:ops")

    assert move(systems, message_id)

    here, there = acme.glance([]).tally, bank.glance([]).tally
    assert (0, 500_000) == (here["committed:3"], there["committed:3"])
    assert (1, 1) == (here["diverted:3:hold"], there["taken_over:3:hold"])
    assert b"500000" == acme.sync.hget(day, "centre:ops")
    assert "500000" == record(bank, message_id)["estimate"]


def test_a_report_of_the_account_that_a_message_left_is_an_alarm(systems: dict[str, System]) -> None:
    """That gateway had it all the same; the record of the account that sends it does not change."""
    acme = systems[ACME]
    message_id = take(acme)
    assert move(systems, message_id)
    before = record(acme, message_id)

    results = acme.receive([StatusReport(message_id, "g" * 32, "004", Status.DELIVERED, 800_000)])

    assert (["left"], before) == (results, record(acme, message_id))
    assert 1 == acme.glance([]).tally["reported_by_both:3"]
