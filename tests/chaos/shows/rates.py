"""Rates: two accounts, whose workers keep the rate of each in each second, and whose lane 1 waits for no other account.

First codes of one account alone, then codes while 20,000 newsletters of the other are sent, then more of each account
than its rate allows.  The sandbox of each account sees when its messages came.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.several import Several, busiest_second, limit_copies
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, sleep_until, wait
from threelane.contract.accounts.account import DEFAULT
from threelane.demo.accounts import AccountAtSandbox

NEWSLETTERS, CODES, CODE_EVERY_SECONDS = 20_000, 60, 0.2
BULK = "bulk"
RATES = {DEFAULT: 60, BULK: 150}  # parts a second
WORKERS = {DEFAULT: 2, BULK: 3}
BURST_SECONDS = 0.5  # with 0.1 these workers use less than half of the rate: they look at a lane less often than that
SLACK = 0.1  # of the rate: a request arrives some milliseconds after its claim
LEAST = 0.5  # of the rate is used while more waits; else this shows nothing
FULL_SECONDS = 15.0
MOST_LONGER = 3.0  # a code's median wait beside the newsletters, as a multiple of that without; the cores are shared
TEXTS = (NEWS_TEXT, NEWS_TEXT * 50, NEWS_TEXT * 100)  # one, two and three parts
ROUTE = f"""[[routes]]
name = "newsletters"
producer = "magazine"
account = "{BULK}"
"""


def play(scale: Scale, console: Console, _kinds: Sequence[str] = ()) -> bool:
    """Play it; returns whether each account kept its rate, and no code waited for the other account."""
    newsletters, codes = int(NEWSLETTERS * scale.messages), max(10, int(CODES * scale.seconds))
    full_seconds = max(5.0, FULL_SECONDS * scale.seconds)
    with Rates(scale) as stage:
        alone = stage.send_codes(codes)
        stage.send_newsletters(newsletters)
        beside = stage.send_codes(codes)
        began = time.time()
        stage.send_more(int(RATES[DEFAULT] * (full_seconds + 1)))
        sleep_until(began + full_seconds)
        waiting = {name: stage.waiting(name) for name in RATES}
        ended = time.time()
        report = Report(f"{newsletters} newsletters of one account, codes of another, API {scale.gateway}")
        _limit_codes(report, stage, alone, beside)
        for name, rate in RATES.items():
            arrivals = stage.arrivals(name)
            within = [one for one in arrivals if began <= one[0] < ended]
            parts, seconds = sum(parts for _, parts in within), ended - began
            report.count(f"account {name}: messages that arrived, and that wait", f"{len(arrivals)}, {waiting[name]}")
            report.limit(
                f"  parts in {seconds:.0f} s while more waited", parts, rate * (seconds + BURST_SECONDS + SLACK)
            )
            report.limit("    fewer than half of it", max(0.0, rate * LEAST * seconds - parts), 0)
            most = rate * (1 + BURST_SECONDS + SLACK) + 1
            report.limit(f"  in its busiest second, from {WORKERS[name]} workers", busiest_second(arrivals), most)
        unsent = stage.unsent()
        limit_copies(report, stage, stage.ledgers(), known=unsent)
    return report.show(console)


class Rates(Several):
    """Two accounts, one for codes and one for newsletters."""

    def __init__(self, scale: Scale) -> None:
        environment = {
            "THREELANE_PARTS_PER_SECOND": str(RATES[DEFAULT]),
            "THREELANE_BURST_SECONDS": str(BURST_SECONDS),
        }
        accounts = {DEFAULT: AccountAtSandbox(), BULK: AccountAtSandbox({"parts_per_second": RATES[BULK]})}
        super().__init__(scale, environment, accounts, ROUTE, WORKERS)

    def send_newsletters(self, number: int) -> None:
        self.send({**self._message(n), "lane": 3, "producer": "magazine"} for n in range(number))

    def send_codes(self, number: int) -> list[str]:
        """Send a code every while; returns their ids when all of them ended."""
        began, sent = time.time(), list[str]()
        for n in range(number):
            sent += self.send([{"to": f"27999{450_000 + len(self.parts)}", "text": CODE_TEXT, "lane": 1}])
            sleep_until(began + (n + 1) * CODE_EVERY_SECONDS)
        wait(lambda: self.ended(sent), 60)
        return sent

    def send_more(self, number: int) -> None:
        """Send messages of all lanes through the account of the codes."""
        self.send({**self._message(n), "lane": 1 + n % 3} for n in range(number))

    def _message(self, number: int) -> dict[str, Any]:
        return {"to": f"27999{500_000 + number % 400_000}", "text": TEXTS[number % len(TEXTS)]}

    def unsent(self) -> set[str]:
        """Return the messages that are not yet recorded as sent."""
        return {one.id for one in self.read().values() if not one.sent_at}


def _limit_codes(report: Report, stage: Rates, alone: Sequence[str], beside: Sequence[str]) -> None:
    records = stage.read()
    arrived = {one["client_id"]: one["taken_at"] for one in stage.ledgers()[DEFAULT]["messages"]}
    waits = []
    for name, ids in (("alone", alone), ("beside the newsletters", beside)):
        found = [arrived[one] - records[one].accepted_at / 1000 for one in ids if one in arrived]
        report.limit(f"codes {name}: not arrived", len(ids) - len(found), 0)
        report.count("  wait, median and longest, ms", f"{1000 * median(found):.0f}, {1000 * max(found):.0f}")
        waits.append(median(found))
    report.limit("  the one median as a multiple of the other", waits[1] / waits[0], MOST_LONGER)
