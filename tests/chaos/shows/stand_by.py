"""Stand-by: an account loses 5 % of its answers and fails in six further ways; the other takes over, and none twice.

What the first account took stays with it, whatever it answered; what it certainly did not take, the other sends.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.several import Several, limit_copies, limit_money
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, wait
from threelane.contract.accounts.account import DEFAULT
from threelane.demo.accounts import AccountAtSandbox
from threelane.store import diverted
from threelane.store.states import Status

MESSAGES, LEAST, LEAKY = 1_000, 600, "leaky"  # with fewer, nothing waits any more when a trouble begins
RATES = {DEFAULT: 100, LEAKY: 40}  # parts a second
WORKERS = {DEFAULT: 1, LEAKY: 3}
LOST = {"do": "lose_answer", "times": None, "probability": 0.05}
LATENCY_MS = 60
UNDER_WAY_SECONDS, TROUBLE_SECONDS, CALM_SECONDS, LONGEST_SECONDS = 1.0, 4.0, 3.0, 300.0
CODE_EVERY = 10
ROUTE = f"""[[routes]]
name = "all"
account = "{LEAKY}"
stand_by = "{DEFAULT}"
"""

Trouble = Callable[["StandBy"], object]
ARMED: dict[str, Mapping[str, Any]] = {
    "503, and not taken": {"do": "page", "http": 503, "command": "*", "times": None},
    "503, and taken": {"do": "page_after", "http": 503, "times": None},
    "frozen by a limit": {"do": "code", "code": "130", "seconds": TROUBLE_SECONDS + 3},
    "429": {"do": "page", "http": 429, "times": None, "retry_after_seconds": 2},
}
TROUBLES: dict[str, Trouble] = {
    **{name: lambda stage, fault=fault: stage.arm(LEAKY, fault) for name, fault in ARMED.items()},  # type: ignore[misc]
    "connections refused": lambda stage: stage.refuse(),
    "workers killed, no credit": lambda stage: stage.spend_and_kill(),
}


def play(scale: Scale, console: Console, _kinds: Sequence[str] = ()) -> bool:
    """Play it; returns whether no message was taken by both accounts, nor twice by one."""
    number = max(LEAST, int(MESSAGES * scale.messages))
    with StandBy(scale) as stage:
        for trouble in TROUBLES.values():
            stage.send(stage.messages(number // len(TROUBLES)))
            time.sleep(UNDER_WAY_SECONDS)
            trouble(stage)
            time.sleep(TROUBLE_SECONDS)
            stage.calm()
            time.sleep(CALM_SECONDS)
        wait(lambda: not stage.moving() and not sum(map(stage.waiting, stage.spaces)), LONGEST_SECONDS)
        report = Report(f"{number} messages, 5 % of answers lost, a stand-by, API {scale.gateway}")
        _judge(report, stage)
    return report.show(console)


class StandBy(Several):
    """Two accounts; the first is in trouble."""

    def __init__(self, scale: Scale) -> None:
        environment = {"THREELANE_PARTS_PER_SECOND": str(RATES[DEFAULT]), "THREELANE_BURST_SECONDS": "0.2"}
        accounts = {
            DEFAULT: AccountAtSandbox(sandbox={"default-price": "1.2"}),
            LEAKY: AccountAtSandbox({"parts_per_second": RATES[LEAKY]}, {"credit": "10000"}),
        }
        super().__init__(scale, environment, accounts, ROUTE, WORKERS)

    def messages(self, number: int) -> list[dict[str, Any]]:
        """Return further messages; without a look-up, one in doubt is unknown when its validity has ended."""
        code, news = {"lane": 1, "text": CODE_TEXT}, {"lane": 3, "text": NEWS_TEXT}
        more = {} if self.can_look_up else {"validity_period": "2"}
        numbers = range(len(self.parts), len(self.parts) + number)
        return [{"to": f"27999{500_000 + n}", **(news if n % CODE_EVERY else code), **more} for n in numbers]

    def calm(self) -> None:
        """End a trouble; answers are still lost."""
        self.disarm(LEAKY)
        self.arm(LEAKY, LOST)
        self.add_credit(LEAKY, 10_000)

    def refuse(self) -> None:
        """Let the gateway listen to nobody for a while."""
        self.stack.call_sandbox("/sandbox/refuse", {"seconds": TROUBLE_SECONDS - 1}, LEAKY)

    def spend_and_kill(self) -> None:
        """Leave the account without credit, and kill two of its three workers, with what they have under way."""
        self.stack.call_sandbox("/sandbox/credit", {"set": "5"}, LEAKY)
        for _ in range(2):
            self.kill_worker(LEAKY)

    def __enter__(self) -> StandBy:
        super().__enter__()
        self.slow_down(LEAKY, LATENCY_MS)
        self.arm(LEAKY, LOST)
        return self


def _judge(report: Report, stage: StandBy) -> None:
    records, ids = stage.read(), [*stage.parts]
    stored = stage.fields(ids, "account", "diverted", "doubted")
    account_of = {one: values[0] or DEFAULT for one, values in stored.items()}
    moved = {one: move for one, values in stored.items() if (move := diverted.parse(values[1]))}
    doubted = {one for one, values in stored.items() if values[2]}
    ledgers = stage.ledgers()
    lost = {one["client_id"] for one in ledgers[LEAKY]["messages"] if one["faults"]}
    known = {one.id for one in records.values() if one.status is Status.UNKNOWN}

    report.count("accepted", len(ids))
    report.limit("taken, with its answer lost or wrong: none", int(not lost), 0)
    report.count("  how many", len(lost))
    report.limit("taken over: none", int(not moved), 0)
    report.count("  how many, why", dict(Counter(one.why for one in moved.values())))
    tried = {one["client_id"] for one in stage.attempts(LEAKY)}
    report.count("  of them after the gateway of the first had refused them", len(tried & {*moved}))
    report.count("in doubt for a while", len(doubted))
    report.limit("  of them taken over", len(doubted & {*moved}), 0)
    limit_copies(report, stage, ledgers, known=known)
    report.limit("unknown in the end", len(known), 0 if stage.can_look_up else len(doubted))
    undelivered = sum(one.status is not Status.DELIVERED for one in records.values() if one.id not in known)
    report.limit("neither unknown nor delivered", undelivered, 0)
    for name in stage.spaces:
        limit_money(report, stage, name, ledgers[name], [one for one in ids if account_of[one] == name], records)
