"""Accounts: three accounts and five routes; one account runs out of credit, one answers 503, one stands by for both.

Each message goes by its route, only messages of the two accounts wait, the stand-by takes what was certainly not sent,
codes of the third account wait for nobody, each account keeps its rate, and the ledgers of each are equal.
"""

from __future__ import annotations

import tempfile
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.request import Request, urlopen

import redis
from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, wait
from tests.servers import allow_repeats
from threelane import Accepted, Producer, ProducerSettings
from threelane.contract.accounts.account import DEFAULT
from threelane.demo.accounts import AccountAtSandbox
from threelane.demo.reconcile import reconcile
from threelane.demo.stack import Stack
from threelane.store import diverted, keys
from threelane.store.keys import HERE, space_of
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus

MESSAGES = 10_000
POOR, BROKEN = "poor", "broken"
SPACES = {DEFAULT: HERE, POOR: space_of(POOR), BROKEN: space_of(BROKEN)}
RATES = {DEFAULT: 400, POOR: 100, BROKEN: 100}  # parts a second
WORKERS = {DEFAULT: 1, POOR: 3, BROKEN: 1}
BURST_SECONDS = 0.1
SLACK = 0.05  # of the rate: the clocks of workers follow that of Redis to within a few milliseconds
CREDIT_SHARE = 0.25  # of what the messages of the poor account cost
PRICE = 0.8  # of a part at the sandbox
LONGEST_SECONDS = 600.0
MOST_BEFORE_A_CODE = 0.1  # of the newsletters of other accounts that waited


class Route(NamedTuple):
    """What one route of the five matches, and where it leads."""

    fields: Mapping[str, Any]
    condition: str
    account: str
    stand_by: str = ""

    def toml(self, name: str) -> str:
        lines = ["[[routes]]", f'name = "{name}"', self.condition, f'account = "{self.account}"']
        return "\n".join([*lines, *([f'stand_by = "{self.stand_by}"'] if self.stand_by else []), ""])


ROUTES = {
    "codes": Route({"lane": 1, "text": CODE_TEXT}, "lane = 1", DEFAULT),
    "shop": Route({"lane": 3, "producer": "shop"}, 'producer = "shop"', POOR),
    "club": Route({"lane": 2, "tags": ["club"]}, 'tag = "club"', POOR, DEFAULT),
    "ward": Route({"lane": 2, "cost_centre": "ward"}, 'cost_centre = "ward"', BROKEN),
    "post": Route({"lane": 3, "sender": "27999000009"}, 'sender = "27999000009"', BROKEN, DEFAULT),
}


def play(scale: Scale, console: Console, _kinds: Sequence[str] = ()) -> bool:
    """Play it; returns whether nothing was lost, sent twice, or sent by another account than its own."""
    number = max(100, int(MESSAGES * scale.messages))
    with Accounts(scale, number // len(ROUTES)) as stage:
        stage.send(number - number // 10)
        stage.wait_until_stopped(console)
        stopped = stage.read()
        codes = stage.send(number // 20, only="codes")
        wait(lambda: stage.ended(codes), 120)
        stage.heal()
        wait(lambda: not stage.holds(POOR), 60)
        codes += stage.send(number // 20, only="codes")
        wait(lambda: not stage.moving(), LONGEST_SECONDS)
        report = Report(f"{number} messages of three accounts by five routes, API {scale.gateway}")
        judge(report, stage, stopped, codes)
    return report.show(console)


class Accounts:
    """The stack of the show, and all that is accepted into it."""

    def __init__(self, scale: Scale, of_route: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="threelane-show-", ignore_cleanup_errors=True)
        environment = {
            "THREELANE_GATEWAY": scale.gateway,
            "THREELANE_PARTS_PER_SECOND": str(RATES[DEFAULT]),
            "THREELANE_BURST_SECONDS": str(BURST_SECONDS),
            "THREELANE_LOOK_UPS_PER_SECOND": "200",
        }
        credit = str(round(2 * of_route * PRICE * CREDIT_SHARE, 1))
        more = {
            POOR: AccountAtSandbox({"parts_per_second": RATES[POOR]}, {"seed": str(scale.seed), "credit": credit}),
            BROKEN: AccountAtSandbox({"parts_per_second": RATES[BROKEN]}, {"seed": str(scale.seed)}),
        }
        routes = "\n".join(route.toml(name) for name, route in ROUTES.items())
        options = {"seed": str(scale.seed), "credit": "100000000"}
        self.stack = Stack(Path(self._folder.name) / "stack", options, environment, more, routes)
        self.by_route: dict[str, str] = {}  # message -> its route
        self.parts: dict[str, int] = {}
        self._cost = 2 * of_route * PRICE

    def __enter__(self) -> Self:
        try:
            self.stack.__enter__()
            for account, number in WORKERS.items():
                for more in range(1, number):
                    self.stack.start_worker(f"worker-{account}-{more}", account)
            self.client = redis.Redis.from_url(self.stack.redis_url)
            allow_repeats(self.client)
            settings = {"prices": self.stack.environment["THREELANE_PRICES"]}
            settings["gateway"] = self.stack.environment["THREELANE_GATEWAY"]
            self.producer = Producer(ProducerSettings(redis_url=self.stack.redis_url, **settings))
            self.stack.call_sandbox("/sandbox/faults", {"do": "page", "http": 503, "times": None}, BROKEN)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    def _stop(self) -> None:
        self.stack.stop()
        self._folder.cleanup()

    def send(self, number: int, only: str = "") -> list[str]:
        """Send messages of all routes in turn, or of one; returns their ids."""
        names = [only] if only else [*ROUTES]
        sent: list[str] = []
        of_routes = [names[n % len(names)] for n in range(number)]
        for name, answer in zip(of_routes, self.producer.send_many(self._messages(of_routes)), strict=True):
            assert isinstance(answer, Accepted), answer
            self.by_route[answer.id], self.parts[answer.id] = name, answer.parts
            sent.append(answer.id)
        return sent

    def _messages(self, of_routes: Sequence[str]) -> Iterator[dict[str, Any]]:
        for name in of_routes:
            number = len(self.by_route)
            yield {"to": f"27999{500_000 + number % 300_000}", "text": NEWS_TEXT, **ROUTES[name].fields}

    def wait_until_stopped(self, console: Console) -> None:
        """Wait until the two accounts send nothing, their stand-by has taken what it may, and has sent it."""
        began = time.monotonic()
        wait(lambda: "account" in self.holds(POOR) and self.holds(BROKEN) and not self._moves(), 240)
        waiting = {name: self.waiting(name) for name in SPACES}
        console.print(f"[{time.monotonic() - began:.0f} s] stopped: {waiting} wait, {self.holds(BROKEN)}", markup=False)

    def _moves(self) -> bool:
        """Return whether the third account still has messages, or is still to get some."""
        left = [one for one in self.read().values() if one.status is Status.QUEUED and self._may_be_taken(one)]
        return bool(left) or self.waiting(DEFAULT) > 0

    def _may_be_taken(self, one: MessageStatus) -> bool:
        return bool(ROUTES[self.by_route[one.id]].stand_by) and not one.attempts

    def holds(self, account: str) -> list[str]:
        return sorted(scope.decode() for scope in self.client.hkeys(keys.names(SPACES[account]).HOLDS))

    def waiting(self, account: str) -> int:
        """Return how many messages of an account are not yet at its gateway."""
        states = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT)
        return sum(int(self.client.zcard(index)) for index in keys.indexes_of(*states, space=SPACES[account]))

    def moving(self) -> int:
        states = (Status.SCHEDULED, Status.QUEUED, Status.SENDING, Status.IN_DOUBT, Status.SENT)
        indexes = (index for space in SPACES.values() for index in keys.indexes_of(*states, space=space))
        return sum(int(self.client.zcard(index)) for index in indexes) + int(self.client.zcard(keys.DEAD))

    def ended(self, ids: Sequence[str]) -> bool:
        return all(one and one.status in AT_REST for one in self.producer.statuses(list(ids)))

    def heal(self) -> None:
        """Top up the one account, and let the other answer again."""
        self.stack.call_sandbox("/sandbox/credit", {"add": str(2 * self._cost)}, POOR)
        request = Request(f"{self.stack.sandbox_urls[BROKEN]}/sandbox/faults", method="DELETE")
        urlopen(request, timeout=60).close()

    def read(self) -> dict[str, MessageStatus]:
        """Return all records by id."""
        ids = [*self.by_route]
        pages = (ids[start : start + 1000] for start in range(0, len(ids), 1000))
        return {one.id: one for page in pages for one in self.producer.statuses(page) if one}

    def fields(self, ids: Sequence[str], *names: str) -> dict[str, list[str]]:
        """Return fields of records as they are stored."""
        with self.client.pipeline(transaction=False) as pipe:
            for one in ids:
                pipe.hmget(keys.record(one), names)
            found = pipe.execute()
        return {one: [value.decode() if value else "" for value in row] for one, row in zip(ids, found, strict=True)}

    def ledger(self, account: str) -> dict[str, Any]:
        return dict(self.stack.call_sandbox("/sandbox/ledger", account=account))


def judge(report: Report, stage: Accounts, stopped: Mapping[str, MessageStatus], codes: Sequence[str]) -> None:
    """Compare what was accepted, the records and the ledger of each account."""
    records, ids = stage.read(), [*stage.by_route]
    stored_fields = stage.fields(ids, "account", "diverted", "doubted", "first", "route")
    account_of = {one: values[0] or DEFAULT for one, values in stored_fields.items()}
    moved = {one: diverted.parse(values[1]) for one, values in stored_fields.items() if values[1]}
    ledgers = {name: stage.ledger(name) for name in SPACES}
    received = {name: Counter(one["client_id"] for one in ledger["messages"]) for name, ledger in ledgers.items()}
    every = sum(received.values(), Counter[str]())

    report.count("accepted", len(ids))
    for name, number in sorted(Counter(stage.by_route.values()).items()):
        to = Counter(account_of[one] for one in ids if stage.by_route[one] == name)
        report.count(f"  by {name}", f"{number}: {dict(to)}")
    report.limit("without the name of their route", sum(stored_fields[one][4] != stage.by_route[one] for one in ids), 0)
    report.limit(
        "by another account than their route's, or its stand-by", sum(map(_strayed(stage, account_of), ids)), 0
    )
    report.limit("not at the gateway", len(set(ids) - set(every)), 0)
    report.limit("twice, over all accounts", sum(times > 1 for times in every.values()), 0)
    report.limit("at the gateway of another account than their record's", _elsewhere(received, account_of), 0)
    report.limit("not delivered", sum(one.status is not Status.DELIVERED for one in records.values()), 0)

    waited = Counter(stage.by_route[one] for one, was in stopped.items() if was.status not in {*AT_REST, Status.SENT})
    report.count("waited while two accounts were stopped", dict(waited))
    report.limit("  of them of the third account", sum(times for name, times in waited.items() if name == "codes"), 0)
    of_doubt = [one for one, values in stored_fields.items() if values[2]]
    report.count(
        "taken over by the stand-by", dict(Counter(f"{one.account} {one.why}" for one in moved.values() if one))
    )
    report.limit("  none at all", int(not moved), 0)
    report.limit("  after they were in doubt", len({*of_doubt} & {*moved}), 0)
    report.limit("  of routes without one", sum(not ROUTES[stage.by_route[one]].stand_by for one in moved), 0)

    _judge_codes(report, stage, ledgers, codes, records)
    for name in SPACES:
        _judge_money(report, stage, name, ledgers[name], account_of, records)
        _judge_rate(report, stage, name, account_of, stored_fields, moved)


def _strayed(stage: Accounts, account_of: Mapping[str, str]) -> Any:
    def is_lost(one: str) -> bool:
        route = ROUTES[stage.by_route[one]]
        return account_of[one] not in {route.account, route.stand_by or route.account}

    return is_lost


def _elsewhere(received: Mapping[str, Counter[str]], account_of: Mapping[str, str]) -> int:
    return sum(account_of.get(one) != name for name, found in received.items() for one in found)


def _judge_codes(
    report: Report,
    stage: Accounts,
    ledgers: Mapping[str, Mapping[str, Any]],
    codes: Sequence[str],
    records: Mapping[str, MessageStatus],
) -> None:
    """Count the newsletters that arrived between the acceptance of a code and its arrival, at any gateway.

    The codes were sent while two accounts were stopped, and once they sent what had waited.
    """
    entries = [one for ledger in ledgers.values() for one in ledger["messages"]]
    arrived = {one["client_id"]: one["taken_at"] for one in entries}
    news = sorted(at for one, at in arrived.items() if stage.by_route[one] != "codes")
    ahead = sum(at > records[codes[0]].accepted_at / 1000 for at in news)
    before = [
        bisect_left(news, arrived[one]) - bisect_left(news, records[one].accepted_at / 1000)
        for one in codes
        if one in arrived
    ]
    waits = [arrived[one] - records[one].accepted_at / 1000 for one in codes if one in arrived]
    report.count("newsletters that waited, codes sent meanwhile", f"{ahead}, {len(codes)}")
    report.count("  wait, longest, s", max(waits, default=0.0))
    report.limit("  newsletters before one, most", max(before, default=None), max(20, ahead * MOST_BEFORE_A_CODE))


def _judge_money(
    report: Report,
    stage: Accounts,
    name: str,
    ledger: Mapping[str, Any],
    account_of: Mapping[str, str],
    records: Mapping[str, MessageStatus],
) -> None:
    """Compare the ledgers of one account, and what the counts of its space have as charged."""
    own = {one: stage.parts[one] for one in stage.by_route if account_of[one] == name}
    summary = reconcile(own, {}, 0, (records.get(one) for one in own), ledger)
    report.count(f"account {name}: messages, credits", f"{summary.accepted}, {summary.credits_in_records}")
    report.limit("  differences of its ledgers", len(summary.breaches), 0)
    for breach in summary.breaches:
        report.breaches.append(f"account {name}: {breach}")
    tally = stage.client.hgetall(keys.names(SPACES[name]).TALLY)
    counted = sum(int(value) for field, value in tally.items() if field.startswith(b"charged:"))
    charged = sum(records[one].charge_millionths for one in own)
    report.limit("  millionths that its counts differ by", abs(counted - charged), 0)


def _judge_rate(
    report: Report,
    stage: Accounts,
    name: str,
    account_of: Mapping[str, str],
    stored_fields: Mapping[str, list[str]],
    moved: Mapping[str, Any],
) -> None:
    """Find the second in which an account began most; messages that were tried elsewhere before began there."""
    own = [one for one in account_of if account_of[one] == name and not (one in moved and moved[one].attempts)]
    began = sorted((int(stored_fields[one][3]), stage.parts[one]) for one in own if stored_fields[one][3])
    most, start, parts = 0, 0, 0
    for at, more in began:
        parts += more
        while began[start][0] <= at - 1000:
            parts -= began[start][1]
            start += 1
        most = max(most, parts)
    limit = RATES[name] * (1 + BURST_SECONDS + SLACK) + 1
    report.limit(f"account {name}: parts in its busiest second, of {WORKERS[name]} workers", most, limit)
