"""Workers wait while Redis gives an error reply: at start, idle and with calls under way; each message is sent once."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.error_replies.conftest import SETTINGS
from tests.error_replies.fleet import BaseFleet
from tests.error_replies.states import NoFiles, State
from tests.integration.conftest import taken
from tests.servers import wait_until
from threelane import Producer, ProducerSettings
from threelane.demo.child import Child
from threelane.runtime.exits import Exit
from threelane.sandbox.running import Running
from threelane.store import keys
from threelane.store.replies import ErrorReply
from threelane.store.states import Status

SLOW_SECONDS = 3.0
FEW_FILES = 9  # enough to start Python, and not an event loop


class Fleet(BaseFleet):
    """A worker and a producer on the Redis of one row."""

    def __init__(self, state: State, folder: Path, environment: dict[str, str], sandbox: Running) -> None:
        settings = {f"THREELANE_{name.upper()}": str(value) for name, value in SETTINGS.items()}
        self.environment = environment | settings | {"THREELANE_REDIS_URL": state.url}
        self.state, self.folder, self.sandbox = state, folder, sandbox
        self.producer = Producer(ProducerSettings(redis_url=state.url))
        self.ids: set[str] = set()
        self.worker: Child | None = None

    @property
    def pids(self) -> list[int]:
        return [self.worker.process.pid] if self.worker else []

    def start(self, *before: str) -> Child:
        """Start the worker, which need not get far."""
        words = [*before, sys.executable, "-m", "threelane", "worker"]
        self.worker = Child("worker", words, self.folder / "worker.log", self.environment)
        return self.worker

    def last_worker(self) -> Child:
        assert self.worker
        return self.worker

    def waits(self, *replies: ErrorReply) -> bool:
        """Return whether the worker reported that it waits for this row's reply, or for one of those given."""
        texts = [f"({one.prefix})" for one in replies or (self.state.reply,)]
        return any(text in line["problem"] for line in self.log("waits_for_redis") for text in texts)

    def is_sent(self) -> bool:
        """Return whether every message is at the gateway, and its record shows that."""
        if not taken(self.sandbox).keys() >= self.ids:
            return False
        found = self.producer.statuses(sorted(self.ids))
        return {one.status for one in found if one} <= {Status.SENT, Status.DELIVERED} and None not in found

    def assert_each_was_sent_once(self) -> None:
        """Wait for all messages, and count what the gateway took."""
        wait_until(self.is_sent, 60, "every message to be sent")
        assert dict.fromkeys(self.ids, 1) == {one: len(entries) for one, entries in taken(self.sandbox).items()}

    def assert_it_ends_with_0_after_sigterm(self) -> None:
        """Only now: before, it never ended."""
        assert self.worker
        assert self.worker.process.poll() is None, self.worker.log.read_text()[-2000:]
        self.worker.stop()
        assert 0 == self.worker.process.returncode, self.worker.log.read_text()[-2000:]
        tracebacks = [line for line in self.worker.log.read_text().splitlines() if "Traceback" in line]
        assert [] == [line for line in tracebacks if "cleaning up after event loop" not in line]  # Celery's, of EMFILE

    def outcome(self) -> str:
        """Return what became of the worker and its messages, for the table at the end of the run."""
        assert self.worker
        seconds = [f"waited {one['seconds']} s, " for one in self.log("reached_redis") if "seconds" in one]
        return f"{''.join(seconds)}{len(self.ids)} messages sent once, exit {self.worker.process.returncode} by SIGTERM"

    def close(self) -> None:
        self.producer.close()
        if self.worker:
            self.worker.stop()


@pytest.fixture
def fleet(state: State, tmp_path: Path, base_environment: dict[str, str], sandbox: Running) -> Iterator[Fleet]:
    made = Fleet(state, tmp_path, base_environment, sandbox)
    yield made
    made.close()


def test_a_starting_worker_waits_or_names_the_wrong_setting(
    fleet: Fleet, state: State, happened: Callable[[str], None]
) -> None:
    """Containers start in any order, also in the middle of a failover; a wrong password is never cured by waiting."""
    waiting = fleet.send()
    state.begin([])
    few_files = ("prlimit", f"--nofile={FEW_FILES}:1024") if isinstance(state, NoFiles) else ()
    worker = fleet.start(*few_files)
    if isinstance(state, NoFiles):
        assert 0 != worker.process.wait(30)
        happened(f"exit {worker.process.returncode}")
        return
    if not state.reply.waits:
        assert Exit.USAGE == worker.process.wait(30)
        printed = worker.log.read_text()
        assert f"({state.reply.prefix})" in printed
        assert "Traceback" not in printed
        happened(f"exit {worker.process.returncode}")
        return
    if state.reply.stops_workers:
        wait_until(lambda: fleet.waits(*state.possible), 40, "the worker to wait")
    state.end(fleet.pids)
    worker.event("started")
    wait_until(lambda: waiting in taken(fleet.sandbox), 40, "what was accepted before")
    fleet.assert_each_was_sent_once()
    fleet.assert_it_ends_with_0_after_sigterm()
    happened(f"{'waits' if fleet.log('waits_for_redis') else 'starts'}, then {fleet.outcome()}")


def test_an_idle_worker_waits_and_goes_on(fleet: Fleet, state: State, happened: Callable[[str], None]) -> None:
    """Every planned failover is such a reply; before, it ended the worker with exit code 0."""
    worker = fleet.start()
    worker.event("started")
    first = fleet.send()
    wait_until(lambda: first in taken(fleet.sandbox), what="the first message")
    state.begin(fleet.pids)
    if state.reply.stops_workers:
        wait_until(fleet.waits, 40, "the worker to wait")
    state.end(fleet.pids)
    if state.reply.stops_workers:
        wait_until(lambda: fleet.log("reached_redis"), 40, "the worker to go on")
    for lane in keys.LANES:
        wait_until(lambda lane=lane: fleet.send(lane=lane), what="intake")
    fleet.assert_each_was_sent_once()
    fleet.assert_it_ends_with_0_after_sigterm()
    happened(fleet.outcome())


def test_calls_under_way_and_due_messages_are_sent_once(
    fleet: Fleet, state: State, happened: Callable[[str], None]
) -> None:
    """Their answers come while Redis cannot store them: the worker keeps them, or their leases lapse to a look-up."""
    worker = fleet.start()
    worker.event("started")
    fleet.sandbox.control("POST", "faults", {"do": "slow", "seconds": SLOW_SECONDS, "times": 3})
    under_way = {fleet.send(lane=lane) for lane in keys.LANES}
    fleet.send(delay=1)
    wait_until(lambda: taken(fleet.sandbox).keys() >= under_way, what="the calls")
    state.begin(fleet.pids)
    if state.reply.stops_workers:
        wait_until(fleet.waits, 40, "the worker to wait")
    threading.Event().wait(SLOW_SECONDS + 1)  # the answers come meanwhile
    state.end(fleet.pids)
    fleet.assert_each_was_sent_once()
    logged = [line["problem"] for line in fleet.log("waits_for_redis")]
    assert sorted(set(logged)) == sorted(logged), "each reason is logged once an outage"
    fleet.assert_it_ends_with_0_after_sigterm()
    happened(fleet.outcome())
