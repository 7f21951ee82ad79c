"""Money: after any events in any order, every credit is in each of the sums, once.

A random walk over the real scripts checks: the committed sum is the estimates of the waiting messages; the charges of
the records are in each of the sums; and a budget's counter is what its messages reserve, or did cost.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import redis

from tests.properties.system import Glance, System, open_system
from tests.servers import RedisServer
from threelane.contract.prices import CREDIT, parse
from threelane.gateways.one.statuses import ONE_STATUSES
from threelane.producer.accept import Accepted, accept
from threelane.store import budgets, keys
from threelane.store.budgets import Budget
from threelane.store.states import Status
from threelane.worker.gateway.outcome import AttemptOutcome, Known, LookUp, OutcomeKind
from threelane.worker.inbound.report import StatusReport
from threelane.worker.policy.statuses import STATUSES
from threelane.worker.send.claim import Claimed
from threelane.worker.send.settle import Settlement, settle

EXAMPLES = int(os.environ.get("THREELANE_EXAMPLES", "10"))
STEPS = 60
PRICES = parse("2783=0.8,27=0.75,1=1.123456,*=0")
WAITING = {Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT}
NUMBERS = ("27831234567", "27821234567", "12025550123", "447700900123")
CENTRES, PRODUCERS = ("", "news", "ops"), ("", "shop")
TEXTS = ("Hello", "News " * 40, "News " * 80)
CHARGES = (None, None, 0, 300_000, 800_000, 2_400_000)
OUTCOMES = (
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.ACCEPTED, gateway_id="g" * 32),
    AttemptOutcome(OutcomeKind.REFUSED, "901"),
    AttemptOutcome(OutcomeKind.REFUSED, "113"),
    AttemptOutcome(OutcomeKind.REFUSED, "301"),
    AttemptOutcome(OutcomeKind.NOT_REACHED),
    AttemptOutcome(OutcomeKind.LOST),
    AttemptOutcome(OutcomeKind.EMULATED),
    AttemptOutcome(OutcomeKind.NOT_TRIED),
)


@pytest.fixture(scope="module")
def system(redis_server: RedisServer) -> Iterator[System]:
    with open_system(redis_server, parts_per_second=100_000, look_ups_per_second=1_000) as made:
        yield made


def attempts_charged(record: dict[str, str]) -> int:
    """Return how many attempts of a message have a known charge: two at most, if it was returned."""
    former = record.get("former_charge")
    last = "charge" in record and (former is None or "charge_rank" in record or record["charge"] != former)
    return (former is not None) + last


class Walk:
    """Steps drawn from a seed, and what must be true after each."""

    def __init__(self, system: System, seed: int, *, assumes: bool) -> None:
        self.system = system
        self.rng = Random(seed)
        self.assumes = assumes
        self.ids: list[str] = []
        self.in_hand: list[Claimed] = []
        self.tokens = 0
        self.before = Glance()
        self.never_died: set[str] = set()
        system.empty()
        self.over = self.rng.choice(("refuse", "hold"))
        self.limits = {
            ("centre:news", "day"): 12 * CREDIT,
            ("producer:shop", "month"): 20 * CREDIT,
        }
        if self.rng.random() < 0.8:
            for (scope, period), limit in self.limits.items():
                budgets.put(system.sync, scope, period, Budget(limit, self.over))
        self.steps = (
            self.accept, self.accept, self.accept, self.claim, self.claim, self.claim, self.settle, self.settle,
            self.settle, self.receive, self.receive, self.receive, self.cancel, self.redrive, self.wait, self.lapse,
            self.resolve, self.resume,
        )  # fmt: skip

    def step(self) -> str:
        chosen = self.rng.choice(self.steps)
        chosen()
        return chosen.__name__

    def accept(self) -> None:
        drafts = []
        for _ in range(self.rng.randint(1, 4)):
            fields: dict[str, Any] = {
                "to": self.rng.choice(NUMBERS),
                "text": self.rng.choice(TEXTS),
                "lane": self.rng.choice(keys.LANES),
                "cost_centre": self.rng.choice(CENTRES),
                "producer": self.rng.choice(PRODUCERS),
                "delay": self.rng.choice((0, 0, 0, 60)),
                "on_doubt": self.rng.choice(("resend", "drop")),
                "validity_period": self.rng.choice((None, 5, 2880)),
            }
            drafts.append(self.system.draft(**{name: value for name, value in fields.items() if value}))
        answers = accept(self.system.sync, drafts, self.system.now, PRICES, space=self.system.space)
        self.ids += [one.id for one in answers if isinstance(one, Accepted)]

    def claim(self) -> None:
        lane = self.rng.choice(keys.LANES)
        ids = [
            one.decode() for one in self.system.sync.zrange(self.system.names.QUEUED[lane], 0, self.rng.randint(0, 5))
        ]
        self.tokens += 1
        self.in_hand += self.system.claim(lane, ids, f"token{self.tokens}").claimed

    def settle(self) -> None:
        """Also late and twice: a token that the message no longer has changes no sum."""
        some = self.rng.sample(self.in_hand, min(len(self.in_hand), self.rng.randint(1, 4)))
        settlements = []
        for one in some:
            outcome = self.rng.choice(OUTCOMES)
            settlements.append(Settlement(one, outcome, self.system.judge(one, outcome)))
        keeping = self.system.settings.keeping
        client, now, space = self.system.client, self.system.now, self.system.space
        self.system.run(settle(client, settlements, keeping, now, assumes=self.assumes, space=space))
        if self.rng.random() < 0.8:
            self.in_hand = [one for one in self.in_hand if one not in some]

    def receive(self) -> None:
        """For anything, in any order; the One API names statuses and reports no charge."""
        reports = []
        for one in self.rng.sample(self.ids, min(len(self.ids), self.rng.randint(1, 4))):
            if self.assumes:
                name = self.rng.choice(sorted(ONE_STATUSES))
                reports.append(StatusReport(one, "g" * 32, name, ONE_STATUSES[name]))
            else:
                name = self.rng.choice(sorted(STATUSES))
                reports.append(StatusReport(one, "g" * 32, name, STATUSES[name], self.rng.choice(CHARGES)))
        if reports:
            self.system.receive(reports)

    def cancel(self) -> None:
        if self.ids:
            self.system.cancel([self.rng.choice(self.ids)])

    def redrive(self) -> None:
        self.system.redrive(self.rng.choice(("113", "301", "in_doubt", "901")))

    def wait(self) -> None:
        self.system.now += self.rng.choice((1_000, 5_000, 61_000, 400_000, 86_400_000))
        self.system.release()

    def lapse(self) -> None:
        self.system.lapse()

    def resolve(self) -> None:
        pending = self.system.start_look_up()
        found = LookUp(
            Known.FOUND, "g" * 32, "DEVICE_ACK" if self.assumes else "004", None if self.assumes else 800_000
        )
        answers = {one: self.rng.choice((found, LookUp(Known.NOT_FOUND))) for one in pending.queried}
        if answers:
            pending.answer(answers)
        else:
            pending.end()

    def resume(self) -> None:
        self.system.sync.delete(self.system.names.HOLDS)

    def judge(self) -> None:
        """Each sum agrees with the records, and nothing is below zero."""
        seen = self.system.glance(self.ids)
        assert not [name for name, n in seen.tally.items() if n < 0], seen.tally
        self._waiting_messages_are_committed(seen)
        self._charges_are_counted_once(seen)
        self._budgets_count_their_messages(seen)
        self.before = seen

    def _waiting_messages_are_committed(self, seen: Glance) -> None:
        committed: Counter[str] = Counter()
        for record in seen.records.values():
            if record["status"] in WAITING:
                committed[f"committed:{record['lane']}"] += int(record.get("estimate", 0))
        assert +committed == +Counter({k: n for k, n in seen.tally.items() if k.startswith("committed:")})

    def _charges_are_counted_once(self, seen: Glance) -> None:
        charged: Counter[str] = Counter()
        for record in seen.records.values():
            charge = int(record.get("charge", 0))
            charged[f"charged:{record['lane']}:{record.get('centre', '')}"] += charge
            charged[f"charged_by:producer:{record.get('producer', '')}"] += charge
            charged[f"charged_by:country:{record['country']}"] += charge
        tallied = {k: n for k, n in seen.tally.items() if k.startswith(("charged:", "charged_by:"))}
        assert +charged == +Counter(tallied)
        burnt = sum(int(n) for n in self.system.sync.hvals(self.system.names.BURN))  # type: ignore[union-attr]
        assert sum(int(one.get("charge", 0)) for one in seen.records.values()) == burnt
        parts = sum(int(one["parts"]) * attempts_charged(one) for one in seen.records.values())
        assert parts == sum(n for k, n in seen.tally.items() if k.startswith("charged_parts:"))
        to_countries: Counter[str] = Counter()
        for record in seen.records.values():
            if "charge" in record:
                to_countries[f"charged_messages_to:{record['country']}"] += 1
                to_countries[f"charged_parts_to:{record['country']}"] += int(record["parts"]) * attempts_charged(record)
        names = ("charged_messages_to:", "charged_parts_to:")
        assert to_countries == Counter({k: n for k, n in seen.tally.items() if k.startswith(names)})

    def _budgets_count_their_messages(self, seen: Glance) -> None:
        counted: Counter[tuple[str, str]] = Counter()
        for record in seen.records.values():
            if "period" not in record:
                continue
            former = int(record.get("former_charge", 0))  # of the attempt before the message was returned
            amount, charge = int(record.get("counted", 0)) - former, int(record.get("charge", 0)) - former
            assert amount >= 0
            if record["status"] in {"dead", "cancelled", "expired", "emulated"}:
                assert charge == amount, f"not given back: {record}"
            elif attempts_charged(record) == ("former_charge" in record) or record["status"] in WAITING:
                assert max(charge, int(record.get("estimate", 0))) == amount, f"not reserved: {record}"
            elif record["status"] != "sent":
                assert charge == amount, f"not settled: {record}"
            for period in (record["period"], record["period"][:6]):
                for scope in (f"centre:{record.get('centre', '')}", f"producer:{record.get('producer', '')}"):
                    if not scope.endswith(":"):
                        counted[period, scope] += amount + former
        spent_now: Counter[tuple[str, str]] = Counter()
        for key in self.system.sync.scan_iter(keys.SPENT + "*"):
            assert 0 < self.system.sync.pttl(key)
            for scope, n in self.system.sync.hgetall(key).items():  # type: ignore[union-attr]
                assert int(n) >= 0
                spent_now[key.decode().removeprefix(keys.SPENT), scope.decode()] = int(n)
        tallied_now, counted_now = self._of_now(spent_now), self._of_now(counted)
        assert counted_now == tallied_now
        if self.system.sync.exists(keys.BUDGETS):
            self._no_limit_is_passed(seen, spent_now)

    def _of_now(self, sums: Counter[tuple[str, str]]) -> dict[tuple[str, str], int]:
        """Leave out periods that are over: no limit is compared with them, and nothing is given back to them."""
        periods = budgets.periods(self.system.now)
        return {(period, scope): n for (period, scope), n in sums.items() if period in periods and n}

    def _no_limit_is_passed(self, seen: Glance, tallied: Counter[tuple[str, str]]) -> None:
        """By no more than charges exceed their estimates, plus reservations given back too early."""
        above: Counter[tuple[str, str]] = Counter()
        for one, record in seen.records.items():
            was, status = self.before.status(one), seen.status(one)
            if was is Status.DEAD and status not in (was, Status.QUEUED):  # the network reports it as sent
                self.never_died.add(one)
            given_back = one in self.never_died or status in {"dead", "cancelled", "expired", "emulated"}
            more = int(record.get("counted", 0)) - (0 if given_back else int(record.get("estimate", 0)))
            above["centre", record.get("centre", "")] += max(0, more)
            above["producer", record.get("producer", "")] += max(0, more)
        for (scope, period), limit in self.limits.items():
            kind, _, name = scope.partition(":")
            for (when, whose), spent in tallied.items():
                if whose == scope and len(when) == (8 if period == "day" else 6):
                    assert spent <= limit + above[kind, name], (scope, when, spent)


@pytest.mark.parametrize("assumes", [False, True])
def test_every_credit_is_in_each_sum_once(system: System, client: redis.Redis, assumes: bool) -> None:
    """Retries, redrives, cancels, refunds, and receipts in any order: the sums are those of the records."""
    assert client.ping()
    for seed in range(EXAMPLES):
        walk, path = Walk(system, seed, assumes=assumes), []
        for _ in range(STEPS):
            path.append(walk.step())
            try:
                walk.judge()
            except AssertionError as wrong:
                raise AssertionError(f"seed {seed}, after {path}: {wrong}") from wrong
