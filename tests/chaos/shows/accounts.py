"""Accounts: three accounts and five routes; one account runs out of credit, one answers 503, one stands by for both.

Each message goes by its route and by its weights, only messages of the two accounts wait, the stand-by takes what was
certainly not sent, codes of the third account wait for nobody, each account keeps its rate, and the ledgers of each are
equal.  ``--kinds kills`` also kills workers and Redis meanwhile.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt
from typing import Any, NamedTuple

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.several import Several, busiest_second, limit_copies, limit_money
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, wait
from threelane.contract.accounts.account import DEFAULT
from threelane.demo.accounts import AccountAtSandbox
from threelane.store import diverted
from threelane.store.states import AT_REST, Status
from threelane.store.status import MessageStatus

MESSAGES = 10_000
POOR, BROKEN = "poor", "broken"
RATES = {DEFAULT: 400, POOR: 100, BROKEN: 100}  # parts a second
WORKERS = {DEFAULT: 2, POOR: 3, BROKEN: 2}
PRICES = {DEFAULT: 0.8, POOR: 0.5, BROKEN: 1.2}  # of a part
BURST_SECONDS = 0.1
SLACK = 0.1  # of the rate: a request arrives some milliseconds after its claim
CREDIT_SHARE = 0.25  # of what the messages of the poor account cost
LONG_TEXT, LONG_EVERY = NEWS_TEXT * 50, 7  # two parts
LONGEST_SECONDS = 600.0
MOST_BEFORE_A_CODE = 0.1  # of the newsletters of other accounts that waited
DEVIATIONS = 5  # of the share of an account by weight
KILLS, MOST_KILLS, KILL_SECONDS, OF_REDIS = "kills", 20, 3.0, 4  # so many, so often, and every fourth of Redis
LATENCY_MS = 80  # of all responses, with kills


class Route(NamedTuple):
    """What one route of the five matches, and where it leads."""

    fields: Mapping[str, Any]
    condition: str
    accounts: Mapping[str, int]  # by weight
    stand_by: str = ""

    def toml(self, name: str) -> str:
        weights = ", ".join(f"{account} = {weight}" for account, weight in self.accounts.items())
        lines = ["[[routes]]", f'name = "{name}"', self.condition, f"accounts = {{ {weights} }}"]
        return "\n".join([*lines, *([f'stand_by = "{self.stand_by}"'] if self.stand_by else []), ""])

    def share(self, account: str) -> float:
        return self.accounts.get(account, 0) / sum(self.accounts.values())


ROUTES = {
    "codes": Route({"lane": 1, "text": CODE_TEXT}, "lane = 1", {DEFAULT: 1}),
    "shop": Route({"lane": 3, "producer": "shop"}, 'producer = "shop"', {POOR: 3, BROKEN: 1}),
    "club": Route({"lane": 2, "tags": ["club"]}, 'tag = "club"', {POOR: 1}, DEFAULT),
    "ward": Route({"lane": 2, "cost_centre": "ward"}, 'cost_centre = "ward"', {BROKEN: 1}),
    "post": Route({"lane": 3, "sender": "27999000009"}, 'sender = "27999000009"', {BROKEN: 1}, DEFAULT),
}


def play(scale: Scale, console: Console, kinds: Sequence[str] = ()) -> bool:
    """Play it; returns whether nothing was lost, sent twice, or sent by another account than its own."""
    number = max(100, int(MESSAGES * scale.messages))
    with Accounts(scale, number // len(ROUTES), kills=KILLS in kinds) as stage:
        stage.arm(BROKEN, {"do": "page", "http": 503, "times": None})
        for name in stage.spaces if KILLS in kinds else ():
            stage.slow_down(name, LATENCY_MS)
        stage.send_routes(number - number // 10)
        stage.wait_until_stopped(console)
        stopped = stage.read()
        codes = stage.send_routes(number // 20, only="codes")
        stage.wait(lambda: stage.ended(codes), 120)
        stage.heal()
        stage.wait(lambda: not stage.holds(POOR), 60)
        codes += stage.send_routes(number // 20, only="codes")
        stage.wait(lambda: not stage.moving(), LONGEST_SECONDS)
        report = Report(f"{number} messages of three accounts by five routes, API {scale.gateway}")
        judge(report, stage, stopped, codes)
    return report.show(console)


class Accounts(Several):
    """The stack of the show, and the route of all that is accepted into it."""

    def __init__(self, scale: Scale, of_route: int, *, kills: bool) -> None:
        self._cost = 2 * of_route * PRICES[POOR]
        settings = {name: {"parts_per_second": rate} for name, rate in RATES.items()}
        sandboxes = {name: {"default-price": str(price)} for name, price in PRICES.items()}
        sandboxes[POOR]["credit"] = f"{self._cost * CREDIT_SHARE:.1f}"
        environment = {
            "THREELANE_PARTS_PER_SECOND": str(RATES[DEFAULT]),
            "THREELANE_BURST_SECONDS": str(BURST_SECONDS),
        }
        accounts = {name: AccountAtSandbox(settings[name], sandboxes[name]) for name in RATES}
        routes = "\n".join(route.toml(name) for name, route in ROUTES.items())
        super().__init__(scale, environment, accounts, routes, WORKERS)
        self.by_route: dict[str, str] = {}  # message -> its route
        self.kills: Counter[str] = Counter()
        self._most_kills = MOST_KILLS if kills else 0
        self._killed_at = time.monotonic()

    def send_routes(self, number: int, only: str = "") -> list[str]:
        """Send messages of all routes in turn, or of one; returns their ids."""
        names = [only] if only else [*ROUTES]
        of_routes = [names[n % len(names)] for n in range(number)]
        sent = self.send(self._messages(of_routes))
        self.by_route |= dict(zip(sent, of_routes, strict=True))
        return sent

    def _messages(self, of_routes: Sequence[str]) -> Iterator[dict[str, Any]]:
        for number, name in enumerate(of_routes, len(self.by_route)):
            text = LONG_TEXT if number % LONG_EVERY == 0 else NEWS_TEXT
            yield {"to": f"27999{500_000 + number % 300_000}", "text": text, **ROUTES[name].fields}

    def wait(self, predicate: Callable[[], Any], seconds: float) -> bool:
        """Wait for a condition; workers and Redis are killed meanwhile, if they are to be."""

        def holds() -> Any:
            self._kill()
            return predicate()

        return wait(holds, seconds)

    def _kill(self) -> None:
        if self.kills.total() >= self._most_kills or time.monotonic() < self._killed_at + KILL_SECONDS:
            return
        if self.kills.total() % OF_REDIS == OF_REDIS - 1:
            self.kill_redis()
            self.kills["Redis"] += 1
        else:
            account = [*WORKERS][self.kills.total() % len(WORKERS)]
            self.kill_worker(account)
            self.kills[f"worker of {account}"] += 1
        self._killed_at = time.monotonic()

    def wait_until_stopped(self, console: Console) -> None:
        """Wait until the two accounts send nothing, their stand-by has taken what it may, and has sent it."""
        began = time.monotonic()
        self.wait(lambda: "account" in self.holds(POOR) and self.holds(BROKEN) and not self._moves(), 240)
        waiting = {name: self.waiting(name) for name in self.spaces}
        console.print(f"[{time.monotonic() - began:.0f} s] stopped: {waiting} wait, {self.holds(BROKEN)}", markup=False)

    def _moves(self) -> bool:
        """Return whether the third account still has messages, or is still to get some."""
        left = [one for one in self.read().values() if one.status is Status.QUEUED and self._may_be_taken(one)]
        return bool(left) or self.waiting(DEFAULT) > 0

    def _may_be_taken(self, one: MessageStatus) -> bool:
        return bool(ROUTES[self.by_route[one.id]].stand_by) and not one.attempts

    def heal(self) -> None:
        """Top up the one account, and let the other answer again."""
        self.add_credit(POOR, 4 * self._cost)
        self.disarm(BROKEN)


def judge(report: Report, stage: Accounts, stopped: Mapping[str, MessageStatus], codes: Sequence[str]) -> None:
    """Compare what was accepted, the records and the ledger of each account."""
    records, ids = stage.read(), [*stage.by_route]
    stored_fields = stage.fields(ids, "account", "diverted", "doubted", "route")
    account_of = {one: values[0] or DEFAULT for one, values in stored_fields.items()}
    moved = {one: diverted.parse(values[1]) for one, values in stored_fields.items() if values[1]}
    first = {one: move.account if (move := moved.get(one)) else account_of[one] for one in ids}
    ledgers = stage.ledgers()
    known = {one.id for one in records.values() if one.status is Status.IN_DOUBT and not stage.can_look_up}

    report.count("accepted", len(ids))
    if stage.kills:
        report.count("killed", dict(stage.kills))
    _limit_routes(report, stage, account_of, first)
    report.limit("without the name of their route", sum(stored_fields[one][3] != stage.by_route[one] for one in ids), 0)
    limit_copies(report, stage, ledgers, known=known)
    report.limit("at the gateway of another account than their record's", _elsewhere(ledgers, account_of), 0)
    report.count("in doubt until their validity ends, for want of a look-up", len(known))
    report.limit("not delivered", sum(one.status is not Status.DELIVERED for one in records.values()) - len(known), 0)

    waited = Counter(stage.by_route[one] for one, was in stopped.items() if was.status not in {*AT_REST, Status.SENT})
    report.count("waited while two accounts were stopped", dict(waited))
    report.limit("  of them of the third account", waited["codes"], len(ids) if stage.kills else 0)
    of_doubt = {one for one, values in stored_fields.items() if values[2]}
    report.count(
        "taken over by the stand-by", dict(Counter(f"{one.account} {one.why}" for one in moved.values() if one))
    )
    report.limit("  none at all", int(not moved), 0)
    report.limit("  after they were in doubt", 0 if stage.kills else len(of_doubt & {*moved}), 0)
    report.limit("  of routes without one", sum(not ROUTES[stage.by_route[one]].stand_by for one in moved), 0)

    _limit_codes(report, stage, ledgers, codes, records)
    for name in stage.spaces:
        own = [one for one in ids if account_of[one] == name and one not in known]
        limit_money(report, stage, name, ledgers[name], own, records)
        most = RATES[name] * (1 + BURST_SECONDS + SLACK) + 1
        arrived = busiest_second(stage.arrivals(name))
        report.limit(f"  parts that arrived in its busiest second, from {WORKERS[name]} workers", arrived, most)


def _limit_routes(report: Report, stage: Accounts, account_of: Mapping[str, str], first: Mapping[str, str]) -> None:
    """Count by route, where its messages are now, and where they were before the stand-by took some."""
    strayed, off_weight = 0, 0
    for name, number in sorted(Counter(stage.by_route.values()).items()):
        route, own = ROUTES[name], [one for one in stage.by_route if stage.by_route[one] == name]
        report.count(f"  by {name}", f"{number}: {dict(Counter(account_of[one] for one in own))}")
        strayed += sum(account_of[one] not in {*route.accounts, route.stand_by} for one in own)
        chosen = Counter(first[one] for one in own)
        for account in {*chosen, *route.accounts}:
            share = route.share(account)
            off_weight += abs(chosen[account] - number * share) > DEVIATIONS * sqrt(number * share * (1 - share))
    report.limit("by another account than their route's, or its stand-by", strayed, 0)
    report.limit("routes that split by other shares than their weights", off_weight, 0)


def _elsewhere(ledgers: Mapping[str, Mapping[str, Any]], account_of: Mapping[str, str]) -> int:
    return sum(
        account_of.get(one["client_id"]) != name for name, ledger in ledgers.items() for one in ledger["messages"]
    )


def _limit_codes(
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
    most = len(news) if stage.kills else max(20, ahead * MOST_BEFORE_A_CODE)
    report.count("newsletters that waited, codes sent meanwhile", f"{ahead}, {len(codes)}")
    report.count("  wait, longest, s", max(waits, default=0.0))
    report.limit("  newsletters before one, most", max(before, default=None), most)
