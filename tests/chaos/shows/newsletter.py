"""Newsletter: codes that fall due behind thousands of newsletters; how many of those arrive before a code."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, Stage, sleep_until, wait

NEWSLETTERS, CODES, PARTS_PER_SECOND = 20_000, 20, 500
REDIS_DELAY_SECONDS = 0.004  # each way; an idle machine would hide how much is to be done before a code
MOST_BEFORE = 1_000  # of 20,000; of fewer, a tenth
REFUSED_ONCE = "27999190101"  # a magic number of the sandbox: its first attempt meets a 901


def play(scale: Scale, console: Console, _kinds: Sequence[str] = ()) -> bool:
    """Send the newsletter and the codes; returns whether every code overtook all but 1,000 newsletters."""
    newsletters = int(NEWSLETTERS * scale.messages)
    rate = {"THREELANE_PARTS_PER_SECOND": str(PARTS_PER_SECOND)}
    with Stage(scale, rate, redis_delay_seconds=REDIS_DELAY_SECONDS) as stage:
        due_at = time.time() + 3 + newsletters / 4000
        news = stage.send(
            {"to": f"27999{500_000 + n}", "text": NEWS_TEXT, "lane": 3, "deliver_at": _aware(due_at)}
            for n in range(newsletters)
        )
        codes = stage.send(
            {"to": f"27999{450_000 + n}", "text": CODE_TEXT, "lane": 1, "deliver_at": _aware(due_at + 0.5)}
            for n in range(CODES)
        )
        if time.time() > due_at:
            console.print("the newsletter was due before all of it was accepted", markup=False)
        sleep_until(due_at)
        refused = stage.send({"to": REFUSED_ONCE, "text": CODE_TEXT, "lane": 1} for _ in range(CODES))
        wanted = newsletters + 2 * CODES
        wait(lambda: stage.received() >= wanted, 60 + 3 * newsletters / PARTS_PER_SECOND, every=1.0)
        arrivals = stage.arrivals()
        due = dict.fromkeys(codes, due_at + 0.5) | _due_again(stage, refused)
    most = min(MOST_BEFORE, newsletters // 10)
    of_news = sorted(arrivals[one] for one in news if one in arrivals)
    report = Report(f"show 2: {newsletters} newsletters at {PARTS_PER_SECOND} parts/s, API {scale.gateway}")
    report.count("newsletters arrived", len(of_news))
    report.count("seconds for all of them", of_news[-1] - of_news[0] if of_news else 0.0)
    for name, ids in (("due at T + 0.5 s", codes), ("that met one 901", refused)):
        arrived = [one for one in ids if one in arrivals]
        before = sorted(bisect_left(of_news, arrivals[one]) - bisect_right(of_news, due[one]) for one in arrived)
        report.limit(f"codes {name}: not arrived", len(ids) - len(arrived), 0)
        report.count("  wait, longest, s", max((arrivals[one] - due[one] for one in arrived), default=0.0))
        report.count("  newsletters before one, median", before[len(before) // 2] if before else "")
        report.limit("  newsletters before one, most", max(0, before[-1]) if before else None, most)
    report.limit("newsletters not arrived", newsletters - len(of_news), 0)
    return report.show(console)


def _due_again(stage: Stage, ids: list[str]) -> dict[str, float]:
    """Return when each message was due again after its refusal."""
    refused_at = {one["client_id"]: one["at"] for one in reversed(stage.attempts()) if one["code"] == "901"}
    found = stage.statuses(ids)
    return {one: refused_at[one] + (found[one].waits[0] if found[one].waits else 0.0) for one in ids}


def _aware(moment: float) -> datetime:
    return datetime.fromtimestamp(moment, UTC)
