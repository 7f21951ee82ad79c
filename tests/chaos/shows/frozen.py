"""Frozen: Redis takes connections and answers nothing; how long each caller and check waits for it, and what it gets.

The times are measured on this machine, and include the start of each command's process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from subprocess import run
from typing import Any, NamedTuple
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, Scale, Stage, wait
from threelane import Producer, ProducerSettings, Unavailable
from threelane.operations.own_health import MOST_SECONDS

REDIS_SECONDS = 3.0  # THREELANE_REDIS_TIMEOUT_SECONDS
SCRAPE_SECONDS = 5.0
STARTING_SECONDS = 6.0  # of a command's process, on a busy machine
MARGIN_SECONDS = 0.5
CALLERS = 120  # of the HTTP API at once, three times its threads
NUMBER = "27999500001"


class Waited(NamedTuple):
    """How long a call took, and how it ended."""

    seconds: float
    result: str


def play(scale: Scale, console: Console, kinds: Sequence[str] = ()) -> bool:
    """Freeze Redis, and let every kind of caller wait for it; returns whether all kept their limits."""
    with Stage(scale, {}, workers=2) as stage:
        stage.stack.start_api()
        report = Report("a frozen Redis")
        (code,) = stage.send([{"to": NUMBER, "text": CODE_TEXT, "lane": 1}])
        assert wait(lambda: stage.statuses([code])[code].sent_at, 30)
        fresh = Producer(ProducerSettings(redis_url=stage.stack.redis_url))
        redis = stage.stack.describe(0)["processes"]["redis"]
        os.kill(redis, signal.SIGSTOP)
        try:
            _measure(stage, fresh, report)
        finally:
            os.kill(redis, signal.SIGCONT)
        healthy = wait(lambda: _command(stage, "health", "--ready").result == "exit 0", 30)
        report.limit("workers not ready 30 s after it goes on", int(not healthy), 0)
        (code,) = stage.send([{"to": NUMBER, "text": CODE_TEXT, "lane": 1}])
        sent = wait(lambda: stage.statuses([code])[code].sent_at, 30)
        report.limit("codes not sent afterwards", int(not sent), 0)
        fresh.close()
        return report.show(console)


def _measure(stage: Stage, fresh: Producer, report: Report) -> None:
    known, most = stage.producer, REDIS_SECONDS + MARGIN_SECONDS
    calls: dict[str, Callable[[], object]] = {
        "send, connected": lambda: known.send(NUMBER, CODE_TEXT, lane=1),
        "send, again": lambda: known.send(NUMBER, CODE_TEXT, lane=1),
        "send, new producer": lambda: fresh.send(NUMBER, CODE_TEXT, lane=1),
        "send_many": lambda: known.send_many([{"to": NUMBER, "text": CODE_TEXT}] * 300),
        "status": lambda: known.status("0f3c"),
        "cancel": lambda: known.cancel(["0f3c"]),
        "scheduled": known.scheduled,
    }
    for name, call in calls.items():
        _add(report, name, _call(call), most, "Unavailable")
    _add(report, "HTTP API: one request", _post(stage), most, "503")
    with ThreadPoolExecutor(CALLERS) as callers:
        answers = list(callers.map(lambda _: _post(stage), range(CALLERS)))
    slowest = max(answers)
    _add(report, f"HTTP API: the slowest of {CALLERS} at once", slowest, most + 1, "503")
    exporter = stage.stack.metrics["exporter"]
    with ThreadPoolExecutor(2) as scrapers:
        for number, one in enumerate(scrapers.map(lambda _: _scrape(exporter), range(2)), 1):
            _add(report, f"scrape {number} of two at once", one, SCRAPE_SECONDS, "threelane_redis_up 0.0")
    # the limit includes the start of the process; only a machine that is too busy to start it in 3 s exceeds it
    _add(report, "health", _command(stage, "health"), MOST_SECONDS + MARGIN_SECONDS, "exit 0")
    _add(report, "health --ready", _command(stage, "health", "--ready"), MOST_SECONDS + MARGIN_SECONDS, "exit 3")
    for words, code in ((["top", "--once"], 3), (["check"], 2), (["doctor"], 3), (["send", NUMBER, "Hello"], 3)):
        waited = _command(stage, *words)
        _add(report, " ".join(words[:2]), waited, most + STARTING_SECONDS, f"exit {code}")


def _add(report: Report, name: str, waited: Waited, most: float, expected: str) -> None:
    report.limit(f"{name}: s until {waited.result}", waited.seconds, most)
    report.limit(f"{name}: ended otherwise than with {expected}", int(waited.result != expected), 0)


def _call(call: Callable[[], object]) -> Waited:
    started = time.monotonic()
    try:
        result = type(call()).__name__
    except Unavailable as away:
        result = type(away).__name__
    return Waited(time.monotonic() - started, result)


def _post(stage: Stage) -> Waited:
    body = json.dumps({"to": NUMBER, "text": CODE_TEXT, "lane": 1}).encode()
    headers = {"Authorization": f"Bearer {stage.stack.api_key}", "Content-Type": "application/json"}
    started = time.monotonic()
    try:
        with urlopen(Request(f"{stage.stack.api_url}/v1/messages", body, headers), timeout=120) as response:
            result = str(response.status)
    except HTTPError as failed:
        result = str(failed.code)
    return Waited(time.monotonic() - started, result)


def _scrape(url: str) -> Waited:
    started = time.monotonic()
    with urlopen(url, timeout=60) as response:
        lines = response.read().decode().splitlines()
    return Waited(time.monotonic() - started, next(line for line in lines if line.startswith("threelane_redis_up")))


def _command(stage: Stage, *words: str) -> Waited:
    environment: Mapping[str, Any] = os.environ | stage.stack.environment
    started = time.monotonic()
    done = run(
        [sys.executable, "-m", "threelane", *words], env=environment, capture_output=True, timeout=120, check=False
    )
    return Waited(time.monotonic() - started, f"exit {done.returncode}")
