"""Outage: the gateway does not answer for 30 s, in six ways, under a backlog and a code each second.

The sandbox sees which requests were under way when the breaker opened, and how often the gateway was probed.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, NEWS_TEXT, Scale, Stage, sleep_until, wait
from threelane.store.states import Status

NEWSLETTERS, OUTAGE_SECONDS, WORKERS = 3_000, 30.0, 2
ENVIRONMENT = {"THREELANE_PARTS_PER_SECOND": "100", "THREELANE_GATEWAY_TIMEOUT_SECONDS": "3"}
CALM_SECONDS = 3.0  # before the outage
SETTLED_SECONDS = 60.0  # after the return, nothing is in doubt
UNDER_WAY_SECONDS = 1.0  # until a request that left before the breaker opened has arrived
FAILURES_TO_OPEN = 10  # THREELANE_BREAKER_FAILURES, of one process
CONNECTIONS = 64  # THREELANE_GATEWAY_CONNECTIONS: so many requests of a process begin before the first failure is seen
MOST_PROBES = 15
REPORTED = (Status.UNKNOWN, Status.DEAD, Status.EXPIRED)

KINDS: dict[str, dict[str, Any]] = {
    "503": {"do": "page", "http": 503},
    "resets": {"do": "reset"},
    "timeouts": {"do": "hang"},
    "html": {"do": "page", "http": 200},
    "429-seconds": {"do": "page", "http": 429, "retry_after_seconds": 5},
    "429-date": {"do": "page", "http": 429, "retry_after_seconds": 5, "retry_after": "date"},
}
SURELY_NOT_SENT = ("429-seconds", "429-date")


class Outage(NamedTuple):
    """What the sandbox saw of the outage; ``opened_at`` 0: no breaker opened."""

    began_at: float
    ended_at: float
    opened_at: float
    newly: int  # messages that came into doubt
    before: int  # messages of requests that failed before the breaker opened
    under_way: int  # messages of requests under way when it opened
    later: int  # messages sent in the rest of the outage, by probes
    failed_requests: int  # requests that failed before it opened
    probes: int  # harmless calls and sends in the rest of the outage


def play(scale: Scale, console: Console, kinds: Sequence[str] = ()) -> bool:
    """Play each kind; returns whether all kept their limits."""
    played = [_play(scale, console, kind) for kind in kinds or KINDS]
    return all(played)


def _play(scale: Scale, console: Console, kind: str) -> bool:
    newsletters, lasts = int(NEWSLETTERS * scale.messages), OUTAGE_SECONDS * scale.seconds
    with Stage(scale, ENVIRONMENT, workers=WORKERS) as stage:
        stage.settings(latency_ms=80, latency_jitter_ms=80)
        news = stage.send({"to": f"27999{500_000 + n}", "text": NEWS_TEXT, "lane": 3} for n in range(newsletters))
        codes: list[str] = []
        _send_codes(stage, codes, time.time() + CALM_SECONDS)
        doubts = stage.moved_to(Status.IN_DOUBT)
        stage.arm({**KINDS[kind], "command": "*", "times": None, "lasts_seconds": lasts})
        began_at = time.time()
        _send_codes(stage, codes, began_at + lasts)
        outage = _seen(stage, began_at, began_at + lasts, stage.moved_to(Status.IN_DOUBT) - doubts)
        for second in range(int(SETTLED_SECONDS)):
            _send_codes(stage, codes, outage.ended_at + second + 1)
            if not _moving(stage, [*news, *codes]):
                break
        in_doubt, settled_at = stage.count([*news, *codes])[Status.IN_DOUBT], time.time()
        wait(lambda: not _moving(stage, [*news, *codes]), 30, every=1.0)
        report = Report(f"show 4: {kind} for {lasts:.0f} s, {newsletters} waiting, API {scale.gateway}")
        _report_outage(report, kind, outage)
        _report_return(report, stage, outage, set(codes))
        report.count("seconds until none was moving, or watched", settled_at - outage.ended_at)
        report.limit(f"in doubt {SETTLED_SECONDS:.0f} s after the return", in_doubt, 0)
        _report_ledgers(report, stage, {*news, *codes})
        return report.show(console)


def _send_codes(stage: Stage, codes: list[str], until: float) -> None:
    """Send a code each second until a moment."""
    while True:
        number = len(codes)
        codes += stage.send([{"to": f"27999{450_000 + number}", "text": CODE_TEXT, "lane": 1}])
        if time.time() + 1 >= until:
            break
        time.sleep(1)
    sleep_until(until)


def _seen(stage: Stage, began_at: float, ended_at: float, newly: int) -> Outage:
    opened_at = _opened_at(stage, began_at)
    sends = [one for one in stage.requests("sendmsg", began_at) if one["at"] < ended_at]
    harmless = [
        one
        for command in ("ping", "getbalance")
        for one in stage.requests(command, began_at)
        if opened_at and opened_at < one["at"] < ended_at
    ]
    before = [one for one in sends if not opened_at or (one["ended_at"] or ended_at) < opened_at]
    later = [one for one in sends if opened_at and one["at"] > opened_at + UNDER_WAY_SECONDS]
    under_way = [one for one in sends if one not in before and one not in later]
    return Outage(
        began_at=began_at,
        ended_at=ended_at,
        opened_at=opened_at,
        newly=newly,
        before=_messages(before),
        under_way=_messages(under_way),
        later=_messages(later),
        failed_requests=len(before),
        probes=len(later) + len(harmless),
    )


def _messages(requests: list[dict[str, Any]]) -> int:
    return sum(len(one["sent"]) for one in requests)


def _opened_at(stage: Stage, began_at: float) -> float:
    """Return when the breaker opened in the outage; 0: it did not."""
    found = (stage.client.hget(key, "opened") for key in stage.client.scan_iter("tl:breaker:*"))
    return next((at for at in (int(one or 0) / 1000 for one in found) if at >= began_at), 0.0)


def _moving(stage: Stage, ids: list[str]) -> int:
    counted = stage.count(ids)
    return sum(counted[status] for status in (Status.QUEUED, Status.SENDING, Status.SCHEDULED, Status.IN_DOUBT))


def _report_outage(report: Report, kind: str, outage: Outage) -> None:
    is_open = outage.opened_at > 0
    report.count("breaker opened after, s", outage.opened_at - outage.began_at if is_open else "not")
    report.count("messages that failed before it opened", outage.before)
    report.count("messages under way when it opened", outage.under_way)
    report.count("messages sent by probes", outage.later)
    report.count("probes", outage.probes)
    if kind in SURELY_NOT_SENT:
        report.limit("newly in doubt", outage.newly, 0)
        return
    most = (FAILURES_TO_OPEN + CONNECTIONS) * WORKERS
    report.limit("requests that failed before it opened", outage.failed_requests, most)
    report.limit("sends and harmless calls of probes", outage.probes if is_open else None, MOST_PROBES)
    report.limit("newly in doubt", outage.newly, outage.before + outage.under_way + outage.later if is_open else 0)


def _report_return(report: Report, stage: Stage, outage: Outage, codes: set[str]) -> None:
    after = [one for one in stage.ledger() if one["taken_at"] >= outage.ended_at]
    place = next((place for place, one in enumerate(after) if one["client_id"] in codes), None)
    report.limit("newsletters that arrive before the first code after the return", place, 0)
    waits = [one["taken_at"] - outage.ended_at for one in after]
    report.count("  first arrival after the return, s", waits[0] if waits else "none")
    report.count("  first code after the return, s", "none" if place is None else waits[place])


def _report_ledgers(report: Report, stage: Stage, ids: set[str]) -> None:
    received = Counter(one["client_id"] for one in stage.ledger())
    reported = {one.id for one in stage.statuses(ids).values() if one.status in REPORTED}
    report.count("received by the gateway", len(received))
    report.count("reported unknown, dead or expired", len(reported))
    report.limit("lost: neither received nor reported", len(ids - set(received) - reported), 0)
    report.limit("twice", sum(n > 1 for n in received.values()), 0)
