"""Two accounts in one Redis: the scripts of one see, move, hold and count nothing of the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from typing import Any
from unittest import mock

import msgspec
import pytest
import redis

from tests.properties.system import Glance, System, open_accounts
from tests.servers import RedisServer
from threelane.contract.message import OF_ACCOUNT
from threelane.producer.cancel import CancelResult
from threelane.producer.reschedule import Moved
from threelane.store import keys
from threelane.store.find import Filter
from threelane.store.states import Status
from threelane.worker.dead import redrive as dead_letters
from threelane.worker.doubt.resolve import LookedUp, _resolve
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.process.internal_error import FaultStep
from threelane.worker.receipt.late import late
from threelane.worker.receipt.poll import PollUpdate, _poll
from threelane.worker.receipt.probe import take_due
from threelane.worker.send.blame import Fault, blame
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement

ACME, BANK = "acme", "bank"
OUTCOMES = (
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.REFUSED, "901", "internal error"),
    AttemptOutcome(OutcomeKind.REFUSED, "301", "no credit"),
    AttemptOutcome(OutcomeKind.REFUSED, "106", "invalid source"),
    AttemptOutcome(OutcomeKind.LOST),
    AttemptOutcome(OutcomeKind.NOT_TRIED),
)
OF_ITS_ACCOUNT = ("account", "schema")
"""The fields that a message of the default account does not have."""


@pytest.fixture
def systems(redis_server: RedisServer, client: redis.Redis) -> Iterator[dict[str, System]]:
    """Systems of three accounts on one Redis, each with ids of its own."""
    assert client.ping()
    with open_accounts(redis_server, ("", ACME, BANK)) as made:
        yield made


class Walk:
    """A message's life in one account, from a seed; what it does depends on this account alone."""

    def __init__(self, system: System, seed: int) -> None:
        self.system, self.rng = system, Random(seed)
        self.ids: list[str] = []
        self.in_hand: list[Claimed] = []
        self.tokens = 0

    def step(self) -> None:
        self.rng.choice((self.accept, self.accept, self.claim, self.claim, self.settle, self.receive, self.go_on))()

    def accept(self) -> None:
        drafts = [
            self.system.draft(lane=self.rng.choice(keys.LANES), delay=self.rng.choice((0, 0, 60)), sender="ACME")
            for _ in range(3)
        ]
        self.system.accept(drafts)
        self.ids += [draft.message.id for draft in drafts]

    def claim(self) -> None:
        lane = self.rng.choice(keys.LANES)
        ids = [one.decode() for one in self.system.sync.zrange(self.system.names.QUEUED[lane], 0, 4)]
        self.tokens += 1
        self.in_hand += self.system.claim(lane, ids, f"token{self.tokens}").claimed

    def settle(self) -> None:
        ended = [
            Settlement(one, outcome, self.system.judge(one, outcome))
            for one in self.in_hand
            for outcome in [self.rng.choice(OUTCOMES)]
        ]
        if ended:
            self.system.settle(ended)
        self.in_hand = []

    def receive(self) -> None:
        if self.ids:
            one, to = self.rng.choice(self.ids), self.rng.choice((("004", Status.DELIVERED), ("003", Status.SENT)))
            self.system.receive([StatusReport(one, "g" * 32, *to, 800_000)])

    def go_on(self) -> None:
        self.system.now += self.rng.choice((1_000, 6_000, 61_000))
        if self.rng.random() < 0.3:
            self.system.sync.delete(self.system.names.HOLDS)
        self.system.release()
        self.system.lapse()
        self.system.sweep(dict.fromkeys(keys.LANES, 0))
        pending = self.system.start_look_up()
        pending.answer({one: LookUp(Known.NOT_FOUND) for one in pending.queried})

    def seen(self) -> dict[str, Any]:
        """Return all that Redis has of this account, without its name."""
        glance = self.system.glance(self.ids)
        first = int(self.ids[0], 16) if self.ids else 0
        number = {one: int(one, 16) - first for one in self.ids}
        records = {
            number[one]: {name: value for name, value in record.items() if name not in OF_ITS_ACCOUNT}
            for one, record in glance.records.items()
        }
        indexes = {
            index.removesuffix(f"@{self.system.space.account}"): {
                number[one]: score for one, score in members.items() if one in number
            }
            for index, members in glance.indexes.items()
        }
        return {
            "records": records,
            "indexes": indexes,
            "tally": glance.tally,
            "holds": glance.holds,
            "rate": {name: n for name, n in glance.rate.items() if ":" not in name},  # look-ups of lanes run at once
            "claimed": glance.claimed,
        }


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_an_account_beside_another_does_what_it_does_alone(systems: dict[str, System], seed: int) -> None:
    """Record by record, index by index, hold by hold, count by count, credit by credit."""
    alone = []
    for account in (ACME, ""):
        walk = Walk(systems[account], seed + len(account))
        for _ in range(60):
            walk.step()
        alone.append(walk.seen())
        systems[account].empty()
    for place, system in enumerate(systems.values()):
        system.now, system._drafts = systems[""].now, 1_000 * place

    together = [Walk(systems[account], seed + len(account)) for account in (ACME, "")]
    for _ in range(60):
        for walk in together:
            walk.step()

    assert alone == [walk.seen() for walk in together]
    assert all(seen["tally"] and seen["claimed"] for seen in alone), "the walks went nowhere"


def test_a_record_names_its_account_unless_it_is_the_default(systems: dict[str, System]) -> None:
    """Workers of earlier versions leave what names one to newer workers: it has a schema that they do not know."""
    found = {account: _record(system, system.take()) for account, system in systems.items()}

    assert {"": "", ACME: ACME, BANK: BANK} == {account: one.get("account", "") for account, one in found.items()}
    assert {"": "", ACME: f"{OF_ACCOUNT}", BANK: f"{OF_ACCOUNT}"} == {
        account: one.get("schema", "") for account, one in found.items()
    }


def test_a_message_keeps_its_account_when_it_is_accepted_again(systems: dict[str, System]) -> None:
    """The caller gets the first result, and no second message waits in the other account."""
    acme, bank = systems[ACME], systems[BANK]
    draft = acme.draft(client_message_id="order1")
    acme.accept([draft])

    (again,) = bank.accept([draft])

    assert (True, Status.QUEUED) == (again.repeated, again.status)  # type: ignore[union-attr]
    assert (ACME, 0) == (_record(acme, draft.message.id)["account"], acme.sync.zcard(bank.names.QUEUED[3]))


@pytest.mark.parametrize("held", ["", ACME, BANK])
def test_a_held_account_stops_only_its_own_messages(systems: dict[str, System], held: str) -> None:
    """No credit for newsletters does not stop the codes of another account."""
    systems[held].hold("account", 0)
    ids = {account: system.take(lane=1) for account, system in systems.items()}

    claims = {account: system.claim(1, [ids[account]], "t" + account) for account, system in systems.items()}

    assert {account: account == held for account in systems} == {account: one.held for account, one in claims.items()}
    assert [ids[account] for account in systems if account != held] == [
        claimed.id for one in claims.values() for claimed in one.claimed
    ]


def _queued(system: System) -> str:
    return system.take()


def _sending(system: System) -> str:
    message_id = system.take()
    assert system.claim(3, [message_id], "token").claimed
    return message_id


def _in_doubt(system: System) -> str:
    message_id = system.take()
    system.attempt(message_id, AttemptOutcome(OutcomeKind.LOST))
    return message_id


def _sent(system: System) -> str:
    message_id = system.take()
    system.attempt(message_id, AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32))
    return message_id


def _dead(system: System) -> str:
    message_id = system.take()
    system.attempt(message_id, AttemptOutcome(OutcomeKind.REFUSED, "105", "invalid destination"))
    return message_id


def _claim(system: System, one: str) -> None:
    """Also with the token that it has: a claim that is repeated returns what it took before."""
    assert [[], []] == [system.claim(3, [one], token).claimed for token in ("token", "other")]


def _settle(system: System, one: str) -> None:
    message = msgspec.structs.replace(system.draft().message, id=one)
    claimed = Claimed(message, "token", 1, system.now, system.now, system.now, system.now)
    outcome = AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32)
    assert [False] == system.settle([Settlement(claimed, outcome, system.judge(claimed, outcome))])


def _blame(system: System, one: str) -> None:
    faults = [Fault(one, "token", FaultStep.SETTLE, "KeyError", True), Fault(one, "", FaultStep.CLAIM, "KeyError")]
    system.run(blame(system.client, 3, faults, system.settings, system.now))


def _resolve_it(system: System, one: str) -> None:
    since = int(_record(system, one).get("doubted", "0"))
    looked_up = [LookedUp(one, Status.QUEUED, system.now, True, "", "", "", 0, since)]
    script = _resolve.within(system.space)
    assert [""] == system.run(
        script.run(system.client, records=keys.records([one]), now=system.now, keep_ms=1, looked_up=looked_up)
    )


def _poll_it(system: System, one: str) -> None:
    updates = [PollUpdate(one, 0, True, "another", True)]
    script = _poll.within(system.space)
    assert [""] == system.run(
        script.run(system.client, records=keys.records([one]), now=system.now, keep_ms=1, look_up_at=1, updates=updates)
    )


def _receive(system: System, one: str) -> None:
    assert ["other_account"] == system.receive([StatusReport(one, "g" * 32, "004", Status.DELIVERED, 800_000)])
    assert ["other_account"] == system.receive([StatusReport(one, "g" * 32, "012", Status.UNDELIVERED, None)])
    assert not system.sync.exists(system.names.HOLDS)


WRONG: dict[str, tuple[Callable[[System], str], Callable[[System, str], None]]] = {
    "claim": (_queued, _claim),
    "claim of what is being sent": (_sending, _claim),
    "settle": (_sending, _settle),
    "blame": (_sending, _blame),
    "blame of what waits": (_queued, _blame),
    "resolve": (_in_doubt, _resolve_it),
    "poll": (_sent, _poll_it),
    "receipt": (_sent, _receive),
    "receipt of what is in doubt": (_in_doubt, _receive),
    "receipt of a dead letter": (_dead, _receive),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.parametrize("wrong", ["", BANK])
def test_a_script_moves_no_message_of_another_account(systems: dict[str, System], wrong: str, case: str) -> None:
    """It is as if the message had been settled elsewhere: nothing moves, and nothing is lost."""
    begin, move = WRONG[case]
    message_id = begin(systems[ACME])
    before = _all_of(systems[ACME], message_id)

    move(systems[wrong], message_id)

    assert before == _all_of(systems[ACME], message_id)


STRAY: dict[str, tuple[Callable[[System], str], str, Callable[[System], Any]]] = {
    "release": (_queued, "DUE", lambda system: system.release()),
    "sweep": (_queued, "QUEUED", lambda system: (system.sweep({1: 0, 2: 0, 3: 0}), system.sweep({1: 0, 2: 0, 3: 0}))),
    "lapse": (_sending, "LEASES", lambda system: system.lapse()),
    "look-up": (_in_doubt, "DOUBT", lambda system: system.start_look_up().end()),
    "poll": (_sent, "AWAITING", lambda system: system.run(_take_sent(system))),
    "expire": (_queued, "QUEUED", lambda system: system.expire()),
}


async def _take_sent(system: System) -> None:
    assert [] == (await take_due(system.client, Status.SENT, 3, system.settings, system.now)).messages


@pytest.mark.parametrize("case", STRAY)
def test_an_id_in_an_index_of_another_account_is_left_there(systems: dict[str, System], case: str) -> None:
    """No version writes one; if something does, the message is neither lost nor moved, and the log has it."""
    begin, index, work = STRAY[case]
    message_id = begin(systems[ACME])
    before, bank = _all_of(systems[ACME], message_id), systems[BANK]
    stray = getattr(bank.names, index)[3]
    bank.now += 60_000
    bank.sync.zadd(stray, {message_id: bank.now - 60_000})
    with mock.patch("threelane.store.scripts.on_damage", []) as reported:
        reported.append(seen := mock.Mock())
        work(bank)

    assert before == _all_of(systems[ACME], message_id)
    assert [message_id.encode()] == bank.sync.zrange(stray, 0, -1)
    if case != "expire":
        why = f"an index of the account '{BANK}' has it, and its record names '{ACME}'"
        assert {(message_id, why)} == {one.args for one in seen.call_args_list}
        assert bank.now + 60_000 == bank.sync.zscore(stray, message_id), "it would block what is due after it"


def test_a_cancel_reaches_the_messages_of_each_account(systems: dict[str, System]) -> None:
    """The caller knows ids, and no accounts."""
    ids = [system.take() for system in systems.values()]

    results = systems[""].cancel([*ids, "f" * 32])

    assert [CancelResult.CANCELLED] * 3 + [CancelResult.UNKNOWN] == [one.answer for one in results]
    assert [0, 0, 0] == [system.sync.zcard(system.names.QUEUED[3]) for system in systems.values()]
    assert [1, 1, 1] == [system.glance([]).tally["cancelled:3"] for system in systems.values()]


def test_a_cancel_during_an_attempt_is_noted_in_another_account(systems: dict[str, System]) -> None:
    """The answer is that of its state, not that of a message which is too late."""
    acme = systems[ACME]
    message_id = _sending(acme)

    (result,) = systems[""].cancel([message_id])

    assert CancelResult.NOT_RETRIED == result.answer
    assert "cancel" in _record(acme, message_id)


def test_a_new_time_reaches_the_message_of_another_account(systems: dict[str, System]) -> None:
    """It waits for its time in the space of its account."""
    acme = systems[ACME]
    message_id = acme.take(delay=60)

    moved = systems[""].move(message_id, acme.now + 7_200_000)

    assert isinstance(moved, Moved)
    assert moved.due_at == acme.sync.zscore(acme.names.DUE[3], message_id)
    assert not acme.sync.exists(keys.DUE[3])


def test_a_pause_of_a_batch_holds_its_messages_of_all_accounts(systems: dict[str, System]) -> None:
    """Each goes back to its own account, and is nudged there."""
    ids = {account: system.take(batch="news") for account, system in systems.items()}

    assert 3 == systems[""].pause("news", list(ids.values()))
    assert [1, 1, 1] == [system.sync.zcard(system.names.PAUSED) for system in systems.values()]

    assert {account: [one] for account, one in ids.items()} == {
        account: system.resume("news") for account, system in systems.items()
    }
    assert [1, 1, 1] == [system.sync.zcard(system.names.QUEUED[3]) for system in systems.values()]


def test_a_redrive_puts_each_dead_letter_back_to_its_account(systems: dict[str, System]) -> None:
    """On the queue of its account: workers of another one would take nothing of it."""
    ids = {account: _dead(system) for account, system in systems.items()}
    nudger = mock.Mock()

    result = dead_letters.redrive(systems[""].sync, nudger, Filter(code="105"), systems[""].now)

    assert 3 == result["redriven"]
    assert {account: [one] for account, one in ids.items()} == {
        call.args[2]: call.args[1] for call in nudger.publish.call_args_list
    }
    assert [[one.encode()] for one in ids.values()] == [
        system.sync.zrange(system.names.QUEUED[3], 0, -1) for system in systems.values()
    ]


def test_new_credit_redrives_the_dead_letters_of_its_own_account(systems: dict[str, System]) -> None:
    """Those of an account without credit would be refused again."""
    for system in systems.values():
        _dead(system)

    result = dead_letters.redrive(systems[""].sync, mock.Mock(), Filter(code="105"), 0, systems[ACME].space)

    assert 1 == result["redriven"]
    assert [0, 1, 0] == [system.sync.zcard(system.names.QUEUED[3]) for system in systems.values()]


def test_a_late_message_is_left_to_its_own_workers_for_a_while(systems: dict[str, System]) -> None:
    """They know whether a hold is the cause; without any of them it is published all the same."""
    acme, bank = systems[ACME], systems[BANK]
    message_id = acme.take(lane=1)
    acme.hold("account", 0)

    assert [] == bank.run(late(bank.client, 30_000, acme.now + 30_000, bank.space))
    assert [message_id] == acme.run(late(acme.client, 30_000, acme.now + 30_000, acme.space))

    acme.sync.delete(acme.names.HOLDS)
    bank.hold("account", 0)
    second = acme.take(lane=1)
    assert [second] == bank.run(late(bank.client, 30_000, acme.now + 40_000, bank.space))
    events = [event for _, event in acme.sync.xrange(keys.EVENTS)]
    assert [b"hold", None] == [event.get(b"cause") or None for event in events]


def test_a_damaged_record_of_another_account_counts_as_possibly_sent(systems: dict[str, System]) -> None:
    """Its index, which would tell, is not read: a dead letter could be redriven, and be sent twice."""
    acme = systems[ACME]
    message_id = _sending(acme)
    acme.sync.hdel(keys.record(message_id), "status", "first", "token")

    systems[BANK].cancel([message_id])

    assert "unknown" == _record(acme, message_id)["status"]


def _record(system: System, message_id: str) -> dict[str, str]:
    return system.glance([message_id]).records[message_id]


def _all_of(system: System, message_id: str) -> Glance:
    """Return all that Redis has of an account."""
    return system.glance([message_id])
